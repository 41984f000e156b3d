/* cmd_man.c - manual pages, from the tables. */

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/error.h"
#include "cli/command.h"
#include "cli/options.h"

/* ---- roff -------------------------------------------------------------- */

/* Text that roff leaves alone; newlines begin paragraphs. */
static void
add_text(struct lun_buffer *out, const char *text)
{
	for (const char *p = text; *p != '\0'; p++) {
		bool starts = p == text || p[-1] == '\n';

		if (*p == '\n') {
			lun_buffer_add(out, "\n.PP\n", 5);
			while (p[1] == '\n')
				p++;
		} else if (*p == '\\') {
			lun_buffer_add(out, "\\e", 2);
		} else if (*p == '-') {
			lun_buffer_add(out, "\\-", 2);
		} else if (starts && (*p == '.' || *p == '\'')) {
			lun_buffer_printf(out, "\\&%c", *p);
		} else {
			lun_buffer_add_byte(out, *p);
		}
	}
	lun_buffer_add_byte(out, '\n');
}

static void
add_section(struct lun_buffer *out, const char *title)
{
	lun_buffer_printf(out, ".SH %s\n", title);
}

static void
add_option(struct lun_buffer *out, char letter, const char *name,
    const char *argument, const char *help)
{
	lun_buffer_printf(out, ".TP\n");
	if (letter != 0)
		lun_buffer_printf(out, "\\fB\\-%c\\fR, ", letter);
	lun_buffer_printf(out, "\\fB\\-\\-");
	for (const char *p = name; *p != '\0'; p++)
		lun_buffer_printf(out, *p == '-' ? "\\-" : "%c", *p);
	lun_buffer_printf(out, "\\fR");
	if (argument != NULL)
		lun_buffer_printf(out, "=\\fI%s\\fR", argument);
	lun_buffer_add_byte(out, '\n');
	add_text(out, help);
}

static void
add_header(struct lun_buffer *out, const char *page, const char *name,
    const char *what)
{
	lun_buffer_printf(out, ".TH %s 1 \"\" \"Lunette %s\" \"Lunette\"\n",
	    page, lun_version());
	lun_buffer_printf(out, ".SH NAME\n%s \\- %s\n", name, what);
}

static void
add_common_options(struct lun_buffer *out)
{
	add_section(out, "COMMON OPTIONS");
	for (size_t i = 0; cli_common_options[i].name != NULL; i++)
		add_option(out, cli_common_options[i].letter,
		    cli_common_options[i].name, cli_common_options[i].argument,
		    cli_common_options[i].help);
}

static void
add_exit_status(struct lun_buffer *out)
{
	add_section(out, "EXIT STATUS");
	add_text(out, "0 done, 1 failed, 2 misuse.");
}

/* ---- pages ------------------------------------------------------------- */

static void
add_settings(struct lun_buffer *out)
{
	add_section(out, "SETTINGS");
	add_text(out,
	    "Each is also a key of the settings file and, in capitals after "
	    "LUNETTE_, a variable of the environment. A flag wins over the "
	    "environment, that over the file, that over the default.");
	for (size_t i = 0; lun_setting_entries[i].name != NULL; i++) {
		const struct lun_setting_entry *entry = &lun_setting_entries[i];
		char name[CLI_VARIABLE_NAME_MAX];

		cli_flag_name(entry->name, name);
		add_option(out, 0, name,
		    entry->choices != NULL ? entry->choices : entry->argument,
		    entry->help);
		if (entry->initial != NULL)
			lun_buffer_printf(
			    out, "Default: %s.\n", entry->initial);
	}
}

static void
write_program_page(struct lun_buffer *out)
{
	add_header(out, "LUNETTE", "lunette",
	    "turn event logs into read models with Lua scripts");
	lun_buffer_printf(out,
	    ".SH SYNOPSIS\n\\fBlunette\\fR [\\fIOPTION\\fR...] "
	    "\\fICOMMAND\\fR ...\n");
	add_section(out, "COMMANDS");
	for (size_t i = 0; cli_commands[i] != NULL; i++) {
		lun_buffer_printf(out, ".TP\n\\fBlunette\\-%s\\fR(1)\n",
		    cli_commands[i]->name);
		add_text(out, cli_commands[i]->summary);
	}
	add_common_options(out);
	add_settings(out);
	add_section(out, "FILES");
	lun_buffer_printf(out, ".TP\n\\fB./" CLI_DEFAULT_CONFIG "\\fR\n");
	add_text(out, "Settings: a Lua file that returns a table.");
	lun_buffer_printf(out, ".TP\n\\fB./" CLI_DEFAULT_FOLDER "\\fR\n");
	add_text(out, "Projection scripts.");
	add_exit_status(out);
}

