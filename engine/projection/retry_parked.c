/* retry_parked.c - parked events are tried again, or discarded. */

#include <stdlib.h>

#include "base/error.h"
#include "projection/projection.h"

#define CHUNK 5000 /* parked events taken up at once */
#define SMALL 16   /* the same where one had to be isolated */

/* A chunk of parked events, copied out of the store. */
struct chunk {
	struct lun_failed_events list;
	size_t most; /* bytes of them */
	int64_t numbers[CHUNK];
	enum lun_fate fates[CHUNK];
	size_t count;
	int64_t done[CHUNK]; /* the numbers to remove */
	size_t done_count;
	struct lun_new_error failed[CHUNK]; /* texts are the list's */
	size_t failed_count;
};

/* Going through the parked events of a model, or of all. */
struct round {
	struct lun_projection *p;
	struct lun_text model_id; /* absent: all */
	struct chunk *chunk;
	int64_t after;  /* the number of the last one that is through */
	size_t size;    /* of the next chunk */
	size_t only;    /* of the next one alone, which is cut; 0: not */
	size_t through; /* events */
	size_t still_failing;
	struct lun_err first;
};

static enum lun_code
keep_item(void *arg, const struct lun_failed_event *item, struct lun_err *err)
{
	struct chunk *chunk = arg;

	/* What does not fit is in the next one. */
	if (chunk->count > 0 && chunk->list.events->bytes >= chunk->most)
		return LUN_OK;
	if (!lun_failed_events_add(
		&chunk->list, item->model_id, &item->event, item->error))
		return lun_fail(err, LUN_NOMEM, "out of memory");
	chunk->numbers[chunk->count++] = item->number;
	return LUN_OK;
}

static enum lun_code
read_chunk(struct round *round, struct lun_err *err)
{
	struct lun_projection *p = round->p;
	struct chunk *chunk = round->chunk;

	lun_failed_events_clear(&chunk->list);
	chunk->count = chunk->done_count = chunk->failed_count = 0;
	chunk->most = lun_memory_share(p->around->memory).batch;
	return lun_model_store_parked(p->models, p->key, round->model_id,
	    round->after, round->only > 0 ? round->only : round->size,
	    keep_item, chunk, err);
}

static enum lun_code
commit_chunk(struct round *round, struct lun_err *err)
{
	struct lun_projection *p = round->p;
	struct chunk *chunk = round->chunk;
	struct lun_retried retried = {
	    chunk->done, chunk->done_count, chunk->failed, chunk->failed_count};
	enum lun_code code = lun_projection_commit(p, p->cursor,
	    lun_buffer_text(&p->cursor_state), &retried, false, err);

	if (code != LUN_OK)
		return code;
	round->after = chunk->numbers[chunk->count - 1];
	round->through += chunk->count;
	round->only = 0;
	round->size = round->size * 2 < CHUNK ? round->size * 2 : CHUNK;
	return LUN_OK;
}

static void
note_fates(struct round *round)
{
	struct chunk *chunk = round->chunk;

	for (size_t i = 0; i < chunk->count; i++) {
		if (chunk->fates[i] == LUN_FATE_APPLIED)
			chunk->done[chunk->done_count++] = chunk->numbers[i];
		if (chunk->fates[i] == LUN_FATE_FAILED)
			chunk->failed[chunk->failed_count++] =
			    (struct lun_new_error){
				chunk->numbers[i], chunk->list.items[i].error};
	}
	round->still_failing += chunk->failed_count;
}

static enum lun_code
retry_chunk(struct round *round, struct lun_err *err)
{
	struct chunk *chunk = round->chunk;
	struct lun_retrial retrial = {
	    .list = &chunk->list, .fates = chunk->fates};
	struct lun_step step = {0};
	enum lun_code code = lun_projection_apply(
	    round->p, chunk->list.events, &retrial, &step, err);

	if (code != LUN_OK)
		return code;
	if (step.outcome != LUN_STEP_APPLIED) {
		round->only = step.cut;
		round->size = SMALL;
		return LUN_OK;
	}
	if (round->still_failing == 0)
		round->first = retrial.first;
	note_fates(round);
	return commit_chunk(round, err);
}

static enum lun_code
discard_chunk(struct round *round, struct lun_err *err)
{
	struct chunk *chunk = round->chunk;

	lun_uow_begin(round->p->uow);
	for (size_t i = 0; i < chunk->count; i++)
		chunk->done[chunk->done_count++] = chunk->numbers[i];
	return commit_chunk(round, err);
}

static enum lun_code
clear_mark(void *arg, struct lun_text id, struct lun_err *err)
{
	if (!lun_uow_mark_parked(arg, id, false))
		return lun_fail(err, LUN_NOMEM, "out of memory");
	return LUN_OK;
}

static enum lun_code
clear_marks(
    struct lun_projection *p, struct lun_text model_id, struct lun_err *err)
{
	if (model_id.bytes != NULL)
		return clear_mark(p->uow, model_id, err);
	return lun_model_store_parked_ids(
	    p->models, p->key, clear_mark, p->uow, err);
}

typedef enum lun_code chunk_fn(struct round *round, struct lun_err *err);

static enum lun_code
handle_chunks(struct round *round, chunk_fn *handle, struct lun_err *err)
{
	enum lun_code code = clear_marks(round->p, round->model_id, err);

	while (code == LUN_OK) {
		code = read_chunk(round, err);
		if (code != LUN_OK || round->chunk->count == 0)
			break;
		code = handle(round, err);
	}
	return code;
}

static enum lun_code
handle_parked(struct round *round, chunk_fn *handle, struct lun_err *err)
{
	struct lun_projection *p = round->p;
	enum lun_code code;

	round->size = CHUNK;
	round->chunk = calloc(1, sizeof *round->chunk);
	if (round->chunk == NULL)
		return lun_fail(err, LUN_NOMEM, "%s: out of memory", p->name);
	code = handle_chunks(round, handle, err);
	lun_failed_events_free(&round->chunk->list);
	free(round->chunk);
	if (lun_projection_is(p, LUN_PHASE_ABANDONED))
		return code;
	/* Marks and rows are read anew whatever happened. */
	lun_projection_abandon_batch(p);
	lun_projection_doubt_checkpoint(p);
	if (code == LUN_OK && round->through == 0 &&
	    round->model_id.bytes != NULL)
		return lun_fail(err, LUN_NOTFOUND,
		    "model \"%.*s\" of %s has no parked events",
		    LUN_TEXT_ARG(round->model_id), p->name);
	return code;
}

static struct lun_text
parse_model_id(const char *argument)
{
	return argument != NULL && argument[0] != '\0' ? lun_text_of(argument)
						       : LUN_TEXT_NONE;
}

enum lun_code
lun_projection_retry_parked(
    struct lun_projection *p, const char *argument, struct lun_err *err)
{
	struct round round = {.p = p, .model_id = parse_model_id(argument)};
	enum lun_code code = handle_parked(&round, retry_chunk, err);

	if (code != LUN_OK || round.still_failing == 0)
		return code;
	return lun_fail(err, LUN_SCRIPT,
	    "%s: %zu of the parked events still fail; the first: %s", p->name,
	    round.still_failing, round.first.message);
}

enum lun_code
lun_projection_discard_parked(
    struct lun_projection *p, const char *argument, struct lun_err *err)
{
	struct round round = {.p = p, .model_id = parse_model_id(argument)};

	return handle_parked(&round, discard_chunk, err);
}
