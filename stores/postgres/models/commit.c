/*
 * commit.c - models, events set aside and checkpoint in one transaction.
 *
 * In two round trips: BEGIN, then all the rest, COMMIT included. More where many
 * models are new and copied in, or stored and updated.
 */

#include <stdio.h>

#include "postgres/models/models.h"

/* ---- the bundle -------------------------------------------------------- */

/*
 * It was with the last commit here, and nothing has changed the shard since,
 * so its text need not be sent again.
 */
static bool
is_kept(const struct pg_models *m, const struct lun_write_set *set)
{
	const struct pg_last_commit *last = &m->last_commit;

	return last->revision == set->expected_revision &&
	       last->fence == set->fence && last->build == set->key.build &&
	       last->shard == set->key.shard &&
	       strcmp(last->projection, set->key.projection) == 0 &&
	       strcmp(last->bundle_hash, set->bundle_hash) == 0;
}

static void
remember_commit(struct pg_models *m, const struct lun_write_set *set)
{
	struct pg_last_commit *last = &m->last_commit;

	last->build = set->key.build;
	last->shard = set->key.shard;
	last->revision = set->expected_revision + 1;
	last->fence = set->fence;
	snprintf(last->projection, sizeof last->projection, "%s",
	    set->key.projection);
	snprintf(last->bundle_hash, sizeof last->bundle_hash, "%s",
	    set->bundle_hash);
}

static enum lun_code
keep_bundle(
    struct pg_models *m, const struct lun_write_set *set, struct lun_err *err)
{
	lun_pg_add_build(m, set->key);
	lun_pg_add_words(m, lun_text_of(set->bundle_hash));
	lun_pg_add_words(m, set->bundle);
	lun_pg_add_position(m, set->position);
	lun_pg_begin_sql(m,
	    "WITH kept AS (INSERT INTO @lunette_scripts"
	    "  (projection, build, hash, bundle, first_position)"
	    "  VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING)"
	    " UPDATE @lunette_builds SET bundle_hash = $3"
	    " WHERE projection = $1 AND build = $2 AND bundle_hash <> $3");
	return lun_pg_pipeline_sql(m, err);
}

/* ---- the checkpoint ---------------------------------------------------- */

/*
 * The last change, so that its row is locked for a moment only. Where the
 * revision or the fence is another, it divides by zero, and what follows is a
 * rollback: nobody has to look before COMMIT is sent.
 */
static enum lun_code
move_checkpoint(
    struct pg_models *m, const struct lun_write_set *set, struct lun_err *err)
{
	lun_pg_add_key(m, set->key);
	lun_pg_add_position(m, set->position);
	lun_pg_add_state(m, set->source_state);
	lun_pg_add_words(m, lun_text_of(set->identity));
	lun_pg_add_words(m, lun_text_of(set->bundle_hash));
	lun_pg_add_int8(&m->params, (int64_t)set->skipped_count);
	lun_pg_add_int8(&m->params, set->expected_revision);
	lun_pg_add_int8(&m->params, set->fence);
	lun_pg_begin_sql(m,
	    "WITH moved AS (UPDATE @lunette_checkpoints SET position = $4,"
	    " source_state = $5, identity = $6, bundle_hash = $7,"
	    " committed_at = clock_timestamp(),"
	    " skipped_count = skipped_count + $8, revision = revision + 1");
	if (set->model_count > 0)
		lun_pg_add_sql(m, ", rows_revision = revision + 1");
	lun_pg_add_sql(m,
	    " WHERE " LUN_PG_KEY " AND revision = $9 AND fence = $10"
	    " RETURNING 1) SELECT 1 / count(*) FROM moved");
	return lun_pg_pipeline_sql(m, err);
}

/* ---- the transaction --------------------------------------------------- */

/* A commit under way. */
struct attempt {
	const struct lun_write_set *set;
	struct pg_writes writes;
	size_t before;    /* statements before COMMIT */
	size_t succeeded; /* of all of them, until one failed */
	bool asked;       /* COMMIT may have reached the server */
	bool lost;        /* the connection */
};

