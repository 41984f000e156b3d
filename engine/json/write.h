/*
 * write.h - scalar values as JSON text.
 */

#ifndef LUN_JSON_WRITE_H
#define LUN_JSON_WRITE_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/text.h"

#define LUN_JSON_NUMBER_SIZE 40

/* A string literal with quotes; bytes that are not UTF-8 become U+FFFD. */
void lun_json_write_string(struct lun_buffer *out, struct lun_text text);
void lun_json_write_integer(struct lun_buffer *out, int64_t value);
/*
 * The fewest digits that read back equal, always with "." or an exponent,
 * whatever the locale. value must be finite.
 */
void lun_json_write_number(struct lun_buffer *out, double value);
/* The same without the point of a whole number; with a NUL. */
void lun_json_shortest(char text[LUN_JSON_NUMBER_SIZE], double value);

#endif
