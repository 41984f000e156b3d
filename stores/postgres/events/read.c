/*
 * read.c - reading from an event store in PostgreSQL.
 *
 * One statement finds the bound (safe_head.h), unless it is known from an earlier
 * read (known_head.c), then another reads up to it, row by row as they come.
 * Everything up to the bound is settled, so the two need no common snapshot.
 *
 * The source state holds the id of the event a reader has reached: the anchor.
 * If the event at that position has another id, or is gone, the log is not
 * the one that was read before. Where a bound cannot be told from the rows
 * alone, it holds more (source_state.h).
 */

#include "postgres/events/reading.h"

#include "base/clock.h"
#include "base/error.h"
#include "json/scan.h"

/* Rows a filter looks at in one read, for each event asked for. */
#define SCANNED_TIMES 4
#define SCANNED_LEAST 10000
#define PLANNING_US   500 /* of a look, beside what the server counts */

#define WHAT_TO_DO                                                             \
	"the event store was replaced or cut back; restore it, or start the "  \
	"projection anew with lunette rebuild NAME, or, if nothing else was "  \
	"deleted, go on with holes=ignore in the URL or with lunette "         \
	"checkpoint set NAME %s"

/* ---- refusals ---------------------------------------------------------- */

static enum lun_code
refuse_position(struct lun_pg_events *s, const struct lun_read *request,
    struct lun_err *err)
{
	char after[LUN_POSITION_MAX], bound[LUN_POSITION_MAX];
	const char *name = lun_pg_name(&s->c);

	lun_pg_format_position(s->source->mapping, request->after, after);
	lun_pg_format_position(s->source->mapping, s->safe_head.bound, bound);
	if (s->safe_head.has_anchor)
		return lun_fail(err, LUN_CONFIG,
		    "%s has another event at position %s than the one that "
		    "was read last: the event store was replaced or cut back; "
		    "restore it, or start the projection anew with lunette "
		    "rebuild NAME",
		    name, after);
	if (s->safe_head.at_head &&
	    lun_position_compare(request->after, s->safe_head.bound) > 0)
		return lun_fail(err, LUN_CONFIG,
		    "%s ends at position %s, before position %s that was read "
		    "last: " WHAT_TO_DO,
		    name, bound, after, bound);
	return lun_fail(err, LUN_CONFIG,
	    "%s no longer has the event at position %s that was read "
	    "last: " WHAT_TO_DO,
	    name, after, after);
}

/* What comes next in an outbox would stand before the row read last. */
static enum lun_code
refuse_set_back(struct lun_pg_events *s, const struct lun_read *request,
    struct lun_err *err)
{
	char after[LUN_POSITION_MAX];

	lun_pg_format_position(s->source->mapping, request->after, after);
	return lun_fail(err, LUN_CONFIG,
	    "%s: the numbers of \"%s\" began anew (TRUNCATE ... RESTART "
	    "IDENTITY, or another table), and rows up to position %s were "
	    "read before that: lunette rebuild NAME reads those that are left, "
	    "lunette checkpoint set NAME 0 goes on with them",
	    lun_pg_name(&s->c), s->source->mapping->table, after);
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

/* A reader that has come to one of them does not see the other. */
static enum lun_code
refuse_rival(
    struct lun_pg_events *s, struct lun_position position, struct lun_err *err)
{
	char text[LUN_POSITION_MAX];

	lun_pg_format_position(s->source->mapping, position, text);
	return lun_fail(err, LUN_INVALID,
	    "%s: \"%s\" has several events at position %s, or one without a "
	    "position beside it: only one event can stand at a place; correct "
	    "the rows",
	    lun_pg_name(&s->c), s->source->mapping->table, text);
}

/*
 * The event read last is gone, and that is no reason to stop: where rows go once
 * they are delivered, or the URL says so. Elsewhere than in an outbox events
 * are only deleted within a stream, so there is a later one.
 */
static bool
may_be_gone(const struct lun_pg_events *s, const struct lun_read *request)
{
	const struct lun_pg_mapping *mapping = s->source->mapping;

	if (s->safe_head.has_anchor || mapping->layout.is_outbox)
		return !s->safe_head.has_anchor;
	return mapping->ignore_holes &&
	       (!mapping->layout.deletes || lun_position_compare(request->after,
						s->safe_head.bound) < 0);
}

/* A position without an anchor was set by hand and may lie in a hole. */
static enum lun_code
check_anchor(struct lun_pg_events *s, const struct lun_read *request,
    struct lun_err *err)
{
	const struct lun_pg_safe_head *head = &s->safe_head;

