/*
 * names.h - identifiers in SQL.
 */

#ifndef LUN_SQL_NAMES_H
#define LUN_SQL_NAMES_H

#include "base/buffer.h"
#include "data/schema.h"

/* The name as a quoted identifier. */
void lun_sql_quote(struct lun_buffer *sql, const char *name);

/* "id", "a", "b": the columns of the models, in the order of the schema. */
void lun_sql_add_columns(
    struct lun_buffer *sql, const struct lun_schema *schema);

/* "a" = excluded."a", "b" = excluded."b": what an upsert sets. */
void lun_sql_add_assignments(
    struct lun_buffer *sql, const struct lun_schema *schema);

#endif
