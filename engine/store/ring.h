/*
 * ring.h - the last part of a log as it was read, for several readers.
 *
 * A row of places, each with the source state that a reader has there; from
 * one to the next leads a batch, which does not change any more and lives as
 * long as somebody uses it. New ones come to its end, and the oldest go.
 * Whoever owns the ring guards it.
 */

#ifndef LUN_STORE_RING_H
#define LUN_STORE_RING_H

#include "store/event_store.h"
#include "store/type_set.h"

#define LUN_RING_PLACES 64

struct lun_shared_batch {
	size_t uses;
	struct lun_batch *batch;
	struct lun_type_set *types; /* that it was read for */
	struct lun_position lowest; /* of its events, where it has some */
};

struct lun_place {
	struct lun_position position;
	struct lun_buffer state;
	uint64_t changes;              /* of the state */
	struct lun_shared_batch *next; /* read from here on; NULL: not yet */
	bool at_head, at_gap, held, ripens; /* as a batch that ends here says */
};

struct lun_ring {
	struct lun_place places[LUN_RING_PLACES];
	uint64_t first; /* the number of the oldest place */
	size_t count;   /* 0: it has not begun */
	size_t bytes;
	size_t most_bytes;
};

/* From this place on; it is empty. False: no memory. */
bool lun_ring_begin(struct lun_ring *ring, struct lun_position position,
    struct lun_text state) LUN_MUSTCHECK;
/* Everything goes; the numbers of its places are not used again. */
void lun_ring_end(struct lun_ring *ring);

/* The place of this number, or NULL if it is gone. */
struct lun_place *lun_ring_at(struct lun_ring *ring, uint64_t number);
static inline uint64_t
lun_ring_newest(const struct lun_ring *ring)
{
	return ring->first + ring->count - 1;
}

/* There is no room before the oldest place has gone. */
bool lun_ring_is_full(const struct lun_ring *ring);
void lun_ring_drop_first(struct lun_ring *ring);

/*
 * What was read from the newest place on, for these types: a batch that is
 * taken over, and then a new place. False: no memory; the batch is freed.
 */
bool lun_ring_add(struct lun_ring *ring, struct lun_batch *batch,
    struct lun_type_set *types) LUN_MUSTCHECK;
/* Nothing was read, but more is known of the newest place. False: no memory. */
bool lun_ring_renew(
    struct lun_ring *ring, const struct lun_batch *batch) LUN_MUSTCHECK;

/* The oldest place from which on everything was read for these types. */
uint64_t lun_ring_covered(
    struct lun_ring *ring, const struct lun_type_set *types);

/* One use less; the last one frees it. NULL is allowed. */
void lun_shared_batch_drop(struct lun_shared_batch *shared);

#endif
