/* report.c - what others may see of a projection. */

#include <stdio.h>

#include "base/clock.h"
#include "base/error.h"
#include "projection/projection.h"

#define TOLD_EVERY_NS 1000000000LL /* changed causes of a wait, in the log */

void
lun_projection_wait_for(struct lun_projection *p, const char *what)
{
	struct lun_board *board = p->around->board;

	pthread_mutex_lock(&board->lock);
	snprintf(
	    p->report.waiting_for, sizeof p->report.waiting_for, "%s", what);
	pthread_mutex_unlock(&board->lock);
}

/* Whether the log is to be told; with the lock held. */
static bool
note_wait(struct lun_projection *p, const char *why)
{
	struct lun_report *report = &p->report;
	int64_t now = lun_clock_mono_ns();
	bool waits = report->waiting_for[0] != '\0';
	bool same = strncmp(report->waiting_for, why,
			sizeof report->waiting_for - 1) == 0;

	snprintf(report->waiting_for, sizeof report->waiting_for, "%s", why);
	p->wait_is_told = p->wait_is_told && waits && same;
	if (p->wait_is_told || (waits && now < p->wait_told_ns + TOLD_EVERY_NS))
		return false;
	p->wait_is_told = true;
	p->wait_told_ns = now;
	return true;
}

void
lun_projection_wait_for_store(struct lun_projection *p, const char *why)
{
	struct lun_board *board = p->around->board;
	bool told;

	pthread_mutex_lock(&board->lock);
	told = note_wait(p, why);
	pthread_mutex_unlock(&board->lock);
	if (told)
		lun_log(p->around->log, LUN_LOG_WARNING, "%s waits: %s",
		    p->name, why);
}

void
lun_projection_request_waits(struct lun_projection *p, const char *why)
{
	struct lun_report *report = &p->report;
	bool waits;

	pthread_mutex_lock(&p->around->board->lock);
	waits = report->request_waits[0] != '\0';
	snprintf(
	    report->request_waits, sizeof report->request_waits, "%s", why);
	pthread_mutex_unlock(&p->around->board->lock);
	if (!waits && why[0] != '\0')
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
	if (report.waiting_for[0] == '\0')
		memcpy(report.waiting_for, report.request_waits,
		    sizeof report.waiting_for);
	if (report.waiting_for[0] == '\0')
		memcpy(report.waiting_for, report.held_by,
		    sizeof report.waiting_for);
	return report;
}

enum lun_state
lun_projection_state(struct lun_projection *p)
{
	enum lun_state state;

	pthread_mutex_lock(&p->around->board->lock);
	state = p->report.state;
	pthread_mutex_unlock(&p->around->board->lock);
	return state;
}

void
lun_projection_fill_heartbeat(
    struct lun_projection *p, struct lun_heartbeat *heartbeat)
{
	struct lun_report report = lun_projection_report(p);

	*heartbeat = (struct lun_heartbeat){
	    .events_per_second = report.events_per_second};
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
lun_projection_note_reached(
    struct lun_projection *p, struct lun_position position)
{
	if (p->batch->at_head &&
	    lun_position_compare(position, p->batch->reached) == 0 &&
	    (lun_projection_is(p, LUN_PHASE_PREPARED) ||
		lun_projection_is(p, LUN_PHASE_CATCHING_UP)))
		lun_projection_enter(p, LUN_PHASE_LIVE, NULL);
	lun_projection_note_position(p, position);
}

void
lun_projection_forget_position(struct lun_projection *p)
{
	pthread_mutex_lock(&p->around->board->lock);
	p->report.has_position = false;
	pthread_mutex_unlock(&p->around->board->lock);
}
