/*
 * events.h - what the files of the SQLite event store share.
 */

#ifndef LUN_SQLITE_EVENTS_H
#define LUN_SQLITE_EVENTS_H

#include "connection.h"
#include "event_store.h"

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

struct lun_sqlite_events {
	struct lun_event_store base; /* stays first */
	struct lun_sqlite c;
	sqlite3_stmt *q[STATEMENTS];
	char identity[LUN_IDENTITY_SIZE];
	int notify_fd; /* inotify on the WAL file; -1: not asked for */
	struct lun_buffer anchor; /* of the read under way */
};

/* events.c; 0: the store is empty. */
enum lun_code lun_sqlite_events_head(struct lun_sqlite_events *s, int64_t *head,
    struct lun_err *err) LUN_MUSTCHECK;
/* LUN_NOTFOUND leaves err untouched. */
enum lun_code lun_sqlite_events_find(struct lun_sqlite_events *s,
    struct lun_text id, struct lun_append_result *found,
    struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_sqlite_events_no_memory(
    struct lun_sqlite_events *s, struct lun_err *err);

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
