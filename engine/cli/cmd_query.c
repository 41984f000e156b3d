/* cmd_query.c - models by filter. */

#include <inttypes.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/engine_call.h"
#include "cli/scripts.h"
#include "cli/view.h"
#include "json/scan.h"

static uint64_t
count_rows(struct lun_text json)
{
	struct lun_text element;
	enum lun_json_kind kind;
	uint64_t count = 0;

	while (lun_json_next_element(&json, &element, &kind))
		count++;
	return count;
}

static bool
names_limit(const char *const *filters, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strncmp(filters[i], "limit=", 6) == 0)
			return true;
	return false;
}

/* Whoever looks must not take a part for the whole. */
static void
say_where_it_ends(struct cli *cli, struct lun_text json)
{
	struct lun_setting given[CLI_SETTINGS_MAX];
	size_t count = cli_layers_settings(&cli->layers, given);
	struct lun_settings settings;

	if (!isatty(STDERR_FILENO) ||
	    lun_settings_make(given, count, &settings, NULL) != LUN_OK)
		return;
	if (count_rows(json) == (uint64_t)settings.query_limit)
		cli_screen_say(&cli->screen,
		    "%" PRId64 " rows, the most without limit=; there may be "
		    "more: limit=N shows more, offset=%" PRId64 " the next",
		    settings.query_limit, settings.query_limit);
	lun_settings_free(&settings);
}

static enum lun_code
query_models(struct cli *cli, struct lun_engine *engine, struct lun_err *err)
{
	const char *name = cli_argument(cli, 0);
	const char *const *filters = (const char *const *)cli->arguments + 1;
	/* The script is here for its handle_query; models do not need it. */
	enum lun_code code = cli_scripts_register(cli, engine, name, err);
	char *json;

	if (code == LUN_OK || code == LUN_NOTFOUND)
		code = lun_engine_query(
		    engine, name, filters, cli->argument_count - 1, &json, err);
	if (code != LUN_OK)
		return code;
	code = cli_view_rows(cli, lun_text_of(json), NULL, err);
	if (code == LUN_OK && !names_limit(filters, cli->argument_count - 1))
		say_where_it_ends(cli, lun_text_of(json));
	lun_free(json);
	return code;
}

static enum lun_code
run_query(struct cli *cli, struct lun_err *err)
{
	return cli_with_engine(cli, CLI_NEED_MODELS, query_models, err);
}

static const struct cli_argument arguments[] = {
    {.name = "NAME", .kind = CLI_PROJECTION},
    {.name = "FILTER", .optional = true, .repeated = true},
    {.name = NULL},
};

const struct cli_command cmd_query = {
    .name = "query",
    .summary = "print the models that match filters",
    .description =
	"Print the models of a projection that match every filter.\n\n"
	"A filter is FIELD=OP.VALUE with the operators eq, neq, gt, gte, lt, "
	"lte, like, ilike, in and is, each with not. before it if need be; "
	"or=(...) and and=(...) group conditions without their equals sign. "
	"order=, limit=, offset= and select= say which models, in which order "
	"and which of their fields. Without limit= there are at most "
	"query_limit (100).",
    .examples =
	"lunette query account_summary balance=gte.1000 order=balance.desc\n"
	"lunette query account_summary 'owner=like.A*' limit=10 offset=20\n"
	"lunette query account_summary 'or=(balance.lt.0,owner.is.null)'\n"
	"lunette query account_summary select=id,balance --json\n",
    .arguments = arguments,
    .run = run_query,
};
