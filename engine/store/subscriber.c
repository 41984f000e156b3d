/*
 * subscriber.c - how somebody joins a shared reading, follows it and leaves.
 *
 * Why it is right stands in subscription.c.
 */

#include "store/subscription_inside.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/error.h"
#include "store/tenants.h"

#define SEEK_MOST_NS 10000000000LL /* … where it is in vain */

bool
lun_subscriber_has_joined(const struct lun_subscriber *subscriber)
{
	return atomic_load(&subscriber->joined);
}

/* ---- with the lock held ------------------------------------------------ */

static void
return_batch(struct lun_subscriber *m)
{
	lun_shared_batch_drop(m->lent);
	m->lent = NULL;
}

static void
want(struct lun_subscriber *m, struct lun_type_set *types)
{
	lun_type_set_drop(m->types);
	m->types = types;
	m->s->types_changed = true;
}

void
lun_subscriber_part(struct lun_subscriber *m)
{
	struct lun_subscription *s = m->s;

	if (!atomic_load(&m->joined))
		return;
	atomic_store(&m->joined, false);
	s->joined--;
	if (s->joined == 0)
		lun_ring_end(&s->ring);
}

/* ---- joining ----------------------------------------------------------- */

static bool
wants_these(
    const struct lun_subscriber *m, const struct lun_event_filter *filter)
{
	struct lun_type_set *types = lun_type_set_new(filter, 1);
	bool same = types != NULL && m->types != NULL &&
		    lun_type_set_covers(m->types, types) &&
		    lun_type_set_covers(types, m->types);

	lun_type_set_drop(types);
	return same;
}

/* From its next read on the thread reads what he wants, too. */
static bool
announce(struct lun_subscriber *m, const struct lun_event_filter *filter)
{
	struct lun_type_set *types;

	if (wants_these(m, filter))
		return true;
	types = lun_type_set_new(filter, 1);
	if (types == NULL)
		return false;
	want(m, types);
	return true;
}

static void
settle_at(
    struct lun_subscriber *m, uint64_t place, struct lun_position unproven)
{
	m->place = place;
	m->changes = lun_ring_at(&m->s->ring, place)->changes;
	m->unproven = unproven;
	m->called = false;
	m->seek_at_ns = LUN_SUBSCRIPTION_NEVER;
	m->seek_pause_ns = LUN_SEEK_NS;
	atomic_store(&m->joined, true);
	m->s->joined++;
}

/* Nobody reads for all yet: from his place on. */
static enum lun_code
found(struct lun_subscriber *m, const struct lun_joiner *joiner)
{
	struct lun_subscription *s = m->s;
	struct lun_position unproven;

	if (!joiner->at_head ||
	    !lun_event_store_same_reach(s->options.events, joiner->source_state,
		joiner->source_state, &unproven))
		return LUN_NOTFOUND;
	if (!lun_subscription_has_thread(s) ||
	    !lun_ring_begin(&s->ring, joiner->position, joiner->source_state))
		return LUN_NOTFOUND;
	s->begun++;
	s->look_now = true;
	s->away = false;
	lun_buffer_clear(&s->held_by);
	settle_at(m, lun_ring_newest(&s->ring), unproven);
	return LUN_OK;
}

/*
 * Whether he may go on from this place; the states are compared with the lock
 * given back. LUN_AGAIN: it is not the same any more.
 */
static enum lun_code
try_place(
    struct lun_subscriber *m, const struct lun_joiner *joiner, uint64_t number)
{
	struct lun_subscription *s = m->s;
	struct lun_place *place = lun_ring_at(&s->ring, number);
	uint64_t begun = s->begun, changes = place->changes;
	struct lun_buffer state = {0};
	struct lun_position unproven;
	bool same;

	lun_buffer_add_text(&state, lun_buffer_text(&place->state));
	pthread_mutex_unlock(&s->lock);
	same = !state.failed &&
	       lun_event_store_same_reach(s->options.events,
		   joiner->source_state, lun_buffer_text(&state), &unproven);
	lun_buffer_free(&state);
	pthread_mutex_lock(&s->lock);
	place = lun_ring_at(&s->ring, number);
	if (s->begun != begun || place == NULL || place->changes != changes)
		return LUN_AGAIN;
	if (!same)
		return LUN_NOTFOUND;
	settle_at(m, number, unproven);
	return LUN_OK;
}

/* The last place up to this position; false: all lie behind it. */
static bool
find_upto(struct lun_ring *ring, uint64_t covered, struct lun_position position,
    uint64_t *number)
{
	uint64_t newest = lun_ring_newest(ring);

	if (lun_position_compare(
		lun_ring_at(ring, covered)->position, position) > 0)
		return false;
	*number = covered;
	while (*number < newest &&
	       lun_position_compare(
		   lun_ring_at(ring, *number + 1)->position, position) <= 0)
		++*number;
	return true;
}

static bool
is_at(struct lun_ring *ring, uint64_t number, struct lun_position position)
{
	return lun_position_compare(
		   lun_ring_at(ring, number)->position, position) == 0;
}

