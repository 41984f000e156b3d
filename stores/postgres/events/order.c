/*
 * order.c - the versions of a stream in their order, whatever that of the log.
 *
 * Promised: when a row is given out or passed, every lower version of its
 * stream was before. So what was given out of a stream is its beginning, up to
 * a last version, and one look at a row tells: it is the next one, or some are
 * missing before it, which read_contiguous.c then fetches and gives out first.
 *
 * Rests on: whoever writes a version has seen the one before, so where a row
 * can be seen, the lower ones of its stream can. Wanted or not, every row is
 * looked at: behind an unwanted one a wanted one may be missing.
 *
 * The last versions are remembered (versions.h) from one read to the next, if
 * that goes on from the same position and source state. A row of a stream that
 * is not remembered is a doubt, unless its version is the first one. It is
 * taken for the next one for now; before the batch is handed out one statement
 * for all doubts asks whether the version before was given out: it is if it
 * stands before the row in the order of reading, and was not passed over there.
 * If it was not, the read is done anew with what was found out. The lowest
 * version that is there begins its stream: stores cut off old events.
 */

#include "postgres/events/reading.h"

#include <stdlib.h>
#include <xxhash.h>

#define LOOKED_UP 1000 /* doubts a statement: few, so that it uses an index */
#define LOOKED_AT 100  /* rows a statement on the way down a stream */

/* ---- what is remembered ------------------------------------------------ */

static uint64_t
hash_state(struct lun_text state)
{
	return XXH3_64bits(state.bytes, state.length);
}

static struct lun_pg_stream
doubted_stream(
    const struct lun_pg_doubts *doubts, const struct lun_pg_doubt *doubt)
{
	const char *realm = doubts->texts.bytes + doubt->at;

	return (struct lun_pg_stream){
	    {realm, doubt->realm_length},
	    {realm + doubt->realm_length, doubt->name_length},
	};
}

/*
 * The read is done anew: start from what it is known to have started from. None
 * of these streams may be a doubt again, or there would be no end.
 */
static enum lun_code
recall_doubts(struct lun_pg_reading *r, struct lun_err *err)
{
	lun_pg_versions_clear(r->s->versions);
	for (size_t i = 0; i < r->doubts.count; i++)
		if (!lun_pg_versions_set(r->s->versions,
			lun_pg_stream_key(
			    doubted_stream(&r->doubts, &r->doubts.items[i])),
			r->doubts.items[i].last))
			return lun_pg_events_no_memory(r->s, err);
	return LUN_OK;
}

static bool
remembers(const struct lun_pg_events *s, const struct lun_read *request)
{
	return s->versions_known &&
	       lun_position_compare(s->versions_at, request->after) == 0 &&
	       s->versions_state == hash_state(request->source_state) &&
	       lun_text_equal(
		   lun_buffer_text(&s->versions_of), request->filter.stream);
}

enum lun_code
lun_pg_order_begin(struct lun_pg_reading *r, struct lun_err *err)
{
	struct lun_pg_events *s = r->s;
	bool known = remembers(s, r->request);

	s->versions_known = false;
	if (s->versions == NULL)
		s->versions = lun_pg_versions_new();
	if (s->versions == NULL)
		return lun_pg_events_no_memory(s, err);
	if (r->doubts.count > 0)
		return recall_doubts(r, err);
	if (!known || lun_pg_versions_is_full(s->versions))
		lun_pg_versions_clear(s->versions);
	return LUN_OK;
}

void
lun_pg_order_end(struct lun_pg_reading *r, struct lun_text source_state)
{
	struct lun_pg_events *s = r->s;

	lun_buffer_clear(&s->versions_of);
	lun_buffer_add_text(&s->versions_of, r->request->filter.stream);
	s->versions_at = r->batch->reached;
	s->versions_state = hash_state(source_state);
	s->versions_known = !s->versions_of.failed;
}

/* ---- one row ----------------------------------------------------------- */

static void
add_doubt(
    struct lun_pg_reading *r, struct lun_pg_stream stream, int64_t version)
{
	struct lun_pg_doubts *doubts = &r->doubts;

	if (doubts->count == doubts->capacity) {
		size_t capacity = doubts->capacity * 2 + 64;
		void *items =
		    realloc(doubts->items, capacity * sizeof *doubts->items);

		if (items == NULL) {
			doubts->texts.failed = true;
			return;
		}
		doubts->items = items;
		doubts->capacity = capacity;
	}
	doubts->items[doubts->count++] = (struct lun_pg_doubt){
	    .at = doubts->texts.length,
	    .realm_length = stream.realm.length,
	    .name_length = stream.name.length,
	    .version = version,
	    .reached = r->batch->reached,
	};
	lun_buffer_add_text(&doubts->texts, stream.realm);
	lun_buffer_add_text(&doubts->texts, stream.name);
}

