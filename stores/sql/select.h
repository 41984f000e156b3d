/*
 * select.h - a query as one SELECT over the table of its models.
 *
 * What databases say differently is their dialect: values, and what lies in a
 * column of json. Everything a user wrote becomes a bound parameter.
 */

#ifndef LUN_SQL_SELECT_H
#define LUN_SQL_SELECT_H

#include "base/buffer.h"
#include "query/query.h"

/* The statement being written. A dialect may have it inside its own struct. */
struct lun_sql_select {
	const struct lun_sql_dialect *dialect;
	const struct lun_schema *schema;
	struct lun_buffer *text;
};

/* Each function adds to the text of the statement. */
struct lun_sql_dialect {
	const char *always; /* a condition that holds, and one that does not */
	const char *never;
	void (*add_table)(struct lun_sql_select *s);
	/* A parameter, to be bound to the value. */
	void (*add_value)(
	    struct lun_sql_select *s, const struct lun_value *value);
	void (*add_like)(
	    struct lun_sql_select *s, const struct lun_condition *condition);
	/*
	 * The column is of json, with a path or without: what is selected;
	 * the class of the value there (null for a null), by which rows are
	 * ordered first; a comparison, unknown between classes; by what rows
	 * are ordered inside a class, each with its direction.
	 */
	void (*add_json)(
	    struct lun_sql_select *s, const struct lun_column *column);
	void (*add_json_class)(
	    struct lun_sql_select *s, const struct lun_column *column);
	void (*add_json_comparison)(struct lun_sql_select *s,
	    const struct lun_column *column, const char *comparison,
	    const struct lun_value *value);
	void (*add_json_order)(
	    struct lun_sql_select *s, const struct lun_order *order);
};

/* The whole statement: the id, which errors name, is its first column. */
void lun_sql_select(struct lun_sql_select *s, const struct lun_query *query);

/* For dialects. The comparison is an operator between spaces: " = ". */
void lun_sql_add(struct lun_sql_select *s, const char *text);
bool lun_sql_is_json(
    const struct lun_sql_select *s, const struct lun_column *column);
void lun_sql_add_field(struct lun_sql_select *s, int field);
void lun_sql_add_text(struct lun_sql_select *s, struct lun_text text);
void lun_sql_add_comparison(struct lun_sql_select *s,
    const struct lun_column *column, const char *comparison,
    const struct lun_value *value);
/* With the comma behind it. */
void lun_sql_add_direction(
    struct lun_sql_select *s, const struct lun_order *order);

#endif
