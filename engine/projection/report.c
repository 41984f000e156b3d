/* report.c - what others may see of a projection. */

#include <stdio.h>

#include "base/error.h"
#include "projection/projection.h"

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
