/*
 * utf8.h - which bytes are UTF-8.
 */

#ifndef LUN_BASE_UTF8_H
#define LUN_BASE_UTF8_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/text.h"

#define LUN_UTF8_REPLACEMENT LUN_TEXT("\xef\xbf\xbd") /* U+FFFD */

bool lun_utf8_valid(struct lun_text text);
/*
 * Length of the character at p, which lies before end; 0 if the bytes there
 * are overlong, a surrogate, above U+10FFFF or cut short.
 */
size_t lun_utf8_length(const char *p, const char *end);
/* The character whose length that is. */
uint32_t lun_utf8_point(const char *p, size_t length);
/* Any bytes; each that is not UTF-8 becomes U+FFFD. */
void lun_utf8_add(struct lun_buffer *out, struct lun_text text);

/*
 * Take a byte order mark off the begin of a text. NULL, or the name of the
 * other encoding that it is in: "UTF-16", "UTF-32", by its mark or its zeros.
 */
const char *lun_utf8_begin(struct lun_text *text);

#endif
