/*
 * events_read.c - reading from an event store in a SQLite file.
 *
 * The source state is the id of the event a reader has reached: the anchor.
 * If the event at that position has another id, or is gone, the log is not
 * the one that was read before.
 */

#include "sqlite/events.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/error.h"
#include "json/scan.h"

/* Rows a read looks at, wanted or not, for each event asked for. */
#define SCANNED_TIMES 4
#define SCANNED_LEAST 10000

/* Of the statements READ_ALL and READ_STREAM. */
enum column {
	POSITION,
	VERSION,
	RECORDED_AT,
	ID,
	STREAM,
	TYPE,
	DATA,
	METADATA,
	TENANT /* where there are some */
};

/* ---- anchors ----------------------------------------------------------- */

/* The anchor for a reader at this position; nothing at a hole. */
static enum lun_code
find_anchor(struct lun_sqlite_events *s, int64_t position,
    struct lun_buffer *anchor, struct lun_err *err)
{
	sqlite3_stmt *q = s->q[FIND_ANCHOR];
	enum lun_code code;

	lun_buffer_clear(anchor);
	lun_sqlite_bind_integer(&s->c, q, 1, position);
	code = lun_sqlite_step(&s->c, q, err);
	if (code == LUN_OK)
		lun_buffer_add_text(anchor, lun_sqlite_column_text(q, 0));
	sqlite3_reset(q);
	if (anchor->failed)
		return lun_sqlite_events_no_memory(s, err);
	return code == LUN_NOTFOUND ? LUN_OK : code;
}

#define WHAT_TO_DO                                                             \
	"the event store was replaced or cut back; restore it, or start the "  \
	"projection anew with lunette rebuild NAME"
#define OR_GO_ON                                                               \
	", or, if nothing else was deleted, go on with lunette checkpoint "    \
	"set NAME %" PRId64

/* found is the id of the event that is there, if there is one. */
static enum lun_code
refuse_position(struct lun_sqlite_events *s, struct lun_position after,
    struct lun_text found, struct lun_err *err)
{
	const char *path = lun_sqlite_path(&s->c);
	int64_t head, position = (int64_t)after.lo;
	enum lun_code code = lun_sqlite_events_head(s, &head, err);

	if (code != LUN_OK)
		return code;
	if (after.hi != 0 || after.lo > INT64_MAX)
		return lun_fail(err, LUN_CONFIG,
		    "%s has no such position as the one read last: " WHAT_TO_DO,
		    path);
	if (position > head)
		return lun_fail(err, LUN_CONFIG,
		    "%s ends at position %" PRId64 ", before position %" PRId64
		    " that was read last: " WHAT_TO_DO OR_GO_ON,
		    path, head, position, head);
	if (found.length > 0)
		return lun_fail(err, LUN_CONFIG,
		    "%s has another event at position %" PRId64
		    " than the one that was read last: " WHAT_TO_DO,
		    path, position);
	return lun_fail(err, LUN_CONFIG,
	    "%s no longer has the event at position %" PRId64
	    " that was read last: " WHAT_TO_DO OR_GO_ON,
	    path, position, position);
}

/* A position without an anchor was set by hand and may lie in a hole. */
static enum lun_code
check_anchor(struct lun_sqlite_events *s, const struct lun_read *request,
    struct lun_err *err)
{
	struct lun_position after = request->after;
	struct lun_buffer *found = &s->anchor;
	int64_t head = 0;
	enum lun_code code;

	lun_buffer_clear(found);
	if (lun_position_compare(after, LUN_POSITION_START) == 0)
		return LUN_OK;
	if (after.hi != 0 || after.lo > INT64_MAX)
		return refuse_position(s, after, LUN_TEXT_NONE, err);
	code = find_anchor(s, (int64_t)after.lo, found, err);
	if (code != LUN_OK)
		return code;
	if (request->source_state.length > 0)
		return lun_text_equal(
			   request->source_state, lun_buffer_text(found))
			   ? LUN_OK
			   : refuse_position(
				 s, after, lun_buffer_text(found), err);
	if (found->length == 0)
		code = lun_sqlite_events_head(s, &head, err);
	if (code == LUN_OK && found->length == 0 && after.lo > (uint64_t)head)
		return refuse_position(s, after, LUN_TEXT_NONE, err);
	return code;
}

