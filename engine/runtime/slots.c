/*
 * slots.c - who may fetch and commit beside applying.
 *
 * A slice begins with reading hot models again. Measured in SQLite, with 50,000
 * of them in each of six projections, slices of four seconds take a sixth less
 * of the processor than those of one.
 *
 * Nobody waits for ever: what others had counts, and who comes anew is taken to
 * have had as much as whoever was served last.
 */

#include "runtime/slots.h"

#include "base/clock.h"

#define NS_PER_S 1000000000LL
#define SLICE_NS (4 * NS_PER_S)
#define LATE_NS  (3 * NS_PER_S) /* a step that lasts so long */

void
lun_slots_init(struct lun_slots *slots, size_t most)
{
	*slots = (struct lun_slots){.most = most};
	pthread_mutex_init(&slots->lock, NULL);
}

void
lun_slots_fini(struct lun_slots *slots)
{
	pthread_mutex_destroy(&slots->lock);
}

/* Behind those who have had no more. */
static void
join_line(struct lun_slots *slots, struct lun_slot *slot)
{
	struct lun_slot **at = &slots->wanted;

	if (slot->had_ns < slots->had_ns)
		slot->had_ns = slots->had_ns;
	while (*at != NULL && (*at)->had_ns <= slot->had_ns)
		at = &(*at)->next;
	slot->next = *at;
	*at = slot;
	slot->state = LUN_SLOT_WANTED;
}

/* What it had beyond a slice nobody wanted. */
static void
count_slice(struct lun_slot *slot)
{
	int64_t held_ns = lun_clock_mono_ns() - slot->slice_ns;

	slot->had_ns += held_ns < SLICE_NS ? held_ns : SLICE_NS;
}

static void
take_off(struct lun_slot **list, const struct lun_slot *slot)
{
	while (*list != slot)
		list = &(*list)->next;
	*list = slot->next;
}

/* The first in the line and so on get what is free; `self` is not called. */
static void
hand_out(struct lun_slots *slots, const struct lun_slot *self)
{
	while (slots->wanted != NULL &&
	       slots->count < slots->most + slots->extra) {
		struct lun_slot *slot = slots->wanted;

		slots->wanted = slot->next;
		slot->next = slots->held;
		slots->held = slot;
		slots->count++;
		slots->had_ns = slot->had_ns;
		slot->state = LUN_SLOT_HELD;
		slot->slice_ns = slot->step_ns = lun_clock_mono_ns();
		if (slot != self)
			slot->call(slot->arg);
	}
}

bool
lun_slots_take(struct lun_slots *slots, struct lun_slot *slot)
{
	bool held;

	pthread_mutex_lock(&slots->lock);
	if (slot->state == LUN_SLOT_NONE) {
		join_line(slots, slot);
		hand_out(slots, slot);
	}
	held = slot->state == LUN_SLOT_HELD;
	slot->step_ns = lun_clock_mono_ns();
	pthread_mutex_unlock(&slots->lock);
	return held;
}

bool
lun_slots_is_over(struct lun_slots *slots, const struct lun_slot *slot)
{
	bool over;

	pthread_mutex_lock(&slots->lock);
	over = slots->wanted != NULL &&
	       lun_clock_mono_ns() - slot->slice_ns > SLICE_NS;
	pthread_mutex_unlock(&slots->lock);
	return over;
}

void
lun_slots_leave(struct lun_slots *slots, struct lun_slot *slot)
{
	pthread_mutex_lock(&slots->lock);
	if (slot->state == LUN_SLOT_HELD) {
		take_off(&slots->held, slot);
		slots->count--;
		count_slice(slot);
	} else if (slot->state == LUN_SLOT_WANTED) {
		take_off(&slots->wanted, slot);
	}
	slot->state = LUN_SLOT_NONE;
	hand_out(slots, NULL);
	pthread_mutex_unlock(&slots->lock);
}

void
lun_slots_look(struct lun_slots *slots)
{
	int64_t late_ns = lun_clock_mono_ns() - LATE_NS;
	size_t late = 0;

	pthread_mutex_lock(&slots->lock);
	for (const struct lun_slot *slot = slots->held; slot != NULL;
	     slot = slot->next)
		late += slot->step_ns < late_ns;
	slots->extra = late < LUN_SLOTS_EXTRA ? late : LUN_SLOTS_EXTRA;
	hand_out(slots, NULL);
	pthread_mutex_unlock(&slots->lock);
}