	if (head->is_foreign)
		return refuse_foreign(s, err);
	if (head->was_set_back)
		return refuse_set_back(s, request, err);
	if (lun_position_compare(request->after, LUN_POSITION_START) == 0 ||
	    may_be_gone(s, request))
		return LUN_OK;
	if (head->has_rival)
		return refuse_rival(s, request->after, err);
	if (s->state.known)
		return head->has_anchor &&
			       lun_text_equal(lun_buffer_text(&s->state.anchor),
				   lun_buffer_text(&head->anchor))
			   ? LUN_OK
			   : refuse_position(s, request, err);
	if (!head->has_anchor && head->at_head &&
	    lun_position_compare(request->after, head->bound) > 0)
		return refuse_position(s, request, err);
	return LUN_OK;
}

/* ---- reading ----------------------------------------------------------- */

/* Many of the rows may be of types that are not wanted. */
static bool
is_filtered(const struct lun_read *request)
{
	return request->filter.type_count > 0;
}

/* Rows that may be wanted: no more than will fit, as far as can be known. */
static size_t
choose_limit(const struct lun_pg_events *s, const struct lun_read *request)
{
	size_t fit = request->max_bytes / s->row_bytes + 1;

	return fit < request->max_events ? fit : request->max_events;
}

/*
 * A filter on types that few events have must not scan the whole log in one
 * read.
 */
static size_t
choose_most(const struct lun_read *request)
{
	return request->max_events > SCANNED_LEAST / SCANNED_TIMES
		   ? request->max_events * SCANNED_TIMES
		   : SCANNED_LEAST;
}

/*
 * That writers take turns is their promise, but where a row that they lock gives
 * the positions (safe_head.c). Where there are no versions, there is no order of
 * them to keep.
 */
static bool
reads_contiguous(const struct lun_pg_mapping *mapping)
{
	return lun_pg_has_pending_writers(mapping) ||
	       (mapping->contiguous && !mapping->layout.row_counts);
}

static void
begin_wanted(struct lun_pg_reading *r)
{
	struct lun_pg_events *s = r->s;
	const struct lun_pg_mapping *mapping = s->source->mapping;

	r->tenant_column = mapping->layout.tenant != NULL ? LUN_PG_COLUMNS : 0;
	lun_buffer_clear(&s->sql);
	lun_pg_start_params(mapping, &s->params);
	lun_buffer_printf(&s->sql, "SELECT %s FROM %s WHERE %s",
	    mapping->columns, mapping->from, mapping->visible);
	lun_pg_add_filter(s, &r->request->filter);
}

/* Every row, but for a stream whose order no other one has a part in. */
static enum lun_code
begin_contiguous(struct lun_pg_reading *r, struct lun_err *err)
{
	struct lun_pg_events *s = r->s;
	const struct lun_pg_mapping *mapping = s->source->mapping;
	enum lun_code code = lun_pg_begin_statement(r, s->takes_all, err);

	if (code == LUN_OK && !lun_pg_has_pending_writers(mapping) &&
	    r->request->filter.stream.bytes != NULL)
		lun_pg_add_equal(s, LUN_PG_C_STREAM, mapping->layout.stream,
		    r->request->filter.stream);
	return code;
}

enum lun_code
lun_pg_begin_ordered(
    struct lun_pg_reading *r, struct lun_position after, struct lun_err *err)
{
	struct lun_pg_events *s = r->s;
	const struct lun_pg_mapping *mapping = s->source->mapping;
	enum lun_code code = LUN_OK;

	if (reads_contiguous(mapping))
		code = begin_contiguous(r, err);
	else
		begin_wanted(r);
	if (code != LUN_OK)
		return code;
	lun_buffer_add_text(&s->sql, LUN_TEXT(" AND "));
	lun_pg_compare(mapping, &s->sql, r->expects_anchor ? ">=" : ">",
	    &s->params, after);
	lun_buffer_add_text(&s->sql, LUN_TEXT(" AND "));
	lun_pg_compare(mapping, &s->sql, "<=", &s->params, r->bound);
	lun_buffer_printf(&s->sql, " ORDER BY %s", mapping->keys);
	return s->sql.failed ? lun_pg_events_no_memory(s, err) : LUN_OK;
}

enum lun_code
lun_pg_read_ordered(struct lun_pg_reading *r, size_t limit, lun_pg_row_fn *row,
    struct lun_err *err)
{
	struct lun_pg_events *s = r->s;
	enum lun_code code;

