/*
 * position.h - how far into one event store: opaque, totally ordered.
 *
 * Holds a number (0, n), a pair (transaction id, n) or a UUID. Only the event
 * store knows its text form; {0, 0} lies before every event.
 */

#ifndef LUN_DATA_POSITION_H
#define LUN_DATA_POSITION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"
#include "lunette.h"

struct lun_position {
	uint64_t hi;
	uint64_t lo;
};

#define LUN_POSITION_START    ((struct lun_position){0, 0})
#define LUN_POSITION_HEX_SIZE 33

static inline int
lun_position_compare(struct lun_position a, struct lun_position b)
{
	if (a.hi != b.hi)
		return a.hi < b.hi ? -1 : 1;
	return (a.lo > b.lo) - (a.lo < b.lo);
}

/* 32 hexadecimal digits, for model stores, which cannot know the text form. */
void lun_position_to_hex(
    struct lun_position position, char hex[LUN_POSITION_HEX_SIZE]);
bool lun_position_from_hex(
    struct lun_text hex, struct lun_position *position) LUN_MUSTCHECK;

/* The text form of stores that number their events: a decimal. */
void lun_position_to_decimal(
    struct lun_position position, char text[LUN_POSITION_TEXT_MAX]);
/* At most INT64_MAX, digits only. */
bool lun_position_from_decimal(
    struct lun_text text, struct lun_position *position) LUN_MUSTCHECK;

#endif
