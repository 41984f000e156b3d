/* cmd_check.c - load and validate scripts, touch nothing. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/error.h"
#include "cli/command.h"
#include "cli/scripts.h"
#include "cli/view.h"

struct checking {
	struct cli *cli;
	struct lun_buffer json; /* of the scripts that are right */
	size_t good, bad;
	struct lun_buffer taken; /* "NAME\0PATH\0" of each that is right */
};

/* "balance integer, owner text", before them the id unless that is text */
static void
add_fields(struct lun_buffer *out, const char *id, const char *json)
{
	struct cli_object fields = {0};
	const char *comma = "";

	if (cli_view_object(lun_text_of(json), &fields, NULL) != LUN_OK) {
		lun_buffer_printf(out, "one JSON value");
		return;
	}
	if (strcmp(id, "text") != 0 || fields.count == 0) {
		lun_buffer_printf(out, "id %s", id);
		comma = ", ";
	}
	for (size_t i = 0; i < fields.count; i++) {
		const struct lun_json_member *field = &fields.members[i];

		lun_buffer_printf(out, "%s%.*s %.*s", comma,
		    LUN_TEXT_ARG(field->key), (int)field->value.length - 2,
		    field->value.bytes + 1);
		comma = ", ";
	}
	cli_view_object_free(&fields);
}

/* "projections/a.lua: a version 1: balance integer, owner text" */
static void
print_script(const char *path, struct lun_text json)
{
	struct cli_object object = {0};
	struct lun_buffer line = {0};
	char *name, *version, *fields, *id;

	if (cli_view_object(json, &object, NULL) != LUN_OK)
		return;
	name = cli_view_text(&object, "name");
	version = cli_view_text(&object, "version");
	fields = cli_view_text(&object, "fields");
	id = cli_view_text(&object, "id");
	if (name != NULL && version != NULL && fields != NULL && id != NULL) {
		lun_buffer_printf(
		    &line, "%s: %s version %s: ", path, name, version);
		add_fields(&line, id, fields);
		printf("%.*s\n", LUN_TEXT_ARG(lun_buffer_text(&line)));
	}
	free(name);
	free(version);
	free(fields);
	free(id);
	lun_buffer_free(&line);
	cli_view_object_free(&object);
}

/* The message in one line, below it whatever else is known. */
static void
report_script(struct cli *cli, const char *path, const struct lun_err *failure)
{
	const char *line = failure->detail;

	if (strstr(failure->message, path) == failure->message)
		cli_screen_say(&cli->screen, "%s", failure->message);
	else
		cli_screen_say(&cli->screen, "%s: %s", path, failure->message);
	while (*line != '\0') {
		int length = (int)strcspn(line, "\n");

		cli_screen_say(&cli->screen, "    %.*s", length, line);
		line += length + (line[length] == '\n');
	}
}

/* Whose name it is already; NULL: this script's. */
static const char *
take_name(struct checking *checking, const char *path, const char *json)
{
	struct cli_object object = {0};
	const char *holder = NULL, *at = checking->taken.bytes;
	const char *end = at + checking->taken.length;
	char *name = NULL;

	if (cli_view_object(lun_text_of(json), &object, NULL) == LUN_OK)
		name = cli_view_text(&object, "name");
	while (name != NULL && holder == NULL && at < end) {
		const char *owner = at + strlen(at) + 1;

		if (strcmp(at, name) == 0)
			holder = owner;
		at = owner + strlen(owner) + 1;
	}
	if (name != NULL && holder == NULL)
		lun_buffer_printf(
		    &checking->taken, "%s%c%s%c", name, '\0', path, '\0');
	free(name);
	cli_view_object_free(&object);
	/* Found in its folder, and named itself. */
	if (holder != NULL && strcmp(holder, path) == 0)
		return NULL;
	return holder;
}

static enum lun_code
check_script(void *arg, const char *path, struct lun_err *err)
{
	struct checking *checking = arg;
	struct lun_err failure = {0};
	const char *holder = NULL;
	char *json = NULL;
	enum lun_code code = lun_script_check(path, &json, &failure);

	(void)err;
	/* Files that are named need not be meant to run together. */
	if (code == LUN_OK && checking->cli->argument_count == 0)
		holder = take_name(checking, path, json);
	if (holder != NULL)
		code = lun_fail(&failure, LUN_SCRIPT,
		    "its name is taken by %s: give one of them another name",
		    holder);
	if (code != LUN_OK) {
		report_script(checking->cli, path, &failure);
		checking->bad++;
		lun_free(json);
		return LUN_OK;
	}
	if (checking->cli->json)
		lun_buffer_printf(&checking->json, "%s%s",
		    checking->good > 0 ? "," : "", json);
	else
		print_script(path, lun_text_of(json));
	checking->good++;
	lun_free(json);
	return LUN_OK;
}

static void
check_path(struct checking *checking, const char *path)
{
	struct lun_err failure = {0};

	if (cli_scripts_each(path, check_script, checking, &failure) !=
	    LUN_OK) {
		cli_screen_say(&checking->cli->screen, "%s", failure.message);
		checking->bad++;
	}
}

static enum lun_code
run_check(struct cli *cli, struct lun_err *err)
{
	const struct cli_layer *chosen = &cli->layers.chosen;
	struct checking checking = {.cli = cli};
	size_t found, bad;

	lun_buffer_add_byte(&checking.json, '[');
	for (size_t i = 0; i < cli->argument_count; i++)
		check_path(&checking, cli->arguments[i]);
	if (cli->argument_count == 0)
		for (size_t i = 0; i < chosen->projection_count; i++)
			check_path(&checking, chosen->projections[i]);
	lun_buffer_add_byte(&checking.json, ']');
	if (cli->json)
		cli_view_json_lines(lun_buffer_text(&checking.json), stdout);
	lun_buffer_free(&checking.json);
	lun_buffer_free(&checking.taken);
	bad = checking.bad;
	found = checking.good + bad;
	if (found == 0 && cli->argument_count > 0)
		return cli_scripts_none((const char *const *)cli->arguments,
		    cli->argument_count, err);
	if (found == 0)
		return cli_scripts_none(
		    chosen->projections, chosen->projection_count, err);
	return bad == 0 ? LUN_OK : cli_said(err, LUN_SCRIPT);
}

static const struct cli_argument arguments[] = {
    {.name = "FILE", .kind = CLI_FILE, .optional = true, .repeated = true},
    {.name = NULL},
};

const struct cli_command cmd_check = {
    .name = "check",
    .summary = "load and validate scripts, touch nothing",
    .description =
	"Load each script and check everything that can be known without "
	"events. For a folder every script in it is checked; without FILE, the "
	"scripts that `lunette run' would register. Neither store is opened.",
    .examples = "lunette check projections/account_summary.lua\n",
    .arguments = arguments,
    .run = run_check,
};
