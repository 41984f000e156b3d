/*
 * lease.c - ownership of a shard as a row with a fence.
 *
 * Time is the server's. A lease that has run out stays with its owner until
 * somebody else takes it. Nothing hangs on a session, which a pooler may give
 * to anybody: a handle knows its leases by a word of its own.
 */

#include <inttypes.h>
#include <stdio.h>

#include "postgres/models/models.h"

/* Why nothing was taken: columns as below. */
static enum lun_code
describe_holder(struct pg_models *m, struct lun_key key, const PGresult *r,
    char holder[LUN_OWNER_SIZE], struct lun_err *err)
{
	struct lun_sql_format format;
	enum lun_code code;

	lun_pg_read_format(r, &format);
	code = lun_sql_check_format(
	    &lun_sql_model_form, lun_pg_name(m->c), &format, err);
	if (code != LUN_OK)
		return code;
	snprintf(holder, LUN_OWNER_SIZE, "another engine");
	if (!lun_pg_is_null(r, 0, 2))
		lun_pg_copy_text(r, 0, 2, holder, LUN_OWNER_SIZE);
	return lun_fail(err, LUN_OWNED, "projection \"%s\" is run by %s",
	    key.projection, holder);
}

static enum lun_code
read_holder(struct pg_models *m, struct lun_key key,
    char holder[LUN_OWNER_SIZE], struct lun_err *err)
{
	PGresult *result = NULL;
	enum lun_code code;

	lun_pg_add_key(m, key);
	code = lun_pg_run(m,
	    "SELECT format, made_by,"
	    " (SELECT owner FROM @lunette_owners WHERE " LUN_PG_KEY ")"
	    " FROM @lunette_store",
	    &result, err);
	if (code == LUN_OK)
		code = describe_holder(m, key, result, holder, err);
	PQclear(result);
	return code;
}

/* The fence is 0 if somebody else holds it, or the format is another now. */
static enum lun_code
raise_fence(struct pg_models *m, struct lun_key key, const char *owner,
    int64_t time_to_live_ms, int64_t *fence, struct lun_err *err)
{
	PGresult *result = NULL;
	enum lun_code code;

	lun_pg_add_key(m, key);
	lun_pg_add_words(m, lun_text_of(owner));
	lun_pg_add_name(m, m->session);
	lun_pg_add_int8(&m->params, time_to_live_ms);
	lun_pg_add_int8(&m->params, LUN_MODEL_FORMAT);
	code = lun_pg_run(m,
	    "INSERT INTO @lunette_owners AS o (projection, build, shard,"
	    " fence, owner, session, acquired_at, expires_at)"
	    " SELECT $1, $2, $3, 1, $4, $5, clock_timestamp(),"
	    "  clock_timestamp() + $6 * interval '1 millisecond'"
	    " FROM @lunette_store s WHERE s.format = $7"
	    " ON CONFLICT (projection, build, shard) DO UPDATE SET fence = "
	    "o.fence + 1,"
	    "  owner = excluded.owner, session = excluded.session,"
	    "  acquired_at = excluded.acquired_at,"
	    "  expires_at = clock_timestamp() + $6 * interval '1 millisecond'"
	    " WHERE o.session = excluded.session"
	    "  OR NOT (" LUN_PG_LEASE_RUNS("o.expires_at") ")"
							   " RETURNING fence",
	    &result, err);
	if (code != LUN_OK)
		return code;
	*fence = PQntuples(result) > 0 ? lun_pg_int8(result, 0, 0) : 0;
	PQclear(result);
	return LUN_OK;
}

/* From here on a commit with an older fence is refused. */
static enum lun_code
shut_out(
    struct pg_models *m, struct lun_key key, int64_t fence, struct lun_err *err)
{
	lun_pg_add_key(m, key);
	lun_pg_add_int8(&m->params, fence);
	return lun_pg_run(m,
	    "UPDATE @lunette_checkpoints SET fence = $4 WHERE " LUN_PG_KEY,
	    NULL, err);
}

