/*
 * parked.h - parked and skipped events on their way into a commit.
 *
 * The list owns copies of everything, so the batch may go.
 */

#ifndef LUN_PROJECTION_PARKED_H
#define LUN_PROJECTION_PARKED_H

#include "data/event.h"
#include "store/model_store.h"

struct lun_failed_events {
	struct lun_failed_event *items;
	size_t count;
	size_t capacity;
	struct lun_batch *events; /* owns the copies, one for each item */
};

/* model_id may be absent. False when out of memory. */
bool lun_failed_events_add(struct lun_failed_events *list,
    struct lun_text model_id, const struct lun_event *event,
    struct lun_text error) LUN_MUSTCHECK;
/* Another error for an item. False when out of memory. */
bool lun_failed_events_set_error(struct lun_failed_events *list, size_t at,
    struct lun_text error) LUN_MUSTCHECK;
/* The items, with their events in place; good until the next change. */
const struct lun_failed_event *lun_failed_events_items(
    struct lun_failed_events *list);
void lun_failed_events_clear(struct lun_failed_events *list);
void lun_failed_events_free(struct lun_failed_events *list);

#endif
