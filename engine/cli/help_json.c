/* help_json.c - the tables of commands, options and settings as JSON. */

#include <string.h>

#include "cli/help.h"
#include "cli/options.h"
#include "json/write.h"

static const char *const kinds[] = {
    [CLI_TEXT] = "text",
    [CLI_NUMBER] = "number",
    [CLI_CHOICE] = "choice",
    [CLI_COMMAND] = "command",
    [CLI_PROJECTION] = "projection",
    [CLI_FILE] = "file",
    [CLI_FOLDER] = "folder",
};

/* `"key":"text"` behind what stands there; a missing text is left out. */
static void
add_member(struct lun_buffer *out, const char *key, const char *text)
{
	char last = out->length > 0 ? out->bytes[out->length - 1] : '{';

	if (text == NULL)
		return;
	lun_buffer_printf(out, "%s\"%s\":", last == '{' ? "" : ",", key);
	lun_json_write_string(out, lun_text_of(text));
}

/* The parts of a text between separators, as a list. */
static void
add_parts(
    struct lun_buffer *out, const char *key, const char *text, char separator)
{
	char set[] = {separator, '\0'};

	lun_buffer_printf(out, ",\"%s\":[", key);
	for (const char *part = text; part != NULL && *part != '\0';) {
		size_t length = strcspn(part, set);

		if (part != text)
			lun_buffer_add_byte(out, ',');
		lun_json_write_string(out, (struct lun_text){part, length});
		part += length + (part[length] != '\0');
	}
	lun_buffer_add_byte(out, ']');
}

static void
add_kind(struct lun_buffer *out, enum cli_kind kind, const char *choices)
{
	add_member(out, "kind", kinds[kind]);
	if (kind == CLI_CHOICE)
		add_parts(out, "choices", choices, '|');
}

static void
add_common_option(
    struct lun_buffer *out, const struct cli_common_option *option)
{
	const char letter[] = {option->letter, '\0'};

	lun_buffer_add_byte(out, '{');
	add_member(out, "name", option->name);
	add_member(out, "letter", option->letter != 0 ? letter : NULL);
	if (option->argument != NULL) {
		add_member(out, "argument", option->argument);
		add_kind(out, option->kind, option->argument);
	}
	add_member(out, "help", option->help);
	lun_buffer_add_byte(out, '}');
}

static void
add_setting(struct lun_buffer *out, const struct lun_setting_entry *entry)
{
	static const enum cli_kind kind[] = {
	    [LUN_SETTING_URL] = CLI_TEXT,
	    [LUN_SETTING_NUMBER] = CLI_NUMBER,
	    [LUN_SETTING_CHOICE] = CLI_CHOICE,
	};
	char option[CLI_VARIABLE_NAME_MAX];

	cli_flag_name(entry->name, option);
	lun_buffer_add_byte(out, '{');
	add_member(out, "name", entry->name);
	add_member(out, "option", option);
	add_member(out, "argument", entry->argument);
	add_kind(out, kind[entry->type], entry->choices);
	add_member(out, "default", entry->initial);
	add_member(out, "help", entry->help);
	lun_buffer_add_byte(out, '}');
}

static void
add_option(struct lun_buffer *out, const struct cli_option *option)
{
	lun_buffer_add_byte(out, '{');
	add_member(out, "name", option->name);
	if (option->argument != NULL) {
		add_member(out, "argument", option->argument);
		add_kind(out, option->kind, option->argument);
	}
	lun_buffer_printf(
	    out, ",\"required\":%s", option->required ? "true" : "false");
	add_member(out, "help", option->help);
	lun_buffer_add_byte(out, '}');
}

static void
add_argument(struct lun_buffer *out, const struct cli_argument *argument)
{
	lun_buffer_add_byte(out, '{');
	add_member(out, "name", argument->name);
	add_kind(out, argument->kind, argument->name);
	lun_buffer_printf(out, ",\"optional\":%s,\"repeated\":%s}",
	    argument->optional ? "true" : "false",
	    argument->repeated ? "true" : "false");
}

void
cli_help_command_json(const struct cli_command *command, struct lun_buffer *out)
{
	const struct cli_argument *argument = command->arguments;
	const struct cli_option *option = command->options;

	lun_buffer_add_byte(out, '{');
	add_member(out, "name", command->name);
	add_member(out, "summary", command->summary);
	add_member(out, "description", command->description);
	add_parts(out, "examples", command->examples, '\n');
	lun_buffer_printf(out, ",\"arguments\":[");
	for (; argument != NULL && argument->name != NULL; argument++) {
		if (argument != command->arguments)
			lun_buffer_add_byte(out, ',');
		add_argument(out, argument);
	}
	lun_buffer_printf(out, "],\"options\":[");
	for (; option != NULL && option->name != NULL; option++) {
		if (option != command->options)
			lun_buffer_add_byte(out, ',');
		add_option(out, option);
	}
	lun_buffer_printf(out, "]}");
}

void
cli_help_json(struct lun_buffer *out)
{
	lun_buffer_add_byte(out, '{');
	add_member(out, "name", "lunette");
	add_member(out, "version", lun_version());
	add_member(out, "summary",
	    "turn event logs into read models with Lua scripts");
	lun_buffer_printf(out, ",\"options\":[");
	for (size_t i = 0; cli_common_options[i].name != NULL; i++) {
		lun_buffer_printf(out, i > 0 ? ",\n" : "\n");
		add_common_option(out, &cli_common_options[i]);
	}
	lun_buffer_printf(out, "\n],\"settings\":[");
	for (size_t i = 0; lun_setting_entries[i].name != NULL; i++) {
		lun_buffer_printf(out, i > 0 ? ",\n" : "\n");
		add_setting(out, &lun_setting_entries[i]);
	}
	lun_buffer_printf(out, "\n],\"commands\":[");
	for (size_t i = 0; cli_commands[i] != NULL; i++) {
		lun_buffer_printf(out, i > 0 ? ",\n" : "\n");
		cli_help_command_json(cli_commands[i], out);
	}
	lun_buffer_printf(out, "\n]}");
}
