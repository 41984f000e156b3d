/* models_define.c - making and dropping the tables of a model store. */

#include <stdio.h>

#include "sqlite/models.h"

/*
 * The engine's own tables. Moments in them are whole microseconds since 1970
 * UTC, as in the table of events; for people:
 *   SELECT name, datetime(committed_at / 1000000, 'unixepoch') FROM
 *   lunette_projections;
 * Positions are 32 hexadecimal digits, which sort as the positions do. The
 * fence of a projection outlives it, so it has a table of its own.
 */
#define SET_ASIDE_COLUMNS                                                      \
	"  number INTEGER PRIMARY KEY AUTOINCREMENT,\n"                        \
	"  projection TEXT NOT NULL,\n"                                        \
	"  model_id TEXT,\n"                                                   \
	"  error TEXT NOT NULL,\n"                                             \
	"  at INTEGER NOT NULL,\n"                                             \
	"  position TEXT NOT NULL,\n"                                          \
	"  event_id TEXT NOT NULL,\n"                                          \
	"  stream TEXT NOT NULL,\n"                                            \
	"  version INTEGER NOT NULL,\n"                                        \
	"  type TEXT NOT NULL,\n"                                              \
	"  recorded_at INTEGER NOT NULL,\n"                                    \
	"  data TEXT NOT NULL,\n"                                              \
	"  metadata TEXT"

static const char own_tables[] =
    "CREATE TABLE IF NOT EXISTS lunette_projections (\n"
    "  name TEXT PRIMARY KEY NOT NULL,\n"
    "  version INTEGER NOT NULL,\n"
    "  position TEXT NOT NULL,\n"
    "  revision INTEGER NOT NULL,\n"
    "  paused INTEGER NOT NULL DEFAULT 0,\n"
    "  identity TEXT NOT NULL DEFAULT '',\n" /* of the event store */
    "  script_hash TEXT NOT NULL DEFAULT '',\n"
    "  script_count INTEGER NOT NULL DEFAULT 0,\n"
    "  committed_at INTEGER NOT NULL DEFAULT 0,\n"
    "  skipped_count INTEGER NOT NULL DEFAULT 0,\n"
    "  schema TEXT NOT NULL,\n"
    "  source_state BLOB);"

    "CREATE TABLE IF NOT EXISTS lunette_owners (\n"
    "  projection TEXT PRIMARY KEY NOT NULL,\n"
    "  fence INTEGER NOT NULL,\n"
    "  owner TEXT NOT NULL,\n" /* the last one; it may be gone */
    "  acquired_at INTEGER NOT NULL);"

    "CREATE TABLE IF NOT EXISTS lunette_parked (\n" SET_ASIDE_COLUMNS ");"
    "CREATE INDEX IF NOT EXISTS lunette_parked_by_model"
    " ON lunette_parked (projection, model_id, number);"

    "CREATE TABLE IF NOT EXISTS lunette_skipped (\n" SET_ASIDE_COLUMNS ");"
    "CREATE INDEX IF NOT EXISTS lunette_skipped_by_projection"
    " ON lunette_skipped (projection, number);"

    "CREATE TABLE IF NOT EXISTS lunette_requests (\n"
    "  number INTEGER PRIMARY KEY AUTOINCREMENT,\n"
    "  projection TEXT NOT NULL,\n"
    "  kind TEXT NOT NULL,\n"
    "  argument TEXT NOT NULL,\n"
    "  posted_at INTEGER NOT NULL,\n"
    "  finished_at INTEGER,\n" /* null: it waits */
    "  outcome TEXT,\n"
    "  message TEXT);"
    "CREATE INDEX IF NOT EXISTS lunette_requests_waiting"
    " ON lunette_requests (projection, number) WHERE finished_at IS NULL;"

    /* The last one made: where it is, all of them are. */
    "CREATE TABLE IF NOT EXISTS lunette_heartbeats (\n"
    "  projection TEXT PRIMARY KEY NOT NULL,\n"
    "  owner TEXT NOT NULL,\n"
    "  state TEXT NOT NULL,\n"
    "  waiting_for TEXT NOT NULL,\n"
    "  last_error TEXT NOT NULL,\n"
    "  events_per_second REAL NOT NULL,\n"
    "  at INTEGER NOT NULL)";

/* ---- what is there ----------------------------------------------------- */

/* LUN_OK, or LUN_NOTFOUND (err untouched). */
static enum lun_code
find_object(struct sqlite_models *m, const char *name, char kind[16],
    struct lun_err *err)
{
	sqlite3_stmt *q = NULL;
	enum lun_code code;

