/* catch_up.c - bring registered projections to the head. */

#include "cli/catch_up.h"

#include <stdlib.h>

#include "base/error.h"
#include "cli/progress.h"
#include "cli/signals.h"

struct catching_up {
	struct cli_progress *progress;
	int signals;
	const char *interrupted; /* by this signal; NULL: not */
	struct cli_part *parts;
	size_t capacity;
};

static bool
reserve_parts(struct catching_up *state, size_t count)
{
	struct cli_part *grown;

	if (count <= state->capacity)
		return true;
	grown = realloc(state->parts, count * sizeof *grown);
	if (grown == NULL)
		return false;
	state->parts = grown;
	state->capacity = count;
	return true;
}

static bool
show_catching_up(void *arg, const struct lun_progress *progress, size_t count)
{
	struct catching_up *state = arg;

	if (reserve_parts(state, count)) {
		for (size_t i = 0; i < count; i++)
			state->parts[i] = (struct cli_part){
			    .name = progress[i].projection,
			    .done = progress[i].fraction,
			    .total = 1,
			    .count = progress[i].events_done,
			    .parked = progress[i].events_parked,
			    .skipped = progress[i].events_skipped,
			    .seconds = progress[i].seconds,
			};
		cli_progress_show(state->progress, state->parts, count);
	}
	return state->interrupted == NULL &&
	       !cli_signals_came(state->signals, &state->interrupted);
}

enum lun_code
cli_catch_up(struct cli *cli, struct lun_engine *engine, struct lun_err *err)
{
	struct catching_up state = {0};
	enum lun_code code = cli_signals_open(&cli->signals, err);

	if (code != LUN_OK)
		return code;
	state.signals = cli->signals;
	state.progress = cli_progress_new(&cli->screen, "event");
	if (state.progress == NULL)
		return lun_fail(err, LUN_NOMEM, "out of memory");
	code = lun_engine_run_once(engine, show_catching_up, &state, err);
	if (state.interrupted != NULL)
		code = lun_fail(err, LUN_TIMEOUT,
		    "%s ended it before the head was reached; what is applied "
		    "is kept",
		    state.interrupted);
	if (code == LUN_OK)
		cli_progress_finish(state.progress);
	cli_progress_free(state.progress);
	free(state.parts);
	return code;
}
