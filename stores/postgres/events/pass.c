/*
 * pass.c - a log that no index leads through, read in one sorted pass.
 *
 * Where the server would have to sort the rest of the table for each batch, it
 * sorts it once, for a cursor. Promised: what is read is what statements would
 * give, in the same order and with the same source state, and nobody else is
 * held up.
 *
 * The same rows: the bound was found first, so everything up to it is settled
 * (safe_head.h) and in the later snapshot of the cursor, which has no rows above
 * it. All else that a read asks for (late events, holes, doubts) it asks in
 * statements of their own, which at READ COMMITTED see what is there by now. No
 * row is taken for the first one but the one behind `at`; a reader that has
 * gone back reads up to there by statement. So nothing but the rows themselves
 * is kept here, and a pass that is lost, with its connection or by a kill, is
 * only begun anew behind the last commit.
 *
 * Nobody else: the transaction writes nothing, has no id and so is in no
 * reader's safe head, and locks out no writer. It does hold back VACUUM and
 * whoever wants the table for himself. So it ends when somebody waits for it,
 * after a time in which sorting was well spent, and by the server's hand if the
 * reader says nothing for a minute.
 *
 * The pass only spares time: whatever fails in it is read by statement.
 */

#include "postgres/events/reading.h"

#include <stdlib.h>
#include <xxhash.h>

#include "base/clock.h"

#define NS_PER_S    INT64_C(1000000000)
#define WAIT_MS     200             /* in one read, for the server to sort */
#define LOOK_NS     NS_PER_S        /* between looks at who waits */
#define LEAST_NS    (60 * NS_PER_S) /* a pass may last so long, or ... */
#define TIMES       10              /* ... so many times as long as sorting */
#define PAUSE_NS    (60 * NS_PER_S) /* before the next try */
#define ROWS_MOST   1000            /* in one FETCH */
#define PART        8               /* of a batch, in bytes, likewise */
#define NUMBER_SIZE 24

/* The server ends it where nobody reads on. */
static const char begin_pass[] =
    "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY; "
    "SET LOCAL row_security = off; SET LOCAL cursor_tuple_fraction = 1; "
    "SET LOCAL idle_in_transaction_session_timeout = '60s'";

/* ---- ending it --------------------------------------------------------- */

static void
drop_rows(struct lun_pg_pass *pass)
{
	for (; pass->count > 0; pass->count--)
		PQclear(pass->rows[pass->first++]);
	pass->first = 0;
}

void
lun_pg_pass_close(struct lun_pg_events *s)
{
	struct lun_pg_pass *pass = &s->pass;

	if (!pass->is_open)
		return;
	if (pass->sorts)
		lun_pg_abandon(&s->c);
	lun_pg_rollback(&s->c);
	drop_rows(pass);
	pass->is_open = pass->sorts = false;
}

void
lun_pg_pass_give_up(struct lun_pg_events *s)
{
	struct lun_pg_pass *pass = &s->pass;
	bool was_lost = s->c.conn == NULL;
	bool was_of_use = lun_position_compare(pass->at, pass->from) > 0;

	lun_pg_pass_close(s);
	if (!was_lost || !was_of_use)
		pass->next_ns = lun_clock_mono_ns() + PAUSE_NS;
}

void
lun_pg_pass_free(struct lun_pg_events *s)
{
	lun_pg_pass_close(s);
	lun_buffer_free(&s->pass.at_anchor);
	lun_buffer_free(&s->pass.bound_anchor);
	free(s->pass.rows);
}

/* ---- rows -------------------------------------------------------------- */

static bool
make_room(struct lun_pg_pass *pass, size_t count)
{
	void *rows;

	pass->first = 0;
	if (pass->capacity >= count)
		return true;
	rows = realloc(pass->rows, count * sizeof *pass->rows);
	if (rows == NULL)
		return false;
	pass->rows = rows;
	pass->capacity = count;
	return true;
}

/* Few enough that those which do not fit any more take little room. */
static size_t
choose_count(const struct lun_pg_reading *r, size_t limit)
{
	size_t fit = r->request->max_bytes / PART / r->s->row_bytes + 1;

	if (fit > ROWS_MOST)
		fit = ROWS_MOST;
	return fit < limit ? fit : limit;
}

