/*
 * source_state.h - what a reader must not forget between two reads.
 *
 * Kept with the checkpoint as text, and committed with it: which event was read
 * last, and, then as JSON, up to where numbers that are missing are known to be
 * dead and whom that is waited for, which numbers were passed over, and which
 * events were given out before or after their turn. Zero is the empty state.
 */

#ifndef LUN_POSTGRES_EVENTS_SOURCE_STATE_H
#define LUN_POSTGRES_EVENTS_SOURCE_STATE_H

#include "base/buffer.h"
#include "base/text.h"
#include "data/position.h"
#include "lunette.h"

#define LUN_PG_MARKS   16
#define LUN_PG_SKIPPED 1000  /* the newest are kept; all are counted */
#define LUN_PG_SEEN    10000 /* events in which a late one is looked for */

/* Up to `position` nothing can appear once none of the holders is left. */
struct lun_pg_mark {
	struct lun_position position;
	int64_t at;                /* microseconds, by the server's clock */
	struct lun_buffer holders; /* virtual transaction ids, with commas */
};

/* Numbers, first to last, that nobody can use any more. */
struct lun_pg_skip {
	uint64_t from;
	uint64_t to;
	int64_t at;
};

/* In ascending order; the lowest are forgotten first. */
struct lun_pg_positions {
	struct lun_position *items;
	size_t count;
	size_t capacity;
};

struct lun_pg_state {
	struct lun_buffer anchor; /* the id of the event read last */
	bool known; /* it was written by a read, not set by hand */

	struct lun_position ceiling; /* settled up to here */
	struct lun_pg_mark marks[LUN_PG_MARKS];
	size_t mark_count;

	struct lun_pg_skip held; /* the gap that reading stops at; from 0: no */
	struct lun_pg_skip *skips;
	size_t skip_count;
	size_t skip_capacity;
	uint64_t skipped; /* numbers, also those that are no longer listed */

	/* Events above the floor that were given out, for those that are late. */
	struct lun_pg_positions seen;
	struct lun_position floor;
	/* Given out before the events between were. */
	struct lun_pg_positions ahead;
	bool failed; /* out of memory */
};

void lun_pg_state_free(struct lun_pg_state *state);

/* False if the text is not such a state; it is then empty. */
bool lun_pg_state_decode(
    struct lun_pg_state *state, struct lun_text text) LUN_MUSTCHECK;
void lun_pg_state_encode(
    const struct lun_pg_state *state, struct lun_buffer *out);

void lun_pg_state_add_skip(
    struct lun_pg_state *state, uint64_t from, uint64_t to, int64_t at);
/* It was passed over; of the oldest it is not remembered any more. */
bool lun_pg_state_may_have_skipped(
    const struct lun_pg_state *state, uint64_t number);
/* This number was not dead after all. */
void lun_pg_state_remove_skip(struct lun_pg_state *state, uint64_t number);

/* False when out of memory. */
bool lun_pg_positions_add(
    struct lun_pg_positions *list, struct lun_position position) LUN_MUSTCHECK;
bool lun_pg_positions_has(
    const struct lun_pg_positions *list, struct lun_position position);
void lun_pg_positions_remove(
    struct lun_pg_positions *list, struct lun_position position);
/* Forget the positions up to this one. */
void lun_pg_positions_forget(
    struct lun_pg_positions *list, struct lun_position upto);

#endif
