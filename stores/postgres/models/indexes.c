/*
 * indexes.c - the indexes of a projection, made when it has caught up.
 *
 * A rebuild writes into tables that have none but the key. CREATE INDEX
 * CONCURRENTLY, over a connection of its own, holds up neither the commits nor
 * anybody's safe head. One that did not come to its end is left behind as
 * invalid, and is made anew. Others may be making the same: whoever does holds
 * a lock on the table to the end of it.
 */

#include <inttypes.h>
#include <stdio.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "postgres/models/models.h"

enum state {
	STATE_MISSING,
	STATE_VALID,
	STATE_UNDER_WAY,
	STATE_LEFT_BEHIND,
	STATE_FOREIGN
};

/* An index that the schema declares. */
struct wanted {
	struct lun_key key;
	const struct lun_schema *schema;
	size_t number;
	char name[LUN_PG_INDEX_NAME_SIZE];
};

/*
 * <table>__<field>,<field>, or <table>__#<digits> where that is too long: no
 * field has such a character in its name, so no two indexes are called alike.
 */
void
lun_pg_name_index(struct lun_key key, const struct lun_schema *schema,
    size_t number, char name[LUN_PG_INDEX_NAME_SIZE])
{
	const struct lun_index *index = &schema->indexes[number];
	const size_t size = LUN_PG_INDEX_NAME_SIZE;
	size_t fields, end;

	lun_pg_name_table(key, name);
	fields = end = strlen(name);
	for (size_t i = 0; i < index->count; i++)
		end += (size_t)snprintf(name + end, size - end, "%s%s",
		    i > 0 ? "," : "__", schema->fields[index->fields[i]].name);
	if (end > LUN_PG_NAME_MAX)
		snprintf(name + fields, size - fields, "__#%012" PRIx64,
		    (uint64_t)XXH3_64bits(name + fields, end - fields) >> 16);
}

/* Documents are searched by what they contain. */
static bool
is_document(const struct lun_schema *schema, const struct lun_index *index)
{
	return index->count == 1 &&
	       schema->fields[index->fields[0]].type == LUN_FIELD_JSON;
}

static const char *
method_of(const struct wanted *w)
{
	return is_document(w->schema, &w->schema->indexes[w->number]) ? "gin"
								      : "btree";
}

static void
add_create(struct pg_models *m, const struct wanted *w)
{
	const struct lun_index *index = &w->schema->indexes[w->number];

	lun_pg_begin_sql(m, "CREATE INDEX CONCURRENTLY ");
	lun_sql_quote(&m->sql, w->name);
	lun_pg_add_sql(m, " ON ");
	lun_pg_add_table(m, w->key);
	lun_pg_add_sql(m, " USING ");
	lun_pg_add_sql(m, method_of(w));
	for (size_t i = 0; i < index->count; i++) {
		lun_pg_add_sql(m, i == 0 ? " (" : ", ");
		lun_sql_quote(
		    &m->sql, w->schema->fields[index->fields[i]].name);
	}
	lun_pg_add_sql(m, ")");
}

static enum lun_code
run_index_sql(struct pg_models *m, struct lun_err *err)
{
	enum lun_code code;

	lun_buffer_add_byte(&m->sql, '\0');
	if (m->sql.failed)
		return lun_fail(
		    err, LUN_NOMEM, "%s: out of memory", lun_pg_name(m->c));
	m->c->patient = m->c->stop != NULL;
	code = lun_pg_exec(m->c, m->sql.bytes, err);
	m->c->patient = false;
	return code;
}

static enum lun_code
drop_index(struct pg_models *m, const char *name, struct lun_err *err)
{
	lun_pg_begin_sql(m, "DROP INDEX CONCURRENTLY @");
	lun_sql_quote(&m->sql, name);
	return run_index_sql(m, err);
}

static enum state
read_state(const PGresult *r)
{
	if (PQntuples(r) == 0)
		return STATE_MISSING;
	if (!lun_pg_bool(r, 0, 0))
		return STATE_FOREIGN;
	if (lun_pg_bool(r, 0, 1))
		return STATE_VALID;
	return lun_pg_bool(r, 0, 2) ? STATE_UNDER_WAY : STATE_LEFT_BEHIND;
}

static void
add_fields(struct pg_models *m, const struct wanted *w)
{
	const struct lun_index *index = &w->schema->indexes[w->number];

	lun_pg_begin_array(&m->params, LUN_PG_TEXT_ARRAY, index->count);
	for (size_t i = 0; i < index->count; i++)
		lun_pg_element_text(&m->params,
		    lun_text_of(w->schema->fields[index->fields[i]].name));
	lun_pg_end_array(&m->params);
}

static enum lun_code
find_index_state(struct pg_models *m, const struct wanted *w, enum state *state,
    struct lun_err *err)
{
	char table[LUN_PG_TABLE_NAME_SIZE];
	PGresult *result = NULL;
	enum lun_code code;

