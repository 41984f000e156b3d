/* pending_writers.c - proof that nothing can appear any more below a position. */

#include "postgres/events/pending_writers.h"

#include "base/error.h"
#include "sql/names.h"

#define SPACING_US 20000 /* between marks */

/* For numbers that sessions keep in stock. */
#define STOCK_GRACE_US  10000000
#define STOCK_WINDOW_US 60000000

/* A prepared transaction has another name than when it began. */
#define PREPARED LUN_TEXT("prepared")

struct lun_position
lun_pg_time_position(int64_t us)
{
	return (struct lun_position){
	    us > 0 ? (uint64_t)(us / 1000) << 16 : 0, 0};
}

/* ---- sequences --------------------------------------------------------- */

static const char ask_sequences[] =
    "SELECT EXISTS (SELECT FROM pg_catalog.pg_depend d "
    "JOIN pg_catalog.pg_sequence s ON s.seqrelid = d.objid "
    "WHERE d.classid = 'pg_class'::regclass AND d.refobjid = t.oid "
    "AND s.seqcache > 1) "
    "OR EXISTS (SELECT FROM pg_catalog.pg_attrdef a "
    "JOIN pg_catalog.pg_depend d ON d.objid = a.oid "
    "JOIN pg_catalog.pg_sequence s ON s.seqrelid = d.refobjid "
    "WHERE d.classid = 'pg_attrdef'::regclass AND a.adrelid = t.oid "
    "AND s.seqcache > 1), "
    "EXISTS (SELECT FROM pg_catalog.pg_class s WHERE s.relkind = 'S' "
    "AND s.relnamespace = t.relnamespace AND s.relname LIKE $2) "
    "FROM pg_catalog.pg_class t WHERE t.oid = $1::text::regclass";

static void
add_relation(const struct lun_pg_mapping *mapping, struct lun_buffer *relation)
{
	lun_sql_quote(relation, mapping->schema);
	lun_buffer_add_byte(relation, '.');
	lun_sql_quote(relation, mapping->table);
}

static enum lun_code
take_sequences(struct lun_pg *c, struct lun_pg_mapping *mapping,
    const PGresult *row, struct lun_err *err)
{
	if (lun_pg_bool(row, 0, 1))
		return lun_fail(err, LUN_CONFIG,
		    "%s: each tenant has a sequence of its own, so the events "
		    "have no common order: they cannot be read as one log",
		    lun_pg_name(c));
	if (!lun_pg_bool(row, 0, 0) || mapping->grace_us > 0 ||
	    lun_pg_url_value(c->url, "grace_ms") != NULL)
		return LUN_OK;
	mapping->grace_us = STOCK_GRACE_US;
	if (mapping->window_us == 0)
		mapping->window_us = STOCK_WINDOW_US;
	return LUN_OK;
}

enum lun_code
lun_pg_marks_prepare(
    struct lun_pg *c, struct lun_pg_mapping *mapping, struct lun_err *err)
{
	struct lun_buffer relation = {0};
	struct lun_pg_params params = {0};
	PGresult *result = NULL;
	enum lun_code code;

	if (mapping->safety != LUN_PG_GAPS)
		return LUN_OK;
	add_relation(mapping, &relation);
	lun_pg_add_text(&params, LUN_PG_TEXT, lun_buffer_text(&relation));
	lun_pg_add_text(
	    &params, LUN_PG_TEXT, lun_text_of(mapping->layout.rivals));
	if (relation.failed)
		code = lun_fail(
		    err, LUN_NOMEM, "%s: out of memory", lun_pg_name(c));
	else
		code = lun_pg_query(c, ask_sequences, &params, &result, err);
	if (code == LUN_OK)
		code = take_sequences(c, mapping, result, err);
	PQclear(result);
	lun_pg_params_free(&params);
	lun_buffer_free(&relation);
	return code;
}

/* ---- the look ---------------------------------------------------------- */

/*
 * The time comes first, then the snapshot, then the locks: who is late for one
 * is seen by the next. Who holds the table, a part of it, or a sequence its
 * numbers may come from: one it names as a default, or any in the same schema.
 */
static void
add_holders(
    const struct lun_pg_mapping *mapping, struct lun_buffer *sql, size_t n)
{
	lun_buffer_printf(sql,
	    "(SELECT string_agg(DISTINCT CASE WHEN l.pid IS NULL "
	    "THEN 'prepared' ELSE l.virtualtransaction END, ',') "
	    "FROM pg_catalog.pg_locks l, pg_catalog.pg_class t "
	    "WHERE t.oid = $%zu::text::regclass "
	    "AND l.locktype = 'relation' AND l.mode = 'RowExclusiveLock' "
	    "AND l.database = (SELECT oid FROM pg_catalog.pg_database "
	    "WHERE datname = pg_catalog.current_database()) "
	    "AND (l.relation = t.oid OR l.relation IN "
	    "(SELECT relid FROM pg_catalog.pg_partition_tree(t.oid))",
	    n);
	if (mapping->key == LUN_PG_UUID_KEY)
		lun_buffer_add_text(sql, LUN_TEXT("))"));
	else
		lun_buffer_add_text(sql,
		    LUN_TEXT(" OR l.relation IN (SELECT s.oid FROM "
			     "pg_catalog.pg_class s "
			     "WHERE s.relkind = 'S' AND s.relnamespace = "
			     "t.relnamespace) "
			     "OR l.relation IN (SELECT d.refobjid FROM "
			     "pg_catalog.pg_depend d "
			     "JOIN pg_catalog.pg_attrdef a ON a.oid = d.objid "
			     "WHERE d.classid = 'pg_attrdef'::regclass "
			     "AND d.refclassid = 'pg_class'::regclass "
			     "AND a.adrelid = t.oid)))"));
}

