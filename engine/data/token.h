/*
 * token.h - a position outside the process, bound to its event store.
 *
 * "1" (the format), 8 lower-case hexadecimal digits: the upper half of XXH3-64
 * over the bytes of the event store's identity, "-", the position in 32 hex
 * digits. Tokens of one event store sort as its positions do.
 */

#ifndef LUN_DATA_TOKEN_H
#define LUN_DATA_TOKEN_H

#include "data/position.h"

void lun_token_format(const char *identity, struct lun_position position,
    char token[LUN_TOKEN_SIZE]);

/* Whether this is meant as one: the text of no position looks so. */
bool lun_token_is(struct lun_text text);

/*
 * LUN_INVALID, with what is wrong: it is of another format, incomplete, or of
 * another event store than the one with this identity.
 */
enum lun_code lun_token_parse(struct lun_text text, const char *identity,
    struct lun_position *position, struct lun_err *err) LUN_MUSTCHECK;

#endif
