/*
 * commit.c - what a projection hands to its model store, and when.
 *
 * Why it is exactly once. A commit is one transaction with the models, the
 * parked and skipped events and the position, on condition that the stored
 * revision is the expected one and the fence is that of the owner. Commits of
 * a projection follow one another: the next is handed over only after the last
 * one is known to be durable, so a failure leaves no hole behind it. Killed
 * between any two lines, the stored position says what is in the models. When
 * an answer is lost (LUN_TIMEOUT) the ownership is given up in memory: the next
 * one comes under a higher fence, after which the lost commit can no longer
 * land, and only then is the checkpoint read. A late writer of an earlier
 * owner fails by its fence, and one of another engine by the revision. Only a
 * prepared projection commits: after any failure it is none until it has read
 * the checkpoint anew.
 */

#include <time.h>

#include "base/clock.h"
#include "base/error.h"
#include "projection/projection.h"

#define PAUSE_NS    20000000L /* between tries at a store that is away */
#define LARGE_BYTES 32768     /* of a model: worth a warning */

static void
wait_briefly(void)
{
	struct timespec pause = {0, PAUSE_NS};

	nanosleep(&pause, NULL);
}

/*
 * Beside applying it is patient with a store that is away; in place whoever
 * called has others to serve meanwhile.
 */
static enum lun_code
write_commit(void *arg, struct lun_err *err)
{
	struct lun_projection *p = arg;
	struct lun_err failure = {0};
	bool waited = false;
	enum lun_code code;

	for (;;) {
		int64_t began = lun_clock_mono_ns();

		code = lun_model_store_commit(
		    p->writer, &p->commit.write_set, &failure);
		p->commit.took_ns = lun_clock_mono_ns() - began;
		if (code != LUN_UNAVAILABLE || !p->commit.under_way ||
		    atomic_load(&p->stop_asked))
			break;
		waited = true;
		lun_projection_wait_for_store(p, failure.message);
		wait_briefly();
	}
	if (waited)
		lun_projection_wait_for(p, "");
	if (code != LUN_OK && err != NULL)
		*err = failure;
	return code;
}

static void
finish_commit(struct lun_projection *p)
{
	p->committed = p->commit.write_set.position;
	p->committed_ns = lun_clock_mono_ns();
	p->commit_took_ns = p->commit.took_ns;
	lun_uow_settled(p->uow);
	lun_projection_note_set_aside(p);
	lun_projection_note_reached(p, p->committed);
}

static enum lun_code
fail_commit(struct lun_projection *p, enum lun_code code, struct lun_err *err)
{
	lun_projection_doubt_checkpoint(p);
	if (code != LUN_TIMEOUT)
		return code;
	lun_projection_doubt_ownership(p);
	return lun_recode(err, LUN_UNAVAILABLE);
}

enum lun_code
lun_projection_settle(struct lun_projection *p, struct lun_err *err)
{
	enum lun_code code;

	if (!p->commit.under_way)
		return LUN_OK;
	code = lun_background_wait(p->committer, err);
	p->commit.under_way = false;
	if (code != LUN_OK)
		return fail_commit(p, code, err);
	finish_commit(p);
	return LUN_OK;
}

/* The lists are swapped: one is filled while the other is committed. */
static void
swap_lists(struct lun_failed_events *from, struct lun_failed_events *to)
{
	struct lun_failed_events emptied = *to;

	*to = *from;
	*from = emptied;
	lun_failed_events_clear(from);
}

/* Once: the cost of a model that grows by each event grows with the square. */
static void
warn_of_large_model(
    struct lun_projection *p, const struct lun_collected *collected)
{
	for (size_t i = 0; i < collected->model_count && !p->warned_of_large;
	     i++) {
		const struct lun_model_write *write = &collected->models[i];

		if (write->row.length <= LARGE_BYTES)
			continue;
		p->warned_of_large = true;
		lun_log(p->around->log, LUN_LOG_WARNING,
		    "%s: model %.*s has grown to %zu kB, and each of its "
		    "events reads and writes it whole: keep models small, "
		    "with what grows in models of its own",
		    p->name, LUN_TEXT_ARG(write->id), write->row.length / 1000);
	}
}

static enum lun_code
fill_commit(struct lun_projection *p, struct lun_position position,
    struct lun_text source_state, struct lun_err *err)
{
	struct lun_pending_commit *commit = &p->commit;

	swap_lists(&p->parked, &commit->parked);
	swap_lists(&p->skipped, &commit->skipped);
	lun_buffer_clear(&commit->source_state);
	lun_buffer_add_text(&commit->source_state, source_state);
	if (!lun_uow_collect(p->uow, &commit->collected) ||
	    commit->source_state.failed)
		return lun_fail(err, LUN_NOMEM, "%s: out of memory", p->name);
	warn_of_large_model(p, &commit->collected);
	commit->write_set = (struct lun_write_set){
	    .key = p->key,
	    .schema = lun_script_schema(p->script),
	    .models = commit->collected.models,
	    .model_count = commit->collected.model_count,
	    .parked = lun_failed_events_items(&commit->parked),
	    .parked_count = commit->parked.count,
	    .skipped = lun_failed_events_items(&commit->skipped),
	    .skipped_count = commit->skipped.count,
	    .position = position,
	    .source_state = lun_buffer_text(&commit->source_state),
	    .identity = p->identity,
	    .bundle_hash = lun_script_hash(p->script),
	    .bundle = lun_script_bundle(p->script),
	    .expected_revision = p->revision,
	    .fence = p->fence,
	};
	return LUN_OK;
}

static void
add_retried(struct lun_write_set *set, const struct lun_retried *retried)
{
	set->unparked = retried->done;
	set->unparked_count = retried->done_count;
	set->new_errors = retried->failed;
	set->new_error_count = retried->failed_count;
}

enum lun_code
lun_projection_commit(struct lun_projection *p, struct lun_position position,
    struct lun_text source_state, const struct lun_retried *retried,
    bool beside, struct lun_err *err)
{
	enum lun_code code = lun_projection_settle(p, err);

	if (lun_projection_is(p, LUN_PHASE_ABANDONED))
		return lun_fail(
		    err, LUN_UNAVAILABLE, "%s was left behind", p->name);
	if (code == LUN_OK)
		code = fill_commit(p, position, source_state, err);
	if (code != LUN_OK)
		return code;
	if (retried != NULL)
		add_retried(&p->commit.write_set, retried);
	p->revision++;
	if (beside && p->committer != NULL) {
		p->commit.under_way = true;
		lun_background_submit(p->committer, write_commit, p);
		return LUN_OK;
	}
	code = write_commit(p, err);
	if (code != LUN_OK)
		return fail_commit(p, code, err);
	finish_commit(p);
	return LUN_OK;
}

enum lun_code
lun_projection_flush(struct lun_projection *p, struct lun_err *err)
{
	enum lun_code code = lun_projection_settle(p, err);

	if (code != LUN_OK || !lun_projection_is_prepared(p) ||
	    (lun_position_compare(p->cursor, p->committed) == 0 &&
		!p->batch->at_gap))
		return code;
	lun_uow_begin(p->uow);
	return lun_projection_commit(
	    p, p->cursor, lun_buffer_text(&p->cursor_state), NULL, false, err);
}
