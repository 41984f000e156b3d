/* options.c - the command line, taken apart by argp from the tables. */

#include "cli/options.h"

#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/printable.h"
#include "base/suggest.h"
#include "cli/help.h"
#include "data/schema.h"

/*
 * Keys: letters are themselves; then settings that are gone, settings and
 * options by index.
 */
#define KEY_JSON    0x100
#define KEY_GONE    0x180
#define KEY_SETTING 0x200
#define KEY_OPTION  0x300

#define GONE_MAX     4
#define COMMON_MAX   (CLI_SETTINGS_MAX + GONE_MAX + 8)
#define MISUSE_BYTES 2048

const char *argp_program_version;

const struct cli_common_option cli_common_options[] = {
    {"config", 'c', "FILE",
	"Read settings from this file (default ./lunette.lua, if it is there)",
	CLI_FILE},
    {"events", 'e', "URL",
	"The event store: sqlite:PATH, postgres://... or memory:", CLI_TEXT},
    {"models", 'm', "URL",
	"The model store: sqlite:PATH, postgres://... or memory:", CLI_TEXT},
    {"projections", 'p', "DIR|FILE",
	"Folder of scripts, or one script; may be given several times "
	"(default ./projections)",
	CLI_FILE},
    {"json", 0, NULL, "Print results as JSON", CLI_TEXT},
    {NULL, 0, NULL, NULL, CLI_TEXT},
};

/* What one run of argp works with. */
struct parse {
	struct cli *cli;
	const struct cli_command *command; /* NULL: the program itself */
	char names[CLI_SETTINGS_MAX][CLI_VARIABLE_NAME_MAX];
	char gone[GONE_MAX][CLI_VARIABLE_NAME_MAX];
	struct argp_option common[COMMON_MAX];
	struct argp_option own[CLI_OPTIONS_MAX + 2];
	struct argp_child children[2];
	struct argp common_argp;
	struct argp argp;
	struct lun_buffer doc;
	struct lun_buffer arguments;
	int rest; /* index of the command's name in argv; 0: none */
};

/* ---- misuse ------------------------------------------------------------ */

/* What is repeated of the command line may hold passwords, and hide. */
LUN_PRINTF(2, 0)
static void
word_misuse(char words[MISUSE_BYTES], const char *fmt, va_list args)
{
	vsnprintf(words, MISUSE_BYTES, fmt, args);
	lun_printable_message(words, MISUSE_BYTES);
}

LUN_PRINTF(2, 3)
static void
refuse_use(const struct argp_state *state, const char *fmt, ...)
{
	char words[MISUSE_BYTES];
	va_list args;

	va_start(args, fmt);
	word_misuse(words, fmt, args);
	va_end(args);
	argp_error(state, "%s", words);
}

/* A line on its way to `to`, where it is shown as every other is. */
struct shown {
	FILE *to;
	size_t length;
	char line[MISUSE_BYTES];
};

static ssize_t
show_lines(void *cookie, const char *bytes, size_t size)
{
	struct shown *shown = cookie;

	for (size_t i = 0; i < size; i++) {
		if (bytes[i] != '\n') {
			if (shown->length + 1 < sizeof shown->line)
				shown->line[shown->length++] = bytes[i];
			continue;
		}
		shown->line[shown->length] = '\0';
		shown->length = 0;
		lun_printable_message(shown->line, sizeof shown->line);
		fprintf(shown->to, "%s\n", shown->line);
	}
	return (ssize_t)size;
}

/* getopt names an option that there is not by itself, on stderr. */
static void
run_argp(struct parse *parse, int argc, char **argv, unsigned flags)
{
	struct shown shown = {.to = stderr};
	FILE *words = fopencookie(
	    &shown, "w", (cookie_io_functions_t){.write = show_lines});

	if (words != NULL) {
		setvbuf(words, NULL, _IONBF, 0);
		stderr = words;
	}
	argp_parse(&parse->argp, argc, argv, flags, NULL, parse);
	stderr = shown.to;
	if (words != NULL)
		fclose(words);
}

/* ---- common options ---------------------------------------------------- */

