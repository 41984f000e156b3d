/*
 * phase.c - what a projection is doing: one phase, changed in one function.
 *
 * Only a prepared phase applies and commits. It is reached from an owned one
 * alone, by reading the checkpoint, and left as soon as anything in memory is
 * in doubt; so what is committed always goes on from what is stored. What
 * others are told (the state) follows from the phase in the same function,
 * under the same lock.
 */

#include <stdio.h>

#include "base/error.h"
#include "projection/projection.h"

#define MAY(phase) (1u << LUN_PHASE_##phase)

/* What is reported goes on; but what kept it from running is over. */
#define SAME ((enum lun_state) - 1)

static const struct phase {
	const char *word;
	enum lun_state state;
	bool owned;    /* the ownership is this engine's */
	bool prepared; /* the checkpoint is read, memory goes on from it */
	unsigned next; /* what may follow, beside itself and ABANDONED */
} phases[] = {
    [LUN_PHASE_RELEASED] =
	{
	    .word = "released",
	    .state = SAME,
	    .next =
		MAY(STANDBY) | MAY(FAILED_UNOWNED) | MAY(OWNED) | MAY(DETACHED),
	},
    [LUN_PHASE_STANDBY] =
	{
	    .word = "standby",
	    .state = LUN_STATE_STANDBY,
	    .next = MAY(FAILED_UNOWNED) | MAY(OWNED) | MAY(DETACHED),
	},
    [LUN_PHASE_FAILED_UNOWNED] =
	{
	    .word = "failed, unowned",
	    .state = LUN_STATE_FAILED,
	    .next = MAY(RELEASED) | MAY(STANDBY) | MAY(OWNED) | MAY(DETACHED),
	},
    [LUN_PHASE_OWNED] =
	{
	    .word = "owned",
	    .state = SAME,
	    .owned = true,
	    .next = MAY(RELEASED) | MAY(PREPARED) | MAY(PAUSED) | MAY(FAILED),
	},
    [LUN_PHASE_PREPARED] =
	{
	    .word = "prepared",
	    .state = SAME,
	    .owned = true,
	    .prepared = true,
	    .next = MAY(RELEASED) | MAY(OWNED) | MAY(CATCHING_UP) | MAY(LIVE) |
		    MAY(FAILED),
	},
    [LUN_PHASE_CATCHING_UP] =
	{
	    .word = "catching up",
	    .state = LUN_STATE_CATCHING_UP,
	    .owned = true,
	    .prepared = true,
	    .next = MAY(RELEASED) | MAY(OWNED) | MAY(LIVE) | MAY(FAILED),
	},
    [LUN_PHASE_LIVE] =
	{
	    .word = "live",
	    .state = LUN_STATE_LIVE,
	    .owned = true,
	    .prepared = true,
	    .next = MAY(RELEASED) | MAY(OWNED) | MAY(CATCHING_UP) | MAY(FAILED),
	},
    [LUN_PHASE_PAUSED] =
	{
	    .word = "paused",
	    .state = LUN_STATE_PAUSED,
	    .owned = true,
	    .prepared = true,
	    .next = MAY(RELEASED) | MAY(OWNED) | MAY(FAILED),
	},
    [LUN_PHASE_FAILED] =
	{
	    .word = "failed",
	    .state = LUN_STATE_FAILED,
	    .owned = true,
	    .next =
		MAY(FAILED_UNOWNED) | MAY(OWNED) | MAY(PREPARED) | MAY(PAUSED),
	},
    [LUN_PHASE_DETACHED] =
	{
	    .word = "detached",
	    .state = LUN_STATE_DETACHED,
	    .next =
		MAY(RELEASED) | MAY(STANDBY) | MAY(FAILED_UNOWNED) | MAY(OWNED),
	},
    [LUN_PHASE_ABANDONED] =
	{
	    .word = "abandoned",
	    .state = LUN_STATE_FAILED,
	},
};

static const char *const state_names[] = {
    [LUN_STATE_NEW] = "new",
    [LUN_STATE_CATCHING_UP] = "catching_up",
    [LUN_STATE_LIVE] = "live",
    [LUN_STATE_PAUSED] = "paused",
    [LUN_STATE_STANDBY] = "standby",
    [LUN_STATE_FAILED] = "failed",
    [LUN_STATE_DETACHED] = "detached",
};

const char *
lun_state_name(enum lun_state state)
{
	return state_names[state];
}

const char *
lun_phase_name(enum lun_phase phase)
{
	return phases[phase].word;
}

bool
lun_phase_may_follow(enum lun_phase now, enum lun_phase next)
{
	if (now == LUN_PHASE_ABANDONED)
		return false;
	return now == next || next == LUN_PHASE_ABANDONED ||
	       (phases[now].next & 1u << next) != 0;
}

bool
lun_projection_is(const struct lun_projection *p, enum lun_phase phase)
{
	return atomic_load(&p->phase) == phase;
}

