/* models_define.c - making, emptying and dropping builds. */

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "sqlite/models.h"

#define POSITION_START "'00000000000000000000000000000000'"

static enum lun_code
no_memory(struct sqlite_models *m, struct lun_err *err)
{
	return lun_fail(
	    err, LUN_NOMEM, "%s: out of memory", lun_sqlite_path(m->c));
}

/* ---- the table of a build ---------------------------------------------- */

static const char *
column_type(enum lun_field_type type)
{
	switch (type) {
	case LUN_FIELD_INTEGER:
	case LUN_FIELD_BOOLEAN:
		return "INTEGER";
	case LUN_FIELD_NUMBER:
		return "REAL";
	case LUN_FIELD_TEXT:
	case LUN_FIELD_TIMESTAMP:
	case LUN_FIELD_JSON:
		break;
	}
	return "TEXT";
}

static bool
has_json(const struct lun_schema *schema)
{
	for (size_t i = 0; i < schema->field_count; i++)
		if (schema->fields[i].type == LUN_FIELD_JSON)
			return true;
	return false;
}

/*
 * An id that is an integer is the rowid. With one that is a text, small rows
 * are written a tenth to a third faster without a rowid; large ones, which
 * json makes likely, would make the tree too deep.
 */
static bool
has_rowid(const struct lun_schema *schema)
{
	return schema->key_type == LUN_FIELD_INTEGER || has_json(schema);
}

static void
add_table_sql(
    struct lun_buffer *sql, struct lun_key key, const struct lun_schema *schema)
{
	lun_buffer_printf(sql, "CREATE TABLE ");
	lun_sqlite_add_table(sql, key);
	lun_buffer_printf(sql, " (\"id\" %s PRIMARY KEY NOT NULL",
	    column_type(schema->key_type));
	for (size_t i = 0; i < schema->field_count; i++) {
		const struct lun_field *field =
		    &schema->fields[lun_schema_column(schema, i)];

		lun_buffer_printf(sql, ", ");
		lun_sql_quote(sql, field->name);
		lun_buffer_printf(sql, " %s", column_type(field->type));
	}
	lun_buffer_printf(
	    sql, has_rowid(schema) ? ");\n" : ") WITHOUT ROWID;\n");
}

enum lun_code
lun_sqlite_exec_buffer(
    struct sqlite_models *m, struct lun_buffer *sql, struct lun_err *err)
{
	enum lun_code code;

	lun_buffer_add_byte(sql, '\0');
	if (sql->failed)
		code = lun_fail(
		    err, LUN_NOMEM, "%s: out of memory", lun_sqlite_path(m->c));
	else
		code = lun_sqlite_exec(m->c, sql->bytes, err);
	lun_buffer_free(sql);
	return code;
}

static enum lun_code
make_models(struct sqlite_models *m, struct lun_key key,
    const struct lun_schema *schema, struct lun_err *err)
{
	char table[LUN_NAME_MAX + 24];
	struct lun_buffer sql = {0};
	enum lun_code code;

	snprintf(
	    table, sizeof table, "%s__b%" PRId64, key.projection, key.build);
	code = lun_sqlite_check_free(m, key.projection, table, err);
	if (code != LUN_OK)
		return code;
	add_table_sql(&sql, key, schema);
	code = lun_sqlite_exec_buffer(m, &sql, err);
	for (size_t i = 0; code == LUN_OK && i < schema->index_count; i++)
		code = lun_sqlite_make_index(m, key, schema, i, err);
	return code;
}

/* ---- the views of the live build --------------------------------------- */

/* Version 0: the projection's own name. */
static void
write_view_name(
    char name[LUN_NAME_MAX + 24], const char *projection, int version)
{
	if (version > 0)
		snprintf(
		    name, LUN_NAME_MAX + 24, "%s__v%d", projection, version);
	else
		snprintf(name, LUN_NAME_MAX + 24, "%s", projection);
}