	r->taken = 0;
	if (r->way == LUN_PG_BY_PASS)
		return lun_pg_pass_read(r, limit, row, err);
	code = lun_pg_begin_ordered(r, r->batch->reached, err);
	if (code != LUN_OK)
		return code;
	lun_buffer_printf(&s->sql, " LIMIT $%zu", s->params.count + 1);
	lun_pg_add_int8(&s->params, (int64_t)limit + r->expects_anchor);
	return lun_pg_read_rows(s, row, r, err);
}

static enum lun_code
add_wanted_row(void *arg, const PGresult *row, struct lun_err *err)
{
	struct lun_pg_reading *r = arg;
	struct lun_pg_event event;
	enum lun_code code = lun_pg_read_event(r, row, &event, err);

	if (code == LUN_OK)
		code = lun_pg_add_event(r, &event.event, err);
	if (code != LUN_OK)
		return code;
	r->taken++;
	lun_pg_reading_advance(r, &event.event);
	return lun_pg_reading_is_full(r) ? LUN_AGAIN : LUN_OK;
}

/*
 * Where the server looks for what a filter wants the bound is near; once found
 * it serves until it is reached.
 */
enum lun_code
lun_pg_find_bound(struct lun_pg_events *s, const struct lun_read *request,
    struct lun_err *err)
{
	struct lun_pg_safe_head *head = &s->safe_head;
	bool bounded = is_filtered(request) &&
		       request->filter.stream.bytes == NULL &&
		       !reads_contiguous(s->source->mapping);
	bool known = lun_position_compare(s->settled, request->after) > 0 &&
		     lun_position_compare(s->settled_from, request->after) <= 0;
	enum lun_code code;

