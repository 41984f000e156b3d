/* due.c - tasks in the order in which they are due (a binary heap). */

#include "runtime/due.h"

#include <stdlib.h>

#include "runtime/crew.h"

bool
lun_due_reserve(struct lun_due *due, size_t count)
{
	size_t capacity = count * 2;
	struct lun_task **list;

	if (count <= due->capacity)
		return true;
	list = realloc(due->list, capacity * sizeof(struct lun_task *));
	if (list == NULL)
		return false;
	due->list = list;
	due->capacity = capacity;
	return true;
}

void
lun_due_free(struct lun_due *due)
{
	free(due->list);
	*due = (struct lun_due){0};
}

/* Places count from 1, so that 0 is none. */
static void
put(struct lun_due *due, size_t place, struct lun_task *task)
{
	due->list[place - 1] = task;
	task->place = place;
}

static struct lun_task *
at(const struct lun_due *due, size_t place)
{
	return due->list[place - 1];
}

static void
move_up(struct lun_due *due, size_t place, struct lun_task *task)
{
	while (place > 1 && task->due_ns < at(due, place / 2)->due_ns) {
		put(due, place, at(due, place / 2));
		place /= 2;
	}
	put(due, place, task);
}

static void
move_down(struct lun_due *due, size_t place, struct lun_task *task)
{
	for (size_t below = place * 2; below <= due->count; below = place * 2) {
		if (below < due->count &&
		    at(due, below + 1)->due_ns < at(due, below)->due_ns)
			below++;
		if (task->due_ns <= at(due, below)->due_ns)
			break;
		put(due, place, at(due, below));
		place = below;
	}
	put(due, place, task);
}

void
lun_due_add(struct lun_due *due, struct lun_task *task)
{
	move_up(due, ++due->count, task);
}

void
lun_due_remove(struct lun_due *due, struct lun_task *task)
{
	size_t place = task->place;
	struct lun_task *last;

	if (place == 0)
		return;
	task->place = 0;
	last = at(due, due->count--);
	if (last == task)
		return;
	if (place > 1 && last->due_ns < at(due, place / 2)->due_ns)
		move_up(due, place, last);
	else
		move_down(due, place, last);
}

struct lun_task *
lun_due_first(const struct lun_due *due)
{
	return due->count > 0 ? due->list[0] : NULL;
}
