/*
 * step.c - one step of a projection: read a batch, apply it, commit it.
 *
 * Why nothing is passed over. `cursor` is what is applied, `committed` what is
 * durable; the first runs ahead of the second by one commit at most. A batch
 * is read after the cursor, or was fetched ahead after the end of the batch
 * before it, which is where the cursor then stands: whatever breaks that order
 * (a cut, a failure, a request) ends the fetching and drops what it brought.
 * The cursor moves to where the store says that the batch reached, together
 * with the store's own state, and only once the batch is with a commit; events
 * that nobody wants move it alone. After a failure the batch, the rows and the
 * cursor count no more and the step begins with the checkpoint. A step that is
 * killed leaves only what was committed.
 */

#include "base/clock.h"
#include "base/error.h"
#include "data/documents.h"
#include "projection/projection.h"

#define SMALL_BATCH      16
#define LONG_COMMIT_NS   1000000000LL
#define POSITION_ONLY_NS 1000000000LL /* between commits that move it alone */

/* ---- reading ----------------------------------------------------------- */

static size_t
next_batch_size(const struct lun_projection *p)
{
	return p->only > 0 ? p->only : p->batch_size;
}

/* It reads up to where it may join those who share a reading. */
static bool
is_bounded(const struct lun_projection *p)
{
	return lun_position_compare(p->upto, LUN_POSITION_START) > 0;
}

static void
fill_request(const struct lun_projection *p, struct lun_position after,
    struct lun_text source_state, struct lun_read *request)
{
	*request = (struct lun_read){
	    .after = after,
	    .filter = *lun_script_filter(p->script),
	    .source_state = source_state,
	    .max_events = next_batch_size(p),
	    .max_bytes = lun_memory_share(p->around->memory).batch,
	    .to_head = p->has_worker,
	    .upto = p->upto,
	};
}

/*
 * The rest is skimmed by whoever needs it, who also finds again what is wrong
 * with a document. So neither thread waits for what the other could do.
 */
static void
skim_data(struct lun_batch *batch, const atomic_bool *awaited)
{
	if (!lun_documents_begin(batch->documents, 2 * batch->count))
		return;
	for (size_t i = 0; i < batch->count && !atomic_load(awaited); i++)
		(void)!lun_documents_open(batch->documents, 2 * i,
		    batch->events[i].type, batch->events[i].data, NULL);
}

static enum lun_code
fetch_ahead(void *arg, struct lun_err *err)
{
	struct lun_projection *p = arg;
	enum lun_code code;

	lun_batch_clear(p->ahead);
	code =
	    lun_event_store_read(p->events, &p->ahead_request, p->ahead, err);
	if (code == LUN_OK && p->ahead_skimmed)
		skim_data(p->ahead, &p->ahead_awaited);
	return code;
}

static void
swap_batches(struct lun_projection *p)
{
	struct lun_batch *batch = p->batch;

	p->batch = p->ahead;
	p->ahead = batch;
}

/* It may have been replaced since the checkpoint was read. */
static enum lun_code
open_events(struct lun_projection *p, struct lun_err *err)
{
	enum lun_code code;

	if (p->events != NULL)
		return LUN_OK;
	code = lun_projection_connect_events(p, err);
	return code == LUN_OK ? lun_projection_check_identity(
				    p, p->events, p->identity, err)
			      : code;
}

static enum lun_code
read_batch(struct lun_projection *p, struct lun_err *err)
{
	enum lun_code code = open_events(p, err);
	struct lun_read request;

	if (code != LUN_OK)
		return code;
	fill_request(p, p->cursor, lun_buffer_text(&p->cursor_state), &request);
	lun_batch_clear(p->batch);
	return lun_event_store_read(p->events, &request, p->batch, err);
}

/*
 * Bring the next batch into p->batch: fetched ahead, shared, or read now.
 * LUN_NOTFOUND: those who share have nothing.
 */
