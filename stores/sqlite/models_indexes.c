/*
 * models_indexes.c - the indexes of a build.
 *
 * They are made with the table. Where the declaration has changed since, the
 * missing are made and the others dropped, each in a transaction of its own:
 * other writers wait for as long as one takes.
 */

#include <inttypes.h>

#include "sqlite/models.h"

static enum lun_code
no_memory(struct sqlite_models *m, struct lun_err *err)
{
	return lun_fail(
	    err, LUN_NOMEM, "%s: out of memory", lun_sqlite_path(m->c));
}

/* What the names of all begin with: <table>__ */
static void
add_prefix(struct lun_buffer *name, struct lun_key key)
{
	lun_buffer_printf(
	    name, "%s__b%" PRId64 "__", key.projection, key.build);
}

/* <table>__<field>,<field>: no field has a comma in its name. */
static void
add_index_name(struct lun_buffer *name, struct lun_key key,
    const struct lun_schema *schema, size_t number)
{
	const struct lun_index *index = &schema->indexes[number];

	add_prefix(name, key);
	for (size_t i = 0; i < index->count; i++)
		lun_buffer_printf(name, "%s%s", i > 0 ? "," : "",
		    schema->fields[index->fields[i]].name);
	lun_buffer_add_byte(name, '\0');
}

static void
add_index_sql(struct lun_buffer *sql, struct lun_key key,
    const struct lun_schema *schema, size_t number, const char *name)
{
	const struct lun_index *index = &schema->indexes[number];

	lun_buffer_printf(sql, "CREATE INDEX ");
	lun_sql_quote(sql, name);
	lun_buffer_printf(sql, " ON ");
	lun_sqlite_add_table(sql, key);
	for (size_t i = 0; i < index->count; i++) {
		lun_buffer_printf(sql, i == 0 ? " (" : ", ");
		lun_sql_quote(sql, schema->fields[index->fields[i]].name);
	}
	lun_buffer_printf(sql, ")");
}

enum lun_code
lun_sqlite_make_index(struct sqlite_models *m, struct lun_key key,
    const struct lun_schema *schema, size_t number, struct lun_err *err)
{
	struct lun_buffer name = {0}, sql = {0};
	enum lun_code code;

	add_index_name(&name, key, schema, number);
	if (name.failed)
		code = no_memory(m, err);
	else
		code =
		    lun_sqlite_check_free(m, key.projection, name.bytes, err);
	if (code == LUN_OK) {
		add_index_sql(&sql, key, schema, number, name.bytes);
		code = lun_sqlite_exec_buffer(m, &sql, err);
	}
	lun_buffer_free(&name);
	return code;
}

/* ---- where the declaration has changed --------------------------------- */

static enum lun_code
index_is_there(struct sqlite_models *m, struct lun_key key,
    const struct lun_schema *schema, size_t number, bool *there,
    struct lun_err *err)
{
	struct lun_buffer name = {0}, sql = {0};
	sqlite3_stmt *q = NULL;
	enum lun_code code = LUN_OK;

	add_index_name(&name, key, schema, number);
	add_index_sql(&sql, key, schema, number, name.bytes);
	if (name.failed || sql.failed)
		code = no_memory(m, err);
	if (code == LUN_OK)
		code = lun_sqlite_statement(m,
		    "SELECT 1 FROM sqlite_schema WHERE type = 'index'"
		    " AND name = ?1 AND sql = ?2",
		    &q, err);
	if (code == LUN_OK) {
		lun_sqlite_bind_text(m->c, q, 1, lun_text_of(name.bytes));
		lun_sqlite_bind_text(m->c, q, 2, lun_buffer_text(&sql));
		code = lun_sqlite_step(m->c, q, err);
		*there = code == LUN_OK;
	}
	lun_sqlite_done(q);
	lun_buffer_free(&name);
	lun_buffer_free(&sql);
	return code == LUN_NOTFOUND ? LUN_OK : code;
}

static enum lun_code
make_missing(struct sqlite_models *m, struct lun_key key,
    const struct lun_schema *schema, size_t number, struct lun_err *err)
{
	bool there = false;
	enum lun_code code =
	    index_is_there(m, key, schema, number, &there, err);

	if (code != LUN_OK || there)
		return code;
	code = lun_sqlite_begin(m->c, err);
	if (code != LUN_OK)
		return code;
	code = lun_sqlite_check_schema(m, key, schema, err);
	if (code == LUN_OK)
		code = lun_sqlite_make_index(m, key, schema, number, err);
	return lun_sqlite_end(m, code, err);
}

static bool
is_declared(
    struct lun_key key, const struct lun_schema *schema, struct lun_text name)
{
	bool declared = false;

	for (size_t i = 0; !declared && i < schema->index_count; i++) {
		struct lun_buffer own = {0};

		add_index_name(&own, key, schema, i);
		/* Out of memory: rather keep it. */
		declared =
		    own.failed || lun_text_equal(lun_text_of(own.bytes), name);
		lun_buffer_free(&own);
	}
	return declared;
}

