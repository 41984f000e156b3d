/*
 * parked.h - parked and skipped events on their way into a commit.
 *
 * The list owns copies of everything, so the batch may go.
 */

#ifndef LUN_PROJECTION_PARKED_H
#define LUN_PROJECTION_PARKED_H

#include "data/event.h"
#include "store/model_store.h"

struct lun_set_aside_list {
	struct lun_set_aside *items;
	size_t count;
	size_t capacity;
	struct lun_batch *events; /* owns the copies, one for each item */
};

/* model_id may be absent. False when out of memory. */
bool lun_set_aside_add(struct lun_set_aside_list *list,
    struct lun_text model_id, const struct lun_event *event,
    struct lun_text error) LUN_MUSTCHECK;
/* Another error for an item. False when out of memory. */
bool lun_set_aside_set_error(struct lun_set_aside_list *list, size_t at,
    struct lun_text error) LUN_MUSTCHECK;
/* The items, with their events in place; good until the next change. */
const struct lun_set_aside *lun_set_aside_items(
    struct lun_set_aside_list *list);
void lun_set_aside_clear(struct lun_set_aside_list *list);
void lun_set_aside_free(struct lun_set_aside_list *list);

#endif