/* Made once for a row. */
static struct lun_pg_stream_key
key_of(const struct lun_pg_reading *r, const PGresult *row,
    struct lun_pg_event *read)
{
	if (!read->has_key)
		read->key = lun_pg_stream_key(lun_pg_row_stream(r, row, read));
	read->has_key = true;
	return read->key;
}

bool
lun_pg_order_fits(
    struct lun_pg_reading *r, const PGresult *row, struct lun_pg_event *read)
{
	int64_t version = read->event.version;
	struct lun_pg_hole *hole = &r->hole;
	struct lun_pg_stream stream;
	int64_t last;

	if (!read->counted || version == r->s->source->mapping->first_version)
		return true;
	if (!lun_pg_versions_get(r->s->versions, key_of(r, row, read), &last)) {
		add_doubt(r, lun_pg_row_stream(r, row, read), version);
		return true;
	}
	if (version <= last + 1)
		return true;
	stream = lun_pg_row_stream(r, row, read);
	lun_buffer_clear(&hole->stream);
	lun_buffer_add_text(&hole->stream, stream.name);
	lun_buffer_clear(&hole->realm);
	lun_buffer_add_text(&hole->realm, stream.realm);
	hole->from = last + 1;
	hole->to = version - 1;
	hole->found = true;
	return false;
}

/* A stream that begins again was deleted and made anew. */
void
lun_pg_order_pass(
    struct lun_pg_reading *r, const PGresult *row, struct lun_pg_event *read)
{
	struct lun_pg_versions *versions = r->s->versions;
	int64_t version = read->event.version;

	if (!read->counted)
		return;
	if (version == r->s->source->mapping->first_version)
		(void)lun_pg_versions_set(
		    versions, key_of(r, row, read), version);
	else
		(void)lun_pg_versions_raise(
		    versions, key_of(r, row, read), version);
}

/* ---- doubts ------------------------------------------------------------ */

/* A row at this position was given out or passed before the doubted one. */
static bool
was_before(const struct lun_pg_reading *r, const struct lun_pg_doubt *doubt,
    struct lun_position position)
{
	const struct lun_pg_state *state = &r->s->state;

	if (lun_position_compare(position, doubt->reached) > 0)
		return lun_pg_positions_has(&state->delivered_early, position);
	switch (r->s->source->mapping->safety) {
	case LUN_PG_GAPS:
		return !lun_pg_state_lists_skip(state, position.lo);
	case LUN_PG_WINDOW:
		return lun_position_compare(position, state->floor) <= 0 ||
		       lun_pg_positions_has(&state->delivered, position);
	default:
		return true;
	}
}

/* The doubts from `first` on that are left, as arrays; past the last one. */
static size_t
add_arrays(struct lun_pg_reading *r, size_t first)
{
	struct lun_pg_doubts *doubts = &r->doubts;
	struct lun_pg_params *params = &r->s->params;
	size_t count = 0, end = first;

	for (; end < doubts->count && count < LOOKED_UP; end++)
		count += !doubts->items[end].settled;
	for (int column = 0; column < 4; column++) {
		lun_pg_begin_array(params,
		    column < 2 ? LUN_PG_TEXT_ARRAY : LUN_PG_INT8_ARRAY, count);
		for (size_t i = first; i < end; i++) {
			const struct lun_pg_doubt *doubt = &doubts->items[i];

			if (doubt->settled)
				continue;
			if (column == 0)
				lun_pg_element_text(
				    params, doubted_stream(doubts, doubt).name);
			else if (column == 1)
				lun_pg_element_text(params,
				    doubted_stream(doubts, doubt).realm);
			else
				lun_pg_element_int8(params,
				    column == 2 ? doubt->version : (int64_t)i);
		}
		lun_pg_end_array(params);
	}
	return end;
}

