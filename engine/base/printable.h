/*
 * printable.h - text as people may be shown it: nothing in it is a command to
 * a terminal, turns the direction of writing or cannot be seen, and there is
 * no password in it.
 */

#ifndef LUN_BASE_PRINTABLE_H
#define LUN_BASE_PRINTABLE_H

#include "base/text.h"

#define LUN_PRINTABLE_SIZE 12 /* bytes of one escape, with its NUL */

/*
 * The first character of rest, which has one, as it is shown: "\u202e" for
 * what must not be, "\xff" for a byte that is not UTF-8. Returns the bytes of
 * rest it took.
 */
size_t lun_printable_next(
    struct lun_text rest, char shown[LUN_PRINTABLE_SIZE], size_t *length);

/*
 * Make the text in an array of this size printable where it stands; what finds
 * no room is cut off. Line ends and tabs stay if it is of several lines and
 * are spaces in one line.
 */
void lun_printable_line(char *text, size_t size);
void lun_printable_lines(char *text, size_t size);

/*
 * Replace passwords by stars: in URLs, whatever they look like, and behind
 * "password=". The text does not grow.
 */
void lun_printable_mask(char *text);

/* A message of one line without passwords, which are found before it is cut. */
void lun_printable_message(char *text, size_t size);

#endif
