/*
 * read_contiguous.c - reading every row, wanted or not, and missing none.
 *
 * Promised: reached moves past a position only if the event there was
 * delivered, is not wanted, or can never come; each event is delivered once,
 * and those of a stream in the order of their versions.
 *
 * A number that is missing: at or below the ceiling (pending_writers.c) it is
 * dead, and recorded as skipped. Above the ceiling reading stops before it.
 * The rows come from a statement that began after the ceiling was raised.
 *
 * A version that is missing in its stream is fetched by stream and version,
 * wherever it stands, and delivered first; if it cannot be had, reading fails.
 * So an event that the positions hid is noticed at the next one of its stream.
 *
 * Once: what is delivered out of order is kept in delivered_early until its
 * position is reached, and what a late one is looked for among in delivered.
 * Both lists, the skipped numbers and the open gap are part of the source
 * state, which is committed with the models: after a kill, or where a commit
 * fails, the batch is read again from the same state and gives the same events.
 */

#include "postgres/events/reading.h"

#include <inttypes.h>

#include "base/error.h"

#define REMEMBERED_ROWS 1000 /* read to know versions after a start */
#define SPARE_DELIVERED 1000 /* so that not each event moves all others */

/* ---- statements -------------------------------------------------------- */

/* The condition that a row is wanted, with its parameters in the store. */
static void
add_wanted(struct lun_pg_reading *r, struct lun_buffer *wanted)
{
	struct lun_pg_events *s = r->s;

	lun_buffer_clear(&s->sql);
	lun_pg_start_params(s->source->mapping, &s->params);
	lun_buffer_printf(&s->sql, "(%s", s->source->mapping->shown);
	lun_pg_add_filter(s, &r->request->filter);
	lun_buffer_add_byte(&s->sql, ')');
	lun_buffer_add_text(wanted, lun_buffer_text(&s->sql));
	lun_buffer_clear(&s->sql);
}

static void
add_realm(struct lun_pg_reading *r)
{
	const char *realm = r->s->source->mapping->layout.realm;

	lun_buffer_printf(
	    &r->s->sql, "coalesce((%s)::text, '')", realm ? realm : "''");
}

/*
 * All columns, the payload of wanted rows only, whether it is one, and the
 * realm.
 */
static enum lun_code
begin_statement(struct lun_pg_reading *r, struct lun_err *err)
{
	struct lun_pg_events *s = r->s;
	const struct lun_pg_mapping *mapping = s->source->mapping;
	struct lun_buffer wanted = {0};

	r->tenant_column =
	    mapping->layout.tenant != NULL ? LUN_PG_COLUMNS + 1 : 0;
	add_wanted(r, &wanted);
	lun_buffer_add_text(&s->sql, LUN_TEXT("SELECT "));
	for (int i = 0; i < LUN_PG_COLUMNS; i++) {
		const char *column = mapping->expressions[i];

		if (i == LUN_PG_C_DATA || i == LUN_PG_C_METADATA)
			lun_buffer_printf(&s->sql,
			    "CASE WHEN %.*s THEN %s END, ",
			    LUN_TEXT_ARG(lun_buffer_text(&wanted)), column);
		else
			lun_buffer_printf(&s->sql, "%s, ", column);
	}
	lun_buffer_printf(
	    &s->sql, "%.*s, ", LUN_TEXT_ARG(lun_buffer_text(&wanted)));
	add_realm(r);
	lun_buffer_printf(
	    &s->sql, " FROM %s WHERE %s", mapping->from, mapping->scope);
	if (wanted.failed)
		s->sql.failed = true;
	lun_buffer_free(&wanted);
	return s->sql.failed ? lun_pg_events_no_memory(s, err) : LUN_OK;
}

static enum lun_code
run_statement(struct lun_pg_reading *r, lun_pg_row_fn *row, struct lun_err *err)
{
	struct lun_pg_events *s = r->s;

	lun_buffer_add_byte(&s->sql, '\0');
	if (s->sql.failed)
		return lun_pg_events_no_memory(s, err);
	return lun_pg_stream(&s->c, s->sql.bytes, &s->params, row, r, err);
}

