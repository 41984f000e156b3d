/* parked.c - parked and skipped events on their way into a commit. */

#include "projection/parked.h"

#include <stdlib.h>

#include "base/clock.h"

static bool
reserve_item(struct lun_failed_events *list)
{
	size_t capacity = list->capacity > 0 ? list->capacity * 2 : 16;
	struct lun_failed_event *grown;

	if (list->events == NULL && (list->events = lun_batch_new()) == NULL)
		return false;
	if (list->count < list->capacity)
		return true;
	grown = realloc(list->items, capacity * sizeof *grown);
	if (grown == NULL)
		return false;
	list->items = grown;
	list->capacity = capacity;
	return true;
}

/* A copy, or absent text for absent text; false when out of memory. */
static bool
copy_text(struct lun_text text, struct lun_text *copy)
{
	char *bytes;

	*copy = LUN_TEXT_NONE;
	if (text.bytes == NULL)
		return true;
	bytes = malloc(text.length + 1);
	if (bytes == NULL)
		return false;
	memcpy(bytes, text.bytes, text.length);
	*copy = (struct lun_text){bytes, text.length};
	return true;
}

static void
free_text(struct lun_text text)
{
	free((char *)text.bytes);
}

bool
lun_failed_events_add(struct lun_failed_events *list, struct lun_text model_id,
    const struct lun_event *event, struct lun_text error)
{
	struct lun_failed_event item = {.at = lun_clock_wall_us()};

	if (!reserve_item(list) || !copy_text(model_id, &item.model_id))
		return false;
	if (!copy_text(error, &item.error) ||
	    !lun_batch_add(list->events, event)) {
		free_text(item.model_id);
		free_text(item.error);
		return false;
	}
	list->items[list->count++] = item;
	return true;
}

bool
lun_failed_events_set_error(
    struct lun_failed_events *list, size_t at, struct lun_text error)
{
	struct lun_text copy;

	if (!copy_text(error, &copy))
		return false;
	free_text(list->items[at].error);
	list->items[at].error = copy;
	return true;
}

const struct lun_failed_event *
lun_failed_events_items(struct lun_failed_events *list)
{
	for (size_t i = 0; i < list->count; i++)
		list->items[i].event = list->events->events[i];
	return list->items;
}

void
lun_failed_events_clear(struct lun_failed_events *list)
{
	for (size_t i = 0; i < list->count; i++) {
		free_text(list->items[i].model_id);
		free_text(list->items[i].error);
	}
	list->count = 0;
	if (list->events != NULL)
		lun_batch_clear(list->events);
}

void
lun_failed_events_free(struct lun_failed_events *list)
{
	lun_failed_events_clear(list);
	lun_batch_free(list->events);
	free(list->items);
	*list = (struct lun_failed_events){0};
}
