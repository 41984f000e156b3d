/* models_statement.c - what every call of the SQLite model store is made of. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "sqlite/models.h"

/* ---- statements -------------------------------------------------------- */

enum lun_code
lun_sqlite_statement(struct sqlite_models *m, const char *sql,
    sqlite3_stmt **out, struct lun_err *err)
{
	return lun_sqlite_statements_find(
	    &sqlite_line_of(m)->statements, m->c, sql, out, err);
}

void
lun_sqlite_done(sqlite3_stmt *q)
{
	if (q == NULL)
		return;
	sqlite3_reset(q);
	sqlite3_clear_bindings(q);
}

bool
lun_sqlite_next(struct sqlite_models *m, sqlite3_stmt *q, enum lun_code *code,
    struct lun_err *err)
{
	enum lun_code step;

	if (*code != LUN_OK)
		return false;
	step = lun_sqlite_step(m->c, q, err);
	if (step != LUN_OK && step != LUN_NOTFOUND)
		*code = step;
	return step == LUN_OK;
}

enum lun_code
lun_sqlite_end(struct sqlite_models *m, enum lun_code code, struct lun_err *err)
{
	if (code == LUN_OK)
		return lun_sqlite_commit(m->c, err);
	lun_sqlite_rollback(m->c);
	return code;
}

/* ---- names ------------------------------------------------------------- */

void
lun_sqlite_add_table(struct lun_buffer *sql, struct lun_key key)
{
	char name[LUN_NAME_MAX + 24];

	snprintf(name, sizeof name, "%s__b%" PRId64, key.projection, key.build);
	lun_sql_quote(sql, name);
}

void
lun_sqlite_bind_key(
    struct sqlite_models *m, sqlite3_stmt *q, struct lun_key key)
{
	lun_sqlite_bind_text(m->c, q, 1, lun_text_of(key.projection));
	lun_sqlite_bind_integer(m->c, q, 2, key.build);
	lun_sqlite_bind_integer(m->c, q, 3, key.shard);
}

void
lun_sqlite_copy_column(sqlite3_stmt *q, int column, char *copy, size_t size)
{
	struct lun_text text = lun_sqlite_column_text(q, column);

	snprintf(copy, size, "%.*s", LUN_TEXT_ARG(text));
}

/* ---- shards and builds ------------------------------------------------- */

enum lun_code
lun_sqlite_read_shard(struct sqlite_models *m, struct lun_key key,
    struct sqlite_shard *stored, struct lun_err *err)
{
	sqlite3_stmt *q = NULL;
	enum lun_code code;

	code = lun_sqlite_statement(m,
	    "SELECT (SELECT fence FROM lunette_owners"
	    "  WHERE " LUN_SQLITE_IS_KEY "), revision, bundle_hash"
	    " FROM (SELECT 1) LEFT JOIN lunette_checkpoints"
	    " ON " LUN_SQLITE_IS_KEY,
	    &q, err);
	if (code != LUN_OK)
		return code;
	lun_sqlite_bind_key(m, q, key);
	code = lun_sqlite_step(m->c, q, err);
	if (code == LUN_OK) {
		*stored = (struct sqlite_shard){
		    .defined = sqlite3_column_type(q, 1) != SQLITE_NULL,
		    .fence = sqlite3_column_int64(q, 0),
		    .revision = sqlite3_column_int64(q, 1),
		};
		lun_sqlite_copy_column(
		    q, 2, stored->bundle_hash, sizeof stored->bundle_hash);
	}
	lun_sqlite_done(q);
	return code;
}

enum lun_code
lun_sqlite_check_guard(struct sqlite_models *m, struct lun_key key,
    struct lun_guard guard, struct lun_err *err)
{
	struct sqlite_shard stored;
	enum lun_code code = lun_sqlite_read_shard(m, key, &stored, err);

	if (code != LUN_OK)
		return code;
	if (!stored.defined)
		return lun_model_store_no_projection(key.projection, err);
	return lun_model_store_check_guard(
	    key.projection, guard, stored.revision, stored.fence, err);
}

enum lun_code
lun_sqlite_check_defined(
    struct sqlite_models *m, struct lun_key key, struct lun_err *err)
{
	struct sqlite_shard stored;
	enum lun_code code = lun_sqlite_read_shard(m, key, &stored, err);

	if (code == LUN_OK && !stored.defined)
		code = lun_model_store_no_projection(key.projection, err);
	return code;
}

enum lun_code
lun_sqlite_check_schema(struct sqlite_models *m, struct lun_key key,
    const struct lun_schema *schema, struct lun_err *err)
{
	sqlite3_stmt *q = NULL;
	enum lun_code code;

	code = lun_sqlite_statement(m,
	    "SELECT version, schema FROM lunette_builds"
	    " WHERE projection = ?1 AND build = ?2",
	    &q, err);
	if (code != LUN_OK)
		return code;
	lun_sqlite_bind_text(m->c, q, 1, lun_text_of(key.projection));
	lun_sqlite_bind_integer(m->c, q, 2, key.build);
	code = lun_sqlite_step(m->c, q, err);
	if (code == LUN_OK)
		code = lun_model_store_check_schema(schema,
		    sqlite3_column_int(q, 0), lun_sqlite_column_text(q, 1),
		    err);
	else if (code == LUN_NOTFOUND)
		code = lun_model_store_no_projection(key.projection, err);
	lun_sqlite_done(q);
	return code;
}

enum lun_code
lun_sqlite_explain(struct sqlite_models *m, struct lun_key key,
    const struct lun_schema *schema, enum lun_code code, struct lun_err *err)
{
	struct lun_err better;
	enum lun_code why;

	if (code != LUN_IO)
		return code;
	why = lun_sqlite_check_schema(m, key, schema, &better);
	if (why != LUN_NOTFOUND && why != LUN_CONFIG)
		return code;
	return lun_fail(err, why, "%s", better.message);
}
