/*
 * named_columns.h - the columns that the URL names, where a layout lets it.
 */

#ifndef LUN_POSTGRES_EVENTS_NAMED_COLUMNS_H
#define LUN_POSTGRES_EVENTS_NAMED_COLUMNS_H

#include "postgres/events/mappings.h"

/*
 * Put what the URL names in the place of the layout's own. A stream may be made
 * of several columns, "type,id": joined with "-", so that no two are one.
 * LUN_CONFIG where the layout's are not to be named.
 */
enum lun_code lun_pg_take_named_columns(struct lun_pg_mapping *mapping,
    struct lun_pg *c, struct lun_err *err) LUN_MUSTCHECK;

/*
 * Where nothing says by what to order: a key that is a number, else the time.
 * columns are names and types of the relation's.
 */
enum lun_code lun_pg_choose_position(struct lun_pg_mapping *mapping,
    struct lun_pg *c, const PGresult *columns,
    struct lun_err *err) LUN_MUSTCHECK;

/* The name of a column, out of e.name or e."name". */
void lun_pg_add_column_name(struct lun_buffer *name, const char *column);

#endif