	code = lun_sqlite_statement(m,
	    "SELECT type FROM sqlite_schema"
	    " WHERE name = ?1 COLLATE NOCASE",
	    &q, err);
	if (code != LUN_OK)
		return code;
	lun_sqlite_bind_text(&m->c, q, 1, lun_text_of(name));
	code = lun_sqlite_step(&m->c, q, err);
	if (code == LUN_OK)
		lun_sqlite_copy_column(q, 0, kind, 16);
	lun_sqlite_done(q);
	return code;
}

static enum lun_code
check_free(struct sqlite_models *m, const struct lun_schema *schema,
    const char *name, struct lun_err *err)
{
	char kind[16];
	enum lun_code code = find_object(m, name, kind, err);

	if (code == LUN_NOTFOUND)
		return LUN_OK;
	if (code != LUN_OK)
		return code;
	return lun_fail(err, LUN_CONFIG,
	    "define \"%s\": %s has a %s \"%s\" already that is not this "
	    "projection's; rename it or the projection",
	    schema->projection, lun_sqlite_path(&m->c), kind, name);
}

enum lun_code
lun_sqlite_make_tables(struct sqlite_models *m, struct lun_err *err)
{
	char kind[16];
	enum lun_code code;

	code = find_object(m, "lunette_heartbeats", kind, err);
	if (code != LUN_NOTFOUND)
		return code;
	if (m->c.must_exist)
		return lun_fail(err, LUN_CONFIG,
		    "no models yet: %s holds none: \"lunette run\" makes them",
		    lun_sqlite_path(&m->c));
	code = lun_sqlite_begin(&m->c, err);
	if (code != LUN_OK)
		return code;
	code = lun_sqlite_exec(&m->c, own_tables, err);
	return lun_sqlite_end(m, code, err);
}

/* ---- the tables of a projection ---------------------------------------- */

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
 * Small rows are written a tenth to a third faster without a rowid; large
 * ones, which json makes likely, would make the tree too deep.
 */
static void
add_table_sql(struct lun_buffer *sql, const struct lun_schema *schema)
{
	lun_buffer_printf(sql, "CREATE TABLE ");
	lun_sqlite_add_table(sql, schema);
	lun_buffer_printf(sql, " (\"id\" TEXT PRIMARY KEY NOT NULL");
	for (size_t i = 0; i < schema->field_count; i++) {
		lun_buffer_printf(sql, ", ");
		lun_sql_quote(sql, schema->fields[i].name);
		lun_buffer_printf(
		    sql, " %s", column_type(schema->fields[i].type));
	}
	lun_buffer_printf(
	    sql, has_json(schema) ? ");\n" : ") WITHOUT ROWID;\n");
}

static void
add_view_sql(struct lun_buffer *sql, const struct lun_schema *schema)
{
	lun_buffer_printf(sql, "CREATE VIEW ");
	lun_sql_quote(sql, schema->projection);
	lun_buffer_printf(sql, " AS SELECT ");
	lun_sql_add_columns(sql, schema);
	lun_buffer_printf(sql, " FROM ");
	lun_sqlite_add_table(sql, schema);
	lun_buffer_printf(sql, ";\n");
}

/* <table>__<field>__<field> */
static void
add_index_name(struct lun_buffer *name, const struct lun_schema *schema,
    const struct lun_index *index)
{
	lun_buffer_printf(name, "%s__v%d", schema->projection, schema->version);
	for (size_t i = 0; i < index->count; i++)
		lun_buffer_printf(
		    name, "__%s", schema->fields[index->fields[i]].name);
}

static void
add_index_sql(struct lun_buffer *sql, const struct lun_schema *schema,
    const struct lun_index *index, const char *name)
{
	lun_buffer_printf(sql, "CREATE INDEX ");
	lun_sql_quote(sql, name);
	lun_buffer_printf(sql, " ON ");
	lun_sqlite_add_table(sql, schema);
	for (size_t i = 0; i < index->count; i++) {
		lun_buffer_printf(sql, i == 0 ? " (" : ", ");
		lun_sql_quote(sql, schema->fields[index->fields[i]].name);
	}
	lun_buffer_printf(sql, ");\n");
}

static enum lun_code
exec_buffer(
    struct sqlite_models *m, struct lun_buffer *sql, struct lun_err *err)
{
	enum lun_code code;

	lun_buffer_add_byte(sql, '\0');
	if (sql->failed)
		code = lun_fail(err, LUN_NOMEM, "%s: out of memory",
		    lun_sqlite_path(&m->c));
	else
		code = lun_sqlite_exec(&m->c, sql->bytes, err);
	lun_buffer_free(sql);
	return code;
}

