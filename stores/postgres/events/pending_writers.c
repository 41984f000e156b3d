/*
 * pending_writers.c - up to where no event can appear any more.
 *
 * Promised: no event appears at or below state->ceiling after the statement
 * that raised it, but for late ids within the grace time and the window.
 *
 * Rests on: nextval() locks the sequence and writing locks the table until the
 * transaction ends, and every role sees these locks in pg_locks. One statement
 * reads the last event M in its snapshot and after that, while it runs, who
 * holds such a lock. A number below M was drawn before M was. Its transaction
 * either had ended when the locks were read or is among the holders. So M and
 * these writers make a watermark; when none of the writers is left, a NEW
 * statement sees all that will ever be below M. Writers are told apart by
 * virtual transaction ids, which are not used again while a server runs; a
 * prepared transaction loses its own, so while any is left all watermarks
 * wait. After a restart of the server no writer of before is left.
 *
 * Where clients make the ids, M is the server's clock less the grace time.
 * Where a number may be known with no transaction around, a watermark has to
 * be that old, too. A standby does not know the locks and is refused.
 *
 * Ceiling and watermarks are part of the source state: they land with the
 * models in one commit, so after a kill both are as of the same position.
 */

#include "postgres/events/pending_writers.h"

#include "base/error.h"
#include "postgres/events/catalogue.h"
#include "postgres/events/safe_head.h"
#include "sql/names.h"

#define SPACING_US 20000 /* between watermarks */

/* A prepared transaction has another name than when it began. */
#define PREPARED LUN_TEXT("prepared")

/* ---- the statement ----------------------------------------------------- */

static void
add_relation(const struct lun_pg_mapping *mapping, struct lun_buffer *relation)
{
	lun_sql_quote(relation, mapping->schema);
	lun_buffer_add_byte(relation, '.');
	lun_sql_quote(relation, mapping->table);
}

/*
 * The time comes first, then the snapshot, then the locks: who is late for one
 * is seen by the next. Who holds the table, a part of it, or a sequence its
 * numbers may come from: one it names as a default, or any in the same schema.
 */