static bool
is_wanted(const PGresult *row)
{
	return lun_pg_bool(row, 0, LUN_PG_COLUMNS);
}

static struct lun_pg_stream
stream_of(const PGresult *row, const struct lun_event *event)
{
	return (struct lun_pg_stream){
	    lun_pg_bytes(row, 0, LUN_PG_COLUMNS + 1), event->stream};
}

/* ---- versions ---------------------------------------------------------- */

/*
 * Versions may run against positions: a transaction that got its id
 * early appends after one that got it later. The last one stays known.
 */
static void
remember_version(struct lun_pg_reading *r, const PGresult *row,
    const struct lun_pg_event *read)
{
	const struct lun_event *event = &read->event;
	struct lun_pg_stream stream = stream_of(row, event);
	int64_t known;

	if (!read->counted)
		return;
	if (!lun_pg_versions_get(r->s->versions, stream, &known) ||
	    known < event->version)
		lun_pg_versions_set(r->s->versions, stream, event->version);
}

static enum lun_code
read_version(void *arg, const PGresult *row, struct lun_err *err)
{
	struct lun_pg_reading *r = arg;
	struct lun_pg_event event;
	enum lun_code code = lun_pg_read_event(r, row, &event, err);

	if (code == LUN_OK)
		remember_version(r, row, &event);
	return code;
}

static enum lun_code
read_known_versions(struct lun_pg_reading *r, struct lun_err *err)
{
	struct lun_pg_events *s = r->s;
	const struct lun_pg_mapping *mapping = s->source->mapping;

	lun_pg_versions_clear(s->versions);
	if (lun_position_compare(r->request->after, LUN_POSITION_START) == 0)
		return LUN_OK;
	lun_buffer_clear(&s->sql);
	lun_pg_start_params(mapping, &s->params);
	lun_buffer_add_text(&s->sql, LUN_TEXT("SELECT "));
	for (int i = 0; i < LUN_PG_COLUMNS; i++)
		lun_buffer_printf(&s->sql, "%s%s", i > 0 ? ", " : "",
		    i < LUN_PG_C_DATA ? mapping->expressions[i] : "NULL");
	lun_buffer_add_text(&s->sql, LUN_TEXT(", false, "));
	add_realm(r);
	lun_buffer_printf(
	    &s->sql, " FROM %s WHERE %s AND ", mapping->from, mapping->scope);
	lun_pg_compare(mapping, &s->sql, "<=", &s->params, r->request->after);
	if (!lun_pg_has_pending_writers(mapping) &&
	    r->request->filter.stream.bytes != NULL)
		lun_pg_add_equal(s, LUN_PG_C_STREAM, mapping->layout.stream,
		    r->request->filter.stream);
	lun_buffer_printf(&s->sql, " ORDER BY %s LIMIT %d", mapping->keys_down,
	    REMEMBERED_ROWS);
	return run_statement(r, read_version, err);
}

/* The versions known are those of a reader at versions_at. */
static enum lun_code
prepare_versions(struct lun_pg_reading *r, struct lun_err *err)
{
	struct lun_pg_events *s = r->s;
	bool known =
	    s->versions_known &&
	    lun_position_compare(s->versions_at, r->request->after) == 0 &&
	    lun_text_equal(
		lun_buffer_text(&s->versions_of), r->request->filter.stream);

	s->versions_known = false;
	if (!s->source->mapping->contiguous)
		return LUN_OK;
	if (s->versions == NULL)
		s->versions = lun_pg_versions_new();
	if (s->versions == NULL)
		return lun_pg_events_no_memory(s, err);
	lun_buffer_clear(&s->versions_of);
	lun_buffer_add_text(&s->versions_of, r->request->filter.stream);
	return known ? LUN_OK : read_known_versions(r, err);
}

