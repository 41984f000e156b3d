/* cmd_parked.c - events set aside because the script failed on them. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "cli/command.h"
#include "cli/engine_call.h"
#include "cli/view.h"

static const char *const columns[] = {"projection", "number", "model_id",
    "position", "stream", "type", "at", "error", NULL};

/* What the command does with one projection. */
typedef enum lun_code projection_fn(struct cli *cli, struct lun_engine *engine,
    const char *projection, struct lun_buffer *out, struct lun_err *err);

/* Join the elements of arrays to one, each with its projection's name. */
static void
add_elements(
    struct lun_buffer *out, const char *projection, struct lun_text array)
{
	struct lun_text element;
	enum lun_json_kind kind;

	while (lun_json_next_element(&array, &element, &kind)) {
		if (out->length > 1)
			lun_buffer_add_byte(out, ',');
		lun_buffer_printf(out, "{\"projection\":\"%s\"", projection);
		/* An object that is never empty: "{" becomes ",". */
		lun_buffer_add_byte(out, ',');
		lun_buffer_add(out, element.bytes + 1, element.length - 1);
	}
}

static enum lun_code
list_parked(struct cli *cli, struct lun_engine *engine, const char *projection,
    struct lun_buffer *out, struct lun_err *err)
{
	char *json;
	enum lun_code code =
	    cli_value(cli, "skipped") != NULL
		? lun_engine_skipped(engine, projection, &json, err)
		: lun_engine_parked(
		      engine, projection, cli_argument(cli, 2), &json, err);

	if (code != LUN_OK)
		return code;
	add_elements(out, projection, lun_text_of(json));
	lun_free(json);
	return LUN_OK;
}

static enum lun_code
retry_parked(struct cli *cli, struct lun_engine *engine, const char *projection,
    struct lun_buffer *out, struct lun_err *err)
{
	(void)out;
	return cli_request(cli, engine, projection, LUN_REQUEST_RETRY,
	    cli_argument(cli, 2), err);
}

static enum lun_code
discard_parked(struct cli *cli, struct lun_engine *engine,
    const char *projection, struct lun_buffer *out, struct lun_err *err)
{
	(void)out;
	return cli_request(cli, engine, projection, LUN_REQUEST_DISCARD,
	    cli_argument(cli, 2), err);
}

/* How many events are parked; 0 of a projection that has not begun. */
static enum lun_code
count_parked(struct lun_engine *engine, const char *projection, double *count,
    struct lun_err *err)
{
	struct cli_object object = {0};
	char *json;
	enum lun_code code =
	    lun_engine_checkpoint(engine, projection, &json, err);

	*count = 0;
	if (code != LUN_OK)
		return code == LUN_NOTFOUND ? LUN_OK : code;
	code = cli_view_object(lun_text_of(json), &object, err);
	if (code == LUN_OK)
		*count = cli_view_number(&object, "parked", 0);
	cli_view_object_free(&object);
	lun_free(json);
	return code;
}

/* What is done with every projection, or counted of it. */
struct all_parked {
	struct cli *cli;
	struct lun_engine *engine;
	projection_fn *call;
	struct lun_buffer *out;
	double count;
};

static enum lun_code
count_one_of_all(void *arg, const char *projection, struct lun_err *err)
{
	struct all_parked *all = arg;
	double count;
	enum lun_code code = count_parked(all->engine, projection, &count, err);

	all->count += count;
	return code;
}

/* Only those that have parked events, except to list them. */
static enum lun_code
call_one_of_all(void *arg, const char *projection, struct lun_err *err)
{
	struct all_parked *all = arg;
	double count = 0;
	enum lun_code code = LUN_OK;

	if (all->call != list_parked)
		code = count_parked(all->engine, projection, &count, err);
	if (code == LUN_OK && (all->call == list_parked || count > 0))
		code =
		    all->call(all->cli, all->engine, projection, all->out, err);
	/* One that has not begun has nothing to list. */
	return code == LUN_NOTFOUND && all->call == list_parked ? LUN_OK : code;
}

static enum lun_code
for_all(struct cli *cli, struct lun_engine *engine, projection_fn *call,
    struct lun_buffer *out, struct lun_err *err)
{
	struct all_parked all = {
	    .cli = cli, .engine = engine, .call = call, .out = out};