static enum lun_code
ask_for_rows(struct lun_pg_events *s, size_t count, struct lun_err *err)
{
	char sql[sizeof "FETCH FROM lunette_pass" + NUMBER_SIZE];

	if (!make_room(&s->pass, count))
		return lun_pg_events_no_memory(s, err);
	snprintf(sql, sizeof sql, "FETCH %zu FROM lunette_pass", count);
	s->pass.asked = count;
	return lun_pg_send(&s->c, sql, NULL, err);
}

static enum lun_code
take_rows(struct lun_pg_events *s, struct lun_err *err)
{
	struct lun_pg_pass *pass = &s->pass;
	enum lun_code code = LUN_OK;

	while (code == LUN_OK) {
		PGresult *row;

		code = lun_pg_take_row(&s->c, &row, err);
		if (code == LUN_OK)
			pass->rows[pass->count++] = row;
	}
	pass->ended = pass->count < pass->asked;
	return code == LUN_NOTFOUND ? LUN_OK : code;
}

/* It is the next one again unless it was taken. */
static enum lun_code
show_row(struct lun_pg_reading *r, lun_pg_row_fn *row, struct lun_err *err)
{
	struct lun_pg_pass *pass = &r->s->pass;
	PGresult *first = pass->rows[pass->first];
	size_t taken = r->taken;
	enum lun_code code = row(r, first, err);

	if (r->taken == taken)
		return code;
	PQclear(first);
	pass->first++;
	pass->count--;
	return code;
}

static void
note_place(struct lun_pg_reading *r)
{
	struct lun_pg_pass *pass = &r->s->pass;

	pass->at = r->batch->reached;
	lun_buffer_clear(&pass->at_anchor);
	lun_buffer_add_text(
	    &pass->at_anchor, lun_buffer_text(&r->s->state.anchor));
}

enum lun_code
lun_pg_pass_read(struct lun_pg_reading *r, size_t limit, lun_pg_row_fn *row,
    struct lun_err *err)
{
	struct lun_pg_events *s = r->s;
	struct lun_pg_pass *pass = &s->pass;
	enum lun_code code = LUN_OK;

	r->tenant_column = pass->tenant_column;
	while (code == LUN_OK && r->taken < limit) {
		if (pass->count > 0) {
			code = show_row(r, row, err);
			continue;
		}
		if (pass->ended)
			break;
		code = ask_for_rows(s, choose_count(r, limit - r->taken), err);
		if (code == LUN_OK)
			code = take_rows(s, err);
	}
	if (r->taken > 0)
		note_place(r);
	return code == LUN_AGAIN ? LUN_OK : code;
}

/* ---- going on with it -------------------------------------------------- */

static uint64_t
hash_filter(const struct lun_event_filter *filter)
{
	uint64_t hash = XXH3_64bits_withSeed(
	    filter->stream.bytes, filter->stream.length, filter->type_count);

	for (size_t i = 0; i < filter->type_count; i++)
		hash = XXH3_64bits_withSeed(
		    filter->types[i].bytes, filter->types[i].length, hash);
	return hash;
}

static bool
goes_on(const struct lun_pg_reading *r)
{
	const struct lun_pg_pass *pass = &r->s->pass;
	const struct lun_read *request = r->request;
	int compared = lun_position_compare(request->after, pass->at);

	return request->to_head && !lun_read_is_bounded(request) &&
	       pass->wanted == hash_filter(&request->filter) && compared <= 0 &&
	       (compared == 0 || !pass->sorts) &&
	       lun_position_compare(request->after, pass->from) >= 0;
}

/* For a lock, or for the end of every older snapshot. */
static bool
is_waited_for(struct lun_pg_events *s)
{
	PGresult *result = NULL;
	enum lun_code code = lun_pg_query(&s->c,
	    "SELECT EXISTS (SELECT FROM pg_catalog.pg_locks l "
	    "WHERE NOT l.granted AND pg_catalog.pg_backend_pid() "
	    "= ANY (pg_catalog.pg_blocking_pids(l.pid)))",
	    NULL, &result, NULL);
	bool waited_for = code != LUN_OK || lun_pg_bool(result, 0, 0);

	PQclear(result);
	return waited_for;
}

static bool
has_had_its_time(struct lun_pg_events *s)
{
	struct lun_pg_pass *pass = &s->pass;
	int64_t now = lun_clock_mono_ns();

	if (now >= pass->until_ns)
		return true;
	if (now < pass->look_ns)
		return false;
	pass->look_ns = now + LOOK_NS;
	return is_waited_for(s);
}

