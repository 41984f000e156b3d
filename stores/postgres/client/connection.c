/* connection.c - one PostgreSQL connection. */

#include "postgres/client/connection.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/descriptors.h"
#include "base/error.h"
#include "base/locale.h"

#define NS_IN_MS     1000000
#define LOOK_NS      (50 * INT64_C(1000000)) /* between looks at a stop */
#define OLDEST       130000                  /* the first with xid8 */
#define MOST_DRAINED ((size_t)1 << 20)       /* bytes; more is not worth it */

const char *
lun_pg_name(const struct lun_pg *c)
{
	return c->url->name;
}

static void
ignore_notice(void *arg, const PGresult *notice)
{
	(void)arg;
	(void)notice;
}

/* ---- waiting ----------------------------------------------------------- */

static void
set_deadline(struct lun_pg *c)
{
	c->unanswered = false;
	c->deadline_ns =
	    lun_clock_mono_ns() + c->url->options.call_timeout_ms * NS_IN_MS;
}

static void
drop_connection(struct lun_pg *c)
{
	PQfinish(c->conn);
	c->conn = NULL;
}

void
lun_pg_abandon(struct lun_pg *c)
{
	if (c->conn != NULL)
		lun_pg_hang_up(c->url, c->conn);
	c->conn = NULL;
}

/* An answer that comes too late must not be taken for that of a later call. */
static enum lun_code
fail_after_deadline(struct lun_pg *c, struct lun_err *err)
{
	if (!c->in_transaction)
		lun_pg_abandon(c);
	drop_connection(c);
	c->unanswered = true;
	c->sqlstate[0] = '\0';
	return lun_fail(err, LUN_UNAVAILABLE,
	    "%s: the server did not answer within %" PRId64
	    " ms (call_timeout_ms)",
	    lun_pg_name(c), c->url->options.call_timeout_ms);
}

/* What the server is at comes to its end: it is wanted, only not waited for. */
static enum lun_code
give_up_call(struct lun_pg *c, struct lun_err *err)
{
	drop_connection(c);
	c->sqlstate[0] = '\0';
	return lun_fail(err, LUN_AGAIN, "%s: given up", lun_pg_name(c));
}

/* Until the socket is ready for one of these events or the deadline. */
static enum lun_code
wait_for(struct lun_pg *c, short events, struct lun_err *err)
{
	struct pollfd fd = {.fd = PQsocket(c->conn), .events = events};

	for (;;) {
		int64_t left = c->deadline_ns - lun_clock_mono_ns();
		int ready;

		if (c->stop != NULL && atomic_load(c->stop))
			return give_up_call(c, err);
		if (left <= 0 && !c->patient)
			return fail_after_deadline(c, err);
		if (c->patient || (c->stop != NULL && left > LOOK_NS))
			left = LOOK_NS;
		ready = poll(&fd, 1, (int)(left / NS_IN_MS) + 1);
		if (ready > 0)
			return LUN_OK;
		if (ready < 0 && errno != EINTR)
			return lun_fail(err, LUN_IO, "%s: poll: error %d",
			    lun_pg_name(c), errno);
	}
}

/* What the connection is worth after a failure. */
static enum lun_code
fail_call(struct lun_pg *c, const PGresult *result, struct lun_err *err)
{
	enum lun_code code = lun_pg_fail(c, result, err);

	if (PQstatus(c->conn) == CONNECTION_BAD)
		drop_connection(c);
	return code;
}

/* ---- opening and closing ----------------------------------------------- */

static enum lun_code
poll_connection(struct lun_pg *c, struct lun_err *err)
{
	PostgresPollingStatusType state = PGRES_POLLING_WRITING;
	enum lun_code code = LUN_OK;

	while (code == LUN_OK && state != PGRES_POLLING_OK) {
		if (state == PGRES_POLLING_FAILED)
			return lun_pg_fail_to_connect(c, err);
		code = wait_for(
		    c, state == PGRES_POLLING_READING ? POLLIN : POLLOUT, err);
		if (code == LUN_OK)
			state = PQconnectPoll(c->conn);
	}
	return code;
}