	return cli_each_projection(engine, call_one_of_all, &all, err);
}

/* True if neither the projection nor, for NULL, any has parked events. */
static bool
nothing_parked(struct lun_engine *engine, const char *projection)
{
	struct all_parked all = {.engine = engine};
	struct lun_err err;
	enum lun_code code =
	    projection != NULL
		? count_one_of_all(&all, projection, &err)
		: cli_each_projection(engine, count_one_of_all, &all, &err);

	return code == LUN_OK && all.count == 0;
}

static projection_fn *
action_of(const struct cli *cli)
{
	const char *word = cli_argument(cli, 0);

	if (strcmp(word, "list") == 0)
		return list_parked;
	return strcmp(word, "retry") == 0 ? retry_parked : discard_parked;
}

static enum lun_code
handle_parked(struct cli *cli, struct lun_engine *engine, struct lun_err *err)
{
	projection_fn *action = action_of(cli);
	const char *projection = cli_argument(cli, 1);
	bool nothing = action != list_parked && cli_argument(cli, 2) == NULL &&
		       nothing_parked(engine, projection);
	struct lun_buffer out = {0};
	enum lun_code code;

	lun_buffer_add_byte(&out, '[');
	code = projection != NULL ? action(cli, engine, projection, &out, err)
				  : for_all(cli, engine, action, &out, err);
	lun_buffer_add_byte(&out, ']');
	if (code == LUN_OK && out.failed)
		code = lun_fail(err, LUN_NOMEM, "out of memory");
	if (code == LUN_OK && action == list_parked)
		code = cli_view_rows(cli, lun_buffer_text(&out), columns, err);
	if (code == LUN_OK && nothing)
		cli_screen_say(&cli->screen, "%s%snothing is parked",
		    projection != NULL ? projection : "",
		    projection != NULL ? ": " : "");
	lun_buffer_free(&out);
	return code;
}

static void
check_all(const struct cli *cli)
{
	bool all = cli_value(cli, "all") != NULL;
	bool named = cli_argument(cli, 1) != NULL;

	if (all && (action_of(cli) != discard_parked || named))
		cli_misuse(cli, "--all goes with discard, without a NAME");
	if (!all && !named && action_of(cli) == discard_parked)
		cli_misuse(cli,
		    "discard needs a NAME, or --all for the parked events of "
		    "every projection");
}

static enum lun_code
run_parked(struct cli *cli, struct lun_err *err)
{
	check_all(cli);
	if (cli_value(cli, "skipped") != NULL &&
	    (action_of(cli) != list_parked || cli_argument(cli, 2) != NULL))
		cli_misuse(cli, "--skipped goes with list and at most a NAME");
	return cli_with_engine(cli, CLI_NEED_BOTH, handle_parked, err);
}

static const struct cli_argument arguments[] = {
    {.name = "list|retry|discard", .kind = CLI_CHOICE},
    {.name = "NAME", .kind = CLI_PROJECTION, .optional = true},
    {.name = "ID", .optional = true},
    {.name = NULL},
};

static const struct cli_option options[] = {
    {
	.name = "all",
	.help = "Discard the parked events of every projection",
    },
    {
	.name = "skipped",
	.help = "List the events that were skipped (on_error = \"skip\"), the "
		"latest "
		"first",
    },
    CLI_TIMEOUT_OPTION,
    {.name = NULL},
};

const struct cli_command cmd_parked = {
    .name = "parked",
    .summary = "list, retry or discard events that were set aside",
    .description =
	"With on_error = \"park\" an event that the script fails on is set "
	"aside with its error, and with it all later events of that model.\n"
	"list prints them, oldest first.\n"
	"retry applies them again in their order; those of a model that fails "
	"once more stay.\n"
	"discard forgets them: their models go on without them.\n"
	"Without NAME list and retry are for every projection; discard wants "
	"--all for that. Without ID it is every model.",
    .examples = "lunette parked list account_summary\n"
		"lunette parked retry account_summary account-17\n",
    .arguments = arguments,
    .options = options,
    .run = run_parked,
};
