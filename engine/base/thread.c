/* thread.c - threads that leave the host's signals alone. */

#include "base/thread.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

#define NS_PER_S  1000000000LL
#define NAME_SIZE 16

enum lun_code
lun_thread_start(pthread_t *thread, const char *name, void *(*run)(void *),
    void *arg, struct lun_err *err)
{
	char short_name[NAME_SIZE];
	sigset_t all, before;
	int failed;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	failed = pthread_create(thread, NULL, run, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (failed != 0)
		return lun_fail(err, LUN_NOMEM, "starting a thread: %s",
		    lun_errno_words(failed));
	snprintf(short_name, sizeof short_name, "%s", name);
	pthread_setname_np(*thread, short_name);
	return LUN_OK;
}

void
lun_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attributes;

	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attributes);
	pthread_condattr_destroy(&attributes);
}

void
lun_cond_wait_until(
    pthread_cond_t *cond, pthread_mutex_t *lock, int64_t until_ns)
{
	struct timespec until = {
	    .tv_sec = until_ns / NS_PER_S,
	    .tv_nsec = until_ns % NS_PER_S,
	};

	pthread_cond_timedwait(cond, lock, &until);
}
