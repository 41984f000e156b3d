/* requests.c - requests and heartbeats in PostgreSQL. */

#include <stdio.h>

#include "postgres/models/models.h"
#include "sql/requests.h"

/* ---- requests ---------------------------------------------------------- */

/* An answer that nobody has fetched in a day will not be fetched. */
static enum lun_code
post_request(struct pg_models *m, const struct lun_request *request,
    int64_t *number, struct lun_err *err)
{
	PGresult *result = NULL;
	enum lun_code code;

	lun_pg_add_key(m, (struct lun_key){request->projection, request->build,
			      request->shard});
	lun_pg_add_name(m, lun_sql_request_kind_name(request->kind));
	lun_pg_add_words(m, lun_text_of(request->argument));
	code = lun_pg_change(m,
	    "WITH old AS (DELETE FROM @lunette_requests"
	    "  WHERE finished_at < clock_timestamp() - interval '1 day')"
	    " INSERT INTO @lunette_requests (projection, build, shard, kind,"
	    "  argument) VALUES ($1, $2, $3, $4, $5) RETURNING number",
	    &result, err);
	if (code == LUN_OK)
		*number = lun_pg_int8(result, 0, 0);
	PQclear(result);
	return code;
}

enum lun_code
lun_pg_request_post(struct lun_model_store *store,
    const struct lun_request *request, int64_t *number, struct lun_err *err)
{
	struct pg_models *m = pg_models_of(store);

	return post_request(m, request, number, err);
}

static enum lun_code
give_waiting(const PGresult *r, lun_key_fn *key, void *arg, struct lun_err *err)
{
	enum lun_code code = LUN_OK;

	for (int i = 0; i < PQntuples(r) && code == LUN_OK; i++) {
		char projection[LUN_NAME_MAX + 1];

		lun_pg_copy_text(r, i, 0, projection, sizeof projection);
		code = key(arg,
		    (struct lun_key){projection, lun_pg_int8(r, i, 1),
			(int)lun_pg_int8(r, i, 2)},
		    err);
	}
	return code;
}

enum lun_code
lun_pg_requests_waiting(struct lun_model_store *store, lun_key_fn *key,
    void *arg, struct lun_err *err)
{
	struct pg_models *m = pg_models_of(store);
	PGresult *result = NULL;
	enum lun_code code;

	code = lun_pg_run(m,
	    "SELECT DISTINCT projection, build, shard::bigint"
	    " FROM @lunette_requests WHERE finished_at IS NULL",
	    &result, err);
	if (code == LUN_OK)
		code = give_waiting(result, key, arg, err);
	PQclear(result);
	return code;
}

static enum lun_code
read_request(struct pg_models *m, struct lun_key key, const PGresult *r,
    struct lun_request *request, struct lun_err *err)
{
	struct lun_text kind = lun_pg_bytes(r, 0, 1);

	*request = (struct lun_request){.number = lun_pg_int8(r, 0, 0),
	    .build = key.build,
	    .shard = key.shard};
	snprintf(request->projection, sizeof request->projection, "%s",
	    key.projection);
	lun_pg_copy_text(r, 0, 2, request->argument, sizeof request->argument);
	if (lun_sql_request_kind(kind, &request->kind))
		return LUN_OK;
	return lun_fail(err, LUN_IO, "%s: request %lld is of unknown kind",
	    lun_pg_name(m->c), (long long)request->number);
}

static enum lun_code
next_request(struct pg_models *m, struct lun_key key,
    struct lun_request *request, struct lun_err *err)
{
	struct lun_request read;
	PGresult *result = NULL;
	enum lun_code code;

	lun_pg_add_key(m, key);
	code = lun_pg_run(m,
	    "SELECT number, kind, argument FROM @lunette_requests"
	    " WHERE " LUN_PG_KEY " AND finished_at IS NULL"
	    " ORDER BY number LIMIT 1",
	    &result, err);
	if (code != LUN_OK)
		return code;
	if (PQntuples(result) == 0)
		code = lun_model_store_no_waiting(key.projection, err);
	else
		code = read_request(m, key, result, &read, err);
	PQclear(result);
	if (code == LUN_OK)
		*request = read;
	return code;
}

enum lun_code
lun_pg_request_next(struct lun_model_store *store, struct lun_key key,
    struct lun_request *request, struct lun_err *err)
{
	struct pg_models *m = pg_models_of(store);

	return next_request(m, key, request, err);
}

static enum lun_code
finish_request(struct pg_models *m, int64_t number, const char *outcome,
    const char *message, struct lun_err *err)
{
	PGresult *result = NULL;
	enum lun_code code;

	lun_pg_add_int8(&m->params, number);
	lun_pg_add_name(m, outcome);
	lun_pg_add_words(m, lun_text_of(message != NULL ? message : ""));
	code = lun_pg_change(m,
	    "UPDATE @lunette_requests SET finished_at = clock_timestamp(),"
	    " outcome = $2, message = $3 WHERE number = $1",
	    &result, err);
	if (code == LUN_OK && lun_pg_changed(result) == 0)
		code = lun_model_store_no_request(number, err);
	PQclear(result);
	return code;
}

