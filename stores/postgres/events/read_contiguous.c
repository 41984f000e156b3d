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
 * A version that is missing in its stream (order.c) is fetched by stream and
 * version, wherever it stands, and delivered first; if it cannot be had,
 * reading fails. So an event that the positions hid is noticed at the next one
 * of its stream.
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

#define SPARE_DELIVERED 1000 /* so that not each event moves all others */
#define SPARE_ROWS      64   /* asked for rather than a statement more */

/* ---- statements -------------------------------------------------------- */

/*
 * The server says of each row whether it is to be seen, where that is not always
 * so; its type says whether it is wanted.
 */
static bool
tells_seen(const struct lun_pg_reading *r)
{
	return r->request->filter.stream.bytes != NULL ||
	       r->s->source->mapping->hides;
}

/*
 * The condition that a payload is sent, with its parameters in the store. The
 * length of its beginning: that the row is to be seen, of whatever type.
 */
static size_t
add_wanted(struct lun_pg_reading *r, bool any_type, struct lun_buffer *wanted)
{
	struct lun_pg_events *s = r->s;
	struct lun_event_filter filter = r->request->filter;
	size_t seen;

	filter.type_count = 0;
	lun_buffer_clear(&s->sql);
	lun_pg_start_params(s->source->mapping, &s->params);
	lun_buffer_printf(&s->sql, "%s", s->source->mapping->shown);
	lun_pg_add_filter(s, &filter);
	seen = s->sql.length;
	if (!any_type)
		lun_pg_add_types(s, &r->request->filter);
	lun_buffer_add_text(wanted, lun_buffer_text(&s->sql));
	lun_buffer_clear(&s->sql);
	return seen;
}

/* Without metadata, as most rows are, a row is compared once. */
static void
add_payload(struct lun_pg_reading *r, struct lun_text wanted)
{
	const struct lun_pg_mapping *mapping = r->s->source->mapping;
	const char *metadata = mapping->layout.metadata;

	lun_buffer_printf(&r->s->sql,
	    "CASE WHEN %.*s THEN %s END, CASE WHEN %s IS NOT NULL AND %.*s "
	    "THEN %s END",
	    LUN_TEXT_ARG(wanted), mapping->expressions[LUN_PG_C_DATA],
	    metadata != NULL ? metadata : "NULL", LUN_TEXT_ARG(wanted),
	    mapping->expressions[LUN_PG_C_METADATA]);
}

enum lun_code
lun_pg_begin_statement(
    struct lun_pg_reading *r, bool any_type, struct lun_err *err)
{
	struct lun_pg_events *s = r->s;
	const struct lun_pg_mapping *mapping = s->source->mapping;
	const struct lun_pg_layout *layout = &mapping->layout;
	struct lun_buffer wanted = {0};
	size_t seen = add_wanted(r, any_type, &wanted);

	r->tenant_column =
	    layout->tenant != NULL ? LUN_PG_COLUMNS + tells_seen(r) : 0;
	lun_buffer_add_text(&s->sql, LUN_TEXT("SELECT "));
	for (int i = 0; i < LUN_PG_C_DATA; i++)
		lun_buffer_printf(&s->sql, "%s, ", mapping->expressions[i]);
	add_payload(r, lun_buffer_text(&wanted));
	if (tells_seen(r))
		lun_buffer_printf(&s->sql, ", (%.*s)", (int)seen, wanted.bytes);
	if (layout->realm != NULL)
		lun_buffer_printf(
		    &s->sql, ", coalesce((%s)::text, '')", layout->realm);
	lun_buffer_printf(
	    &s->sql, " FROM %s WHERE %s", mapping->from, mapping->scope);
	if (wanted.failed)
		s->sql.failed = true;
	lun_buffer_free(&wanted);
	return s->sql.failed ? lun_pg_events_no_memory(s, err) : LUN_OK;
}

