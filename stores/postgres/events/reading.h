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

/* A row of a stream of which nothing was known; see order.c. */
struct lun_pg_doubt {
	size_t at; /* in the texts: the realm, then the name */
	size_t realm_length;
	size_t name_length;
	int64_t version;
	struct lun_position reached; /* before the row */
	bool has_lower;
	bool settled;
	int64_t last; /* once settled: the version given out before the row */
};

struct lun_pg_doubts {
	struct lun_pg_doubt *items;
	size_t count;
	size_t capacity;
	struct lun_buffer texts;
};

/* Where the rows come from, in their order. */
enum lun_pg_way {
	LUN_PG_BY_STATEMENT,
	LUN_PG_BY_PASS,
	LUN_PG_BEHIND_PASS, /* a statement, up to where the pass stands */
};

struct lun_pg_reading {
	struct lun_pg_events *s;
	enum lun_pg_way way;
	bool waits; /* the server sorts: there is nothing to be had yet */
	/* The bound was known; the first row has to be that of the anchor. */
	bool unasked;
	bool expects_anchor; /* that has not come */
	const struct lun_read *request;
	struct lun_batch *batch;
	size_t limit; /* rows that may be wanted */
	size_t most;  /* rows looked at, wanted or not */
	size_t rows;
	bool has_rivals; /* several rows stood at one place */
	struct lun_position rivals_at;
	struct lun_err late; /* a version came to a place that was read */
	size_t bytes;
	size_t unwanted_bytes; /* of payloads that were sent all the same */

	/* Of the rows that are read whole, wanted or not. */
	struct lun_position bound;
	struct lun_pg_hole hole;
	struct lun_pg_doubts doubts;
	bool again;     /* the read has to be done anew, with the doubts */
	size_t taken;   /* rows of the statement under way */
	bool ended;     /* it found no more */
	size_t scanned; /* rows of all of them */
	bool at_gap;    /* reading stopped there */
	int64_t now;    /* by the server's clock, where writers are pending */
	int tenant_column; /* of the statement under way; 0: there is none */
};