static enum lun_code
refuse_column(struct lun_sqlite_events *s, sqlite3_stmt *q, enum column column,
    const char *what, struct lun_err *err)
{
	return lun_fail(err, LUN_INVALID,
	    "%s: the event at position %lld: %s %s; correct the row",
	    lun_sqlite_path(&s->c),
	    (long long)sqlite3_column_int64(q, POSITION),
	    sqlite3_column_name(q, column), what);
}

/*
 * Rows come from any program, and SQLite's columns hold any type. A column has
 * to be asked for its type before it is asked for its text.
 */
static enum lun_code
read_text_column(struct lun_sqlite_events *s, sqlite3_stmt *q,
    enum column column, size_t limit, struct lun_text *text,
    struct lun_err *err)
{
	sqlite3_value *value = sqlite3_column_value(q, column);

	if (sqlite3_value_type(value) != SQLITE_TEXT)
		return refuse_column(s, q, column, "is not text", err);
	*text = lun_sqlite_value_text(value);
	if (text->bytes == NULL)
		return lun_sqlite_events_no_memory(s, err);
	if (text->length > limit)
		return refuse_column(s, q, column, "is too long", err);
	return LUN_OK;
}

static enum lun_code
read_name_column(struct lun_sqlite_events *s, sqlite3_stmt *q,
    enum column column, struct lun_text *text, struct lun_err *err)
{
	enum lun_code code =
	    read_text_column(s, q, column, LUN_EVENT_NAME_MAX, text, err);
	const char *fault;

	if (code != LUN_OK || (text->length == 0 && column == TENANT))
		return code;
	fault = lun_event_name_fault(*text);
	return fault != NULL ? refuse_column(s, q, column, fault, err) : LUN_OK;
}

static enum lun_code
read_json_column(struct lun_sqlite_events *s, sqlite3_stmt *q,
    enum column column, struct lun_text *text, struct lun_err *err)
{
	return read_text_column(s, q, column, LUN_EVENT_BYTES_MAX, text, err);
}

static enum lun_code
read_integer_column(struct lun_sqlite_events *s, sqlite3_stmt *q,
    enum column column, int64_t *value, struct lun_err *err)
{
	sqlite3_value *found = sqlite3_column_value(q, column);

	if (sqlite3_value_type(found) != SQLITE_INTEGER)
		return refuse_column(s, q, column, "is not an integer", err);
	*value = sqlite3_value_int64(found);
	return LUN_OK;
}

/* Our log has microseconds, the tables of others text or nothing. */
const char *
lun_sqlite_event_time(
    const struct lun_sqlite_events *s, sqlite3_stmt *q, int column, int64_t *us)
{
	sqlite3_value *value = sqlite3_column_value(q, column);
	int type = sqlite3_value_type(value);

	if (s->layout == NULL) {
		*us = sqlite3_value_int64(value);
		if (type != SQLITE_INTEGER)
			return "is not an integer";
	} else if (type == SQLITE_NULL) {
		*us = LUN_TIME_UNKNOWN;
		return NULL;
	} else if (type != SQLITE_TEXT ||
		   !lun_timestamp_of_text(lun_sqlite_value_text(value), us)) {
		return "is no time such as 2026-11-23T05:32:58Z";
	} else if (lun_timestamp_is_infinite(*us)) {
		return NULL;
	}
	return lun_timestamp_is_moment(*us) ? NULL
					    : "is not in the years 1 to 9999";
}

/* All but position, stream and type. */
static enum lun_code
read_other_columns(struct lun_sqlite_events *s, sqlite3_stmt *q,
    struct lun_event *event, struct lun_err *err)
{
	enum lun_code code =
	    read_integer_column(s, q, VERSION, &event->version, err);
	const char *wrong =
	    lun_sqlite_event_time(s, q, RECORDED_AT, &event->recorded_at);