/* As a relation doubt: those that are looked up, n being their index. */
static size_t
add_doubts(struct lun_pg_reading *r, size_t first)
{
	struct lun_pg_events *s = r->s;
	size_t n = s->params.count + 1;
	bool uuid = s->source->mapping->types[LUN_PG_C_STREAM] == LUN_PG_UUID;

	lun_buffer_printf(&s->sql,
	    "ROWS FROM (pg_catalog.unnest($%zu::text[]%s), "
	    "pg_catalog.unnest($%zu::text[]), pg_catalog.unnest($%zu::int8[]), "
	    "pg_catalog.unnest($%zu::int8[])) doubt(stream, realm, version, n)",
	    n, uuid ? "::uuid[]" : "", n + 1, n + 2, n + 3);
	return add_arrays(r, first);
}

/* As the column itself compares, so that its index is of use. */
static void
add_same_in_index(struct lun_pg_reading *r)
{
	struct lun_pg_events *s = r->s;
	const struct lun_pg_mapping *m = s->source->mapping;
	Oid type = m->types[LUN_PG_C_STREAM];
	const char *stream = m->layout.indexed_stream != NULL
				 ? m->layout.indexed_stream
				 : m->layout.stream;

	if (type == LUN_PG_TEXT || type == LUN_PG_VARCHAR)
		lun_buffer_printf(
		    &s->sql, "(%s)::text = doubt.stream AND ", stream);
	else if (type == LUN_PG_BPCHAR)
		lun_buffer_printf(
		    &s->sql, "%s = doubt.stream::bpchar AND ", stream);
	if (m->layout.realm != NULL)
		lun_buffer_printf(
		    &s->sql, "(%s)::text = doubt.realm AND ", m->layout.realm);
}

/* The row is one of the stream, byte by byte. */
static void
add_same_stream(struct lun_pg_reading *r)
{
	struct lun_pg_events *s = r->s;
	const struct lun_pg_mapping *m = s->source->mapping;

	if (m->types[LUN_PG_C_STREAM] == LUN_PG_UUID)
		lun_buffer_printf(
		    &s->sql, "%s = doubt.stream", m->layout.stream);
	else
		lun_buffer_printf(&s->sql,
		    "(%s)::text COLLATE pg_catalog.\"C\" = doubt.stream",
		    m->expressions[LUN_PG_C_STREAM]);
	if (m->layout.realm != NULL)
		lun_buffer_printf(&s->sql,
		    " AND coalesce((%s)::text COLLATE pg_catalog.\"C\", '') "
		    "= doubt.realm",
		    m->layout.realm);
}

static struct lun_pg_doubt *
doubt_of(struct lun_pg_reading *r, const PGresult *row)
{
	return &r->doubts.items[lun_pg_int8(row, 0, 0)];
}

static enum lun_code
judge_predecessor(void *arg, const PGresult *row, struct lun_err *err)
{
	struct lun_pg_reading *r = arg;
	struct lun_pg_doubt *doubt = doubt_of(r, row);
	struct lun_position position =
	    lun_pg_keys_position(r->s->source->mapping, row, 1);

	(void)err;
	if (was_before(r, doubt, position)) {
		doubt->settled = true;
		doubt->last = doubt->version - 1;
	}
	return LUN_OK;
}

/* Where was the version before given out? */
static size_t
add_predecessors(struct lun_pg_reading *r, size_t first)
{
	struct lun_pg_events *s = r->s;
	const struct lun_pg_mapping *m = s->source->mapping;
	size_t end;

	lun_buffer_printf(&s->sql, "SELECT doubt.n, %s FROM %s CROSS JOIN ",
	    m->keys_read, m->from);
	end = add_doubts(r, first);
	lun_buffer_printf(&s->sql, " WHERE %s AND ", m->scope);
	add_same_in_index(r);
	add_same_stream(r);
	lun_buffer_printf(&s->sql, " AND %s = doubt.version - 1", m->version);
	return end;
}

static enum lun_code
note_lower(void *arg, const PGresult *row, struct lun_err *err)
{
	(void)err;
	doubt_of(arg, row)->has_lower = true;
	return LUN_OK;
}

/* Is there any lower version at all? */
static size_t
add_lower(struct lun_pg_reading *r, size_t first)
{
	struct lun_pg_events *s = r->s;
	const struct lun_pg_mapping *m = s->source->mapping;
	size_t end;

	lun_buffer_add_text(&s->sql, LUN_TEXT("SELECT doubt.n FROM "));
	end = add_doubts(r, first);
	lun_buffer_printf(&s->sql,
	    " WHERE EXISTS (SELECT FROM %s WHERE %s AND ", m->from, m->scope);
	add_same_stream(r);
	lun_buffer_printf(&s->sql, " AND %s < doubt.version AND %s >= $%zu)",
	    m->version, m->version, s->params.count + 1);
	lun_pg_add_int8(&s->params, m->first_version);
	return end;
}