static void
set_flag(struct cli *cli, int index, const char *value,
    const struct argp_state *state)
{
	const struct lun_setting_entry *entry = &lun_setting_entries[index];
	struct lun_err err;

	if (lun_setting_check(entry, value, &err) != LUN_OK)
		refuse_use(state, "%s", err.message);
	cli->layers.flags.values[index] = value;
}

static void
refuse_gone(int index, const struct argp_state *state)
{
	struct lun_err err;

	if (lun_setting_check_gone(lun_settings_gone[index].name, &err) !=
	    LUN_OK)
		refuse_use(state, "%s", err.message);
}

static error_t
parse_common(int key, char *arg, struct argp_state *state)
{
	struct cli *cli = ((struct parse *)state->input)->cli;

	switch (key) {
	case 'c':
		cli->layers.config = arg;
		return 0;
	case 'e':
		set_flag(cli, cli_setting_index("events"), arg, state);
		return 0;
	case 'm':
		set_flag(cli, cli_setting_index("models"), arg, state);
		return 0;
	case 'p':
		if (cli_layer_add_projection(&cli->layers.flags, arg, NULL) !=
		    LUN_OK)
			return ENOMEM;
		return 0;
	case KEY_JSON:
		cli->json = true;
		return 0;
	default:
		if (key >= KEY_GONE && key < KEY_SETTING)
			refuse_gone(key - KEY_GONE, state);
		if (key < KEY_SETTING || key >= KEY_OPTION)
			return ARGP_ERR_UNKNOWN;
		set_flag(cli, key - KEY_SETTING, arg, state);
		return 0;
	}
}

static void
fill_gone(struct parse *parse, struct argp_option *out)
{
	for (size_t i = 0; lun_settings_gone[i].name != NULL; i++) {
		cli_flag_name(lun_settings_gone[i].name, parse->gone[i]);
		*out++ = (struct argp_option){
		    .name = parse->gone[i],
		    .key = KEY_GONE + (int)i,
		    .arg = "VALUE",
		    .flags = OPTION_HIDDEN,
		};
	}
}

static struct argp_option *
fill_settings(struct parse *parse, struct argp_option *out)
{
	for (size_t i = 0; lun_setting_entries[i].name != NULL; i++) {
		const struct lun_setting_entry *entry = &lun_setting_entries[i];

		if (strcmp(entry->name, "events") == 0 ||
		    strcmp(entry->name, "models") == 0)
			continue;
		cli_flag_name(entry->name, parse->names[i]);
		*out++ = (struct argp_option){
		    .name = parse->names[i],
		    .key = KEY_SETTING + (int)i,
		    .arg = entry->argument,
		    .flags = parse->command != NULL ? OPTION_HIDDEN : 0,
		    .doc = entry->help,
		    .group = 4,
		};
	}
	return out;
}

static void
fill_common(struct parse *parse)
{
	struct argp_option *out = parse->common;

	*out++ = (struct argp_option){.doc = "Common options:", .group = 3};
	for (size_t i = 0; cli_common_options[i].name != NULL; i++) {
		const struct cli_common_option *option = &cli_common_options[i];

		*out++ = (struct argp_option){
		    .name = option->name,
		    .key = option->letter != 0 ? option->letter : KEY_JSON,
		    .arg = option->argument,
		    .doc = option->help,
		    .group = 3,
		};
	}
	if (parse->command == NULL)
		*out++ = (struct argp_option){
		    .doc = "Settings (also as LUNETTE_... in the environment "
			   "and in the settings file):",
		    .group = 4};
	fill_gone(parse, fill_settings(parse, out));
	parse->common_argp =
	    (struct argp){.options = parse->common, .parser = parse_common};
}

/* ---- options and arguments of a command -------------------------------- */

static bool
is_decimal_number(const char *text)
{
	char *end;

	errno = 0;
	return strspn(text, "0123456789") == strlen(text) && text[0] != '\0' &&
	       strtoll(text, &end, 10) >= 0 && errno == 0;
}

static bool
is_choice(const char *choices, const char *word)
{
	size_t length = strlen(word);

	for (const char *at = choices; length > 0 && at != NULL;) {
		if (strncmp(at, word, length) == 0 &&
		    (at[length] == '|' || at[length] == '\0'))
			return true;
		at = strchr(at, '|');
		if (at != NULL)
			at++;
	}
	return false;
}

