/*
 * pool.h - a bounded number of lines (connections) that calls take turns at.
 *
 * Whoever takes one gets the open one that was given back last, else one to be
 * opened; where none is left it waits, first come, first served. Who takes one
 * for long (a wait of hours, or its owner's whole life) leaves at least half of
 * them to the others. A line that is favoured goes to who asks for it, and to
 * anybody else when no other one is open and idle. The lines belong to whoever
 * put them in.
 */

#ifndef LUN_BASE_POOL_H
#define LUN_BASE_POOL_H

#include <pthread.h>
#include <stddef.h>

#include "lunette.h"

/* A line begins with it. */
struct lun_pool_line {
	struct lun_pool_line *next; /* while it is idle */
	bool is_open;               /* as noted last */
	bool is_long;               /* taken for long */
};

struct lun_pool_waiter;

struct lun_pool {
	pthread_mutex_t lock;
	pthread_cond_t called;
	size_t count;      /* of lines */
	size_t open;       /* of them */
	size_t taken_long; /* of them */
	size_t open_long;  /* of those */
	struct lun_pool_line
	    *idle; /* open ones first, of them the favoured last */
	struct lun_pool_line *favoured; /* or NULL */
	struct lun_pool_waiter *first;
	int64_t refused_until_ns; /* none is opened as long as others are */
};

void lun_pool_init(struct lun_pool *pool);
/* Every line must have been given back. */
void lun_pool_fini(struct lun_pool *pool);
/* One more line, to begin with. */
void lun_pool_put(struct lun_pool *pool, struct lun_pool_line *line);

/* NULL: the moment (of lun_clock_mono_ns) passed first. */
struct lun_pool_line *lun_pool_take(
    struct lun_pool *pool, int64_t deadline_ns) LUN_MUSTCHECK;
/* NULL: no more may be taken for long, or none is idle. */
struct lun_pool_line *lun_pool_take_long(struct lun_pool *pool) LUN_MUSTCHECK;
/* The favoured one, if it is idle; else as lun_pool_take(), which favours it. */
struct lun_pool_line *lun_pool_take_favoured(
    struct lun_pool *pool, int64_t deadline_ns) LUN_MUSTCHECK;
void lun_pool_give(struct lun_pool *pool, struct lun_pool_line *line);

/* By whoever has the line: it was opened, or found closed. */
void lun_pool_note(
    struct lun_pool *pool, struct lun_pool_line *line, bool is_open);
/*
 * A line could not be opened. True: others are open and come back, so that is
 * not tried again for a while, and whoever takes a line waits for those.
 */
bool lun_pool_can_spare(struct lun_pool *pool) LUN_MUSTCHECK;
size_t lun_pool_open(struct lun_pool *pool);

#endif
