/* cmd_help.c - help as a command. */

#include <stdio.h>

#include "base/error.h"
#include "cli/command.h"
#include "cli/help.h"
#include "cli/options.h"

static enum lun_code
print_help_json(const struct cli_command *command, struct lun_err *err)
{
	struct lun_buffer json = {0};
	bool failed;

	if (command != NULL)
		cli_help_command_json(command, &json);
	else
		cli_help_json(&json);
	lun_buffer_add_byte(&json, '\n');
	failed = json.failed;
	if (!failed)
		fwrite(json.bytes, 1, json.length, stdout);
	lun_buffer_free(&json);
	return failed ? lun_fail(err, LUN_NOMEM, "out of memory") : LUN_OK;
}

static enum lun_code
run_help(struct cli *cli, struct lun_err *err)
{
	const char *name = cli_argument(cli, 0);
	const struct cli_command *command =
	    name != NULL ? cli_command_find(name) : NULL;

	if (cli->json)
		return print_help_json(command, err);
	cli_options_help(cli, command);
}

static const struct cli_argument arguments[] = {
    {.name = "COMMAND", .kind = CLI_COMMAND, .optional = true},
    {.name = NULL},
};

const struct cli_command cmd_help = {
    .name = "help",
    .summary = "describe a command",
    .description =
	"Print what `lunette COMMAND --help' prints; without "
	"COMMAND, the common options and every setting. With --json, the "
	"tables that all of it comes from.",
    .arguments = arguments,
    .run = run_help,
};