	head->after = request->after;
	head->most = 0;
	head->numbers = lun_buffer_text(&s->numbers);
	if (bounded && !known)
		head->most = choose_most(request);
	code = lun_pg_safe_head_find(&s->c, s->source->mapping, head, err);
	if (code == LUN_OK)
		code = lun_pg_events_check_catalogue(s, &head->mark, err);
	if (code != LUN_OK || !bounded)
		return code;
	if (known && lun_position_compare(s->settled, head->bound) < 0) {
		head->bound = s->settled;
		head->at_head = false;
		lun_buffer_clear(&head->bound_anchor);
		lun_buffer_add_text(
		    &head->bound_anchor, lun_buffer_text(&s->settled_anchor));
		return LUN_OK;
	}
	s->settled = head->bound;
	s->settled_from = request->after;
	lun_buffer_clear(&s->settled_anchor);
	lun_buffer_add_text(
	    &s->settled_anchor, lun_buffer_text(&head->bound_anchor));
	return s->settled_anchor.failed ? lun_pg_events_no_memory(s, err)
					: LUN_OK;
}

static void
set_anchor(struct lun_pg_events *s, const struct lun_buffer *anchor)
{
	lun_buffer_clear(&s->state.anchor);
	lun_buffer_add_text(&s->state.anchor, lun_buffer_text(anchor));
}

/* One that is gone stays the one that was read last. */
static void
keep_anchor(struct lun_pg_events *s)
{
	if (s->safe_head.has_anchor)
		set_anchor(s, &s->safe_head.anchor);
}

/* The rows that are wanted, and no others. */
static enum lun_code
read_wanted(struct lun_pg_reading *r, struct lun_err *err)
{
	const struct lun_pg_safe_head *head = &r->s->safe_head;
	enum lun_code code =
	    lun_pg_read_ordered(r, r->limit, add_wanted_row, err);

	if (code != LUN_OK)
		return code;
	r->ended = r->taken < r->limit;
	if (r->ended && !lun_pg_reading_is_full(r)) {
		r->batch->reached = head->bound;
		r->batch->at_head = head->at_head;
		set_anchor(r->s, &head->bound_anchor);
	} else {
		r->batch->at_head =
		    head->at_head &&
		    lun_position_compare(r->batch->reached, head->bound) == 0;
	}
	return LUN_OK;
}

/*
 * What the bound is lowered to was the place of a reader, so an event stands
 * there. One that is gone is the bound of nobody: nothing is read.
 */
static enum lun_code
lower_bound(struct lun_pg_reading *r, struct lun_err *err)
{
	struct lun_pg_events *s = r->s;
	struct lun_pg_safe_head *head = &s->safe_head;
	PGresult *result = NULL;
	enum lun_code code;

	head->at_head = false;
	head->bound = r->request->upto;
	if (lun_pg_has_pending_writers(s->source->mapping))
		return LUN_OK; /* every row is looked at, up to the last one */
	lun_buffer_clear(&s->sql);
	lun_pg_start_params(s->source->mapping, &s->params);
	lun_buffer_add_text(&s->sql, LUN_TEXT("SELECT a.id FROM "));
	lun_pg_add_anchor(s->source->mapping, &s->sql, &s->params, head->bound);
	code = lun_pg_events_run(s, &result, err);
	if (code != LUN_OK)
		return code;
	if (lun_pg_is_null(result, 0, 0))
		head->bound = r->request->after;
	lun_buffer_clear(&head->bound_anchor);
	lun_buffer_add_text(&head->bound_anchor, lun_pg_bytes(result, 0, 0));
	PQclear(result);
	return LUN_OK;
}

static void
learn_from_rows(const struct lun_pg_reading *r)
{
	struct lun_pg_events *s = r->s;

	s->row_bytes = (s->row_bytes + r->bytes / r->rows) / 2 + 1;
	s->took_in_vain |= r->unwanted_bytes > r->bytes / 10;
	s->takes_all = !s->took_in_vain && r->batch->count * 10 >= r->rows * 9;
}

static enum lun_code
read_to_bound(struct lun_pg_reading *r, struct lun_err *err)
{
	struct lun_pg_events *s = r->s;
	const struct lun_pg_mapping *mapping = s->source->mapping;
	enum lun_code code = LUN_OK;

	if (lun_read_is_bounded(r->request) &&
	    lun_position_compare(r->request->upto, s->safe_head.bound) < 0)
		code = lower_bound(r, err);
	r->bound = s->safe_head.bound;
	r->batch->at_head = s->safe_head.at_head;
	if (code == LUN_OK && reads_contiguous(mapping))
		code = lun_pg_order_begin(r, err);
	if (code == LUN_OK && lun_pg_has_pending_writers(mapping))
		code = lun_pg_read_late(r, err);
	if (code != LUN_OK)
		return code;
	if (lun_pg_reading_is_full(r))
		r->batch->at_head = false;
	if (lun_pg_reading_is_full(r) ||
	    lun_position_compare(r->bound, r->request->after) <= 0)
		keep_anchor(s);
	else if (reads_contiguous(mapping))
		code = lun_pg_read_contiguous(r, err);
	else
		code = read_wanted(r, err);
	if (code == LUN_OK && r->rows > 0)
		learn_from_rows(r);
	return code;
}

/* As lun_pg_find_bound(), where only the locks of the writers tell. */
static enum lun_code
find_bound_by_writers(struct lun_pg_reading *r, struct lun_err *err)
{
	struct lun_pg_events *s = r->s;
	struct lun_pg_pending_writers *pending = &s->pending;
	enum lun_code code;

	pending->numbers = lun_buffer_text(&s->numbers);
	code = lun_pg_pending_writers_find(
	    &s->c, s->source->mapping, r->request->after, pending, err);

	if (code != LUN_OK)
		return code;
	s->safe_head.bound = pending->last;
	s->safe_head.at_head = true;
	s->safe_head.has_anchor = pending->has_anchor;
	s->safe_head.has_rival = pending->has_rival;
	s->safe_head.was_set_back = pending->was_set_back;
	s->safe_head.is_foreign = false;
	s->safe_head.is_held = false;
	s->safe_head.took_us = pending->took_us;
	lun_buffer_clear(&s->safe_head.anchor);
	lun_buffer_add_text(
	    &s->safe_head.anchor, lun_buffer_text(&pending->anchor));
	r->now = pending->now;
	code = lun_pg_events_check_catalogue(s, &pending->mark, err);
	if (code != LUN_OK)
		return code;
	lun_pg_pending_writers_advance(&s->state, s->source->mapping, pending);
	return LUN_OK;
}

static enum lun_code
find_head(struct lun_pg_reading *r, struct lun_err *err)
{
	if (lun_pg_has_pending_writers(r->s->source->mapping))
		return find_bound_by_writers(r, err);
	return lun_pg_find_bound(r->s, r->request, err);
}

/* The rows are read whole, and nothing but them has to be asked for. */
static bool
may_know_head(const struct lun_pg_mapping *mapping)
{
	return reads_contiguous(mapping) &&
	       !lun_pg_has_pending_writers(mapping);
}

static enum lun_code
start_reading(struct lun_pg_reading *r, struct lun_err *err)
{
	struct lun_pg_events *s = r->s;
	bool knew_numbers = s->numbers.length > 0;
	bool may_know = may_know_head(s->source->mapping);
	int64_t began;
	enum lun_code code;

	if (!lun_pg_state_decode(&s->state, r->request->source_state))
		return lun_fail(err, LUN_CONFIG,
		    "%s: the checkpoint was not written by a reader of this "
		    "event store: lunette rebuild NAME starts anew",
		    lun_pg_name(&s->c));
	if (!s->state.known && lun_pg_has_pending_writers(s->source->mapping))
		s->state.ceiling = s->state.floor = r->request->after;
	code = lun_pg_pass_choose(r, err);
	if (code != LUN_OK || r->way != LUN_PG_BY_STATEMENT)
		return code;
	if (may_know)
		lun_pg_known_head_recall(r);
	if (r->unasked)
		return LUN_OK;
	began = lun_clock_mono_ns();
	code = find_head(r, err);
	/* The first look of a connection asked no sequence. */
	if (code == LUN_OK && !knew_numbers &&
	    s->source->mapping->layout.is_outbox)
		code = find_head(r, err);
	if (code == LUN_OK)
		code = check_anchor(s, r->request, err);
	if (code == LUN_OK && may_know)
		lun_pg_known_head_keep(r, began);
	return code;
}

/* Without the way to the server, which may be far and costs it nothing. */
static int64_t
cost_of_look(const struct lun_pg_events *s, int64_t passed_ns)
{
	int64_t passed_us = passed_ns / 1000;
	int64_t took_us = s->safe_head.took_us + PLANNING_US;

	return took_us < passed_us ? took_us : passed_us;
}

static enum lun_code
read_once(struct lun_pg_reading *r, struct lun_err *err)
{
	struct lun_pg_events *s = r->s;
	int64_t began, looked;
	enum lun_code code;

	lun_batch_clear(r->batch);
	r->hole.found = r->at_gap = r->has_rivals = r->again = false;
	r->unasked = r->expects_anchor = false;
	r->late.code = LUN_OK;
	r->rows = r->bytes = r->unwanted_bytes = r->scanned = 0;
	began = lun_clock_mono_ns();
	code = start_reading(r, err);
	if (code != LUN_OK)
		return code;
	looked = lun_clock_mono_ns();
	r->batch->reached = r->request->after;
	if (r->waits)
		return LUN_OK;
	code = read_to_bound(r, err);
	r->batch->look_us = cost_of_look(s, looked - began) +
			    (lun_clock_mono_ns() - looked) / 1000;
	if (s->source->mapping->safety == LUN_PG_WINDOW &&
	    lun_position_compare(s->pending.last, s->state.ceiling) > 0)
		r->batch->at_gap = true;
	if (code != LUN_OK || r->expects_anchor)
		return code;
	return lun_pg_order_settle(r, err);
}

static enum lun_code
refuse_late(const struct lun_pg_reading *r, struct lun_err *err)
{
	if (err != NULL)
		*err = r->late;
	return r->late.code;
}

/* Nothing of it counts, what it doubted neither. */
static void
begin_anew(struct lun_pg_reading *r)
{
	lun_pg_doubts_free(&r->doubts);
	r->doubts = (struct lun_pg_doubts){0};
	r->again = true;
}

static enum lun_code
try_reading(struct lun_pg_reading *r, struct lun_err *err)
{
	enum lun_code code = read_once(r, err);
	bool failed = code != LUN_OK && r->s->c.conn != NULL;

	if (r->unasked && (failed || r->expects_anchor)) {
		lun_pg_known_head_forget(r->s);
		begin_anew(r);
		return LUN_OK;
	}
	if (code == LUN_OK)
		return code;
	if (r->way != LUN_PG_BY_STATEMENT) {
		/* It only spares time: what stops it is found without it too. */
		lun_pg_pass_give_up(r->s);
	} else if (failed && r->s->takes_all) {
		/* It may be the payload of a row that nobody wants. */
		r->s->takes_all = false;
		r->s->took_in_vain = true;
	} else {
		return code;
	}
	begin_anew(r);
	return LUN_OK;
}

static enum lun_code
read_batch(struct lun_pg_reading *r, struct lun_err *err)
{
	struct lun_pg_events *s = r->s;
	struct lun_buffer *source_state = &r->batch->source_state;
	enum lun_code code;

	do
		code = try_reading(r, err);
	while (code == LUN_OK && r->again);
	if (code == LUN_OK && r->has_rivals)
		code = refuse_rival(s, r->rivals_at, err);
	if (code == LUN_OK && r->late.code != LUN_OK)
		code = refuse_late(r, err);
	if (code != LUN_OK)
		return code;
	lun_pg_state_trim(&s->state);
	lun_pg_state_encode(&s->state, source_state);
	if (source_state->failed)
		return lun_pg_events_no_memory(s, err);
	if (!r->waits)
		lun_pg_order_end(r, lun_buffer_text(source_state));
	return LUN_OK;
}

/* The oldest watermark has no writers left: its grace time passes by itself. */
static bool
ripens(const struct lun_pg_events *s)
{
	return lun_pg_has_pending_writers(s->source->mapping) &&
	       (s->state.watermark_count == 0 ||
		   s->state.watermarks[0].writers.length == 0);
}

/*
 * The server names no row whose value it cannot convert (a data exception), or
 * whose large object is missing.
 */
static void
say_where(
    struct lun_pg_events *s, struct lun_position after, struct lun_err *err)
{
	char text[LUN_POSITION_MAX];

