/* names.c - see names.h. */

#include "sql/names.h"

void
lun_sql_quote(struct lun_buffer *sql, const char *name)
{
	lun_buffer_add_byte(sql, '"');
	for (const char *p = name; *p != '\0'; p++) {
		if (*p == '"')
			lun_buffer_add_byte(sql, '"');
		lun_buffer_add_byte(sql, *p);
	}
	lun_buffer_add_byte(sql, '"');
}

void
lun_sql_add_columns(struct lun_buffer *sql, const struct lun_schema *schema)
{
	lun_sql_quote(sql, "id");
	for (size_t i = 0; i < schema->field_count; i++) {
		lun_buffer_add_text(sql, LUN_TEXT(", "));
		lun_sql_quote(sql, schema->fields[i].name);
	}
}

void
lun_sql_add_view_columns(
    struct lun_buffer *sql, const struct lun_schema *schema)
{
	lun_sql_quote(sql, "id");
	for (size_t i = 0; i < schema->field_count; i++) {
		lun_buffer_add_text(sql, LUN_TEXT(", "));
		lun_sql_quote(
		    sql, schema->fields[lun_schema_column(schema, i)].name);
	}
}

void
lun_sql_add_conflict(struct lun_buffer *sql, const struct lun_schema *schema)
{
	lun_buffer_printf(sql, " ON CONFLICT (\"id\") DO %s",
	    schema->field_count > 0 ? "UPDATE SET " : "NOTHING");
	for (size_t i = 0; i < schema->field_count; i++) {
		if (i > 0)
			lun_buffer_add_text(sql, LUN_TEXT(", "));
		lun_sql_quote(sql, schema->fields[i].name);
		lun_buffer_add_text(sql, LUN_TEXT(" = excluded."));
		lun_sql_quote(sql, schema->fields[i].name);
	}
}
