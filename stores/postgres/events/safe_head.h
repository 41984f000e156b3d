/*
 * safe_head.h - how far it is safe to read, for each kind of event store.
 *
 * An event whose number was drawn early and committed late must not be
 * skipped. Before it is read one statement finds the safe head: up to this
 * position everything is settled, so that no later statement can find an event
 * there which this one did not see. Reading stops at it.
 */

#ifndef LUN_POSTGRES_EVENTS_SAFE_HEAD_H
#define LUN_POSTGRES_EVENTS_SAFE_HEAD_H

#include "postgres/events/mappings.h"

/* As the last column: microseconds that the statement has run for. */
#define LUN_PG_ELAPSED                                                         \
	"(extract(epoch FROM pg_catalog.clock_timestamp() - "                  \
	"pg_catalog.statement_timestamp()) * 1000000)::int8"

/* What a reader asks, then what it must know before it reads on. */
struct lun_pg_safe_head {
	struct lun_position after;
	size_t most; /* rows the bound may lie ahead; 0: any number */
	struct lun_text numbers; /* for the mark, see catalogue.h */

	/* The safe head, or nearer by `most`; START: nothing is settled. */
	struct lun_position bound;
	struct lun_buffer anchor; /* the id of the event at `after` */
	bool has_anchor;
	bool has_rival;    /* more than one event stands at `after` */
	bool was_set_back; /* the sequence, below `after`; see catalogue.h */
	struct lun_buffer bound_anchor; /* the id of the event at the bound */
	bool at_head;                   /* nothing above the bound is settled */
	/* The last event there is lies above the safe head, and may do so long. */
	bool is_held;
	struct lun_position last;
	/* Transaction ids that this server has not given out yet. */
	bool is_foreign;
	struct lun_buffer mark;
	int64_t took_us; /* the server, to find all that */
};

void lun_pg_safe_head_free(struct lun_pg_safe_head *head);

enum lun_code lun_pg_safe_head_find(struct lun_pg *c,
    const struct lun_pg_mapping *mapping, struct lun_pg_safe_head *head,
    struct lun_err *err) LUN_MUSTCHECK;

/* The word of the URL for it. */
bool lun_pg_find_safety(const char *word, enum lun_pg_safety *safety);

/* LUN_CONFIG if a mapping cannot be read safely in the way it asks for. */
enum lun_code lun_pg_check_safety(const struct lun_pg_mapping *mapping,
    struct lun_pg *c, struct lun_err *err) LUN_MUSTCHECK;

#endif