static void
refuse_command(const char *word, const struct argp_state *state)
{
	struct lun_suggestion suggestion = {0};

	for (size_t i = 0; cli_commands[i] != NULL; i++)
		lun_suggestion_consider(&suggestion, lun_text_of(word),
		    lun_text_of(cli_commands[i]->name));
	if (suggestion.word.bytes != NULL)
		refuse_use(state,
		    "there is no command \"%s\"; did you mean \"%.*s\"?", word,
		    LUN_TEXT_ARG(suggestion.word));
	refuse_use(state, "there is no command \"%s\"", word);
}

static void
check_value(enum cli_kind kind, const char *choices, const char *what,
    const char *value, const struct argp_state *state)
{
	struct lun_err err;

	if (kind == CLI_NUMBER && !is_decimal_number(value))
		refuse_use(state,
		    "%s: \"%s\" is not a whole number from 0 to %lld", what,
		    value, LLONG_MAX);
	if (kind == CLI_CHOICE && !is_choice(choices, value))
		refuse_use(state, "\"%s\" is not one of %s", value, choices);
	if (kind == CLI_COMMAND && cli_command_find(value) == NULL)
		refuse_command(value, state);
	if (kind == CLI_PROJECTION && lun_schema_check_projection_name(
					  lun_text_of(value), &err) != LUN_OK)
		refuse_use(state, "%s", err.message);
}

/* What the argument at an index stands for, or NULL if there is none. */
static const struct cli_argument *
argument_at(const struct cli_command *command, size_t index)
{
	const struct cli_argument *argument = command->arguments;

	if (argument == NULL)
		return NULL;
	for (; argument->name != NULL; argument++, index--)
		if (index == 0 || argument->repeated)
			return argument;
	return NULL;
}

static error_t
take_argument(struct cli *cli, char *arg, const struct argp_state *state)
{
	const struct cli_argument *argument =
	    argument_at(cli->command, cli->argument_count);

	if (argument == NULL)
		refuse_use(state, "\"%s\" is one argument too many", arg);
	check_value(argument->kind, argument->name, argument->name, arg, state);
	cli->arguments[cli->argument_count++] = arg;
	cli->arguments[cli->argument_count] = NULL;
	return 0;
}

static void
check_complete(const struct cli *cli, const struct argp_state *state)
{
	const struct cli_command *command = cli->command;
	const struct cli_argument *argument =
	    argument_at(command, cli->argument_count);

	if (argument != NULL && argument->name != NULL && !argument->optional &&
	    !(argument->repeated && cli->argument_count > 0 &&
		argument_at(command, cli->argument_count - 1) == argument))
		refuse_use(state, "%s is missing", argument->name);
	for (size_t i = 0;
	     command->options != NULL && command->options[i].name != NULL; i++)
		if (command->options[i].required && cli->values[i] == NULL)
			refuse_use(
			    state, "--%s is missing", command->options[i].name);
}

static error_t
parse_own(int key, char *arg, struct argp_state *state)
{
	struct parse *parse = state->input;
	struct cli *cli = parse->cli;
	const struct cli_option *option;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = parse;
		return 0;
	case ARGP_KEY_ARG:
		return take_argument(cli, arg, state);
	case ARGP_KEY_END:
		check_complete(cli, state);
		return 0;
	default:
		if (key < KEY_OPTION || key >= KEY_OPTION + CLI_OPTIONS_MAX)
			return ARGP_ERR_UNKNOWN;
		option = &cli->command->options[key - KEY_OPTION];
		if (arg != NULL)
			check_value(option->kind, option->argument,
			    option->name, arg, state);
		cli->values[key - KEY_OPTION] = arg != NULL ? arg : "";
		return 0;
	}
}

static void
fill_own(struct parse *parse)
{
	const struct cli_option *options = parse->command->options;
	struct argp_option *out = parse->own;

	for (int i = 0; options != NULL && options[i].name != NULL; i++)
		*out++ = (struct argp_option){
		    .name = options[i].name,
		    .key = KEY_OPTION + i,
		    .arg = options[i].argument,
		    .doc = options[i].help,
		    .group = options[i].required ? 1 : 2,
		};
}

