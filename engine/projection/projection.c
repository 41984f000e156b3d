/* projection.c - one projection: its life, its ownership, its checkpoint. */

#include "projection/projection.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/error.h"

#define NS_PER_MS 1000000LL

/* ---- life -------------------------------------------------------------- */

enum lun_code
lun_projection_new(const char *name, struct lun_script *script,
    const struct lun_surroundings *around, struct lun_projection **out,
    struct lun_err *err)
{
	struct lun_projection *p = calloc(1, sizeof *p);

	if (p == NULL) {
		lun_script_free(script);
		return lun_fail(err, LUN_NOMEM, "%s: out of memory", name);
	}
	snprintf(p->name, sizeof p->name, "%s", name);
	p->key = lun_only_key(p->name);
	p->around = around;
	p->script = script;
	if (script != NULL) {
		lun_script_use_positions_of(script, around->events);
		p->report.version = lun_script_schema(script)->version;
	}
	*out = p;
	return LUN_OK;
}

void
lun_projection_free(struct lun_projection *p)
{
	if (p == NULL)
		return;
	lun_projection_disown(p);
	lun_projection_end_sharing(p);
	lun_projection_free_indexing(p);
	lun_background_free(p->fetcher);
	lun_background_free(p->committer);
	lun_script_free(p->script);
	lun_script_free(p->next_script);
	lun_uow_free(p->uow);
	lun_batch_free(p->batch);
	lun_batch_free(p->ahead);
	lun_failed_events_free(&p->parked);
	lun_failed_events_free(&p->skipped);
	lun_failed_events_free(&p->commit.parked);
	lun_failed_events_free(&p->commit.skipped);
	lun_collected_free(&p->commit.collected);
	lun_buffer_free(&p->commit.source_state);
	lun_buffer_free(&p->cursor_state);
	lun_model_store_close(p->writer);
	lun_model_store_close(p->models);
	lun_event_store_close(p->events);
	free(p);
}

void
lun_projection_overlap(struct lun_projection *p)
{
	if (p->fetcher == NULL)
		p->fetcher = lun_background_new("lunette-fetch");
	if (p->committer == NULL)
		p->committer = lun_background_new("lunette-commit");
	p->fetches = true;
}

void
lun_projection_end_overlap(struct lun_projection *p)
{
	lun_projection_end_fetching(p);
	(void)!lun_projection_settle(p, NULL);
	lun_background_free(p->fetcher);
	lun_background_free(p->committer);
	p->fetcher = p->committer = NULL;
	lun_batch_free(p->ahead);
	p->ahead = NULL;
	lun_projection_rest(p);
}

void
lun_projection_rest(struct lun_projection *p)
{
	if (p->batch != NULL)
		lun_batch_trim(p->batch);
	if (p->uow != NULL)
		lun_uow_shrink(
		    p->uow, lun_memory_share(p->around->memory).idle_models);
	lun_collected_free(&p->commit.collected);
}

/* ---- what it needs, once it needs it ----------------------------------- */

enum lun_code
lun_projection_connect_events(struct lun_projection *p, struct lun_err *err)
{
	const struct lun_surroundings *around = p->around;
	enum lun_code code;

	if (p->events != NULL)
		return LUN_OK;
	pthread_mutex_lock(around->stores_lock);
	code = lun_event_store_connect(around->events, &p->events, err);
	pthread_mutex_unlock(around->stores_lock);
	return code;
}

static enum lun_code
connect_models(struct lun_projection *p, struct lun_err *err)
{
	const struct lun_surroundings *around = p->around;
	enum lun_code code;

	if (p->models != NULL)
		return LUN_OK;
	pthread_mutex_lock(around->stores_lock);
	code = lun_model_store_connect(around->models, &p->models, err);
	pthread_mutex_unlock(around->stores_lock);
	return code;
}

