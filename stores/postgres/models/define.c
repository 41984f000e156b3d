/*
 * define.c - making builds and their shards, and forgetting them.
 *
 * Locks are taken in one order, so that no two calls wait for each other: the
 * leases, the projection's row, the tables of models, the rows of builds, then
 * those of checkpoints, which commits come to in that order as well.
 */

#include <stdio.h>

#include "postgres/models/models.h"

/* ---- what is there ----------------------------------------------------- */

/* LUN_OK, or LUN_NOTFOUND (err untouched). */
static enum lun_code
find_object(
    struct pg_models *m, const char *name, char kind[20], struct lun_err *err)
{
	PGresult *result = NULL;
	enum lun_code code;

	lun_pg_add_name(m, m->schema);
	lun_pg_add_name(m, name);
	code = lun_pg_run(m,
	    "SELECT CASE c.relkind WHEN 'v' THEN 'view' WHEN 'i' THEN 'index'"
	    " WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence'"
	    " ELSE 'table' END"
	    " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n"
	    " ON n.oid = c.relnamespace"
	    " WHERE n.nspname = $1 AND c.relname = $2",
	    &result, err);
	if (code == LUN_OK && PQntuples(result) == 0)
		code = LUN_NOTFOUND;
	else if (code == LUN_OK)
		lun_pg_copy_text(result, 0, 0, kind, 20);
	PQclear(result);
	return code;
}

static enum lun_code
check_free(struct pg_models *m, const struct lun_schema *schema,
    const char *name, struct lun_err *err)
{
	char kind[20];
	enum lun_code code = find_object(m, name, kind, err);

	if (code == LUN_NOTFOUND)
		return LUN_OK;
	if (code != LUN_OK)
		return code;
	return lun_fail(err, LUN_CONFIG,
	    "define \"%s\": schema \"%s\" has a %s \"%s\" already that is not "
	    "this projection's; rename it or the projection",
	    schema->projection, m->schema, kind, name);
}

static enum lun_code
run_ddl(struct pg_models *m, struct lun_err *err)
{
	lun_buffer_add_byte(&m->sql, '\0');
	if (m->sql.failed)
		return lun_fail(
		    err, LUN_NOMEM, "%s: out of memory", lun_pg_name(m->c));
	return lun_pg_exec(m->c, m->sql.bytes, err);
}

/* ---- the table of a build, and the views of the live one --------------- */

static void
name_version(const struct lun_schema *schema, char name[LUN_PG_TABLE_NAME_SIZE])
{
	snprintf(name, LUN_PG_TABLE_NAME_SIZE, "%s__v%d", schema->projection,
	    schema->version);
}

static void
add_column(struct pg_models *m, const char *name, enum lun_field_type type)
{
	lun_sql_quote(&m->sql, name);
	lun_pg_add_sql(m, " ");
	lun_pg_add_sql(m, lun_pg_column_type(type));
	if (type == LUN_FIELD_TEXT)
		lun_pg_add_sql(m, " COLLATE \"C\"");
}

static void
add_table_sql(
    struct pg_models *m, struct lun_key key, const struct lun_schema *schema)
{
	lun_pg_add_sql(m, "CREATE TABLE ");
	lun_pg_add_table(m, key);
	lun_pg_add_sql(m, " (");
	add_column(m, "id", schema->key_type);
	lun_pg_add_sql(m, " PRIMARY KEY");
	for (size_t i = 0; i < schema->field_count; i++) {
		const struct lun_field *field =
		    &schema->fields[lun_schema_column(schema, i)];

		lun_pg_add_sql(m, ", ");
		add_column(m, field->name, field->type);
	}
	lun_pg_add_sql(m, ");\n");
}

static void
add_view_sql(struct pg_models *m, struct lun_key key,
    const struct lun_schema *schema, const char *name)
{
	lun_pg_add_sql(m, "CREATE VIEW @");
	lun_sql_quote(&m->sql, name);
	lun_pg_add_sql(m, " AS SELECT ");
	lun_sql_add_view_columns(&m->sql, schema);
	lun_pg_add_sql(m, " FROM ");
	lun_pg_add_table(m, key);
	lun_pg_add_sql(m, ";\n");
}

