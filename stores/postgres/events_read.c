/*
 * events_read.c - reading from an event store in PostgreSQL.
 *
 * A look (horizon.h) finds the bound, then one statement reads up to it, row
 * by row as they come. Everything up to the bound is settled, so the two need
 * no common snapshot.
 *
 * The source state is the id of the event a reader has reached: the anchor.
 * If the event at that position has another id, or is gone, the log is not
 * the one that was read before.
 */

#include "events.h"

#include <inttypes.h>

#include <uuid/uuid.h>

#include "clock.h"
#include "error.h"
#include "json_scan.h"

/* Rows a filter looks at in one read, for each event asked for. */
#define SCANNED_TIMES 4
#define SCANNED_LEAST 10000
#define LAG_ROWS      100000 /* counted one by one; estimated above */

#define WHAT_TO_DO                                                             \
	"the event store was replaced or cut back; restore it, or start the "  \
	"projection anew with lunette rebuild NAME"

struct reading {
	struct lun_pg_events *s;
	const struct lun_read *request;
	struct lun_batch *batch;
	struct lun_buffer anchor; /* the id of the last row */
	size_t limit;             /* rows asked for */
	size_t rows;
	size_t bytes;
};

/* ---- refusals ---------------------------------------------------------- */

static enum lun_code
refuse_position(struct lun_pg_events *s, const struct lun_read *request,
    struct lun_err *err)
{
	char after[LUN_POSITION_MAX], bound[LUN_POSITION_MAX];
	const char *name = lun_pg_name(&s->c);

	lun_pg_format_position(s->source->mapping, request->after, after);
	lun_pg_format_position(s->source->mapping, s->look.bound, bound);
	if (s->look.has_anchor)
		return lun_fail(err, LUN_CONFIG,
		    "%s has another event at position %s than the one that "
		    "was read last: " WHAT_TO_DO,
		    name, after);
	if (s->look.at_head &&
	    lun_position_compare(request->after, s->look.bound) > 0)
		return lun_fail(err, LUN_CONFIG,
		    "%s ends at position %s, before position %s that was read "
		    "last: " WHAT_TO_DO,
		    name, bound, after);
	return lun_fail(err, LUN_CONFIG,
	    "%s no longer has the event at position %s that was read "
	    "last: " WHAT_TO_DO,
	    name, after);
}

static enum lun_code
refuse_foreign(struct lun_pg_events *s, struct lun_err *err)
{
	const struct lun_pg_mapping *m = s->source->mapping;
	const char *column = strchr(m->layout.transaction_id, '.') + 1;

	return lun_fail(err, LUN_CONFIG,
	    "%s: %s.%s holds transaction ids that this server has not given "
	    "out: it comes from a dump of another server; run UPDATE %s.%s "
	    "SET %s = pg_current_xact_id(), then lunette rebuild NAME",
	    lun_pg_name(&s->c), m->schema, m->table, m->schema, m->table,
	    column);
}

/* A position without an anchor was set by hand and may lie in a hole. */
static enum lun_code
check_look(struct lun_pg_events *s, const struct lun_read *request,
    struct lun_err *err)
{
	const struct lun_pg_look *look = &s->look;

	if (look->from_elsewhere)
		return refuse_foreign(s, err);
	if (lun_position_compare(request->after, LUN_POSITION_START) == 0)
		return LUN_OK;
	if (request->source_state.length > 0)
		return look->has_anchor && lun_text_equal(request->source_state,
					       lun_buffer_text(&look->anchor))
			   ? LUN_OK
			   : refuse_position(s, request, err);
	if (!look->has_anchor && look->at_head &&
	    lun_position_compare(request->after, look->bound) > 0)
		return refuse_position(s, request, err);
	return LUN_OK;
}

static enum lun_code
refuse_row(struct reading *r, struct lun_position position, const char *what,
    struct lun_err *err)
{
	char text[LUN_POSITION_MAX];

	lun_pg_format_position(r->s->source->mapping, position, text);
	return lun_fail(err, LUN_INVALID,
	    "%s: the event at position %s: %s; correct the row",
	    lun_pg_name(&r->s->c), text, what);
}

/* ---- one row ----------------------------------------------------------- */

