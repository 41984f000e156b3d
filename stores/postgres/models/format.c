/*
 * format.c - what format the tables of models have, and the upgrade to the
 * present one.
 *
 * That happens while no engine lives. One that has opened the store before,
 * and sleeps, finds its fences and revisions raised when it wakes up; whoever
 * acquires something compares the format in the same statement.
 */

#include "postgres/models/models.h"

#define HEARTBEAT_LIVES "interval '10 seconds'"

/* Format 1 kept source states without a letter for theirs. */
static const struct lun_sql_step steps[] = {
    {1, "ALTER TABLE @lunette_checkpoints"
	" ADD rows_revision bigint NOT NULL DEFAULT 0;"
	"UPDATE @lunette_checkpoints SET rows_revision = revision,"
	" source_state = '\\x41' || source_state;"},
    {2, "ALTER TABLE @lunette_parked ADD tenant text;"
	"ALTER TABLE @lunette_skipped ADD tenant text;"},
};

void
lun_pg_read_format(const PGresult *result, struct lun_sql_format *format)
{
	*format = (struct lun_sql_format){0};
	if (PQntuples(result) == 0)
		return;
	format->number = lun_pg_int8(result, 0, 0);
	lun_pg_copy_text(result, 0, 1, format->made_by, sizeof format->made_by);
}

static enum lun_code
load_format(
    struct pg_models *m, struct lun_sql_format *format, struct lun_err *err)
{
	PGresult *result = NULL;
	enum lun_code code = lun_pg_run(
	    m, "SELECT format, made_by FROM @lunette_store", &result, err);

	if (code == LUN_OK)
		lun_pg_read_format(result, format);
	PQclear(result);
	return code;
}

/* ---- the upgrade ------------------------------------------------------- */

static enum lun_code
refuse_living(struct pg_models *m, const struct lun_sql_format *stored,
    struct lun_err *err)
{
	PGresult *result = NULL;
	enum lun_code code = lun_pg_run(m,
	    "SELECT projection, owner FROM @lunette_owners"
	    "  WHERE " LUN_PG_LEASE_RUNS(
		"expires_at") " UNION ALL SELECT projection, owner FROM "
			      "@lunette_heartbeats"
			      "  WHERE owner <> '' AND at BETWEEN "
			      "clock_timestamp() - " HEARTBEAT_LIVES
			      " AND clock_timestamp() + " HEARTBEAT_LIVES
			      " LIMIT 1",
	    &result, err);

	if (code == LUN_OK && PQntuples(result) > 0)
		code = lun_sql_refuse_upgrade(&lun_sql_model_form,
		    lun_pg_name(m->c), stored, PQgetvalue(result, 0, 0),
		    PQgetvalue(result, 0, 1), err);
	PQclear(result);
	return code;
}

static void
add_steps(struct pg_models *m, int64_t from)
{
	lun_buffer_clear(&m->sql);
	for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
		if (steps[i].from >= from)
			lun_pg_add_sql(m, steps[i].sql);
	lun_pg_add_sql(m,
	    "UPDATE @lunette_owners SET fence = fence + 1;"
	    "UPDATE @lunette_checkpoints SET fence = fence + 1,"
	    " revision = revision + 1;"
	    "UPDATE @lunette_projections SET revision = revision + 1;"
	    "UPDATE @lunette_store SET ");
	lun_buffer_printf(&m->sql, "format = %d, made_by = '%s'",
	    LUN_MODEL_FORMAT, lun_version());
	lun_buffer_add_byte(&m->sql, '\0');
}

/* Somebody else may have been first. */
static enum lun_code
take_steps(struct pg_models *m, struct lun_err *err)
{
	struct lun_sql_format stored;
	enum lun_code code = load_format(m, &stored, err);

	if (code != LUN_OK)
		return code;
	if (!lun_sql_is_older(&lun_sql_model_form, &stored))
		return lun_sql_check_format(
		    &lun_sql_model_form, lun_pg_name(m->c), &stored, err);
	code = refuse_living(m, &stored, err);
	if (code != LUN_OK)
		return code;
	add_steps(m, stored.number);
	if (m->sql.failed)
		return lun_fail(
		    err, LUN_NOMEM, "%s: out of memory", lun_pg_name(m->c));
	return lun_pg_exec(m->c, m->sql.bytes, err);
}

static enum lun_code
upgrade_format(struct pg_models *m, struct lun_err *err)
{
	enum lun_code code = lun_pg_begin(m->c, LUN_PG_LOCK_TABLES, err);

	if (code != LUN_OK)
		return code;
	code = take_steps(m, err);
	if (code == LUN_OK)
		return lun_pg_commit(m->c, err);
	lun_pg_rollback(m->c);
	if (lun_pg_failed_with(m->c, "42501"))
		return lun_wrap(err, code,
		    "the tables lunette_* in schema \"%s\" are of an earlier "
		    "format and this role may not upgrade them: \"lunette "
		    "run\" once as the role that owns them",
		    m->schema);
	return code;
}

enum lun_code
lun_pg_check_format(struct pg_models *m, bool says_one, struct lun_err *err)
{
	struct lun_sql_format stored = {0};
	enum lun_code code = LUN_OK;

	if (says_one)
		code = load_format(m, &stored, err);
	if (code != LUN_OK)
		return code;
	if (lun_sql_is_older(&lun_sql_model_form, &stored) &&
	    !m->c->url->options.must_exist)
		return upgrade_format(m, err);
	return lun_sql_check_format(
	    &lun_sql_model_form, lun_pg_name(m->c), &stored, err);
}
