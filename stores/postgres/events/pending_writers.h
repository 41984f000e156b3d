/*
 * pending_writers.h - proof that nothing can appear any more below a position.
 *
 * Where numbers are drawn before they are committed, and no row tells of the
 * transaction that wrote it, whoever may still bring a number is found in the
 * server's locks: nextval() locks the sequence, and writing the table, until
 * the transaction ends; every role can see these locks.
 *
 * One statement reads the last event M and, while it runs, the holders of the
 * locks. A number below M was drawn before M was, so its owner had ended by
 * then or is among the holders: this is a mark. When all of the holders of a
 * mark are gone, what a new statement does not find below M will never come.
 * Client-made ids are treated alike, with the server's clock less a grace time
 * in the place of M.
 */

#ifndef LUN_POSTGRES_EVENTS_PENDING_WRITERS_H
#define LUN_POSTGRES_EVENTS_PENDING_WRITERS_H

#include "postgres/events/mappings.h"
#include "postgres/events/source_state.h"

/*
 * Look at the sequences of a mapping. Numbers that a session keeps in stock
 * (CACHE) need a grace time, which is set if the URL sets none. LUN_CONFIG if
 * several sequences number the rows.
 */
enum lun_code lun_pg_marks_prepare(struct lun_pg *c,
    struct lun_pg_mapping *mapping, struct lun_err *err) LUN_MUSTCHECK;

struct lun_pg_sight {
	struct lun_position last; /* event that can be seen; START: none */
	struct lun_buffer anchor; /* the id of the event at `after` */
	bool has_anchor;
	struct lun_buffer holders;
	int64_t now; /* by the server's clock */
};

void lun_pg_sight_free(struct lun_pg_sight *sight);

/* LUN_CONFIG on a standby, whose locks are not those of the writers. */
enum lun_code lun_pg_sight_take(struct lun_pg *c,
    const struct lun_pg_mapping *mapping, struct lun_position after,
    struct lun_pg_sight *sight, struct lun_err *err) LUN_MUSTCHECK;

/* Take what was seen into the marks, and raise the ceiling as far as it is
 * proven. */
void lun_pg_marks_advance(struct lun_pg_state *state,
    const struct lun_pg_mapping *mapping, const struct lun_pg_sight *sight);

/* The lowest position an event with an id of this time can have. */
struct lun_position lun_pg_time_position(int64_t us);

#endif
