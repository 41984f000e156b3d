/* define.c - making and dropping the tables of a projection. */

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
run_made(struct pg_models *m, struct lun_err *err)
{
	lun_buffer_add_byte(&m->sql, '\0');
	if (m->sql.failed)
		return lun_fail(
		    err, LUN_NOMEM, "%s: out of memory", lun_pg_name(m->c));
	return lun_pg_exec(m->c, m->sql.bytes, err);
}

/* ---- the tables of a projection ---------------------------------------- */

static void
add_table_sql(struct pg_models *m, const struct lun_schema *schema)
{
	lun_pg_add_sql(m, "CREATE TABLE ");
	lun_pg_add_table(m, schema);
	lun_pg_add_sql(m, " (\"id\" text COLLATE \"C\" PRIMARY KEY");
	for (size_t i = 0; i < schema->field_count; i++) {
		const struct lun_field *field = &schema->fields[i];

		lun_pg_add_sql(m, ", ");
		lun_sql_quote(&m->sql, field->name);
		lun_pg_add_sql(m, " ");
		lun_pg_add_sql(m, lun_pg_column_type(field->type));
		if (field->type == LUN_FIELD_TEXT)
			lun_pg_add_sql(m, " COLLATE \"C\"");
	}
	lun_pg_add_sql(m, ");\n");
}

static void
add_view_sql(struct pg_models *m, const struct lun_schema *schema)
{
	lun_pg_add_sql(m, "CREATE VIEW @");
	lun_sql_quote(&m->sql, schema->projection);
	lun_pg_add_sql(m, " AS SELECT ");
	lun_sql_add_columns(&m->sql, schema);
	lun_pg_add_sql(m, " FROM ");
	lun_pg_add_table(m, schema);
	lun_pg_add_sql(m, ";\n");
}

/* Indexes are made later, but their names are looked at now. */
static enum lun_code
check_names(
    struct pg_models *m, const struct lun_schema *schema, struct lun_err *err)
{
	char name[LUN_PG_INDEX_NAME_SIZE];
	enum lun_code code;

	snprintf(
	    name, sizeof name, "%s__v%d", schema->projection, schema->version);
	code = check_free(m, schema, name, err);
	if (code == LUN_OK)
		code = check_free(m, schema, schema->projection, err);
	for (size_t i = 0; code == LUN_OK && i < schema->index_count; i++) {
		lun_pg_name_index(schema, i, name);
		code = check_free(m, schema, name, err);
	}
	return code;
}

static enum lun_code
make_models(
    struct pg_models *m, const struct lun_schema *schema, struct lun_err *err)
{
	enum lun_code code = check_names(m, schema, err);

	if (code != LUN_OK)
		return code;
	lun_buffer_clear(&m->sql);
	add_table_sql(m, schema);
	add_view_sql(m, schema);
	return run_made(m, err);
}

/* ---- forgetting -------------------------------------------------------- */

/* The projection's view, and its tables of any version. */
static enum lun_code
list_drops(struct pg_models *m, const char *projection, PGresult **result,
    struct lun_err *err)
{
	lun_pg_add_name(m, m->schema);
	lun_pg_add_name(m, projection);
	return lun_pg_run(m,
	    "SELECT CASE c.relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END,"
	    " c.relname::text"
	    " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n"
	    " ON n.oid = c.relnamespace WHERE n.nspname = $1"
	    " AND (c.relkind = 'v' AND c.relname = $2"
	    "  OR c.relkind = 'r' AND c.relname ~ ('^' || $2 || '__v[0-9]+$'))"
	    " ORDER BY 1 DESC",
	    result, err);
}

static enum lun_code
drop_tables(struct pg_models *m, const char *projection, struct lun_err *err)
{
	PGresult *result = NULL;
	enum lun_code code = list_drops(m, projection, &result, err);

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
		code = run_made(m, err);
	PQclear(result);
	return code;
}

static enum lun_code
delete_from(struct pg_models *m, const char *sql, const char *projection,
    struct lun_err *err)
{
	lun_pg_add_name(m, projection);
	return lun_pg_run(m, sql, NULL, err);
}

/* Models, events set aside and checkpoint; the fence stays. */
static enum lun_code
forget(struct pg_models *m, const char *projection, struct lun_err *err)
{
	static const char *const deletes[] = {
	    "DELETE FROM @lunette_parked WHERE projection = $1",
	    "DELETE FROM @lunette_skipped WHERE projection = $1",
	    "DELETE FROM @lunette_projections WHERE name = $1",
	};
	enum lun_code code = drop_tables(m, projection, err);

	for (size_t i = 0; code == LUN_OK && i < 3; i++)
		code = delete_from(m, deletes[i], projection, err);
	return code;
}

/* ---- the row of a projection ------------------------------------------- */

static enum lun_code
insert_projection(struct pg_models *m, const struct lun_schema *schema,
    struct lun_text described, struct lun_guard start, struct lun_err *err)
{
	lun_pg_add_name(m, schema->projection);
	lun_pg_add_position(m, LUN_POSITION_START);
	lun_pg_add_int8(&m->params, schema->version);
	lun_pg_add_text(&m->params, LUN_PG_TEXT, described);
	lun_pg_add_int8(&m->params, start.expected_revision);
	lun_pg_add_int8(&m->params, start.fence);
	return lun_pg_run(m,
	    "INSERT INTO @lunette_projections"
	    " (name, position, version, schema, revision, fence)"
	    " VALUES ($1, $2, $3, $4, $5, $6)",
	    NULL, err);
}