static enum lun_code
check_version(struct lun_pg *c, struct lun_err *err)
{
	int version = PQserverVersion(c->conn);

	if (version >= OLDEST)
		return LUN_OK;
	return lun_fail(err, LUN_CONFIG,
	    "%s: the server is PostgreSQL %d, it must be 13 or later",
	    lun_pg_name(c), version / 10000);
}

static enum lun_code
make_connection(struct lun_pg *c, struct lun_err *err)
{
	const char *const keys[] = {
	    "fallback_application_name", "dbname", "client_encoding", NULL};
	const char *const values[] = {
	    "lunette", c->url->conninfo, "UTF8", NULL};
	enum lun_code code;

	set_deadline(c);
	lun_descriptors_fill();
	c->conn = PQconnectStartParams(keys, values, 1);
	if (c->conn == NULL)
		return lun_fail(
		    err, LUN_NOMEM, "%s: out of memory", lun_pg_name(c));
	PQsetNoticeReceiver(c->conn, ignore_notice, NULL);
	if (PQstatus(c->conn) == CONNECTION_BAD)
		code = lun_pg_fail_to_connect(c, err);
	else
		code = poll_connection(c, err);
	if (code == LUN_OK)
		code = check_version(c, err);
	if (code == LUN_OK && PQsetnonblocking(c->conn, 1) != 0)
		code = lun_pg_fail(c, NULL, err);
	if (code != LUN_OK) {
		drop_connection(c);
		return code;
	}
	atomic_store(&c->url->answered, true);
	c->made++;
	return LUN_OK;
}

static enum lun_code
ensure_connection(struct lun_pg *c, struct lun_err *err)
{
	enum lun_code code;
	locale_t outer;

	if (c->conn != NULL)
		return LUN_OK;
	/* What libpq says of a refusal is understood in English. */
	outer = lun_locale_enter();
	code = make_connection(c, err);
	lun_locale_leave(outer);
	if (code == LUN_OK && c->session != NULL) {
		code = lun_pg_exec(c, c->session, err);
		if (code != LUN_OK)
			drop_connection(c);
	}
	return code;
}

/* What comes unasked is the server's farewell, or nothing that matters. */
static bool
has_ended(struct lun_pg *c)
{
	struct pollfd fd = {.fd = PQsocket(c->conn), .events = POLLIN};

	while (poll(&fd, 1, 0) > 0)
		if (PQconsumeInput(c->conn) == 0 ||
		    PQstatus(c->conn) == CONNECTION_BAD)
			return true;
	return false;
}

enum lun_code
lun_pg_ready(struct lun_pg *c, struct lun_err *err)
{
	if (c->conn != NULL && has_ended(c))
		drop_connection(c);
	return ensure_connection(c, err);
}

void
lun_pg_disconnect(struct lun_pg *c)
{
	drop_connection(c);
}

enum lun_code
lun_pg_open(struct lun_pg *c, const char *rest,
    const struct lun_store_options *options, struct lun_err *err)
{
	enum lun_code code = lun_pg_url_new(rest, options, &c->url, err);

	if (code == LUN_OK)
		code = ensure_connection(c, err);
	if (code != LUN_OK)
		lun_pg_close(c);
	return code;
}

void
lun_pg_connect(struct lun_pg *c, const struct lun_pg *from)
{
	*c = (struct lun_pg){
	    .url = lun_pg_url_share(from->url),
	    .session = from->session,
	};
}

void
lun_pg_close(struct lun_pg *c)
{
	drop_connection(c);
	if (c->url != NULL)
		lun_pg_await_cancels(c->url);
	lun_pg_url_release(c->url);
	c->url = NULL;
}

/* ---- sending and receiving --------------------------------------------- */