static enum lun_code
check_view_names(
    struct pg_models *m, const struct lun_schema *schema, struct lun_err *err)
{
	char name[LUN_PG_TABLE_NAME_SIZE];
	enum lun_code code = check_free(m, schema, schema->projection, err);

	if (code != LUN_OK)
		return code;
	name_version(schema, name);
	return check_free(m, schema, name, err);
}

/* Indexes are made later, but their names are looked at now. */
static enum lun_code
check_names(struct pg_models *m, struct lun_key key,
    const struct lun_schema *schema, bool is_live, struct lun_err *err)
{
	char name[LUN_PG_INDEX_NAME_SIZE];
	enum lun_code code;

	lun_pg_name_table(key, name);
	code = check_free(m, schema, name, err);
	if (code == LUN_OK && is_live)
		code = check_view_names(m, schema, err);
	for (size_t i = 0; code == LUN_OK && i < schema->index_count; i++) {
		lun_pg_name_index(key, schema, i, name);
		code = check_free(m, schema, name, err);
	}
	return code;
}

static enum lun_code
make_models(struct pg_models *m, struct lun_key key,
    const struct lun_schema *schema, bool is_live, struct lun_err *err)
{
	char name[LUN_PG_TABLE_NAME_SIZE];
	enum lun_code code = check_names(m, key, schema, is_live, err);

	if (code != LUN_OK)
		return code;
	name_version(schema, name);
	lun_buffer_clear(&m->sql);
	add_table_sql(m, key, schema);
	if (is_live) {
		add_view_sql(m, key, schema, schema->projection);
		add_view_sql(m, key, schema, name);
	}
	return run_ddl(m, err);
}

/* ---- rows -------------------------------------------------------------- */

/* Held from here on: whoever else makes something of it waits. */
static enum lun_code
hold_projection(
    struct pg_models *m, struct lun_key key, bool *is_live, struct lun_err *err)
{
	PGresult *result = NULL;
	enum lun_code code;

	lun_pg_add_build(m, key);
	code = lun_pg_run(m,
	    "INSERT INTO @lunette_projections AS p"
	    " (name, live_build, last_build, revision) VALUES ($1, $2, $2, 1)"
	    " ON CONFLICT (name) DO UPDATE SET"
	    " live_build = coalesce(p.live_build, excluded.live_build),"
	    " last_build = greatest(p.last_build, excluded.last_build)"
	    " RETURNING live_build = $2",
	    &result, err);
	if (code == LUN_OK)
		*is_live = lun_pg_bool(result, 0, 0);
	PQclear(result);
	return code;
}

static enum lun_code
insert_build(struct pg_models *m, struct lun_key key,
    const struct lun_schema *schema, bool is_live, struct lun_err *err)
{
	struct lun_buffer described = {0};
	enum lun_code code;

	lun_schema_describe(schema, &described);
	m->params.failed |= described.failed;
	lun_pg_add_build(m, key);
	lun_pg_add_int8(&m->params, schema->version);
	lun_pg_add_name(m, is_live ? "live" : "building");
	lun_pg_add_text(&m->params, LUN_PG_TEXT, lun_buffer_text(&described));
	code = lun_pg_run(m,
	    "INSERT INTO @lunette_builds"
	    " (projection, build, version, state, schema)"
	    " VALUES ($1, $2, $3, $4, $5)",
	    NULL, err);
	lun_buffer_free(&described);
	return code;
}

static enum lun_code
make_build(struct pg_models *m, struct lun_key key,
    const struct lun_schema *schema, bool is_live, struct lun_err *err)
{
	enum lun_code code = make_models(m, key, schema, is_live, err);

	if (code != LUN_OK)
		return code;
	return insert_build(m, key, schema, is_live, err);
}

static enum lun_code
insert_checkpoint(struct pg_models *m, struct lun_key key,
    struct lun_guard start, struct lun_err *err)
{
	lun_pg_add_key(m, key);
	lun_pg_add_position(m, LUN_POSITION_START);
	lun_pg_add_int8(&m->params, start.expected_revision);
	lun_pg_add_int8(&m->params, start.fence);
	return lun_pg_run(m,
	    "INSERT INTO @lunette_checkpoints"
	    " (projection, build, shard, position, revision, fence)"
	    " VALUES ($1, $2, $3, $4, $5, $6)",
	    NULL, err);
}