static enum lun_code
connect_writer(struct lun_projection *p, struct lun_err *err)
{
	enum lun_code code;

	if (p->writer != NULL)
		return LUN_OK;
	pthread_mutex_lock(p->around->stores_lock);
	code = lun_model_store_connect(p->models, &p->writer, err);
	pthread_mutex_unlock(p->around->stores_lock);
	return code;
}

/* What reading and applying take; the unit of work is made last. */
static enum lun_code
make_batches(struct lun_projection *p, struct lun_err *err)
{
	if (p->batch == NULL)
		p->batch = lun_batch_new();
	if (p->uow == NULL && p->batch != NULL)
		p->uow = lun_uow_new();
	return p->uow != NULL
		   ? LUN_OK
		   : lun_fail(err, LUN_NOMEM, "%s: out of memory", p->name);
}

static enum lun_code
make_what_runs(struct lun_projection *p, struct lun_err *err)
{
	enum lun_code code = connect_writer(p, err);

	if (code == LUN_OK)
		code = make_batches(p, err);
	return code;
}

/* ---- ownership and checkpoint ------------------------------------------ */

static enum lun_code
mark_parked(void *arg, struct lun_text id, struct lun_err *err)
{
	if (!lun_uow_mark_parked(arg, id, true))
		return lun_fail(err, LUN_NOMEM, "out of memory");
	return LUN_OK;
}

/* Of two identities, where a role may not know a part that another one may. */
static const char *
explain_identities(const char *one, const char *other)
{
	if ((strchr(one, '?') == NULL) == (strchr(other, '?') == NULL))
		return "";
	return "; where one has \"?\" its role may not ask for the server's "
	       "identifier, see Rights in docs/event-stores.md";
}

/* A checkpoint belongs to one event store: its positions mean nothing else. */
enum lun_code
lun_projection_check_identity(struct lun_projection *p,
    struct lun_event_store *events, const char *stored, struct lun_err *err)
{
	char identity[LUN_IDENTITY_SIZE];
	enum lun_code code = lun_event_store_identity(events, identity, err);

	if (code != LUN_OK || stored[0] == '\0' ||
	    strcmp(stored, identity) == 0) {
		memcpy(p->identity, identity, sizeof identity);
		return code;
	}
	return lun_fail(err, LUN_CONFLICT,
	    "%s: its models were built from event store %s, but the one "
	    "given is %s; give it the right event store, or run \"lunette "
	    "rebuild %s\" to build them from this one, or, if it is the same "
	    "one under another identity, \"lunette checkpoint adopt %s\"%s",
	    p->name, stored, identity, p->name, p->name,
	    explain_identities(stored, identity));
}

static enum lun_code
take_checkpoint(struct lun_projection *p,
    const struct lun_checkpoint *checkpoint, struct lun_err *err)
{
	p->revision = checkpoint->revision;
	p->cursor = p->committed = checkpoint->position;
	p->committed_ns = lun_clock_mono_ns();
	lun_buffer_clear(&p->cursor_state);
	lun_buffer_add_text(
	    &p->cursor_state, lun_buffer_text(&checkpoint->source_state));
	if (p->cursor_state.failed)
		return lun_fail(err, LUN_NOMEM, "%s: out of memory", p->name);
	lun_uow_clear(p->uow);
	if (checkpoint->parked_count == 0)
		return LUN_OK;
	return lun_model_store_parked_ids(
	    p->models, p->key, mark_parked, p->uow, err);
}

/* Without a worker there is no monitor that renews the lease. */
static enum lun_code
renew_lease(struct lun_projection *p, struct lun_err *err)
{
	int64_t lease_ms = p->around->settings->lease_ms;
	int64_t now = lun_clock_mono_ns();

	if (p->has_worker || now - p->renewed_ns < lease_ms * NS_PER_MS / 3)
		return LUN_OK;
	p->renewed_ns = now;
	return lun_model_store_renew_one(
	    p->models, p->key, p->fence, lease_ms, err);
}