static void
add_view_sql(struct lun_buffer *sql, struct lun_key key,
    const struct lun_schema *schema, const char *name)
{
	lun_buffer_printf(sql, "CREATE VIEW ");
	lun_sql_quote(sql, name);
	lun_buffer_printf(sql, " AS SELECT ");
	lun_sql_add_view_columns(sql, schema);
	lun_buffer_printf(sql, " FROM ");
	lun_sqlite_add_table(sql, key);
}

/* A view that says the same stays, and with it what others hung on it. */
static enum lun_code
find_view(struct sqlite_models *m, const char *name,
    const struct lun_buffer *sql, bool *stands, struct lun_err *err)
{
	sqlite3_stmt *q = NULL;
	enum lun_code code;

	if (sql->failed)
		return no_memory(m, err);
	code = lun_sqlite_statement(m,
	    "SELECT 1 FROM sqlite_schema"
	    " WHERE type = 'view' AND name = ?1 AND sql = ?2",
	    &q, err);
	if (code != LUN_OK)
		return code;
	lun_sqlite_bind_text(m->c, q, 1, lun_text_of(name));
	lun_sqlite_bind_text(m->c, q, 2, lun_buffer_text(sql));
	code = lun_sqlite_step(m->c, q, err);
	*stands = code == LUN_OK;
	lun_sqlite_done(q);
	return code == LUN_NOTFOUND ? LUN_OK : code;
}

static enum lun_code
make_view(struct sqlite_models *m, struct lun_key key,
    const struct lun_schema *schema, const char *name, struct lun_err *err)
{
	struct lun_buffer sql = {0};
	bool stands = false;
	enum lun_code code;

	add_view_sql(&sql, key, schema, name);
	code = find_view(m, name, &sql, &stands, err);
	if (code == LUN_OK && !stands)
		code = lun_sqlite_check_free(m, key.projection, name, err);
	if (code == LUN_OK && !stands)
		return lun_sqlite_exec_buffer(m, &sql, err);
	lun_buffer_free(&sql);
	return code;
}

static enum lun_code
make_views(struct sqlite_models *m, struct lun_key key,
    const struct lun_schema *schema, struct lun_err *err)
{
	const int versions[] = {0, schema->version};
	char name[LUN_NAME_MAX + 24];
	enum lun_code code = LUN_OK;

	for (size_t i = 0; code == LUN_OK && i < 2; i++) {
		write_view_name(name, key.projection, versions[i]);
		code = make_view(m, key, schema, name, err);
	}
	return code;
}

/* next: what the build will have; its views stay. NULL: nothing. */
static enum lun_code
add_view_drops(struct sqlite_models *m, struct lun_buffer *drops,
    struct lun_key key, int version, const struct lun_schema *next,
    struct lun_err *err)
{
	const int versions[] = {0, version};
	char name[LUN_NAME_MAX + 24];
	enum lun_code code = LUN_OK;

	for (size_t i = 0; code == LUN_OK && i < 2; i++) {
		struct lun_buffer sql = {0};
		bool stays = false;

		write_view_name(name, key.projection, versions[i]);
		if (next != NULL &&
		    (versions[i] == 0 || versions[i] == next->version)) {
			add_view_sql(&sql, key, next, name);
			code = find_view(m, name, &sql, &stays, err);
		}
		lun_buffer_free(&sql);
		if (stays)
			continue;
		lun_buffer_printf(drops, "DROP VIEW IF EXISTS ");
		lun_sql_quote(drops, name);
		lun_buffer_add_byte(drops, ';');
	}
	return code;
}

/* ---- rows of the engine's tables --------------------------------------- */

/* A statement about the key's parts that it names. */
static enum lun_code
run_for_key(struct sqlite_models *m, const char *sql, struct lun_key key,
    struct lun_err *err)
{
	sqlite3_stmt *q = NULL;
	enum lun_code code = lun_sqlite_statement(m, sql, &q, err);