/* What the server says meanwhile is read too, or both would wait for ever. */
static enum lun_code
flush_output(struct lun_pg *c, struct lun_err *err)
{
	for (;;) {
		int left = PQflush(c->conn);
		enum lun_code code;

		if (left < 0)
			return fail_call(c, NULL, err);
		if (left == 0)
			return LUN_OK;
		code = wait_for(c, POLLIN | POLLOUT, err);
		if (code != LUN_OK)
			return code;
		if (PQconsumeInput(c->conn) == 0)
			return fail_call(c, NULL, err);
	}
}

/* *out is NULL after the last result of a statement. */
static enum lun_code
next_result(struct lun_pg *c, PGresult **out, struct lun_err *err)
{
	while (PQisBusy(c->conn)) {
		enum lun_code code = wait_for(c, POLLIN, err);

		if (code != LUN_OK)
			return code;
		if (PQconsumeInput(c->conn) == 0)
			return fail_call(c, NULL, err);
	}
	*out = PQgetResult(c->conn);
	return LUN_OK;
}

static enum lun_code
send_statement(struct lun_pg *c, const char *sql,
    const struct lun_pg_params *params, struct lun_err *err)
{
	static const struct lun_pg_params none;
	struct lun_pg_arguments a;
	void *memory;
	int sent;

	if (params == NULL)
		params = &none;
	memory = lun_pg_arguments(params, &a);
	if (memory == NULL)
		return lun_fail(
		    err, LUN_NOMEM, "%s: out of memory", lun_pg_name(c));
	sent = PQsendQueryParams(c->conn, sql, (int)params->count, a.types,
	    a.values, a.lengths, a.formats, 1);
	free(memory);
	return sent ? LUN_OK : fail_call(c, NULL, err);
}

/* What is left of a lost transaction must not run on another connection. */
static enum lun_code
start_call(struct lun_pg *c, struct lun_err *err)
{
	enum lun_code code;

	c->sqlstate[0] = '\0';
	if (c->in_transaction && c->conn == NULL)
		return lun_fail(err, LUN_UNAVAILABLE,
		    "%s: the transaction was lost with its connection",
		    lun_pg_name(c));
	code = ensure_connection(c, err);
	set_deadline(c);
	return code;
}

/* Send a statement; its results are still to come. */
static enum lun_code
send_query(struct lun_pg *c, const char *sql,
    const struct lun_pg_params *params, struct lun_err *err)
{
	enum lun_code code = start_call(c, err);

	if (code == LUN_OK)
		code = send_statement(c, sql, params, err);
	return code == LUN_OK ? flush_output(c, err) : code;
}

static bool
has_succeeded(const PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);

	return status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK ||
	       status == PGRES_SINGLE_TUPLE;
}

/* The last of the results, or the failure of the first that failed. */
static enum lun_code
collect_results(struct lun_pg *c, PGresult **out, struct lun_err *err)
{
	PGresult *last = NULL, *result;
	enum lun_code code, outcome = LUN_OK;

	for (;;) {
		code = next_result(c, &result, outcome == LUN_OK ? err : NULL);
		if (code != LUN_OK || result == NULL)
			break;
		if (outcome == LUN_OK && !has_succeeded(result))
			outcome = lun_pg_fail(c, result, err);
		PQclear(last);
		last = result;
	}
	if (code == LUN_OK && PQstatus(c->conn) == CONNECTION_BAD)
		drop_connection(c);
	if (outcome != LUN_OK)
		code = outcome;
	if (code == LUN_OK && out != NULL)
		*out = last;
	else
		PQclear(last);
	return code;
}

enum lun_code
lun_pg_query(struct lun_pg *c, const char *sql,
    const struct lun_pg_params *params, PGresult **out, struct lun_err *err)
{
	enum lun_code code = send_query(c, sql, params, err);

	return code == LUN_OK ? collect_results(c, out, err) : code;
}

enum lun_code
lun_pg_exec(struct lun_pg *c, const char *sql, struct lun_err *err)
{
	enum lun_code code = start_call(c, err);

	if (code == LUN_OK && !PQsendQuery(c->conn, sql))
		code = fail_call(c, NULL, err);
	if (code == LUN_OK)
		code = flush_output(c, err);
	return code == LUN_OK ? collect_results(c, NULL, err) : code;
}