/* True if versions between the last one known and this one are missing. */
static bool
finds_hole(struct lun_pg_reading *r, const PGresult *row,
    const struct lun_pg_event *read)
{
	const struct lun_event *event = &read->event;
	struct lun_pg_stream stream = stream_of(row, event);
	struct lun_pg_hole *hole = &r->hole;
	int64_t last;

	if (!read->counted ||
	    !lun_pg_versions_get(r->s->versions, stream, &last) ||
	    event->version <= last + 1)
		return false;
	lun_buffer_clear(&hole->stream);
	lun_buffer_add_text(&hole->stream, stream.name);
	lun_buffer_clear(&hole->realm);
	lun_buffer_add_text(&hole->realm, stream.realm);
	hole->from = last + 1;
	hole->to = event->version - 1;
	hole->found = true;
	return true;
}

/* ---- events out of order ----------------------------------------------- */

/* For as long as late events are looked for, it is known as delivered. */
static enum lun_code
record_delivery(
    struct lun_pg_reading *r, struct lun_position position, struct lun_err *err)
{
	struct lun_pg_state *state = &r->s->state;

	if (r->s->source->mapping->safety == LUN_PG_GAPS)
		lun_pg_state_remove_skip(state, position.lo);
	if (r->s->source->mapping->safety != LUN_PG_WINDOW ||
	    lun_position_compare(position, state->floor) <= 0)
		return LUN_OK;
	if (!lun_pg_positions_add(&state->delivered, position))
		return lun_pg_events_no_memory(r->s, err);
	if (state->delivered.count > LUN_PG_DELIVERED + SPARE_DELIVERED) {
		state->floor = state->delivered.items[SPARE_DELIVERED];
		lun_pg_positions_forget(&state->delivered, state->floor);
	}
	return LUN_OK;
}

/* Late if its position was passed, otherwise early. */
static enum lun_code
deliver_out_of_order(struct lun_pg_reading *r, const PGresult *row,
    struct lun_pg_event *event, struct lun_err *err)
{
	struct lun_pg_state *state = &r->s->state;
	struct lun_position position = event->event.position;
	enum lun_code code = LUN_OK;

	if (is_wanted(row))
		code = lun_pg_add_event(r, &event->event, err);
	if (code != LUN_OK)
		return code;
	if (lun_position_compare(position, r->batch->reached) <= 0)
		return record_delivery(r, position, err);
	if (!lun_pg_positions_add(&state->delivered_early, position))
		return lun_pg_events_no_memory(r->s, err);
	return LUN_OK;
}

/*
 * What is known of a stream may be forgotten in part, and a version be missed
 * that was read: the order of reading knows better, where it is proven.
 */
static bool
was_delivered(const struct lun_pg_reading *r, struct lun_position position)
{
	const struct lun_pg_state *state = &r->s->state;

	if (lun_pg_positions_has(&state->delivered, position) ||
	    lun_pg_positions_has(&state->delivered_early, position))
		return true;
	if (lun_position_compare(position, r->batch->reached) > 0)
		return false;
	switch (r->s->source->mapping->safety) {
	case LUN_PG_TRANSACTIONS:
		return true;
	case LUN_PG_GAPS:
		return !lun_pg_state_may_have_skipped(state, position.lo);
	default:
		return false;
	}
}

static enum lun_code
deliver_missing_row(void *arg, const PGresult *row, struct lun_err *err)
{
	struct lun_pg_reading *r = arg;
	struct lun_pg_event event;
	enum lun_code code = lun_pg_read_event(r, row, &event, err);

	if (code != LUN_OK)
		return code;
	if (event.event.version != r->hole.from || lun_pg_reading_is_full(r))
		return LUN_AGAIN;
	r->hole.from++;
	remember_version(r, row, &event);
	if (was_delivered(r, event.event.position))
		return LUN_OK;
	return deliver_out_of_order(r, row, &event, err);
}

static enum lun_code
refuse_hole(struct lun_pg_reading *r, struct lun_err *err)
{
	return lun_fail(err, LUN_IO,
	    "%s: version %" PRId64 " of stream %.*s is missing, and cannot be "
	    "found elsewhere: restore it, or write holes=ignore into the URL "
	    "to go on without it",
	    lun_pg_name(&r->s->c), r->hole.from,
	    LUN_TEXT_ARG(lun_buffer_text(&r->hole.stream)));
}

