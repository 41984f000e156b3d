/*
 * subscription.h - one reading of the tail of an event store, for many.
 *
 * A thread reads what comes and keeps the last part of it (ring.h). Each
 * subscriber takes it from there batch by batch, only the events that it wants,
 * and is woken when there are some. It need not keep pace: whoever falls behind
 * what is kept goes on by himself, and may join again later.
 *
 * Who joins hands over his reading: from there on his source state is the
 * shared one. So he may do it only at a place where both gave out the same
 * events (lun_event_store_same_reach()), and where everything was read since
 * then that he wants. To come to such a place he reads up to it by himself.
 *
 * A subscriber is used by one thread at a time; what wakes it is called from
 * any, with no lock held.
 */

#ifndef LUN_STORE_SUBSCRIPTION_H
#define LUN_STORE_SUBSCRIPTION_H

#include <pthread.h>

#include "base/log.h"
#include "store/event_store.h"

struct lun_subscription;
struct lun_subscriber;

struct lun_subscription_options {
	struct lun_event_store *events; /* connected from, under the lock */
	pthread_mutex_t *connect_lock;
	const struct lun_log *log;
	size_t live_events;  /* in a batch, at the head */
	size_t batch_events; /* the same where there is more to read */
	size_t kept_bytes;   /* of events, for those who are late */
	int64_t poll_ms;     /* the longest pause between two looks */
};

/* The thread begins when somebody joins. */
enum lun_code lun_subscription_new(
    const struct lun_subscription_options *options,
    struct lun_subscription **out, struct lun_err *err) LUN_MUSTCHECK;
/*
 * End the thread, after the call to the store that is under way; all
 * subscribers have left then. It may begin again.
 */
void lun_subscription_stop(struct lun_subscription *s);
/* There are no subscribers any more. NULL is allowed. */
void lun_subscription_free(struct lun_subscription *s);
/* There may be news. */
void lun_subscription_wake(struct lun_subscription *s);

/* NULL: no memory. */
struct lun_subscriber *lun_subscriber_new(
    struct lun_subscription *s, void (*wake)(void *arg), void *arg);
/* Leaves first. NULL is allowed. */
void lun_subscriber_free(struct lun_subscriber *subscriber);

/* Somebody who reads by himself, and wants to join. */
struct lun_joiner {
	struct lun_position position;
	struct lun_text source_state;
	const struct lun_event_filter *filter;
	bool at_head; /* as far as he knows: others may join him */
};

/*
 * LUN_OK: joined. LUN_AGAIN: he may try again after reading up to *upto.
 * LUN_NOTFOUND: there is no such place now; he reads on as he likes, and is
 * woken once when it is time to try again.
 */
enum lun_code lun_subscriber_join(struct lun_subscriber *subscriber,
    const struct lun_joiner *joiner, struct lun_position *upto) LUN_MUSTCHECK;
/* From any thread: whether it has joined, and was not left behind since. */
bool lun_subscriber_has_joined(const struct lun_subscriber *subscriber);

/*
 * Bring what comes next into the view, as a read by himself would have after
 * `source_state`. Its events are borrowed: they live until the next call or
 * until he leaves. LUN_NOTFOUND: nothing is there, and nothing new is known;
 * what the view says of the last read stays.
 * LUN_UNAVAILABLE: the store is away. LUN_AGAIN: the reading goes on without
 * him; he has left, and goes on by himself from where he is.
 */
enum lun_code lun_subscriber_next(struct lun_subscriber *subscriber,
    struct lun_text source_state, struct lun_batch *view,
    struct lun_err *err) LUN_MUSTCHECK;
/* Add in words who holds back what can be seen, as of the last look. */
void lun_subscriber_add_held_by(
    struct lun_subscriber *subscriber, struct lun_buffer *words);
/* What he was given is not touched any more. Does nothing if he had not come. */
void lun_subscriber_leave(struct lun_subscriber *subscriber);

#endif
