/*
 * connection.h - one PostgreSQL connection.
 *
 * Used by one thread at a time. Every call has a deadline, call_timeout_ms
 * after it began. Where the connection is lost, or the deadline passes, the
 * call fails with LUN_UNAVAILABLE and a transaction under way is gone (every
 * call says so until lun_pg_rollback()); else the next call connects anew by
 * itself. Nothing depends on the session: no prepared statements, no temporary
 * tables; so a pooler in transaction mode may stand between.
 *
 * Messages begin with the name of the url, which holds no password.
 */

#ifndef LUN_POSTGRES_CLIENT_CONNECTION_H
#define LUN_POSTGRES_CLIENT_CONNECTION_H

#include <libpq-fe.h>

#include "lunette.h"
#include "postgres/client/url.h"
#include "postgres/client/values.h"
#include "store/event_store.h"

/* Zero is the closed state. */
struct lun_pg {
	PGconn *conn;  /* NULL: not connected now */
	uint64_t made; /* connections so far: which of them this one is */
	struct lun_pg_url *url;
	bool in_transaction;
	bool unanswered;  /* the last call ran out of time */
	char sqlstate[6]; /* of the last failure; "": none was told */
	int64_t deadline_ns;
	const atomic_bool *stop; /* LUN_AGAIN soon after it was set, or NULL */
	bool patient;            /* wait as long as it takes, or until stop */
	size_t pipeline_length;  /* statements sent, not ended */
	/* Run on each new connection, where no pooler stands between; or NULL. */
	const char *session;
};

/* rest is the URL without its scheme. Connects. */
enum lun_code lun_pg_open(struct lun_pg *c, const char *rest,
    const struct lun_store_options *options, struct lun_err *err) LUN_MUSTCHECK;
/* Another connection to the same url, made at its first call. */
void lun_pg_connect(struct lun_pg *c, const struct lun_pg *from);
/* The server rolls back. Closed is allowed. */
void lun_pg_close(struct lun_pg *c);

/*
 * Connect, if it is not; calls do so too. One that the server has ended since
 * the last call is made anew, where a call would fail.
 */
enum lun_code lun_pg_ready(struct lun_pg *c, struct lun_err *err) LUN_MUSTCHECK;
/* Outside a transaction; the next call connects anew. */
void lun_pg_disconnect(struct lun_pg *c);

const char *lun_pg_name(const struct lun_pg *c);

/*
 * Run one statement; params may be NULL. *out is to be freed with PQclear();
 * out may be NULL.
 */
enum lun_code lun_pg_query(struct lun_pg *c, const char *sql,
    const struct lun_pg_params *params, PGresult **out,
    struct lun_err *err) LUN_MUSTCHECK;

/*
 * Run one statement and see its rows as they come, each a result of one row,
 * so that memory does not grow with them. LUN_AGAIN from row ends it early:
 * the rest is thrown away, and with it the connection if there is much of it.
 * The deadline counts from the last row.
 */
typedef enum lun_code lun_pg_row_fn(
    void *arg, const PGresult *row, struct lun_err *err);
enum lun_code lun_pg_stream(struct lun_pg *c, const char *sql,
    const struct lun_pg_params *params, lun_pg_row_fn *row, void *arg,
    struct lun_err *err) LUN_MUSTCHECK;

/*
 * The same, for a statement whose first row may take as long as it takes: once
 * it was sent answers says whether one has come, LUN_AGAIN if not, and waits for
 * it no longer than wait_ms; then its rows are taken one by one, each to be
 * freed with PQclear(), until LUN_NOTFOUND or a failure. Nothing else may be
 * called in between but lun_pg_abandon().
 */
enum lun_code lun_pg_send(struct lun_pg *c, const char *sql,
    const struct lun_pg_params *params, struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_pg_answers(
    struct lun_pg *c, int64_t wait_ms, struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_pg_take_row(
    struct lun_pg *c, PGresult **row, struct lun_err *err) LUN_MUSTCHECK;
/* Hang up, whatever the server is at: that is ended, and the connection lost. */
void lun_pg_abandon(struct lun_pg *c);

/*
 * A pipeline: statements sent one after the other without waiting for answers.
 * They give no rows. Where sending one fails the pipeline still has to be
 * ended. The end gives the failure of the first that failed and how many
 * succeeded before it; later ones are executed all the same, so a pipeline
 * belongs into a transaction, of which COMMIT may be the last statement.
 * Nothing else may be called between begin and end, and no end is due where
 * begin failed.
 */
enum lun_code lun_pg_pipeline_begin(
    struct lun_pg *c, struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_pg_pipeline_send(struct lun_pg *c, const char *sql,
    const struct lun_pg_params *params, struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_pg_pipeline_end(
    struct lun_pg *c, size_t *succeeded, struct lun_err *err) LUN_MUSTCHECK;

/*
 * COPY ... FROM STDIN: begin, any number of pieces, end, which is due unless
 * begin failed and then gives the outcome of it all; complete: false gives up.
 */
enum lun_code lun_pg_copy_begin(
    struct lun_pg *c, const char *sql, struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_pg_copy_send(
    struct lun_pg *c, struct lun_text piece, struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_pg_copy_end(
    struct lun_pg *c, bool complete, struct lun_err *err) LUN_MUSTCHECK;

/* Run statements without parameters that give no rows, in one round trip. */
enum lun_code lun_pg_exec(
    struct lun_pg *c, const char *sql, struct lun_err *err) LUN_MUSTCHECK;

/*
 * A transaction at READ COMMITTED. A lock is waited for busy_timeout_ms, and
 * the server ends it if this process says nothing for call_timeout_ms. more:
 * further statements (SET LOCAL) in the same round trip, or NULL. A commit
 * that fails is rolled back, unless the connection was lost: then it is not
 * known whether it was done.
 */
enum lun_code lun_pg_begin(
    struct lun_pg *c, const char *more, struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_pg_commit(
    struct lun_pg *c, struct lun_err *err) LUN_MUSTCHECK;
/* Outside a transaction it does nothing. The last failure stays known. */
void lun_pg_rollback(struct lun_pg *c);

/* The last failure had this SQLSTATE, or one of this class (two letters). */
bool lun_pg_failed_with(const struct lun_pg *c, const char *sqlstate);

/*
 * cancel.c: close a connection, and have the server end what it is at, without
 * waiting for either. A transaction is ended by its statement_timeout.
 */
void lun_pg_hang_up(struct lun_pg_url *url, PGconn *conn);
/*
 * Before the last connection goes, and perhaps the process, whose end is that of
 * its threads: up to a second until the servers have been told.
 */
void lun_pg_await_cancels(struct lun_pg_url *url);

/* failure.c: describe what the server refused, or how the connection ended. */
enum lun_code lun_pg_fail(
    struct lun_pg *c, const PGresult *result, struct lun_err *err);
enum lun_code lun_pg_fail_to_connect(struct lun_pg *c, struct lun_err *err);
/* The same as another SQLSTATE, in its words alone. */
enum lun_code lun_pg_fail_as(
    struct lun_pg *c, const char *sqlstate, struct lun_err *err);

#endif