static void
add_statement(const struct lun_pg_mapping *mapping, struct lun_position after,
    const struct lun_buffer *relation, struct lun_buffer *sql,
    struct lun_pg_params *params)
{
	lun_pg_start_params(mapping, params);
	lun_buffer_printf(sql,
	    "SELECT b.*, (SELECT (%s)::text FROM %s WHERE "
	    "%s AND ",
	    mapping->layout.id, mapping->from, mapping->scope);
	lun_pg_compare(mapping, sql, "=", params, after);
	lun_buffer_printf(sql,
	    " LIMIT 1), pg_catalog.pg_is_in_recovery(), "
	    "(extract(epoch FROM pg_catalog.statement_timestamp()) * 1000000)"
	    "::int8, ");
	add_holders(mapping, sql, params->count + 1);
	lun_pg_add_text(params, LUN_PG_TEXT, lun_buffer_text(relation));
	lun_buffer_printf(sql,
	    " FROM (VALUES (1)) v LEFT JOIN (SELECT %s FROM %s WHERE %s "
	    "ORDER BY %s LIMIT 1) b ON true",
	    mapping->keys, mapping->from, mapping->scope, mapping->keys_down);
	lun_buffer_add_byte(sql, '\0');
}

/* Ids that hold no time would be taken for such of far off years. */
static enum lun_code
refuse_id(struct lun_pg *c, const struct lun_pg_mapping *mapping,
    struct lun_position position, struct lun_err *err)
{
	char text[LUN_POSITION_MAX];

	lun_pg_format_position(mapping, position, text);
	return lun_fail(err, LUN_CONFIG,
	    "%s: the event %s has an id that is no UUID of version 7, so "
	    "there is no order to read in",
	    lun_pg_name(c), text);
}

static enum lun_code
take_answer(struct lun_pg *c, const struct lun_pg_mapping *mapping,
    const PGresult *row, struct lun_pg_sight *sight, struct lun_err *err)
{
	int next = lun_pg_key_columns(mapping);

	if (lun_pg_bool(row, 0, next + 1))
		return lun_fail(err, LUN_CONFIG,
		    "%s is a standby: the locks of the writers, which tell "
		    "how far it is safe to read this layout, can only be seen "
		    "on the primary",
		    lun_pg_name(c));
	sight->last = lun_pg_is_null(row, 0, 0)
			  ? LUN_POSITION_START
			  : lun_pg_keys_position(mapping, row, 0);
	if (mapping->key == LUN_PG_UUID_KEY && !lun_pg_is_null(row, 0, 0) &&
	    (sight->last.hi >> 12 & 0xf) != 7)
		return refuse_id(c, mapping, sight->last, err);
	sight->has_anchor = !lun_pg_is_null(row, 0, next);
	lun_buffer_clear(&sight->anchor);
	lun_buffer_add_text(&sight->anchor, lun_pg_bytes(row, 0, next));
	sight->now = lun_pg_int8(row, 0, next + 2);
	lun_buffer_clear(&sight->holders);
	lun_buffer_add_text(&sight->holders, lun_pg_bytes(row, 0, next + 3));
	if (sight->anchor.failed || sight->holders.failed)
		return lun_fail(
		    err, LUN_NOMEM, "%s: out of memory", lun_pg_name(c));
	return LUN_OK;
}

enum lun_code
lun_pg_sight_take(struct lun_pg *c, const struct lun_pg_mapping *mapping,
    struct lun_position after, struct lun_pg_sight *sight, struct lun_err *err)
{
	struct lun_buffer sql = {0}, relation = {0};
	struct lun_pg_params params = {0};
	PGresult *result = NULL;
	enum lun_code code;

	add_relation(mapping, &relation);
	add_statement(mapping, after, &relation, &sql, &params);
	if (sql.failed || relation.failed)
		code = lun_fail(
		    err, LUN_NOMEM, "%s: out of memory", lun_pg_name(c));
	else
		code = lun_pg_query(c, sql.bytes, &params, &result, err);
	if (code == LUN_OK)
		code = take_answer(c, mapping, result, sight, err);
	PQclear(result);
	lun_buffer_free(&sql);
	lun_buffer_free(&relation);
	lun_pg_params_free(&params);
	return code;
}

