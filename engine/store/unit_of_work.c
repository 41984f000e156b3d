/* unit_of_work.c - the touched models of a batch, and the cache of hot ones. */

#include "store/unit_of_work.h"

#include <assert.h>
#include <stdlib.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/error.h"

#define SMALLEST_TABLE 1024
/* Of a model beside itself: two allocations, its part of the table. */
#define MODEL_OVERHEAD (2 * 16 + 2 * sizeof(struct lun_model *))

struct lun_unit_of_work {
	struct lun_model **table; /* open addressing; NULL: free */
	size_t table_size;        /* a power of two */
	size_t model_count;
	size_t hand; /* where the eviction goes on */

	size_t cache_limit;
	size_t cache_bytes;
	size_t touched_bytes; /* of them */

	uint64_t batch;     /* number of the current one */
	uint64_t collected; /* the last one handed to a commit */
	uint64_t settled;   /* the last one known to be durable */

	struct lun_model **touched; /* models of the batch, by index */
	size_t touched_count;
	size_t touched_capacity;
	size_t asked; /* of the touched: no longer among the missing */

	struct lun_touch *touches;
	size_t touch_count;
	size_t touch_capacity;

	struct lun_text *missing;
	size_t missing_capacity;
};

struct lun_unit_of_work *
lun_uow_new(void)
{
	struct lun_unit_of_work *uow = calloc(1, sizeof *uow);

	if (uow == NULL)
		return NULL;
	uow->table_size = SMALLEST_TABLE;
	uow->table = calloc(uow->table_size, sizeof(struct lun_model *));
	if (uow->table == NULL) {
		free(uow);
		return NULL;
	}
	return uow;
}

static size_t
model_bytes(const struct lun_model *model)
{
	return sizeof *model + MODEL_OVERHEAD + model->id.length +
	       model->row_capacity;
}

static void
free_model(struct lun_unit_of_work *uow, struct lun_model *model)
{
	uow->cache_bytes -= model_bytes(model);
	uow->model_count--;
	free(model->row);
	free(model);
}

static void
empty_batch(struct lun_unit_of_work *uow)
{
	uow->touched_count = 0;
	uow->touched_bytes = 0;
	uow->touch_count = 0;
	uow->asked = 0;
}

void
lun_uow_clear(struct lun_unit_of_work *uow)
{
	for (size_t i = 0; i < uow->table_size; i++) {
		if (uow->table[i] == NULL)
			continue;
		free_model(uow, uow->table[i]);
		uow->table[i] = NULL;
	}
	empty_batch(uow);
	uow->settled = uow->collected;
}

static void
free_arrays(struct lun_unit_of_work *uow)
{
	free(uow->touched);
	free(uow->touches);
	free(uow->missing);
	uow->touched = NULL;
	uow->touches = NULL;
	uow->missing = NULL;
	uow->touched_capacity = uow->touch_capacity = 0;
	uow->missing_capacity = 0;
}

void
lun_uow_free(struct lun_unit_of_work *uow)
{
	if (uow == NULL)
		return;
	lun_uow_clear(uow);
	free_arrays(uow);
	free(uow->table);
	free(uow);
}

size_t
lun_uow_cache_bytes(const struct lun_unit_of_work *uow)
{
	return uow->cache_bytes;
}

size_t
lun_uow_touched_bytes(const struct lun_unit_of_work *uow)
{
	return uow->touched_bytes;
}

/* ---- the hash table ---------------------------------------------------- */

/* The slot that holds id, or the free one where it belongs. */
static size_t
find_slot(const struct lun_unit_of_work *uow, uint64_t hash, struct lun_text id)
{
	size_t mask = uow->table_size - 1;
	size_t slot = hash & mask;

	while (uow->table[slot] != NULL &&
	       (uow->table[slot]->hash != hash ||
		   !lun_text_equal(uow->table[slot]->id, id)))
		slot = (slot + 1) & mask;
	return slot;
}

