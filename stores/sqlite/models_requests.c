/* models_requests.c - requests and heartbeats in SQLite. */

#include "base/clock.h"
#include "sql/requests.h"
#include "sqlite/models.h"

/* An answer that nobody has fetched by then will not be fetched. */
#define ANSWER_KEPT_US (24 * 3600 * INT64_C(1000000))

/* ---- requests ---------------------------------------------------------- */

static enum lun_code
forget_old_answers(struct sqlite_models *m, struct lun_err *err)
{
	sqlite3_stmt *q = NULL;
	enum lun_code code;

	code = lun_sqlite_statement(
	    m, "DELETE FROM lunette_requests WHERE finished_at < ?1", &q, err);
	if (code != LUN_OK)
		return code;
	lun_sqlite_bind_integer(
	    m->c, q, 1, lun_clock_wall_us() - ANSWER_KEPT_US);
	code = lun_sqlite_run(m->c, q, err);
	lun_sqlite_done(q);
	return code;
}

static enum lun_code
insert_request(struct sqlite_models *m, const struct lun_request *request,
    struct lun_err *err)
{
	const char *kind = lun_sql_request_kind_name(request->kind);
	sqlite3_stmt *q = NULL;
	enum lun_code code;

	code = lun_sqlite_statement(m,
	    "INSERT INTO lunette_requests (projection, build, shard, kind,"
	    " argument, posted_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
	    &q, err);
	if (code != LUN_OK)
		return code;
	lun_sqlite_bind_key(m, q,
	    (struct lun_key){
		request->projection, request->build, request->shard});
	lun_sqlite_bind_text(m->c, q, 4, lun_text_of(kind));
	lun_sqlite_bind_text(m->c, q, 5, lun_text_of(request->argument));
	lun_sqlite_bind_integer(m->c, q, 6, lun_clock_wall_us());
	code = lun_sqlite_run(m->c, q, err);
	lun_sqlite_done(q);
	return code;
}

enum lun_code
lun_sqlite_request_post(struct lun_model_store *store,
    const struct lun_request *request, int64_t *number, struct lun_err *err)
{
	struct sqlite_models *m = sqlite_models_of(store);
	enum lun_code code = lun_sqlite_begin(m->c, err);
	int64_t given;

	if (code != LUN_OK)
		return code;
	code = forget_old_answers(m, err);
	if (code == LUN_OK)
		code = insert_request(m, request, err);
	given = sqlite3_last_insert_rowid(m->c->db);
	code = lun_sqlite_end(m, code, err);
	if (code == LUN_OK)
		*number = given;
	return code;
}

enum lun_code
lun_sqlite_requests_waiting(struct lun_model_store *store, lun_key_fn *key,
    void *arg, struct lun_err *err)
{
	struct sqlite_models *m = sqlite_models_of(store);
	sqlite3_stmt *q = NULL;
	enum lun_code code = lun_sqlite_look_at_place(m->c, err);

	if (code != LUN_OK)
		return code;
	code = lun_sqlite_statement(m,
	    "SELECT DISTINCT projection, build, shard FROM lunette_requests"
	    " WHERE finished_at IS NULL",
	    &q, err);
	while (lun_sqlite_next(m, q, &code, err)) {
		char projection[LUN_NAME_MAX + 1];

		lun_sqlite_copy_column(q, 0, projection, sizeof projection);
		code = key(arg,
		    (struct lun_key){projection, sqlite3_column_int64(q, 1),
			sqlite3_column_int(q, 2)},
		    err);
	}
	lun_sqlite_done(q);
	return code;
}

static enum lun_code
read_request(struct sqlite_models *m, sqlite3_stmt *q, struct lun_key key,
    struct lun_request *request, struct lun_err *err)
{
	struct lun_text kind = lun_sqlite_column_text(q, 3);

	*request = (struct lun_request){
	    .number = sqlite3_column_int64(q, 0),
	    .build = key.build,
	    .shard = key.shard,
	};
	lun_sqlite_copy_column(
	    q, 1, request->projection, sizeof request->projection);
	lun_sqlite_copy_column(
	    q, 2, request->argument, sizeof request->argument);
	if (lun_sql_request_kind(kind, &request->kind))
		return LUN_OK;
	return lun_fail(err, LUN_IO, "%s: request %lld is of unknown kind",
	    lun_sqlite_path(m->c), (long long)request->number);
}

enum lun_code
lun_sqlite_request_next(struct lun_model_store *store, struct lun_key key,
    struct lun_request *request, struct lun_err *err)
{
	struct sqlite_models *m = sqlite_models_of(store);
	struct lun_request read;
	sqlite3_stmt *q = NULL;
	enum lun_code code = lun_sqlite_look_at_place(m->c, err);