/* LUN_AGAIN: the server has not sorted yet. */
static enum lun_code
await_rows(struct lun_pg_events *s, struct lun_err *err)
{
	struct lun_pg_pass *pass = &s->pass;
	enum lun_code code = lun_pg_answers(&s->c, WAIT_MS, err);
	int64_t now = lun_clock_mono_ns();
	int64_t time = (now - pass->began_ns) * TIMES;

	if (code == LUN_AGAIN)
		return code;
	pass->sorts = false;
	pass->look_ns = now + LOOK_NS;
	pass->until_ns = now + (time > LEAST_NS ? time : LEAST_NS);
	return code == LUN_OK ? take_rows(s, err) : code;
}

/* What a statement would have found at the head. */
static void
recall(struct lun_pg_reading *r)
{
	struct lun_pg_safe_head *head = &r->s->safe_head;
	const struct lun_pg_pass *pass = &r->s->pass;
	bool behind = r->way == LUN_PG_BEHIND_PASS;

	head->bound = behind ? pass->at : pass->bound;
	lun_buffer_clear(&head->bound_anchor);
	lun_buffer_add_text(&head->bound_anchor,
	    lun_buffer_text(behind ? &pass->at_anchor : &pass->bound_anchor));
	head->at_head = head->has_anchor = head->is_held = false;
	r->now = pass->now + (lun_clock_mono_ns() - pass->began_ns) / 1000;
}

enum lun_code
lun_pg_pass_choose(struct lun_pg_reading *r, struct lun_err *err)
{
	struct lun_pg_events *s = r->s;
	struct lun_pg_pass *pass = &s->pass;
	enum lun_code code = LUN_OK;

	r->way = LUN_PG_BY_STATEMENT;
	r->waits = false;
	if (!pass->is_open)
		return LUN_OK;
	if (!goes_on(r) || (!pass->sorts && has_had_its_time(s))) {
		lun_pg_pass_close(s);
		return LUN_OK;
	}
	r->way = lun_position_compare(r->request->after, pass->at) == 0
		     ? LUN_PG_BY_PASS
		     : LUN_PG_BEHIND_PASS;
	if (pass->sorts)
		code = await_rows(s, err);
	r->waits = code == LUN_AGAIN;
	recall(r);
	return r->waits ? LUN_OK : code;
}

void
lun_pg_pass_describe(const struct lun_pg_events *s, struct lun_buffer *words)
{
	lun_buffer_printf(words,
	    "the server, which sorts \"%s\" to read it in one pass: no index "
	    "leads through it in order (lunette layouts --sql prints one)",
	    s->source->mapping->table);
}

/* ---- beginning one ----------------------------------------------------- */

/* Of a plan as JSON, from the top: what is sorted is more than a part of it. */
static bool
is_sorted_whole(const char *plan)
{
	const char *sort = strstr(plan, "\"Node Type\": \"Sort\"");
	const char *scan = strstr(plan, " Scan\"");

	return sort != NULL && (scan == NULL || sort < scan);
}

/* Run what stands in s->sql with this before it. */
static enum lun_code
run_after(struct lun_pg_events *s, const char *words, PGresult **out,
    struct lun_err *err)
{
	struct lun_buffer sql = {0};
	enum lun_code code;

	lun_buffer_printf(&sql, "%s ", words);
	lun_buffer_add_text(&sql, lun_buffer_text(&s->sql));
	lun_buffer_add_byte(&sql, '\0');
	if (sql.failed)
		code = lun_pg_events_no_memory(s, err);
	else
		code = lun_pg_query(&s->c, sql.bytes, &s->params, out, err);
	lun_buffer_free(&sql);
	return code;
}

/* Whether the server would sort all that is left for the next batch. */
static bool
would_sort(struct lun_pg_reading *r)
{
	struct lun_pg_events *s = r->s;
	PGresult *plan = NULL;
	bool sorts = false;

	if (lun_pg_begin_ordered(r, r->batch->reached, NULL) != LUN_OK)
		return false;
	lun_buffer_printf(&s->sql, " LIMIT $%zu", s->params.count + 1);
	lun_pg_add_int8(&s->params, (int64_t)r->limit);
	if (run_after(s, "EXPLAIN (FORMAT JSON)", &plan, NULL) == LUN_OK)
		sorts = is_sorted_whole(PQgetvalue(plan, 0, 0));
	PQclear(plan);
	return sorts;
}

