/*
 * fair_lock.h - a lock that is had in the order in which it was asked for.
 *
 * Writers take turns, so that one with long transactions and no pauses cannot
 * starve one with short ones, as it could with a mutex.
 */

#ifndef LUN_BASE_FAIR_LOCK_H
#define LUN_BASE_FAIR_LOCK_H

#include <pthread.h>

#include "lunette.h"

struct lun_fair_lock_waiter;

struct lun_fair_lock {
	pthread_mutex_t mutex;
	pthread_cond_t moved_up;
	bool taken;
	struct lun_fair_lock_waiter *first; /* of those who wait */
};

/* False when out of memory; nothing needs freeing then. */
bool lun_fair_lock_init(struct lun_fair_lock *turn) LUN_MUSTCHECK;
/* Nobody may have it or wait for it. */
void lun_fair_lock_fini(struct lun_fair_lock *turn);

/* False if the moment (of lun_clock_mono_ns) passed first. */
bool lun_fair_lock_take(
    struct lun_fair_lock *turn, int64_t deadline_ns) LUN_MUSTCHECK;
/* Hand it on; any thread may do so. */
void lun_fair_lock_pass(struct lun_fair_lock *turn);

#endif
