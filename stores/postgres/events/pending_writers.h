/*
 * pending_writers.h - up to where no event can appear any more.
 *
 * For layouts where a number is drawn before it is committed, and no row tells
 * of the transaction that wrote it. The proof is in pending_writers.c.
 */

#ifndef LUN_POSTGRES_EVENTS_PENDING_WRITERS_H
#define LUN_POSTGRES_EVENTS_PENDING_WRITERS_H

#include "postgres/events/mappings.h"
#include "postgres/events/source_state.h"

/* What one statement finds: the last event, then those who hold locks. */
struct lun_pg_pending_writers {
	struct lun_position last; /* event that can be seen; START: none */
	struct lun_buffer anchor; /* the id of the event at `after` */
	bool has_anchor;
	bool has_rival;    /* more than one event stands there */
	bool was_set_back; /* the sequence, below `after`; see catalogue.h */
	struct lun_buffer writers;
	int64_t now;             /* by the server's clock */
	struct lun_text numbers; /* given by the caller, see catalogue.h */
	struct lun_buffer mark;
	int64_t took_us; /* the server, to find all that */
};

void lun_pg_pending_writers_free(struct lun_pg_pending_writers *pending);

/* LUN_CONFIG on a standby, whose locks are not those of the writers. */
enum lun_code lun_pg_pending_writers_find(struct lun_pg *c,
    const struct lun_pg_mapping *mapping, struct lun_position after,
    struct lun_pg_pending_writers *pending, struct lun_err *err) LUN_MUSTCHECK;

/* Take what was found into the watermarks, and raise the ceiling as far as
 * that proves. */
void lun_pg_pending_writers_advance(struct lun_pg_state *state,
    const struct lun_pg_mapping *mapping,
    const struct lun_pg_pending_writers *pending);

#endif