	lun_pg_name_table(w->key, table);
	lun_pg_add_name(m, m->schema);
	lun_pg_add_name(m, w->name);
	lun_pg_add_name(m, table);
	lun_pg_add_name(m, method_of(w));
	add_fields(m, w);
	code = lun_pg_run(m,
	    "SELECT coalesce(t.relname = $3 AND am.amname = $4"
	    " AND NOT i.indisunique AND i.indpred IS NULL AND $5 = ARRAY("
	    "  SELECT a.attname::text FROM pg_catalog.unnest(i.indkey::int2[])"
	    "   WITH ORDINALITY k(number, place)"
	    "  LEFT JOIN pg_catalog.pg_attribute a"
	    "   ON a.attrelid = i.indrelid AND a.attnum = k.number"
	    "  WHERE k.place <= i.indnkeyatts ORDER BY k.place), false),"
	    " coalesce(i.indisvalid, false),"
	    " EXISTS (SELECT FROM pg_catalog.pg_locks l"
	    "  WHERE l.relation = t.oid AND l.granted AND l.database = (SELECT"
	    "   d.oid FROM pg_catalog.pg_database d"
	    "   WHERE d.datname = pg_catalog.current_database())"
	    "  AND l.mode = 'ShareUpdateExclusiveLock')"
	    " FROM pg_catalog.pg_namespace n"
	    " JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid"
	    " LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam"
	    " LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid"
	    " LEFT JOIN pg_catalog.pg_class t ON t.oid = i.indrelid"
	    " WHERE n.nspname = $1 AND c.relname = $2",
	    &result, err);
	if (code == LUN_OK)
		*state = read_state(result);
	PQclear(result);
	return code;
}

/*
 * Where the session is this connection's own. Behind a pooler there is no way:
 * CREATE INDEX CONCURRENTLY cannot share a transaction with a SET.
 */
static enum lun_code
lift_limits(struct pg_models *m, bool *pooled, struct lun_err *err)
{
	PGresult *result = NULL;
	enum lun_code code =
	    lun_pg_run(m, "SELECT pg_catalog.pg_backend_pid()", &result, err);

	if (code != LUN_OK)
		return code;
	*pooled = lun_pg_int8(result, 0, 0) != PQbackendPID(m->c->conn);
	PQclear(result);
	if (*pooled)
		return LUN_OK;
	return lun_pg_exec(m->c,
	    "SET statement_timeout = 0; SET lock_timeout = 0;"
	    "SET default_transaction_read_only = off",
	    err);
}

/* What failed may have been done by somebody else in the meantime. */
static enum lun_code
check_failed_index(
    struct pg_models *m, const struct wanted *w, enum lun_code code)
{
	enum state state = STATE_MISSING;

	if (m->c->conn == NULL ||
	    find_index_state(m, w, &state, NULL) != LUN_OK)
		return code;
	if (state == STATE_VALID)
		return LUN_OK;
	if (state == STATE_LEFT_BEHIND)
		(void)!drop_index(m, w->name, NULL);
	return code;
}

static enum lun_code
explain_failed_index(struct pg_models *m, const struct wanted *w, bool pooled,
    enum lun_code code, struct lun_err *err)
{
	if (pooled && (lun_pg_failed_with(m->c, "57014") ||
			  lun_pg_failed_with(m->c, "25006")))
		code = lun_wrap(err, code,
		    "index \"%s\": a pooler stands before the server, so what "
		    "this role has set applies: ALTER ROLE ... SET "
		    "statement_timeout = 0 and default_transaction_read_only = "
		    "off, or make the index by hand",
		    w->name);
	return check_failed_index(m, w, code);
}

static enum lun_code
create_index(struct pg_models *m, const struct wanted *w, struct lun_err *err)
{
	bool pooled = false;
	enum lun_code code = lift_limits(m, &pooled, err);

	if (code != LUN_OK)
		return code;
	add_create(m, w);
	code = run_index_sql(m, err);
	if (code != LUN_OK)
		code = explain_failed_index(m, w, pooled, code, err);
	if (!pooled)
		lun_pg_disconnect(m->c); /* and what was lifted with it */
	return code;
}

static enum lun_code
make_index(struct pg_models *m, const struct wanted *w, struct lun_err *err)
{
	enum state state = STATE_VALID;
	enum lun_code code = find_index_state(m, w, &state, err);

	if (code != LUN_OK || state == STATE_VALID)
		return code;
	if (state == STATE_FOREIGN)
		return lun_fail(err, LUN_CONFIG,
		    "index \"%s\": schema \"%s\" has something of that name "
		    "already that is not this projection's, or not this index: "
		    "drop or rename it",
		    w->name, m->schema);
	if (state == STATE_UNDER_WAY)
		return lun_fail(
		    err, LUN_AGAIN, "index \"%s\" is being made", w->name);
	if (state == STATE_LEFT_BEHIND)
		code = drop_index(m, w->name, err);
	return code == LUN_OK ? create_index(m, w, err) : code;
}

/* ---- those that are no longer declared --------------------------------- */

