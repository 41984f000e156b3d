/*
 * memory.h - what becomes of memory_bytes: who may hold how much of it.
 *
 * A projection that catches up has a slot: two batches of events, the one that
 * is applied and the one that is fetched; the models that the batch touches, and
 * the last ones again as a commit under way; hot models. As many catch up at a
 * time as there are slots. The others share what is set aside for them, and so
 * do the connections and those that look. Lua states count by themselves
 * (script_memory_bytes).
 *
 * Shares are limits at which something ends or is dropped, and each may be
 * passed by one event, or by the models of one.
 */

#ifndef LUN_SETTINGS_MEMORY_H
#define LUN_SETTINGS_MEMORY_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* One for each engine; begun by lun_memory_init(). */
struct lun_memory {
	int64_t bytes;             /* memory_bytes */
	size_t slots;              /* most that there are */
	atomic_size_t projections; /* registered */
};

struct lun_shares {
	size_t batch;       /* one batch of events */
	size_t touched;     /* models that one batch touches */
	size_t models;      /* hot ones of a projection in a slot */
	size_t idle_models; /* of one that has caught up */
	size_t look;        /* events that are only shown */
	size_t tail;        /* the last ones that were read for all */
};

void lun_memory_init(struct lun_memory *memory, int64_t bytes, size_t slots);

struct lun_shares lun_memory_share(const struct lun_memory *memory);

/* Pages of one connection of SQLite, in KiB; the first for who only appends. */
int64_t lun_memory_append_pages_kib(int64_t bytes);
int64_t lun_memory_event_pages_kib(int64_t bytes);
int64_t lun_memory_model_pages_kib(int64_t bytes);

#endif
