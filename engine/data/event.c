/* event.c - the batch that carries events to a projection. */

#include "data/event.h"

#include <stdlib.h>

#include "base/utf8.h"
#include "data/documents.h"

#include "json/scan.h"

#define FIRST_BLOCK   ((size_t)1 << 12)
#define LARGE_BLOCK   ((size_t)1 << 18)
#define KEPT_CAPACITY ((size_t)1 << 16)

struct lun_batch_block {
	struct lun_batch_block *next;
	size_t used;
	size_t size;
	char bytes[];
};

struct lun_batch *
lun_batch_new(void)
{
	struct lun_batch *batch = calloc(1, sizeof *batch);

	if (batch == NULL)
		return NULL;
	batch->documents = calloc(1, sizeof *batch->documents);
	if (batch->documents == NULL) {
		free(batch);
		return NULL;
	}
	batch->tenants_from = LUN_NO_EVENT;
	return batch;
}

static void
free_blocks(struct lun_batch_block *block)
{
	while (block != NULL) {
		struct lun_batch_block *next = block->next;

		free(block);
		block = next;
	}
}

void
lun_batch_free(struct lun_batch *batch)
{
	if (batch == NULL)
		return;
	free_blocks(batch->blocks);
	lun_buffer_free(&batch->source_state);
	lun_documents_free(batch->documents);
	free(batch->documents);
	free(batch->events);
	free(batch);
}

void
lun_batch_clear(struct lun_batch *batch)
{
	if (batch->blocks != NULL) {
		free_blocks(batch->blocks->next);
		batch->blocks->next = NULL;
		batch->blocks->used = 0;
	}
	if (batch->capacity > KEPT_CAPACITY) {
		free(batch->events);
		batch->events = NULL;
		batch->capacity = 0;
	}
	batch->count = 0;
	batch->bytes = 0;
	batch->reached = LUN_POSITION_START;
	batch->at_head = false;
	batch->at_gap = false;
	batch->held = false;
	batch->ripens = false;
	batch->look_us = 0;
	batch->tenants_from = LUN_NO_EVENT;
	lun_buffer_clear(&batch->source_state);
	lun_documents_end(batch->documents);
}

void
lun_batch_trim(struct lun_batch *batch)
{
	free_blocks(batch->blocks);
	batch->blocks = NULL;
	free(batch->events);
	batch->events = NULL;
	batch->capacity = batch->count = batch->bytes = 0;
	lun_documents_free(batch->documents);
}

/* Blocks grow, as most batches of who is live are a few events. */
static size_t
next_block_size(const struct lun_batch_block *last, size_t length)
{
	size_t size = last == NULL ? FIRST_BLOCK : last->size * 2;

	if (size > LARGE_BLOCK)
		size = LARGE_BLOCK;
	return length > size ? length : size;
}

static char *
allocate_bytes(struct lun_batch *batch, size_t length)
{
	struct lun_batch_block *block = batch->blocks;

	if (block == NULL || block->size - block->used < length) {
		size_t size = next_block_size(block, length);

		block = malloc(sizeof *block + size);
		if (block == NULL)
			return NULL;
		block->next = batch->blocks;
		block->used = 0;
		block->size = size;
		batch->blocks = block;
	}
	block->used += length;
	return block->bytes + block->used - length;
}

static bool
reserve_event(struct lun_batch *batch)
{
	size_t capacity = batch->capacity > 0 ? batch->capacity * 2 : 64;
	struct lun_event *events;

	if (batch->count < batch->capacity)
		return true;
	events = realloc(batch->events, capacity * sizeof *events);
	if (events == NULL)
		return false;
	batch->events = events;
	batch->capacity = capacity;
	return true;
}

static struct lun_text
copy_into_block(char **at, struct lun_text text)
{
	struct lun_text copy = {NULL, 0};

	if (text.bytes == NULL)
		return copy;
	if (text.length > 0)
		memcpy(*at, text.bytes, text.length);
	copy = (struct lun_text){*at, text.length};
	*at += text.length;
	return copy;
}

static size_t
text_bytes(const struct lun_event *event)
{
	return event->id.length + event->stream.length + event->type.length +
	       event->data.length + event->metadata.length +
	       event->tenant.length;
}

/* length: of its texts */
static size_t
counted_bytes(const struct lun_event *event, size_t length)
{
	return sizeof *event + 2 * sizeof(struct lun_document) + length +
	       event->data.length;
}

size_t
lun_event_bytes(const struct lun_event *event)
{
	return counted_bytes(event, text_bytes(event));
}

bool
lun_batch_add(struct lun_batch *batch, const struct lun_event *event)
{
	size_t length = text_bytes(event);
	struct lun_event *copy;
	char *at;

	if (!reserve_event(batch))
		return false;
	at = allocate_bytes(batch, length + 1);
	if (at == NULL)
		return false;
	copy = &batch->events[batch->count++];
	*copy = *event;
	copy->id = copy_into_block(&at, event->id);
	copy->stream = copy_into_block(&at, event->stream);
	copy->type = copy_into_block(&at, event->type);
	copy->data = copy_into_block(&at, event->data);
	copy->metadata = copy_into_block(&at, event->metadata);
	copy->tenant = copy_into_block(&at, event->tenant);
	batch->bytes += counted_bytes(event, length);
	return true;
}

bool
lun_batch_lend(struct lun_batch *batch, const struct lun_event *event)
{
	if (!reserve_event(batch))
		return false;
	batch->events[batch->count++] = *event;
	return true;
}

bool
lun_event_filter_wants(const struct lun_event_filter *filter,
    struct lun_text stream, struct lun_text type)
{
	if (filter->stream.bytes != NULL &&
	    !lun_text_equal(filter->stream, stream))
		return false;
	if (filter->type_count == 0)
		return true;
	for (size_t i = 0; i < filter->type_count; i++)
		if (lun_text_equal(filter->types[i], type))
			return true;
	return false;
}

const char *
lun_event_name_fault(struct lun_text name)
{
	if (name.length == 0)
		return "is empty";
	if (!lun_utf8_valid(name))
		return "is not UTF-8";
	return memchr(name.bytes, '\0', name.length) != NULL ? "has a NUL byte"
							     : NULL;
}

/* A text that begins like an object was an object before. */
static const char *
describe_wrong_type(struct lun_text type, bool was_text)
{
	if (type.length == 0)
		return "has an empty type in it";
	if (memchr(type.bytes, '\0', type.length) != NULL)
		return "has a type with a NUL byte in it";
	if (was_text && strchr("{[", type.bytes[0]) != NULL)
		return "is JSON in a string, encoded twice, so there is no "
		       "type in it";
	return NULL;
}

const char *
lun_event_unwrap(struct lun_event *event, struct lun_buffer *name)
{
	struct lun_json_member member;
	size_t count = 1;
	struct lun_text literal = event->data;
	bool plain = true, is_text = false;

	if (lun_json_members(event->data, &member, &count, NULL) == LUN_OK &&
	    count == 1) {
		event->data = member.value;
		literal = member.key;
		plain = !member.key_escaped;
	} else if (literal.length > 2 && literal.bytes[0] == '"') {
		event->data = LUN_TEXT("null");
		plain = false;
		is_text = true;
	} else {
		return NULL;
	}
	lun_buffer_clear(name);
	if (plain)
		lun_buffer_add_text(name, literal);
	else
		lun_json_unescape(literal, name);
	event->type = lun_buffer_text(name);
	return name->failed ? NULL : describe_wrong_type(event->type, is_text);
}
