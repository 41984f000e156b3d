/* main.c - the command lunette. */

#include <argp.h>
#include <locale.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/descriptors.h"
#include "base/error.h"
#include "cli/command.h"
#include "cli/help.h"
#include "cli/options.h"
#include "cli/output.h"

#define LARGE_PIECE (4 << 20)

static void
set_log_level(struct cli *cli)
{
	const char *words[] = {"error", "warning", "info", "debug"};
	const char *chosen = cli_layers_value(&cli->layers, "log_level");

	for (int i = 0; chosen != NULL && i < 4; i++)
		if (strcmp(words[i], chosen) == 0)
			cli->screen.level = (enum lun_log_level)i;
}

/* "lunette append: append: data is missing" would say one thing twice. */
static const char *
without_name(const char *message, const char *command)
{
	size_t length = strlen(command);

	if (strncmp(message, command, length) == 0 &&
	    strncmp(message + length, ": ", 2) == 0)
		return message + length + 2;
	return message;
}

static int
run_command(struct cli *cli)
{
	struct lun_err err = {0};
	enum lun_code code = cli_layers_settle(&cli->layers, &err);

	if (code == LUN_OK) {
		set_log_level(cli);
		if (cli->screen.level >= LUN_LOG_WARNING)
			cli_layers_warn(&cli->screen);
		code = cli->command->run(cli, &err);
	}
	if (code == LUN_OK)
		return CLI_DONE;
	fflush(stdout);
	if (err.message[0] != '\0')
		cli_screen_say(&cli->screen, "lunette %s: %s",
		    cli->command->name,
		    without_name(err.message, cli->command->name));
	return CLI_FAILED;
}

static int
show_overview(void)
{
	struct lun_buffer text = {0};

	cli_help_overview(&text);
	fwrite(text.bytes, 1, text.length, stdout);
	lun_buffer_free(&text);
	return CLI_DONE;
}

/*
 * A write beyond a limit is to fail with words, not to kill; every projection
 * takes descriptors, and the soft limit is there for programs with select().
 */
static void
use_limits(void)
{
	struct rlimit files;

	signal(SIGXFSZ, SIG_IGN);
	if (getrlimit(RLIMIT_NOFILE, &files) != 0)
		return;
	files.rlim_cur = files.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &files);
}

/*
 * What is freed goes back to the system. glibc would learn from the first large
 * piece to keep pieces up to 32 MiB, in each of its arenas.
 */
static void
use_memory_sparingly(void)
{
	mallopt(M_MMAP_THRESHOLD, LARGE_PIECE);
	mallopt(M_TRIM_THRESHOLD, 2 * LARGE_PIECE);
}

int
main(int argc, char **argv)
{
	struct cli cli = {0};
	char version[64];
	int status;

	lun_descriptors_fill();
	use_limits();
	use_memory_sparingly();
	if (!cli_output_begin())
		return CLI_FAILED;
	/* For the widths of characters; whatever the environment says. */
	setlocale(LC_CTYPE, "C.UTF-8");
	argp_err_exit_status = CLI_MISUSE;
	/* Nobody needs to be told how short options take arguments. */
	setenv("ARGP_HELP_FMT", "no-dup-args-note", 0);
	snprintf(version, sizeof version, "lunette %s", lun_version());
	argp_program_version = version;
	cli.arguments = calloc((size_t)argc + 1, sizeof *cli.arguments);
	if (cli.arguments == NULL)
		return CLI_FAILED;
	cli_screen_init(&cli.screen);
	cli_options_parse(&cli, argc, argv);
	status = cli.command != NULL ? run_command(&cli) : show_overview();
	cli_layers_free(&cli.layers);
	cli_screen_fini(&cli.screen);
	free(cli.arguments);
	return status;
}