/* ---- pipelines --------------------------------------------------------- */

enum lun_code
lun_pg_pipeline_begin(struct lun_pg *c, struct lun_err *err)
{
	enum lun_code code = start_call(c, err);

	c->pipeline_length = 0;
	if (code == LUN_OK && !PQenterPipelineMode(c->conn))
		code = fail_call(c, NULL, err);
	return code;
}

/*
 * Each has a sync of its own: between two of them the server sees a client
 * that has stopped as idle in its transaction, and ends that in time.
 */
enum lun_code
lun_pg_pipeline_send(struct lun_pg *c, const char *sql,
    const struct lun_pg_params *params, struct lun_err *err)
{
	enum lun_code code;

	if (c->conn == NULL)
		return lun_fail(err, LUN_UNAVAILABLE,
		    "%s: the connection was lost", lun_pg_name(c));
	set_deadline(c);
	code = send_statement(c, sql, params, err);
	if (code == LUN_OK && !PQpipelineSync(c->conn))
		code = fail_call(c, NULL, err);
	if (code == LUN_OK)
		code = flush_output(c, err);
	if (code == LUN_OK)
		c->pipeline_length++;
	return code;
}

/* One statement's: its result, the end of its results, the sync. */
static enum lun_code
read_pipeline_result(struct lun_pg *c, struct lun_err *err)
{
	enum lun_code code = LUN_OK;
	PGresult *result;

	for (int i = 0; i < 3; i++) {
		enum lun_code got =
		    next_result(c, &result, code == LUN_OK ? err : NULL);

		if (got != LUN_OK)
			return code != LUN_OK ? code : got;
		if (i == 0 && code == LUN_OK && !has_succeeded(result))
			code = lun_pg_fail(c, result, err);
		PQclear(result);
		if (PQstatus(c->conn) == CONNECTION_BAD)
			return code != LUN_OK ? code : fail_call(c, NULL, err);
	}
	return code;
}

enum lun_code
lun_pg_pipeline_end(
    struct lun_pg *c, size_t *succeeded_count, struct lun_err *err)
{
	enum lun_code code = LUN_OK;

	*succeeded_count = 0;
	for (size_t i = 0; c->conn != NULL && i < c->pipeline_length; i++) {
		enum lun_code one;

		set_deadline(c);
		one = read_pipeline_result(c, code == LUN_OK ? err : NULL);
		if (code == LUN_OK && one == LUN_OK)
			(*succeeded_count)++;
		else if (code == LUN_OK)
			code = one;
		if (c->conn != NULL && PQstatus(c->conn) == CONNECTION_BAD)
			drop_connection(c);
	}
	if (code == LUN_OK && *succeeded_count < c->pipeline_length)
		code = lun_fail(err, LUN_UNAVAILABLE,
		    "%s: the connection was lost", lun_pg_name(c));
	if (c->conn != NULL && !PQexitPipelineMode(c->conn))
		drop_connection(c);
	return code;
}

/* ---- copying in -------------------------------------------------------- */

enum lun_code
lun_pg_copy_begin(struct lun_pg *c, const char *sql, struct lun_err *err)
{
	PGresult *result = NULL;
	enum lun_code code = start_call(c, err);

	if (code == LUN_OK && !PQsendQuery(c->conn, sql))
		code = fail_call(c, NULL, err);
	if (code == LUN_OK)
		code = flush_output(c, err);
	if (code == LUN_OK)
		code = next_result(c, &result, err);
	if (code != LUN_OK)
		return code;
	if (PQresultStatus(result) != PGRES_COPY_IN) {
		code = lun_pg_fail(c, result, err);
		PQclear(result);
		(void)!collect_results(c, NULL, NULL);
		return code;
	}
	PQclear(result);
	return LUN_OK;
}

