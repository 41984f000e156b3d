/*
 * read_contiguous.c - reading every row, wanted or not, and missing none.
 *
 * Two things are watched. Where numbers can appear late, rows are taken as
 * long as their numbers follow on each other, or lie below the ceiling, where
 * a number that is missing is dead (marks.h); else reading stops at the gap.
 * And a version that is missing in its stream is fetched by stream and
 * version, whatever its position is; if it cannot be had, reading fails.
 */

#include "postgres/events/reading.h"

#include <inttypes.h>

#include "base/error.h"

#define REMEMBERED_ROWS 1000 /* looked at to know the streams after a start */
#define SPARE_SEEN      1000 /* so that not each event moves all others */

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
start_statement(struct lun_pg_reading *r, struct lun_err *err)
{
	struct lun_pg_events *s = r->s;
	const struct lun_pg_mapping *mapping = s->source->mapping;
	struct lun_buffer wanted = {0};

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

/* ---- the streams ------------------------------------------------------- */

/*
 * Versions may go the other way than positions: a transaction that got its id
 * early appends after one that got it later. The last one stays known.
 */
static void
know_version(struct lun_pg_reading *r, const PGresult *row,
    const struct lun_event *event)
{
	struct lun_pg_stream stream = stream_of(row, event);
	int64_t known;

	if (!r->s->source->mapping->contiguous)
		return;
	if (!lun_pg_versions_get(r->s->versions, stream, &known) ||
	    known < event->version)
		lun_pg_versions_set(r->s->versions, stream, event->version);
}

static enum lun_code
take_version(void *arg, const PGresult *row, struct lun_err *err)
{
	struct lun_pg_reading *r = arg;
	struct lun_pg_event event;
	enum lun_code code = lun_pg_read_event(r, row, &event, err);

	if (code == LUN_OK)
		know_version(r, row, &event.event);
	return code;
}

static enum lun_code
look_back(struct lun_pg_reading *r, struct lun_err *err)
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
	if (!lun_pg_needs_marks(mapping) &&
	    r->request->filter.stream.bytes != NULL)
		lun_pg_add_equal(s, LUN_PG_C_STREAM, mapping->layout.stream,
		    r->request->filter.stream);
	lun_buffer_printf(&s->sql, " ORDER BY %s LIMIT %d", mapping->keys_down,
	    REMEMBERED_ROWS);
	return run_statement(r, take_version, err);
}

/* What is remembered belongs to a reader that has come to `after`. */
static enum lun_code
know_streams(struct lun_pg_reading *r, struct lun_err *err)
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
	return known ? LUN_OK : look_back(r, err);
}