void
lun_pg_sight_free(struct lun_pg_sight *sight)
{
	lun_buffer_free(&sight->anchor);
	lun_buffer_free(&sight->holders);
}

/* ---- marks ------------------------------------------------------------- */

/* The part up to the next comma, which is taken off the rest. */
static bool
next_holder(struct lun_text *rest, struct lun_text *holder)
{
	const char *comma;

	if (rest->length == 0)
		return false;
	comma = memchr(rest->bytes, ',', rest->length);
	*holder = *rest;
	if (comma == NULL) {
		*rest = LUN_TEXT_NONE;
		return true;
	}
	holder->length = (size_t)(comma - rest->bytes);
	rest->bytes += holder->length + 1;
	rest->length -= holder->length + 1;
	return true;
}

static bool
is_among(struct lun_text holders, struct lun_text wanted)
{
	struct lun_text holder;

	while (next_holder(&holders, &holder))
		if (lun_text_equal(holder, wanted))
			return true;
	return false;
}

/* Those of a mark that are still there, or may be under another name. */
static void
keep_present(struct lun_pg_mark *mark, struct lun_text present)
{
	struct lun_text rest = lun_buffer_text(&mark->holders), holder;
	struct lun_buffer kept = {0};
	bool waits = rest.length > 0;

	while (next_holder(&rest, &holder)) {
		if (!is_among(present, holder) ||
		    lun_text_equal(holder, PREPARED))
			continue;
		if (kept.length > 0)
			lun_buffer_add_byte(&kept, ',');
		lun_buffer_add_text(&kept, holder);
	}
	if (waits && is_among(present, PREPARED)) {
		if (kept.length > 0)
			lun_buffer_add_byte(&kept, ',');
		lun_buffer_add_text(&kept, PREPARED);
	}
	if (kept.failed) {
		lun_buffer_free(&kept);
		return; /* it is waited for too many */
	}
	lun_buffer_free(&mark->holders);
	mark->holders = kept;
}

/* Numbers that are drawn with no transaction around have no holder. */
static bool
is_settled(const struct lun_pg_mark *mark, const struct lun_pg_mapping *mapping,
    int64_t now)
{
	return mark->holders.length == 0 &&
	       (mapping->key == LUN_PG_UUID_KEY ||
		   now - mark->at >= mapping->grace_us);
}

static void
drop_marks(struct lun_pg_state *state, size_t count)
{
	struct lun_pg_mark kept[LUN_PG_MARKS];

	memcpy(kept, state->marks, sizeof kept);
	state->mark_count -= count;
	for (size_t i = 0; i < LUN_PG_MARKS; i++)
		state->marks[i] = kept[(i + count) % LUN_PG_MARKS];
}

static void
add_mark(struct lun_pg_state *state, struct lun_position position,
    const struct lun_pg_sight *sight)
{
	struct lun_pg_mark *mark = &state->marks[state->mark_count];

	mark->position = position;
	mark->at = sight->now;
	lun_buffer_clear(&mark->holders);
	lun_buffer_add_text(&mark->holders, lun_buffer_text(&sight->holders));
	if (mark->holders.failed)
		state->failed = true;
	else
		state->mark_count++;
}

/* Another mark is of use, and not too near to the one before. */
static bool
wants_mark(const struct lun_pg_state *state, struct lun_position position,
    const struct lun_pg_sight *sight)
{
	const struct lun_pg_mark *newest;

	if (lun_position_compare(position, state->ceiling) <= 0)
		return false;
	if (state->mark_count == 0)
		return true;
	newest = &state->marks[state->mark_count - 1];
	if (sight->holders.length == 0 &&
	    lun_position_compare(position, newest->position) > 0)
		return state->mark_count < LUN_PG_MARKS;
	return state->mark_count < LUN_PG_MARKS &&
	       sight->now - newest->at >= SPACING_US &&
	       lun_position_compare(position, newest->position) > 0;
}

void
lun_pg_marks_advance(struct lun_pg_state *state,
    const struct lun_pg_mapping *mapping, const struct lun_pg_sight *sight)
{
	struct lun_position position = sight->last;
	size_t settled = 0;

	if (mapping->key == LUN_PG_UUID_KEY)
		position = lun_pg_time_position(sight->now - mapping->grace_us);
	for (size_t i = 0; i < state->mark_count; i++)
		keep_present(
		    &state->marks[i], lun_buffer_text(&sight->holders));
	if (wants_mark(state, position, sight))
		add_mark(state, position, sight);
	for (size_t i = 0; i < state->mark_count; i++)
		if (is_settled(&state->marks[i], mapping, sight->now))
			settled = i + 1;
	if (settled == 0)
		return;
	if (lun_position_compare(
		state->marks[settled - 1].position, state->ceiling) > 0)
		state->ceiling = state->marks[settled - 1].position;
	drop_marks(state, settled);
}