	if (code != LUN_OK)
		return code;
	code = lun_sqlite_statement(m,
	    "SELECT number, projection, argument, kind FROM lunette_requests"
	    " WHERE " LUN_SQLITE_IS_KEY " AND finished_at IS NULL"
	    " ORDER BY number LIMIT 1",
	    &q, err);
	if (code != LUN_OK)
		return code;
	lun_sqlite_bind_key(m, q, key);
	code = lun_sqlite_step(m->c, q, err);
	if (code == LUN_OK)
		code = read_request(m, q, key, &read, err);
	else if (code == LUN_NOTFOUND)
		code = lun_model_store_no_waiting(key.projection, err);
	lun_sqlite_done(q);
	if (code == LUN_OK)
		*request = read;
	return code;
}

static enum lun_code
update_request(struct sqlite_models *m, int64_t number, const char *outcome,
    const char *message, struct lun_err *err)
{
	sqlite3_stmt *q = NULL;
	enum lun_code code;

	code = lun_sqlite_statement(m,
	    "UPDATE lunette_requests SET finished_at = ?2, outcome = ?3,"
	    " message = ?4 WHERE number = ?1",
	    &q, err);
	if (code != LUN_OK)
		return code;
	lun_sqlite_bind_integer(m->c, q, 1, number);
	lun_sqlite_bind_integer(m->c, q, 2, lun_clock_wall_us());
	lun_sqlite_bind_text(m->c, q, 3, lun_text_of(outcome));
	lun_sqlite_bind_text(
	    m->c, q, 4, lun_text_of(message != NULL ? message : ""));
	code = lun_sqlite_run(m->c, q, err);
	lun_sqlite_done(q);
	if (code == LUN_OK && sqlite3_changes(m->c->db) == 0)
		code = lun_model_store_no_request(number, err);
	return code;
}

enum lun_code
lun_sqlite_request_finish(struct lun_model_store *store, int64_t number,
    enum lun_code outcome, const char *message, struct lun_err *err)
{
	struct sqlite_models *m = sqlite_models_of(store);
	enum lun_code code = lun_sqlite_begin(m->c, err);

	if (code != LUN_OK)
		return code;
	code = update_request(m, number, lun_code_name(outcome), message, err);
	return lun_sqlite_end(m, code, err);
}

/* The outcome, described in outcome; LUN_AGAIN: it waits. */
static enum lun_code
read_result(struct sqlite_models *m, int64_t number, struct lun_err *outcome,
    struct lun_err *err)
{
	char message[sizeof outcome->message];
	sqlite3_stmt *q = NULL;
	enum lun_code code;

	code = lun_sqlite_statement(m,
	    "SELECT finished_at IS NULL, outcome, message"
	    " FROM lunette_requests WHERE number = ?1",
	    &q, err);
	if (code != LUN_OK)
		return code;
	lun_sqlite_bind_integer(m->c, q, 1, number);
	code = lun_sqlite_step(m->c, q, err);
	if (code == LUN_NOTFOUND) {
		code = lun_model_store_no_request(number, err);
	} else if (code == LUN_OK && sqlite3_column_int(q, 0)) {
		lun_fail(outcome, LUN_AGAIN, "request %lld still waits",
		    (long long)number);
	} else if (code == LUN_OK) {
		lun_sqlite_copy_column(q, 2, message, sizeof message);
		lun_fail(outcome,
		    lun_sql_request_outcome(lun_sqlite_column_text(q, 1)), "%s",
		    message);
	}
	lun_sqlite_done(q);
	return code;
}

static enum lun_code
delete_request(struct sqlite_models *m, int64_t number, struct lun_err *err)
{
	sqlite3_stmt *q = NULL;
	enum lun_code code;

	code = lun_sqlite_statement(
	    m, "DELETE FROM lunette_requests WHERE number = ?1", &q, err);
	if (code != LUN_OK)
		return code;
	lun_sqlite_bind_integer(m->c, q, 1, number);
	code = lun_sqlite_run(m->c, q, err);
	lun_sqlite_done(q);
	return code;
}

static enum lun_code
fetch_result(struct sqlite_models *m, int64_t number, bool withdraw,
    struct lun_err *outcome, struct lun_err *err)
{
	enum lun_code code = lun_sqlite_begin(m->c, err);

	if (code != LUN_OK)
		return code;
	code = read_result(m, number, outcome, err);
	if (code == LUN_OK && (withdraw || outcome->code != LUN_AGAIN))
		code = delete_request(m, number, err);
	return lun_sqlite_end(m, code, err);
}