/* An event, borrowed from a row and from the texts here. */
struct lun_pg_event {
	struct lun_event event;
	bool counted; /* its version is one of its stream */
	struct lun_pg_stream_key
	    key; /* of that, if it is counted and has_key */
	bool has_key;
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

/*
 * Add " AND ..." and its parameters to the statement of the store. Names are
 * compared byte by byte, whatever the column makes of them: without padding,
 * with another collation, in another case. A row without a type, null or empty,
 * is taken too, and named when it is read.
 */
void lun_pg_add_types(
    struct lun_pg_events *s, const struct lun_event_filter *filter);
void lun_pg_add_filter(
    struct lun_pg_events *s, const struct lun_event_filter *filter);
void lun_pg_add_equal(struct lun_pg_events *s, enum lun_pg_column column,
    const char *name, struct lun_text text);
void lun_pg_add_stream(struct lun_pg_events *s, struct lun_pg_stream stream);

/* ---- order.c ----------------------------------------------------------- */

/* Of a row that has its realm, where there are some, as the last column. */
static inline struct lun_pg_stream
lun_pg_row_stream(const struct lun_pg_reading *r, const PGresult *row,
    const struct lun_pg_event *read)
{
	struct lun_pg_stream stream = {LUN_TEXT(""), read->event.stream};

	if (r->s->source->mapping->layout.realm != NULL)
		stream.realm = lun_pg_bytes(row, 0, PQnfields(row) - 1);
	return stream;
}

/* Before the first row of a read: remember, if that goes on from the last. */
enum lun_code lun_pg_order_begin(
    struct lun_pg_reading *r, struct lun_err *err) LUN_MUSTCHECK;
/* False: lower versions of its stream come first, r->hole says which. */
bool lun_pg_order_fits(struct lun_pg_reading *r, const PGresult *row,
    struct lun_pg_event *read) LUN_MUSTCHECK;
/* The row was given out, or is not wanted. */
void lun_pg_order_pass(
    struct lun_pg_reading *r, const PGresult *row, struct lun_pg_event *read);
/* After the last row; r->again: nothing of this read may be handed out. */
enum lun_code lun_pg_order_settle(
    struct lun_pg_reading *r, struct lun_err *err) LUN_MUSTCHECK;
/* What is remembered is as of this batch. */
void lun_pg_order_end(struct lun_pg_reading *r, struct lun_text source_state);
void lun_pg_doubts_free(struct lun_pg_doubts *doubts);

/* ---- read.c ------------------------------------------------------------ */

/*
 * Begin the statement of the store: the rows after this position up to r->bound
 * in their order, as ordered rows are read.
 */
enum lun_code lun_pg_begin_ordered(struct lun_pg_reading *r,
    struct lun_position after, struct lun_err *err) LUN_MUSTCHECK;
/* At most so many rows in their order, by r->way; counted in r->taken. */
enum lun_code lun_pg_read_ordered(struct lun_pg_reading *r, size_t limit,
    lun_pg_row_fn *row, struct lun_err *err) LUN_MUSTCHECK;
/* The safe head, or what is settled nearer by where a filter asks for that. */
enum lun_code lun_pg_find_bound(struct lun_pg_events *s,
    const struct lun_read *request, struct lun_err *err) LUN_MUSTCHECK;

/* ---- known_head.c ------------------------------------------------------ */

/* r->unasked: the store has the bound, of an earlier read. */
void lun_pg_known_head_recall(struct lun_pg_reading *r);
/* The bound that was found at this time, and fits the anchor, is one. */
void lun_pg_known_head_keep(struct lun_pg_reading *r, int64_t found_ns);
/*
 * Of each row of such a read: the first is that of the anchor, which is no news,
 * and no other stands there. False: nothing of the read counts, and the anchor
 * is what it expects again.
 */
bool lun_pg_known_head_holds(
    struct lun_pg_reading *r, const struct lun_event *event) LUN_MUSTCHECK;
/* It was of no use: there is none on this connection any more. */
void lun_pg_known_head_forget(struct lun_pg_events *s);

/* ---- pass.c ------------------------------------------------------------ */

/*
 * Before anything is asked: how this read is done. Unless it is by statement the
 * store has the bound. r->waits: the server sorts, and nothing may be asked.
 */
enum lun_code lun_pg_pass_choose(
    struct lun_pg_reading *r, struct lun_err *err) LUN_MUSTCHECK;
/* As lun_pg_read_ordered(). */
enum lun_code lun_pg_pass_read(struct lun_pg_reading *r, size_t limit,
    lun_pg_row_fn *row, struct lun_err *err) LUN_MUSTCHECK;
/* After a read: end what has come to its end, or begin one if that pays. */
void lun_pg_pass_prepare(struct lun_pg_reading *r);
/* It failed: the same is read by statement. */
void lun_pg_pass_give_up(struct lun_pg_events *s);

/* ---- read_contiguous.c ------------------------------------------------- */

/*
 * Read every row up to r->bound, with the payload of the wanted ones only, the
 * versions of a stream in their order.
 */
enum lun_code lun_pg_read_contiguous(
    struct lun_pg_reading *r, struct lun_err *err) LUN_MUSTCHECK;
/*
 * Begin the statement of the store: the columns, the realm last if there are
 * some, and the scope. any_type: the payload of every row that is to be seen;
 * where nearly all are wanted, not to compare types spares the server a twentieth.
 */
enum lun_code lun_pg_begin_statement(
    struct lun_pg_reading *r, bool any_type, struct lun_err *err) LUN_MUSTCHECK;
/* Give out a row that is not the next one; it is noted in the state. */
enum lun_code lun_pg_deliver_out_of_order(struct lun_pg_reading *r,
    const PGresult *row, struct lun_pg_event *event,
    struct lun_err *err) LUN_MUSTCHECK;
/* Give out what r->hole says; LUN_IO names what is nowhere. */
enum lun_code lun_pg_fill_hole(
    struct lun_pg_reading *r, struct lun_err *err) LUN_MUSTCHECK;

/* ---- read_late.c ------------------------------------------------------- */

enum lun_code lun_pg_read_late(
    struct lun_pg_reading *r, struct lun_err *err) LUN_MUSTCHECK;
/* Where the window begins now: what comes late comes behind that. */
struct lun_position lun_pg_window_start(const struct lun_pg_reading *r);

#endif