static enum lun_code
obtain_batch(struct lun_projection *p, struct lun_err *err)
{
	enum lun_code code;

	if (p->fetch_under_way) {
		p->fetch_under_way = false;
		atomic_store(&p->ahead_awaited, true);
		code = lun_background_wait(p->fetcher, err);
		if (code == LUN_OK)
			swap_batches(p);
		return code;
	}
	code = lun_projection_take_shared(p, err);
	return code == LUN_AGAIN ? read_batch(p, err) : code;
}

/* No larger than its models will fit, as far as that can be known. */
static size_t
grow_batch(const struct lun_projection *p, size_t most)
{
	size_t room = lun_memory_share(p->around->memory).touched;
	size_t fit = room / (p->touched_each + 1);
	size_t size = p->batch_size * 2;

	if (size > fit)
		size = fit > p->batch_size ? fit : p->batch_size;
	return size < most ? size : most;
}

/*
 * Catching up: batches double up to the limit, as long as a commit takes less
 * than a second, for longer ones hold up others; live: they stay small.
 */
static void
adapt_batch_size(struct lun_projection *p)
{
	const struct lun_settings *settings = p->around->settings;
	size_t most = (size_t)settings->batch_events;
	size_t live = (size_t)settings->live_events;

	if (p->batch->at_head)
		p->batch_size = live < most ? live : most;
	else if (p->commit_took_ns > LONG_COMMIT_NS && p->batch_size > live)
		p->batch_size = (p->batch_size + 1) / 2;
	else if (p->commit_took_ns < LONG_COMMIT_NS / 2 &&
		 p->batch->count >= p->batch_size)
		p->batch_size = grow_batch(p, most);
}

static void
start_fetching(struct lun_projection *p)
{
	if (!p->fetches || p->fetcher == NULL || p->batch->at_head ||
	    p->only > 0 || p->batch->count == 0 || lun_projection_shares(p) ||
	    is_bounded(p))
		return;
	if (p->ahead == NULL)
		p->ahead = lun_batch_new();
	if (p->ahead == NULL)
		return;
	fill_request(p, p->batch->reached,
	    lun_buffer_text(&p->batch->source_state), &p->ahead_request);
	p->ahead_skimmed = p->looks_inside;
	atomic_store(&p->ahead_awaited, false);
	p->fetch_under_way = true;
	lun_background_submit(p->fetcher, fetch_ahead, p);
}

void
lun_projection_end_fetching(struct lun_projection *p)
{
	atomic_store(&p->ahead_awaited, true);
	if (p->fetch_under_way)
		(void)!lun_background_wait(p->fetcher, NULL);
	p->fetch_under_way = false;
}

void
lun_projection_abandon_batch(struct lun_projection *p)
{
	if (p->uow == NULL)
		return; /* it has never run */
	lun_projection_end_fetching(p);
	(void)!lun_projection_settle(p, NULL);
	lun_uow_forget(p->uow);
	if (p->script != NULL)
		lun_script_end_batch(p->script);
	lun_projection_leave_shared(p);
	lun_failed_events_clear(&p->parked);
	lun_failed_events_clear(&p->skipped);
}

/* ---- the step ---------------------------------------------------------- */

static void
count_events(struct lun_projection *p, size_t count)
{
	pthread_mutex_lock(&p->around->board->lock);
	p->report.events_read += count;
	pthread_mutex_unlock(&p->around->board->lock);
}

static enum lun_code
note_cursor(struct lun_projection *p, struct lun_err *err)
{
	p->cursor = p->batch->reached;
	lun_buffer_clear(&p->cursor_state);
	lun_buffer_add_text(
	    &p->cursor_state, lun_buffer_text(&p->batch->source_state));
	if (p->cursor_state.failed)
		return lun_fail(err, LUN_NOMEM, "%s: out of memory", p->name);
	return LUN_OK;
}

/* A position that moved alone is committed now and then. */
static enum lun_code
flush_if_due(struct lun_projection *p, struct lun_err *err)
{
	if (lun_clock_mono_ns() - p->committed_ns < POSITION_ONLY_NS)
		return LUN_OK;
	return lun_projection_flush(p, err);
}

