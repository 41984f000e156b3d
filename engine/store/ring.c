/* ring.c - the last part of a log as it was read, for several readers. */

#include "store/ring.h"

#include <stdlib.h>

/* ---- batches ----------------------------------------------------------- */

static struct lun_position
find_lowest(const struct lun_batch *batch)
{
	struct lun_position lowest = LUN_POSITION_START;

	for (size_t i = 0; i < batch->count; i++)
		if (i == 0 ||
		    lun_position_compare(batch->events[i].position, lowest) < 0)
			lowest = batch->events[i].position;
	return lowest;
}

static struct lun_shared_batch *
share_batch(struct lun_batch *batch, struct lun_type_set *types)
{
	struct lun_shared_batch *shared = malloc(sizeof *shared);

	if (shared == NULL) {
		lun_batch_free(batch);
		return NULL;
	}
	*shared = (struct lun_shared_batch){
	    .uses = 1,
	    .batch = batch,
	    .types = lun_type_set_use(types),
	    .lowest = find_lowest(batch),
	};
	return shared;
}

void
lun_shared_batch_drop(struct lun_shared_batch *shared)
{
	if (shared == NULL || --shared->uses > 0)
		return;
	lun_batch_free(shared->batch);
	lun_type_set_drop(shared->types);
	free(shared);
}

/* What it takes while it is in the ring. */
static size_t
size_of(const struct lun_shared_batch *shared)
{
	return shared->batch->bytes + shared->batch->source_state.length;
}

/* ---- places ------------------------------------------------------------ */

static struct lun_place *
slot_of(struct lun_ring *ring, uint64_t number)
{
	return &ring->places[number % LUN_RING_PLACES];
}

struct lun_place *
lun_ring_at(struct lun_ring *ring, uint64_t number)
{
	return number >= ring->first && number - ring->first < ring->count
		   ? slot_of(ring, number)
		   : NULL;
}

static bool
set_state(struct lun_place *place, struct lun_text state)
{
	lun_buffer_clear(&place->state);
	lun_buffer_add_text(&place->state, state);
	place->changes++;
	return !place->state.failed;
}

static void
set_flags(struct lun_place *place, const struct lun_batch *batch)
{
	place->changes += place->at_head != batch->at_head ||
			  place->at_gap != batch->at_gap ||
			  place->held != batch->held ||
			  place->ripens != batch->ripens;
	place->at_head = batch->at_head;
	place->at_gap = batch->at_gap;
	place->held = batch->held;
	place->ripens = batch->ripens;
}

/* Behind the newest one. */
static bool
add_place(
    struct lun_ring *ring, struct lun_position position, struct lun_text state)
{
	struct lun_place *place = slot_of(ring, ring->first + ring->count);

	*place = (struct lun_place){.position = position};
	if (!set_state(place, state)) {
		lun_buffer_free(&place->state);
		return false;
	}
	ring->count++;
	return true;
}

bool
lun_ring_begin(
    struct lun_ring *ring, struct lun_position position, struct lun_text state)
{
	return add_place(ring, position, state);
}

void
lun_ring_drop_first(struct lun_ring *ring)
{
	struct lun_place *place = slot_of(ring, ring->first);

	if (place->next != NULL)
		ring->bytes -= size_of(place->next);
	lun_shared_batch_drop(place->next);
	lun_buffer_free(&place->state);
	ring->first++;
	ring->count--;
}

void
lun_ring_end(struct lun_ring *ring)
{
	while (ring->count > 0)
		lun_ring_drop_first(ring);
}

bool
lun_ring_is_full(const struct lun_ring *ring)
{
	return ring->count == LUN_RING_PLACES ||
	       (ring->count > 1 && ring->bytes >= ring->most_bytes);
}

bool
lun_ring_add(
    struct lun_ring *ring, struct lun_batch *batch, struct lun_type_set *types)
{
	struct lun_place *last = slot_of(ring, lun_ring_newest(ring));
	struct lun_shared_batch *shared = share_batch(batch, types);

	if (shared == NULL)
		return false;
	if (!add_place(
		ring, batch->reached, lun_buffer_text(&batch->source_state))) {
		lun_shared_batch_drop(shared);
		return false;
	}
	last->next = shared;
	ring->bytes += size_of(shared);
	set_flags(slot_of(ring, lun_ring_newest(ring)), batch);
	return true;
}

bool
lun_ring_renew(struct lun_ring *ring, const struct lun_batch *batch)
{
	struct lun_place *place = slot_of(ring, lun_ring_newest(ring));

	set_flags(place, batch);
	if (lun_text_equal(lun_buffer_text(&place->state),
		lun_buffer_text(&batch->source_state)))
		return true;
	return set_state(place, lun_buffer_text(&batch->source_state));
}

uint64_t
lun_ring_covered(struct lun_ring *ring, const struct lun_type_set *types)
{
	const struct lun_type_set *known = NULL;
	uint64_t number = lun_ring_newest(ring);

	while (number > ring->first) {
		const struct lun_type_set *read =
		    slot_of(ring, number - 1)->next->types;

		if (read != known && !lun_type_set_covers(read, types))
			break;
		known = read;
		number--;
	}
	return number;
}