/* Deliver the versions that are missing, before the one that showed it. */
static enum lun_code
fill_hole(struct lun_pg_reading *r, struct lun_err *err)
{
	struct lun_pg_events *s = r->s;
	const struct lun_pg_mapping *mapping = s->source->mapping;
	enum lun_code code = begin_statement(r, err);

	if (code != LUN_OK)
		return code;
	lun_pg_add_equal(s, LUN_PG_C_STREAM, mapping->layout.stream,
	    lun_buffer_text(&r->hole.stream));
	if (mapping->layout.realm != NULL) {
		lun_buffer_add_text(&s->sql, LUN_TEXT(" AND "));
		add_realm(r);
		lun_buffer_printf(&s->sql, " = $%zu", s->params.count + 1);
		lun_pg_add_text(&s->params, LUN_PG_TEXT,
		    r->hole.realm.length > 0 ? lun_buffer_text(&r->hole.realm)
					     : LUN_TEXT(""));
	}
	lun_buffer_printf(&s->sql,
	    " AND (%s) BETWEEN $%zu AND $%zu ORDER BY %s",
	    mapping->layout.version, s->params.count + 1, s->params.count + 2,
	    mapping->layout.version);
	lun_pg_add_int8(&s->params, r->hole.from);
	lun_pg_add_int8(&s->params, r->hole.to);
	code = run_statement(r, deliver_missing_row, err);
	if (code != LUN_OK)
		return code;
	r->hole.found = false;
	if (lun_pg_reading_is_full(r))
		return LUN_OK; /* the rest is found at the next read */
	if (r->hole.from <= r->hole.to && !mapping->ignore_holes)
		return refuse_hole(r, err);
	if (r->hole.from <= r->hole.to)
		lun_pg_versions_set(s->versions,
		    (struct lun_pg_stream){lun_buffer_text(&r->hole.realm),
			lun_buffer_text(&r->hole.stream)},
		    r->hole.to);
	return LUN_OK;
}

/* ---- events in order --------------------------------------------------- */

/* Where a gap begins that may still be filled, reading stops. */
static bool
stops_at_gap(struct lun_pg_reading *r, struct lun_position position)
{
	struct lun_pg_state *state = &r->s->state;
	uint64_t next = r->batch->reached.lo + 1;

	if (r->s->source->mapping->safety != LUN_PG_GAPS || position.lo <= next)
		return false;
	if (lun_position_compare(position, state->ceiling) > 0) {
		if (state->open_gap.from != next)
			state->open_gap.at = r->now;
		state->open_gap.from = next;
		state->open_gap.to = position.lo - 1;
		return true;
	}
	lun_pg_state_add_skip(state, next, position.lo - 1, r->now);
	return false;
}

static enum lun_code
deliver_in_order(struct lun_pg_reading *r, const PGresult *row,
    struct lun_pg_event *event, struct lun_err *err)
{
	struct lun_pg_state *state = &r->s->state;
	struct lun_position position = event->event.position;
	bool before = lun_pg_positions_has(&state->delivered_early, position);
	enum lun_code code = LUN_OK;

	state->open_gap.from = 0;
	if (before)
		lun_pg_positions_remove(&state->delivered_early, position);
	else
		remember_version(r, row, event);
	if (!before && is_wanted(row))
		code = lun_pg_add_event(r, &event->event, err);
	lun_pg_reading_advance(r, &event->event);
	return code == LUN_OK ? record_delivery(r, position, err) : code;
}

static enum lun_code
deliver_row(void *arg, const PGresult *row, struct lun_err *err)
{
	struct lun_pg_reading *r = arg;
	struct lun_pg_event event;
	enum lun_code code = lun_pg_read_event(r, row, &event, err);

	if (code != LUN_OK)
		return code;
	if (!lun_pg_positions_has(
		&r->s->state.delivered_early, event.event.position) &&
	    finds_hole(r, row, &event))
		return LUN_AGAIN;
	if (stops_at_gap(r, event.event.position)) {
		r->at_gap = true;
		return LUN_AGAIN;
	}
	r->taken++;
	code = deliver_in_order(r, row, &event, err);
	if (code != LUN_OK)
		return code;
	return lun_pg_reading_is_full(r) ? LUN_AGAIN : LUN_OK;
}

