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

/* The last one only with --tokens. */
static const char *const columns[] = {"position", "recorded_at", "stream",
    "version", "type", "data", "metadata", "token"};

#define COLUMNS (sizeof columns / sizeof columns[0])

struct listing {
	struct cli *cli;
	struct cli_table *table;
	struct cli_object object;
	size_t columns;
	size_t printed;
	enum lun_code code;
	struct lun_err *err;
};

static void
print_page(struct listing *listing)
{
	if (listing->code == LUN_OK)
		listing->code = cli_table_print(listing->table, stdout,
		    cli_screen_columns(STDOUT_FILENO, 0), listing->printed == 0,
		    listing->err);
	listing->printed += cli_table_rows(listing->table);
	cli_table_clear(listing->table);
}

static bool
list_event(void *arg, const char *json, size_t length)
{
	struct listing *listing = arg;
	struct lun_text text = {json, length};

	if (listing->cli->json) {
		fwrite(json, 1, length, stdout);
		putchar('\n');
		return !ferror(stdout);
	}
	listing->code = cli_view_object(text, &listing->object, listing->err);
	if (listing->code != LUN_OK)
		return false;
	for (size_t i = 0; i < listing->columns; i++)
		cli_view_cell(
		    listing->table, lun_json_find(listing->object.members,
					listing->object.count, columns[i]));
	if (cli_table_rows(listing->table) == PAGE)
		print_page(listing);
	return listing->code == LUN_OK && !ferror(stdout);
}

static enum lun_code
list_events(struct cli *cli, struct lun_engine *engine, struct lun_err *err)
{
	struct lun_events_filter filter = {
	    .stream = cli_value(cli, "stream"),
	    .type = cli_value(cli, "type"),
	    .after = cli_value(cli, "after"),
	    .limit = (uint64_t)cli_number(cli, "limit", LIMIT),
	    .tokens = cli_value(cli, "tokens") != NULL,
	};
	struct listing listing = {.cli = cli,
	    .table = cli_table_new(),
	    .columns = filter.tokens ? COLUMNS : COLUMNS - 1,
	    .err = err};
	enum lun_code code;

	if (listing.table == NULL)
		return lun_fail(err, LUN_NOMEM, "out of memory");
	for (size_t i = 0; i < listing.columns; i++)
		cli_table_column(listing.table, lun_text_of(columns[i]));
	code = lun_engine_events(engine, &filter, list_event, &listing, err);
	if (code == LUN_OK)
		code = listing.code;
	if (code == LUN_OK && !cli->json) {
		print_page(&listing);
		code = listing.code;
	}
	cli_view_object_free(&listing.object);
	cli_table_free(listing.table);
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
    .description = "Print events in the order of their positions. With --json "
		   "each is a JSON object in a line of its own.",
    .examples = "lunette events -e sqlite:bank.db --stream account-1\n"
		"lunette events --type MoneyDeposited --limit 0 --json\n",
    .options = options,
    .looks = CLI_LOOKS_ALWAYS,
    .run = run_events,
};