/* Several places may have one position: late events lie between them. */
static enum lun_code
try_places(struct lun_subscriber *m, const struct lun_joiner *joiner,
    uint64_t covered, uint64_t number)
{
	enum lun_code code = LUN_NOTFOUND;

	while (code == LUN_NOTFOUND &&
	       lun_ring_at(&m->s->ring, number) != NULL &&
	       is_at(&m->s->ring, number, joiner->position)) {
		code = try_place(m, joiner, number);
		if (number-- == covered)
			break;
	}
	return code;
}

/* Behind what he has read, or after the next read, he can join. */
static enum lun_code
look_ahead(struct lun_subscriber *m, const struct lun_joiner *joiner,
    struct lun_position *upto)
{
	struct lun_ring *ring = &m->s->ring;
	uint64_t number = 0;

	if (ring->count > 0) {
		uint64_t covered = lun_ring_covered(ring, m->types);

		if (!find_upto(ring, covered, joiner->position, &number)) {
			*upto = lun_ring_at(ring, covered)->position;
			return LUN_AGAIN;
		}
		if (number < lun_ring_newest(ring)) {
			*upto = lun_ring_at(ring, number + 1)->position;
			return LUN_AGAIN;
		}
	}
	m->s->look_now = true;
	m->seek_at_ns = lun_clock_mono_ns() + m->seek_pause_ns;
	if (m->seek_pause_ns < SEEK_MOST_NS)
		m->seek_pause_ns *= 2;
	lun_subscription_ring(m->s);
	return LUN_NOTFOUND;
}

/* Whatever comes next is for him, too. */
static bool
is_read_for(const struct lun_subscriber *m)
{
	const struct lun_type_set *reading = m->s->reading;

	return reading == NULL || lun_type_set_covers(reading, m->types);
}

static enum lun_code
join(struct lun_subscriber *m, const struct lun_joiner *joiner,
    struct lun_position *upto)
{
	struct lun_ring *ring = &m->s->ring;
	uint64_t covered, number;

	if (ring->count == 0)
		return found(m, joiner);
	covered = lun_ring_covered(ring, m->types);
	if (is_read_for(m) &&
	    find_upto(ring, covered, joiner->position, &number) &&
	    is_at(ring, number, joiner->position) &&
	    try_places(m, joiner, covered, number) == LUN_OK)
		return LUN_OK;
	return look_ahead(m, joiner, upto);
}

enum lun_code
lun_subscriber_join(struct lun_subscriber *m, const struct lun_joiner *joiner,
    struct lun_position *upto)
{
	struct lun_subscription *s = m->s;
	enum lun_code code = LUN_NOTFOUND;

	pthread_mutex_lock(&s->lock);
	if (!s->stop && joiner->filter->stream.bytes == NULL &&
	    announce(m, joiner->filter))
		code = join(m, joiner, upto);
	pthread_mutex_unlock(&s->lock);
	if (code == LUN_OK)
		lun_subscription_ring(s);
	return code;
}

void
lun_subscriber_leave(struct lun_subscriber *m)
{
	pthread_mutex_lock(&m->s->lock);
	return_batch(m);
	lun_subscriber_part(m);
	want(m, NULL);
	m->seek_at_ns = LUN_SUBSCRIPTION_NEVER;
	pthread_mutex_unlock(&m->s->lock);
}

/* ---- taking ------------------------------------------------------------ */

bool
lun_subscriber_wants_any(
    const struct lun_subscriber *m, const struct lun_batch *batch)
{
	struct lun_event_filter filter = lun_type_set_filter(m->types);

	for (size_t i = 0; i < batch->count; i++)
		if (lun_event_filter_wants(&filter, batch->events[i].stream,
			batch->events[i].type))
			return true;
	return false;
}

static void
describe_place(const struct lun_place *place, struct lun_batch *view)
{
	view->reached = place->position;
	view->at_head = place->at_head;
	view->at_gap = place->at_gap;
	view->held = place->held;
	view->ripens = place->ripens;
	lun_buffer_add_text(
	    &view->source_state, lun_buffer_text(&place->state));
}

/* Pass over what he does not want; the batch that comes then, or NULL. */
static struct lun_shared_batch *
pass_unwanted(struct lun_subscriber *m)
{
	struct lun_ring *ring = &m->s->ring;
	struct lun_shared_batch *next;

	while ((next = lun_ring_at(ring, m->place)->next) != NULL &&
	       !lun_subscriber_wants_any(m, next->batch)) {
		m->place++;
		m->changes = 0;
	}
	return next;
}

/* It may have one that he was given before, or none such. */
static bool
is_in_doubt(
    const struct lun_subscriber *m, const struct lun_shared_batch *shared)
{
	return lun_position_compare(shared->lowest, m->unproven) <= 0;
}

/* He is where the reading is: only what is known there may be new. */
static enum lun_code
take_place(struct lun_subscriber *m, struct lun_batch *view)
{
	struct lun_place *place = lun_ring_at(&m->s->ring, m->place);

	if (m->changes == place->changes)
		return LUN_NOTFOUND;
	m->changes = place->changes;
	lun_batch_clear(view);
	describe_place(place, view);
	return LUN_OK;
}

