/* cmd_gaps.c - positions of the event store that have no event. */

#include <stdlib.h>

#include "base/error.h"
#include "cli/command.h"
#include "cli/engine_call.h"
#include "cli/view.h"

static const char *const columns[] = {
    "projection", "state", "from", "to", "numbers", "at", "reason", NULL};

/* Join the elements to one array, each with its projection's name. */
static void
add_elements(
    struct lun_buffer *out, const char *projection, struct lun_text array)
{
	struct lun_text element;
	enum lun_json_kind kind;

	while (lun_json_next_element(&array, &element, &kind)) {
		if (out->length > 1)
			lun_buffer_add_byte(out, ',');
		/* An object that is never empty: "{" becomes ",". */
		lun_buffer_printf(out, "{\"projection\":\"%s\",", projection);
		lun_buffer_add(out, element.bytes + 1, element.length - 1);
	}
}

static enum lun_code
list_gaps(struct lun_engine *engine, const char *projection,
    struct lun_buffer *out, struct lun_err *err)
{
	char *json;
	enum lun_code code = lun_engine_gaps(engine, projection, &json, err);

	if (code != LUN_OK)
		return code;
	add_elements(out, projection, lun_text_of(json));
	lun_free(json);
	return LUN_OK;
}

struct all_gaps {
	struct lun_engine *engine;
	struct lun_buffer *out;
};

static enum lun_code
list_one_of_all(void *arg, const char *projection, struct lun_err *err)
{
	const struct all_gaps *all = arg;
	enum lun_code code = list_gaps(all->engine, projection, all->out, err);

	return code == LUN_NOTFOUND ? LUN_OK : code; /* it has not begun */
}

static enum lun_code
list_all(struct lun_engine *engine, struct lun_buffer *out, struct lun_err *err)
{
	struct all_gaps all = {engine, out};

	return cli_each_projection(engine, list_one_of_all, &all, err);
}

static enum lun_code
show_gaps(struct cli *cli, struct lun_engine *engine, struct lun_err *err)
{
	const char *projection = cli_argument(cli, 0);
	struct lun_buffer out = {0};
	enum lun_code code;

	lun_buffer_add_byte(&out, '[');
	code = projection != NULL ? list_gaps(engine, projection, &out, err)
				  : list_all(engine, &out, err);
	lun_buffer_add_byte(&out, ']');
	if (code == LUN_OK && out.failed)
		code = lun_fail(err, LUN_NOMEM, "out of memory");
	if (code == LUN_OK)
		code = cli_view_rows(cli, lun_buffer_text(&out), columns, err);
	lun_buffer_free(&out);
	return code;
}

static enum lun_code
run_gaps(struct cli *cli, struct lun_err *err)
{
	return cli_with_engine(cli, CLI_NEED_BOTH, show_gaps, err);
}

static const struct cli_argument arguments[] = {
    {.name = "NAME", .kind = CLI_PROJECTION, .optional = true},
    {.name = NULL},
};

static const struct cli_option options[] = {
    {.name = NULL},
};

const struct cli_command cmd_gaps = {
    .name = "gaps",
    .summary = "list positions of the event store that are waited for or "
	       "were passed over",
    .description =
	"Print the positions that have no event: a writer draws a number "
	"before it commits, so one can be missing for a while, or for good. "
	"An open one is waited for: a transaction that may bring it is under "
	"way. A skipped one was passed over, after no such transaction was "
	"left. Where the order is that of transactions, the events that can "
	"be seen but are held back are one range, held. The reason names the "
	"transaction that is waited for. The newest 1000 ranges are listed, "
	"as of the last commit of each projection.",
    .examples = "lunette gaps\n"
		"lunette gaps account_summary --json\n",
    .arguments = arguments,
    .options = options,
    .run = run_gaps,
};