	if (code == LUN_OK && wrong != NULL)
		code = refuse_column(s, q, RECORDED_AT, wrong, err);
	if (code == LUN_OK)
		code = read_name_column(s, q, ID, &event->id, err);
	if (code == LUN_OK)
		code = read_json_column(s, q, DATA, &event->data, err);
	if (code == LUN_OK && sqlite3_column_type(q, METADATA) != SQLITE_NULL)
		code = read_json_column(s, q, METADATA, &event->metadata, err);
	if (code == LUN_OK && s->base.has_tenants)
		code = read_name_column(s, q, TENANT, &event->tenant, err);
	return code;
}

static enum lun_code
add_event_to_batch(struct lun_sqlite_events *s, const struct lun_event *event,
    struct lun_batch *batch, struct lun_err *err)
{
	if (!lun_batch_add(batch, event))
		return lun_sqlite_events_no_memory(s, err);
	return LUN_OK;
}

/* The type is in the data, which nothing has checked. */
static enum lun_code
add_unwrapped(struct lun_sqlite_events *s, sqlite3_stmt *q,
    const struct lun_read *request, struct lun_event *event,
    struct lun_batch *batch, struct lun_err *err)
{
	struct lun_buffer name = {0};
	enum lun_code code = LUN_OK;
	const char *wrong;

	if (lun_json_check_form(event->data, NULL) != LUN_OK)
		return refuse_column(s, q, DATA, "is not JSON", err);
	wrong = lun_event_unwrap(event, &name);
	if (name.failed)
		code = lun_sqlite_events_no_memory(s, err);
	else if (wrong != NULL)
		code = refuse_column(s, q, DATA, wrong, err);
	else if (event->type.length > LUN_EVENT_NAME_MAX)
		code = refuse_column(s, q, DATA, "has too long a type", err);
	else if (lun_event_filter_wants(
		     &request->filter, event->stream, event->type))
		code = add_event_to_batch(s, event, batch, err);
	lun_buffer_free(&name);
	return code;
}

/* Add the event of this row to the batch, if it is wanted. */
static enum lun_code
add_row_to_batch(struct lun_sqlite_events *s, sqlite3_stmt *q,
    const struct lun_read *request, struct lun_batch *batch,
    struct lun_err *err)
{
	struct lun_event event = {0};
	enum lun_code code;

	event.position.lo = (uint64_t)sqlite3_column_int64(q, POSITION);
	batch->reached = event.position;
	code = read_name_column(s, q, STREAM, &event.stream, err);
	if (code == LUN_OK)
		code = read_name_column(s, q, TYPE, &event.type, err);
	if (code != LUN_OK)
		return code;
	if (!s->unwrap &&
	    !lun_event_filter_wants(&request->filter, event.stream, event.type))
		return LUN_OK;
	code = read_other_columns(s, q, &event, err);
	if (code != LUN_OK)
		return code;
	return s->unwrap ? add_unwrapped(s, q, request, &event, batch, err)
			 : add_event_to_batch(s, &event, batch, err);
}

static bool
is_batch_full(const struct lun_batch *batch, const struct lun_read *request)
{
	return batch->count >= request->max_events ||
	       (batch->count > 0 && batch->bytes >= request->max_bytes);
}

static bool
is_beyond(sqlite3_stmt *q, const struct lun_read *request)
{
	return lun_read_is_bounded(request) &&
	       (uint64_t)sqlite3_column_int64(q, POSITION) > request->upto.lo;
}

/* LUN_NOTFOUND: the statement came to its end, after *rows rows. */
static enum lun_code
add_rows_to_batch(struct lun_sqlite_events *s, sqlite3_stmt *q,
    const struct lun_read *request, size_t bound, struct lun_batch *batch,
    size_t *rows, struct lun_err *err)
{
	enum lun_code code = LUN_OK;

	for (*rows = 0; *rows < bound && !is_batch_full(batch, request);
	     ++*rows) {
		code = lun_sqlite_step(&s->c, q, err);
		if (code == LUN_OK && is_beyond(q, request))
			break;
		if (code == LUN_OK)
			code = add_row_to_batch(s, q, request, batch, err);
		if (code != LUN_OK)
			break;
	}
	sqlite3_reset(q);
	return code;
}

