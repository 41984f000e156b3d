/* listen.c - hints that there may be news, by LISTEN and NOTIFY. */

#include "postgres/client/listen.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <libpq-fe.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/descriptors.h"
#include "postgres/client/url.h"
#include "sql/names.h"
#include "store/event_store.h"

#define NS_IN_S     INT64_C(1000000000)
#define FIRST_PAUSE NS_IN_S
#define LONGEST     (30 * NS_IN_S)

#define CONNECTING_MOST (30 * NS_IN_S)

enum phase {
	ABSENT, /* until retry_ns */
	CONNECTING,
	ASKING, /* LISTEN was sent */
	LISTENING,
};

struct lun_pg_listener {
	pthread_mutex_t lock;
	const char *conninfo;
	const char *channel;
	PGconn *conn;
	enum phase phase;
	int64_t retry_ns;
	int64_t pause_ns;
	struct lun_pg_waker *wakers;
	bool away;                    /* which was said */
	char notice[LUN_NOTICE_SIZE]; /* to be told; "": nothing */
};

struct lun_pg_listener *
lun_pg_listener_new(const char *conninfo, const char *channel)
{
	struct lun_pg_listener *l = calloc(1, sizeof *l);

	if (l == NULL)
		return NULL;
	pthread_mutex_init(&l->lock, NULL);
	l->conninfo = conninfo;
	l->channel = channel;
	l->pause_ns = FIRST_PAUSE;
	return l;
}

void
lun_pg_listener_free(struct lun_pg_listener *l)
{
	if (l == NULL)
		return;
	PQfinish(l->conn);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

/* ---- what is watched --------------------------------------------------- */

/* libpq may change the socket while it connects. */
static void
watch_socket(const struct lun_pg_listener *l, uint32_t events)
{
	int fd = PQsocket(l->conn);
	struct epoll_event event = {.events = events};

	for (struct lun_pg_waker *w = l->wakers; w != NULL; w = w->next)
		if (epoll_ctl(w->poll_fd, EPOLL_CTL_MOD, fd, &event) != 0)
			epoll_ctl(w->poll_fd, EPOLL_CTL_ADD, fd, &event);
}

static void
wake_all(const struct lun_pg_listener *l)
{
	uint64_t one = 1;

	for (struct lun_pg_waker *w = l->wakers; w != NULL; w = w->next)
		(void)!write(w->event_fd, &one, sizeof one);
}

/* ---- the connection ---------------------------------------------------- */

/* libpq's messages may have several lines; the first one names the cause. */
static void
note_failure(struct lun_pg_listener *l)
{
	const char *cause = l->conn != NULL ? PQerrorMessage(l->conn) : "";
	size_t length = strcspn(cause, "\n");

	if (l->away)
		return;
	l->away = true;
	snprintf(l->notice, sizeof l->notice,
	    "LISTEN failed, so new events are found by polling alone: %.*s",
	    (int)(length > 0 ? length : 9), length > 0 ? cause : "no answer");
}

static void
note_success(struct lun_pg_listener *l)
{
	if (!l->away)
		return;
	l->away = false;
	snprintf(l->notice, sizeof l->notice,
	    "LISTEN works again: the server tells of new events");
}

static void
stop_listening(struct lun_pg_listener *l)
{
	note_failure(l);
	PQfinish(l->conn);
	l->conn = NULL;
	l->phase = ABSENT;
	l->retry_ns = lun_clock_mono_ns() + l->pause_ns;
	l->pause_ns *= 2;
	if (l->pause_ns > LONGEST)
		l->pause_ns = LONGEST;
}

static void
ignore_notice(void *arg, const PGresult *notice)
{
	(void)arg;
	(void)notice;
}

static void
start_connecting(struct lun_pg_listener *l)
{
	const char *const keys[] = {
	    "fallback_application_name", "dbname", NULL};
	const char *const values[] = {"lunette", l->conninfo, NULL};

	lun_descriptors_fill();
	l->conn = PQconnectStartParams(keys, values, 1);
	if (l->conn == NULL || PQstatus(l->conn) == CONNECTION_BAD) {
		stop_listening(l);
		return;
	}
	PQsetNoticeReceiver(l->conn, ignore_notice, NULL);
	l->phase = CONNECTING;
	l->retry_ns = lun_clock_mono_ns() + CONNECTING_MOST;
	watch_socket(l, EPOLLOUT);
}

static void
send_listen(struct lun_pg_listener *l)
{
	struct lun_buffer sql = {0};
	bool sent = PQsetnonblocking(l->conn, 1) == 0;

	lun_buffer_add_text(&sql, LUN_TEXT("LISTEN "));
	lun_sql_quote(&sql, l->channel);
	lun_buffer_add_byte(&sql, '\0');
	sent = sent && !sql.failed && PQsendQuery(l->conn, sql.bytes) &&
	       PQflush(l->conn) == 0;
	lun_buffer_free(&sql);
	if (!sent) {
		stop_listening(l);
		return;
	}
	l->phase = ASKING;
	watch_socket(l, EPOLLIN);
}

static void
go_on_connecting(struct lun_pg_listener *l)
{
	switch (PQconnectPoll(l->conn)) {
	case PGRES_POLLING_OK:
		send_listen(l);
		break;
	case PGRES_POLLING_READING:
		watch_socket(l, EPOLLIN);
		break;
	case PGRES_POLLING_WRITING:
		watch_socket(l, EPOLLOUT);
		break;
	default:
		stop_listening(l);
	}
}

/* The answer to LISTEN; what happened before it is news to everybody. */
static bool
read_listen_result(struct lun_pg_listener *l)
{
	PGresult *result;
	bool good = true;

	while (!PQisBusy(l->conn) && (result = PQgetResult(l->conn)) != NULL) {
		good = PQresultStatus(result) == PGRES_COMMAND_OK;
		PQclear(result);
		if (!good)
			return false;
		l->phase = LISTENING;
		l->pause_ns = FIRST_PAUSE;
		note_success(l);
		wake_all(l);
	}
	return true;
}

static void
read_notifications(struct lun_pg_listener *l)
{
	PGnotify *notify;
	bool news = false;

	if (!PQconsumeInput(l->conn) || !read_listen_result(l)) {
		stop_listening(l);
		return;
	}
	while ((notify = PQnotifies(l->conn)) != NULL) {
		PQfreemem(notify);
		news = true;
	}
	if (news)
		wake_all(l);
}

static void
advance_listener(struct lun_pg_listener *l)
{
	switch (l->phase) {
	case ABSENT:
		if (lun_clock_mono_ns() >= l->retry_ns)
			start_connecting(l);
		break;
	case CONNECTING:
		if (lun_clock_mono_ns() >= l->retry_ns)
			stop_listening(l);
		else
			go_on_connecting(l);
		break;
	case ASKING:
	case LISTENING:
		read_notifications(l);
		break;
	}
}

/* ---- wakers ------------------------------------------------------------ */

static bool
open_waker(struct lun_pg_waker *w, struct lun_pg_listener *l)
{
	struct epoll_event event = {.events = EPOLLIN};

	w->poll_fd = epoll_create1(EPOLL_CLOEXEC);
	w->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->poll_fd < 0 || w->event_fd < 0 ||
	    epoll_ctl(w->poll_fd, EPOLL_CTL_ADD, w->event_fd, &event) != 0) {
		if (w->poll_fd >= 0)
			close(w->poll_fd);
		if (w->event_fd >= 0)
			close(w->event_fd);
		return false;
	}
	w->listener = l;
	w->next = l->wakers;
	l->wakers = w;
	if (l->conn != NULL)
		watch_socket(l, EPOLLIN);
	return true;
}

