/* help.c - the words around the options. */

#include "cli/help.h"

#include <string.h>

#include "cli/options.h"

#define WHAT_IT_IS "Lunette turns event logs into read models with Lua scripts."

static void
add_commands(struct lun_buffer *out)
{
	for (size_t i = 0; cli_commands[i] != NULL; i++)
		lun_buffer_printf(out, "  %-11s %s\n", cli_commands[i]->name,
		    cli_commands[i]->summary);
}

void
cli_help_overview(struct lun_buffer *out)
{
	lun_buffer_printf(out,
	    WHAT_IT_IS "\n\n"
		       "Usage: lunette [OPTION...] COMMAND ...\n\n");
	add_commands(out);
	lun_buffer_printf(out,
	    "\n`lunette COMMAND --help' describes a command, "
	    "`lunette --help' the common\noptions and every setting.\n");
}

static void
describe_program(struct lun_buffer *out)
{
	lun_buffer_printf(out, WHAT_IT_IS "\n\nCommands:\n");
	add_commands(out);
	lun_buffer_printf(out,
	    "\vSettings come from the settings file, over it the environment, "
	    "over it the\nflags. Exit status: 0 done, 1 failed, 2 misuse.");
}

static void
describe_command(const struct cli_command *command, struct lun_buffer *out)
{
	lun_buffer_printf(out, "%s\v", command->description);
	if (command->examples != NULL) {
		const char *line = command->examples;

		lun_buffer_printf(out, "Examples:\n");
		while (*line != '\0') {
			size_t length = strcspn(line, "\n");

			lun_buffer_printf(out, "  %.*s\n", (int)length, line);
			line += length + (line[length] == '\n');
		}
		lun_buffer_add_byte(out, '\n');
	}
	lun_buffer_printf(
	    out, "Every setting is an option too: see `lunette --help'.");
}

void
cli_help_text(const struct cli_command *command, struct lun_buffer *out)
{
	if (command == NULL)
		describe_program(out);
	else
		describe_command(command, out);
}
