/*
 * cancel.c - hanging up on a server that is still at work.
 *
 * It would go on to the end and not notice, so that questions asked again and
 * again pile up there. A cancel is a connection of its own, made by libpq while
 * its caller waits, for minutes where the network is stalled; so a thread does
 * it. A pooler knows whom to cancel only as long as the connection is there.
 */

#include "postgres/client/connection.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/thread.h"

#define MOST 4 /* at a time and url: more would only wait as well */

struct leaving {
	PGconn *conn;
	struct lun_pg_url *url;
};

static void *
cancel_and_finish(void *arg)
{
	struct leaving *leaving = arg;
	PGcancel *cancel = PQgetCancel(leaving->conn);
	char message[256];

	if (cancel != NULL)
		(void)PQcancel(cancel, message, sizeof message);
	PQfreeCancel(cancel);
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
