/* models_parked.c - parked and skipped events in memory. */

#include <stdlib.h>

#include "base/error.h"
#include "memory/models.h"

enum lun_code
lun_memory_parked(struct lun_model_store *store, struct lun_key key,
    struct lun_text model_id, int64_t after, size_t limit,
    lun_failed_event_fn *item, void *arg, struct lun_err *err)
{
	struct memory_data *data = lun_memory_lock(store);
	struct memory_shard *p;
	enum lun_code code = lun_memory_find(data, key, &p, err);
	size_t count = code == LUN_OK ? p->parked.count : 0;

	for (size_t i = 0; code == LUN_OK && limit > 0 && i < count; i++) {
		const struct lun_failed_event *at =
		    &p->parked.at[i]->failed_event;

		if (at->number <= after)
			continue;
		if (model_id.bytes != NULL &&
		    !lun_text_equal(at->model_id, model_id))
			continue;
		code = item(arg, at, err);
		limit--;
	}
	lun_memory_unlock(data);
	return code;
}

static int
compare_ids(const void *a, const void *b)
{
	return lun_text_compare(
	    *(const struct lun_text *)a, *(const struct lun_text *)b);
}

static enum lun_code
each_id_once(struct lun_text *ids, size_t count, lun_text_fn *id, void *arg,
    struct lun_err *err)
{
	enum lun_code code = LUN_OK;

	qsort(ids, count, sizeof *ids, compare_ids);
	for (size_t i = 0; code == LUN_OK && i < count; i++)
		if (i == 0 || !lun_text_equal(ids[i - 1], ids[i]))
			code = id(arg, ids[i], err);
	return code;
}

enum lun_code
lun_memory_parked_ids(struct lun_model_store *store, struct lun_key key,
    lun_text_fn *id, void *arg, struct lun_err *err)
{
	struct memory_data *data = lun_memory_lock(store);
	struct memory_shard *p;
	enum lun_code code = lun_memory_find(data, key, &p, err);
	size_t count = code == LUN_OK ? p->parked.count : 0;
	struct lun_text *ids = NULL;

	if (count > 0) {
		ids = malloc(count * sizeof *ids);
		if (ids == NULL)
			code =
			    lun_fail(err, LUN_NOMEM, "memory: out of memory");
		else
			for (size_t i = 0; i < count; i++)
				ids[i] = p->parked.at[i]->failed_event.model_id;
	}
	if (code == LUN_OK && count > 0)
		code = each_id_once(ids, count, id, arg, err);
	free(ids);
	lun_memory_unlock(data);
	return code;
}

enum lun_code
lun_memory_skipped(struct lun_model_store *store, struct lun_key key,
    size_t limit, lun_failed_event_fn *item, void *arg, struct lun_err *err)
{
	struct memory_data *data = lun_memory_lock(store);
	struct memory_shard *p;
	enum lun_code code = lun_memory_find(data, key, &p, err);
	size_t count = code == LUN_OK ? p->skipped.count : 0;

	for (; code == LUN_OK && limit > 0 && count > 0; limit--)
		code = item(arg, &p->skipped.at[--count]->failed_event, err);
	lun_memory_unlock(data);
	return code;
}
