/*
 * events.h - what the files of the PostgreSQL event store share.
 */

#ifndef LUN_POSTGRES_EVENTS_EVENTS_H
#define LUN_POSTGRES_EVENTS_EVENTS_H

#include "postgres/client/connection.h"
#include "postgres/client/listen.h"
#include "postgres/events/mappings.h"
#include "postgres/events/pending_writers.h"
#include "postgres/events/safe_head.h"
#include "postgres/events/source_state.h"
#include "postgres/events/versions.h"
#include "store/event_store.h"

/* What the connections to one event store share. */
struct lun_pg_source {
	atomic_uint users;
	struct lun_pg_mapping *mapping;
	struct lun_pg_listener *listener; /* NULL: no hints */
	char identity[LUN_IDENTITY_SIZE];
	char *remark;            /* NULL: none */
	atomic_llong look_at_ns; /* when the catalogue is looked at again */
	atomic_bool in_doubt;    /* it did not fit when last looked at */
	bool pooled; /* a pooler stands between: LISTEN does not work */
};

/* All that is left of the log, in its order, by a cursor: see pass.c. */
struct lun_pg_pass {
	bool is_open;
	bool sorts;      /* the first rows were asked for, and have not come */
	bool ended;      /* no more rows will come */
	uint64_t wanted; /* a hash of the filter */
	struct lun_position from;
	struct lun_position at; /* of the last row that was taken */
	struct lun_buffer at_anchor;
	struct lun_position bound; /* of the rows that it has */
	struct lun_buffer bound_anchor;
	int64_t now; /* by the server's clock, when it was begun */

	/* When it was begun, when it is ended, and is looked at again. */
	int64_t began_ns;
	int64_t until_ns;
	int64_t look_ns;
	int64_t next_ns; /* when another one may be begun */

	int tenant_column; /* of its rows, as of a reading */
	PGresult **rows;   /* that came, and were not taken */
	size_t asked;
	size_t first;
	size_t count;
	size_t capacity;
};

/* Looks for numbers that come late, not one in each read: read_late.c. */
struct lun_pg_late_looks {
	int64_t
	    last; /* by the server's clock; 0: nothing was left to look for */
	int64_t next_ns; /* of this clock */
};

/* A safe head, for the reads on the way to it: see known_head.c. */
struct lun_pg_known_head {
	bool is_known;
	struct lun_position bound;
	struct lun_buffer bound_anchor;
	uint64_t connection; /* the one that it was found on */
	uint64_t in_vain_on; /* the last one on which it was of no use */
	int64_t until_ns;
};

struct lun_pg_events {
	struct lun_event_store base; /* stays first */
	struct lun_pg c;
	struct lun_pg_source *source;
	struct lun_pg_waker waker;

	/* Of the call under way. */
	struct lun_pg_params params;
	struct lun_buffer sql;
	struct lun_pg_safe_head safe_head;
	struct lun_pg_pending_writers pending;
	struct lun_pg_state state;
	struct lun_buffer mark; /* of the catalogue, as it was found to fit */
	struct lun_buffer numbers; /* the sequences it is made of */

	/* What was given out of the streams as of this position and state. */
	struct lun_pg_versions *versions;
	struct lun_position versions_at;
	uint64_t versions_state;       /* a hash of it */
	struct lun_buffer versions_of; /* the stream of the filter */
	bool versions_known;

	/* A bound found for a filter, good for readers on the way to it. */
	struct lun_position settled;
	struct lun_position settled_from;
	struct lun_buffer settled_anchor;

	struct lun_pg_known_head known_head;
	struct lun_pg_pass pass;
	struct lun_pg_late_looks late_looks;

	size_t row_bytes;     /* of a usual event, for limits */
	double rows_each;     /* looked at for a wanted one, in the last read */
	bool takes_all;       /* nearly all were, so types are not asked for */
	bool took_in_vain;    /* payloads, so it never does again */
	uint64_t transaction; /* of the appends under way; 0: none */
};