static struct lun_text
read_name(const PGresult *row, int column, char uuid[LUN_PG_UUID_SIZE])
{
	if (PQftype(row, column) != LUN_PG_UUID ||
	    lun_pg_is_null(row, 0, column))
		return lun_pg_bytes(row, 0, column);
	lun_pg_uuid(row, 0, column, uuid);
	return (struct lun_text){uuid, LUN_PG_UUID_SIZE - 1};
}

static const char *
check_name(struct lun_text name)
{
	if (name.length == 0)
		return "id, stream or type is empty";
	if (name.length > LUN_EVENT_NAME_MAX)
		return "id, stream or type is too long";
	return NULL;
}

/* NULL, or what is wrong with a payload that any bytes could be in. */
static const char *
check_payload(
    const struct lun_pg_mapping *mapping, const struct lun_event *event)
{
	if (event->data.length > LUN_EVENT_BYTES_MAX ||
	    event->metadata.length > LUN_EVENT_BYTES_MAX)
		return "data or metadata is too long";
	if (!mapping->check_json)
		return NULL;
	if (lun_json_check(event->data, NULL) != LUN_OK)
		return "the data is not JSON, which is all that can be read";
	if (event->metadata.bytes != NULL &&
	    lun_json_check(event->metadata, NULL) != LUN_OK)
		return "the metadata is not JSON, which is all that can be "
		       "read";
	return NULL;
}

/*
 * {"Type": data} is that type with that data, "Type" one with null; anything
 * else stays what it is. name holds a type with escapes in it.
 */
static void
unwrap(struct lun_event *event, struct lun_buffer *name)
{
	struct lun_json_member member;
	size_t count = 1;
	struct lun_text literal = event->data;
	bool plain = true;

	if (lun_json_members(event->data, &member, &count, NULL) == LUN_OK &&
	    count == 1) {
		event->data = member.value;
		literal = member.key;
		plain = !member.key_escaped;
	} else if (literal.length > 2 && literal.bytes[0] == '"') {
		event->data = LUN_TEXT("null");
		plain = false;
	} else {
		return;
	}
	lun_buffer_clear(name);
	if (plain)
		lun_buffer_add_text(name, literal);
	else
		lun_json_unescape(literal, name);
	event->type = lun_buffer_text(name);
}

static enum lun_code
add_event(struct reading *r, struct lun_event *event, struct lun_err *err)
{
	const struct lun_pg_mapping *mapping = r->s->source->mapping;
	struct lun_buffer name = {0};
	const char *wrong = check_payload(mapping, event);
	enum lun_code code = LUN_OK;

	if (event->data.bytes == NULL)
		event->data = LUN_TEXT("null");
	if (wrong == NULL && mapping->unwrap)
		unwrap(event, &name);
	if (wrong == NULL)
		wrong = check_name(event->type);
	if (wrong == NULL && (event->recorded_at < LUN_TIMESTAMP_MIN ||
				 event->recorded_at > LUN_TIMESTAMP_MAX))
		wrong = "its time is not in the years 1 to 9999";
	if (wrong != NULL)
		code = refuse_row(r, event->position, wrong, err);
	else if (!lun_event_filter_wants(
		     &r->request->filter, event->stream, event->type))
		code = LUN_OK;
	else if (name.failed || !lun_batch_add(r->batch, event))
		code = lun_pg_events_no_memory(r->s, err);
	lun_buffer_free(&name);
	return code;
}

static bool
is_full(const struct reading *r)
{
	return r->batch->count >= r->request->max_events ||
	       (r->batch->count > 0 &&
		   r->batch->bytes >= r->request->max_bytes);
}

static enum lun_code
take_row(void *arg, const PGresult *row, struct lun_err *err)
{
	struct reading *r = arg;
	const struct lun_pg_mapping *mapping = r->s->source->mapping;
	char id[LUN_PG_UUID_SIZE], stream[LUN_PG_UUID_SIZE];
	char type[LUN_PG_UUID_SIZE];
	const char *wrong;
	struct lun_event event = {
	    .position = lun_pg_event_position(mapping, row),
	    .version = lun_pg_int8(row, 0, LUN_PG_C_VERSION),
	    .id = read_name(row, LUN_PG_C_ID, id),
	    .stream = read_name(row, LUN_PG_C_STREAM, stream),
	    .type = read_name(row, LUN_PG_C_TYPE, type),
	    .data = lun_pg_json(row, 0, LUN_PG_C_DATA),
	    .metadata = lun_pg_json(row, 0, LUN_PG_C_METADATA),
	};
	enum lun_code code;

	if (!lun_pg_is_null(row, 0, LUN_PG_C_RECORDED_AT))
		event.recorded_at = lun_pg_time(row, 0, LUN_PG_C_RECORDED_AT);
	wrong = check_name(event.id);
	if (wrong == NULL)
		wrong = check_name(event.stream);
	if (wrong != NULL)
		return refuse_row(r, event.position, wrong, err);
	code = add_event(r, &event, err);
	if (code != LUN_OK)
		return code;
	r->rows++;
	r->bytes += event.data.length + event.metadata.length;
	r->batch->reached = event.position;
	lun_buffer_clear(&r->anchor);
	lun_buffer_add_text(&r->anchor, event.id);
	return is_full(r) ? LUN_AGAIN : LUN_OK;
}

