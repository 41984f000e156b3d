/*
 * thread.h - threads that leave the host's signals alone.
 */

#ifndef LUN_BASE_THREAD_H
#define LUN_BASE_THREAD_H

#include <pthread.h>

#include "lunette.h"

/*
 * Start a thread in which every signal is blocked. The first 15 bytes of its
 * name are what an operator sees in a list of threads.
 */
enum lun_code lun_thread_start(pthread_t *thread, const char *name,
    void *(*run)(void *), void *arg, struct lun_err *err) LUN_MUSTCHECK;

/* Wait on cond, whose clock is CLOCK_MONOTONIC, until `until_ns` of that. */
void lun_cond_wait_until(
    pthread_cond_t *cond, pthread_mutex_t *lock, int64_t until_ns);
void lun_cond_init(pthread_cond_t *cond);

#endif
