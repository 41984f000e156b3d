/* cmd_events.c - look into the event store. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "cli/command.h"
#include "cli/engine_call.h"
#include "cli/screen.h"
#include "cli/view.h"

#define LIMIT 100
#define PAGE  500 /* rows whose columns are aligned with each other */

/* Tenants where there are some, tokens where they are asked for. */
static const char *const columns[] = {"position", "recorded_at", "tenant",
    "stream", "version", "type", "data", "metadata", "token"};

#define COLUMNS (sizeof columns / sizeof columns[0])

struct event_table {
	struct cli *cli;
	struct cli_table *table;
	struct cli_object object;
	bool tokens;
	const char *columns[COLUMNS];
	size_t column_count; /* 0: the first event decides */
	size_t printed;
	uint64_t seen;
	bool is_cut; /* by a limit that nobody gave */
	enum lun_code code;
	struct lun_err *err;
};

static void
print_page(struct event_table *event_table)
{
	if (event_table->code == LUN_OK)
		event_table->code = cli_table_print(event_table->table, stdout,
		    cli_screen_columns(STDOUT_FILENO, 0),
		    event_table->printed == 0, event_table->err);
	event_table->printed += cli_table_rows(event_table->table);
	cli_table_clear(event_table->table);
}

static void
choose_columns(struct event_table *event_table)
{
	for (size_t i = 0; i < COLUMNS; i++) {
		const char *column = columns[i];

		if ((strcmp(column, "token") == 0 && !event_table->tokens) ||
		    (strcmp(column, "tenant") == 0 &&
			!cli_view_there(&event_table->object, column)))
			continue;
		event_table->columns[event_table->column_count++] = column;
		cli_table_column(event_table->table, lun_text_of(column));
	}
}

static bool
list_event(void *arg, const char *json, size_t length)
{
	struct event_table *event_table = arg;
	struct lun_text text = {json, length};

	if (event_table->seen++ == LIMIT &&
	    cli_value(event_table->cli, "limit") == NULL) {
		event_table->is_cut = true;
		return false;
	}
	if (event_table->cli->json) {
		fwrite(json, 1, length, stdout);
		putchar('\n');
		return !ferror(stdout);
	}
	event_table->code =
	    cli_view_object(text, &event_table->object, event_table->err);
	if (event_table->code != LUN_OK)
		return false;
	if (event_table->column_count == 0)
		choose_columns(event_table);
	for (size_t i = 0; i < event_table->column_count; i++)
		cli_view_cell(event_table->table,
		    lun_json_find(event_table->object.members,
			event_table->object.count, event_table->columns[i]));
	if (cli_table_rows(event_table->table) == PAGE)
		print_page(event_table);
	return event_table->code == LUN_OK && !ferror(stdout);
}

static enum lun_code
list_events(struct cli *cli, struct lun_engine *engine, struct lun_err *err)
{
	struct lun_events_filter filter = {
	    .stream = cli_value(cli, "stream"),
	    .type = cli_value(cli, "type"),
	    .after = cli_value(cli, "after"),
	    .limit = (uint64_t)cli_number(cli, "limit", LIMIT + 1),
	    .tokens = cli_value(cli, "tokens") != NULL,
	};
	struct event_table event_table = {.cli = cli,
	    .table = cli_table_new(),
	    .tokens = filter.tokens,
	    .err = err};
	enum lun_code code;

	if (event_table.table == NULL)
		return lun_fail(err, LUN_NOMEM, "out of memory");
	code =
	    lun_engine_events(engine, &filter, list_event, &event_table, err);
	if (code == LUN_OK)
		code = event_table.code;
	if (code == LUN_OK && !cli->json) {
		if (event_table.column_count == 0)
			choose_columns(&event_table);
		print_page(&event_table);
		code = event_table.code;
	}
	if (code == LUN_OK && event_table.is_cut)
		cli_screen_say(&cli->screen,
		    "the first %d events; --limit=0 prints all", LIMIT);
	cli_view_object_free(&event_table.object);
	cli_table_free(event_table.table);
	return code;
}

static enum lun_code
run_events(struct cli *cli, struct lun_err *err)
{
	return cli_with_engine(cli, CLI_NEED_EVENTS, list_events, err);
}

static const struct cli_option options[] = {
    {
	.name = "stream",
	.argument = "STREAM",
	.help = "Only events of this stream",
    },
    {
	.name = "type",
	.argument = "TYPE",
	.help = "Only events of this type",
    },
    {
	.name = "after",
	.argument = "POSITION",
	.help = "Only events after this position or token",
    },
    {
	.name = "limit",
	.argument = "N",
	.help = "At most so many events (default 100; 0: all)",
	.kind = CLI_NUMBER,
    },
    {
	.name = "tokens",
	.help = "Print the token of each event too",
    },
    {.name = NULL},
};

const struct cli_command cmd_events = {
    .name = "events",
    .summary = "look into the event store",
    .description = "Print events in the order of their positions, those "
		   "of a stream in that of their versions. With --json "
		   "each is a JSON object in a line of its own.",
    .examples = "lunette events -e sqlite:bank.db --stream account-1\n"
		"lunette events --type MoneyDeposited --limit 0 --json\n",
    .options = options,
    .run = run_events,
};