static enum lun_code
send_all(struct pg_models *m, struct attempt *attempt, struct lun_err *err)
{
	const struct lun_write_set *set = attempt->set;
	enum lun_code code = lun_pg_write_models(&attempt->writes, err);

	if (code == LUN_OK)
		code = lun_pg_write_failed_events(m, set, err);
	if (code == LUN_OK && !is_kept(m, set))
		code = keep_bundle(m, set, err);
	if (code == LUN_OK)
		code = move_checkpoint(m, set, err);
	if (code != LUN_OK)
		return code;
	attempt->before = m->c->pipeline_length;
	attempt->asked = true;
	lun_pg_begin_sql(m, "COMMIT");
	return lun_pg_pipeline_sql(m, err);
}

/* The server does them in order: one that it refused keeps COMMIT from it. */
static bool
is_unknown(const struct pg_models *m, const struct attempt *attempt)
{
	bool refused =
	    m->c->sqlstate[0] != '\0' && attempt->succeeded < attempt->before;

	return attempt->asked && attempt->lost && !refused;
}

static enum lun_code
explain_failed_commit(struct pg_models *m, const struct attempt *attempt,
    enum lun_code code, struct lun_err *err)
{
	const struct lun_write_set *set = attempt->set;
	struct lun_guard guard = {set->expected_revision, set->fence};
	enum lun_code why;

	if (code == LUN_OK)
		return code;
	if (is_unknown(m, attempt))
		return lun_pg_outcome_unknown(m, err);
	if (!lun_pg_failed_with(m->c, "22012"))
		return lun_pg_explain(m, set->key, set->schema, code, err);
	why = lun_pg_check_guard(m, set->key, guard, err);
	return why != LUN_OK ? why : code;
}

static enum lun_code
run_commit(struct pg_models *m, struct attempt *attempt, struct lun_err *err)
{
	enum lun_code code = lun_pg_copy_fresh(&attempt->writes, err);
	enum lun_code outcome;

	if (code == LUN_OK)
		code = lun_pg_update_stored(&attempt->writes, err);
	if (code == LUN_OK)
		code = lun_pg_pipeline_begin(m->c, err);
	if (code != LUN_OK)
		return code;
	code = send_all(m, attempt, err);
	outcome = lun_pg_pipeline_end(
	    m->c, &attempt->succeeded, code == LUN_OK ? err : NULL);
	attempt->lost = m->c->conn == NULL;
	return code != LUN_OK ? code : outcome;
}

static enum lun_code
try_commit(struct pg_models *m, const struct lun_write_set *set, bool trust,
    struct lun_err *err)
{
	struct attempt attempt = {.set = set};
	enum lun_code code;

	code = lun_pg_sort_writes(m, set, trust, &attempt.writes, err);
	if (code == LUN_OK)
		code = lun_pg_models_begin(m, set->key,
		    lun_pg_settings_to_write(&attempt.writes), err);
	if (code == LUN_OK) {
		code = run_commit(m, &attempt, err);
		lun_pg_rollback(m->c);
		code = explain_failed_commit(m, &attempt, code, err);
		code = lun_pg_explain_lock(m, set->key, code, err);
	}
	lun_pg_free_writes(&attempt.writes);
	return code;
}

/*
 * A model that was said to be new may be there: somebody else put it in. Or one of
 * those that are deleted has a value that somebody's unique index gives once.
 */
static enum lun_code
commit_write_set(
    struct pg_models *m, const struct lun_write_set *set, struct lun_err *err)
{
	enum lun_code code = try_commit(m, set, true, err);

	if (code == LUN_IO && lun_pg_failed_with(m->c, "23505"))
		code = try_commit(m, set, false, err);
	if (code == LUN_OK)
		remember_commit(m, set);
	return code;
}

enum lun_code
lun_pg_commit_models(struct lun_model_store *store,
    const struct lun_write_set *set, struct lun_err *err)
{
	struct pg_models *m = pg_models_of(store);

	return commit_write_set(m, set, err);
}
