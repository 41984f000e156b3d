/*
 * scope.h - which rows of a relation are events.
 *
 * What a layout says, narrowed by the URL: to a category, to a tenant, to the
 * rows where a column has a value. A narrowed log is another event store, as
 * its positions pass over rows that the whole one has.
 */

#ifndef LUN_POSTGRES_EVENTS_SCOPE_H
#define LUN_POSTGRES_EVENTS_SCOPE_H

#include "postgres/client/connection.h"

#define LUN_PG_NARROWINGS 3

struct lun_pg_mapping;

/* The expression is to give this text, exactly. */
struct lun_pg_narrowing {
	const char *key; /* of the URL */
	char *word;      /* what stands there behind it */
	char *expression;
	const char *value; /* in the word */
	bool of_streams;   /* whole streams are in or out */
};

struct lun_pg_scope {
	struct lun_pg_narrowing narrowings[LUN_PG_NARROWINGS];
	size_t count;
};

/*
 * What the URL asks for, once the layout's optional columns are settled.
 * LUN_CONFIG if the layout does not have it.
 */
enum lun_code lun_pg_scope_take(struct lun_pg_mapping *mapping,
    struct lun_pg *c, struct lun_err *err) LUN_MUSTCHECK;
void lun_pg_scope_free(struct lun_pg_scope *scope);

/*
 * Add " AND ...", of rows that are hidden: their streams are those that are
 * read, whose versions they count.
 */
void lun_pg_scope_add_counted(
    const struct lun_pg_mapping *mapping, struct lun_buffer *sql);

/* Make the mapping's conditions, whose parameters come first in a statement. */
bool lun_pg_scope_make(struct lun_pg_mapping *mapping) LUN_MUSTCHECK;
void lun_pg_scope_add_params(
    const struct lun_pg_scope *scope, struct lun_pg_params *params);

/* What the log is called within its database: "public.mt_events?tenant=acme" */
void lun_pg_scope_name(
    const struct lun_pg_mapping *mapping, struct lun_buffer *out);

#endif