/* Out of memory, libpq takes nothing and says 0. */
enum lun_code
lun_pg_copy_send(struct lun_pg *c, struct lun_text piece, struct lun_err *err)
{
	if (c->conn == NULL || piece.length > INT_MAX ||
	    PQputCopyData(c->conn, piece.bytes, (int)piece.length) != 1)
		return fail_call(c, NULL, err);
	set_deadline(c);
	return flush_output(c, err);
}

enum lun_code
lun_pg_copy_end(struct lun_pg *c, bool complete, struct lun_err *err)
{
	enum lun_code code;

	if (c->conn == NULL)
		return lun_fail(err, LUN_UNAVAILABLE,
		    "%s: the connection was lost", lun_pg_name(c));
	if (PQputCopyEnd(c->conn, complete ? NULL : "given up") != 1)
		return fail_call(c, NULL, err);
	set_deadline(c);
	code = flush_output(c, err);
	return code == LUN_OK ? collect_results(c, NULL, err) : code;
}

/* ---- rows as they come ------------------------------------------------- */

static size_t
row_bytes(const PGresult *row)
{
	size_t bytes = 0;

	for (int i = 0; i < PQnfields(row); i++)
		bytes += (size_t)PQgetlength(row, 0, i);
	return bytes;
}

/* Read to the end of what nobody wants, or hang up if it is long. */
static enum lun_code
drain_results(struct lun_pg *c, struct lun_err *err)
{
	size_t bytes = 0;
	PGresult *result = NULL;
	enum lun_code code;

	do {
		code = next_result(c, &result, err);
		if (code != LUN_OK)
			return code;
		if (PQresultStatus(result) == PGRES_SINGLE_TUPLE)
			bytes += row_bytes(result);
		PQclear(result);
		if (bytes > MOST_DRAINED && !c->in_transaction) {
			drop_connection(c);
			return LUN_OK;
		}
	} while (result != NULL);
	return LUN_OK;
}

enum lun_code
lun_pg_send(struct lun_pg *c, const char *sql,
    const struct lun_pg_params *params, struct lun_err *err)
{
	enum lun_code code = send_query(c, sql, params, err);

	if (code == LUN_OK)
		PQsetSingleRowMode(c->conn);
	return code;
}

enum lun_code
lun_pg_answers(struct lun_pg *c, int64_t wait_ms, struct lun_err *err)
{
	int64_t until = lun_clock_mono_ns() + wait_ms * NS_IN_MS;

	while (PQisBusy(c->conn)) {
		struct pollfd fd = {.fd = PQsocket(c->conn), .events = POLLIN};
		int64_t left = until - lun_clock_mono_ns();

		if (left <= 0)
			return LUN_AGAIN;
		if (poll(&fd, 1, (int)(left / NS_IN_MS) + 1) > 0 &&
		    PQconsumeInput(c->conn) == 0)
			return fail_call(c, NULL, err);
	}
	set_deadline(c);
	return LUN_OK;
}

enum lun_code
lun_pg_take_row(struct lun_pg *c, PGresult **row, struct lun_err *err)
{
	PGresult *result;
	enum lun_code code = next_result(c, &result, err);

	while (code == LUN_OK && result != NULL) {
		if (PQresultStatus(result) == PGRES_SINGLE_TUPLE) {
			*row = result;
			return LUN_OK;
		}
		if (!has_succeeded(result))
			code = lun_pg_fail(c, result, err);
		PQclear(result);
		if (code == LUN_OK)
			code = next_result(c, &result, err);
		else
			(void)!collect_results(c, NULL, NULL);
	}
	return code == LUN_OK ? LUN_NOTFOUND : code;
}

enum lun_code
lun_pg_stream(struct lun_pg *c, const char *sql,
    const struct lun_pg_params *params, lun_pg_row_fn *row, void *arg,
    struct lun_err *err)
{
	enum lun_code code = lun_pg_send(c, sql, params, err);
	enum lun_code drained;
	PGresult *result;

