/* events_append.c - appending to an event store in a SQLite file. */

#include "sqlite/events.h"

#include <inttypes.h>

#include "base/error.h"

static enum lun_code
next_version(struct lun_sqlite_events *s, const struct lun_append *append,
    int64_t *version, struct lun_err *err)
{
	sqlite3_stmt *q = s->q[FIND_VERSION];
	int64_t last = 0;
	enum lun_code code;

	lun_sqlite_bind_text(&s->c, q, 1, append->event.stream);
	code = lun_sqlite_step(&s->c, q, err);
	if (code == LUN_OK)
		last = sqlite3_column_int64(q, 0);
	sqlite3_reset(q);
	if (code != LUN_OK)
		return code;
	if (append->expected_version != LUN_ANY_VERSION &&
	    append->expected_version != last)
		return lun_fail(err, LUN_CONFLICT,
		    "stream %.*s is at version %" PRId64 ", expected %" PRId64,
		    LUN_TEXT_ARG(append->event.stream), last,
		    append->expected_version);
	if (last == INT64_MAX)
		return lun_fail(err, LUN_INVALID,
		    "stream %.*s is at the highest version there can be",
		    LUN_TEXT_ARG(append->event.stream));
	*version = last + 1;
	return LUN_OK;
}

static enum lun_code
insert_event(struct lun_sqlite_events *s, const struct lun_append *append,
    struct lun_append_result *result, struct lun_err *err)
{
	const struct lun_event *event = &append->event;
	sqlite3_stmt *q = s->q[INSERT];
	enum lun_code code = lun_sqlite_events_find(s, event->id, result, err);

	if (code != LUN_NOTFOUND)
		return code;
	*result = (struct lun_append_result){0};
	code = next_version(s, append, &result->version, err);
	if (code != LUN_OK)
		return code;
	lun_sqlite_bind_text(&s->c, q, 1, event->id);
	lun_sqlite_bind_text(&s->c, q, 2, event->stream);
	lun_sqlite_bind_integer(&s->c, q, 3, result->version);
	lun_sqlite_bind_text(&s->c, q, 4, event->type);
	lun_sqlite_bind_text(&s->c, q, 5, event->data);
	lun_sqlite_bind_text(&s->c, q, 6, event->metadata);
	lun_sqlite_bind_integer(&s->c, q, 7, event->recorded_at);
	code = lun_sqlite_run(&s->c, q, err);
	if (sqlite3_errcode(s->c.db) == SQLITE_CONSTRAINT)
		return lun_wrap(err, LUN_INVALID, "append to stream %.*s",
		    LUN_TEXT_ARG(event->stream));
	result->position.lo = (uint64_t)sqlite3_last_insert_rowid(s->c.db);
	return code;
}

static enum lun_code
insert_events(struct lun_sqlite_events *s, const struct lun_append *events,
    size_t count, struct lun_append_result *results, struct lun_err *err)
{
	enum lun_code code = LUN_OK;

	for (size_t i = 0; i < count && code == LUN_OK; i++)
		code = insert_event(s, &events[i], &results[i], err);
	return code;
}

/* Inside a transaction a refused append must not take the rest with it. */
static enum lun_code
append_nested(struct lun_sqlite_events *s, const struct lun_append *events,
    size_t count, struct lun_append_result *results, struct lun_err *err)
{
	enum lun_code code = lun_sqlite_exec(&s->c, "SAVEPOINT append", err);
	enum lun_code undone = LUN_OK;

	if (code == LUN_OK)
		code = insert_events(s, events, count, results, err);
	if (code == LUN_OK)
		code = lun_sqlite_exec(&s->c, "RELEASE append", err);
	if (code == LUN_CONFLICT || code == LUN_INVALID)
		undone = lun_sqlite_exec(
		    &s->c, "ROLLBACK TO append; RELEASE append", NULL);
	else if (code != LUN_OK)
		lun_sqlite_rollback(&s->c);
	if (undone != LUN_OK) {
		code = lun_sqlite_fail(&s->c, err);
		lun_sqlite_rollback(&s->c);
	}
	return code;
}

enum lun_code
lun_sqlite_events_append(struct lun_event_store *store,
    const struct lun_append *events, size_t count,
    struct lun_append_result *results, struct lun_err *err)
{
	struct lun_sqlite_events *s = lun_sqlite_events_of(store);
	enum lun_code code = lun_sqlite_events_check_own(s, err);

	if (code != LUN_OK)
		return code;
	if (store->in_transaction)
		return append_nested(s, events, count, results, err);
	code = lun_sqlite_begin(&s->c, err);
	if (code != LUN_OK)
		return code;
	code = insert_events(s, events, count, results, err);
	if (code == LUN_OK)
		return lun_sqlite_commit(&s->c, err);
	lun_sqlite_rollback(&s->c);
	return code;
}