static bool
resize_table(struct lun_unit_of_work *uow, size_t size)
{
	size_t old_size = uow->table_size;
	struct lun_model **old = uow->table;
	struct lun_model **table = calloc(size, sizeof(struct lun_model *));

	if (table == NULL)
		return false;
	uow->table = table;
	uow->table_size = size;
	for (size_t i = 0; i < old_size; i++)
		if (old[i] != NULL)
			table[find_slot(uow, old[i]->hash, old[i]->id)] =
			    old[i];
	free(old);
	uow->hand = 0;
	return true;
}

static bool
has_room(const struct lun_unit_of_work *uow, size_t size)
{
	return (uow->model_count + 1) * 2 <= size;
}

/* Empty a slot and close the gap behind it, so that searches still end. */
static void
remove_slot(struct lun_unit_of_work *uow, size_t slot)
{
	size_t mask = uow->table_size - 1;
	size_t next = slot;

	free_model(uow, uow->table[slot]);
	uow->table[slot] = NULL;
	for (;;) {
		size_t home;

		next = (next + 1) & mask;
		if (uow->table[next] == NULL)
			return;
		home = uow->table[next]->hash & mask;
		if (((next - home) & mask) < ((next - slot) & mask))
			continue;
		uow->table[slot] = uow->table[next];
		uow->table[next] = NULL;
		slot = next;
	}
}

static struct lun_model *
add_model(struct lun_unit_of_work *uow, uint64_t hash, struct lun_text id)
{
	struct lun_model *model;
	char *bytes;

	if (!has_room(uow, uow->table_size) &&
	    !resize_table(uow, uow->table_size * 2))
		return NULL;
	model = calloc(1, sizeof *model + id.length + 1);
	if (model == NULL)
		return NULL;
	bytes = (char *)(model + 1);
	if (id.length > 0)
		memcpy(bytes, id.bytes, id.length);
	model->id = (struct lun_text){bytes, id.length};
	model->hash = hash;
	uow->table[find_slot(uow, hash, id)] = model;
	uow->model_count++;
	uow->cache_bytes += model_bytes(model);
	return model;
}

static struct lun_model *
find_or_add(struct lun_unit_of_work *uow, struct lun_text id)
{
	uint64_t hash = XXH3_64bits(id.bytes, id.length);
	size_t slot = find_slot(uow, hash, id);

	if (uow->table[slot] != NULL)
		return uow->table[slot];
	return add_model(uow, hash, id);
}

/* ---- the cache between batches ----------------------------------------- */

static bool
may_evict(const struct lun_unit_of_work *uow, const struct lun_model *model)
{
	return !model->parked && model->changed <= uow->settled;
}

/*
 * Second chance: a model used since the hand last came by stays for one more
 * round, so two rounds without freeing enough mean that nothing more can go.
 */
static void
trim_cache(struct lun_unit_of_work *uow)
{
	size_t steps = uow->table_size * 2;

	while (uow->cache_bytes > uow->cache_limit && steps-- > 0) {
		size_t slot = uow->hand & (uow->table_size - 1);
		struct lun_model *model = uow->table[slot];

		uow->hand = slot + 1;
		if (model == NULL || !may_evict(uow, model))
			continue;
		if (model->recently_used) {
			model->recently_used = false;
			continue;
		}
		remove_slot(uow, slot);
		uow->hand = slot;
		steps++; /* another model may stand there now */
	}
}

void
lun_uow_limit(struct lun_unit_of_work *uow, size_t cache_bytes)
{
	uow->cache_limit = cache_bytes;
}

void
lun_uow_shrink(struct lun_unit_of_work *uow, size_t cache_bytes)
{
	size_t size = SMALLEST_TABLE;

	uow->cache_limit = cache_bytes;
	empty_batch(uow);
	trim_cache(uow);
	free_arrays(uow);
	while (!has_room(uow, size))
		size *= 2;
	if (size < uow->table_size)
		(void)resize_table(uow, size); /* or it stays as it is */
}

