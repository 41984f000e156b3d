/*
 * indexes.c - a projection's indexes, made beside it when it has caught up.
 *
 * Those that are no longer declared are dropped then. What the store keeps of
 * the schema says what was made last, so that a projection that has and had
 * none asks for nothing.
 */

#include "base/clock.h"
#include "base/error.h"
#include "projection/projection.h"

#define RETRY_NS  30000000000LL
#define MOST_MAKE 2 /* indexes at the same time, in an engine */

static enum lun_code
copy_schema(struct lun_projection *p, struct lun_err *err)
{
	lun_schema_free(p->indexing.schema);
	p->indexing.schema = NULL;
	return lun_schema_copy(
	    lun_script_schema(p->script), &p->indexing.schema, err);
}

/* Runs on a background thread, or on the projection's own thread. */
static enum lun_code
make_indexes(void *arg, struct lun_err *err)
{
	struct lun_projection *p = arg;

	/* Who steps by hand has nobody to stop it: it cannot take long. */
	return lun_model_store_index(p->models, p->key, p->indexing.schema,
	    p->has_worker ? &p->indexing.stop : NULL, err);
}

static void
note_outcome(
    struct lun_projection *p, enum lun_code code, const struct lun_err *err)
{
	p->indexing.under_way = false;
	p->indexing.done = code == LUN_OK;
	p->indexing.retry_ns = lun_clock_mono_ns() + RETRY_NS;
	if (code != LUN_OK && code != LUN_AGAIN && !p->indexing.told)
		lun_log(p->around->log, LUN_LOG_WARNING,
		    "%s: making its indexes: %s; this is tried again", p->name,
		    err->message);
	if (p->indexing.told && code == LUN_OK)
		lun_projection_note_error(p, NULL);
	p->indexing.told = code != LUN_OK && code != LUN_AGAIN;
	if (p->indexing.told)
		lun_projection_note_error(p, err);
}

/* Fewer than may. */
static bool
begin_beside(struct lun_projection *p)
{
	struct lun_board *board = p->around->board;

	if (atomic_fetch_add(&board->indexing, 1) < MOST_MAKE)
		p->indexing.beside = lun_background_new("lunette-index");
	if (p->indexing.beside == NULL)
		atomic_fetch_sub(&board->indexing, 1);
	return p->indexing.beside != NULL;
}

static void
finish_job(struct lun_projection *p)
{
	struct lun_err err = {0};
	enum lun_code code = lun_background_wait(p->indexing.beside, &err);

	lun_background_free(p->indexing.beside);
	p->indexing.beside = NULL;
	atomic_fetch_sub(&p->around->board->indexing, 1);
	note_outcome(p, code, &err);
}

static bool
is_due(struct lun_projection *p)
{
	if (p->indexing.under_way && lun_background_done(p->indexing.beside))
		finish_job(p);
	return !p->indexing.done && !p->indexing.under_way &&
	       lun_clock_mono_ns() >= p->indexing.retry_ns;
}

void
lun_projection_index_here(struct lun_projection *p)
{
	struct lun_err err = {0};
	enum lun_code code;

	if (!is_due(p))
		return;
	atomic_store(&p->indexing.stop, false);
	code = copy_schema(p, &err);
	if (code == LUN_OK)
		code = make_indexes(p, &err);
	note_outcome(p, code, &err);
}

void
lun_projection_index(struct lun_projection *p)
{
	struct lun_err err = {0};

	if (!p->has_worker) {
		lun_projection_index_here(p);
		return;
	}
	if (!is_due(p))
		return;
	if (copy_schema(p, &err) != LUN_OK) {
		note_outcome(p, LUN_NOMEM, &err);
		return;
	}
	atomic_store(&p->indexing.stop, false);
	if (!begin_beside(p))
		return;
	p->indexing.under_way = true;
	lun_background_submit(p->indexing.beside, make_indexes, p);
}

void
lun_projection_finish_indexing(struct lun_projection *p, bool give_up)
{
	if (give_up)
		atomic_store(&p->indexing.stop, true);
	if (p->indexing.under_way)
		finish_job(p);
}

void
lun_projection_index_anew(struct lun_projection *p)
{
	lun_projection_finish_indexing(p, true);
	p->indexing.done = false;
	p->indexing.retry_ns = 0;
}

void
lun_projection_free_indexing(struct lun_projection *p)
{
	lun_projection_finish_indexing(p, true);
	lun_schema_free(p->indexing.schema);
}