/* One without a type is, so that it is named. */
static bool
is_wanted(const struct lun_pg_reading *r, const PGresult *row,
    const struct lun_event *event)
{
	if (tells_seen(r) && !lun_pg_bool(row, 0, LUN_PG_COLUMNS))
		return false;
	return r->s->source->mapping->unwrap || event->type.length == 0 ||
	       lun_event_filter_wants(
		   &r->request->filter, event->stream, event->type);
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
enum lun_code
lun_pg_deliver_out_of_order(struct lun_pg_reading *r, const PGresult *row,
    struct lun_pg_event *event, struct lun_err *err)
{
	struct lun_pg_state *state = &r->s->state;
	struct lun_position position = event->event.position;
	enum lun_code code = LUN_OK;

	if (is_wanted(r, row, &event->event))
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
 * Versions that are missing were not given out; but a state may come from a
 * reader that did not keep their order, and nothing is given out twice.
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
	case LUN_PG_SERIALISED:
		return true;
	case LUN_PG_GAPS:
		return !lun_pg_state_may_have_skipped(state, position.lo);
	default:
		return false;
	}
}

/*
 * Of a stream that is remembered this version was not given out, though its
 * place was read: it was not there then, and writers do not take turns.
 */
static bool
breaks_promise(const struct lun_pg_reading *r, struct lun_position position)
{
	const struct lun_pg_mapping *mapping = r->s->source->mapping;

	return mapping->safety == LUN_PG_SERIALISED && !mapping->ignore_holes &&
	       lun_position_compare(position, r->batch->reached) <= 0;
}

/* It is refused once nothing else is in doubt. */
static void
note_late(struct lun_pg_reading *r, const struct lun_event *event)
{
	char text[LUN_POSITION_MAX];

	lun_pg_format_position(r->s->source->mapping, event->position, text);
	(void)lun_fail(&r->late, LUN_CONFIG,
	    "%s: version %" PRId64 " of stream %.*s came to position %s after "
	    "that was read, so its writers do not take turns: let them, or "
	    "read "
	    "it with a grace time (message-db without category=, custom and "
	    "outbox with safe_head=gaps), then lunette rebuild NAME",
	    lun_pg_name(&r->s->c), event->version, LUN_TEXT_ARG(event->stream),
	    text);
}