static enum lun_code
make_index(struct sqlite_models *m, const struct lun_schema *schema,
    const struct lun_index *index, struct lun_err *err)
{
	struct lun_buffer name = {0}, sql = {0};
	enum lun_code code;

	add_index_name(&name, schema, index);
	lun_buffer_add_byte(&name, '\0');
	if (name.failed)
		code = lun_fail(err, LUN_NOMEM, "%s: out of memory",
		    lun_sqlite_path(&m->c));
	else
		code = check_free(m, schema, name.bytes, err);
	if (code == LUN_OK) {
		add_index_sql(&sql, schema, index, name.bytes);
		code = exec_buffer(m, &sql, err);
	}
	lun_buffer_free(&name);
	return code;
}

static enum lun_code
make_models(struct sqlite_models *m, const struct lun_schema *schema,
    struct lun_err *err)
{
	char table[LUN_NAME_MAX + 24];
	struct lun_buffer sql = {0};
	enum lun_code code;

	snprintf(table, sizeof table, "%s__v%d", schema->projection,
	    schema->version);
	code = check_free(m, schema, table, err);
	if (code == LUN_OK)
		code = check_free(m, schema, schema->projection, err);
	if (code != LUN_OK)
		return code;
	add_table_sql(&sql, schema);
	add_view_sql(&sql, schema);
	code = exec_buffer(m, &sql, err);
	for (size_t i = 0; code == LUN_OK && i < schema->index_count; i++)
		code = make_index(m, schema, &schema->indexes[i], err);
	return code;
}

/* The projection's view, and its tables of any version. */
static enum lun_code
collect_drops(struct sqlite_models *m, const char *projection,
    struct lun_buffer *sql, struct lun_err *err)
{
	sqlite3_stmt *q = NULL;
	enum lun_code code;

	code = lun_sqlite_statement(m,
	    "SELECT type, name FROM sqlite_schema"
	    " WHERE (type = 'view' AND name = ?1)"
	    " OR (type = 'table'"
	    "  AND substr(name, 1, length(?1) + 3) = ?1 || '__v'"
	    "  AND substr(name, length(?1) + 4) <> ''"
	    "  AND NOT substr(name, length(?1) + 4) GLOB '*[^0-9]*')"
	    " ORDER BY type DESC",
	    &q, err);
	if (code != LUN_OK)
		return code;
	lun_sqlite_bind_text(&m->c, q, 1, lun_text_of(projection));
	while (lun_sqlite_next(m, q, &code, err)) {
		lun_buffer_printf(
		    sql, "DROP %s ", (const char *)sqlite3_column_text(q, 0));
		lun_sql_quote(sql, (const char *)sqlite3_column_text(q, 1));
		lun_buffer_add_byte(sql, ';');
	}
	lun_sqlite_done(q);
	return code;
}

static enum lun_code
delete_from(struct sqlite_models *m, const char *sql, const char *projection,
    struct lun_err *err)
{
	sqlite3_stmt *q = NULL;
	enum lun_code code = lun_sqlite_statement(m, sql, &q, err);

	if (code != LUN_OK)
		return code;
	lun_sqlite_bind_text(&m->c, q, 1, lun_text_of(projection));
	code = lun_sqlite_run(&m->c, q, err);
	lun_sqlite_done(q);
	return code;
}

/* Models, events set aside and checkpoint; the fence stays. */
static enum lun_code
forget(struct sqlite_models *m, const char *projection, struct lun_err *err)
{
	static const char *const deletes[] = {
	    "DELETE FROM lunette_parked WHERE projection = ?1",
	    "DELETE FROM lunette_skipped WHERE projection = ?1",
	    "DELETE FROM lunette_projections WHERE name = ?1",
	};
	struct lun_buffer sql = {0};
	enum lun_code code = collect_drops(m, projection, &sql, err);

	if (code != LUN_OK) {
		lun_buffer_free(&sql);
		return code;
	}
	code = exec_buffer(m, &sql, err);
	for (size_t i = 0; code == LUN_OK && i < 3; i++)
		code = delete_from(m, deletes[i], projection, err);
	return code;
}

static enum lun_code
insert_projection(struct sqlite_models *m, const struct lun_schema *schema,
    struct lun_text described, int64_t revision, struct lun_err *err)
{
	char hex[LUN_POSITION_HEX_SIZE];
	sqlite3_stmt *q = NULL;
	enum lun_code code;