/* True if versions between the last one known and this one are missing. */
static bool
finds_hole(struct lun_pg_reading *r, const PGresult *row,
    const struct lun_event *event)
{
	struct lun_pg_stream stream = stream_of(row, event);
	struct lun_pg_hole *hole = &r->hole;
	int64_t last;

	if (!r->s->source->mapping->contiguous ||
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

/* ---- events out of their turn ------------------------------------------ */

/* Remember that it was given out, for as long as late events are looked for. */
static enum lun_code
note_seen(
    struct lun_pg_reading *r, struct lun_position position, struct lun_err *err)
{
	struct lun_pg_state *state = &r->s->state;

	if (r->s->source->mapping->safety == LUN_PG_GAPS)
		lun_pg_state_remove_skip(state, position.lo);
	if (r->s->source->mapping->safety != LUN_PG_WINDOW ||
	    lun_position_compare(position, state->floor) <= 0)
		return LUN_OK;
	if (!lun_pg_positions_add(&state->seen, position))
		return lun_pg_events_no_memory(r->s, err);
	if (state->seen.count > LUN_PG_SEEN + SPARE_SEEN) {
		state->floor = state->seen.items[SPARE_SEEN];
		lun_pg_positions_forget(&state->seen, state->floor);
	}
	return LUN_OK;
}

/* An event before or after its turn. */
static enum lun_code
give_out(struct lun_pg_reading *r, const PGresult *row,
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
		return note_seen(r, position, err);
	if (!lun_pg_positions_add(&state->ahead, position))
		return lun_pg_events_no_memory(r->s, err);
	return LUN_OK;
}

/*
 * What is known of a stream may be forgotten in part, and a version be missed
 * that was read: the order of reading knows better, where it is proven.
 */
static bool
was_given_out(const struct lun_pg_reading *r, struct lun_position position)
{
	const struct lun_pg_state *state = &r->s->state;

	if (lun_pg_positions_has(&state->seen, position) ||
	    lun_pg_positions_has(&state->ahead, position))
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
take_missing(void *arg, const PGresult *row, struct lun_err *err)
{
	struct lun_pg_reading *r = arg;
	struct lun_pg_event event;
	enum lun_code code = lun_pg_read_event(r, row, &event, err);

	if (code != LUN_OK)
		return code;
	if (event.event.version != r->hole.from || lun_pg_is_full(r))
		return LUN_AGAIN;
	r->hole.from++;
	know_version(r, row, &event.event);
	if (was_given_out(r, event.event.position))
		return LUN_OK;
	return give_out(r, row, &event, err);
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

/* Give out the versions that are missing, before the one that showed it. */
static enum lun_code
fill_hole(struct lun_pg_reading *r, struct lun_err *err)
{
	struct lun_pg_events *s = r->s;
	const struct lun_pg_mapping *mapping = s->source->mapping;
	enum lun_code code = start_statement(r, err);

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
	code = run_statement(r, take_missing, err);
	if (code != LUN_OK)
		return code;
	r->hole.found = false;
	if (lun_pg_is_full(r))
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

/* ---- rows in their turn ------------------------------------------------ */

/* Where a gap begins that may still be filled, reading stops. */
static bool
stops_at_gap(struct lun_pg_reading *r, struct lun_position position)
{
	struct lun_pg_state *state = &r->s->state;
	uint64_t next = r->batch->reached.lo + 1;

	if (r->s->source->mapping->safety != LUN_PG_GAPS || position.lo == next)
		return false;
	if (lun_position_compare(position, state->ceiling) > 0) {
		if (state->held.from != next)
			state->held.at = r->now;
		state->held.from = next;
		state->held.to = position.lo - 1;
		return true;
	}
	lun_pg_state_add_skip(state, next, position.lo - 1, r->now);
	return false;
}

static enum lun_code
take_turn(struct lun_pg_reading *r, const PGresult *row,
    struct lun_pg_event *event, struct lun_err *err)
{
	struct lun_pg_state *state = &r->s->state;
	struct lun_position position = event->event.position;
	bool before = lun_pg_positions_has(&state->ahead, position);
	enum lun_code code = LUN_OK;

	state->held.from = 0;
	if (before)
		lun_pg_positions_remove(&state->ahead, position);
	else
		know_version(r, row, &event->event);
	if (!before && is_wanted(row))
		code = lun_pg_add_event(r, &event->event, err);
	lun_pg_note_row(r, &event->event);
	return code == LUN_OK ? note_seen(r, position, err) : code;
}

static enum lun_code
take_row(void *arg, const PGresult *row, struct lun_err *err)
{
	struct lun_pg_reading *r = arg;
	struct lun_pg_event event;
	enum lun_code code = lun_pg_read_event(r, row, &event, err);

	if (code != LUN_OK)
		return code;
	if (!lun_pg_positions_has(&r->s->state.ahead, event.event.position) &&
	    finds_hole(r, row, &event.event))
		return LUN_AGAIN;
	if (stops_at_gap(r, event.event.position)) {
		r->held = true;
		return LUN_AGAIN;
	}
	r->taken++;
	code = take_turn(r, row, &event, err);
	if (code != LUN_OK)
		return code;
	return lun_pg_is_full(r) ? LUN_AGAIN : LUN_OK;
}

static enum lun_code
read_on(struct lun_pg_reading *r, size_t limit, struct lun_err *err)
{
	struct lun_pg_events *s = r->s;
	const struct lun_pg_mapping *mapping = s->source->mapping;
	enum lun_code code = start_statement(r, err);

	if (code != LUN_OK)
		return code;
	lun_buffer_add_text(&s->sql, LUN_TEXT(" AND "));
	lun_pg_compare(mapping, &s->sql, ">", &s->params, r->batch->reached);
	lun_buffer_add_text(&s->sql, LUN_TEXT(" AND "));
	lun_pg_compare(mapping, &s->sql, "<=", &s->params, r->bound);
	if (!lun_pg_needs_marks(mapping) &&
	    r->request->filter.stream.bytes != NULL)
		lun_pg_add_equal(s, LUN_PG_C_STREAM, mapping->layout.stream,
		    r->request->filter.stream);
	lun_buffer_printf(&s->sql, " ORDER BY %s LIMIT $%zu", mapping->keys,
	    s->params.count + 1);
	lun_pg_add_int8(&s->params, (int64_t)limit);
	r->taken = 0;
	return run_statement(r, take_row, err);
}

/* Behind a gap one row tells whether it is worth asking for more. */
static enum lun_code
read_rows(struct lun_pg_reading *r, struct lun_err *err)
{
	enum lun_code code = LUN_OK;

	if (r->s->state.held.from > 0)
		code = read_on(r, 1, err);
	if (code == LUN_OK && !r->held && !r->hole.found && !lun_pg_is_full(r))
		code = read_on(r, r->limit, err);
	return code;
}

/* Nothing but rows of other streams may be left up to the bound. */
static void
finish(struct lun_pg_reading *r)
{
	struct lun_pg_events *s = r->s;
	bool ended = !r->held && r->taken < r->limit && !lun_pg_is_full(r);

	if (ended && !lun_pg_needs_marks(s->source->mapping)) {
		r->batch->reached = r->bound;
		lun_buffer_clear(&s->state.anchor);
		lun_buffer_add_text(
		    &s->state.anchor, lun_buffer_text(&s->look.bound_anchor));
	}
	r->batch->at_head = s->look.at_head && (ended || r->held);
	r->batch->held = r->held;
	s->versions_at = r->batch->reached;
	s->versions_known = true;
}

enum lun_code
lun_pg_read_whole(struct lun_pg_reading *r, struct lun_err *err)
{
	struct lun_pg_state *state = &r->s->state;
	enum lun_code code;

	if (r->s->source->mapping->safety == LUN_PG_WINDOW &&
	    lun_position_compare(state->ceiling, r->bound) < 0)
		r->bound = state->ceiling;
	code = know_streams(r, err);
	if (code == LUN_OK)
		code = read_rows(r, err);
	while (code == LUN_OK && r->hole.found) {
		code = fill_hole(r, err);
		if (code == LUN_OK && !lun_pg_is_full(r))
			code = read_rows(r, err);
	}
	if (code == LUN_OK)
		finish(r);
	return code;
}

/* ---- late events ------------------------------------------------------- */

static enum lun_code
take_late(void *arg, const PGresult *row, struct lun_err *err)
{
	struct lun_pg_reading *r = arg;
	struct lun_pg_event event;
	enum lun_code code = lun_pg_read_event(r, row, &event, err);

	if (code != LUN_OK)
		return code;
	if (lun_pg_positions_has(&r->s->state.seen, event.event.position))
		return LUN_OK;
	if (lun_pg_is_full(r))
		return LUN_AGAIN;
	r->s->versions_known = false;
	return give_out(r, row, &event, err);
}

/* A window may hold many events, and next to none that are late. */
static void
add_unseen(struct lun_pg_reading *r)
{
	struct lun_pg_events *s = r->s;
	const struct lun_pg_positions *seen = &s->state.seen;

	lun_buffer_printf(&s->sql,
	    " AND NOT EXISTS (SELECT FROM pg_catalog.unnest($%zu) s(id) "
	    "WHERE s.id = %s)",
	    s->params.count + 1, s->source->mapping->layout.position);
	lun_pg_begin_array(&s->params, LUN_PG_UUID_ARRAY, seen->count);
	for (size_t i = 0; i < seen->count; i++)
		lun_pg_element_uuid(
		    &s->params, seen->items[i].hi, seen->items[i].lo);
	lun_pg_end_array(&s->params);
}

/* Ids of the window that were not there when it was read. */
static enum lun_code
look_into_window(struct lun_pg_reading *r, struct lun_err *err)
{
	struct lun_pg_events *s = r->s;
	const struct lun_pg_mapping *mapping = s->source->mapping;
	struct lun_position start =
	    lun_pg_time_position(r->now - mapping->window_us);
	enum lun_code code;

	if (lun_position_compare(start, s->state.floor) > 0) {
		s->state.floor = start;
		lun_pg_positions_forget(&s->state.seen, start);
	}
	if (lun_position_compare(r->request->after, s->state.floor) <= 0)
		return LUN_OK;
	code = start_statement(r, err);
	if (code != LUN_OK)
		return code;
	lun_buffer_add_text(&s->sql, LUN_TEXT(" AND "));
	lun_pg_compare(mapping, &s->sql, ">", &s->params, s->state.floor);
	lun_buffer_add_text(&s->sql, LUN_TEXT(" AND "));
	lun_pg_compare(mapping, &s->sql, "<=", &s->params, r->request->after);
	add_unseen(r);
	lun_buffer_printf(&s->sql, " ORDER BY %s", mapping->keys);
	return run_statement(r, take_late, err);
}

/* The newest of the numbers passed over, as an array; how many. */
static size_t
add_skipped(struct lun_pg_reading *r)
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

/* Numbers that somebody had drawn with no transaction around. */
static enum lun_code
look_into_skips(struct lun_pg_reading *r, struct lun_err *err)
{
	struct lun_pg_events *s = r->s;
	const struct lun_pg_mapping *mapping = s->source->mapping;
	enum lun_code code;

	if (mapping->grace_us == 0 || s->state.skip_count == 0)
		return LUN_OK;
	code = start_statement(r, err);
	if (code != LUN_OK)
		return code;
	lun_buffer_printf(&s->sql, " AND %s = ANY ($%zu) ORDER BY %s",
	    mapping->layout.position, s->params.count + 1, mapping->keys);
	if (add_skipped(r) == 0)
		return LUN_OK;
	return run_statement(r, take_late, err);
}

enum lun_code
lun_pg_read_late(struct lun_pg_reading *r, struct lun_err *err)
{
	if (r->s->source->mapping->safety == LUN_PG_WINDOW)
		return look_into_window(r, err);
	return look_into_skips(r, err);
}
