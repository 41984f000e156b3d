/* cmd_layouts.c - the tables that can be read, and the index that they need. */

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "cli/command.h"
#include "cli/stores.h"
#include "cli/view.h"
#include "store/driver.h"

#define KEY "layout="

static const char *const columns[] = {
    "layout", "store", "table", "order", NULL};

/* ---- the list ---------------------------------------------------------- */

static enum lun_code
list_layouts(struct cli *cli, struct lun_err *err)
{
	struct lun_buffer json = {0};
	enum lun_code code = LUN_OK;

	lun_buffer_add_byte(&json, '[');
	for (const struct lun_driver *d = lun_drivers; d->scheme != NULL; d++)
		if (d->events->layouts != NULL)
			d->events->layouts(&json);
	if (json.failed)
		code = lun_fail(err, LUN_NOMEM, "out of memory");
	else
		json.bytes[json.length - 1] = ']'; /* the last comma */
	if (code == LUN_OK)
		code = cli_view_rows(cli, lun_buffer_text(&json), columns, err);
	lun_buffer_free(&json);
	return code;
}

/* ---- the index --------------------------------------------------------- */

/* The layout that a URL names, up to what stands behind it; else absent. */
static struct lun_text
layout_of(const char *url)
{
	const char *p = url + strcspn(url, "?");

	while (*p != '\0') {
		p++;
		if (strncmp(p, KEY, strlen(KEY)) == 0)
			return (struct lun_text){
			    p + strlen(KEY), strcspn(p + strlen(KEY), "&")};
		p += strcspn(p, "&");
	}
	return LUN_TEXT_NONE;
}

/* The URL with this layout in it, which the caller frees; NULL: as it is. */
static char *
name_layout(struct cli *cli, const char *url, const char *name)
{
	struct lun_text named = layout_of(url);
	struct lun_buffer text = {0};

	if (named.bytes != NULL && !lun_text_equal(named, lun_text_of(name)))
		cli_misuse(cli,
		    "the event store is given with layout=%.*s, not %s",
		    LUN_TEXT_ARG(named), name);
	if (named.bytes != NULL)
		return NULL;
	lun_buffer_printf(&text, "%s%s" KEY "%s", url,
	    strchr(url, '?') != NULL ? "&" : "?", name);
	return lun_buffer_take(&text);
}

static enum lun_code
print_sql(struct cli *cli, struct lun_err *err)
{
	struct lun_event_store *events;
	struct lun_buffer sql = {0};
	enum lun_code code = cli_open_events(cli, &events, err);

	if (code != LUN_OK)
		return code;
	code = lun_event_store_index_sql(events, &sql, err);
	if (code == LUN_OK)
		printf("%.*s", LUN_TEXT_ARG(lun_buffer_text(&sql)));
	lun_buffer_free(&sql);
	lun_event_store_close(events);
	return code;
}

static enum lun_code
print_index(struct cli *cli, struct lun_err *err)
{
	const char **events =
	    &cli->layers.chosen.values[cli_setting_index("events")];
	const char *name = cli_argument(cli, 0);
	char *url = NULL;
	enum lun_code code;

	if (*events != NULL && name != NULL)
		url = name_layout(cli, *events, name);
	if (url != NULL)
		*events = url;
	code = print_sql(cli, err);
	free(url);
	return code;
}

static enum lun_code
run_layouts(struct cli *cli, struct lun_err *err)
{
	if (cli_value(cli, "sql") != NULL)
		return print_index(cli, err);
	if (cli_argument(cli, 0) != NULL)
		cli_misuse(cli, "a layout is named with --sql");
	return list_layouts(cli, err);
}

static const struct cli_argument arguments[] = {
    {.name = "LAYOUT", .kind = CLI_TEXT, .optional = true},
    {.name = NULL},
};

static const struct cli_option options[] = {
    {.name = "sql",
	.help = "Print the SQL that makes an index which leads through the "
		"event store in its order, where none does"},
    {.name = NULL},
};

const struct cli_command cmd_layouts = {
    .name = "layouts",
    .summary = "list the tables of others that can be read, or print the "
	       "index that one of them needs",
    .description =
	"Without --sql, list the layouts that a URL of an event store may "
	"name, "
	"with the tables and the columns of their order. With it, look at the "
	"event store, as tables of LAYOUT if its URL names none, and print SQL "
	"for psql -f: CREATE INDEX CONCURRENTLY, for each partition that "
	"lacks it, with the names that are there. Where no index is missing it "
	"is a comment that says so. Nothing is changed by the command.",
    .examples = "lunette layouts\n"
		"lunette layouts emmett --sql -e postgres://me@db/shop\n",
    .arguments = arguments,
    .options = options,
    .run = run_layouts,
};
