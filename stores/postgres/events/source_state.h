/*
 * source_state.h - what a reader must not forget between two reads.
 *
 * Kept with the checkpoint as text, and committed with it: which event was read
 * last, and, then as JSON, up to where numbers that are missing are known to be
 * dead, which writers that waits for, which numbers were skipped, and which
 * events were delivered late or early. Zero is the empty state.
 */

#ifndef LUN_POSTGRES_EVENTS_SOURCE_STATE_H
#define LUN_POSTGRES_EVENTS_SOURCE_STATE_H

#include "base/buffer.h"
#include "base/text.h"
#include "data/position.h"
#include "lunette.h"

#define LUN_PG_WATERMARKS 16
#define LUN_PG_SKIPPED    1000  /* the newest are kept; all are counted */
#define LUN_PG_DELIVERED  10000 /* events in which a late one is looked for */

/* Up to `position` nothing can appear once none of the writers is left. */
struct lun_pg_watermark {
	struct lun_position position;
	int64_t at;                /* microseconds, by the server's clock */
	struct lun_buffer writers; /* virtual transaction ids, with commas */
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

	struct lun_position ceiling; /* nothing appears up to here any more */
	struct lun_pg_watermark watermarks[LUN_PG_WATERMARKS];
	size_t watermark_count;

	struct lun_pg_skip open_gap; /* where reading stops; from 0: none */
	struct lun_pg_skip *skips;
	size_t skip_count;
	size_t skip_capacity;
	uint64_t skipped; /* numbers, also those that are no longer listed */

	/* Events above the floor, among which a late one is looked for. */
	struct lun_pg_positions delivered;
	struct lun_position floor;
	/* Delivered, with events before them that were not. */
	struct lun_pg_positions delivered_early;
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
/* It is among the skipped numbers that are listed. */
bool lun_pg_state_lists_skip(const struct lun_pg_state *state, uint64_t number);
/* It was skipped; of the oldest it is not remembered any more. */
bool lun_pg_state_may_have_skipped(
    const struct lun_pg_state *state, uint64_t number);
/* This number was not dead after all. */
void lun_pg_state_remove_skip(struct lun_pg_state *state, uint64_t number);

/*
 * At the end of a read: of what was delivered so many as are kept, so that
 * every reader keeps the same ones.
 */
void lun_pg_state_trim(struct lun_pg_state *state);

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