static void
add_writers(
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
	if (mapping->safety == LUN_PG_WINDOW)
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
add_writers_statement(const struct lun_pg_mapping *mapping,
    struct lun_position after, struct lun_text numbers,
    const struct lun_buffer *relation, struct lun_buffer *sql,
    struct lun_pg_params *params)
{
	lun_pg_start_params(mapping, params);
	lun_buffer_printf(sql,
	    "SELECT b.*, a.id, pg_catalog.pg_is_in_recovery(), "
	    "(extract(epoch FROM pg_catalog.statement_timestamp()) * 1000000)"
	    "::int8, ");
	add_writers(mapping, sql, params->count + 1);
	lun_pg_add_text(params, LUN_PG_TEXT, lun_buffer_text(relation));
	lun_buffer_add_text(sql, LUN_TEXT(", "));
	lun_pg_catalogue_add_mark(mapping, numbers, sql, params);
	lun_buffer_add_text(sql, LUN_TEXT(", a.n > 1, "));
	lun_pg_catalogue_add_set_back(mapping, numbers, after, sql, params);
	lun_buffer_add_text(sql, LUN_TEXT(", " LUN_PG_ELAPSED " FROM "));
	lun_pg_add_anchor(mapping, sql, params, after);
	lun_buffer_printf(sql,
	    " LEFT JOIN (SELECT %s FROM %s WHERE %s "
	    "ORDER BY %s LIMIT 1) b ON true",
	    mapping->keys_read, mapping->from, mapping->scope,
	    mapping->keys_down);
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
read_pending_writers(struct lun_pg *c, const struct lun_pg_mapping *mapping,
    const PGresult *row, struct lun_pg_pending_writers *pending,
    struct lun_err *err)
{
	int next = lun_pg_key_columns(mapping);

	if (lun_pg_bool(row, 0, next + 1))
		return lun_fail(err, LUN_CONFIG,
		    "%s is a standby: the locks of the writers, which tell "
		    "how far it is safe to read this layout, can only be seen "
		    "on the primary",
		    lun_pg_name(c));
	pending->last = lun_pg_is_null(row, 0, 0)
			    ? LUN_POSITION_START
			    : lun_pg_keys_position(mapping, row, 0);
	if (mapping->key == LUN_PG_UUID_KEY && !lun_pg_is_null(row, 0, 0) &&
	    (pending->last.hi >> 12 & 0xf) != 7)
		return refuse_id(c, mapping, pending->last, err);
	pending->has_anchor = !lun_pg_is_null(row, 0, next);
	lun_buffer_clear(&pending->anchor);
	lun_buffer_add_text(&pending->anchor, lun_pg_bytes(row, 0, next));
	pending->now = lun_pg_int8(row, 0, next + 2);
	lun_buffer_clear(&pending->writers);
	lun_buffer_add_text(&pending->writers, lun_pg_bytes(row, 0, next + 3));
	pending->has_rival = lun_pg_bool(row, 0, next + 5);
	pending->was_set_back = lun_pg_bool(row, 0, next + 6);
	pending->took_us = lun_pg_int8(row, 0, next + 7);
	lun_buffer_clear(&pending->mark);
	lun_buffer_add_text(&pending->mark, lun_pg_bytes(row, 0, next + 4));
	if (pending->anchor.failed || pending->writers.failed ||
	    pending->mark.failed)
		return lun_fail(
		    err, LUN_NOMEM, "%s: out of memory", lun_pg_name(c));
	return LUN_OK;
}

enum lun_code
lun_pg_pending_writers_find(struct lun_pg *c,
    const struct lun_pg_mapping *mapping, struct lun_position after,
    struct lun_pg_pending_writers *pending, struct lun_err *err)
{
	struct lun_buffer sql = {0}, relation = {0};
	struct lun_pg_params params = {0};
	PGresult *result = NULL;
	enum lun_code code;

	add_relation(mapping, &relation);
	add_writers_statement(
	    mapping, after, pending->numbers, &relation, &sql, &params);
	if (sql.failed || relation.failed)
		code = lun_fail(
		    err, LUN_NOMEM, "%s: out of memory", lun_pg_name(c));
	else
		code = lun_pg_query(c, sql.bytes, &params, &result, err);
	if (code == LUN_OK)
		code = read_pending_writers(c, mapping, result, pending, err);
	PQclear(result);
	lun_buffer_free(&sql);
	lun_buffer_free(&relation);
	lun_pg_params_free(&params);
	return code;
}

void
lun_pg_pending_writers_free(struct lun_pg_pending_writers *pending)
{
	lun_buffer_free(&pending->anchor);
	lun_buffer_free(&pending->writers);
	lun_buffer_free(&pending->mark);
}

/* ---- watermarks -------------------------------------------------------- */

/* The part up to the next comma, which is taken off the rest. */
static bool
next_writer(struct lun_text *rest, struct lun_text *writer)
{
	const char *comma;

	if (rest->length == 0)
		return false;
	comma = memchr(rest->bytes, ',', rest->length);
	*writer = *rest;
	if (comma == NULL) {
		*rest = LUN_TEXT_NONE;
		return true;
	}
	writer->length = (size_t)(comma - rest->bytes);
	rest->bytes += writer->length + 1;
	rest->length -= writer->length + 1;
	return true;
}

static bool
has_writer(struct lun_text writers, struct lun_text wanted)
{
	struct lun_text writer;

	while (next_writer(&writers, &writer))
		if (lun_text_equal(writer, wanted))
			return true;
	return false;
}

/* Those of a watermark that are still there, or may be under another name. */
static void
drop_ended_writers(struct lun_pg_watermark *watermark, struct lun_text present)
{
	struct lun_text rest = lun_buffer_text(&watermark->writers), writer;
	struct lun_buffer kept = {0};
	bool waits = rest.length > 0;

	while (next_writer(&rest, &writer)) {
		if (!has_writer(present, writer) ||
		    lun_text_equal(writer, PREPARED))
			continue;
		if (kept.length > 0)
			lun_buffer_add_byte(&kept, ',');
		lun_buffer_add_text(&kept, writer);
	}
	if (waits && has_writer(present, PREPARED)) {
		if (kept.length > 0)
			lun_buffer_add_byte(&kept, ',');
		lun_buffer_add_text(&kept, PREPARED);
	}
	if (kept.failed) {
		lun_buffer_free(&kept);
		return; /* it waits for more than it must */
	}
	lun_buffer_free(&watermark->writers);
	watermark->writers = kept;
}

/* Numbers that are drawn with no transaction around have no writer. */
static bool
is_settled(const struct lun_pg_watermark *watermark,
    const struct lun_pg_mapping *mapping, int64_t now)
{
	return watermark->writers.length == 0 &&
	       (mapping->safety == LUN_PG_WINDOW ||
		   now - watermark->at >= mapping->grace_us);
}

static void
drop_watermarks(struct lun_pg_state *state, size_t count)
{
	struct lun_pg_watermark kept[LUN_PG_WATERMARKS];

	memcpy(kept, state->watermarks, sizeof kept);
	state->watermark_count -= count;
	for (size_t i = 0; i < LUN_PG_WATERMARKS; i++)
		state->watermarks[i] = kept[(i + count) % LUN_PG_WATERMARKS];
}

static void
add_watermark(struct lun_pg_state *state, struct lun_position position,
    const struct lun_pg_pending_writers *pending)
{
	struct lun_pg_watermark *watermark =
	    &state->watermarks[state->watermark_count];

	watermark->position = position;
	watermark->at = pending->now;
	lun_buffer_clear(&watermark->writers);
	lun_buffer_add_text(
	    &watermark->writers, lun_buffer_text(&pending->writers));
	if (watermark->writers.failed)
		state->failed = true;
	else
		state->watermark_count++;
}

/* Another watermark is of use, and not too near to the one before. */
static bool
wants_watermark(const struct lun_pg_state *state, struct lun_position position,
    const struct lun_pg_pending_writers *pending)
{
	const struct lun_pg_watermark *newest;

	if (lun_position_compare(position, state->ceiling) <= 0)
		return false;
	if (state->watermark_count == 0)
		return true;
	newest = &state->watermarks[state->watermark_count - 1];
	if (pending->writers.length == 0 &&
	    lun_position_compare(position, newest->position) > 0)
		return state->watermark_count < LUN_PG_WATERMARKS;
	return state->watermark_count < LUN_PG_WATERMARKS &&
	       pending->now - newest->at >= SPACING_US &&
	       lun_position_compare(position, newest->position) > 0;
}

void
lun_pg_pending_writers_advance(struct lun_pg_state *state,
    const struct lun_pg_mapping *mapping,
    const struct lun_pg_pending_writers *pending)
{
	struct lun_position position = pending->last;
	size_t settled = 0;

	if (mapping->safety == LUN_PG_WINDOW)
		position = lun_pg_time_position(
		    mapping, pending->now - mapping->grace_us);
	for (size_t i = 0; i < state->watermark_count; i++)
		drop_ended_writers(
		    &state->watermarks[i], lun_buffer_text(&pending->writers));
	if (wants_watermark(state, position, pending))
		add_watermark(state, position, pending);
	for (size_t i = 0; i < state->watermark_count; i++)
		if (is_settled(&state->watermarks[i], mapping, pending->now))
			settled = i + 1;
	if (settled == 0)
		return;
	if (lun_position_compare(
		state->watermarks[settled - 1].position, state->ceiling) > 0)
		state->ceiling = state->watermarks[settled - 1].position;
	drop_watermarks(state, settled);
}
