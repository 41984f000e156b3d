/*
 * reading.h - one read of events, on its way through the files that do it.
 */

#ifndef LUN_POSTGRES_EVENTS_READING_H
#define LUN_POSTGRES_EVENTS_READING_H

#include "postgres/events/events.h"

/* Versions of a stream that were not among the rows. */
struct lun_pg_hole {
	struct lun_buffer stream;
	struct lun_buffer realm;
	int64_t from;
	int64_t to;
	bool found;
};

struct lun_pg_reading {
	struct lun_pg_events *s;
	const struct lun_read *request;
	struct lun_batch *batch;
	size_t limit; /* rows asked for */
	size_t rows;
	bool has_rivals; /* several rows stood at one place */
	struct lun_position rivals_at;
	size_t bytes;

	/* Of the rows that are read whole, wanted or not. */
	struct lun_position bound;
	struct lun_pg_hole hole;
	size_t taken; /* rows of the statement under way */
	bool at_gap;  /* reading stopped there */
	int64_t now;  /* by the server's clock, where writers are pending */
	int tenant_column; /* of the statement under way; 0: there is none */
};

/* An event, borrowed from a row and from the texts here. */
struct lun_pg_event {
	struct lun_event event;
	bool counted; /* its version is one of its stream */
	char id[LUN_PG_UUID_SIZE];
	char stream[LUN_PG_UUID_SIZE];
	char type[LUN_PG_UUID_SIZE];
};

/* ---- row.c ------------------------------------------------------------- */

enum lun_code lun_pg_read_event(struct lun_pg_reading *r, const PGresult *row,
    struct lun_pg_event *out, struct lun_err *err) LUN_MUSTCHECK;
/* The time of an event: of a timestamp or of its text. False if it is none. */
bool lun_pg_event_time(
    const PGresult *row, int number, int column, int64_t *us) LUN_MUSTCHECK;
/* Add it to the batch if it is wanted. */
enum lun_code lun_pg_add_event(struct lun_pg_reading *r,
    struct lun_event *event, struct lun_err *err) LUN_MUSTCHECK;
/* The reader has come so far. */
void lun_pg_reading_advance(
    struct lun_pg_reading *r, const struct lun_event *event);
bool lun_pg_reading_is_full(const struct lun_pg_reading *r);

/* Add " AND ..." and its parameters to the statement of the store. */
void lun_pg_add_filter(
    struct lun_pg_events *s, const struct lun_event_filter *filter);
void lun_pg_add_equal(struct lun_pg_events *s, enum lun_pg_column column,
    const char *name, struct lun_text text);

/* ---- read_contiguous.c ------------------------------------------------- */

/*
 * Read every row up to r->bound, with the payload of the wanted ones only, and
 * check that no version of a stream is missing.
 */
enum lun_code lun_pg_read_contiguous(
    struct lun_pg_reading *r, struct lun_err *err) LUN_MUSTCHECK;
/* Add the events that came after their position was passed. */
enum lun_code lun_pg_read_late(
    struct lun_pg_reading *r, struct lun_err *err) LUN_MUSTCHECK;

#endif