/* Nothing in the batch was wanted: only the position moves. */
static enum lun_code
move_over_batch(struct lun_projection *p, struct lun_err *err)
{
	enum lun_code code = lun_projection_settle(p, err);

	if (code == LUN_OK)
		code = note_cursor(p, err);
	if (code != LUN_OK)
		return code;
	if (lun_position_compare(p->cursor, p->report.position) != 0)
		lun_projection_note_reached(p, p->cursor);
	return flush_if_due(p, err);
}

/* Apply it; see whether the script wants the data of most events. */
static enum lun_code
apply_watched(
    struct lun_projection *p, struct lun_step *step, struct lun_err *err)
{
	const struct lun_documents *documents = p->batch->documents;
	bool unseen = documents->opened == 0;
	enum lun_code code = lun_projection_apply(p, p->batch, NULL, step, err);

	if (code == LUN_OK && step->outcome == LUN_STEP_APPLIED && unseen)
		p->looks_inside = documents->opened > p->batch->count / 2;
	return code;
}

static enum lun_code
commit_batch(
    struct lun_projection *p, struct lun_step *step, struct lun_err *err)
{
	enum lun_code code;

	p->only = 0;
	p->attempts = 0;
	code = lun_projection_commit(p, p->batch->reached,
	    lun_buffer_text(&p->batch->source_state), NULL, p->fetch_under_way,
	    err);
	if (code == LUN_OK)
		code = note_cursor(p, err);
	if (code != LUN_OK)
		return code;
	p->touched_each = lun_uow_touched_bytes(p->uow) / p->batch->count;
	count_events(p, p->batch->count);
	step->applied = p->batch->count;
	return LUN_OK;
}

/*
 * After a failure batches grow again from a small one: more may be near, and
 * each of them costs a batch.
 */
static void
note_cut(struct lun_projection *p, const struct lun_step *step)
{
	size_t most = step->too_large ? step->cut : SMALL_BATCH;

	p->only = step->cut;
	if (p->batch_size > most)
		p->batch_size = most;
}

static enum lun_code
apply_batch(
    struct lun_projection *p, struct lun_step *step, struct lun_err *err)
{
	enum lun_code code;

	start_fetching(p);
	code = apply_watched(p, step, err);
	if (code != LUN_OK)
		return code;
	if (step->outcome == LUN_STEP_APPLIED)
		return commit_batch(p, step, err);
	note_cut(p, step);
	return LUN_OK;
}

static enum lun_code
handle_batch(
    struct lun_projection *p, struct lun_step *step, struct lun_err *err)
{
	adapt_batch_size(p);
	if (p->batch->count > 0)
		return apply_batch(p, step, err);
	step->outcome = p->batch->at_head ? LUN_STEP_IDLE : LUN_STEP_APPLIED;
	return move_over_batch(p, err);
}

/* What keeps a prepared projection from reading now, if anything. */
static enum lun_step_outcome
find_hindrance(const struct lun_projection *p)
{
	if (lun_projection_is(p, LUN_PHASE_PAUSED))
		return LUN_STEP_PAUSED;
	return lun_clock_mono_ns() < p->retry_at_ns ? LUN_STEP_WAITING
						    : LUN_STEP_APPLIED;
}

/* It stopped only where it may join those who read on. */
static bool
is_on_its_way(const struct lun_projection *p)
{
	return is_bounded(p) && lun_position_compare(p->upto, p->cursor) == 0;
}

/* A writer, or that events are gone, keeps it from where it may join. */
static bool
is_held_short(const struct lun_projection *p)
{
	return is_bounded(p) && !is_on_its_way(p);
}

/* The batch at hand was applied, or there was none to be had. */
static void
note_progress(struct lun_projection *p)
{
	bool live = p->batch->at_head || lun_projection_shares(p);

	if (is_on_its_way(p))
		return;
	if (live)
		lun_projection_index(p);
	lun_projection_enter(
	    p, live ? LUN_PHASE_LIVE : LUN_PHASE_CATCHING_UP, NULL);
}