/* Of this table, with a name as only the engine gives. */
static enum lun_code
collect_undeclared(struct sqlite_models *m, struct lun_key key,
    const struct lun_schema *schema, struct lun_buffer *sql,
    struct lun_err *err)
{
	struct lun_buffer prefix = {0};
	sqlite3_stmt *q = NULL;
	enum lun_code code;

	add_prefix(&prefix, key);
	code = prefix.failed ? no_memory(m, err)
			     : lun_sqlite_statement(m,
				   "SELECT name FROM sqlite_schema"
				   " WHERE type = 'index' AND sql IS NOT NULL"
				   " AND substr(name, 1, length(?1)) = ?1"
				   " AND tbl_name || '__' = ?1",
				   &q, err);
	if (code == LUN_OK)
		lun_sqlite_bind_text(m->c, q, 1, lun_buffer_text(&prefix));
	while (code == LUN_OK && lun_sqlite_next(m, q, &code, err)) {
		struct lun_text name = lun_sqlite_column_text(q, 0);

		if (is_declared(key, schema, name))
			continue;
		lun_buffer_printf(sql, "DROP INDEX ");
		lun_sql_quote(sql, (const char *)sqlite3_column_text(q, 0));
		lun_buffer_add_byte(sql, ';');
	}
	lun_sqlite_done(q);
	lun_buffer_free(&prefix);
	return code;
}

static enum lun_code
keep_schema(struct sqlite_models *m, struct lun_key key,
    const struct lun_schema *schema, struct lun_err *err)
{
	struct lun_buffer described = {0}, kept = {0};
	sqlite3_stmt *q = NULL;
	enum lun_code code;

	lun_schema_describe(schema, &described);
	code = lun_sqlite_statement(m,
	    "SELECT schema FROM lunette_builds"
	    " WHERE projection = ?1 AND build = ?2",
	    &q, err);
	if (code != LUN_OK)
		goto end;
	lun_sqlite_bind_text(m->c, q, 1, lun_text_of(key.projection));
	lun_sqlite_bind_integer(m->c, q, 2, key.build);
	code = lun_sqlite_step(m->c, q, err);
	if (code == LUN_OK)
		lun_schema_take_indexes(lun_sqlite_column_text(q, 0),
		    lun_buffer_text(&described), &kept);
	lun_sqlite_done(q);
	q = NULL;
	if (described.failed || kept.failed)
		code = no_memory(m, err);
	if (code == LUN_OK)
		code = lun_sqlite_statement(m,
		    "UPDATE lunette_builds SET schema = ?3"
		    " WHERE projection = ?1 AND build = ?2",
		    &q, err);
	if (code != LUN_OK)
		goto end;
	lun_sqlite_bind_text(m->c, q, 1, lun_text_of(key.projection));
	lun_sqlite_bind_integer(m->c, q, 2, key.build);
	lun_sqlite_bind_text(m->c, q, 3, lun_buffer_text(&kept));
	code = lun_sqlite_run(m->c, q, err);
end:
	lun_sqlite_done(q);
	lun_buffer_free(&described);
	lun_buffer_free(&kept);
	return code;
}

static enum lun_code
drop_undeclared(struct sqlite_models *m, struct lun_key key,
    const struct lun_schema *schema, struct lun_err *err)
{
	struct lun_buffer sql = {0};
	enum lun_code code = lun_sqlite_begin(m->c, err);

	if (code != LUN_OK)
		return code;
	code = lun_sqlite_check_schema(m, key, schema, err);
	if (code == LUN_OK)
		code = collect_undeclared(m, key, schema, &sql, err);
	if (code == LUN_OK)
		code = lun_sqlite_exec_buffer(m, &sql, err);
	else
		lun_buffer_free(&sql);
	if (code == LUN_OK)
		code = keep_schema(m, key, schema, err);
	return lun_sqlite_end(m, code, err);
}

/* Whether the schema that is kept has these indexes: then nothing is to do. */
static enum lun_code
look_first(struct sqlite_models *m, struct lun_key key,
    const struct lun_schema *schema, bool *done, struct lun_err *err)
{
	struct lun_buffer sql = {0};
	enum lun_code code = collect_undeclared(m, key, schema, &sql, err);

	*done = sql.length == 0 && !sql.failed;
	for (size_t i = 0; code == LUN_OK && *done && i < schema->index_count;
	     i++)
		code = index_is_there(m, key, schema, i, done, err);
	lun_buffer_free(&sql);
	return code;
}

enum lun_code
lun_sqlite_index(struct lun_model_store *store, struct lun_key key,
    const struct lun_schema *schema, const atomic_bool *stop,
    struct lun_err *err)
{
	struct sqlite_models *m = sqlite_models_of(store);
	bool done = false;
	enum lun_code code = look_first(m, key, schema, &done, err);

	for (size_t i = 0; code == LUN_OK && !done && i < schema->index_count;
	     i++)
		code = stop != NULL && atomic_load(stop)
			   ? lun_fail(err, LUN_AGAIN, "given up")
			   : make_missing(m, key, schema, i, err);
	if (code == LUN_OK && !done)
		code = drop_undeclared(m, key, schema, err);
	return code;
}