	if (code != LUN_OK)
		return code;
	while (code == LUN_OK) {
		code = lun_pg_take_row(c, &result, err);
		if (code != LUN_OK)
			break;
		code = row(arg, result, err);
		PQclear(result);
		if (PQisBusy(c->conn))
			set_deadline(c); /* a clock for each row is dear */
	}
	if (code == LUN_NOTFOUND)
		return LUN_OK;
	if (c->conn == NULL)
		return code;
	set_deadline(c);
	drained = drain_results(c, code == LUN_AGAIN ? err : NULL);
	if (c->conn != NULL && PQstatus(c->conn) == CONNECTION_BAD)
		drop_connection(c);
	return code == LUN_AGAIN ? drained : code;
}

/* ---- transactions ------------------------------------------------------ */

/* A wait for a lock ends as such, well before the whole call does. */
static int64_t
lock_limit_ms(const struct lun_store_options *options)
{
	int64_t limit = options->busy_timeout_ms;

	if (limit > options->call_timeout_ms / 2)
		limit = options->call_timeout_ms / 2;
	return limit > 0 ? limit : 1;
}

enum lun_code
lun_pg_begin(struct lun_pg *c, const char *more, struct lun_err *err)
{
	const struct lun_store_options *options = &c->url->options;
	struct lun_buffer sql = {0};
	enum lun_code code;

	lun_buffer_printf(&sql,
	    "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; "
	    "SET LOCAL lock_timeout = %" PRId64 "; "
	    "SET LOCAL statement_timeout = %" PRId64 "; "
	    "SET LOCAL idle_in_transaction_session_timeout = %" PRId64 "; %s",
	    lock_limit_ms(options), options->call_timeout_ms,
	    options->call_timeout_ms, more != NULL ? more : "");
	lun_buffer_add_byte(&sql, '\0');
	if (sql.failed)
		code = lun_fail(
		    err, LUN_NOMEM, "%s: out of memory", lun_pg_name(c));
	else
		code = lun_pg_exec(c, sql.bytes, err);
	lun_buffer_free(&sql);
	/* How a standby refuses READ WRITE. */
	if (code != LUN_OK && lun_pg_failed_with(c, "0A000"))
		code = lun_pg_fail_as(c, "25006", err);
	c->in_transaction = code == LUN_OK;
	if (code != LUN_OK && c->conn != NULL &&
	    PQtransactionStatus(c->conn) != PQTRANS_IDLE)
		drop_connection(c);
	return code;
}

/* The server answers the commit of what has failed with "ROLLBACK". */
static enum lun_code
check_committed(struct lun_pg *c, const PGresult *result, struct lun_err *err)
{
	if (strcmp(PQcmdStatus((PGresult *)result), "COMMIT") == 0)
		return LUN_OK;
	return lun_fail(err, LUN_IO,
	    "%s: the transaction was rolled back after an earlier failure",
	    lun_pg_name(c));
}

enum lun_code
lun_pg_commit(struct lun_pg *c, struct lun_err *err)
{
	PGresult *result = NULL;
	enum lun_code code;

	assert(c->in_transaction);
	code = lun_pg_query(c, "COMMIT", NULL, &result, err);
	if (code == LUN_OK)
		code = check_committed(c, result, err);
	PQclear(result);
	if (code != LUN_OK)
		lun_pg_rollback(c);
	c->in_transaction = false;
	return code;
}

/* What failed before is what callers will ask about. */
void
lun_pg_rollback(struct lun_pg *c)
{
	char sqlstate[sizeof c->sqlstate];

	if (!c->in_transaction)
		return;
	memcpy(sqlstate, c->sqlstate, sizeof sqlstate);
	if (c->conn != NULL && PQtransactionStatus(c->conn) != PQTRANS_IDLE &&
	    lun_pg_exec(c, "ROLLBACK", NULL) != LUN_OK)
		drop_connection(c);
	memcpy(c->sqlstate, sqlstate, sizeof sqlstate);
	c->in_transaction = false;
}