	if (code != LUN_OK)
		return code;
	lun_sqlite_bind_text(m->c, q, 1, lun_text_of(key.projection));
	if (sqlite3_bind_parameter_count(q) >= 2)
		lun_sqlite_bind_integer(m->c, q, 2, key.build);
	if (sqlite3_bind_parameter_count(q) >= 3)
		lun_sqlite_bind_integer(m->c, q, 3, key.shard);
	code = lun_sqlite_run(m->c, q, err);
	lun_sqlite_done(q);
	return code;
}

static enum lun_code
run_all_for_key(struct sqlite_models *m, const char *const *statements,
    size_t count, struct lun_key key, struct lun_err *err)
{
	enum lun_code code = LUN_OK;

	for (size_t i = 0; code == LUN_OK && i < count; i++)
		code = run_for_key(m, statements[i], key, err);
	return code;
}

/* The first build that a projection has is its live one. */
static enum lun_code
add_to_projection(struct sqlite_models *m, struct lun_key key, bool *is_live,
    struct lun_err *err)
{
	sqlite3_stmt *q = NULL;
	enum lun_code code;

	code = lun_sqlite_statement(m,
	    "INSERT INTO lunette_projections"
	    " (name, live_build, last_build, revision) VALUES (?1, ?2, ?2, 1)"
	    " ON CONFLICT (name) DO UPDATE SET"
	    " live_build = coalesce(live_build, ?2),"
	    " last_build = max(last_build, ?2) RETURNING live_build = ?2",
	    &q, err);
	if (code != LUN_OK)
		return code;
	lun_sqlite_bind_text(m->c, q, 1, lun_text_of(key.projection));
	lun_sqlite_bind_integer(m->c, q, 2, key.build);
	code = lun_sqlite_step(m->c, q, err);
	if (code == LUN_OK)
		*is_live = sqlite3_column_int(q, 0) != 0;
	lun_sqlite_done(q);
	return code;
}

static enum lun_code
insert_build(struct sqlite_models *m, struct lun_key key,
    const struct lun_schema *schema, bool is_live, struct lun_err *err)
{
	struct lun_buffer described = {0};
	sqlite3_stmt *q = NULL;
	enum lun_code code;

	lun_schema_describe(schema, &described);
	code = described.failed ? no_memory(m, err) : LUN_OK;
	if (code == LUN_OK)
		code = lun_sqlite_statement(m,
		    "INSERT INTO lunette_builds"
		    " (projection, build, version, state, made_at, schema)"
		    " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
		    &q, err);
	if (code == LUN_OK) {
		lun_sqlite_bind_text(m->c, q, 1, lun_text_of(key.projection));
		lun_sqlite_bind_integer(m->c, q, 2, key.build);
		lun_sqlite_bind_integer(m->c, q, 3, schema->version);
		lun_sqlite_bind_text(m->c, q, 4,
		    is_live ? LUN_TEXT("live") : LUN_TEXT("building"));
		lun_sqlite_bind_integer(m->c, q, 5, lun_clock_wall_us());
		lun_sqlite_bind_text(m->c, q, 6, lun_buffer_text(&described));
		code = lun_sqlite_run(m->c, q, err);
	}
	lun_sqlite_done(q);
	lun_buffer_free(&described);
	return code;
}

/* At the start; one that is there stays as it is. */
static enum lun_code
insert_checkpoint(
    struct sqlite_models *m, struct lun_key key, struct lun_err *err)
{
	return run_for_key(m,
	    "INSERT INTO lunette_checkpoints"
	    " (projection, build, shard, position, revision)"
	    " VALUES (?1, ?2, ?3, " POSITION_START ", 1)"
	    " ON CONFLICT DO NOTHING",
	    key, err);
}

/* ---- making ------------------------------------------------------------ */