static enum lun_code
deliver_missing_row(void *arg, const PGresult *row, struct lun_err *err)
{
	struct lun_pg_reading *r = arg;
	struct lun_pg_event event;
	enum lun_code code = lun_pg_read_event(r, row, &event, err);

	if (code != LUN_OK)
		return code;
	if (event.event.version < r->hole.from)
		return LUN_OK; /* a second one of this version has its turn */
	if (event.event.version > r->hole.from || lun_pg_reading_is_full(r))
		return LUN_AGAIN;
	if (breaks_promise(r, event.event.position))
		note_late(r, &event.event);
	r->hole.from++;
	lun_pg_order_pass(r, row, &event);
	if (was_delivered(r, event.event.position))
		return LUN_OK;
	return lun_pg_deliver_out_of_order(r, row, &event, err);
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

static struct lun_pg_stream
hole_stream(const struct lun_pg_reading *r)
{
	return (struct lun_pg_stream){
	    lun_buffer_text(&r->hole.realm), lun_buffer_text(&r->hole.stream)};
}

/* Deliver the versions that are missing, before the one that showed it. */
enum lun_code
lun_pg_fill_hole(struct lun_pg_reading *r, struct lun_err *err)
{
	struct lun_pg_events *s = r->s;
	const struct lun_pg_mapping *mapping = s->source->mapping;
	enum lun_code code = lun_pg_begin_statement(r, false, err);

	if (code != LUN_OK)
		return code;
	lun_pg_add_stream(s, hole_stream(r));
	lun_buffer_printf(&s->sql, " AND %s BETWEEN $%zu AND $%zu ORDER BY %s",
	    mapping->version, s->params.count + 1, s->params.count + 2,
	    mapping->version);
	lun_pg_add_int8(&s->params, r->hole.from);
	lun_pg_add_int8(&s->params, r->hole.to);
	code = lun_pg_read_rows(r->s, deliver_missing_row, r, err);
	if (code != LUN_OK)
		return code;
	r->hole.found = false;
	if (lun_pg_reading_is_full(r))
		return LUN_OK; /* the rest is found at the next read */
	if (r->hole.from <= r->hole.to && !mapping->ignore_holes)
		return refuse_hole(r, err);
	if (r->hole.from <= r->hole.to)
		lun_pg_versions_set(
		    s->versions, lun_pg_stream_key(hole_stream(r)), r->hole.to);
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
		lun_pg_order_pass(r, row, event);
	if (!before && is_wanted(r, row, &event->event))
		code = lun_pg_add_event(r, &event->event, err);
	else
		r->unwanted_bytes +=
		    event->event.data.length + event->event.metadata.length;
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
	if (r->unasked) {
		bool is_first = r->expects_anchor;

		if (!lun_pg_known_head_holds(r, &event.event))
			return LUN_AGAIN;
		if (is_first)
			return LUN_OK;
	}
	if (!lun_pg_positions_has(
		&r->s->state.delivered_early, event.event.position) &&
	    !lun_pg_order_fits(r, row, &event))
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
	enum lun_code code = lun_pg_read_ordered(r, limit, deliver_row, err);

	r->scanned += r->taken;
	r->ended = r->taken < limit;
	return code;
}

/* Of this read, or where that has none yet, of the last one. */
static double
rows_each(const struct lun_pg_reading *r)
{
	double scanned = (double)r->scanned, wanted = (double)r->batch->count;

	if (r->scanned == 0)
		return r->s->rows_each;
	if (scanned <= wanted)
		return 1;
	return wanted > 0 ? scanned / wanted : scanned;
}

/*
 * So many as should fill the batch, some of which may not be wanted: what is
 * asked for beyond that is sent in vain.
 */
static size_t
rows_to_ask(const struct lun_pg_reading *r)
{
	size_t left = r->request->max_events - r->batch->count;
	size_t most = r->most - r->scanned;
	double each = rows_each(r);
	double rows = (double)(left < r->limit ? left : r->limit) * each;

	if (each > 1)
		rows += SPARE_ROWS;
	return rows < (double)most ? (size_t)rows : most;
}

static bool
wants_more(const struct lun_pg_reading *r)
{
	return !r->ended && !r->at_gap && !r->hole.found &&
	       r->scanned < r->most && !lun_pg_reading_is_full(r);
}

/* Behind a gap one row tells whether it is worth asking for more. */
static enum lun_code
read_rows(struct lun_pg_reading *r, struct lun_err *err)
{
	enum lun_code code = LUN_OK;

	r->ended = false;
	if (r->s->state.open_gap.from > 0)
		code = read_next_rows(r, 1, err);
	while (code == LUN_OK && wants_more(r))
		code = read_next_rows(r, rows_to_ask(r), err);
	if (r->scanned > 0)
		r->s->rows_each = rows_each(r);
	return code;
}

/* Nothing but rows of other streams may be left up to the bound. */
static void
finish_reading(struct lun_pg_reading *r)
{
	struct lun_pg_events *s = r->s;
	bool ended = r->ended && !r->at_gap && !lun_pg_reading_is_full(r);

	if (ended && !lun_pg_has_pending_writers(s->source->mapping)) {
		r->batch->reached = r->bound;
		lun_buffer_clear(&s->state.anchor);
		lun_buffer_add_text(&s->state.anchor,
		    lun_buffer_text(&s->safe_head.bound_anchor));
	}
	r->batch->at_head = s->safe_head.at_head && (ended || r->at_gap);
	r->batch->at_gap = r->at_gap;
}

enum lun_code
lun_pg_read_contiguous(struct lun_pg_reading *r, struct lun_err *err)
{
	struct lun_pg_state *state = &r->s->state;
	enum lun_code code;

	if (r->s->source->mapping->safety == LUN_PG_WINDOW &&
	    lun_position_compare(state->ceiling, r->bound) < 0)
		r->bound = state->ceiling;
	code = read_rows(r, err);
	while (code == LUN_OK && r->hole.found) {
		code = lun_pg_fill_hole(r, err);
		if (code == LUN_OK && !lun_pg_reading_is_full(r))
			code = read_rows(r, err);
	}
	if (code == LUN_OK)
		finish_reading(r);
	return code;
}
