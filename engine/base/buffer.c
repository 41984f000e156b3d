/* buffer.c - bytes that grow. */

#include "base/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define SMALLEST 64

char *
lun_buffer_reserve(struct lun_buffer *buffer, size_t more)
{
	size_t capacity = buffer->capacity;
	char *bytes;

	if (buffer->failed)
		return NULL;
	if (capacity > 0 && more <= capacity - buffer->length)
		return buffer->bytes + buffer->length;
	if (more > SIZE_MAX / 4 - buffer->length)
		goto fail;
	if (capacity < SMALLEST)
		capacity = SMALLEST;
	while (capacity - buffer->length < more)
		capacity *= 2;
	bytes = realloc(buffer->bytes, capacity);
	if (bytes == NULL)
		goto fail;
	buffer->bytes = bytes;
	buffer->capacity = capacity;
	return bytes + buffer->length;

fail:
	buffer->failed = true;
	return NULL;
}

void
lun_buffer_add(struct lun_buffer *buffer, const void *bytes, size_t length)
{
	char *end;

	if (length == 0)
		return;
	end = lun_buffer_reserve(buffer, length);
	if (end == NULL)
		return;
	memcpy(end, bytes, length);
	buffer->length += length;
}

void
lun_buffer_add_text(struct lun_buffer *buffer, struct lun_text text)
{
	lun_buffer_add(buffer, text.bytes, text.length);
}

void
lun_buffer_add_byte(struct lun_buffer *buffer, char byte)
{
	lun_buffer_add(buffer, &byte, 1);
}

void
lun_buffer_printf(struct lun_buffer *buffer, const char *fmt, ...)
{
	va_list args;
	int length;
	char *end;

	va_start(args, fmt);
	length = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (length < 0) {
		buffer->failed = true;
		return;
	}
	end = lun_buffer_reserve(buffer, (size_t)length + 1);
	if (end == NULL)
		return;
	va_start(args, fmt);
	vsnprintf(end, (size_t)length + 1, fmt, args);
	va_end(args);
	buffer->length += (size_t)length;
}

void
lun_buffer_clear(struct lun_buffer *buffer)
{
	buffer->length = 0;
	buffer->failed = false;
}

void
lun_buffer_free(struct lun_buffer *buffer)
{
	free(buffer->bytes);
	*buffer = (struct lun_buffer){0};
}

char *
lun_buffer_take(struct lun_buffer *buffer)
{
	char *bytes;

	lun_buffer_add_byte(buffer, '\0');
	if (buffer->failed) {
		lun_buffer_free(buffer);
		return NULL;
	}
	bytes = buffer->bytes;
	*buffer = (struct lun_buffer){0};
	return bytes;
}

void
lun_free(void *text)
{
	free(text);
}