/* Two statements, so that the second sees what the first has waited for. */
static enum lun_code
take_lease(struct pg_models *m, struct lun_key key, const char *owner,
    int64_t time_to_live_ms, int64_t *fence, struct lun_err *err)
{
	enum lun_code code = lun_pg_begin(m->c, LUN_PG_SHARE_TABLES, err);

	if (code != LUN_OK)
		return code;
	code = raise_fence(m, key, owner, time_to_live_ms, fence, err);
	if (code == LUN_OK && *fence > 0)
		code = shut_out(m, key, *fence, err);
	return lun_pg_models_end(m, key, code, err);
}

/*
 * End what a former owner has begun and not finished. It could not commit any
 * more, but might be frozen and hold its locks. Where this role may not do
 * that, its own time limit ends it.
 */
static void
end_old_commits(struct pg_models *m, struct lun_key key)
{
	lun_pg_add_mark(m, key);
	(void)!lun_pg_run(m,
	    "SELECT pg_catalog.pg_terminate_backend(l.pid)"
	    " FROM pg_catalog.pg_locks l WHERE l.locktype = 'advisory'"
	    " AND l.classid::bigint = $1 AND l.objid::bigint = $2"
	    " AND l.objsubid = 2 AND l.pid <> pg_catalog.pg_backend_pid()"
	    " AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d"
	    "  WHERE d.datname = pg_catalog.current_database())",
	    NULL, NULL);
}

static enum lun_code
acquire_lease(struct pg_models *m, struct lun_key key, const char *owner,
    int64_t time_to_live_ms, int64_t *fence, char holder[LUN_OWNER_SIZE],
    struct lun_err *err)
{
	int64_t given = 0;
	enum lun_code code;

	code = take_lease(m, key, owner, time_to_live_ms, &given, err);
	if (code == LUN_UNAVAILABLE && given > 0 &&
	    lun_pg_failed_with(m->c, "55P03")) {
		end_old_commits(m, key);
		code = take_lease(m, key, owner, time_to_live_ms, &given, err);
	}
	if (code != LUN_OK)
		return code;
	if (given == 0)
		return read_holder(m, key, holder, err);
	if (given > 1)
		end_old_commits(m, key);
	m->owns = true;
	atomic_store(&m->lines->lease_ms, time_to_live_ms);
	*fence = given;
	return LUN_OK;
}

enum lun_code
lun_pg_acquire(struct lun_model_store *store, struct lun_key key,
    const char *owner, int64_t time_to_live_ms, int64_t *fence,
    char holder[LUN_OWNER_SIZE], struct lun_err *err)
{
	struct pg_models *m = pg_models_of(store);

	return acquire_lease(
	    m, key, owner, time_to_live_ms, fence, holder, err);
}

/* ---- keeping it, and handing it back ----------------------------------- */

/*
 * Those that are not renewed, with what is stored. A row that is locked is
 * passed over: one that waits must not let all the others run out.
 */
static const char renew_sql[] =
    "WITH lease AS (SELECT * FROM ROWS FROM (unnest($1::text[]),"
    "  unnest($2::bigint[]), unnest($3::bigint[]), unnest($4::bigint[]))"
    "  WITH ORDINALITY AS l (projection, build, shard, fence, number)),"
    " mine AS (SELECT number, o.ctid AS at FROM @lunette_owners o JOIN lease"
    "  USING (projection, build, shard, fence)"
    "  WHERE o.expires_at > '-infinity' FOR NO KEY UPDATE OF o SKIP LOCKED),"
    " renewed AS (UPDATE @lunette_owners o SET expires_at ="
    "  clock_timestamp() + $5 * interval '1 millisecond'"
    "  FROM mine WHERE o.ctid = mine.at RETURNING number)"
    " SELECT number, COALESCE(o.fence, 0), o.expires_at > '-infinity'"
    " FROM lease LEFT JOIN @lunette_owners o USING (projection, build, shard)"
    " WHERE number NOT IN (SELECT number FROM renewed)";

