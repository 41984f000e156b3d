/*
 * type_set.h - event types that are wanted: made once, then never changed.
 */

#ifndef LUN_STORE_TYPE_SET_H
#define LUN_STORE_TYPE_SET_H

#include "data/event.h"

struct lun_type_set {
	size_t uses; /* counted by whoever guards them */
	bool all;    /* every type there is */
	size_t count;
	struct lun_text types[]; /* in order, each once; their bytes follow */
};

/*
 * What any of these filters wants; the streams they name do not count. It is
 * used once. NULL: no memory.
 */
struct lun_type_set *lun_type_set_new(
    const struct lun_event_filter *filters, size_t count);
struct lun_type_set *lun_type_set_use(struct lun_type_set *set);
/* One use less; the last one frees it. NULL is allowed. */
void lun_type_set_drop(struct lun_type_set *set);

/* Its types are borrowed. */
struct lun_event_filter lun_type_set_filter(const struct lun_type_set *set);
/* Every type of `other` is in the set. */
bool lun_type_set_covers(
    const struct lun_type_set *set, const struct lun_type_set *other);

#endif