enum lun_code
lun_pg_request_finish(struct lun_model_store *store, int64_t number,
    enum lun_code outcome, const char *message, struct lun_err *err)
{
	struct pg_models *m = pg_models_of(store);

	return finish_request(m, number, lun_code_name(outcome), message, err);
}

/* Row 0: whether it waits still, outcome, message. */
static void
describe_outcome(const PGresult *r, int64_t number, struct lun_err *outcome)
{
	*outcome = (struct lun_err){.code = LUN_OK};
	if (lun_pg_bool(r, 0, 0)) {
		lun_fail(outcome, LUN_AGAIN, "request %lld still waits",
		    (long long)number);
		return;
	}
	outcome->code = lun_sql_request_outcome(lun_pg_bytes(r, 0, 1));
	lun_pg_copy_text(r, 0, 2, outcome->message, sizeof outcome->message);
}

static enum lun_code
read_outcome(const PGresult *r, int64_t number, struct lun_err *outcome,
    struct lun_err *err)
{
	if (PQntuples(r) == 0)
		return lun_model_store_no_request(number, err);
	describe_outcome(r, number, outcome);
	return LUN_OK;
}

static enum lun_code
look_at_request(struct pg_models *m, int64_t number, struct lun_err *outcome,
    struct lun_err *err)
{
	PGresult *result = NULL;
	enum lun_code code;

	lun_pg_add_int8(&m->params, number);
	code = lun_pg_run(m,
	    "SELECT finished_at IS NULL, outcome, message"
	    " FROM @lunette_requests WHERE number = $1",
	    &result, err);
	if (code == LUN_OK)
		code = read_outcome(result, number, outcome, err);
	PQclear(result);
	return code;
}

static enum lun_code
take_request(struct pg_models *m, int64_t number, struct lun_err *outcome,
    struct lun_err *err)
{
	PGresult *result = NULL;
	enum lun_code code;

	lun_pg_add_int8(&m->params, number);
	code = lun_pg_change(m,
	    "DELETE FROM @lunette_requests WHERE number = $1"
	    " RETURNING finished_at IS NULL, outcome, message",
	    &result, err);
	if (code == LUN_OK)
		code = read_outcome(result, number, outcome, err);
	PQclear(result);
	return code;
}

/* Callers ask again and again, so what waits is only looked at. */
static enum lun_code
read_request_result(struct pg_models *m, int64_t number, bool withdraw,
    struct lun_err *outcome, struct lun_err *err)
{
	enum lun_code code = look_at_request(m, number, outcome, err);

	if (code != LUN_OK || (outcome->code == LUN_AGAIN && !withdraw))
		return code;
	if (outcome->code == LUN_AGAIN)
		return take_request(m, number, outcome, err);
	/* It is known; one that stays goes with those of yesterday. */
	(void)!take_request(m, number, outcome, NULL);
	return LUN_OK;
}

enum lun_code
lun_pg_request_result(struct lun_model_store *store, int64_t number,
    bool withdraw, struct lun_err *outcome, struct lun_err *err)
{
	struct pg_models *m = pg_models_of(store);

	return read_request_result(m, number, withdraw, outcome, err);
}

/* ---- heartbeats -------------------------------------------------------- */

typedef const char *words_fn(const struct lun_heartbeat *h);

static const char *
projection_of(const struct lun_heartbeat *h)
{
	return h->projection;
}

static const char *
owner_of(const struct lun_heartbeat *h)
{
	return h->owner;
}

static const char *
heartbeat_state(const struct lun_heartbeat *h)
{
	return h->state;
}

static const char *
waiting_for_of(const struct lun_heartbeat *h)
{
	return h->waiting_for;
}

static const char *
last_error_of(const struct lun_heartbeat *h)
{
	return h->last_error;
}

static void
add_heartbeats(
    struct pg_models *m, const struct lun_heartbeat *heartbeats, size_t count)
{
	static words_fn *const words[] = {projection_of, owner_of,
	    heartbeat_state, waiting_for_of, last_error_of};

	for (size_t w = 0; w < sizeof words / sizeof words[0]; w++) {
		lun_pg_begin_array(&m->params, LUN_PG_TEXT_ARRAY, count);
		for (size_t i = 0; i < count; i++)
			lun_pg_element_words(
			    m, lun_text_of(words[w](&heartbeats[i])));
		lun_pg_end_array(&m->params);
	}
	lun_pg_begin_array(&m->params, LUN_PG_INT8_ARRAY, count);
	for (size_t i = 0; i < count; i++)
		lun_pg_element_int8(&m->params, heartbeats[i].build);
	lun_pg_end_array(&m->params);
	lun_pg_begin_array(&m->params, LUN_PG_INT8_ARRAY, count);
	for (size_t i = 0; i < count; i++)
		lun_pg_element_int8(&m->params, heartbeats[i].shard);
	lun_pg_end_array(&m->params);
	lun_pg_begin_array(&m->params, LUN_PG_FLOAT8_ARRAY, count);
	for (size_t i = 0; i < count; i++)
		lun_pg_element_number(
		    &m->params, heartbeats[i].events_per_second);
	lun_pg_end_array(&m->params);
}