static void
add_leases(struct pg_models *m, const struct lun_lease *leases, size_t count)
{
	lun_pg_begin_array(&m->params, LUN_PG_TEXT_ARRAY, count);
	for (size_t i = 0; i < count; i++)
		lun_pg_element_text(
		    &m->params, lun_text_of(leases[i].key.projection));
	lun_pg_end_array(&m->params);
	lun_pg_begin_array(&m->params, LUN_PG_INT8_ARRAY, count);
	for (size_t i = 0; i < count; i++)
		lun_pg_element_int8(&m->params, leases[i].key.build);
	lun_pg_end_array(&m->params);
	lun_pg_begin_array(&m->params, LUN_PG_INT8_ARRAY, count);
	for (size_t i = 0; i < count; i++)
		lun_pg_element_int8(&m->params, leases[i].key.shard);
	lun_pg_end_array(&m->params);
	lun_pg_begin_array(&m->params, LUN_PG_INT8_ARRAY, count);
	for (size_t i = 0; i < count; i++)
		lun_pg_element_int8(&m->params, leases[i].fence);
	lun_pg_end_array(&m->params);
}

static void
read_losses(const PGresult *r, struct lun_lease *leases)
{
	for (int i = 0; i < PQntuples(r); i++) {
		struct lun_lease *lease = &leases[lun_pg_int8(r, i, 0) - 1];

		lun_lease_compare(lease, lun_pg_int8(r, i, 1));
		if (lease->renewal == LUN_RENEWAL_DONE)
			lease->renewal = lun_pg_bool(r, i, 2)
					     ? LUN_RENEWAL_LOCKED
					     : LUN_RENEWAL_HANDED_BACK;
	}
}

static enum lun_code
renew_leases(struct pg_models *m, struct lun_lease *leases, size_t count,
    int64_t time_to_live_ms, struct lun_err *err)
{
	PGresult *result = NULL;
	enum lun_code code;

	add_leases(m, leases, count);
	lun_pg_add_int8(&m->params, time_to_live_ms);
	code = lun_pg_change(m, renew_sql, &result, err);
	if (code != LUN_OK)
		return code;
	for (size_t i = 0; i < count; i++)
		lun_lease_compare(&leases[i], leases[i].fence);
	read_losses(result, leases);
	PQclear(result);
	return LUN_OK;
}

enum lun_code
lun_pg_renew(struct lun_model_store *store, struct lun_lease *leases,
    size_t count, int64_t time_to_live_ms, struct lun_err *err)
{
	struct pg_models *m = pg_models_of(store);

	return renew_leases(m, leases, count, time_to_live_ms, err);
}

/*
 * The statement has its parameters. Nobody waits here for a server that is
 * away, one projection after the other: it all runs out anyway.
 */
static void
give_back(struct pg_models *m, const char *sql)
{
	if (!lun_pg_is_away(&m->base) &&
	    lun_pg_enter(&m->base, LUN_CALL_WRITES, NULL) == LUN_OK) {
		(void)!lun_pg_change(m, sql, NULL, NULL);
		lun_pg_leave(&m->base);
	}
	lun_pg_params_clear(&m->params);
}

void
lun_pg_release(struct lun_model_store *store, struct lun_key key, int64_t fence)
{
	struct pg_models *m = pg_models_of(store);

	lun_pg_add_key(m, key);
	lun_pg_add_int8(&m->params, fence);
	give_back(m, "UPDATE @lunette_owners SET expires_at = '-infinity'"
		     " WHERE " LUN_PG_KEY " AND fence = $4");
}

void
lun_pg_release_all(struct pg_models *m)
{
	if (!m->owns || lun_pool_open(&m->lines->base.pool) == 0)
		return;
	lun_pg_add_name(m, m->session);
	give_back(m, "UPDATE @lunette_owners SET expires_at = '-infinity'"
		     " WHERE session = $1");
}