/* There is nothing until it is woken. */
static enum lun_code
rest(struct lun_projection *p, struct lun_step *step, struct lun_err *err)
{
	int64_t before = p->committed_ns;
	enum lun_code code = flush_if_due(p, err);

	step->outcome = LUN_STEP_IDLE;
	if (p->committed_ns != before)
		p->batch->at_gap = false; /* what is known of it is stored */
	return code;
}

/* The event store is away, for all who share the reading; nothing is lost. */
static enum lun_code
wait_with_others(
    struct lun_projection *p, struct lun_step *step, const struct lun_err *err)
{
	step->outcome = LUN_STEP_IDLE;
	if (!atomic_load(&p->stop_asked))
		lun_projection_wait_for_store(p, err->message);
	return LUN_OK;
}

/*
 * At the head, also with the batch that got there: many that start together
 * would all keep a connection until their next turn.
 */
static bool
is_to_share(const struct lun_projection *p, const struct lun_step *step)
{
	if (is_held_short(p))
		return false;
	return step->outcome == LUN_STEP_IDLE ||
	       (step->outcome == LUN_STEP_APPLIED && p->batch->at_head);
}

static enum lun_code
try_step(struct lun_projection *p, struct lun_step *step, struct lun_err *err)
{
	enum lun_code code = lun_projection_prepare(p, err);

	if (code != LUN_OK)
		return code;
	step->outcome = find_hindrance(p);
	if (step->outcome != LUN_STEP_APPLIED)
		return LUN_OK;
	code = obtain_batch(p, err);
	if (code == LUN_OK)
		code = handle_batch(p, step, err);
	else if (code == LUN_NOTFOUND)
		code = rest(p, step, err);
	else if (code == LUN_UNAVAILABLE && lun_projection_shares(p))
		return wait_with_others(p, step, err);
	if (code == LUN_OK && (step->outcome == LUN_STEP_APPLIED ||
				  step->outcome == LUN_STEP_IDLE)) {
		note_progress(p);
		lun_projection_note_held(p);
	}
	if (code == LUN_OK && is_to_share(p, step) &&
	    lun_projection_may_share(p))
		step->outcome = LUN_STEP_APPLIED; /* go on with that at once */
	return code;
}

/* The phase after a failure, and what the caller is told. */
static enum lun_code
note_failure(struct lun_projection *p, struct lun_err *failure)
{
	if (failure->code == LUN_TIMEOUT) {
		lun_projection_doubt_ownership(p);
		failure->code = LUN_UNAVAILABLE;
	}
	if (lun_projection_is(p, LUN_PHASE_ABANDONED))
		return failure->code;
	lun_projection_abandon_batch(p);
	if (failure->code == LUN_CONFLICT && lun_projection_has_lost(p))
		failure->code = LUN_OWNED;
	if (failure->code == LUN_UNAVAILABLE) {
		lun_projection_doubt_checkpoint(p);
		/* What was interrupted to stop it waits for nothing. */
		if (!atomic_load(&p->stop_asked))
			lun_projection_wait_for_store(p, failure->message);
	} else if (failure->code == LUN_OWNED) {
		lun_projection_enter(p, LUN_PHASE_STANDBY, failure);
	} else if (lun_projection_is_owned(p)) {
		lun_projection_enter(p, LUN_PHASE_FAILED, failure);
	} else {
		/* Only an owner hears of a resume, so this is tried again. */
		lun_projection_enter(p, LUN_PHASE_FAILED_UNOWNED, failure);
	}
	return failure->code;
}

enum lun_code
lun_projection_one_step(
    struct lun_projection *p, struct lun_step *step, struct lun_err *err)
{
	struct lun_err failure = {0};
	enum lun_code code;

	*step = (struct lun_step){0};
	code = try_step(p, step, &failure);
	if (code == LUN_OK)
		return LUN_OK;
	failure.code = code;
	code = note_failure(p, &failure);
	if (err != NULL)
		*err = failure;
	return code;
}
