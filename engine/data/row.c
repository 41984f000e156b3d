/* row.c - the values of one model, packed into bytes. */

#include "data/row.h"

/* A value is its kind in one byte, then 8 bytes of number or text length. */
#define HEAD_SIZE (1 + sizeof(int64_t))

static bool
is_text(enum lun_value_kind kind)
{
	return kind == LUN_VALUE_TEXT || kind == LUN_VALUE_JSON;
}

void
lun_row_add(struct lun_buffer *row, const struct lun_value *value)
{
	size_t length = is_text(value->kind) ? value->text.length : 0;
	char *head = lun_buffer_reserve(row, HEAD_SIZE + length);

	if (head == NULL)
		return;
	head[0] = (char)value->kind;
	if (value->kind == LUN_VALUE_NULL) {
		row->length++;
		return;
	}
	if (is_text(value->kind))
		memcpy(head + 1, &(uint64_t){length}, sizeof(uint64_t));
	else
		memcpy(head + 1, &value->integer, sizeof value->integer);
	if (length > 0)
		memcpy(head + HEAD_SIZE, value->text.bytes, length);
	row->length += HEAD_SIZE + length;
}

bool
lun_row_next(struct lun_text *row, struct lun_value *value)
{
	uint64_t length;

	if (row->length == 0)
		return false;
	value->kind = (enum lun_value_kind)row->bytes[0];
	if (value->kind == LUN_VALUE_NULL) {
		row->bytes++;
		row->length--;
		return true;
	}
	if (is_text(value->kind)) {
		memcpy(&length, row->bytes + 1, sizeof length);
		value->text =
		    (struct lun_text){row->bytes + HEAD_SIZE, (size_t)length};
		row->bytes += HEAD_SIZE + length;
		row->length -= HEAD_SIZE + (size_t)length;
		return true;
	}
	memcpy(&value->integer, row->bytes + 1, sizeof value->integer);
	row->bytes += HEAD_SIZE;
	row->length -= HEAD_SIZE;
	return true;
}

void
lun_row_replace(char *end, const struct lun_value *value)
{
	memcpy(end - sizeof value->integer, &value->integer,
	    sizeof value->integer);
}