static enum lun_code
read_next_rows(struct lun_pg_reading *r, size_t limit, struct lun_err *err)
{
	struct lun_pg_events *s = r->s;
	const struct lun_pg_mapping *mapping = s->source->mapping;
	enum lun_code code = begin_statement(r, err);

	if (code != LUN_OK)
		return code;
	lun_buffer_add_text(&s->sql, LUN_TEXT(" AND "));
	lun_pg_compare(mapping, &s->sql, ">", &s->params, r->batch->reached);
	lun_buffer_add_text(&s->sql, LUN_TEXT(" AND "));
	lun_pg_compare(mapping, &s->sql, "<=", &s->params, r->bound);
	if (!lun_pg_has_pending_writers(mapping) &&
	    r->request->filter.stream.bytes != NULL)
		lun_pg_add_equal(s, LUN_PG_C_STREAM, mapping->layout.stream,
		    r->request->filter.stream);
	lun_buffer_printf(&s->sql, " ORDER BY %s LIMIT $%zu", mapping->keys,
	    s->params.count + 1);
	lun_pg_add_int8(&s->params, (int64_t)limit);
	r->taken = 0;
	return run_statement(r, deliver_row, err);
}

/* Behind a gap one row tells whether it is worth asking for more. */
static enum lun_code
read_rows(struct lun_pg_reading *r, struct lun_err *err)
{
	enum lun_code code = LUN_OK;

	if (r->s->state.open_gap.from > 0)
		code = read_next_rows(r, 1, err);
	if (code == LUN_OK && !r->at_gap && !r->hole.found &&
	    !lun_pg_reading_is_full(r))
		code = read_next_rows(r, r->limit, err);
	return code;
}

/* Nothing but rows of other streams may be left up to the bound. */
static void
finish_reading(struct lun_pg_reading *r)
{
	struct lun_pg_events *s = r->s;
	bool ended =
	    !r->at_gap && r->taken < r->limit && !lun_pg_reading_is_full(r);

	if (ended && !lun_pg_has_pending_writers(s->source->mapping)) {
		r->batch->reached = r->bound;
		lun_buffer_clear(&s->state.anchor);
		lun_buffer_add_text(&s->state.anchor,
		    lun_buffer_text(&s->safe_head.bound_anchor));
	}
	r->batch->at_head = s->safe_head.at_head && (ended || r->at_gap);
	r->batch->at_gap = r->at_gap;
	s->versions_at = r->batch->reached;
	s->versions_known = true;
}

enum lun_code
lun_pg_read_contiguous(struct lun_pg_reading *r, struct lun_err *err)
{
	struct lun_pg_state *state = &r->s->state;
	enum lun_code code;

	if (r->s->source->mapping->safety == LUN_PG_WINDOW &&
	    lun_position_compare(state->ceiling, r->bound) < 0)
		r->bound = state->ceiling;
	code = prepare_versions(r, err);
	if (code == LUN_OK)
		code = read_rows(r, err);
	while (code == LUN_OK && r->hole.found) {
		code = fill_hole(r, err);
		if (code == LUN_OK && !lun_pg_reading_is_full(r))
			code = read_rows(r, err);
	}
	if (code == LUN_OK)
		finish_reading(r);
	return code;
}

/* ---- late events ------------------------------------------------------- */

static enum lun_code
deliver_late_row(void *arg, const PGresult *row, struct lun_err *err)
{
	struct lun_pg_reading *r = arg;
	struct lun_pg_event event;
	enum lun_code code = lun_pg_read_event(r, row, &event, err);

	if (code != LUN_OK)
		return code;
	if (lun_pg_positions_has(&r->s->state.delivered, event.event.position))
		return LUN_OK;
	if (lun_pg_reading_is_full(r))
		return LUN_AGAIN;
	r->s->versions_known = false;
	return deliver_out_of_order(r, row, &event, err);
}