void
lun_uow_begin(struct lun_unit_of_work *uow)
{
	uow->batch++;
	empty_batch(uow);
	trim_cache(uow);
}

void
lun_uow_settled(struct lun_unit_of_work *uow)
{
	uow->settled = uow->collected;
}

/* ---- a batch ----------------------------------------------------------- */

/* Room for one more element; grows *array to at least double. */
static bool
reserve_element(void **array, size_t count, size_t *capacity, size_t size)
{
	size_t wanted = *capacity > 0 ? *capacity * 2 : 256;
	void *grown;

	if (count < *capacity)
		return true;
	grown = realloc(*array, wanted * size);
	if (grown == NULL)
		return false;
	*array = grown;
	*capacity = wanted;
	return true;
}

static bool
enter_batch(struct lun_unit_of_work *uow, struct lun_model *model)
{
	if (model->batch == uow->batch)
		return true;
	if (!reserve_element((void **)&uow->touched, uow->touched_count,
		&uow->touched_capacity, sizeof *uow->touched))
		return false;
	uow->touched_bytes += model_bytes(model);
	model->batch = uow->batch;
	model->index = (uint32_t)uow->touched_count;
	model->recently_used = true;
	model->dirty = false;
	uow->touched[uow->touched_count++] = model;
	return true;
}

bool
lun_uow_touch(struct lun_unit_of_work *uow, uint32_t event, struct lun_text id)
{
	struct lun_model *model = find_or_add(uow, id);

	if (model == NULL || !enter_batch(uow, model) ||
	    !reserve_element((void **)&uow->touches, uow->touch_count,
		&uow->touch_capacity, sizeof *uow->touches))
		return false;
	uow->touches[uow->touch_count++] =
	    (struct lun_touch){event, model->index};
	return true;
}

const struct lun_touch *
lun_uow_touches(const struct lun_unit_of_work *uow, size_t *count)
{
	*count = uow->touch_count;
	return uow->touches;
}

void
lun_uow_cut(struct lun_unit_of_work *uow, size_t count)
{
	assert(count <= uow->touch_count);
	uow->touch_count = count;
}

struct lun_model *
lun_uow_model(struct lun_unit_of_work *uow, uint32_t index)
{
	assert(index < uow->touched_count);
	return uow->touched[index];
}

enum lun_code
lun_uow_missing(struct lun_unit_of_work *uow, const struct lun_text **ids,
    size_t *count, struct lun_err *err)
{
	size_t found = 0;

	for (size_t i = uow->asked; i < uow->touched_count; i++) {
		if (uow->touched[i]->known)
			continue;
		if (!reserve_element((void **)&uow->missing, found,
			&uow->missing_capacity, sizeof *uow->missing))
			return lun_fail(err, LUN_NOMEM,
			    "listing models to load: out of memory");
		uow->missing[found++] = uow->touched[i]->id;
	}
	*ids = uow->missing;
	*count = found;
	return LUN_OK;
}

static void
note_capacity(
    struct lun_unit_of_work *uow, struct lun_model *model, size_t capacity)
{
	uow->cache_bytes += capacity - model->row_capacity;
	if (model->batch == uow->batch)
		uow->touched_bytes += capacity - model->row_capacity;
	model->row_capacity = capacity;
}

static bool
set_row(
    struct lun_unit_of_work *uow, struct lun_model *model, struct lun_text row)
{
	model->known = true;
	if (row.bytes == NULL) {
		free(model->row);
		model->row = NULL;
		model->row_length = 0;
		note_capacity(uow, model, 0);
		return true;
	}
	if (model->row == NULL || row.length > model->row_capacity) {
		size_t capacity = row.length + row.length / 8 + 16;
		char *grown = realloc(model->row, capacity);

		if (grown == NULL)
			return false;
		model->row = grown;
		note_capacity(uow, model, capacity);
	}
	memcpy(model->row, row.bytes, row.length);
	model->row_length = row.length;
	return true;
}

bool
lun_uow_loaded(
    struct lun_unit_of_work *uow, struct lun_text id, struct lun_text row)
{
	struct lun_model *model = find_or_add(uow, id);