/* ---- filters in SQL ---------------------------------------------------- */

static void
add_types(struct lun_pg_events *s, const struct lun_event_filter *filter)
{
	lun_buffer_printf(&s->sql, " AND (%s)::text = ANY ($%zu)",
	    s->source->mapping->layout.type, s->params.count + 1);
	lun_pg_begin_array(&s->params, LUN_PG_TEXT_ARRAY, filter->type_count);
	for (size_t i = 0; i < filter->type_count; i++)
		lun_pg_element_text(&s->params, filter->types[i]);
	lun_pg_end_array(&s->params);
}

/* An index on uuids is no use to a text, nor is every text a uuid. */
static void
add_equal(struct lun_pg_events *s, enum lun_pg_column column, const char *name,
    struct lun_text text)
{
	char copy[LUN_PG_UUID_SIZE];
	uuid_t uuid;

	if (s->source->mapping->types[column] != LUN_PG_UUID) {
		lun_buffer_printf(&s->sql, " AND (%s)::text = $%zu", name,
		    s->params.count + 1);
		lun_pg_add_text(&s->params, LUN_PG_TEXT, text);
		return;
	}
	if (text.length == sizeof copy - 1) {
		memcpy(copy, text.bytes, text.length);
		copy[text.length] = '\0';
	}
	if (text.length != sizeof copy - 1 || uuid_parse(copy, uuid) != 0) {
		lun_buffer_add_text(&s->sql, LUN_TEXT(" AND false"));
		return;
	}
	lun_buffer_printf(
	    &s->sql, " AND %s = $%zu::text::uuid", name, s->params.count + 1);
	lun_pg_add_text(&s->params, LUN_PG_TEXT, text);
}

static void
add_filter(struct lun_pg_events *s, const struct lun_event_filter *filter)
{
	if (filter->type_count > 0 && !s->source->mapping->unwrap)
		add_types(s, filter);
	if (filter->stream.bytes != NULL)
		add_equal(s, LUN_PG_C_STREAM, s->source->mapping->layout.stream,
		    filter->stream);
}

/* ---- reading ----------------------------------------------------------- */

/* Rows to ask for: no more than will fit, as far as that can be known. */
static size_t
choose_limit(const struct lun_pg_events *s, const struct lun_read *request)
{
	size_t fit = request->max_bytes / s->row_bytes + 1;

	return fit < request->max_events ? fit : request->max_events;
}

static enum lun_code
read_rows(struct reading *r, struct lun_position bound, struct lun_err *err)
{
	struct lun_pg_events *s = r->s;
	const struct lun_pg_mapping *mapping = s->source->mapping;

	lun_buffer_clear(&s->sql);
	lun_pg_start_params(mapping, &s->params);
	lun_buffer_printf(&s->sql, "SELECT %s FROM %s WHERE %s AND ",
	    mapping->columns, mapping->from, mapping->visible);
	lun_pg_compare(mapping, &s->sql, ">", &s->params, r->request->after);
	lun_buffer_add_text(&s->sql, LUN_TEXT(" AND "));
	lun_pg_compare(mapping, &s->sql, "<=", &s->params, bound);
	add_filter(s, &r->request->filter);
	lun_buffer_printf(&s->sql, " ORDER BY %s LIMIT $%zu", mapping->keys,
	    s->params.count + 1);
	lun_pg_add_int8(&s->params, (int64_t)r->limit);
	lun_buffer_add_byte(&s->sql, '\0');
	if (s->sql.failed)
		return lun_pg_events_no_memory(s, err);
	return lun_pg_stream(&s->c, s->sql.bytes, &s->params, take_row, r, err);
}