static void
lower_to(struct lun_position *bound, struct lun_position position)
{
	if (lun_position_compare(position, *bound) < 0)
		*bound = position;
}

/*
 * A filter asks for a nearer bound than the head. What may come late is looked
 * for while the window lasts, and a pass can last longer: it ends before that.
 */
static bool
find_last_bound(struct lun_pg_reading *r)
{
	struct lun_pg_events *s = r->s;
	const struct lun_read all = {.after = r->batch->reached};

	if (!s->safe_head.at_head && lun_pg_find_bound(s, &all, NULL) != LUN_OK)
		return false;
	r->bound = s->safe_head.bound;
	if (s->source->mapping->safety == LUN_PG_WINDOW) {
		lower_to(&r->bound, s->state.ceiling);
		lower_to(&r->bound, lun_pg_window_start(r));
	}
	return lun_position_compare(r->bound, r->batch->reached) > 0;
}

static enum lun_code
open_cursor(struct lun_pg_reading *r, struct lun_err *err)
{
	struct lun_pg_events *s = r->s;
	enum lun_code code;

	s->takes_all = false; /* of all that is left nobody knows that */
	s->pass.is_open = s->c.in_transaction = true;
	code = lun_pg_exec(&s->c, begin_pass, err);
	if (code == LUN_OK)
		code = lun_pg_begin_ordered(r, r->batch->reached, err);
	if (code == LUN_OK)
		code = run_after(
		    s, "DECLARE lunette_pass NO SCROLL CURSOR FOR", NULL, err);
	if (code == LUN_OK)
		code = ask_for_rows(s, choose_count(r, ROWS_MOST), err);
	s->pass.sorts = code == LUN_OK;
	return code;
}

static void
begin(struct lun_pg_reading *r)
{
	struct lun_pg_events *s = r->s;
	struct lun_pg_pass *pass = &s->pass;

	if (!find_last_bound(r) || !would_sort(r)) {
		pass->next_ns = lun_clock_mono_ns() + PAUSE_NS;
		return;
	}
	pass->began_ns = lun_clock_mono_ns();
	pass->now = r->now;
	pass->wanted = hash_filter(&r->request->filter);
	pass->from = r->batch->reached;
	pass->bound = r->bound;
	lun_buffer_clear(&pass->bound_anchor);
	lun_buffer_add_text(
	    &pass->bound_anchor, lun_buffer_text(&s->safe_head.bound_anchor));
	note_place(r);
	pass->ended = false;
	if (open_cursor(r, NULL) != LUN_OK || pass->bound_anchor.failed)
		lun_pg_pass_give_up(s);
	pass->tenant_column = r->tenant_column;
}

/* A batch was filled, and there is more. */
static bool
has_more_to_read(const struct lun_pg_reading *r)
{
	return r->request->to_head && !lun_read_is_bounded(r->request) &&
	       !r->batch->at_head && !r->at_gap &&
	       lun_position_compare(r->batch->reached, r->request->after) > 0;
}

/* What the way went to is gone, or reading stops before it. */
static bool
has_lost_its_place(const struct lun_pg_reading *r)
{
	return r->at_gap ||
	       (r->ended && !lun_pg_reading_is_full(r) &&
		   lun_position_compare(r->batch->reached, r->s->pass.at) < 0);
}

static bool
is_over(const struct lun_pg_reading *r)
{
	const struct lun_pg_pass *pass = &r->s->pass;

	if (r->waits)
		return false;
	if (r->way == LUN_PG_BEHIND_PASS)
		return has_lost_its_place(r);
	return r->at_gap || (pass->ended && pass->count == 0) ||
	       lun_position_compare(r->batch->reached, pass->bound) >= 0;
}

void
lun_pg_pass_prepare(struct lun_pg_reading *r)
{
	struct lun_pg_pass *pass = &r->s->pass;

	if (!pass->is_open) {
		if (has_more_to_read(r) && lun_clock_mono_ns() >= pass->next_ns)
			begin(r);
	} else if (is_over(r)) {
		lun_pg_pass_close(r->s);
	}
}