static void
add_declared(struct pg_models *m, const struct wanted *w)
{
	char name[LUN_PG_INDEX_NAME_SIZE];

	lun_pg_begin_array(
	    &m->params, LUN_PG_TEXT_ARRAY, w->schema->index_count);
	for (size_t i = 0; i < w->schema->index_count; i++) {
		lun_pg_name_index(w->key, w->schema, i, name);
		lun_pg_element_text(&m->params, lun_text_of(name));
	}
	lun_pg_end_array(&m->params);
}

/* Of this table, with a name as only the engine gives. */
static enum lun_code
drop_undeclared(
    struct pg_models *m, const struct wanted *w, struct lun_err *err)
{
	char table[LUN_PG_TABLE_NAME_SIZE];
	PGresult *result = NULL;
	enum lun_code code;

	lun_pg_name_table(w->key, table);
	lun_pg_add_name(m, m->schema);
	lun_pg_add_name(m, table);
	add_declared(m, w);
	code = lun_pg_run(m,
	    "SELECT c.relname::text FROM pg_catalog.pg_index i"
	    " JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid"
	    " JOIN pg_catalog.pg_class t ON t.oid = i.indrelid"
	    " JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace"
	    " WHERE n.nspname = $1 AND t.relname = $2 AND NOT i.indisprimary"
	    " AND starts_with(c.relname, $2 || '__')"
	    " AND c.relname <> ALL ($3::text[])",
	    &result, err);
	for (int i = 0; code == LUN_OK && i < PQntuples(result); i++)
		code = drop_index(m, PQgetvalue(result, i, 0), err);
	PQclear(result);
	return code;
}

static enum lun_code
keep_schema(struct pg_models *m, const struct wanted *w, struct lun_text stored,
    struct lun_err *err)
{
	struct lun_buffer described = {0}, kept = {0};
	enum lun_code code = LUN_OK;

	lun_schema_describe(w->schema, &described);
	lun_schema_take_indexes(stored, lun_buffer_text(&described), &kept);
	m->params.failed |= described.failed || kept.failed;
	lun_pg_add_build(m, w->key);
	lun_pg_add_text(&m->params, LUN_PG_TEXT, lun_buffer_text(&kept));
	lun_pg_add_text(&m->params, LUN_PG_TEXT, stored);
	if (lun_text_equal(stored, lun_buffer_text(&kept)))
		lun_pg_params_clear(&m->params);
	else
		code = lun_pg_change(m,
		    "UPDATE @lunette_builds SET schema = $3"
		    " WHERE projection = $1 AND build = $2 AND schema = $4",
		    NULL, err);
	lun_buffer_free(&described);
	lun_buffer_free(&kept);
	return code;
}

/* Which there are is kept with the build, unless that is another by now. */
static enum lun_code
keep_indexes(struct pg_models *m, const struct wanted *w, struct lun_err *err)
{
	PGresult *result = NULL;
	enum lun_code code;

	lun_pg_add_build(m, w->key);
	code = lun_pg_run(m,
	    "SELECT schema FROM @lunette_builds"
	    " WHERE projection = $1 AND build = $2",
	    &result, err);
	if (code == LUN_OK && PQntuples(result) > 0)
		code = keep_schema(m, w, lun_pg_bytes(result, 0, 0), err);
	PQclear(result);
	return code;
}

enum lun_code
lun_pg_index(struct lun_model_store *store, struct lun_key key,
    const struct lun_schema *schema, const atomic_bool *stop,
    struct lun_err *err)
{
	struct wanted w = {.key = key, .schema = schema};
	struct pg_models *m = pg_models_of(store);
	enum lun_code code = LUN_OK;

	m->c->stop = stop;
	for (; code == LUN_OK && w.number < schema->index_count; w.number++) {
		lun_pg_name_index(key, schema, w.number, w.name);
		code = make_index(m, &w, err);
	}
	if (code == LUN_OK)
		code = drop_undeclared(m, &w, err);
	if (code == LUN_OK)
		code = keep_indexes(m, &w, err);
	m->c->stop = NULL;
	return code;
}

/*
 * Nobody waits any more for what still runs in the server: it is in the way of
 * whoever drops the table. Only what this very role has begun.
 */
void
lun_pg_end_indexing(struct pg_models *m, struct lun_key key)
{
	lun_pg_add_name(m, m->schema);
	lun_pg_add_build(m, key);
	(void)!lun_pg_run(m,
	    "SELECT pg_catalog.pg_cancel_backend(l.pid)"
	    " FROM pg_catalog.pg_locks l"
	    " JOIN pg_catalog.pg_class c ON c.oid = l.relation"
	    " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
	    " JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid"
	    " WHERE n.nspname = $1"
	    " AND c.relname ~ ('^' || $2 || '__b' ||"
	    "  CASE $3 WHEN 0 THEN '[0-9]+' ELSE $3::text END || '$')"
	    " AND a.datname = pg_catalog.current_database()"
	    " AND l.mode = 'ShareUpdateExclusiveLock'"
	    " AND a.backend_type = 'client backend'"
	    " AND a.usename = current_user"
	    " AND a.query LIKE 'CREATE INDEX CONCURRENTLY %'",
	    NULL, NULL);
}
