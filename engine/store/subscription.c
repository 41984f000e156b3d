/*
 * subscription.c - the reading of the tail, and who takes part.
 *
 * Why nothing is passed over or given twice. The ring holds places that one
 * reading came to, one after the other, each with its source state. Whoever
 * joins stands at one of them with the same reach, so from there on the batches
 * are what reads by himself would have given him: all events that he wants, as
 * each batch was read for his types too, also the one that a read under way
 * brings, in an order that keeps that of streams. He goes from place to place
 * and takes the state of each as his own; leaving, he has a state that a read
 * by himself goes on from. An event of which his state at the time of joining
 * says nothing (`unproven`) may have been given to him before: he leaves before
 * the batch with it, and his own read decides as it does after any restart.
 *
 * The fastest sets the pace: while the ring is full the thread reads on only
 * once somebody has had everything, and then the oldest batch goes; who had not
 * come to it yet finds himself left behind; who wants nothing of what was read
 * has had it. So one who is slow delays nobody,
 * and as long as all are busy nobody is lost.
 *
 * Nothing is read and nobody woken with the lock held. A failure that trying
 * again may mend keeps everybody where he is; any other one ends the reading,
 * and each finds the cause by himself, if it is one for him.
 */

#include "store/subscription_inside.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/thread.h"

#define NS_PER_MS   1000000LL
#define UNWANTED_NS (50 * NS_PER_MS)   /* between wakes for a position */
#define KNOWN_NS    (1000 * NS_PER_MS) /* the same for a state alone */
#define LOOK_NS     (1000 * NS_PER_MS) /* writers are given so long to end */
#define COST_FACTOR 100 /* who holds back takes that part of the time */
#define PARTS       8   /* of what is kept, a batch is one at most */
#define NEVER       LUN_SUBSCRIPTION_NEVER

/* ---- small things ------------------------------------------------------ */

void
lun_subscription_ring(struct lun_subscription *s)
{
	uint64_t one = 1;

	(void)!write(s->bell, &one, sizeof one);
}

void
lun_subscription_wake(struct lun_subscription *s)
{
	pthread_mutex_lock(&s->lock);
	s->look_now = true;
	pthread_mutex_unlock(&s->lock);
	lun_subscription_ring(s);
}

/* What he was lent stays until he comes back, and what he wants. */
static void
part_all(struct lun_subscription *s)
{
	for (struct lun_subscriber *m = s->members; m != NULL; m = m->next)
		lun_subscriber_part(m);
}

/* ---- waking ------------------------------------------------------------ */

static void
mark_all(struct lun_subscription *s)
{
	for (struct lun_subscriber *m = s->members; m != NULL; m = m->next)
		m->to_call = !m->called && atomic_load(&m->joined);
	s->unwanted_at_ns = s->known_at_ns = NEVER;
}

static void
be_due(int64_t *at_ns, int64_t pause_ns)
{
	int64_t then = lun_clock_mono_ns() + pause_ns;

	if (then < *at_ns)
		*at_ns = then;
}

/*
 * The batch before the newest place is there: whoever wants an event of it is
 * woken now, the others in a while. Those who had everything before are there
 * without coming, so that they hold up nothing.
 */
static void
pass_on(struct lun_subscription *s, const struct lun_batch *batch)
{
	uint64_t newest = lun_ring_newest(&s->ring);

	for (struct lun_subscriber *m = s->members; m != NULL; m = m->next) {
		if (!atomic_load(&m->joined))
			continue;
		if (lun_subscriber_wants_any(m, batch)) {
			m->to_call = m->to_call || !m->called;
		} else if (m->place + 1 == newest) {
			m->place = newest;
			m->changes = 0;
		}
	}
	be_due(&s->unwanted_at_ns, UNWANTED_NS);
}

static void
mark_due(struct lun_subscription *s)
{
	int64_t now = lun_clock_mono_ns();

	if (s->unwanted_at_ns <= now || s->known_at_ns <= now)
		mark_all(s);
	for (struct lun_subscriber *m = s->members; m != NULL; m = m->next) {
		if (m->seek_at_ns > now)
			continue;
		m->seek_at_ns = NEVER;
		m->to_call = true;
	}
}

/* The next moment when somebody is woken; NEVER: none is known. */
static int64_t
next_due(const struct lun_subscription *s)
{
	int64_t at_ns = s->unwanted_at_ns < s->known_at_ns ? s->unwanted_at_ns
							   : s->known_at_ns;

	for (struct lun_subscriber *m = s->members; m != NULL; m = m->next)
		if (m->seek_at_ns < at_ns)
			at_ns = m->seek_at_ns;
	return at_ns;
}

