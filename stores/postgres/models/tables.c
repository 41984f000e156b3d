/*
 * tables.c - the table of a build, and the views of the live one.
 *
 * A build that is made anew gets another table, and its views are put over that
 * in place, so that what others have built on them stays. It is the views that
 * are locked first, as readers lock them.
 */

#include <stdio.h>

#include "postgres/models/models.h"

/* ---- names ------------------------------------------------------------- */

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
add_name(struct pg_models *m, const char *name)
{
	lun_pg_add_sql(m, "@");
	lun_sql_quote(&m->sql, name);
}

static void
add_table_sql(
    struct pg_models *m, const char *name, const struct lun_schema *schema)
{
	lun_pg_add_sql(m, "CREATE TABLE ");
	add_name(m, name);
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
add_view_sql(struct pg_models *m, const char *verb, const char *name,
    const char *table, const struct lun_schema *schema)
{
	lun_pg_add_sql(m, verb);
	add_name(m, name);
	lun_pg_add_sql(m, " AS SELECT ");
	lun_sql_add_view_columns(&m->sql, schema);
	lun_pg_add_sql(m, " FROM ");
	add_name(m, table);
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

enum lun_code
lun_pg_make_models(struct pg_models *m, struct lun_key key,
    const struct lun_schema *schema, bool is_live, struct lun_err *err)
{
	char name[LUN_PG_TABLE_NAME_SIZE], table[LUN_PG_TABLE_NAME_SIZE];
	enum lun_code code = check_names(m, key, schema, is_live, err);

	if (code != LUN_OK)
		return code;
	name_version(schema, name);
	lun_pg_name_table(key, table);
	lun_buffer_clear(&m->sql);
	add_table_sql(m, table, schema);
	if (is_live) {
		add_view_sql(m, "CREATE VIEW ", key.projection, table, schema);
		add_view_sql(m, "CREATE VIEW ", name, table, schema);
	}
	return run_ddl(m, err);
}

/* ---- dropping ---------------------------------------------------------- */

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

static void
add_drop(struct pg_models *m, const PGresult *r, int row)
{
	lun_pg_add_sql(m, "DROP ");
	lun_pg_add_sql(m, PQgetvalue(r, row, 0));
	lun_pg_add_sql(m, " ");
	add_name(m, PQgetvalue(r, row, 1));
	lun_pg_add_sql(m, ";\n");
}

enum lun_code
lun_pg_drop_models(struct pg_models *m, struct lun_key key, struct lun_err *err)
{
	PGresult *result = NULL;
	enum lun_code code = list_drops(m, key, &result, err);

	if (code != LUN_OK)
		return code;
	lun_buffer_clear(&m->sql);
	for (int i = 0; i < PQntuples(result); i++)
		add_drop(m, result, i);
	if (PQntuples(result) > 0)
		code = run_ddl(m, err);
	PQclear(result);
	return code;
}

/* ---- making anew ------------------------------------------------------- */

/* A view and what becomes of it. */
struct pg_view {
	char name[LUN_PG_TABLE_NAME_SIZE];
	bool is_there;
};

static void
add_columns(struct pg_models *m, const struct lun_schema *schema)
{
	size_t count = schema->field_count;

	lun_pg_begin_array(&m->params, LUN_PG_TEXT_ARRAY, count + 1);
	lun_pg_element_text(&m->params, LUN_TEXT("id"));
	for (size_t i = 0; i < count; i++)
		lun_pg_element_text(&m->params,
		    lun_text_of(
			schema->fields[lun_schema_column(schema, i)].name));
	lun_pg_end_array(&m->params);
	lun_pg_begin_array(&m->params, LUN_PG_TEXT_ARRAY, count + 1);
	lun_pg_element_text(
	    &m->params, lun_text_of(lun_pg_column_type(schema->key_type)));
	for (size_t i = 0; i < count; i++)
		lun_pg_element_text(&m->params,
		    lun_text_of(lun_pg_column_type(
			schema->fields[lun_schema_column(schema, i)].type)));
	lun_pg_end_array(&m->params);
}

/* A view can be put over another table if its columns only become more. */
static enum lun_code
view_can_stay(struct pg_models *m, const struct lun_schema *schema,
    const char *name, bool *can, struct lun_err *err)
{
	PGresult *result = NULL;
	enum lun_code code;

	lun_pg_add_name(m, m->schema);
	lun_pg_add_name(m, name);
	add_columns(m, schema);
	code = lun_pg_run(m,
	    "SELECT bool_and(coalesce(a.attname = ($3::text[])[a.attnum]"
	    "  AND a.atttypid = (($4::text[])[a.attnum])::regtype, false))"
	    " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n"
	    "  ON n.oid = c.relnamespace"
	    " JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid"
	    " WHERE n.nspname = $1 AND c.relname = $2 AND a.attnum > 0"
	    " AND NOT a.attisdropped",
	    &result, err);
	if (code == LUN_OK)
		*can =
		    !lun_pg_is_null(result, 0, 0) && lun_pg_bool(result, 0, 0);
	PQclear(result);
	return code;
}

/* A view that is there stays or is dropped; one of the old version is. */
static enum lun_code
add_view_drop(struct pg_models *m, const struct lun_schema *schema,
    struct pg_view views[2], const PGresult *dropped, int row,
    struct lun_buffer *sql, struct lun_err *err)
{
	const char *name = PQgetvalue(dropped, row, 1);
	enum lun_code code = LUN_OK;
	bool stays = false;

	for (int i = 0; i < 2; i++) {
		if (strcmp(name, views[i].name) != 0)
			continue;
		code = view_can_stay(m, schema, name, &stays, err);
		views[i].is_there = stays;
	}
	if (code != LUN_OK || stays)
		return code;
	lun_buffer_clear(&m->sql);
	add_drop(m, dropped, row);
	lun_buffer_add_text(sql, lun_buffer_text(&m->sql));
	sql->failed |= m->sql.failed;
	return LUN_OK;
}

/* The statements that drop what has to go before the new table is shown. */
static enum lun_code
collect_view_drops(struct pg_models *m, const struct lun_schema *schema,
    struct pg_view views[2], const PGresult *dropped, struct lun_buffer *sql,
    struct lun_err *err)
{
	enum lun_code code = LUN_OK;

	for (int i = 0; code == LUN_OK && i < PQntuples(dropped); i++)
		if (strcmp(PQgetvalue(dropped, i, 0), "VIEW") == 0)
			code = add_view_drop(
			    m, schema, views, dropped, i, sql, err);
	return code;
}

static bool
is_dropped(const PGresult *dropped, const char *name)
{
	for (int i = 0; i < PQntuples(dropped); i++)
		if (strcmp(PQgetvalue(dropped, i, 1), name) == 0)
			return true;
	return false;
}

static enum lun_code
check_name(struct pg_models *m, const struct lun_schema *schema,
    const PGresult *dropped, const char *name, struct lun_err *err)
{
	return is_dropped(dropped, name) ? LUN_OK
					 : check_free(m, schema, name, err);
}

static void
add_new_models(struct pg_models *m, const char *table,
    const struct lun_schema *schema, const struct pg_view *views, size_t count,
    bool drop_old)
{
	char fresh[LUN_PG_TABLE_NAME_SIZE + 8];

	snprintf(fresh, sizeof fresh, "%s__new", table);
	add_table_sql(m, fresh, schema);
	for (size_t i = 0; i < count; i++)
		add_view_sql(m,
		    views[i].is_there ? "CREATE OR REPLACE VIEW "
				      : "CREATE VIEW ",
		    views[i].name, fresh, schema);
	if (drop_old) {
		lun_pg_add_sql(m, "DROP TABLE ");
		add_name(m, table);
		lun_pg_add_sql(m, ";\n");
	}
	lun_pg_add_sql(m, "ALTER TABLE ");
	add_name(m, fresh);
	lun_pg_add_sql(m, " RENAME TO ");
	lun_sql_quote(&m->sql, table);
}

static enum lun_code
replace_models(struct pg_models *m, struct lun_key key,
    const struct lun_schema *schema, bool is_live, const PGresult *dropped,
    struct lun_buffer *sql, struct lun_err *err)
{
	char table[LUN_PG_TABLE_NAME_SIZE];
	struct pg_view views[2] = {0};
	size_t count = is_live ? 2 : 0;
	enum lun_code code;

	lun_pg_name_table(key, table);
	snprintf(views[0].name, sizeof views[0].name, "%s", key.projection);
	name_version(schema, views[1].name);
	code = check_name(m, schema, dropped, table, err);
	for (size_t i = 0; code == LUN_OK && i < count; i++)
		code = check_name(m, schema, dropped, views[i].name, err);
	if (code == LUN_OK)
		code = collect_view_drops(m, schema, views, dropped, sql, err);
	if (code != LUN_OK)
		return code;
	lun_buffer_clear(&m->sql);
	lun_buffer_add_text(&m->sql, lun_buffer_text(sql));
	m->sql.failed |= sql->failed;
	add_new_models(
	    m, table, schema, views, count, is_dropped(dropped, table));
	return run_ddl(m, err);
}

enum lun_code
lun_pg_replace_models(struct pg_models *m, struct lun_key key,
    const struct lun_schema *schema, bool is_live, struct lun_err *err)
{
	struct lun_buffer sql = {0};
	PGresult *dropped = NULL;
	enum lun_code code = list_drops(m, key, &dropped, err);

	if (code == LUN_OK)
		code =
		    replace_models(m, key, schema, is_live, dropped, &sql, err);
	PQclear(dropped);
	lun_buffer_free(&sql);
	return code;
}
