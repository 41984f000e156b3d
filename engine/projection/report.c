/* report.c - the states of a projection, and what others may see of it. */

#include <stdio.h>

#include "base/clock.h"
#include "base/error.h"
#include "projection/projection.h"

static const char *const state_names[] = {
    [LUN_STATE_NEW] = "new",
    [LUN_STATE_CATCHING_UP] = "catching_up",
    [LUN_STATE_LIVE] = "live",
    [LUN_STATE_PAUSED] = "paused",
    [LUN_STATE_HELD] = "held",
    [LUN_STATE_FAILED] = "failed",
    [LUN_STATE_DETACHED] = "detached",
};

const char *
lun_state_name(enum lun_state state)
{
	return state_names[state];
}

static enum lun_log_level
level_of(enum lun_state state)
{
	if (state == LUN_STATE_FAILED)
		return LUN_LOG_ERROR;
	return state == LUN_STATE_HELD ? LUN_LOG_WARNING : LUN_LOG_INFO;
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

void
lun_projection_enter(
    struct lun_projection *p, enum lun_state state, const struct lun_err *error)
{
	struct lun_board *board = p->around->board;
	bool changed;

	pthread_mutex_lock(&board->lock);
	changed = p->report.state != state;
	/* That another engine ran it is no error of this one's time. */
	if (changed && p->report.state == LUN_STATE_HELD)
		p->report.last_error[0] = '\0';
	p->report.state = state;
	if (error != NULL)
		snprintf(p->report.last_error, sizeof p->report.last_error,
		    "%s", error->message);
	else if (state == LUN_STATE_LIVE || state == LUN_STATE_CATCHING_UP)
		p->report.waiting_for[0] = '\0';
	pthread_cond_broadcast(&board->changed);
	pthread_mutex_unlock(&board->lock);

	if (!changed)
		return;
	lun_log(p->around->log, level_of(state), "%s: %s%s%s", p->name,
	    state_names[state], error != NULL ? ": " : "",
	    error != NULL ? error->message : "");
	if (error != NULL)
		log_detail(p, error->detail);
}

void
lun_projection_begin_anew(struct lun_projection *p)
{
	p->failed = false;
	p->attempts = 0;
	p->retry_at_ns = 0;
	lun_projection_note_error(p, NULL);
	/* Not failed any more, for whoever waits for it from now on. */
	if (lun_projection_report(p).state == LUN_STATE_FAILED)
		lun_projection_enter(p, LUN_STATE_CATCHING_UP, NULL);
}

void
lun_projection_wait_for(struct lun_projection *p, const char *what)
{
	struct lun_board *board = p->around->board;

	pthread_mutex_lock(&board->lock);
	snprintf(
	    p->report.waiting_for, sizeof p->report.waiting_for, "%s", what);
	pthread_mutex_unlock(&board->lock);
}

void
lun_projection_wait_for_store(struct lun_projection *p, const char *why)
{
	bool waits = lun_projection_report(p).waiting_for[0] != '\0';

	lun_projection_wait_for(p, why);
	if (!waits)
		lun_log(p->around->log, LUN_LOG_WARNING, "%s waits: %s",
		    p->name, why);
}

void
lun_projection_note_loss(struct lun_projection *p, int64_t fence)
{
	struct lun_board *board = p->around->board;

	pthread_mutex_lock(&board->lock);
	if (p->report.owned && p->report.fence == fence)
		p->report.lost = true;
	pthread_mutex_unlock(&board->lock);
}

struct lun_report
lun_projection_report(struct lun_projection *p)
{
	struct lun_report report;

	pthread_mutex_lock(&p->around->board->lock);
	report = p->report;
	pthread_mutex_unlock(&p->around->board->lock);
	return report;
}

void
lun_projection_fill_heartbeat(
    struct lun_projection *p, struct lun_heartbeat *heartbeat)
{
	struct lun_report report = lun_projection_report(p);

	*heartbeat = (struct lun_heartbeat){
	    .events_per_second = report.events_per_second,
	    .at = lun_clock_wall_us(),
	};
	snprintf(
	    heartbeat->projection, sizeof heartbeat->projection, "%s", p->name);
	heartbeat->build = p->key.build;
	heartbeat->shard = p->key.shard;
	snprintf(
	    heartbeat->owner, sizeof heartbeat->owner, "%s", p->around->owner);
	snprintf(heartbeat->state, sizeof heartbeat->state, "%s",
	    lun_state_name(report.state));
	snprintf(heartbeat->waiting_for, sizeof heartbeat->waiting_for, "%s",
	    report.waiting_for);
	snprintf(heartbeat->last_error, sizeof heartbeat->last_error, "%s",
	    report.last_error);
}

void
lun_projection_note_error(struct lun_projection *p, const struct lun_err *error)
{
	struct lun_board *board = p->around->board;

	pthread_mutex_lock(&board->lock);
	snprintf(p->report.last_error, sizeof p->report.last_error, "%s",
	    error != NULL ? error->message : "");
	pthread_mutex_unlock(&board->lock);
}

void
lun_board_ring(struct lun_board *board)
{
	pthread_mutex_lock(&board->lock);
	board->endings++;
	pthread_cond_broadcast(&board->changed);
	pthread_mutex_unlock(&board->lock);
}

void
lun_projection_note_position(
    struct lun_projection *p, struct lun_position position)
{
	struct lun_board *board = p->around->board;

	pthread_mutex_lock(&board->lock);
	p->report.position = position;
	p->report.has_position = true;
	pthread_cond_broadcast(&board->changed);
	pthread_mutex_unlock(&board->lock);
}

void
lun_projection_forget_position(struct lun_projection *p)
{
	pthread_mutex_lock(&p->around->board->lock);
	p->report.has_position = false;
	pthread_mutex_unlock(&p->around->board->lock);
}
