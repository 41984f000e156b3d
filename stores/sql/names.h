/*
 * names.h - identifiers in SQL.
 */

#ifndef LUN_SQL_NAMES_H
#define LUN_SQL_NAMES_H

#include "base/buffer.h"
#include "data/schema.h"

/* The name as a quoted identifier. */
void lun_sql_quote(struct lun_buffer *sql, const char *name);

/* "id", "a", "b": the columns of the models, as rows are packed. */
void lun_sql_add_columns(
    struct lun_buffer *sql, const struct lun_schema *schema);
/* The same in the order of the author, as a view has them. */
void lun_sql_add_view_columns(
    struct lun_buffer *sql, const struct lun_schema *schema);

/* The end of an INSERT: every field of a model that is there is replaced. */
void lun_sql_add_conflict(
    struct lun_buffer *sql, const struct lun_schema *schema);

#endif