/*
 * At the server's time, the only one that all of them have. In the order of
 * keys, so that two engines cannot wait for each other. One
 * that has lost a shard, and may not know it yet, is not heard about it.
 */
static const char publish_sql[] =
    "INSERT INTO @lunette_heartbeats AS h (projection, owner, state,"
    " waiting_for, last_error, build, shard, events_per_second, at)"
    " SELECT n.*, clock_timestamp()"
    " FROM unnest($1::text[], $2::text[], $3::text[], $4::text[],"
    "  $5::text[], $6::bigint[], $7::bigint[], $8::float8[])"
    "  AS n (projection, owner, a, b, c, build, shard, d)"
    " WHERE NOT EXISTS (SELECT FROM @lunette_owners o"
    "  WHERE o.projection = n.projection AND o.build = n.build"
    "  AND o.shard = n.shard AND o.owner <> n.owner"
    "  AND " LUN_PG_LEASE_RUNS(
	"o.expires_at") ")"
			" ORDER BY n.projection, n.build, n.shard"
			" ON CONFLICT (projection, build, shard) DO UPDATE"
			" SET owner = excluded.owner, state = excluded.state,"
			" waiting_for = excluded.waiting_for, last_error = "
			"excluded.last_error,"
			" events_per_second = excluded.events_per_second, at = "
			"excluded.at";

enum lun_code
lun_pg_publish(struct lun_model_store *store,
    const struct lun_heartbeat *heartbeats, size_t count, struct lun_err *err)
{
	struct pg_models *m = pg_models_of(store);

	if (count == 0)
		return LUN_OK;
	add_heartbeats(m, heartbeats, count);
	return lun_pg_change(m, publish_sql, NULL, err);
}

/* A lease that has run out is still its owner's until somebody takes it. */
static enum lun_held
read_held(const PGresult *r)
{
	if (lun_pg_is_null(r, 0, 6) || !lun_pg_bool(r, 0, 6))
		return LUN_HELD_NO;
	return lun_pg_bool(r, 0, 7) ? LUN_HELD_YES : LUN_HELD_UNKNOWN;
}

static void
read_heartbeat(struct lun_key key, const PGresult *r, struct lun_heartbeat *h)
{
	*h = (struct lun_heartbeat){
	    .build = key.build,
	    .shard = key.shard,
	    .events_per_second = lun_pg_number(r, 0, 4),
	    .age_us = lun_pg_int8(r, 0, 5),
	    .held = read_held(r),
	};
	snprintf(h->projection, sizeof h->projection, "%s", key.projection);
	lun_pg_copy_text(r, 0, 0, h->owner, sizeof h->owner);
	lun_pg_copy_text(r, 0, 1, h->state, sizeof h->state);
	lun_pg_copy_text(r, 0, 2, h->waiting_for, sizeof h->waiting_for);
	lun_pg_copy_text(r, 0, 3, h->last_error, sizeof h->last_error);
}

static enum lun_code
load_heartbeat(struct pg_models *m, struct lun_key key,
    struct lun_heartbeat *heartbeat, struct lun_err *err)
{
	PGresult *result = NULL;
	enum lun_code code;

	lun_pg_add_key(m, key);
	code = lun_pg_run(m,
	    "SELECT h.owner, state, waiting_for, last_error, events_per_second,"
	    " (extract(epoch FROM clock_timestamp() - at) * 1000000)::bigint,"
	    " o.owner = h.owner AND expires_at > '-infinity',"
	    " " LUN_PG_LEASE_RUNS("expires_at") " FROM @lunette_heartbeats h "
						"LEFT JOIN @lunette_owners o"
						"  USING (projection, build, "
						"shard) WHERE " LUN_PG_KEY,
	    &result, err);
	if (code == LUN_OK && PQntuples(result) > 0)
		read_heartbeat(key, result, heartbeat);
	else if (code == LUN_OK)
		code = lun_fail(err, LUN_NOTFOUND,
		    "projection \"%s\" has no heartbeat", key.projection);
	PQclear(result);
	return code;
}

enum lun_code
lun_pg_heartbeat(struct lun_model_store *store, struct lun_key key,
    struct lun_heartbeat *heartbeat, struct lun_err *err)
{
	struct pg_models *m = pg_models_of(store);

	return load_heartbeat(m, key, heartbeat, err);
}