	if (!lun_pg_failed_with(&s->c, "22") &&
	    !lun_pg_failed_with(&s->c, "42704"))
		return;
	lun_pg_format_position(s->source->mapping, after, text);
	(void)lun_wrap(
	    err, LUN_IO, "an event after position %s cannot be read", text);
}

enum lun_code
lun_pg_events_read(struct lun_event_store *store,
    const struct lun_read *request, struct lun_batch *batch,
    struct lun_err *err)
{
	struct lun_pg_events *s = lun_pg_events_of(store);
	struct lun_pg_reading r = {
	    .s = s,
	    .request = request,
	    .batch = batch,
	    .limit = choose_limit(s, request),
	};
	enum lun_code code;

	r.most = is_filtered(request) ? choose_most(request) : r.limit;
	code = read_batch(&r, err);
	if (code == LUN_IO)
		say_where(s, request->after, err);
	batch->held = batch->at_gap || r.waits ||
		      (batch->at_head && s->safe_head.is_held);
	batch->ripens = batch->held && ripens(s);
	if (code == LUN_OK)
		lun_pg_pass_prepare(&r);
	else
		lun_pg_pass_close(s);
	lun_buffer_free(&r.hole.stream);
	lun_buffer_free(&r.hole.realm);
	lun_pg_doubts_free(&r.doubts);
	return code;
}

/* ---- head and events by id --------------------------------------------- */

enum lun_code
lun_pg_events_head(struct lun_event_store *store, struct lun_position *head,
    struct lun_err *err)
{
	struct lun_pg_events *s = lun_pg_events_of(store);
	enum lun_code code;

	lun_pg_pass_close(s);
	s->safe_head.after = LUN_POSITION_START;
	s->safe_head.most = 0;
	s->safe_head.numbers = LUN_TEXT_NONE;
	code = lun_pg_safe_head_find(
	    &s->c, s->source->mapping, &s->safe_head, err);
	if (code == LUN_OK && s->safe_head.is_foreign)
		code = refuse_foreign(s, err);
	if (code == LUN_OK)
		*head = s->safe_head.last;
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

	lun_pg_pass_close(s);
	lun_buffer_clear(&s->sql);
	lun_pg_start_params(mapping, &s->params);
	lun_buffer_printf(&s->sql, "SELECT %s FROM %s WHERE %s",
	    mapping->keys_read, mapping->from, mapping->scope);
	lun_pg_add_equal(s, LUN_PG_C_ID, mapping->layout.id, id);
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
