/* position.c - how far into one event store. */

#include "data/position.h"

#include <inttypes.h>
#include <stdio.h>

void
lun_position_to_hex(
    struct lun_position position, char hex[LUN_POSITION_HEX_SIZE])
{
	snprintf(hex, LUN_POSITION_HEX_SIZE, "%016" PRIx64 "%016" PRIx64,
	    position.hi, position.lo);
}

static bool
read_hex(const char *digits, uint64_t *value)
{
	uint64_t sum = 0;

	for (int i = 0; i < 16; i++) {
		char c = digits[i];

		if (c >= '0' && c <= '9')
			sum = sum << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			sum = sum << 4 | (uint64_t)(c - 'a' + 10);
		else
			return false;
	}
	*value = sum;
	return true;
}

bool
lun_position_from_hex(struct lun_text hex, struct lun_position *position)
{
	struct lun_position read;

	if (hex.length != LUN_POSITION_HEX_SIZE - 1 ||
	    !read_hex(hex.bytes, &read.hi) ||
	    !read_hex(hex.bytes + 16, &read.lo))
		return false;
	*position = read;
	return true;
}

void
lun_position_to_decimal(
    struct lun_position position, char text[LUN_POSITION_TEXT_MAX])
{
	snprintf(text, LUN_POSITION_TEXT_MAX, "%" PRIu64, position.lo);
}

bool
lun_position_from_decimal(struct lun_text text, struct lun_position *position)
{
	uint64_t sum = 0;

	if (text.length == 0 || text.length > 19)
		return false;
	for (size_t i = 0; i < text.length; i++) {
		char c = text.bytes[i];

		if (c < '0' || c > '9')
			return false;
		sum = sum * 10 + (uint64_t)(c - '0');
	}
	if (sum > INT64_MAX)
		return false;
	*position = (struct lun_position){0, sum};
	return true;
}
