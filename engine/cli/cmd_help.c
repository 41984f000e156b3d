/* cmd_help.c - help as a command. */

#include "cli/command.h"
#include "cli/options.h"

static enum lun_code
run_help(struct cli *cli, struct lun_err *err)
{
	const char *name = cli_argument(cli, 0);
	const struct cli_command *command =
	    name != NULL ? cli_command_find(name) : NULL;

	(void)err;
	if (name != NULL && command == NULL)
		cli_misuse(cli, "there is no command \"%s\"", name);
	cli_options_help(cli, command);
}

static const struct cli_argument arguments[] = {
    {.name = "COMMAND", .kind = CLI_COMMAND, .optional = true},
    {.name = NULL},
};

const struct cli_command cmd_help = {
    .name = "help",
    .summary = "describe a command",
    .description = "Print what `lunette COMMAND --help' prints; without "
		   "COMMAND, the common options and every setting.",
    .arguments = arguments,
    .run = run_help,
};