static enum lun_code
read_all(struct lun_sqlite_events *s, const struct lun_read *request,
    struct lun_batch *batch, struct lun_err *err)
{
	sqlite3_stmt *q = s->q[READ_ALL];
	size_t bound = SCANNED_LEAST;
	size_t rows;
	enum lun_code code;

	if (request->max_events > bound / SCANNED_TIMES)
		bound = request->max_events > SIZE_MAX / SCANNED_TIMES
			    ? SIZE_MAX
			    : request->max_events * SCANNED_TIMES;
	lun_sqlite_bind_integer(&s->c, q, 1, (int64_t)request->after.lo);
	code = add_rows_to_batch(s, q, request, bound, batch, &rows, err);
	batch->at_head = code == LUN_NOTFOUND;
	return batch->at_head ? LUN_OK : code;
}

/* Up to the head found first, so that "no more" says how far that holds. */
static enum lun_code
read_stream(struct lun_sqlite_events *s, const struct lun_read *request,
    struct lun_batch *batch, struct lun_err *err)
{
	sqlite3_stmt *q = s->q[READ_STREAM];
	size_t limit = request->max_events;
	bool cut;
	size_t rows;
	int64_t head;
	enum lun_code code = lun_sqlite_events_head(s, &head, err);

	if (code != LUN_OK)
		return code;
	cut = lun_read_is_bounded(request) && request->upto.lo < (uint64_t)head;
	if (cut)
		head = (int64_t)request->upto.lo;
	lun_sqlite_bind_integer(&s->c, q, 1, (int64_t)request->after.lo);
	lun_sqlite_bind_text(&s->c, q, 2, request->filter.stream);
	lun_sqlite_bind_integer(&s->c, q, 3, head);
	lun_sqlite_bind_integer(&s->c, q, 4, (int64_t)limit);
	code = add_rows_to_batch(s, q, request, limit + 1, batch, &rows, err);
	if (code != LUN_NOTFOUND)
		return code;
	if (rows < limit)
		batch->reached.lo = (uint64_t)head;
	batch->at_head = rows < limit && !cut;
	return LUN_OK;
}

static enum lun_code
add_anchor(struct lun_sqlite_events *s, struct lun_batch *batch,
    struct lun_text anchor, struct lun_err *err)
{
	lun_buffer_clear(&batch->source_state);
	lun_buffer_add_text(&batch->source_state, anchor);
	if (batch->source_state.failed)
		return lun_sqlite_events_no_memory(s, err);
	return LUN_OK;
}

static enum lun_code
set_anchor(
    struct lun_sqlite_events *s, struct lun_batch *batch, struct lun_err *err)
{
	const struct lun_event *last = NULL;

	if (batch->count > 0)
		last = &batch->events[batch->count - 1];
	if (last != NULL && last->position.lo == batch->reached.lo)
		return add_anchor(s, batch, last->id, err);
	return find_anchor(
	    s, (int64_t)batch->reached.lo, &batch->source_state, err);
}

enum lun_code
lun_sqlite_events_read(struct lun_event_store *store,
    const struct lun_read *request, struct lun_batch *batch,
    struct lun_err *err)
{
	struct lun_sqlite_events *s = lun_sqlite_events_of(store);
	enum lun_code code = check_anchor(s, request, err);

	if (code != LUN_OK)
		return code;
	batch->reached = request->after;
	if (request->filter.stream.bytes != NULL)
		code = read_stream(s, request, batch, err);
	else
		code = read_all(s, request, batch, err);
	if (code != LUN_OK)
		return code;
	if (batch->reached.lo != request->after.lo)
		return set_anchor(s, batch, err);
	code = lun_sqlite_check_place(&s->c, err);
	if (code != LUN_OK)
		return code;
	return add_anchor(s, batch, lun_buffer_text(&s->anchor), err);
}