/* ---- forgetting -------------------------------------------------------- */

/*
 * A build's table, of every build for build 0, and the views of the live one:
 * the names in lunette_builds, as other things may be called alike.
 */
static enum lun_code
list_drops(struct pg_models *m, struct lun_key key, PGresult **result,
    struct lun_err *err)
{
	lun_pg_add_build(m, key);
	lun_pg_add_name(m, m->schema);
	return lun_pg_run(m,
	    "SELECT o.kind, c.relname::text FROM @lunette_builds b,"
	    " LATERAL (VALUES ('VIEW', 'v', b.projection, b.state),"
	    "   ('VIEW', 'v', b.projection || '__v' || b.version, b.state),"
	    "   ('TABLE', 'r', b.projection || '__b' || b.build, 'live'))"
	    "  o (kind, relkind, name, state)"
	    " JOIN pg_catalog.pg_class c"
	    "  ON c.relname = o.name AND c.relkind::text = o.relkind"
	    " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
	    " WHERE b.projection = $1 AND $2 IN (b.build, 0)"
	    " AND o.state = 'live' AND n.nspname = $3 ORDER BY 1 DESC, 2",
	    result, err);
}

static enum lun_code
drop_models(struct pg_models *m, struct lun_key key, struct lun_err *err)
{
	PGresult *result = NULL;
	enum lun_code code = list_drops(m, key, &result, err);

	if (code != LUN_OK)
		return code;
	lun_buffer_clear(&m->sql);
	for (int i = 0; i < PQntuples(result); i++) {
		lun_pg_add_sql(m, "DROP ");
		lun_pg_add_sql(m, PQgetvalue(result, i, 0));
		lun_pg_add_sql(m, " @");
		lun_sql_quote(&m->sql, PQgetvalue(result, i, 1));
		lun_pg_add_sql(m, ";");
	}
	if (PQntuples(result) > 0)
		code = run_ddl(m, err);
	PQclear(result);
	return code;
}

/* Each by projection and build; build 0: of any. */
static enum lun_code
run_each(struct pg_models *m, struct lun_key key, const char *const *statements,
    size_t count, struct lun_err *err)
{
	enum lun_code code = LUN_OK;

	for (size_t i = 0; code == LUN_OK && i < count; i++) {
		lun_pg_add_build(m, key);
		lun_pg_begin_sql(m, statements[i]);
		lun_pg_add_sql(
		    m, " WHERE projection = $1 AND $2 IN (build, 0)");
		code = lun_pg_run_sql(m, NULL, err);
	}
	return code;
}

/*
 * Held until the end of the transaction: a later owner waits for that, and
 * then finds the rows that it may have made.
 */
static enum lun_code
hold_leases(struct pg_models *m, struct lun_key key, struct lun_err *err)
{
	lun_pg_add_build(m, key);
	return lun_pg_run(m,
	    "SELECT FROM @lunette_owners"
	    " WHERE projection = $1 AND $2 IN (build, 0)"
	    " ORDER BY build, shard FOR UPDATE",
	    NULL, err);
}

/* What the owners of the other shards have under way shall not land. */
static enum lun_code
raise_fences(struct pg_models *m, struct lun_key key, bool all_builds,
    struct lun_err *err)
{
	lun_pg_add_key(m, key);
	lun_pg_add_bool(&m->params, all_builds);
	return lun_pg_run(m,
	    "UPDATE @lunette_owners SET fence = fence + 1"
	    " WHERE projection = $1 AND ($4 OR build = $2)"
	    " AND (build, shard) <> ($2, $3)",
	    NULL, err);
}

/* ---- define ------------------------------------------------------------ */

/* As it is stored, for as long as the transaction lasts. */
static enum lun_code
hold_guard(struct pg_models *m, struct lun_key key, struct lun_guard *stored,
    bool *defined, struct lun_err *err)
{
	enum lun_code code;

	lun_pg_add_key(m, key);
	code = lun_pg_run(m,
	    "SELECT FROM @lunette_owners WHERE " LUN_PG_KEY " FOR SHARE", NULL,
	    err);
	if (code != LUN_OK)
		return code;
	return lun_pg_read_guard(m, key, stored, defined, err);
}

