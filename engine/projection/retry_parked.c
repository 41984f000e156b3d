/* retry_parked.c - parked events are tried again, or discarded. */

#include <stdlib.h>

#include "base/error.h"
#include "projection/projection.h"

#define CHUNK 5000 /* parked events taken up at once */

/* A chunk of parked events, copied out of the store. */
struct chunk {
	struct lun_failed_events list;
	int64_t numbers[CHUNK];
	size_t count;
	int64_t done[CHUNK]; /* the numbers to remove */
	size_t done_count;
	struct lun_new_error failed[CHUNK]; /* texts are the list's */
	size_t failed_count;
};

static enum lun_code
keep_item(void *arg, const struct lun_failed_event *item, struct lun_err *err)
{
	struct chunk *chunk = arg;

	if (!lun_failed_events_add(
		&chunk->list, item->model_id, &item->event, item->error))
		return lun_fail(err, LUN_NOMEM, "out of memory");
	chunk->numbers[chunk->count++] = item->number;
	return LUN_OK;
}

static enum lun_code
take_chunk(struct lun_projection *p, struct lun_text model_id, int64_t after,
    struct chunk *chunk, struct lun_err *err)
{
	lun_failed_events_clear(&chunk->list);
	chunk->count = chunk->done_count = chunk->failed_count = 0;
	return lun_model_store_parked(
	    p->models, p->key, model_id, after, CHUNK, keep_item, chunk, err);
}

/* Touch the models of the chunk's events as if none were parked. */
static enum lun_code
touch_chunk(struct lun_projection *p, struct chunk *chunk, struct lun_err *err)
{
	const struct lun_failed_event *items =
	    lun_failed_events_items(&chunk->list);

	lun_uow_begin(p->uow);
	for (size_t i = 0; i < chunk->count; i++)
		if (!lun_uow_touch(p->uow, (uint32_t)i, items[i].model_id))
			return lun_fail(
			    err, LUN_NOMEM, "%s: out of memory", p->name);
	return lun_projection_load_models(p, err);
}

struct retry {
	size_t parked; /* events that were there */
	size_t still_failing;
	struct lun_err first;
};

/* The chunk's events up to place `end` are applied. */
static void
note_done(struct chunk *chunk, size_t *next, size_t end)
{
	while (*next < end)
		chunk->done[chunk->done_count++] = chunk->numbers[(*next)++];
}

/* Its model is parked again: the script host stops at its later events. */
static enum lun_code
note_failure(struct lun_projection *p, struct chunk *chunk, struct retry *retry,
    size_t at, struct lun_err *err)
{
	size_t count;
	struct lun_touch touch = lun_uow_touches(p->uow, &count)[at];

	if (retry->still_failing++ == 0)
		retry->first = *err;
	lun_uow_park(p->uow, lun_uow_model(p->uow, touch.model));
	lun_projection_name_event(
	    p, &chunk->list.events->events[touch.event], err);
	if (!lun_failed_events_set_error(
		&chunk->list, touch.event, lun_text_of(err->message)))
		return lun_fail(err, LUN_NOMEM, "%s: out of memory", p->name);
	chunk->failed[chunk->failed_count++] = (struct lun_new_error){
	    chunk->numbers[touch.event], chunk->list.items[touch.event].error};
	return LUN_OK;
}

/*
 * Apply the chunk's events in order. One that spends a budget has a second try
 * in a fresh state: those before it may have filled the memory.
 */
static enum lun_code
apply_chunk(struct lun_projection *p, struct chunk *chunk, struct retry *retry,
    struct lun_err *err)
{
	size_t at = 0, next = 0, second_try = SIZE_MAX;

