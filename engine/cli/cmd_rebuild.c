/* cmd_rebuild.c - build the models of a projection anew. */

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "cli/catch_up.h"
#include "cli/command.h"
#include "cli/engine_call.h"
#include "cli/format.h"
#include "cli/progress.h"
#include "cli/signals.h"
#include "cli/view.h"

#define STATUS_EVERY_MS 200

/* What status says of the projection being rebuilt. */
struct status {
	char *state;
	char *last_error;
	double lag;
};

static void
free_status(struct status *status)
{
	free(status->state);
	free(status->last_error);
	*status = (struct status){0};
}

static enum lun_code
read_status(struct lun_engine *engine, const char *projection,
    struct status *status, struct lun_err *err)
{
	struct cli_object object = {0};
	char *json;
	enum lun_code code =
	    lun_projection_status(engine, projection, &json, err);

	if (code != LUN_OK)
		return code;
	code = cli_view_object(lun_text_of(json), &object, err);
	if (code == LUN_OK)
		*status =
		    (struct status){.state = cli_view_text(&object, "state"),
			.last_error = cli_view_text(&object, "last_error"),
			.lag = cli_view_number(&object, "lag_events", -1)};
	cli_view_object_free(&object);
	lun_free(json);
	if (code == LUN_OK && status->state == NULL)
		code = lun_fail(err, LUN_NOMEM, "out of memory");
	return code;
}

static void
show_status(struct cli_progress *progress, const char *projection,
    const struct status *status, double *most)
{
	struct cli_part part = {.name = projection};

	if (status->lag < 0)
		return;
	if (status->lag > *most)
		*most = status->lag;
	part.total = *most;
	part.done = *most - status->lag;
	part.count = (uint64_t)part.done;
	cli_progress_show(progress, &part, 1);
}

/* LUN_AGAIN while it is on its way, LUN_NOTFOUND if nobody runs it any more. */
static enum lun_code
outcome_of(
    const char *projection, const struct status *status, struct lun_err *err)
{
	if (strcmp(status->state, "failed") == 0)
		return lun_fail(err, LUN_SCRIPT, "%s failed: %s", projection,
		    status->last_error != NULL ? status->last_error : "");
	if (status->lag == 0)
		return LUN_OK;
	if (strcmp(status->state, "paused") == 0)
		return lun_fail(err, LUN_CONFIG,
		    "%s was paused before it had caught up: \"lunette resume "
		    "%s\" lets it go on",
		    projection, projection);
	if (strcmp(status->state, "stopped") == 0)
		return lun_fail(err, LUN_NOTFOUND,
		    "the engine that replayed %s has ended", projection);
	return LUN_AGAIN;
}

static bool
wait_a_little(int signals)
{
	struct pollfd ready = {.fd = signals, .events = POLLIN};

	poll(&ready, 1, STATUS_EVERY_MS);
	return !cli_signals_came(signals, NULL);
}

/* What was applied before the first look is not known here, so no number. */
static void
say_end(struct cli *cli, const char *projection, int64_t began_ns)
{
	double seconds = (double)(lun_clock_mono_ns() - began_ns) / 1e9;
	char span[CLI_FORMAT_MAX];

	cli_screen_say(&cli->screen,
	    "%s: built anew in %s by the engine that runs it", projection,
	    cli_format_span(seconds, span));
}

/* Another engine replays it: watch from here. */
static enum lun_code
follow_rebuild(struct cli *cli, struct lun_engine *engine,
    const char *projection, struct lun_err *err)
{
	struct cli_progress *progress = cli_progress_new(&cli->screen, "event");
	int64_t began_ns = lun_clock_mono_ns();
	enum lun_code code = LUN_AGAIN;
	double most = 0;

	if (progress == NULL)
		return lun_fail(err, LUN_NOMEM, "out of memory");
	while (code == LUN_AGAIN) {
		struct status status = {0};

		code = read_status(engine, projection, &status, err);
		if (code == LUN_OK) {
			show_status(progress, projection, &status, &most);
			code = outcome_of(projection, &status, err);
		}
		free_status(&status);
		if (code == LUN_AGAIN && !wait_a_little(cli->signals))
			code = lun_fail(err, LUN_TIMEOUT,
			    "no longer watching %s: the engine that runs it "
			    "goes on",
			    projection);
	}
	cli_progress_free(progress);
	if (code == LUN_OK)
		say_end(cli, projection, began_ns);
	return code;
}

static enum lun_code
rebuild_projection(
    struct cli *cli, struct lun_engine *engine, struct lun_err *err)
{
	const char *projection = cli_argument(cli, 0);
	enum lun_code code = cli_request(
	    cli, engine, projection, LUN_REQUEST_REBUILD, NULL, err);

	if (code != LUN_OK || cli_value(cli, "no-wait") != NULL)
		return code;
	/* That another engine holds it is an answer here, not a warning. */
	if (cli_layers_value(&cli->layers, "log_level") == NULL)
		cli->screen.level = LUN_LOG_ERROR;
	do {
		code = cli_catch_up(cli, engine, err);
		if (code == LUN_OWNED)
			code = follow_rebuild(cli, engine, projection, err);
	} while (code == LUN_NOTFOUND);
	return code;
}

static enum lun_code
run_rebuild(struct cli *cli, struct lun_err *err)
{
	return cli_with_engine(cli, CLI_NEED_BOTH, rebuild_projection, err);
}

static const struct cli_argument arguments[] = {
    {.name = "NAME", .kind = CLI_PROJECTION},
    {.name = NULL},
};

static const struct cli_option options[] = {
    {
	.name = "no-wait",
	.help =
	    "Return once models and checkpoint are cleared; whoever runs the "
	    "projection replays it",
    },
    CLI_TIMEOUT_OPTION,
    {.name = NULL},
};

const struct cli_command cmd_rebuild = {
    .name = "rebuild",
    .summary = "build the models of a projection anew",
    .description =
	"Clear models, parked events and checkpoint in one transaction, then "
	"replay from the first event. An engine that runs the projection does "
	"it, else this command does; what is built is what stands in the "
	"script's file now. Needed after the version in the script was raised; "
	"where fields, handles or the key changed and it was not, nothing is "
	"done and the exit status is 1.\nA projection that is paused goes on "
	"with it: a rebuild ends a pause.",
    .examples = "lunette rebuild account_summary\n",
    .arguments = arguments,
    .options = options,
    .run = run_rebuild,
};