/*
 * A filter on types that few events have must not scan the whole log in one
 * read, so its bound is near; once found it serves until it is reached.
 */
static enum lun_code
look_ahead(struct lun_pg_events *s, const struct lun_read *request,
    struct lun_err *err)
{
	struct lun_pg_look *look = &s->look;
	bool bounded = request->filter.type_count > 0 &&
		       request->filter.stream.bytes == NULL;
	bool known = lun_position_compare(s->settled, request->after) > 0 &&
		     lun_position_compare(s->settled_from, request->after) <= 0;
	enum lun_code code;

	look->after = request->after;
	look->most = 0;
	if (bounded && !known) {
		look->most = SCANNED_LEAST;
		if (request->max_events > SCANNED_LEAST / SCANNED_TIMES)
			look->most = request->max_events * SCANNED_TIMES;
	}
	code = lun_pg_look(&s->c, s->source->mapping, look, err);
	if (code != LUN_OK || !bounded)
		return code;
	if (known && lun_position_compare(s->settled, look->bound) < 0) {
		look->bound = s->settled;
		look->at_head = false;
		lun_buffer_clear(&look->bound_anchor);
		lun_buffer_add_text(
		    &look->bound_anchor, lun_buffer_text(&s->settled_anchor));
		return LUN_OK;
	}
	s->settled = look->bound;
	s->settled_from = request->after;
	lun_buffer_clear(&s->settled_anchor);
	lun_buffer_add_text(
	    &s->settled_anchor, lun_buffer_text(&look->bound_anchor));
	return s->settled_anchor.failed ? lun_pg_events_no_memory(s, err)
					: LUN_OK;
}

static enum lun_code
set_anchor(struct lun_pg_events *s, struct lun_batch *batch,
    const struct lun_buffer *anchor, struct lun_err *err)
{
	lun_buffer_clear(&batch->source_state);
	lun_buffer_add_text(&batch->source_state, lun_buffer_text(anchor));
	if (batch->source_state.failed || anchor->failed)
		return lun_pg_events_no_memory(s, err);
	return LUN_OK;
}

static enum lun_code
read_to_bound(struct reading *r, struct lun_err *err)
{
	struct lun_pg_events *s = r->s;
	const struct lun_pg_look *look = &s->look;
	enum lun_code code = read_rows(r, look->bound, err);

	if (code != LUN_OK)
		return code;
	if (r->rows > 0)
		s->row_bytes = (s->row_bytes + r->bytes / r->rows) / 2 + 64;
	if (r->rows < r->limit && !is_full(r)) {
		r->batch->reached = look->bound;
		r->batch->at_head = look->at_head;
		return set_anchor(s, r->batch, &look->bound_anchor, err);
	}
	r->batch->at_head =
	    look->at_head &&
	    lun_position_compare(r->batch->reached, look->bound) == 0;
	return set_anchor(s, r->batch, &r->anchor, err);
}

enum lun_code
lun_pg_events_read(struct lun_event_store *store,
    const struct lun_read *request, struct lun_batch *batch,
    struct lun_err *err)
{
	struct lun_pg_events *s = lun_pg_events_of(store);
	struct reading r = {
	    .s = s,
	    .request = request,
	    .batch = batch,
	    .limit = choose_limit(s, request),
	};
	enum lun_code code = look_ahead(s, request, err);

	if (code == LUN_OK)
		code = check_look(s, request, err);
	if (code != LUN_OK)
		return code;
	batch->reached = request->after;
	if (lun_position_compare(s->look.bound, request->after) <= 0) {
		batch->at_head = s->look.at_head;
		return set_anchor(s, batch, &s->look.anchor, err);
	}
	code = read_to_bound(&r, err);
	lun_buffer_free(&r.anchor);
	return code;
}

/* ---- looking things up ------------------------------------------------- */

enum lun_code
lun_pg_events_head(struct lun_event_store *store, struct lun_position *head,
    struct lun_err *err)
{
	struct lun_pg_events *s = lun_pg_events_of(store);
	enum lun_code code;

	s->look.after = LUN_POSITION_START;
	s->look.most = 0;
	code = lun_pg_look(&s->c, s->source->mapping, &s->look, err);
	if (code == LUN_OK && s->look.from_elsewhere)
		code = refuse_foreign(s, err);
	if (code == LUN_OK)
		*head = s->look.bound;
	return code;
}