static void
add_synopsis(struct lun_buffer *out, const struct cli_command *command)
{
	struct lun_buffer arguments = {0};

	cli_arguments_text(command, &arguments);
	lun_buffer_printf(out,
	    ".SH SYNOPSIS\n\\fBlunette %s\\fR [\\fIOPTION\\fR...] "
	    "\\fI%.*s\\fR\n",
	    command->name, LUN_TEXT_ARG(lun_buffer_text(&arguments)));
	lun_buffer_free(&arguments);
}

static void
write_command_page(struct lun_buffer *out, const struct cli_command *command)
{
	char page[64], name[64];

	snprintf(page, sizeof page, "LUNETTE\\-%s", command->name);
	for (char *p = page; *p != '\0'; p++)
		*p = (char)toupper((unsigned char)*p);
	snprintf(name, sizeof name, "lunette\\-%s", command->name);
	add_header(out, page, name, command->summary);
	add_synopsis(out, command);
	add_section(out, "DESCRIPTION");
	add_text(out, command->description);
	if (command->options != NULL)
		add_section(out, "OPTIONS");
	for (size_t i = 0;
	     command->options != NULL && command->options[i].name != NULL; i++)
		add_option(out, 0, command->options[i].name,
		    command->options[i].argument, command->options[i].help);
	add_common_options(out);
	if (command->examples != NULL) {
		add_section(out, "EXAMPLES");
		lun_buffer_printf(out, ".nf\n");
		for (const char *line = command->examples; *line != '\0';) {
			int length = (int)strcspn(line, "\n");
			char copy[256];

			snprintf(copy, sizeof copy, "%.*s", length, line);
			add_text(out, copy);
			line += length + (line[length] == '\n');
		}
		lun_buffer_printf(out, ".fi\n");
	}
	add_exit_status(out);
	lun_buffer_printf(
	    out, ".SH SEE ALSO\n\\fBlunette\\fR(1), which has the settings.\n");
}

static void
write_page(struct lun_buffer *out, const struct cli_command *command)
{
	if (command == NULL)
		write_program_page(out);
	else
		write_command_page(out, command);
}

/* ---- the command ------------------------------------------------------- */

static enum lun_code
write_file(
    const char *folder, const struct cli_command *command, struct lun_err *err)
{
	struct lun_buffer page = {0};
	char path[4096];
	FILE *file;
	bool written;

	snprintf(path, sizeof path, "%s/lunette%s%s.1", folder,
	    command != NULL ? "-" : "", command != NULL ? command->name : "");
	write_page(&page, command);
	file = fopen(path, "w");
	written = file != NULL && !page.failed &&
		  fwrite(page.bytes, 1, page.length, file) == page.length;
	if (file != NULL && fclose(file) != 0)
		written = false;
	lun_buffer_free(&page);
	if (!written)
		return lun_fail(
		    err, LUN_IO, "writing %s: %s", path, strerror(errno));
	return LUN_OK;
}

static enum lun_code
write_folder(const char *folder, struct lun_err *err)
{
	enum lun_code code = write_file(folder, NULL, err);

	for (size_t i = 0; code == LUN_OK && cli_commands[i] != NULL; i++)
		code = write_file(folder, cli_commands[i], err);
	return code;
}

static enum lun_code
run_man(struct cli *cli, struct lun_err *err)
{
	const char *word = cli_argument(cli, 0);
	const struct cli_command *command =
	    word != NULL ? cli_command_find(word) : NULL;
	struct lun_buffer page = {0};

	if (word != NULL && command == NULL) {
		if (strchr(word, '/') == NULL)
			cli_misuse(cli,
			    "there is no command \"%s\"; a folder is written "
			    "with a slash",
			    word);
		return write_folder(word, err);
	}
	write_page(&page, command);
	fwrite(page.bytes, 1, page.length, stdout);
	lun_buffer_free(&page);
	return LUN_OK;
}

static const struct cli_argument arguments[] = {
    {.name = "COMMAND|DIR", .kind = CLI_COMMAND, .optional = true},
    {.name = NULL},
};

const struct cli_command cmd_man = {
    .name = "man",
    .summary = "print a manual page",
    .description =
	"Print the manual page of a command, or without COMMAND that of "
	"lunette, as man reads it. Given a folder (with a slash in it), write "
	"every page into it.",
    .examples = "lunette man import | man -l -\n",
    .arguments = arguments,
    .run = run_man,
};