bool
lun_projection_is_owned(const struct lun_projection *p)
{
	return phases[atomic_load(&p->phase)].owned;
}

bool
lun_projection_is_prepared(const struct lun_projection *p)
{
	return phases[atomic_load(&p->phase)].prepared;
}

/* Of a phase that has no state of its own. */
static enum lun_state
find_state(enum lun_state now, enum lun_phase next)
{
	bool keeps_from_running = now == LUN_STATE_FAILED ||
				  now == LUN_STATE_STANDBY ||
				  now == LUN_STATE_DETACHED;

	/* A failure is over only once a step went well. */
	return keeps_from_running && next != LUN_PHASE_PREPARED
		   ? LUN_STATE_CATCHING_UP
		   : now;
}

static void
report_state(
    struct lun_report *report, enum lun_phase next, const struct lun_err *error)
{
	enum lun_state state = phases[next].state != SAME
				   ? phases[next].state
				   : find_state(report->state, next);

	/* That another engine ran it is no error of this one's time. */
	if (report->state == LUN_STATE_STANDBY && state != LUN_STATE_STANDBY)
		report->last_error[0] = '\0';
	report->state = state;
	if (error != NULL)
		snprintf(report->last_error, sizeof report->last_error, "%s",
		    error->message);
	else if (next == LUN_PHASE_LIVE || next == LUN_PHASE_CATCHING_UP)
		report->waiting_for[0] = '\0';
}

static void
report_ownership(struct lun_projection *p, enum lun_phase next)
{
	struct lun_report *report = &p->report;

	if (report->owned == phases[next].owned)
		return;
	report->owned = phases[next].owned;
	report->held_by[0] = '\0';
	report->lost = false;
	report->fence = p->fence;
	/* Somebody else may set it back meanwhile. */
	report->has_position = false;
}

/* A traceback goes to the log line by line. */
static void
log_detail(const struct lun_projection *p, const char *detail)
{
	while (*detail != '\0') {
		size_t length = strcspn(detail, "\n");

		lun_log(p->around->log, LUN_LOG_ERROR, "%s: %.*s", p->name,
		    (int)length, detail);
		detail += length + (detail[length] == '\n');
	}
}

static enum lun_log_level
choose_level(enum lun_state state)
{
	if (state == LUN_STATE_FAILED)
		return LUN_LOG_ERROR;
	return state == LUN_STATE_STANDBY ? LUN_LOG_WARNING : LUN_LOG_INFO;
}

static void
log_state(const struct lun_projection *p, enum lun_state state,
    const struct lun_err *error)
{
	lun_log(p->around->log, choose_level(state), "%s: %s%s%s", p->name,
	    state_names[state], error != NULL ? ": " : "",
	    error != NULL ? error->message : "");
	if (error != NULL)
		log_detail(p, error->detail);
}

void
lun_projection_enter(
    struct lun_projection *p, enum lun_phase next, const struct lun_err *error)
{
	struct lun_board *board = p->around->board;
	enum lun_phase now;
	enum lun_state before, after;
	bool allowed;

	pthread_mutex_lock(&board->lock);
	now = atomic_load(&p->phase);
	before = p->report.state;
	allowed = lun_phase_may_follow(now, next);
	if (allowed) {
		atomic_store(&p->phase, next);
		report_ownership(p, next);
		report_state(&p->report, next, error);
	}
	after = p->report.state;
	pthread_cond_broadcast(&board->changed);
	pthread_mutex_unlock(&board->lock);

	if (!allowed && now != LUN_PHASE_ABANDONED)
		lun_log(p->around->log, LUN_LOG_ERROR,
		    "%s: cannot be %s after it was %s; it stays so", p->name,
		    phases[next].word, phases[now].word);
	if (after != before)
		log_state(p, after, error);
}

void
lun_projection_release_phase(struct lun_projection *p)
{
	if (lun_projection_is(p, LUN_PHASE_FAILED))
		lun_projection_enter(p, LUN_PHASE_FAILED_UNOWNED, NULL);
	else if (lun_projection_is_owned(p))
		lun_projection_enter(p, LUN_PHASE_RELEASED, NULL);
}

void
lun_projection_doubt_checkpoint(struct lun_projection *p)
{
	if (lun_projection_is_prepared(p))
		lun_projection_enter(p, LUN_PHASE_OWNED, NULL);
}

void
lun_projection_begin_anew(struct lun_projection *p)
{
	p->attempts = 0;
	p->retry_at_ns = 0;
	lun_projection_note_error(p, NULL);
	/* Not failed any more, for whoever waits for it from now on. */
	if (lun_projection_is(p, LUN_PHASE_FAILED))
		lun_projection_enter(p, LUN_PHASE_OWNED, NULL);
	else if (lun_projection_is(p, LUN_PHASE_FAILED_UNOWNED))
		lun_projection_enter(p, LUN_PHASE_RELEASED, NULL);
}