static enum lun_code
take_batch(struct lun_subscriber *m, struct lun_shared_batch *shared)
{
	if (is_in_doubt(m, shared)) {
		lun_subscriber_part(m);
		return LUN_AGAIN;
	}
	shared->uses++;
	m->lent = shared;
	m->place++;
	m->changes = lun_ring_at(&m->s->ring, m->place)->changes;
	return LUN_OK;
}

static enum lun_code
take(struct lun_subscriber *m, struct lun_batch *view, struct lun_err *err)
{
	struct lun_subscription *s = m->s;
	struct lun_shared_batch *shared;

	return_batch(m);
	m->called = false;
	if (!atomic_load(&m->joined) ||
	    lun_ring_at(&s->ring, m->place) == NULL) {
		lun_subscriber_part(m);
		return LUN_AGAIN;
	}
	shared = pass_unwanted(m);
	if (shared != NULL)
		return take_batch(m, shared);
	if (lun_ring_is_full(&s->ring))
		lun_subscription_ring(
		    s); /* it waits for somebody to come so far */
	if (s->away)
		return lun_fail(err, LUN_UNAVAILABLE, "%s", s->why_away);
	return take_place(m, view);
}

/* With no lock: what is lent does not change. */
static bool
fill_view(const struct lun_subscriber *m, struct lun_batch *view)
{
	const struct lun_batch *batch = m->lent->batch;
	struct lun_event_filter filter = lun_type_set_filter(m->types);

	lun_batch_clear(view);
	for (size_t i = 0; i < batch->count; i++)
		if (lun_event_filter_wants(&filter, batch->events[i].stream,
			batch->events[i].type) &&
		    !lun_batch_lend(view, &batch->events[i]))
			return false;
	view->reached = batch->reached;
	view->at_head = batch->at_head;
	view->at_gap = batch->at_gap;
	view->held = batch->held;
	view->ripens = batch->ripens;
	lun_buffer_add_text(
	    &view->source_state, lun_buffer_text(&batch->source_state));
	return true;
}

/* The state is the shared one; the tenants before it are those he saw. */
static enum lun_code
see_tenants(const struct lun_subscriber *m, struct lun_text source_state,
    struct lun_batch *view, struct lun_err *err)
{
	struct lun_tenants own, others;
	struct lun_text rest;
	enum lun_code code = lun_tenants_split(source_state, &own, &rest, err);

	if (code == LUN_OK)
		code = lun_tenants_split(
		    lun_buffer_text(&view->source_state), &others, &rest, err);
	if (code != LUN_OK)
		return code;
	if (rest.length > 0)
		memmove(view->source_state.bytes, rest.bytes, rest.length);
	view->source_state.length = rest.length;
	if (m->s->options.events->has_tenants)
		lun_tenants_see(&own, view);
	return lun_tenants_join(&own, &view->source_state, err);
}

enum lun_code
lun_subscriber_next(struct lun_subscriber *m, struct lun_text source_state,
    struct lun_batch *view, struct lun_err *err)
{
	enum lun_code code;

	lun_batch_trim(view);
	pthread_mutex_lock(&m->s->lock);
	code = take(m, view, err);
	pthread_mutex_unlock(&m->s->lock);
	if (code != LUN_OK)
		return code;
	if (m->lent != NULL && !fill_view(m, view))
		view->source_state.failed = true;
	if (view->source_state.failed)
		return lun_fail(err, LUN_NOMEM, "read: out of memory");
	return see_tenants(m, source_state, view, err);
}

void
lun_subscriber_add_held_by(struct lun_subscriber *m, struct lun_buffer *words)
{
	pthread_mutex_lock(&m->s->lock);
	lun_buffer_add_text(words, lun_buffer_text(&m->s->held_by));
	pthread_mutex_unlock(&m->s->lock);
}

/* ---- life -------------------------------------------------------------- */

struct lun_subscriber *
lun_subscriber_new(
    struct lun_subscription *s, void (*wake)(void *arg), void *arg)
{
	struct lun_subscriber *m = calloc(1, sizeof *m);

	if (m == NULL)
		return NULL;
	m->s = s;
	m->wake = wake;
	m->arg = arg;
	m->seek_at_ns = LUN_SUBSCRIPTION_NEVER;
	m->seek_pause_ns = LUN_SEEK_NS;
	pthread_mutex_lock(&s->lock);
	m->next = s->members;
	s->members = m;
	pthread_mutex_unlock(&s->lock);
	return m;
}

void
lun_subscriber_free(struct lun_subscriber *m)
{
	struct lun_subscriber **at;
	struct lun_subscription *s;

	if (m == NULL)
		return;
	s = m->s;
	lun_subscriber_leave(m);
	pthread_mutex_lock(&s->lock);
	while (m->calling)
		pthread_cond_wait(&s->called, &s->lock);
	for (at = &s->members; *at != m; at = &(*at)->next)
		;
	*at = m->next;
	pthread_mutex_unlock(&s->lock);
	free(m);
}
