/*
 * define.c - making builds and their shards, and forgetting them.
 *
 * Locks are taken in one order, so that no two calls wait for each other: the
 * leases, the projection's row, the tables of models, the rows of builds, then
 * those of checkpoints, which commits come to in that order as well.
 */

#include <stdio.h>

#include "postgres/models/models.h"

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
	enum lun_code code = lun_pg_make_models(m, key, schema, is_live, err);

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
	code = lun_pg_models_begin(m, key, "", err);
	if (code != LUN_OK)
		return code;
	return lun_pg_models_end(
	    m, key, define_projection(m, key, schema, fence, err), err);
}

enum lun_code
lun_pg_define(struct lun_model_store *store, struct lun_key key,
    const struct lun_schema *schema, int64_t fence, struct lun_err *err)
{
	struct pg_models *m = pg_models_of(store);

	return transact_define(m, key, schema, fence, err);
}

/*
 * Readers queue behind whoever waits for a lock that excludes them, so it is
 * not waited for here: callers try again.
 */
static enum lun_code
begin_in_passing(struct pg_models *m, struct lun_key key, struct lun_err *err)
{
	enum lun_code code = lun_pg_models_begin(m, key, "", err);

	if (code == LUN_OK)
		code =
		    lun_pg_exec(m->c, "SET LOCAL lock_timeout = '200ms'", err);
	if (code != LUN_OK)
		lun_pg_rollback(m->c);
	return code;
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
		code = lun_pg_replace_models(m, key, schema, is_live, err);
	if (code == LUN_OK)
		code = empty_build(m, key, err);
	return code == LUN_OK ? insert_build(m, key, schema, is_live, err)
			      : code;
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
	struct pg_models *m = pg_models_of(store);
	enum lun_code code;

	lun_pg_end_indexing(m, key);
	code = begin_in_passing(m, key, err);
	if (code == LUN_OK)
		code = lun_pg_models_end(
		    m, key, reset_projection(m, key, schema, guard, err), err);
	return code;
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
		code = lun_pg_drop_models(m, all, err);
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
	struct pg_models *m = pg_models_of(store);
	enum lun_code code;

	lun_pg_end_indexing(m, all);
	m->last_commit.revision = 0; /* revisions begin again at 1 */
	code = begin_in_passing(m, key, err);
	if (code == LUN_OK)
		code = lun_pg_models_end(
		    m, key, drop_projection(m, key, guard, err), err);
	return code;
}