/* The lock is given back for each call. */
static void
call_marked(struct lun_subscription *s)
{
	for (struct lun_subscriber *m = s->members; m != NULL; m = m->next) {
		if (!m->to_call)
			continue;
		m->to_call = false;
		m->called = m->calling = true;
		pthread_mutex_unlock(&s->lock);
		m->wake(m->arg);
		pthread_mutex_lock(&s->lock);
		m->calling = false;
		pthread_cond_broadcast(&s->called);
	}
}

/* ---- reading ----------------------------------------------------------- */

/* The read under way. */
struct tail_read {
	uint64_t begun;
	struct lun_type_set *types;
	struct lun_read request;
	struct lun_batch *batch;
};

static bool
unite_types(struct lun_subscription *s)
{
	struct lun_event_filter *filters;
	struct lun_type_set *types;
	size_t count = 0;

	if (!s->types_changed && s->types != NULL)
		return true;
	for (struct lun_subscriber *m = s->members; m != NULL; m = m->next)
		count += m->types != NULL;
	filters = malloc((count + 1) * sizeof *filters);
	if (filters == NULL)
		return false;
	count = 0;
	for (struct lun_subscriber *m = s->members; m != NULL; m = m->next)
		if (m->types != NULL)
			filters[count++] = lun_type_set_filter(m->types);
	types = lun_type_set_new(filters, count);
	free(filters);
	if (types == NULL)
		return false;
	lun_type_set_drop(s->types);
	s->types = types;
	s->types_changed = false;
	return true;
}

static enum lun_code
begin_read(struct lun_subscription *s, struct tail_read *r, struct lun_err *err)
{
	struct lun_place *place =
	    lun_ring_at(&s->ring, lun_ring_newest(&s->ring));

	r->begun = s->begun;
	r->types = NULL;
	lun_buffer_clear(&s->state);
	lun_buffer_add_text(&s->state, lun_buffer_text(&place->state));
	r->batch = lun_batch_new();
	if (r->batch == NULL || s->state.failed || !unite_types(s))
		return lun_fail(err, LUN_NOMEM, "out of memory");
	r->types = s->reading = lun_type_set_use(s->types);
	r->request = (struct lun_read){
	    .after = place->position,
	    .filter = lun_type_set_filter(r->types),
	    .source_state = lun_buffer_text(&s->state),
	    .max_events = s->size,
	    .max_bytes = s->options.kept_bytes / PARTS,
	};
	return LUN_OK;
}

/* Not with the lock held. */
static enum lun_code
read_next(struct lun_subscription *s, struct tail_read *r, struct lun_err *err)
{
	enum lun_code code = LUN_OK;

	if (s->events == NULL) {
		pthread_mutex_lock(s->options.connect_lock);
		code =
		    lun_event_store_connect(s->options.events, &s->events, err);
		pthread_mutex_unlock(s->options.connect_lock);
	}
	return code == LUN_OK
		   ? lun_event_store_read(s->events, &r->request, r->batch, err)
		   : code;
}

static void
found_nothing(struct lun_subscription *s, int64_t cost_us, bool held)
{
	lun_idle_found_nothing(
	    &s->idle, &(struct lun_look){.who = "live projections",
			  .log = s->options.log,
			  .cost_us = cost_us,
			  .lookers = 1,
			  .held = held,
			  .most_ms = s->options.poll_ms});
}

/* Small at the head, so that nobody waits for others' events. */
static void
adapt_size(struct lun_subscription *s, const struct lun_batch *batch)
{
	size_t most = s->options.batch_events;

	if (batch->at_head)
		s->size = s->options.live_events;
	else if (batch->count >= s->size)
		s->size = s->size * 2 < most ? s->size * 2 : most;
}

/* Who waits for the store, or for a writer, may be told something else now. */
static bool
is_other_news(const struct lun_subscription *s, const struct lun_batch *batch)
{
	struct lun_ring *ring = &((struct lun_subscription *)s)->ring;
	const struct lun_place *place =
	    lun_ring_at(ring, lun_ring_newest(ring));

	return s->away || place->held != batch->held ||
	       place->at_head != batch->at_head;
}

