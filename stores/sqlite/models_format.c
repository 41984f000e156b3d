/*
 * models_format.c - what format the tables of a model store have, and the
 * upgrade to the present one.
 *
 * That happens while no engine has a lock. One that takes a lock meanwhile
 * waits for the writing transaction, and compares the format before it has a
 * fence; one that lost its lock file finds fences and revisions raised.
 */

#include <stdio.h>

#include "sql/format.h"
#include "sqlite/models.h"

/* Format 1 kept source states without a letter for theirs. */
static const struct lun_sql_step steps[] = {
    {1, "ALTER TABLE lunette_checkpoints"
	" ADD rows_revision INTEGER NOT NULL DEFAULT 0;"
	"UPDATE lunette_checkpoints SET rows_revision = revision,"
	" source_state = CAST('A' || source_state AS BLOB)"},
    {2, "ALTER TABLE lunette_parked ADD tenant TEXT;"
	"ALTER TABLE lunette_skipped ADD tenant TEXT"},
};

static const char raise_all[] =
    "UPDATE lunette_owners SET fence = fence + 1;"
    "UPDATE lunette_checkpoints SET revision = revision + 1;"
    "UPDATE lunette_projections SET revision = revision + 1";

static enum lun_code
read_format(
    struct sqlite_models *m, struct lun_sql_format *format, struct lun_err *err)
{
	sqlite3_stmt *q = NULL;
	enum lun_code code;

	*format = (struct lun_sql_format){0};
	code = lun_sqlite_statement(
	    m, "SELECT format, made_by FROM lunette_store", &q, err);
	if (lun_sqlite_next(m, q, &code, err)) {
		format->number = sqlite3_column_int64(q, 0);
		lun_sqlite_copy_column(
		    q, 1, format->made_by, sizeof format->made_by);
	}
	lun_sqlite_done(q);
	return code;
}

/* ---- the upgrade ------------------------------------------------------- */

static enum lun_code
refuse_owner(struct sqlite_models *m, struct lun_key key,
    const struct lun_sql_format *stored, struct lun_err *err)
{
	const char *database = sqlite3_db_filename(m->c->db, "main");
	char holder[LUN_OWNER_SIZE];
	bool held;
	enum lun_code code =
	    lun_ownership_look(database, key, &held, holder, err);

	if (code != LUN_OK || !held)
		return code;
	return lun_sql_refuse_upgrade(&lun_sql_model_form,
	    lun_sqlite_path(m->c), stored, key.projection, holder, err);
}

static enum lun_code
refuse_living(struct sqlite_models *m, const struct lun_sql_format *stored,
    struct lun_err *err)
{
	sqlite3_stmt *q = NULL;
	enum lun_code code;

	code = lun_sqlite_statement(
	    m, "SELECT projection, build, shard FROM lunette_owners", &q, err);
	while (lun_sqlite_next(m, q, &code, err)) {
		struct lun_key key = {
		    .projection = (const char *)sqlite3_column_text(q, 0),
		    .build = sqlite3_column_int64(q, 1),
		    .shard = sqlite3_column_int(q, 2),
		};

		code = refuse_owner(m, key, stored, err);
	}
	lun_sqlite_done(q);
	return code;
}

enum lun_code
lun_sqlite_write_format(
    struct sqlite_models *m, const char *sql, struct lun_err *err)
{
	sqlite3_stmt *q = NULL;
	enum lun_code code = lun_sqlite_statement(m, sql, &q, err);

	if (code != LUN_OK)
		return code;
	lun_sqlite_bind_integer(m->c, q, 1, LUN_MODEL_FORMAT);
	lun_sqlite_bind_text(m->c, q, 2, lun_text_of(lun_version()));
	code = lun_sqlite_run(m->c, q, err);
	lun_sqlite_done(q);
	return code;
}

/* Somebody else may have been first. */
static enum lun_code
take_steps(struct sqlite_models *m, struct lun_err *err)
{
	struct lun_sql_format stored;
	enum lun_code code = read_format(m, &stored, err);

	if (code != LUN_OK)
		return code;
	if (!lun_sql_is_older(&lun_sql_model_form, &stored))
		return lun_sql_check_format(
		    &lun_sql_model_form, lun_sqlite_path(m->c), &stored, err);
	code = refuse_living(m, &stored, err);
	for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
		if (code == LUN_OK && steps[i].from >= stored.number)
			code = lun_sqlite_exec(m->c, steps[i].sql, err);
	if (code == LUN_OK)
		code = lun_sqlite_exec(m->c, raise_all, err);
	if (code == LUN_OK)
		code = lun_sqlite_write_format(m,
		    "UPDATE lunette_store SET format = ?1, made_by = ?2", err);
	return code;
}

static enum lun_code
upgrade_format(struct sqlite_models *m, struct lun_err *err)
{
	enum lun_code code = lun_sqlite_begin(m->c, err);

	if (code != LUN_OK)
		return code;
	return lun_sqlite_end(m, take_steps(m, err), err);
}

enum lun_code
lun_sqlite_check_format(
    struct sqlite_models *m, bool says_one, struct lun_err *err)
{
	struct lun_sql_format stored = {0};
	enum lun_code code = LUN_OK;

	if (says_one)
		code = read_format(m, &stored, err);
	if (code != LUN_OK)
		return code;
	if (lun_sql_is_older(&lun_sql_model_form, &stored) &&
	    !m->c->must_exist && !m->c->in_transaction)
		return upgrade_format(m, err);
	return lun_sql_check_format(
	    &lun_sql_model_form, lun_sqlite_path(m->c), &stored, err);
}
