/*
 * cancel.c - hanging up on a server that is still at work.
 *
 * It would go on to the end and not notice, so that questions asked again and
 * again pile up there. A cancel is a connection of its own, made by libpq while
 * its caller waits, for minutes where the network is stalled; so a thread does
 * it. A pooler knows whom to cancel only as long as the connection is there.
 */

#include "postgres/client/connection.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/thread.h"

#define MOST        4 /* at a time and url: more would only wait as well */
#define PATIENCE_MS 1000
#define NS_PER_MS   1000000
#define TRIES       5
#define TRY_MS      100

struct leaving {
	PGconn *conn;
	struct lun_pg_url *url;
};

/* The statement, or the connection. */
static bool
has_ended(PGconn *conn)
{
	PGresult *result;

	while (!PQisBusy(conn)) {
		result = PQgetResult(conn);
		PQclear(result);
		if (result == NULL)
			return true;
	}
	return false;
}

static bool
ends_soon(PGconn *conn)
{
	struct pollfd fd = {.fd = PQsocket(conn), .events = POLLIN};
	int64_t until = lun_clock_mono_ns() + (int64_t)TRY_MS * NS_PER_MS;

	while (lun_clock_mono_ns() < until && poll(&fd, 1, TRY_MS) > 0)
		if (PQconsumeInput(conn) == 0 || has_ended(conn))
			return true;
	return false;
}

/* One that comes before the server has begun with the statement is lost. */
static void
cancel(PGconn *conn)
{
	PGcancel *cancel = PQgetCancel(conn);
	char message[256];

	for (int i = 0; cancel != NULL && i < TRIES; i++)
		if (PQcancel(cancel, message, sizeof message) == 0 ||
		    ends_soon(conn))
			break;
	PQfreeCancel(cancel);
}

static void *
cancel_and_finish(void *arg)
{
	struct leaving *leaving = arg;

	cancel(leaving->conn);
	PQfinish(leaving->conn);
	atomic_fetch_sub(&leaving->url->cancelling, 1);
	lun_pg_url_release(leaving->url);
	free(leaving);
	return NULL;
}

static bool
start_thread(struct lun_pg_url *url, PGconn *conn)
{
	struct leaving *leaving = malloc(sizeof *leaving);
	pthread_t thread;

	if (leaving == NULL)
		return false;
	*leaving = (struct leaving){conn, lun_pg_url_share(url)};
	if (lun_thread_start(&thread, "lunette-cancel", cancel_and_finish,
		leaving, NULL) == LUN_OK) {
		pthread_detach(thread);
		return true;
	}
	lun_pg_url_release(url);
	free(leaving);
	return false;
}

void
lun_pg_hang_up(struct lun_pg_url *url, PGconn *conn)
{
	bool works = PQstatus(conn) == CONNECTION_OK &&
		     PQtransactionStatus(conn) == PQTRANS_ACTIVE;

	if (works && atomic_fetch_add(&url->cancelling, 1) < MOST) {
		if (start_thread(url, conn))
			return;
	}
	if (works)
		atomic_fetch_sub(&url->cancelling, 1);
	PQfinish(conn);
}

/* Nobody else has the URL but threads that cancel. */
static bool
is_last(struct lun_pg_url *url, unsigned cancelling)
{
	return atomic_load(&url->users) <= cancelling + 1;
}

void
lun_pg_await_cancels(struct lun_pg_url *url)
{
	const struct timespec pause = {0, NS_PER_MS};

	for (int ms = 0; ms < PATIENCE_MS; ms++) {
		unsigned cancelling = atomic_load(&url->cancelling);

		if (cancelling == 0 || !is_last(url, cancelling))
			return;
		nanosleep(&pause, NULL);
	}
}