void
lun_projection_doubt_ownership(struct lun_projection *p)
{
	lun_projection_release_phase(p);
}

/*
 * The old lock goes too, so that a new one counts the next time. Reported
 * before it is done: a renewal that finds it gone is to know why.
 */
static void
release_ownership(struct lun_projection *p)
{
	lun_projection_release_phase(p);
	lun_model_store_release(p->models, p->key, p->fence);
	p->fence = 0;
}

enum lun_code
lun_projection_own(struct lun_projection *p, struct lun_err *err)
{
	char holder[LUN_OWNER_SIZE];
	enum lun_code code;

	if (lun_projection_is_owned(p) && lun_projection_report(p).lost)
		release_ownership(p);
	if (lun_projection_is_owned(p)) {
		code = renew_lease(p, err);
		if (code != LUN_CONFLICT)
			return code;
		release_ownership(p); /* it ran out, and somebody took it */
	}
	code = connect_models(p, err);
	if (code != LUN_OK)
		return code;
	code = lun_model_store_acquire(p->models, p->key, p->around->owner,
	    p->around->settings->lease_ms, &p->fence, holder, err);
	if (code == LUN_OWNED)
		p->schema_is_stored = false; /* its owner may rebuild it */
	if (code != LUN_OK)
		return code;
	lun_projection_enter(p, LUN_PHASE_OWNED, NULL);
	lun_projection_index_anew(p);
	p->renewed_ns = lun_clock_mono_ns();
	p->batch_size = (size_t)p->around->settings->live_events;
	return LUN_OK;
}

enum lun_code
lun_projection_prepare(struct lun_projection *p, struct lun_err *err)
{
	struct lun_checkpoint checkpoint = {0};
	enum lun_code code = lun_projection_own(p, err);

	if (code != LUN_OK || lun_projection_is_prepared(p))
		return code;
	lun_projection_abandon_batch(p);
	code = make_what_runs(p, err);
	if (code != LUN_OK)
		return code;
	code = lun_model_store_take_up(p->models, p->key,
	    lun_script_schema(p->script), p->fence, &checkpoint, err);
	p->schema_is_stored = code == LUN_OK;
	if (code != LUN_OK)
		return code;
	code = lun_projection_check_identity(
	    p, p->around->events, checkpoint.identity, err);
	if (code == LUN_OK)
		code = take_checkpoint(p, &checkpoint, err);
	if (code == LUN_OK) {
		if (lun_script_schema(p->script)->index_count == 0 &&
		    !lun_schema_text_has_index(
			lun_buffer_text(&checkpoint.schema)))
			p->indexing.done = true;
		lun_projection_note_position(p, p->cursor);
		lun_projection_enter(p,
		    checkpoint.paused ? LUN_PHASE_PAUSED : LUN_PHASE_PREPARED,
		    NULL);
	}
	lun_checkpoint_free(&checkpoint);
	return code;
}

void
lun_projection_disown(struct lun_projection *p)
{
	bool owned = lun_projection_is_owned(p);

	/* A position that was not kept is only read up to again. */
	if (lun_projection_is_prepared(p) &&
	    !lun_model_store_is_away(p->models))
		(void)!lun_projection_flush(p, NULL);
	lun_projection_say_set_aside(p);
	if (owned) {
		lun_projection_abandon_batch(p);
		lun_projection_finish_indexing(p, atomic_load(&p->stop_asked));
	}
	/* One in doubt is this engine's in the store all the same. */
	if (p->fence > 0)
		release_ownership(p);
}

/*
 * A commit was refused. If that is because somebody else owns the projection
 * by now, as after a long stall of ours, this engine stands by.
 */
bool
lun_projection_has_lost(struct lun_projection *p)
{
	if (!lun_projection_is_owned(p) ||
	    lun_model_store_renew_one(p->models, p->key, p->fence,
		p->around->settings->lease_ms, NULL) != LUN_CONFLICT)
		return false;
	release_ownership(p);
	return true;
}
