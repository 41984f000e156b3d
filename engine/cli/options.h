/*
 * options.h - the command line, taken apart by argp from the tables.
 */

#ifndef LUN_CLI_OPTIONS_H
#define LUN_CLI_OPTIONS_H

#include "base/buffer.h"
#include "cli/command.h"

/* An option every command has. */
struct cli_common_option {
	const char *name;
	char letter; /* 0: none */
	const char *argument;
	const char *help;
	enum cli_kind kind;
};

/* Ends with a NULL name. Every setting is an option as well. */
extern const struct cli_common_option cli_common_options[];

/*
 * Take the command line apart. Exits for --help, --version and misuse.
 * cli->command stays NULL if there is none.
 */
void cli_options_parse(struct cli *cli, int argc, char **argv);

/* Print what --help prints, and exit; NULL: of the program. */
_Noreturn void cli_options_help(
    struct cli *cli, const struct cli_command *command);

#endif
