/*
 * events.h - what the files of the SQLite event store share.
 */

#ifndef LUN_SQLITE_EVENTS_H
#define LUN_SQLITE_EVENTS_H

#include "sqlite/connection.h"
#include "store/event_store.h"

enum lun_sqlite_events_statement {
	FIND_ANCHOR,
	FIND_HEAD,
	FIND_ID,
	FIND_VERSION,
	READ_ALL,
	READ_STREAM,
	COUNT_ALL,
	INSERT,
	STATEMENTS,
};

/* Where somebody else's tables keep what an event has: a row of a table. */
struct lun_sqlite_layout {
	const char *name; /* in the URL: sqlite:PATH?layout=NAME */
	const char *table;
	const char *key;      /* of the table: its column, or rowid */
	const char *relation; /* with the columns of our own table */
	const char *shown;    /* a condition: which rows are to be seen */
	bool unwrap; /* {"Type": data} and "Type" in place of type and data */
	bool has_tenants; /* the relation has the column tenant */
};

struct lun_sqlite_events {
	struct lun_event_store base; /* stays first */
	struct lun_sqlite c;
	const struct lun_sqlite_layout *layout; /* NULL: our own table */
	bool unwrap;
	char *tenant; /* only its events; NULL: all */
	sqlite3_stmt *q[STATEMENTS];
	char identity[LUN_IDENTITY_SIZE];
	int notify_fd; /* inotify on the WAL file; -1: not asked for */
	struct lun_buffer anchor; /* of the read under way */
};

/* events.c; 0: the store is empty. */
/*
 * The time in a column of an event's row; it may be a LUN_TIME_* in the tables
 * of others. NULL, or what is wrong with it.
 */
const char *lun_sqlite_event_time(const struct lun_sqlite_events *s,
    sqlite3_stmt *q, int column, int64_t *us) LUN_MUSTCHECK;

enum lun_code lun_sqlite_events_head(struct lun_sqlite_events *s, int64_t *head,
    struct lun_err *err) LUN_MUSTCHECK;
/* LUN_NOTFOUND leaves err untouched. */
enum lun_code lun_sqlite_events_find(struct lun_sqlite_events *s,
    struct lun_text id, struct lun_append_result *found,
    struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_sqlite_events_no_memory(
    struct lun_sqlite_events *s, struct lun_err *err);

/* After the metadata, where a layout has tenants. */
#define LUN_SQLITE_TENANT "/*, tenant*/"

/*
 * events_layout.c: take the URL apart: its path, to be freed even on failure
 * (NULL: none), and "layout=NAME", "unwrap=no", "tenant=NAME" behind "?".
 */
enum lun_code lun_sqlite_events_take_url(struct lun_sqlite_events *s,
    const char *rest, char **path, struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_sqlite_events_share_tenant(struct lun_sqlite_events *s,
    const char *tenant, struct lun_err *err) LUN_MUSTCHECK;
/* The statement, made for a table of our own, for this layout. */
enum lun_code lun_sqlite_events_prepare(struct lun_sqlite_events *s,
    const char *sql, bool hidden_too, sqlite3_stmt **q,
    struct lun_err *err) LUN_MUSTCHECK;
/* LUN_CONFIG for somebody else's tables, which are only read. */
enum lun_code lun_sqlite_events_check_own(
    struct lun_sqlite_events *s, struct lun_err *err) LUN_MUSTCHECK;
/* As the event store's layouts. */
void lun_sqlite_events_layouts(struct lun_buffer *json);
/* Who a file of this layout is: nothing in it says so but its path. */
void lun_sqlite_events_identify(struct lun_sqlite_events *s);

/*
 * events_table.c: LUN_CONFIG if the table is not one whose rows have an order,
 * or has an event that stands before the first position.
 */
enum lun_code lun_sqlite_events_check_table(
    struct lun_sqlite_events *s, struct lun_err *err) LUN_MUSTCHECK;

/* events_read.c, events_append.c: methods of the store. */
enum lun_code lun_sqlite_events_read(struct lun_event_store *store,
    const struct lun_read *request, struct lun_batch *batch,
    struct lun_err *err);
enum lun_code lun_sqlite_events_append(struct lun_event_store *store,
    const struct lun_append *events, size_t count,
    struct lun_append_result *results, struct lun_err *err);

static inline struct lun_sqlite_events *
lun_sqlite_events_of(struct lun_event_store *store)
{
	return (struct lun_sqlite_events *)store;
}

#endif
