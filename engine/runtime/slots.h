/*
 * slots.h - who may fetch and commit beside applying, as those who catch up do.
 *
 * That takes threads, connections and memory, so only as many do it at a time
 * as there are slots, each for a slice; the others stand in a line. First in it
 * is who has had least, so that those who have little to do are not kept waiting
 * by those who have much. Whose step lasts (a stuck script, a store that is
 * locked) keeps his slot, and the next in the line gets one all the same, up to
 * LUN_SLOTS_EXTRA.
 */

#ifndef LUN_RUNTIME_SLOTS_H
#define LUN_RUNTIME_SLOTS_H

#include <pthread.h>

#include "lunette.h"

#define LUN_SLOTS_EXTRA 8

enum lun_slot_state {
	LUN_SLOT_NONE,
	LUN_SLOT_WANTED, /* in the line */
	LUN_SLOT_HELD,
};

/* Somebody's slot. Begins as {.call, .arg}; the rest is under the lock. */
struct lun_slot {
	void (*call)(void *arg); /* it is held now; from any thread */
	void *arg;
	enum lun_slot_state state;
	int64_t had_ns;        /* of slices, until it is held or wanted */
	int64_t slice_ns;      /* since it is held */
	int64_t step_ns;       /* since it was asked about last */
	struct lun_slot *next; /* of those in the same state */
};

struct lun_slots {
	pthread_mutex_t lock;
	size_t most;
	size_t extra;   /* for those whose step lasts */
	size_t count;   /* held */
	int64_t had_ns; /* by who was served last, before that */
	struct lun_slot *held;
	struct lun_slot *wanted; /* the first in the line */
};

void lun_slots_init(struct lun_slots *slots, size_t most);
void lun_slots_fini(struct lun_slots *slots);

/* Before each step: whether it is held; if not it is in the line. */
bool lun_slots_take(struct lun_slots *slots, struct lun_slot *slot);
/* Its slice is over, and somebody waits. */
bool lun_slots_is_over(struct lun_slots *slots, const struct lun_slot *slot);
/* Give it back, or leave the line. */
void lun_slots_leave(struct lun_slots *slots, struct lun_slot *slot);
/* Every now and then: look for steps that last. */
void lun_slots_look(struct lun_slots *slots);

#endif