/* A look without the write lock first: callers ask again and again. */
enum lun_code
lun_sqlite_request_result(struct lun_model_store *store, int64_t number,
    bool withdraw, struct lun_err *outcome, struct lun_err *err)
{
	struct sqlite_models *m = sqlite_models_of(store);
	enum lun_code code = read_result(m, number, outcome, err);

	if (code == LUN_OK && (withdraw || outcome->code != LUN_AGAIN))
		code = fetch_result(m, number, withdraw, outcome, err);
	return code;
}

/* ---- heartbeats -------------------------------------------------------- */

static enum lun_code
write_heartbeat(
    struct sqlite_models *m, const struct lun_heartbeat *h, struct lun_err *err)
{
	sqlite3_stmt *q = NULL;
	enum lun_code code;

	code = lun_sqlite_statement(m,
	    "REPLACE INTO lunette_heartbeats (projection, build, shard,"
	    " owner, state, waiting_for, last_error, events_per_second, at)"
	    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
	    &q, err);
	if (code != LUN_OK)
		return code;
	lun_sqlite_bind_key(
	    m, q, (struct lun_key){h->projection, h->build, h->shard});
	lun_sqlite_bind_text(m->c, q, 4, lun_text_of(h->owner));
	lun_sqlite_bind_text(m->c, q, 5, lun_text_of(h->state));
	lun_sqlite_bind_text(m->c, q, 6, lun_text_of(h->waiting_for));
	lun_sqlite_bind_text(m->c, q, 7, lun_text_of(h->last_error));
	lun_sqlite_bind_number(m->c, q, 8, h->events_per_second);
	lun_sqlite_bind_integer(m->c, q, 9, lun_clock_wall_us());
	code = lun_sqlite_run(m->c, q, err);
	lun_sqlite_done(q);
	return code;
}

enum lun_code
lun_sqlite_publish(struct lun_model_store *store,
    const struct lun_heartbeat *heartbeats, size_t count, struct lun_err *err)
{
	struct sqlite_models *m = sqlite_models_of(store);
	enum lun_code code = lun_sqlite_begin(m->c, err);

	if (code != LUN_OK)
		return code;
	for (size_t i = 0; code == LUN_OK && i < count; i++)
		code = write_heartbeat(m, &heartbeats[i], err);
	return lun_sqlite_end(m, code, err);
}

/* The lock dies with its holder, whatever the clock says. */
static enum lun_held
look_who_holds(struct sqlite_models *m, struct lun_key key, const char *owner)
{
	const char *database = sqlite3_db_filename(m->c->db, "main");
	char holder[LUN_OWNER_SIZE];
	bool held;

	if (lun_ownership_look(database, key, &held, holder, NULL) != LUN_OK)
		return LUN_HELD_UNKNOWN;
	return held && strcmp(holder, owner) == 0 ? LUN_HELD_YES : LUN_HELD_NO;
}

static void
read_heartbeat(sqlite3_stmt *q, struct lun_key key, struct lun_heartbeat *h)
{
	*h = (struct lun_heartbeat){
	    .build = key.build,
	    .shard = key.shard,
	    .events_per_second = sqlite3_column_double(q, 5),
	    .age_us = lun_clock_age_us(sqlite3_column_int64(q, 6)),
	};
	lun_sqlite_copy_column(q, 0, h->projection, sizeof h->projection);
	lun_sqlite_copy_column(q, 1, h->owner, sizeof h->owner);
	lun_sqlite_copy_column(q, 2, h->state, sizeof h->state);
	lun_sqlite_copy_column(q, 3, h->waiting_for, sizeof h->waiting_for);
	lun_sqlite_copy_column(q, 4, h->last_error, sizeof h->last_error);
}

enum lun_code
lun_sqlite_heartbeat(struct lun_model_store *store, struct lun_key key,
    struct lun_heartbeat *heartbeat, struct lun_err *err)
{
	struct sqlite_models *m = sqlite_models_of(store);
	sqlite3_stmt *q = NULL;
	enum lun_code code;

	code = lun_sqlite_statement(m,
	    "SELECT projection, owner, state, waiting_for, last_error,"
	    " events_per_second, at FROM lunette_heartbeats"
	    " WHERE " LUN_SQLITE_IS_KEY,
	    &q, err);
	if (code != LUN_OK)
		return code;
	lun_sqlite_bind_key(m, q, key);
	code = lun_sqlite_step(m->c, q, err);
	if (code == LUN_OK)
		read_heartbeat(q, key, heartbeat);
	else if (code == LUN_NOTFOUND)
		code = lun_fail(err, LUN_NOTFOUND,
		    "projection \"%s\" has no heartbeat", key.projection);
	lun_sqlite_done(q);
	if (code == LUN_OK)
		heartbeat->held = look_who_holds(m, key, heartbeat->owner);
	return code;
}