static enum lun_code
define_shard(struct pg_models *m, struct lun_key key,
    const struct lun_schema *schema, int64_t fence, struct lun_err *err)
{
	struct lun_guard start = {1, fence};
	bool is_live;
	enum lun_code code = hold_projection(m, key, &is_live, err);

	if (code == LUN_OK)
		code = lun_pg_check_schema(m, key, schema, err);
	if (code == LUN_NOTFOUND)
		code = make_build(m, key, schema, is_live, err);
	if (code == LUN_OK)
		code = insert_checkpoint(m, key, start, err);
	return code;
}

static enum lun_code
define_projection(struct pg_models *m, struct lun_key key,
    const struct lun_schema *schema, int64_t fence, struct lun_err *err)
{
	struct lun_guard stored;
	enum lun_code code;
	bool defined;

	code = hold_guard(m, key, &stored, &defined, err);
	if (code == LUN_OK)
		code = lun_model_store_check_fence(
		    key.projection, fence, stored.fence, err);
	if (code != LUN_OK)
		return code;
	return defined ? lun_pg_check_schema(m, key, schema, err)
		       : define_shard(m, key, schema, fence, err);
}

/* What is there in the same form needs no right to make anything. */
static enum lun_code
look_first(struct pg_models *m, struct lun_key key,
    const struct lun_schema *schema, int64_t fence, bool *defined,
    struct lun_err *err)
{
	struct lun_guard stored;
	enum lun_code code;

	code = lun_pg_read_guard(m, key, &stored, defined, err);
	if (code == LUN_OK)
		code = lun_model_store_check_fence(
		    key.projection, fence, stored.fence, err);
	if (code == LUN_OK && *defined)
		code = lun_pg_check_schema(m, key, schema, err);
	return code;
}

static enum lun_code
transact_define(struct pg_models *m, struct lun_key key,
    const struct lun_schema *schema, int64_t fence, struct lun_err *err)
{
	bool defined;
	enum lun_code code = look_first(m, key, schema, fence, &defined, err);

	if (code != LUN_OK || defined)
		return code;
	code = lun_pg_models_begin(m, key, err);
	if (code != LUN_OK)
		return code;
	return lun_pg_models_end(
	    m, define_projection(m, key, schema, fence, err), err);
}

enum lun_code
lun_pg_define(struct lun_model_store *store, struct lun_key key,
    const struct lun_schema *schema, int64_t fence, struct lun_err *err)
{
	struct pg_models *m = lun_pg_models_enter(store);

	return lun_pg_models_leave(
	    m, transact_define(m, key, schema, fence, err));
}

/* ---- reset ------------------------------------------------------------- */

/*
 * Commits that are under way end before the rows of their checkpoints are
 * taken, so what they have parked is there to be deleted.
 */
static enum lun_code
empty_build(struct pg_models *m, struct lun_key key, struct lun_err *err)
{
	static const char *const statements[] = {
	    "DELETE FROM @lunette_builds",
	    "UPDATE @lunette_checkpoints c SET revision = revision + 1,"
	    " rows_revision = revision + 1, position = repeat('0', 32), "
	    "source_state = NULL, identity = '',"
	    " bundle_hash = '', committed_at = NULL, skipped_count = 0,"
	    " fence = (SELECT o.fence FROM @lunette_owners o"
	    "  WHERE (o.projection, o.build, o.shard) ="
	    "  (c.projection, c.build, c.shard))",
	    "DELETE FROM @lunette_parked",
	    "DELETE FROM @lunette_skipped",
	    "DELETE FROM @lunette_scripts",
	};

	return run_each(
	    m, key, statements, sizeof statements / sizeof statements[0], err);
}

static enum lun_code
unpause_projection(struct pg_models *m, struct lun_key key, struct lun_err *err)
{
	lun_pg_add_name(m, key.projection);
	return lun_pg_run(m,
	    "UPDATE @lunette_projections SET paused = false,"
	    " revision = revision + 1 WHERE name = $1 AND paused",
	    NULL, err);
}

