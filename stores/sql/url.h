/*
 * url.h - values in the URLs of stores.
 */

#ifndef LUN_SQL_URL_H
#define LUN_SQL_URL_H

#include "base/buffer.h"

/* The part before `end`, which is taken off the rest; all of it without one. */
struct lun_text lun_sql_url_part(struct lun_text *rest, char end);

/*
 * What is written as % and two digits, as it is meant; a "%" that begins
 * nothing stays. *out is to be freed. LUN_CONFIG for a NUL byte, which no value
 * may have.
 */
enum lun_code lun_sql_url_decode(struct lun_text key, struct lun_text value,
    char **out, struct lun_err *err) LUN_MUSTCHECK;

/*
 * Put the value of one "key=value" among those of the keys there are, each of
 * which may be given once; values are to be freed. LUN_NOTFOUND, err untouched:
 * its key is none of these.
 */
enum lun_code lun_sql_url_take(struct lun_text pair, const char *const *keys,
    size_t count, char **values, struct lun_err *err) LUN_MUSTCHECK;

/*
 * Refuse the key of such a pair, which nobody knows. What does not look like
 * one is not quoted: it may be the rest of a password.
 */
enum lun_code lun_sql_url_refuse(const char *scheme, struct lun_text pair,
    const char *const *keys, size_t count, struct lun_err *err);

#endif