/* A window may hold many events, and next to none that are late. */
static void
add_not_delivered(struct lun_pg_reading *r)
{
	struct lun_pg_events *s = r->s;

	lun_buffer_add_text(&s->sql, LUN_TEXT(" AND NOT EXISTS (SELECT FROM "));
	lun_pg_add_positions(s->source->mapping, &s->sql, &s->params,
	    s->state.delivered.items, s->state.delivered.count);
	lun_buffer_add_byte(&s->sql, ')');
}

/* Ids in the window that were not there when it was read. */
static enum lun_code
read_late_ids(struct lun_pg_reading *r, struct lun_err *err)
{
	struct lun_pg_events *s = r->s;
	const struct lun_pg_mapping *mapping = s->source->mapping;
	struct lun_position start =
	    lun_pg_time_position(mapping, r->now - mapping->window_us);
	enum lun_code code;

	if (lun_position_compare(start, s->state.floor) > 0) {
		s->state.floor = start;
		lun_pg_positions_forget(&s->state.delivered, start);
	}
	if (lun_position_compare(r->request->after, s->state.floor) <= 0)
		return LUN_OK;
	code = begin_statement(r, err);
	if (code != LUN_OK)
		return code;
	lun_buffer_add_text(&s->sql, LUN_TEXT(" AND "));
	lun_pg_compare(mapping, &s->sql, ">", &s->params, s->state.floor);
	lun_buffer_add_text(&s->sql, LUN_TEXT(" AND "));
	lun_pg_compare(mapping, &s->sql, "<=", &s->params, r->request->after);
	add_not_delivered(r);
	lun_buffer_printf(&s->sql, " ORDER BY %s", mapping->keys);
	return run_statement(r, deliver_late_row, err);
}

/* The newest of the skipped numbers, as an array; how many. */
static size_t
add_skipped_numbers(struct lun_pg_reading *r)
{
	const struct lun_pg_state *state = &r->s->state;
	const struct lun_pg_mapping *mapping = r->s->source->mapping;
	int64_t since = r->now - mapping->window_us;
	int64_t shift = mapping->layout.starts_at_zero ? 1 : 0;
	int64_t numbers[REMEMBERED_ROWS];
	size_t count = 0;

	for (size_t i = state->skip_count;
	     i-- > 0 && state->skips[i].at >= since;)
		for (uint64_t n = state->skips[i].to;
		     n >= state->skips[i].from && count < REMEMBERED_ROWS; n--)
			numbers[count++] = (int64_t)n - shift;
	if (count == 0)
		return 0;
	lun_pg_begin_array(&r->s->params, LUN_PG_INT8_ARRAY, count);
	for (size_t i = 0; i < count; i++)
		lun_pg_element_int8(&r->s->params, numbers[i]);
	lun_pg_end_array(&r->s->params);
	return count;
}

/* Skipped numbers that somebody had drawn with no transaction around. */
static enum lun_code
read_late_numbers(struct lun_pg_reading *r, struct lun_err *err)
{
	struct lun_pg_events *s = r->s;
	const struct lun_pg_mapping *mapping = s->source->mapping;
	enum lun_code code;

	if (mapping->grace_us == 0 || s->state.skip_count == 0)
		return LUN_OK;
	code = begin_statement(r, err);
	if (code != LUN_OK)
		return code;
	lun_buffer_printf(&s->sql, " AND %s = ANY ($%zu) ORDER BY %s",
	    mapping->layout.position, s->params.count + 1, mapping->keys);
	if (add_skipped_numbers(r) == 0)
		return LUN_OK;
	return run_statement(r, deliver_late_row, err);
}

enum lun_code
lun_pg_read_late(struct lun_pg_reading *r, struct lun_err *err)
{
	if (r->s->source->mapping->safety == LUN_PG_WINDOW)
		return read_late_ids(r, err);
	return read_late_numbers(r, err);
}
