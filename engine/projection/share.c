/*
 * share.c - how a live projection takes part in the reading of the tail.
 *
 * It joins where the shared reading gave out what its own did (subscription.h):
 * right after its checkpoint was read, or once it is live. Until then it reads
 * by itself, and where it may join further on, no further than that. It leaves
 * with whatever makes it begin anew (lun_projection_abandon_batch()) and before
 * a batch that has to be cut. Its cursor and their state are those of the last
 * batch that it had, so wherever it leaves it goes on from there.
 */

#include "base/error.h"
#include "projection/projection.h"

void
lun_projection_share(
    struct lun_projection *p, void (*wake)(void *arg), void *arg)
{
	/* What it knew of the head, stepped by hand, may be long ago. */
	lun_projection_doubt_checkpoint(p);
	if (p->around->subscription != NULL && p->subscriber == NULL)
		p->subscriber =
		    lun_subscriber_new(p->around->subscription, wake, arg);
}

void
lun_projection_end_sharing(struct lun_projection *p)
{
	if (p->subscriber == NULL)
		return;
	lun_projection_leave_shared(p);
	lun_subscriber_free(p->subscriber);
	p->subscriber = NULL;
}

bool
lun_projection_shares(const struct lun_projection *p)
{
	return p->subscriber != NULL &&
	       lun_subscriber_has_joined(p->subscriber);
}

void
lun_projection_leave_shared(struct lun_projection *p)
{
	p->upto = LUN_POSITION_START;
	if (p->subscriber == NULL)
		return;
	if (p->batch != NULL)
		lun_batch_trim(p->batch);
	lun_subscriber_leave(p->subscriber);
}

static enum lun_code
join(struct lun_projection *p)
{
	struct lun_joiner joiner = {
	    .position = p->cursor,
	    .source_state = lun_buffer_text(&p->cursor_state),
	    .filter = lun_script_filter(p->script),
	    .at_head = lun_projection_is(p, LUN_PHASE_LIVE),
	};
	enum lun_code code;

	if (!joiner.at_head && !lun_projection_is(p, LUN_PHASE_PREPARED))
		return LUN_NOTFOUND;
	code = lun_subscriber_join(p->subscriber, &joiner, &p->upto);
	if (code != LUN_OK)
		return code;
	lun_event_store_close(p->events);
	p->events = NULL;
	lun_log(p->around->log, LUN_LOG_DEBUG,
	    "%s: shares the reading of events", p->name);
	return LUN_OK;
}

static enum lun_code
take_next(struct lun_projection *p, struct lun_err *err)
{
	enum lun_code code = lun_subscriber_next(
	    p->subscriber, lun_buffer_text(&p->cursor_state), p->batch, err);

	if (code == LUN_AGAIN)
		lun_log(p->around->log, LUN_LOG_DEBUG,
		    "%s: reads by itself again", p->name);
	return code;
}

bool
lun_projection_may_share(struct lun_projection *p)
{
	return p->subscriber != NULL && !lun_projection_shares(p) &&
	       join(p) != LUN_NOTFOUND;
}

enum lun_code
lun_projection_take_shared(struct lun_projection *p, struct lun_err *err)
{
	p->upto = LUN_POSITION_START;
	if (p->subscriber == NULL)
		return LUN_AGAIN;
	if (p->only > 0) {
		lun_projection_leave_shared(p);
		return LUN_AGAIN;
	}
	if (!lun_subscriber_has_joined(p->subscriber) && join(p) != LUN_OK)
		return LUN_AGAIN;
	return take_next(p, err);
}
