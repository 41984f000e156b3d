/*
 * due.h - tasks in the order in which they are due (a binary heap).
 */

#ifndef LUN_RUNTIME_DUE_H
#define LUN_RUNTIME_DUE_H

#include "lunette.h"

struct lun_task;

/* Zero is the empty state. */
struct lun_due {
	struct lun_task **list;
	size_t count;
	size_t capacity;
};

/* Room for so many, so that adding them cannot fail. False: no memory. */
bool lun_due_reserve(struct lun_due *due, size_t count) LUN_MUSTCHECK;
void lun_due_free(struct lun_due *due);

/* By task->due_ns, which stays as it is while it is in here. */
void lun_due_add(struct lun_due *due, struct lun_task *task);
/* Does nothing if it is not in here. */
void lun_due_remove(struct lun_due *due, struct lun_task *task);
/* The one that is due first, or NULL. */
struct lun_task *lun_due_first(const struct lun_due *due);

#endif