static enum lun_code
start_build(struct sqlite_models *m, struct lun_key key,
    const struct lun_schema *schema, struct lun_err *err)
{
	enum lun_code code;
	bool is_live;

	code = add_to_projection(m, key, &is_live, err);
	if (code == LUN_OK)
		code = make_models(m, key, schema, err);
	if (code == LUN_OK && is_live)
		code = make_views(m, key, schema, err);
	if (code == LUN_OK)
		code = insert_build(m, key, schema, is_live, err);
	return code;
}

static enum lun_code
define_projection(struct sqlite_models *m, struct lun_key key,
    const struct lun_schema *schema, int64_t fence, struct lun_err *err)
{
	struct sqlite_shard stored;
	struct lun_err why;
	enum lun_code code = lun_sqlite_read_shard(m, key, &stored, err);

	if (code == LUN_OK)
		code = lun_model_store_check_fence(
		    key.projection, fence, stored.fence, err);
	if (code != LUN_OK)
		return code;
	code = lun_sqlite_check_schema(m, key, schema, &why);
	if (code == LUN_NOTFOUND)
		code = start_build(m, key, schema, err);
	else if (code != LUN_OK && err != NULL)
		*err = why;
	if (code == LUN_OK && !stored.defined)
		code = insert_checkpoint(m, key, err);
	return code;
}

enum lun_code
lun_sqlite_define(struct lun_model_store *store, struct lun_key key,
    const struct lun_schema *schema, int64_t fence, struct lun_err *err)
{
	struct sqlite_models *m = sqlite_models_of(store);
	enum lun_code code = lun_sqlite_begin(m->c, err);

	if (code != LUN_OK)
		return code;
	return lun_sqlite_end(
	    m, define_projection(m, key, schema, fence, err), err);
}

/* ---- beginning anew and forgetting ------------------------------------- */

/*
 * The tables of a build, of all for build 0, and the views of the live one,
 * unless the next schema has the same.
 */
static enum lun_code
collect_drops(struct sqlite_models *m, struct lun_key key,
    const struct lun_schema *next, struct lun_buffer *sql, struct lun_err *err)
{
	sqlite3_stmt *q = NULL;
	enum lun_code code;

	code = lun_sqlite_statement(m,
	    "SELECT build, version, build = live_build FROM lunette_builds"
	    " JOIN lunette_projections ON name = projection"
	    " WHERE projection = ?1 AND ?2 IN (0, build)",
	    &q, err);
	if (code != LUN_OK)
		return code;
	lun_sqlite_bind_text(m->c, q, 1, lun_text_of(key.projection));
	lun_sqlite_bind_integer(m->c, q, 2, key.build);
	while (lun_sqlite_next(m, q, &code, err)) {
		key.build = sqlite3_column_int64(q, 0);
		if (sqlite3_column_int(q, 2) != 0)
			code = add_view_drops(
			    m, sql, key, sqlite3_column_int(q, 1), next, err);
		lun_buffer_printf(sql, "DROP TABLE IF EXISTS ");
		lun_sqlite_add_table(sql, key);
		lun_buffer_add_byte(sql, ';');
	}
	lun_sqlite_done(q);
	return code;
}

static enum lun_code
drop_models(struct sqlite_models *m, struct lun_key key,
    const struct lun_schema *next, struct lun_err *err)
{
	struct lun_buffer sql = {0};
	enum lun_code code = collect_drops(m, key, next, &sql, err);

	if (code == LUN_OK)
		return lun_sqlite_exec_buffer(m, &sql, err);
	lun_buffer_free(&sql);
	return code;
}

