/*
 * command.h - what a command is, and what it works with.
 *
 * Every cmd_<word>.c ends in one const table entry. Parsing, help and, when
 * Lunette is installed, shell completion and manual pages come from these.
 */

#ifndef LUN_CLI_COMMAND_H
#define LUN_CLI_COMMAND_H

#include "cli/layers.h"
#include "cli/screen.h"
#include "lunette.h"
#include "settings/settings.h"

#define CLI_OPTIONS_MAX 12

enum cli_exit {
	CLI_DONE = 0,
	CLI_FAILED = 1,
	CLI_MISUSE = 2,
	CLI_KILLED = 130
};

/* What a word on the command line stands for; completion offers those. */
enum cli_kind {
	CLI_TEXT,
	CLI_NUMBER, /* a whole number, not negative */
	CLI_CHOICE, /* its name lists the words: "list|retry|discard" */
	CLI_COMMAND,
	CLI_PROJECTION, /* checked to be a valid name */
	CLI_FILE,
	CLI_FOLDER,
};

/* Which stores a command makes where they are not there. */
enum cli_makes {
	CLI_MAKES_NOTHING,
	CLI_MAKES_EVENTS,
	CLI_MAKES_STORES,
};

struct cli_option {
	const char *name;
	const char *argument; /* what help calls the value; NULL: a flag */
	const char *help;
	enum cli_kind kind;
	bool required;
};

struct cli_argument {
	const char *name;
	enum cli_kind kind;
	bool optional;
	bool repeated; /* the last one only */
};

struct cli;

struct cli_command {
	const char *name;
	const char *summary;     /* a line in the overview */
	const char *description; /* paragraphs */
	const char *examples;    /* lines, each ending in a newline */
	const struct cli_argument *arguments; /* ends with a NULL name */
	const struct cli_option *options;     /* ends with a NULL name */

	enum cli_makes makes;

	/*
	 * On failure err says why; an empty message means that everything has
	 * been said already.
	 */
	enum lun_code (*run)(struct cli *cli, struct lun_err *err);
};

/* One call of the command. */
struct cli {
	const struct cli_command *command;
	const char *values[CLI_OPTIONS_MAX]; /* of its options; NULL: absent */
	char **arguments;                    /* ends with NULL */
	size_t argument_count;
	bool json;
	struct cli_layers layers;
	struct cli_screen screen;
	int signals; /* of commands that ask for it: see signals.h */
};

/* In the order of the overview; ends with NULL. */
extern const struct cli_command *const cli_commands[];

const struct cli_command *cli_command_find(const char *name);

/* The value of an option of the command, "" for a flag; NULL: absent. */
const char *cli_value(const struct cli *cli, const char *option);

/* A CLI_NUMBER option, checked when it was parsed. */
int64_t cli_number(const struct cli *cli, const char *option, int64_t initial);
/* The same as milliseconds, at most INT64_MAX. */
int64_t cli_seconds_as_ms(
    const struct cli *cli, const char *option, int64_t initial);

/* An argument by its index, or NULL. */
const char *cli_argument(const struct cli *cli, size_t index);

/* Say what is wrong with the command line and exit with CLI_MISUSE. */
_Noreturn void cli_misuse(const struct cli *cli, const char *fmt, ...)
    LUN_PRINTF(2, 3);

/* A failure about which everything has been said. */
enum lun_code cli_said(struct lun_err *err, enum lun_code code);

#endif
