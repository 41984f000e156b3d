/* row.c - the values of one model, packed into bytes. */

#include "row.h"

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
	char head[HEAD_SIZE];
	uint64_t length = value->text.length;

	head[0] = (char)value->kind;
	if (value->kind == LUN_VALUE_NULL) {
		lun_buffer_add(row, head, 1);
		return;
	}
	if (is_text(value->kind)) {
		memcpy(head + 1, &length, sizeof length);
		lun_buffer_add(row, head, sizeof head);
		lun_buffer_add_text(row, value->text);
		return;
	}
	memcpy(head + 1, &value->integer, sizeof value->integer);
	lun_buffer_add(row, head, sizeof head);
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