/* Everything of a build but its number and its shards' revisions and fences. */
static enum lun_code
empty_build(struct sqlite_models *m, struct lun_key key,
    const struct lun_schema *next, struct lun_err *err)
{
	static const char *const statements[] = {
	    "DELETE FROM lunette_parked WHERE projection = ?1 AND build = ?2",
	    "DELETE FROM lunette_skipped WHERE projection = ?1 AND build = ?2",
	    "DELETE FROM lunette_scripts WHERE projection = ?1 AND build = ?2",
	    "DELETE FROM lunette_builds WHERE projection = ?1 AND build = ?2",
	    "UPDATE lunette_checkpoints SET position = " POSITION_START ","
	    " revision = revision + 1, rows_revision = revision + 1,"
	    " identity = '', bundle_hash = '',"
	    " committed_at = 0, skipped_count = 0, source_state = NULL"
	    " WHERE projection = ?1 AND build = ?2",
	    "UPDATE lunette_owners SET fence = fence + 1"
	    " WHERE projection = ?1 AND build = ?2 AND shard <> ?3",
	    "UPDATE lunette_projections SET paused = 0,"
	    " revision = revision + 1 WHERE name = ?1 AND paused",
	};
	enum lun_code code = drop_models(m, key, next, err);

	if (code != LUN_OK)
		return code;
	return run_all_for_key(
	    m, statements, sizeof statements / sizeof statements[0], key, err);
}

/* A shard that is not there has revision 0. */
static enum lun_code
reset_projection(struct sqlite_models *m, struct lun_key key,
    const struct lun_schema *schema, struct lun_guard guard,
    struct lun_err *err)
{
	struct sqlite_shard stored;
	enum lun_code code = lun_sqlite_read_shard(m, key, &stored, err);

	if (code == LUN_OK)
		code = lun_model_store_check_guard(
		    key.projection, guard, stored.revision, stored.fence, err);
	if (code == LUN_OK)
		code = empty_build(m, key, schema, err);
	if (code == LUN_OK)
		code = start_build(m, key, schema, err);
	if (code == LUN_OK)
		code = insert_checkpoint(m, key, err);
	return code;
}

enum lun_code
lun_sqlite_reset(struct lun_model_store *store, struct lun_key key,
    const struct lun_schema *schema, struct lun_guard guard,
    struct lun_err *err)
{
	struct sqlite_models *m = sqlite_models_of(store);
	enum lun_code code = lun_sqlite_begin(m->c, err);

	if (code != LUN_OK)
		return code;
	return lun_sqlite_end(
	    m, reset_projection(m, key, schema, guard, err), err);
}

static enum lun_code
drop_projection(struct sqlite_models *m, struct lun_key key,
    struct lun_guard guard, struct lun_err *err)
{
	static const char *const statements[] = {
	    "DELETE FROM lunette_parked WHERE projection = ?1",
	    "DELETE FROM lunette_skipped WHERE projection = ?1",
	    "DELETE FROM lunette_scripts WHERE projection = ?1",
	    "DELETE FROM lunette_checkpoints WHERE projection = ?1",
	    "DELETE FROM lunette_builds WHERE projection = ?1",
	    "DELETE FROM lunette_heartbeats WHERE projection = ?1",
	    "UPDATE lunette_owners SET fence = fence + 1"
	    " WHERE projection = ?1 AND NOT (build = ?2 AND shard = ?3)",
	    "UPDATE lunette_projections SET live_build = NULL, paused = 0,"
	    " revision = revision + 1 WHERE name = ?1",
	};
	enum lun_code code = lun_sqlite_check_guard(m, key, guard, err);

	if (code == LUN_OK)
		code = drop_models(
		    m, (struct lun_key){key.projection, 0, 0}, NULL, err);
	if (code != LUN_OK)
		return code;
	return run_all_for_key(
	    m, statements, sizeof statements / sizeof statements[0], key, err);
}

enum lun_code
lun_sqlite_drop(struct lun_model_store *store, struct lun_key key,
    struct lun_guard guard, struct lun_err *err)
{
	struct sqlite_models *m = sqlite_models_of(store);
	enum lun_code code = lun_sqlite_begin(m->c, err);

	if (code != LUN_OK)
		return code;
	return lun_sqlite_end(m, drop_projection(m, key, guard, err), err);
}
