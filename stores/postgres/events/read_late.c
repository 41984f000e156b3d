/*
 * read_late.c - events that came after their position was passed.
 *
 * A number that was passed over as dead, an id older than those that were
 * read: looked for again in each read, as long as the grace time and window
 * say. They are given out in the order of their versions.
 *
 * Where a pass reads the log, no index leads to a number, and each look goes
 * through the whole table. Such looks get a part of the time. A connection
 * overlooks nothing by that: what its last look was for, the next is for, too.
 */

#include "postgres/events/reading.h"

#include "base/clock.h"

#define LATE_NUMBERS 1000 /* of those skipped, looked for in one read */
#define WINDOW_STEPS 8    /* in which the start of the window moves */
#define COST_FACTOR  10   /* a pass looks for at most that part of the time */

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
	if (!lun_pg_order_fits(r, row, &event))
		return LUN_AGAIN;
	lun_pg_order_pass(r, row, &event);
	return lun_pg_deliver_out_of_order(r, row, &event, err);
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

/*
 * It moves in steps, so that readers that come to one place one after the other
 * mostly have the same.
 */
struct lun_position
lun_pg_window_start(const struct lun_pg_reading *r)
{
	const struct lun_pg_mapping *mapping = r->s->source->mapping;
	int64_t step = mapping->window_us / WINDOW_STEPS;
	int64_t start = r->now - mapping->window_us;

	if (step > 0)
		start -= start % step;
	return lun_pg_time_position(mapping, start);
}

/* Ids in the window that were not there when it was read. */
static enum lun_code
read_late_ids(struct lun_pg_reading *r, struct lun_err *err)
{
	struct lun_pg_events *s = r->s;
	const struct lun_pg_mapping *mapping = s->source->mapping;
	struct lun_position start = lun_pg_window_start(r);
	enum lun_code code;

	if (lun_position_compare(start, s->state.floor) > 0) {
		s->state.floor = start;
		lun_pg_positions_forget(&s->state.delivered, start);
	}
	if (lun_position_compare(r->request->after, s->state.floor) <= 0)
		return LUN_OK;
	code = lun_pg_begin_statement(r, false, err);
	if (code != LUN_OK)
		return code;
	lun_buffer_add_text(&s->sql, LUN_TEXT(" AND "));
	lun_pg_compare(mapping, &s->sql, ">", &s->params, s->state.floor);
	lun_buffer_add_text(&s->sql, LUN_TEXT(" AND "));
	lun_pg_compare(mapping, &s->sql, "<=", &s->params, r->request->after);
	add_not_delivered(r);
	lun_buffer_printf(
	    &s->sql, " ORDER BY %s, %s", mapping->version, mapping->keys);
	return lun_pg_read_rows(r->s, deliver_late_row, r, err);
}

/* The numbers that were skipped from then on may still come. */
static int64_t
window_of_numbers(const struct lun_pg_reading *r)
{
	int64_t last = r->s->late_looks.last;
	int64_t now = last != 0 && last < r->now ? last : r->now;

	return now - r->s->source->mapping->window_us;
}

/* The newest of the skipped numbers, as an array; how many. */
static size_t
add_skipped_numbers(struct lun_pg_reading *r)
{
	const struct lun_pg_state *state = &r->s->state;
	const struct lun_pg_mapping *mapping = r->s->source->mapping;
	int64_t since = window_of_numbers(r);
	int64_t shift = mapping->layout.starts_at_zero ? 1 : 0;
	int64_t numbers[LATE_NUMBERS];
	size_t count = 0;

	for (size_t i = state->skip_count;
	     i-- > 0 && state->skips[i].at >= since;)
		for (uint64_t n = state->skips[i].to;
		     n >= state->skips[i].from && count < LATE_NUMBERS; n--)
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
	code = lun_pg_begin_statement(r, false, err);
	if (code != LUN_OK)
		return code;
	lun_buffer_printf(&s->sql, " AND %s = ANY ($%zu) ORDER BY %s, %s",
	    mapping->layout.position, s->params.count + 1, mapping->version,
	    mapping->keys);
	if (add_skipped_numbers(r) == 0)
		return LUN_OK;
	return lun_pg_read_rows(r->s, deliver_late_row, r, err);
}

static enum lun_code
read_late_rows(struct lun_pg_reading *r, struct lun_err *err)
{
	if (r->s->source->mapping->safety == LUN_PG_WINDOW)
		return read_late_ids(r, err);
	return read_late_numbers(r, err);
}

static bool
may_do_without(const struct lun_pg_reading *r)
{
	return r->way != LUN_PG_BY_STATEMENT &&
	       r->s->source->mapping->safety != LUN_PG_WINDOW &&
	       lun_clock_mono_ns() < r->s->late_looks.next_ns;
}

/* For what did not fit into the batch, the next read looks at once. */
static void
note_look(struct lun_pg_reading *r, int64_t began_ns)
{
	struct lun_pg_late_looks *looks = &r->s->late_looks;
	int64_t now = lun_clock_mono_ns();

	looks->next_ns = 0;
	if (lun_pg_reading_is_full(r)) {
		if (looks->last == 0)
			looks->last = r->now;
	} else if (r->way == LUN_PG_BY_STATEMENT) {
		looks->last = 0;
	} else {
		looks->last = r->now;
		looks->next_ns = now + (now - began_ns) * COST_FACTOR;
	}
}

enum lun_code
lun_pg_read_late(struct lun_pg_reading *r, struct lun_err *err)
{
	int64_t began_ns = lun_clock_mono_ns();
	enum lun_code code;

	if (may_do_without(r))
		return LUN_OK;
	code = read_late_rows(r, err);
	while (code == LUN_OK && r->hole.found) {
		code = lun_pg_fill_hole(r, err);
		if (code == LUN_OK && !lun_pg_reading_is_full(r))
			code = read_late_rows(r, err);
	}
	if (code == LUN_OK)
		note_look(r, began_ns);
	return code;
}