static enum lun_code
start(struct pg_models *m, const struct lun_schema *schema,
    struct lun_guard guard, struct lun_err *err)
{
	struct lun_buffer text = {0};
	enum lun_code code = make_models(m, schema, err);

	if (code != LUN_OK)
		return code;
	lun_schema_describe(schema, &text);
	if (text.failed)
		code = lun_fail(
		    err, LUN_NOMEM, "%s: out of memory", lun_pg_name(m->c));
	else
		code = insert_projection(
		    m, schema, lun_buffer_text(&text), guard, err);
	lun_buffer_free(&text);
	return code;
}

/*
 * As it is stored, for as long as the transaction lasts: a later owner waits
 * for its end, and then finds the row that this one may have made.
 */
static enum lun_code
hold_guard(struct pg_models *m, const char *projection,
    struct lun_guard *stored, bool *defined, struct lun_err *err)
{
	enum lun_code code;

	lun_pg_add_name(m, projection);
	code = lun_pg_run(m,
	    "SELECT FROM @lunette_owners WHERE projection = $1 FOR SHARE", NULL,
	    err);
	if (code != LUN_OK)
		return code;
	return lun_pg_read_guard(m, projection, stored, defined, err);
}

/* ---- the methods ------------------------------------------------------- */

static enum lun_code
define(struct pg_models *m, const struct lun_schema *schema, int64_t fence,
    struct lun_err *err)
{
	struct lun_guard stored;
	enum lun_code code;
	bool defined;

	code = hold_guard(m, schema->projection, &stored, &defined, err);
	if (code == LUN_OK)
		code = lun_model_store_check_fence(
		    schema->projection, fence, stored.fence, err);
	if (code != LUN_OK)
		return code;
	return defined ? lun_pg_check_schema(m, schema, err)
		       : start(m, schema, (struct lun_guard){1, fence}, err);
}

/* What is there in the same form needs no right to make anything. */
static enum lun_code
look_first(struct pg_models *m, const struct lun_schema *schema, int64_t fence,
    bool *defined, struct lun_err *err)
{
	struct lun_guard stored;
	enum lun_code code;

	code = lun_pg_read_guard(m, schema->projection, &stored, defined, err);
	if (code == LUN_OK)
		code = lun_model_store_check_fence(
		    schema->projection, fence, stored.fence, err);
	if (code == LUN_OK && *defined)
		code = lun_pg_check_schema(m, schema, err);
	return code;
}

static enum lun_code
transact_define(struct pg_models *m, const struct lun_schema *schema,
    int64_t fence, struct lun_err *err)
{
	bool defined;
	enum lun_code code = look_first(m, schema, fence, &defined, err);

	if (code != LUN_OK || defined)
		return code;
	code = lun_pg_models_begin(m, schema->projection, err);
	if (code != LUN_OK)
		return code;
	return lun_pg_models_end(m, define(m, schema, fence, err), err);
}

enum lun_code
lun_pg_define(struct lun_model_store *store, struct lun_key key,
    const struct lun_schema *schema, int64_t fence, struct lun_err *err)
{
	(void)key;
	struct pg_models *m = lun_pg_models_enter(store);

	return lun_pg_models_leave(m, transact_define(m, schema, fence, err));
}

static enum lun_code
reset(struct pg_models *m, const struct lun_schema *schema,
    struct lun_guard guard, struct lun_err *err)
{
	struct lun_guard stored;
	enum lun_code code;
	bool defined;

	code = hold_guard(m, schema->projection, &stored, &defined, err);
	if (code == LUN_OK)
		code = lun_model_store_check_guard(schema->projection, guard,
		    stored.expected_revision, stored.fence, err);
	if (code == LUN_OK && defined)
		code = forget(m, schema->projection, err);
	guard.expected_revision++;
	if (code == LUN_OK)
		code = start(m, schema, guard, err);
	return code;
}

enum lun_code
lun_pg_reset(struct lun_model_store *store, struct lun_key key,
    const struct lun_schema *schema, struct lun_guard guard,
    struct lun_err *err)
{
	(void)key;
	struct pg_models *m = lun_pg_models_enter(store);
	enum lun_code code;

	lun_pg_end_indexing(m, schema->projection);
	code = lun_pg_models_begin(m, schema->projection, err);
	if (code == LUN_OK)
		code = lun_pg_models_end(m, reset(m, schema, guard, err), err);
	return lun_pg_models_leave(m, code);
}

static enum lun_code
drop(struct pg_models *m, const char *projection, struct lun_guard guard,
    struct lun_err *err)
{
	struct lun_guard stored;
	enum lun_code code;
	bool defined;

	code = hold_guard(m, projection, &stored, &defined, err);
	if (code == LUN_OK)
		code = lun_pg_check_guard(m, projection, guard, err);
	if (code == LUN_OK)
		code = forget(m, projection, err);
	if (code == LUN_OK)
		code = delete_from(m,
		    "DELETE FROM @lunette_heartbeats WHERE projection = $1",
		    projection, err);
	return code;
}

enum lun_code
lun_pg_drop(struct lun_model_store *store, struct lun_key key,
    struct lun_guard guard, struct lun_err *err)
{
	struct pg_models *m = lun_pg_models_enter(store);
	enum lun_code code;

	lun_pg_end_indexing(m, key.projection);
	code = lun_pg_models_begin(m, key.projection, err);
	if (code == LUN_OK)
		code = lun_pg_models_end(
		    m, drop(m, key.projection, guard, err), err);
	return lun_pg_models_leave(m, code);
}