/* False: no memory. The batch is taken over. */
static bool
keep(struct lun_subscription *s, struct tail_read *r)
{
	struct lun_batch *batch = r->batch;
	bool moved = batch->count > 0 ||
		     lun_position_compare(batch->reached, r->request.after) > 0;
	bool other = is_other_news(s, batch);
	bool kept = true;

	adapt_size(s, batch);
	if (moved || !batch->at_head)
		lun_idle_begin(&s->idle);
	else
		found_nothing(s, batch->look_us, batch->held);
	if (!moved && batch->at_gap)
		be_due(&s->known_at_ns, KNOWN_NS);
	while (moved && lun_ring_is_full(&s->ring))
		lun_ring_drop_first(&s->ring);
	r->batch = moved ? NULL : batch;
	kept = moved ? lun_ring_add(&s->ring, batch, r->types)
		     : lun_ring_renew(&s->ring, batch);
	if (kept && moved)
		pass_on(s, batch);
	if (kept && s->away)
		lun_ring_at(&s->ring, lun_ring_newest(&s->ring))->changes++;
	if (other)
		mark_all(s);
	s->away = false;
	return kept;
}

/* They stay, and are told why nothing comes. */
static void
note_away(struct lun_subscription *s, const struct lun_err *err)
{
	found_nothing(s, 0, false);
	if (!s->away || strcmp(s->why_away, err->message) != 0)
		mark_all(s);
	s->away = true;
	snprintf(s->why_away, sizeof s->why_away, "%s", err->message);
}

/* Each reads by himself from where he is, and finds the cause, or none. */
static void
end_reading(struct lun_subscription *s, const struct lun_err *err)
{
	lun_log(s->options.log, LUN_LOG_INFO,
	    "events: live projections read for themselves now: %s",
	    err->message);
	mark_all(s);
	part_all(s);
}

/* What came of it; the ring may be another one by now, or none. */
static void
end_read(struct lun_subscription *s, struct tail_read *r, enum lun_code code,
    struct lun_err *err)
{
	bool wanted = s->begun == r->begun && s->ring.count > 0;

	s->reading = NULL;
	if (code == LUN_OK && wanted && !keep(s, r))
		code = lun_fail(err, LUN_NOMEM, "out of memory");
	if (code == LUN_UNAVAILABLE && wanted)
		note_away(s, err);
	else if (code != LUN_OK && wanted)
		end_reading(s, err);
	lun_type_set_drop(r->types);
	lun_batch_free(r->batch);
}

/* ---- what writers hold back -------------------------------------------- */

static void
ask_who_holds(struct lun_subscription *s, int64_t now)
{
	struct lun_buffer words = {0};
	enum lun_code code;
	int64_t cost;

	pthread_mutex_unlock(&s->lock);
	code = lun_event_store_held_by(
	    s->events, lun_buffer_text(&s->state), &words, NULL);
	pthread_mutex_lock(&s->lock);
	lun_buffer_clear(&s->held_by);
	if (code == LUN_OK && !words.failed)
		lun_buffer_add_text(&s->held_by, lun_buffer_text(&words));
	lun_buffer_free(&words);
	cost = (lun_clock_mono_ns() - now) * COST_FACTOR;
	s->held_look_ns = now + (cost > LOOK_NS ? cost : LOOK_NS);
	mark_all(s);
}

/* After a read that brought nothing. */
static void
look_who_holds(struct lun_subscription *s, bool held)
{
	int64_t now = lun_clock_mono_ns();

	if (!held) {
		s->held_look_ns = 0;
		lun_buffer_clear(&s->held_by);
	} else if (s->held_look_ns == 0) {
		s->held_look_ns = now + LOOK_NS;
	} else if (now >= s->held_look_ns) {
		ask_who_holds(s, now);
	}
}

/* ---- the thread -------------------------------------------------------- */

static void
look(struct lun_subscription *s)
{
	struct tail_read r;
	struct lun_err err = {0};
	enum lun_code code = begin_read(s, &r, &err);
	bool held = false;

	s->look_now = false;
	if (code == LUN_OK) {
		pthread_mutex_unlock(&s->lock);
		code = read_next(s, &r, &err);
		pthread_mutex_lock(&s->lock);
	}
	if (code == LUN_OK)
		held = r.batch->held && r.batch->count == 0;
	end_read(s, &r, code, &err);
	if (code == LUN_OK)
		look_who_holds(s, held);
}

/* Somebody has had everything and waits, or there is room to read ahead. */
static bool
may_read(struct lun_subscription *s)
{
	if (!lun_ring_is_full(&s->ring))
		return s->joined > 0;
	for (struct lun_subscriber *m = s->members; m != NULL; m = m->next)
		if (atomic_load(&m->joined) &&
		    m->place == lun_ring_newest(&s->ring))
			return true;
	return false;
}

