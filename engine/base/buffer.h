/*
 * buffer.h - bytes that grow. Zero is the empty state.
 *
 * A failed allocation is remembered in `failed` and later additions do
 * nothing, so a run of additions needs one check at its end.
 */

#ifndef LUN_BASE_BUFFER_H
#define LUN_BASE_BUFFER_H

#include "base/text.h"
#include "lunette.h"

struct lun_buffer {
	char *bytes;
	size_t length;
	size_t capacity;
	bool failed;
};

/* Room for `more` bytes after length; NULL when out of memory. */
char *lun_buffer_reserve(struct lun_buffer *buffer, size_t more);

void lun_buffer_add(
    struct lun_buffer *buffer, const void *bytes, size_t length);
void lun_buffer_add_text(struct lun_buffer *buffer, struct lun_text text);
void lun_buffer_add_byte(struct lun_buffer *buffer, char byte);
void lun_buffer_printf(struct lun_buffer *buffer, const char *fmt, ...)
    LUN_PRINTF(2, 3);

/* Empty it and keep the memory. */
void lun_buffer_clear(struct lun_buffer *buffer);
void lun_buffer_free(struct lun_buffer *buffer);

/*
 * Hand over the bytes, NUL-terminated, to be freed with free(); the buffer is
 * empty afterwards. NULL when out of memory.
 */
char *lun_buffer_take(struct lun_buffer *buffer);

static inline struct lun_text
lun_buffer_text(const struct lun_buffer *buffer)
{
	return (struct lun_text){buffer->bytes, buffer->length};
}

#endif