	if (model == NULL)
		return false;
	model->stored = true;
	return set_row(uow, model, row);
}

void
lun_uow_missing_done(struct lun_unit_of_work *uow)
{
	for (; uow->asked < uow->touched_count; uow->asked++) {
		struct lun_model *model = uow->touched[uow->asked];

		if (!model->known)
			model->stored = false;
		model->known = true;
	}
}

bool
lun_uow_put(
    struct lun_unit_of_work *uow, struct lun_model *model, struct lun_text row)
{
	model->dirty = true;
	model->changed = uow->batch;
	return set_row(uow, model, row);
}

void
lun_uow_park(struct lun_unit_of_work *uow, struct lun_model *model)
{
	if (!model->parked)
		model->parking = uow->batch;
	model->parked = true;
}

bool
lun_uow_mark_parked(
    struct lun_unit_of_work *uow, struct lun_text id, bool parked)
{
	struct lun_model *model = find_or_add(uow, id);

	if (model == NULL)
		return false;
	model->parked = parked;
	return true;
}

/* ---- the end of a batch ------------------------------------------------ */

static size_t
collected_bytes(const struct lun_unit_of_work *uow, size_t *dirty)
{
	size_t bytes = 0;

	*dirty = 0;
	for (size_t i = 0; i < uow->touched_count; i++) {
		const struct lun_model *model = uow->touched[i];

		if (!model->dirty)
			continue;
		(*dirty)++;
		bytes += model->id.length + model->row_length;
	}
	return bytes;
}

static bool
reserve_writes(struct lun_collected *collected, size_t count)
{
	struct lun_model_write *grown;

	if (count <= collected->model_capacity)
		return true;
	grown = realloc(collected->models, count * sizeof *grown);
	if (grown == NULL)
		return false;
	collected->models = grown;
	collected->model_capacity = count;
	return true;
}

/* Copy into memory that was reserved, so that it does not move. */
static struct lun_text
copy_to_reserved(struct lun_buffer *memory, const char *bytes, size_t length)
{
	struct lun_text kept = {memory->bytes + memory->length, length};

	lun_buffer_add(memory, bytes, length);
	return kept;
}

bool
lun_uow_collect(struct lun_unit_of_work *uow, struct lun_collected *collected)
{
	size_t count;
	size_t bytes = collected_bytes(uow, &count);

	lun_buffer_clear(&collected->memory);
	collected->model_count = 0;
	if (lun_buffer_reserve(&collected->memory, bytes + 1) == NULL ||
	    !reserve_writes(collected, count))
		return false;
	for (size_t i = 0; i < uow->touched_count; i++) {
		struct lun_model *model = uow->touched[i];
		struct lun_model_write *write;

		if (!model->dirty)
			continue;
		model->dirty = false;
		write = &collected->models[collected->model_count++];
		write->id = copy_to_reserved(
		    &collected->memory, model->id.bytes, model->id.length);
		write->row = LUN_TEXT_NONE;
		write->is_new = model->row != NULL && !model->stored;
		model->stored = model->row != NULL;
		if (model->row != NULL)
			write->row = copy_to_reserved(
			    &collected->memory, model->row, model->row_length);
	}
	uow->collected = uow->batch;
	return true;
}

void
lun_collected_free(struct lun_collected *collected)
{
	free(collected->models);
	lun_buffer_free(&collected->memory);
	*collected = (struct lun_collected){0};
}

void
lun_uow_forget(struct lun_unit_of_work *uow)
{
	for (size_t i = 0; i < uow->touched_count; i++) {
		struct lun_model *model = uow->touched[i];

		if (model->parking == uow->batch)
			model->parked = false;
		if (!model->dirty)
			continue;
		model->dirty = false;
		/* No row: the store only brings those of models it has. */
		(void)set_row(uow, model, LUN_TEXT_NONE);
		model->known = false;
		model->changed = 0;
	}
	empty_batch(uow);
}