	for (;;) {
		enum lun_code code = lun_script_apply(
		    p->script, chunk->list.events, p->uow, &at, err);

		note_done(chunk, &next, code == LUN_OK ? chunk->count : at);
		if (code == LUN_OK)
			return LUN_OK;
		if (code == LUN_BUDGET &&
		    lun_script_renew(p->script, NULL) != LUN_OK)
			return code;
		if (code == LUN_BUDGET && at != second_try) {
			second_try = at;
			continue;
		}
		if (code == LUN_SCRIPT || code == LUN_BUDGET)
			code = note_failure(p, chunk, retry, at, err);
		if (code != LUN_OK && code != LUN_AGAIN)
			return code;
		next = ++at;
	}
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

static enum lun_code
commit_chunk(struct lun_projection *p, struct chunk *chunk, struct lun_err *err)
{
	struct lun_retried retried = {
	    chunk->done, chunk->done_count, chunk->failed, chunk->failed_count};

	return lun_projection_commit(p, p->cursor,
	    lun_buffer_text(&p->cursor_state), &retried, false, err);
}

static enum lun_code
retry_chunk(struct lun_projection *p, struct chunk *chunk, struct retry *retry,
    struct lun_err *err)
{
	enum lun_code code = touch_chunk(p, chunk, err);

	if (code == LUN_OK)
		code = apply_chunk(p, chunk, retry, err);
	lun_script_end_batch(p->script);
	if (code == LUN_OK)
		code = commit_chunk(p, chunk, err);
	return code;
}

static enum lun_code
discard_chunk(struct lun_projection *p, struct chunk *chunk,
    struct retry *retry, struct lun_err *err)
{
	(void)retry;
	lun_uow_begin(p->uow);
	for (size_t i = 0; i < chunk->count; i++)
		chunk->done[chunk->done_count++] = chunk->numbers[i];
	return commit_chunk(p, chunk, err);
}

typedef enum lun_code chunk_fn(struct lun_projection *p, struct chunk *chunk,
    struct retry *retry, struct lun_err *err);

static enum lun_code
each_chunk(struct lun_projection *p, struct lun_text model_id, chunk_fn *handle,
    struct retry *retry, struct lun_err *err)
{
	struct chunk *chunk = calloc(1, sizeof *chunk);
	enum lun_code code;
	int64_t after = 0;

	if (chunk == NULL)
		return lun_fail(err, LUN_NOMEM, "%s: out of memory", p->name);
	code = clear_marks(p, model_id, err);
	while (code == LUN_OK) {
		code = take_chunk(p, model_id, after, chunk, err);
		if (code != LUN_OK || chunk->count == 0)
			break;
		after = chunk->numbers[chunk->count - 1];
		retry->parked += chunk->count;
		code = handle(p, chunk, retry, err);
	}
	lun_failed_events_free(&chunk->list);
	free(chunk);
	/* Marks and rows are read anew whatever happened. */
	lun_projection_abandon_batch(p);
	lun_projection_doubt_checkpoint(p);
	if (code == LUN_OK && retry->parked == 0 && model_id.bytes != NULL)
		return lun_fail(err, LUN_NOTFOUND,
		    "model \"%.*s\" of %s has no parked events",
		    LUN_TEXT_ARG(model_id), p->name);
	return code;
}

static struct lun_text
model_of(const char *argument)
{
	return argument != NULL && argument[0] != '\0' ? lun_text_of(argument)
						       : LUN_TEXT_NONE;
}

enum lun_code
lun_projection_retry_parked(
    struct lun_projection *p, const char *argument, struct lun_err *err)
{
	struct retry retry = {0};
	enum lun_code code =
	    each_chunk(p, model_of(argument), retry_chunk, &retry, err);

	if (code != LUN_OK || retry.still_failing == 0)
		return code;
	return lun_fail(err, LUN_SCRIPT,
	    "%s: %zu of the parked events still fail; the first: %s", p->name,
	    retry.still_failing, retry.first.message);
}

enum lun_code
lun_projection_discard_parked(
    struct lun_projection *p, const char *argument, struct lun_err *err)
{
	struct retry discarded = {0};

	return each_chunk(
	    p, model_of(argument), discard_chunk, &discarded, err);
}