	code = lun_sqlite_statement(m,
	    "INSERT INTO lunette_projections"
	    " (name, version, schema, position, revision)"
	    " VALUES (?1, ?2, ?3, ?4, ?5)",
	    &q, err);
	if (code != LUN_OK)
		return code;
	lun_position_to_hex(LUN_POSITION_START, hex);
	lun_sqlite_bind_text(&m->c, q, 1, lun_text_of(schema->projection));
	lun_sqlite_bind_integer(&m->c, q, 2, schema->version);
	lun_sqlite_bind_text(&m->c, q, 3, described);
	lun_sqlite_bind_text(&m->c, q, 4, lun_text_of(hex));
	lun_sqlite_bind_integer(&m->c, q, 5, revision);
	code = lun_sqlite_run(&m->c, q, err);
	lun_sqlite_done(q);
	return code;
}

static enum lun_code
start(struct sqlite_models *m, const struct lun_schema *schema,
    int64_t revision, struct lun_err *err)
{
	struct lun_buffer text = {0};
	enum lun_code code = make_models(m, schema, err);

	if (code != LUN_OK)
		return code;
	lun_schema_describe(schema, &text);
	if (text.failed)
		code = lun_fail(err, LUN_NOMEM, "%s: out of memory",
		    lun_sqlite_path(&m->c));
	else
		code = insert_projection(
		    m, schema, lun_buffer_text(&text), revision, err);
	lun_buffer_free(&text);
	return code;
}

/* ---- the methods ------------------------------------------------------- */

static enum lun_code
define(struct sqlite_models *m, const struct lun_schema *schema, int64_t fence,
    struct lun_err *err)
{
	struct lun_guard stored;
	enum lun_code code;
	bool defined;

	code = lun_sqlite_read_guard(
	    m, schema->projection, &stored, &defined, err);
	if (code == LUN_OK)
		code = lun_model_store_check_fence(
		    schema->projection, fence, stored.fence, err);
	if (code != LUN_OK)
		return code;
	return defined ? lun_sqlite_check_schema(m, schema, err)
		       : start(m, schema, 1, err);
}

enum lun_code
lun_sqlite_define(struct lun_model_store *store, struct lun_key key,
    const struct lun_schema *schema, int64_t fence, struct lun_err *err)
{
	(void)key;
	struct sqlite_models *m = sqlite_models_of(store);
	enum lun_code code = lun_sqlite_begin(&m->c, err);

	if (code != LUN_OK)
		return code;
	return lun_sqlite_end(m, define(m, schema, fence, err), err);
}

static enum lun_code
reset(struct sqlite_models *m, const struct lun_schema *schema,
    struct lun_guard guard, struct lun_err *err)
{
	struct lun_guard stored;
	enum lun_code code;
	bool defined;

	code = lun_sqlite_read_guard(
	    m, schema->projection, &stored, &defined, err);
	if (code == LUN_OK)
		code = lun_model_store_check_guard(schema->projection, guard,
		    stored.expected_revision, stored.fence, err);
	if (code == LUN_OK && defined)
		code = forget(m, schema->projection, err);
	if (code == LUN_OK)
		code = start(m, schema, guard.expected_revision + 1, err);
	return code;
}

enum lun_code
lun_sqlite_reset(struct lun_model_store *store, struct lun_key key,
    const struct lun_schema *schema, struct lun_guard guard,
    struct lun_err *err)
{
	(void)key;
	struct sqlite_models *m = sqlite_models_of(store);
	enum lun_code code = lun_sqlite_begin(&m->c, err);

	if (code != LUN_OK)
		return code;
	return lun_sqlite_end(m, reset(m, schema, guard, err), err);
}

static enum lun_code
drop(struct sqlite_models *m, const char *projection, struct lun_guard guard,
    struct lun_err *err)
{
	enum lun_code code;

	code = lun_sqlite_check_guard(m, projection, guard, err);
	if (code == LUN_OK)
		code = forget(m, projection, err);
	if (code == LUN_OK)
		code = delete_from(m,
		    "DELETE FROM lunette_heartbeats WHERE projection = ?1",
		    projection, err);
	return code;
}

enum lun_code
lun_sqlite_drop(struct lun_model_store *store, struct lun_key key,
    struct lun_guard guard, struct lun_err *err)
{
	struct sqlite_models *m = sqlite_models_of(store);
	enum lun_code code = lun_sqlite_begin(&m->c, err);

	if (code != LUN_OK)
		return code;
	return lun_sqlite_end(m, drop(m, key.projection, guard, err), err);
}