enum lun_code
lun_pg_events_find(struct lun_event_store *store, struct lun_text id,
    struct lun_position *position, struct lun_err *err)
{
	struct lun_pg_events *s = lun_pg_events_of(store);
	const struct lun_pg_mapping *mapping = s->source->mapping;
	PGresult *result = NULL;
	enum lun_code code;

	lun_buffer_clear(&s->sql);
	lun_pg_start_params(mapping, &s->params);
	lun_buffer_printf(&s->sql, "SELECT %s FROM %s WHERE %s", mapping->keys,
	    mapping->from, mapping->scope);
	add_equal(s, LUN_PG_C_ID, mapping->layout.id, id);
	lun_buffer_add_text(&s->sql, LUN_TEXT(" LIMIT 1"));
	code = lun_pg_events_run(s, &result, err);
	if (code == LUN_OK && PQntuples(result) == 0)
		code = lun_fail(err, LUN_NOTFOUND, "%s: there is no event %.*s",
		    lun_pg_name(&s->c), LUN_TEXT_ARG(id));
	if (code == LUN_OK)
		*position = lun_pg_keys_position(mapping, result, 0);
	PQclear(result);
	return code;
}

/* ---- lag --------------------------------------------------------------- */

/* Columns: rows seen, rows wanted, time of the first, keys of the last. */
static enum lun_code
count_rows(struct lun_pg_events *s, struct lun_position after,
    const struct lun_event_filter *filter, PGresult **out, struct lun_err *err)
{
	const struct lun_pg_mapping *m = s->source->mapping;

	lun_buffer_clear(&s->sql);
	lun_pg_start_params(m, &s->params);
	lun_buffer_printf(&s->sql,
	    "WITH w AS (SELECT row_number() OVER (ORDER BY %s) AS n, %s AS "
	    "moment, "
	    "(true",
	    m->keys, m->expressions[LUN_PG_C_RECORDED_AT]);
	add_filter(s, filter);
	lun_buffer_printf(&s->sql,
	    ") AS wanted, (%s)::text AS last FROM %s WHERE %s AND ",
	    m->layout.position, m->from, m->visible);
	lun_pg_compare(m, &s->sql, ">", &s->params, after);
	lun_buffer_printf(&s->sql,
	    " ORDER BY %s LIMIT %d) SELECT count(*), "
	    "count(*) FILTER (WHERE wanted), "
	    "(SELECT moment FROM w WHERE wanted ORDER BY n LIMIT 1), "
	    "(SELECT last FROM w ORDER BY n DESC LIMIT 1) FROM w",
	    m->keys, LAG_ROWS);
	return lun_pg_events_run(s, out, err);
}

/* Far behind, the rest is taken to be like the part that was counted. */
static enum lun_code
estimate(struct lun_pg_events *s, struct lun_position after,
    struct lun_text last, struct lun_lag *lag, struct lun_err *err)
{
	struct lun_position end, head;
	enum lun_code code = lun_pg_events_head(&s->base, &head, err);

	if (code != LUN_OK || s->source->mapping->key == LUN_PG_UUID_KEY ||
	    !lun_position_from_decimal(last, &end))
		return code;
	if (head.lo > end.lo && end.lo > after.lo)
		lag->events = (uint64_t)((double)lag->events *
					 (double)(head.lo - after.lo) /
					 (double)(end.lo - after.lo));
	return LUN_OK;
}

enum lun_code
lun_pg_events_lag(struct lun_event_store *store, struct lun_position after,
    const struct lun_event_filter *filter, struct lun_lag *lag,
    struct lun_err *err)
{
	struct lun_pg_events *s = lun_pg_events_of(store);
	struct lun_lag found = {0};
	PGresult *result = NULL;
	enum lun_code code = count_rows(s, after, filter, &result, err);

	if (code == LUN_OK) {
		found.exact =
		    lun_pg_int8(result, 0, 0) < LAG_ROWS &&
		    !(s->source->mapping->unwrap && filter->type_count > 0);
		found.events = (uint64_t)lun_pg_int8(result, 0, 1);
		if (!lun_pg_is_null(result, 0, 2))
			found.oldest_recorded_at = lun_pg_time(result, 0, 2);
	}
	if (code == LUN_OK && lun_pg_int8(result, 0, 0) >= LAG_ROWS)
		code =
		    estimate(s, after, lun_pg_bytes(result, 0, 3), &found, err);
	if (code == LUN_OK)
		*lag = found;
	PQclear(result);
	return code;
}
