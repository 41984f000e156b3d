/*
 * subscription_inside.h - what subscription.c and subscriber.c share.
 */

#ifndef LUN_STORE_SUBSCRIPTION_INSIDE_H
#define LUN_STORE_SUBSCRIPTION_INSIDE_H

#include <stdatomic.h>

#include "base/idle.h"
#include "store/ring.h"
#include "store/subscription.h"

#define LUN_SUBSCRIPTION_NEVER INT64_MAX  /* of a moment */
#define LUN_SEEK_NS            10000000LL /* before he tries to join again */

struct lun_subscriber {
	struct lun_subscription *s;
	void (*wake)(void *arg);
	void *arg;

	/* Under the lock. */
	struct lun_subscriber *next;
	struct lun_type_set *types; /* NULL: wants nothing now */
	atomic_bool joined;
	uint64_t place;
	uint64_t changes; /* of that place's state, as he knows it */
	struct lun_position unproven; /* events up to here */
	struct lun_shared_batch *lent;
	int64_t seek_at_ns;    /* he could not join: when to try again */
	int64_t seek_pause_ns; /* before that; doubles */
	bool called;           /* and did not come since */
	bool to_call;          /* by the thread, in this round */
	bool calling;          /* it is at it */
};

struct lun_subscription {
	struct lun_subscription_options options;
	int bell; /* an eventfd: the thread has to look around */

	pthread_mutex_t lock;
	pthread_cond_t called; /* a call is over */
	pthread_t thread;
	bool has_thread;
	bool stop;
	bool look_now; /* somebody knows of more */
	struct lun_ring ring;
	uint64_t begun;                 /* how often the ring was */
	struct lun_subscriber *members; /* all that were made */
	size_t joined;
	bool types_changed;
	struct lun_type_set *types;   /* of all who want any */
	struct lun_type_set *reading; /* of the read under way; NULL: none */
	bool away;
	char why_away[sizeof((struct lun_err *)0)->message];
	struct lun_buffer held_by; /* in words */
	int64_t unwanted_at_ns; /* when those are woken who want none of it */
	int64_t known_at_ns;

	/* The thread's own. */
	struct lun_event_store *events;
	struct lun_buffer state; /* of the read under way */
	size_t size;             /* events in the next batch */
	struct lun_idle idle;
	int64_t held_look_ns; /* 0: nothing is held back */
};

/* ---- subscription.c; the second with the lock held --------------------- */

/* The thread has to look around. */
void lun_subscription_ring(struct lun_subscription *s);
/* False: none can be had. */
bool lun_subscription_has_thread(struct lun_subscription *s);

/* ---- subscriber.c, with the lock held ---------------------------------- */

/* He goes on by himself; the last one takes the ring with him. */
void lun_subscriber_part(struct lun_subscriber *m);
bool lun_subscriber_wants_any(
    const struct lun_subscriber *m, const struct lun_batch *batch);

#endif