int
lun_pg_waker_fd(struct lun_pg_waker *w, struct lun_pg_listener *l)
{
	bool is_open;

	if (l == NULL)
		return -1;
	pthread_mutex_lock(&l->lock);
	is_open = w->listener != NULL || open_waker(w, l);
	if (is_open)
		advance_listener(l);
	pthread_mutex_unlock(&l->lock);
	return is_open ? w->poll_fd : -1;
}

/* News on the socket is for all: the others are told through their own. */
void
lun_pg_waker_drain(struct lun_pg_waker *w)
{
	uint64_t count;

	if (w->listener == NULL)
		return;
	pthread_mutex_lock(&w->listener->lock);
	advance_listener(w->listener);
	pthread_mutex_unlock(&w->listener->lock);
	(void)!read(w->event_fd, &count, sizeof count);
}

bool
lun_pg_listener_notice(struct lun_pg_listener *l, char *text, size_t size)
{
	bool told;

	if (l == NULL)
		return false;
	pthread_mutex_lock(&l->lock);
	told = l->notice[0] != '\0';
	snprintf(text, size, "%s", l->notice);
	l->notice[0] = '\0';
	pthread_mutex_unlock(&l->lock);
	return told;
}

void
lun_pg_waker_close(struct lun_pg_waker *w)
{
	struct lun_pg_waker **at;

	if (w->listener == NULL)
		return;
	pthread_mutex_lock(&w->listener->lock);
	for (at = &w->listener->wakers; *at != w; at = &(*at)->next)
		continue;
	*at = w->next;
	pthread_mutex_unlock(&w->listener->lock);
	close(w->poll_fd);
	close(w->event_fd);
	*w = (struct lun_pg_waker){0};
}
