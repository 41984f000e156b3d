/*
 * row.h - the values of one model, packed into bytes.
 *
 * A packed row holds one value for every field of its schema, in the schema's
 * order. It is the form in which models travel between the script host, the
 * unit of work and the model stores; it is never written to a disk.
 */

#ifndef LUN_DATA_ROW_H
#define LUN_DATA_ROW_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/text.h"

enum lun_value_kind {
	LUN_VALUE_NULL,
	LUN_VALUE_TEXT, /* UTF-8 without NUL */
	LUN_VALUE_INTEGER,
	LUN_VALUE_NUMBER,    /* never NaN or infinite */
	LUN_VALUE_BOOLEAN,   /* integer 0 or 1 */
	LUN_VALUE_TIMESTAMP, /* integer: microseconds since 1970 UTC */
	LUN_VALUE_JSON,      /* text: JSON with sorted keys */
};

struct lun_value {
	enum lun_value_kind kind;
	union {
		int64_t integer;
		double number;
		struct lun_text text;
	};
};

/* Append a value to a packed row. */
void lun_row_add(struct lun_buffer *row, const struct lun_value *value);

/* What was packed: a row of no fields is empty, and not absent. */
static inline struct lun_text
lun_row_text(const struct lun_buffer *row)
{
	return row->length > 0 ? lun_buffer_text(row) : LUN_TEXT("");
}

/*
 * Take the first value off a packed row; text in it is borrowed from the row.
 * False at the end of the row.
 */
bool lun_row_next(struct lun_text *row, struct lun_value *value);

/*
 * Put another value in place of the one that was taken off a row in the
 * caller's own memory and ended at `end`: of its kind, which is neither null
 * nor text.
 */
void lun_row_replace(char *end, const struct lun_value *value);

#endif
