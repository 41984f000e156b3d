/*
 * known_head.c - a safe head that was found serves the reads on the way to it.
 *
 * A reader that is far behind would find with every batch what it knows: that
 * everything up to its next position is settled. The safe head only rises, so
 * the one that was found is a bound for every read below it. What a look says
 * beside that is had otherwise:
 *
 *   - The log is still the one that was read: the statement for the rows begins
 *     with the event read last, the anchor, which the state names. If another
 *     one stands there, several or none, nothing of the read counts: it is done
 *     anew with a look, and that says what is wrong.
 *   - What the safe head rests on is as it was: the rows up to the bound were
 *     written before it was found. What a look does not see in its mark either
 *     is looked for every second (catalogue_changes.c), so a head is known for
 *     no longer.
 *   - It is the same server: a bound is good on the connection that found it and
 *     on no other. Behind a pooler nobody knows the server, so nothing is kept.
 *
 * A try that was in vain costs more than some looks, and where rows go once they
 * are read every one would be: on that connection there is no other.
 *
 * Where only the locks of the writers tell what is settled, and that is source
 * state, every read looks.
 */

#include "postgres/events/reading.h"

#include "base/clock.h"

#define KNOWN_NS INT64_C(1000000000)

static bool
may_be_known(const struct lun_pg_reading *r)
{
	const struct lun_read *request = r->request;

	return request->to_head && !lun_read_is_bounded(request) &&
	       request->filter.stream.bytes == NULL && r->s->state.known &&
	       !r->s->source->pooled;
}

static bool
is_of_this_connection(const struct lun_pg_events *s)
{
	return s->c.conn != NULL && s->known_head.connection == s->c.made;
}

/* What a look would have said on the way to the bound. */
static void
recall(struct lun_pg_events *s)
{
	struct lun_pg_safe_head *head = &s->safe_head;

	head->bound = s->known_head.bound;
	lun_buffer_clear(&head->bound_anchor);
	lun_buffer_add_text(
	    &head->bound_anchor, lun_buffer_text(&s->known_head.bound_anchor));
	head->at_head = head->has_anchor = head->is_held = false;
	head->took_us = 0;
}

void
lun_pg_known_head_recall(struct lun_pg_reading *r)
{
	struct lun_pg_events *s = r->s;
	const struct lun_pg_known_head *known = &s->known_head;

	r->unasked = known->is_known && may_be_known(r) &&
		     is_of_this_connection(s) &&
		     !atomic_load(&s->source->in_doubt) &&
		     lun_clock_mono_ns() < known->until_ns &&
		     lun_position_compare(r->request->after, known->bound) < 0;
	r->expects_anchor = r->unasked;
	if (r->unasked)
		recall(s);
}

void
lun_pg_known_head_keep(struct lun_pg_reading *r, int64_t found_ns)
{
	struct lun_pg_events *s = r->s;
	struct lun_pg_known_head *known = &s->known_head;

	known->bound = s->safe_head.bound;
	known->connection = s->c.made;
	known->until_ns = found_ns + KNOWN_NS;
	lun_buffer_clear(&known->bound_anchor);
	lun_buffer_add_text(
	    &known->bound_anchor, lun_buffer_text(&s->safe_head.bound_anchor));
	known->is_known = !known->bound_anchor.failed &&
			  known->connection != known->in_vain_on;
}

bool
lun_pg_known_head_holds(struct lun_pg_reading *r, const struct lun_event *event)
{
	bool is_there =
	    lun_position_compare(event->position, r->request->after) == 0;

	if (r->expects_anchor)
		r->expects_anchor =
		    !is_there || !lun_text_equal(event->id,
				     lun_buffer_text(&r->s->state.anchor));
	else
		r->expects_anchor = is_there;
	return !r->expects_anchor;
}

void
lun_pg_known_head_forget(struct lun_pg_events *s)
{
	s->known_head.is_known = false;
	s->known_head.in_vain_on = s->known_head.connection;
}