static int
ms_until(int64_t at_ns)
{
	struct lun_idle then = {.look_at_ns = at_ns};

	return lun_idle_left_ms(&then);
}

/* Milliseconds until there is something to do. */
static int
plan(const struct lun_subscription *s, bool may)
{
	int64_t at_ns = next_due(s);

	if (may && s->look_now)
		return 0;
	if (may && s->idle.look_at_ns < at_ns)
		at_ns = s->idle.look_at_ns;
	return at_ns == NEVER ? -1 : ms_until(at_ns);
}

static void
tell_notice(struct lun_subscription *s)
{
	char notice[LUN_NOTICE_SIZE];

	if (lun_event_store_notice(s->events, notice))
		lun_log(s->options.log, LUN_LOG_WARNING, "events: %s", notice);
}

/* Until the bell rings, the store hints at news, or the time is up. */
static void
wait_for_news(struct lun_subscription *s, int timeout_ms)
{
	int hint = s->events != NULL ? lun_event_store_wake_fd(s->events) : -1;
	struct pollfd sources[2] = {
	    {.fd = s->bell, .events = POLLIN},
	    {.fd = hint, .events = POLLIN},
	};
	uint64_t count;

	if (hint >= 0)
		tell_notice(s);
	if (poll(sources, 2, timeout_ms) <= 0)
		return;
	if (sources[0].revents != 0)
		(void)!read(s->bell, &count, sizeof count);
	if (hint < 0 || sources[1].revents == 0)
		return;
	lun_event_store_drain(s->events);
	lun_idle_begin(&s->idle);
}

static void *
run(void *arg)
{
	struct lun_subscription *s = arg;

	pthread_mutex_lock(&s->lock);
	while (!s->stop) {
		bool may = may_read(s);
		int timeout_ms = plan(s, may);

		if (timeout_ms == 0 && may &&
		    (s->look_now || lun_idle_left_ms(&s->idle) == 0))
			look(s);
		mark_due(s);
		call_marked(s);
		if (timeout_ms == 0 || s->stop)
			continue;
		pthread_mutex_unlock(&s->lock);
		wait_for_news(s, timeout_ms);
		pthread_mutex_lock(&s->lock);
	}
	mark_all(s);
	part_all(s);
	pthread_mutex_unlock(&s->lock);
	lun_event_store_close(s->events);
	s->events = NULL;
	return NULL;
}

/* ---- life -------------------------------------------------------------- */

bool
lun_subscription_has_thread(struct lun_subscription *s)
{
	if (!s->has_thread && !s->stop)
		s->has_thread = lun_thread_start(&s->thread, "lunette-tail",
				    run, s, NULL) == LUN_OK;
	return s->has_thread;
}

enum lun_code
lun_subscription_new(const struct lun_subscription_options *options,
    struct lun_subscription **out, struct lun_err *err)
{
	struct lun_subscription *s = calloc(1, sizeof *s);

	if (s == NULL)
		return lun_fail(err, LUN_NOMEM, "subscription: out of memory");
	s->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->bell < 0) {
		free(s);
		return lun_fail(err, LUN_IO,
		    "subscription: no event descriptor: %s",
		    lun_errno_words(errno));
	}
	s->options = *options;
	s->ring.most_bytes = options->kept_bytes;
	s->size = options->live_events;
	lun_idle_begin(&s->idle);
	s->unwanted_at_ns = s->known_at_ns = NEVER;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->called, NULL);
	*out = s;
	return LUN_OK;
}

void
lun_subscription_stop(struct lun_subscription *s)
{
	bool has_thread;

	pthread_mutex_lock(&s->lock);
	s->stop = true;
	has_thread = s->has_thread;
	pthread_mutex_unlock(&s->lock);
	lun_subscription_ring(s);
	if (has_thread)
		pthread_join(s->thread, NULL);
	pthread_mutex_lock(&s->lock);
	s->has_thread = s->stop = false;
	pthread_mutex_unlock(&s->lock);
}

void
lun_subscription_free(struct lun_subscription *s)
{
	if (s == NULL)
		return;
	lun_subscription_stop(s);
	lun_ring_end(&s->ring);
	lun_type_set_drop(s->types);
	lun_buffer_free(&s->state);
	lun_buffer_free(&s->held_by);
	close(s->bell);
	pthread_cond_destroy(&s->called);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