/* "NAME [FILTER...]" */
static void
add_arguments(struct lun_buffer *out, const struct cli_command *command)
{
	const struct cli_argument *argument = command->arguments;

	for (; argument != NULL && argument->name != NULL; argument++)
		lun_buffer_printf(out, "%s%s%s%s%s",
		    argument == command->arguments ? "" : " ",
		    argument->optional ? "[" : "", argument->name,
		    argument->repeated ? "..." : "",
		    argument->optional ? "]" : "");
}

/* ---- the program itself ------------------------------------------------ */

static error_t
parse_program(int key, char *arg, struct argp_state *state)
{
	struct parse *parse = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = parse;
		return 0;
	case ARGP_KEY_ARG:
		parse->cli->command = cli_command_find(arg);
		if (parse->cli->command == NULL)
			refuse_command(arg, state);
		/* What follows is the command's. */
		parse->rest = state->next - 1;
		state->next = state->argc;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* ---- both -------------------------------------------------------------- */

static void
prepare_parse(
    struct parse *parse, struct cli *cli, const struct cli_command *command)
{
	*parse = (struct parse){.cli = cli, .command = command};
	fill_common(parse);
	parse->children[0] = (struct argp_child){.argp = &parse->common_argp};
	if (command != NULL) {
		fill_own(parse);
		add_arguments(&parse->arguments, command);
	} else {
		lun_buffer_printf(&parse->arguments, "COMMAND ...");
	}
	if (parse->arguments.length > 0)
		lun_buffer_add_byte(&parse->arguments, '\0');
	cli_help_text(command, &parse->doc);
	lun_buffer_add_byte(&parse->doc, '\0');
	parse->argp = (struct argp){
	    /* Of an empty list argp would lose track, and memory. */
	    .options = parse->own[0].name != NULL ? parse->own : NULL,
	    .parser = command != NULL ? parse_own : parse_program,
	    .args_doc = parse->arguments.bytes,
	    .doc = parse->doc.bytes,
	    .children = parse->children,
	};
}

static void
free_parse(struct parse *parse)
{
	lun_buffer_free(&parse->doc);
	lun_buffer_free(&parse->arguments);
}

static const char *
command_line_name(const struct cli_command *command, struct lun_buffer *name)
{
	lun_buffer_printf(name, "lunette%s%s", command != NULL ? " " : "",
	    command != NULL ? command->name : "");
	lun_buffer_add_byte(name, '\0');
	return name->bytes;
}

static void
parse_command(struct cli *cli, int argc, char **argv)
{
	struct lun_buffer name = {0};
	struct parse parse;

	prepare_parse(&parse, cli, cli->command);
	argv[0] = (char *)(uintptr_t)command_line_name(cli->command, &name);
	run_argp(&parse, argc, argv, 0);
	argv[0] = NULL;
	lun_buffer_free(&name);
	free_parse(&parse);
}

void
cli_options_parse(struct cli *cli, int argc, char **argv)
{
	struct lun_buffer name = {0};
	struct parse parse;

	prepare_parse(&parse, cli, NULL);
	argv[0] = (char *)(uintptr_t)command_line_name(NULL, &name);
	run_argp(&parse, argc, argv, ARGP_IN_ORDER);
	free_parse(&parse);
	lun_buffer_free(&name);
	if (parse.rest > 0)
		parse_command(cli, argc - parse.rest, argv + parse.rest);
}

void
cli_options_help(struct cli *cli, const struct cli_command *command)
{
	struct lun_buffer name = {0};
	char help[] = "--help";
	char *argv[] = {NULL, help, NULL};
	struct parse parse;

	prepare_parse(&parse, cli, command);
	argv[0] = (char *)(uintptr_t)command_line_name(command, &name);
	run_argp(&parse, 2, argv, 0);
	exit(CLI_DONE);
}

void
cli_misuse(const struct cli *cli, const char *fmt, ...)
{
	char words[MISUSE_BYTES];
	va_list args;

	va_start(args, fmt);
	word_misuse(words, fmt, args);
	va_end(args);
	fprintf(stderr, "lunette %s: %s\n", cli->command->name, words);
	fprintf(stderr, "Try `lunette %s --help' for more information.\n",
	    cli->command->name);
	exit(CLI_MISUSE);
}
