/*
 * memory.c - what becomes of memory_bytes: who may hold how much of it.
 *
 * Measured with 1,000,000 models in SQLite: hot models are worth their memory
 * in proportion; a batch of 20,000 events costs a fifth more for each than one
 * of 50,000; of pages 4 MiB do as well as 64, as the system keeps them too.
 */

#include "settings/memory.h"

#include <stdbool.h>

#define LEAST_BATCH ((size_t)64 << 10) /* so that a small budget still moves */
#define LEAST_PAGES 64                 /* KiB */

/* Parts of memory_bytes. */
#define SLOTS(bytes)        ((bytes) / 8 * 7)
#define IDLE(bytes)         ((bytes) / 32)
#define LOOK(bytes)         ((bytes) / 64)
#define TAIL(bytes)         ((bytes) / 16)
#define APPEND_PAGES(bytes) ((bytes) / 3) /* beside it there is a batch */
#define EVENT_PAGES(bytes)  ((bytes) / 512)
#define MODEL_PAGES(bytes)  ((bytes) / 48)

/* Parts of a slot. */
#define BATCH(slot)   ((slot) / 11 * 2)
#define TOUCHED(slot) ((slot) / 8)
#define MODELS(slot)  ((slot) / 8 * 3)

void
lun_memory_init(struct lun_memory *memory, int64_t bytes, size_t slots)
{
	memory->bytes = bytes;
	memory->slots = slots;
	atomic_init(&memory->projections, 0);
}

static size_t
at_least(size_t least, size_t bytes)
{
	return bytes > least ? bytes : least;
}

struct lun_shares
lun_memory_share(const struct lun_memory *memory)
{
	size_t bytes = (size_t)memory->bytes;
	size_t projections = at_least(1, atomic_load(&memory->projections));
	bool all_fit = projections <= memory->slots;
	size_t slot = SLOTS(bytes) / (all_fit ? projections : memory->slots);

	return (struct lun_shares){
	    .batch = at_least(LEAST_BATCH, BATCH(slot)),
	    .touched = at_least(LEAST_BATCH, TOUCHED(slot)),
	    .models = MODELS(slot),
	    .idle_models = all_fit ? MODELS(slot) : IDLE(bytes) / projections,
	    .look = at_least(LEAST_BATCH, LOOK(bytes)),
	    .tail = at_least(LEAST_BATCH, TAIL(bytes)),
	};
}

static int64_t
pages_kib(int64_t bytes)
{
	return bytes >> 10 > LEAST_PAGES ? bytes >> 10 : LEAST_PAGES;
}

int64_t
lun_memory_append_pages_kib(int64_t bytes)
{
	return pages_kib(APPEND_PAGES(bytes));
}

int64_t
lun_memory_event_pages_kib(int64_t bytes)
{
	return pages_kib(EVENT_PAGES(bytes));
}

int64_t
lun_memory_model_pages_kib(int64_t bytes)
{
	return pages_kib(MODEL_PAGES(bytes));
}
