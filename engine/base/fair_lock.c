/* fair_lock.c - a lock that is had in the order in which it was asked for. */

#include "base/fair_lock.h"

#include <assert.h>
#include <errno.h>
#include <time.h>

#define NS_IN_S 1000000000LL

/* It lives on the stack of the thread that waits. */
struct lun_fair_lock_waiter {
	struct lun_fair_lock_waiter *next;
	bool called;
};

bool
lun_fair_lock_init(struct lun_fair_lock *turn)
{
	pthread_condattr_t attributes;
	bool done;

	*turn = (struct lun_fair_lock){.taken = false};
	if (pthread_mutex_init(&turn->mutex, NULL) != 0)
		return false;
	done = pthread_condattr_init(&attributes) == 0;
	if (done) {
		pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
		done = pthread_cond_init(&turn->moved_up, &attributes) == 0;
		pthread_condattr_destroy(&attributes);
	}
	if (!done)
		pthread_mutex_destroy(&turn->mutex);
	return done;
}

void
lun_fair_lock_fini(struct lun_fair_lock *turn)
{
	assert(!turn->taken && turn->first == NULL);
	pthread_cond_destroy(&turn->moved_up);
	pthread_mutex_destroy(&turn->mutex);
}

static void
join_line(struct lun_fair_lock *turn, struct lun_fair_lock_waiter *me)
{
	struct lun_fair_lock_waiter **end = &turn->first;

	while (*end != NULL)
		end = &(*end)->next;
	*end = me;
}

static void
leave_line(struct lun_fair_lock *turn, struct lun_fair_lock_waiter *me)
{
	struct lun_fair_lock_waiter **at = &turn->first;

	while (*at != me)
		at = &(*at)->next;
	*at = me->next;
}

static void
wait_in_line(struct lun_fair_lock *turn, struct lun_fair_lock_waiter *me,
    int64_t deadline_ns)
{
	struct timespec deadline = {
	    .tv_sec = deadline_ns / NS_IN_S,
	    .tv_nsec = deadline_ns % NS_IN_S,
	};
	int result = 0;

	join_line(turn, me);
	while (!me->called && result != ETIMEDOUT)
		result = pthread_cond_timedwait(
		    &turn->moved_up, &turn->mutex, &deadline);
	if (!me->called)
		leave_line(turn, me);
}

bool
lun_fair_lock_take(struct lun_fair_lock *turn, int64_t deadline_ns)
{
	struct lun_fair_lock_waiter me = {.called = false};

	pthread_mutex_lock(&turn->mutex);
	if (turn->taken)
		wait_in_line(turn, &me, deadline_ns);
	else
		turn->taken = me.called = true;
	pthread_mutex_unlock(&turn->mutex);
	return me.called;
}

/* The turn stays taken when somebody waits, so nobody can jump the line. */
void
lun_fair_lock_pass(struct lun_fair_lock *turn)
{
	struct lun_fair_lock_waiter *next;

	pthread_mutex_lock(&turn->mutex);
	assert(turn->taken);
	next = turn->first;
	if (next != NULL) {
		turn->first = next->next;
		next->called = true;
		pthread_cond_broadcast(&turn->moved_up);
	} else {
		turn->taken = false;
	}
	pthread_mutex_unlock(&turn->mutex);
}
