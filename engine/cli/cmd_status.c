/* cmd_status.c - how every projection is doing. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "cli/command.h"
#include "cli/engine_call.h"
#include "cli/format.h"
#include "cli/scripts.h"
#include "cli/view.h"

static const char *const titles[] = {"NAME", "STATE", "VERSION", "POSITION",
    "LAG", "RATE", "PARKED", "SKIPPED", "OWNER"};

#define TITLES (sizeof titles / sizeof titles[0])

static void
add_text_cell(struct cli_table *table, const struct cli_object *object,
    const char *key, enum cli_cell kind)
{
	char *text = cli_view_text(object, key);

	if (text == NULL || text[0] == '\0')
		cli_table_cell(table, CLI_CELL_NONE, LUN_TEXT_NONE);
	else
		cli_table_cell(table, kind, lun_text_of(text));
	free(text);
}

/* "1,204 (12 s)"; "at least" many are "1,000,000+". */
static void
add_lag(struct cli_table *table, const struct cli_object *object)
{
	double events = cli_view_number(object, "lag_events", -1);
	double seconds = cli_view_number(object, "lag_seconds", -1);
	char count[CLI_FORMAT_MAX], span[CLI_FORMAT_MAX];
	char text[3 * CLI_FORMAT_MAX];

	if (events < 0) {
		cli_table_cell(table, CLI_CELL_NONE, LUN_TEXT_NONE);
		return;
	}
	snprintf(text, sizeof text, "%s%s",
	    cli_format_count((uint64_t)events, count),
	    cli_view_false(object, "lag_exact") ? "+" : "");
	if (events > 0 && seconds >= 0) {
		size_t used = strlen(text);

		snprintf(text + used, sizeof text - used, " (%s)",
		    cli_format_span(seconds, span));
	}
	cli_table_cell(table, CLI_CELL_NUMBER, lun_text_of(text));
}

static void
add_rate(struct cli_table *table, const struct cli_object *object)
{
	double rate = cli_view_number(object, "events_per_second", -1);
	bool running = cli_view_there(object, "owner");
	char count[CLI_FORMAT_MAX];
	char text[CLI_FORMAT_MAX + 4];

	if (rate < 0 || !running) {
		cli_table_cell(table, CLI_CELL_NONE, LUN_TEXT_NONE);
		return;
	}
	snprintf(text, sizeof text, "%s/s",
	    cli_format_count((uint64_t)(rate + 0.5), count));
	cli_table_cell(table, CLI_CELL_NUMBER, lun_text_of(text));
}

static void
add_projection(struct cli_table *table, const struct cli_object *object)
{
	add_text_cell(table, object, "name", CLI_CELL_TEXT);
	add_text_cell(table, object, "state", CLI_CELL_TEXT);
	add_text_cell(table, object, "version", CLI_CELL_NUMBER);
	add_text_cell(table, object, "position", CLI_CELL_NUMBER);
	add_lag(table, object);
	add_rate(table, object);
	add_text_cell(table, object, "parked", CLI_CELL_NUMBER);
	add_text_cell(table, object, "skipped", CLI_CELL_NUMBER);
	add_text_cell(table, object, "owner", CLI_CELL_TEXT);
}

/* Whether a message begins with the name of the projection as it is. */
static bool
is_named(const char *text, const char *name)
{
	size_t length = strlen(name);

	return strncmp(text, name, length) == 0 && text[length] == ':';
}

static void
print_remark(
    const struct cli_object *object, const char *key, const char *words)
{
	char *name = cli_view_text(object, "name");
	char *text = cli_view_text(object, key);
	struct lun_buffer shown = {0};

	if (name != NULL && text != NULL && text[0] != '\0') {
		cli_printable(&shown, lun_text_of(text), 0);
		if (!is_named(text, name))
			printf("%s: ", name);
		printf(
		    "%s%.*s\n", words, LUN_TEXT_ARG(lun_buffer_text(&shown)));
	}
	lun_buffer_free(&shown);
	free(name);
	free(text);
}

/* What is too long for a column, below the table. */
static enum lun_code
print_remarks(struct lun_text json, struct lun_err *err)
{
	struct cli_object object = {0};
	enum lun_code code = LUN_OK;
	enum lun_json_kind kind;
	struct lun_text element;

	while (
	    code == LUN_OK && lun_json_next_element(&json, &element, &kind)) {
		code = cli_view_object(element, &object, err);
		if (code != LUN_OK)
			break;
		print_remark(&object, "waiting_for", "waiting for ");
		print_remark(&object, "last_error", "");
	}
	cli_view_object_free(&object);
	return code;
}

static enum lun_code
fill_table(struct cli_table *table, struct lun_text json, struct lun_err *err)
{
	struct cli_object object = {0};
	enum lun_code code = LUN_OK;
	enum lun_json_kind kind;
	struct lun_text element;

	for (size_t i = 0; i < TITLES; i++)
		cli_table_column(table, lun_text_of(titles[i]));
	while (
	    code == LUN_OK && lun_json_next_element(&json, &element, &kind)) {
		code = cli_view_object(element, &object, err);
		if (code == LUN_OK)
			add_projection(table, &object);
	}
	cli_view_object_free(&object);
	return code;
}

static enum lun_code
print_status(struct lun_text json, struct lun_err *err)
{
	struct cli_table *table = cli_table_new();
	enum lun_code code;

	if (table == NULL)
		return lun_fail(err, LUN_NOMEM, "out of memory");
	code = fill_table(table, json, err);
	if (code == LUN_OK)
		code = cli_table_print(table, stdout,
		    cli_screen_columns(STDOUT_FILENO, 0), true, err);
	if (code == LUN_OK)
		code = print_remarks(json, err);
	cli_table_free(table);
	return code;
}

/*
 * The scripts say which events a projection wants, and so how far it is
 * behind. Whatever is wrong with one is for check and run to say.
 */
static enum lun_code
register_script(void *arg, const char *path, struct lun_err *err)
{
	(void)err;
	(void)!lun_engine_register(arg, path, NULL, NULL);
	return LUN_OK;
}

static void
register_scripts(struct cli *cli, struct lun_engine *engine)
{
	const struct cli_layer *chosen = &cli->layers.chosen;

	for (size_t i = 0; i < chosen->projection_count; i++)
		(void)!cli_scripts_each(
		    chosen->projections[i], register_script, engine, NULL);
}

static enum lun_code
show_status(struct cli *cli, struct lun_engine *engine, struct lun_err *err)
{
	enum lun_code code;
	char *json;

	register_scripts(cli, engine);
	code = lun_engine_status(engine, &json, err);
	if (code != LUN_OK)
		return code;
	if (cli->json)
		cli_view_json_lines(lun_text_of(json), stdout);
	else
		code = print_status(lun_text_of(json), err);
	lun_free(json);
	return code;
}

static enum lun_code
run_status(struct cli *cli, struct lun_err *err)
{
	return cli_with_engine(cli, CLI_NEED_BOTH, show_status, err);
}

const struct cli_command cmd_status = {
    .name = "status",
    .summary = "how every projection is doing",
    .description =
	"For every projection that the model store knows: its state, version "
	"and position; how many events it is behind and since when; events a "
	"second; parked and skipped events; and what went wrong last. It can "
	"be asked from "
	"any process.",
    .run = run_status,
};