static enum lun_code
remake_build(struct pg_models *m, struct lun_key key,
    const struct lun_schema *schema, struct lun_err *err)
{
	bool is_live;
	enum lun_code code = hold_projection(m, key, &is_live, err);

	if (code == LUN_OK)
		code = unpause_projection(m, key, err);
	if (code == LUN_OK)
		code = drop_models(m, key, err);
	if (code == LUN_OK)
		code = empty_build(m, key, err);
	return code == LUN_OK ? make_build(m, key, schema, is_live, err) : code;
}

static enum lun_code
reset_projection(struct pg_models *m, struct lun_key key,
    const struct lun_schema *schema, struct lun_guard guard,
    struct lun_err *err)
{
	struct lun_guard stored;
	enum lun_code code = hold_leases(m, key, err);
	bool defined;

	if (code == LUN_OK)
		code = lun_pg_read_guard(m, key, &stored, &defined, err);
	if (code == LUN_OK)
		code = lun_model_store_check_guard(key.projection, guard,
		    stored.expected_revision, stored.fence, err);
	if (code == LUN_OK)
		code = raise_fences(m, key, false, err);
	if (code == LUN_OK)
		code = remake_build(m, key, schema, err);
	guard.expected_revision++;
	if (code == LUN_OK && !defined)
		code = insert_checkpoint(m, key, guard, err);
	return code;
}

enum lun_code
lun_pg_reset(struct lun_model_store *store, struct lun_key key,
    const struct lun_schema *schema, struct lun_guard guard,
    struct lun_err *err)
{
	struct pg_models *m = lun_pg_models_enter(store);
	enum lun_code code;

	lun_pg_end_indexing(m, key);
	code = lun_pg_models_begin(m, key, err);
	if (code == LUN_OK)
		code = lun_pg_models_end(
		    m, reset_projection(m, key, schema, guard, err), err);
	return lun_pg_models_leave(m, code);
}

/* ---- drop -------------------------------------------------------------- */

static enum lun_code
delete_engine_rows(struct pg_models *m, struct lun_key all, struct lun_err *err)
{
	static const char *const statements[] = {
	    "DELETE FROM @lunette_builds",
	    "DELETE FROM @lunette_checkpoints",
	    "DELETE FROM @lunette_parked",
	    "DELETE FROM @lunette_skipped",
	    "DELETE FROM @lunette_scripts",
	    "DELETE FROM @lunette_heartbeats",
	};
	enum lun_code code;

	lun_pg_add_name(m, all.projection);
	code = lun_pg_run(m,
	    "UPDATE @lunette_projections SET live_build = NULL,"
	    " paused = false, revision = revision + 1 WHERE name = $1",
	    NULL, err);
	if (code == LUN_OK)
		code = drop_models(m, all, err);
	if (code != LUN_OK)
		return code;
	return run_each(
	    m, all, statements, sizeof statements / sizeof statements[0], err);
}

static enum lun_code
drop_projection(struct pg_models *m, struct lun_key key, struct lun_guard guard,
    struct lun_err *err)
{
	struct lun_key all = {.projection = key.projection};
	enum lun_code code = hold_leases(m, all, err);

	if (code == LUN_OK)
		code = lun_pg_check_guard(m, key, guard, err);
	if (code == LUN_OK)
		code = raise_fences(m, key, true, err);
	return code == LUN_OK ? delete_engine_rows(m, all, err) : code;
}

enum lun_code
lun_pg_drop(struct lun_model_store *store, struct lun_key key,
    struct lun_guard guard, struct lun_err *err)
{
	struct lun_key all = {.projection = key.projection};
	struct pg_models *m = lun_pg_models_enter(store);
	enum lun_code code;

	lun_pg_end_indexing(m, all);
	m->last_commit.revision = 0; /* revisions begin again at 1 */
	code = lun_pg_models_begin(m, key, err);
	if (code == LUN_OK)
		code = lun_pg_models_end(
		    m, drop_projection(m, key, guard, err), err);
	return lun_pg_models_leave(m, code);
}
