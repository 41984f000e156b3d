/*
 * listen.h - hints that there may be news, by LISTEN and NOTIFY.
 *
 * One connection listens for all readers of a store. It is made when a reader
 * asks for the first time and again, after a pause, when it was lost. Nothing
 * here waits or fails: without hints, polling carries everything, and a notice
 * says so once.
 *
 * Any thread may call these; a waker belongs to one reader.
 */

#ifndef LUN_POSTGRES_CLIENT_LISTEN_H
#define LUN_POSTGRES_CLIENT_LISTEN_H

#include "lunette.h"

struct lun_pg_listener;

struct lun_pg_waker {
	struct lun_pg_listener *listener; /* NULL: closed */
	struct lun_pg_waker *next;
	int poll_fd; /* readable when one of the others is */
	int event_fd;
};

/* conninfo and channel are borrowed. NULL when out of memory. */
struct lun_pg_listener *lun_pg_listener_new(
    const char *conninfo, const char *channel);
/* NULL is allowed; all of its wakers must be closed. */
void lun_pg_listener_free(struct lun_pg_listener *listener);

/* Zero is the closed state; opened at its first use. -1: no hints now. */
int lun_pg_waker_fd(
    struct lun_pg_waker *waker, struct lun_pg_listener *listener);
void lun_pg_waker_drain(struct lun_pg_waker *waker);
/* That listening failed or is back, once each; false: nothing new. */
bool lun_pg_listener_notice(
    struct lun_pg_listener *listener, char *text, size_t size);
/* Closed is allowed. */
void lun_pg_waker_close(struct lun_pg_waker *waker);

#endif