/* make.c */
enum lun_code lun_pg_events_make(
    struct lun_pg *c, struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_pg_events_identify(struct lun_pg *c,
    const struct lun_pg_mapping *mapping, char identity[LUN_IDENTITY_SIZE],
    struct lun_err *err) LUN_MUSTCHECK;

/* read.c */
enum lun_code lun_pg_events_read(struct lun_event_store *store,
    const struct lun_read *request, struct lun_batch *batch,
    struct lun_err *err);
enum lun_code lun_pg_events_head(struct lun_event_store *store,
    struct lun_position *head, struct lun_err *err);
enum lun_code lun_pg_events_find(struct lun_event_store *store,
    struct lun_text id, struct lun_position *position, struct lun_err *err);

/* lag.c */
enum lun_code lun_pg_events_lag(struct lun_event_store *store,
    struct lun_position after, const struct lun_event_filter *filter,
    struct lun_lag *lag, struct lun_err *err);

/* pass.c: whatever the connection is wanted for, the pass is over. */
void lun_pg_pass_close(struct lun_pg_events *s);
void lun_pg_pass_free(struct lun_pg_events *s);
/* Who sorts what, in words; nothing if nobody does. */
void lun_pg_pass_describe(
    const struct lun_pg_events *s, struct lun_buffer *words);

/*
 * catalogue_changes.c: LUN_CONFIG if the catalogue is not any more what the safe
 * head rests on. mark is what the statement that found it says.
 */
enum lun_code lun_pg_events_check_catalogue(struct lun_pg_events *s,
    const struct lun_buffer *mark, struct lun_err *err) LUN_MUSTCHECK;

/* gaps.c */
enum lun_code lun_pg_events_gaps(struct lun_event_store *store,
    struct lun_text source_state, struct lun_buffer *json, struct lun_err *err);

/* same_reach.c */
bool lun_pg_events_same_reach(struct lun_event_store *store,
    struct lun_text own, struct lun_text other, struct lun_position *unproven);

/* held_by.c */
enum lun_code lun_pg_events_held_by(struct lun_event_store *store,
    struct lun_text source_state, struct lun_buffer *words,
    struct lun_err *err);
/* The same, where writers are pending; s->pending is as of the last look. */
enum lun_code lun_pg_add_pending_writers(struct lun_pg_events *s,
    const struct lun_pg_state *state, struct lun_buffer *words,
    struct lun_err *err) LUN_MUSTCHECK;

/* index_sql.c */
enum lun_code lun_pg_events_index_sql(
    struct lun_event_store *store, struct lun_buffer *sql, struct lun_err *err);
void lun_pg_events_layouts(struct lun_buffer *json);

/* append.c */
enum lun_code lun_pg_events_append(struct lun_event_store *store,
    const struct lun_append *events, size_t count,
    struct lun_append_result *results, struct lun_err *err);
enum lun_code lun_pg_events_begin(
    struct lun_event_store *store, struct lun_err *err);
enum lun_code lun_pg_events_commit(
    struct lun_event_store *store, struct lun_err *err);
void lun_pg_events_rollback(struct lun_event_store *store);

enum lun_code lun_pg_events_no_memory(
    struct lun_pg_events *s, struct lun_err *err);
/* Run what stands in s->sql with s->params. */
enum lun_code lun_pg_events_run(
    struct lun_pg_events *s, PGresult **out, struct lun_err *err) LUN_MUSTCHECK;
/* The same, row by row. */
enum lun_code lun_pg_read_rows(struct lun_pg_events *s, lun_pg_row_fn *row,
    void *arg, struct lun_err *err) LUN_MUSTCHECK;

static inline struct lun_pg_events *
lun_pg_events_of(struct lun_event_store *store)
{
	return (struct lun_pg_events *)store;
}

#endif
