/*
 * url.h - where a PostgreSQL store is, taken out of its URL.
 *
 * The URL is libpq's, with query keys of our own among its own. Connections
 * made from one another share it; but for its counts it is constant.
 */

#ifndef LUN_POSTGRES_CLIENT_URL_H
#define LUN_POSTGRES_CLIENT_URL_H

#include <stdatomic.h>

#include "base/buffer.h"
#include "lunette.h"
#include "store/event_store.h"

#define LUN_PG_NAME_MAX 63 /* bytes of an identifier */

struct lun_pg_url {
	atomic_uint users;
	atomic_uint cancelling; /* threads that do, see cancel.c */
	atomic_bool answered;   /* the server has let us in once */
	char *conninfo; /* the URL as libpq gets it: may hold a password */
	char *name;     /* for messages: without one */
	char **values;  /* of our own keys; NULL: not given */
	struct lun_store_options options;
};

/*
 * rest is the URL without "postgres:". The caller is its first user.
 * LUN_CONFIG for what libpq would not take; no message holds a password.
 */
enum lun_code lun_pg_url_new(const char *rest,
    const struct lun_store_options *options, struct lun_pg_url **out,
    struct lun_err *err) LUN_MUSTCHECK;
struct lun_pg_url *lun_pg_url_share(struct lun_pg_url *url);
/* One user less; the last one frees it. NULL is allowed. */
void lun_pg_url_release(struct lun_pg_url *url);

/* The value of one of our own keys, or NULL. */
const char *lun_pg_url_value(const struct lun_pg_url *url, const char *key);

/* Another of our own keys than this one that is given, or NULL. */
const char *lun_pg_url_beside(const struct lun_pg_url *url, const char *key);

/* LUN_CONFIG unless a table or schema may have that name. */
enum lun_code lun_pg_check_name(
    const char *what, const char *name, struct lun_err *err) LUN_MUSTCHECK;

#endif