/* Ask about all doubts that are left. */
static enum lun_code
look_up(struct lun_pg_reading *r,
    size_t (*add_statement)(struct lun_pg_reading *r, size_t first),
    lun_pg_row_fn *row, struct lun_err *err)
{
	struct lun_pg_events *s = r->s;
	enum lun_code code = LUN_OK;

	for (size_t i = 0; i < r->doubts.count && code == LUN_OK;) {
		if (r->doubts.items[i].settled) {
			i++;
			continue;
		}
		lun_buffer_clear(&s->sql);
		lun_pg_start_params(s->source->mapping, &s->params);
		i = add_statement(r, i);
		code = lun_pg_read_rows(s, row, r, err);
	}
	return code;
}

/* ---- on the way down a stream ------------------------------------------ */

struct descent {
	struct lun_pg_reading *r;
	struct lun_pg_doubt *doubt;
	int64_t lowest;
	int rows;
	bool found;
};

static enum lun_code
look_at_lower(void *arg, const PGresult *row, struct lun_err *err)
{
	struct descent *d = arg;
	const struct lun_pg_mapping *m = d->r->s->source->mapping;

	(void)err;
	d->rows++;
	d->lowest = lun_pg_int8(row, 0, 0);
	if (!was_before(d->r, d->doubt, lun_pg_keys_position(m, row, 1)))
		return LUN_OK;
	d->doubt->last = d->lowest;
	d->found = true;
	return LUN_AGAIN;
}

static void
add_descent(struct descent *d)
{
	struct lun_pg_events *s = d->r->s;
	const struct lun_pg_mapping *m = s->source->mapping;
	struct lun_pg_stream stream = doubted_stream(&d->r->doubts, d->doubt);

	lun_buffer_clear(&s->sql);
	lun_pg_start_params(m, &s->params);
	lun_buffer_printf(&s->sql, "SELECT (%s)::int8, %s FROM %s WHERE %s",
	    m->version, m->keys_read, m->from, m->scope);
	lun_pg_add_stream(s, stream);
	lun_buffer_printf(&s->sql,
	    " AND %s < $%zu AND %s >= $%zu ORDER BY %s DESC LIMIT %d",
	    m->version, s->params.count + 1, m->version, s->params.count + 2,
	    m->version, LOOKED_AT);
	lun_pg_add_int8(&s->params, d->lowest);
	lun_pg_add_int8(&s->params, m->first_version);
}

/* The last version of this stream that was given out before its doubt. */
static enum lun_code
find_last(
    struct lun_pg_reading *r, struct lun_pg_doubt *doubt, struct lun_err *err)
{
	struct descent d = {.r = r, .doubt = doubt, .lowest = doubt->version};
	struct lun_pg_events *s = r->s;
	enum lun_code code;

	do {
		d.rows = 0;
		add_descent(&d);
		code = lun_pg_read_rows(s, look_at_lower, &d, err);
	} while (code == LUN_OK && !d.found && d.rows == LOOKED_AT);
	if (!d.found)
		doubt->last = d.lowest - 1;
	doubt->settled = true;
	if (doubt->last != doubt->version - 1)
		r->again = true;
	return code;
}

/* What is left begins its stream, or comes too early. */
static enum lun_code
settle_rest(struct lun_pg_reading *r, struct lun_err *err)
{
	enum lun_code code = LUN_OK;

	for (size_t i = 0; i < r->doubts.count && code == LUN_OK; i++) {
		struct lun_pg_doubt *doubt = &r->doubts.items[i];

		if (doubt->settled)
			continue;
		if (doubt->has_lower) {
			code = find_last(r, doubt, err);
		} else {
			doubt->settled = true;
			doubt->last = doubt->version - 1;
		}
	}
	return code;
}

enum lun_code
lun_pg_order_settle(struct lun_pg_reading *r, struct lun_err *err)
{
	enum lun_code code;

	r->again = false;
	if (r->doubts.texts.failed)
		return lun_pg_events_no_memory(r->s, err);
	code = look_up(r, add_predecessors, judge_predecessor, err);
	if (code == LUN_OK)
		code = look_up(r, add_lower, note_lower, err);
	return code == LUN_OK ? settle_rest(r, err) : code;
}

void
lun_pg_doubts_free(struct lun_pg_doubts *doubts)
{
	free(doubts->items);
	lun_buffer_free(&doubts->texts);
}
