/*
 * error.h - how a failure is described; the codes are in lunette.h.
 *
 * Message: what was being done to what, then the cause, then what to do; one
 * line, no capital, no full stop. Every err argument in the tree may be NULL.
 */

#ifndef LUN_BASE_ERROR_H
#define LUN_BASE_ERROR_H

#include "lunette.h"

/* Describe a failure and return its code: return lun_fail(err, ...); */
enum lun_code lun_fail(struct lun_err *err, enum lun_code code, const char *fmt,
    ...) LUN_PRINTF(3, 4);

/* Another code for the failure that is described there, which is returned. */
enum lun_code lun_recode(struct lun_err *err, enum lun_code code);

/* Put context and ": " in front of the message there; return the code given. */
enum lun_code lun_wrap(struct lun_err *err, enum lun_code code, const char *fmt,
    ...) LUN_PRINTF(3, 4);

/* What an errno means, in English whatever the locale. */
const char *lun_errno_words(int error);

#endif
