/* named_columns.c - the columns that the URL names, where a layout lets it. */

#include "postgres/events/named_columns.h"

#include "base/error.h"
#include "postgres/events/mapping_parts.h"
#include "sql/names.h"
#include "sql/url.h"

/* The keys of the URL. */
static const char *const column_keys[LUN_PG_COLUMNS] = {
    [LUN_PG_C_POSITION] = "position",
    [LUN_PG_C_TRANSACTION] = "transaction_id",
    [LUN_PG_C_VERSION] = "version",
    [LUN_PG_C_RECORDED_AT] = "recorded_at",
    [LUN_PG_C_ID] = "id",
    [LUN_PG_C_STREAM] = "stream",
    [LUN_PG_C_TYPE] = "type",
    [LUN_PG_C_DATA] = "data",
    [LUN_PG_C_METADATA] = "metadata",
};

void
lun_pg_add_column_name(struct lun_buffer *name, const char *column)
{
	const char *p = strchr(column, '.');

	p = p != NULL ? p + 1 : column;
	if (*p != '"') {
		lun_buffer_add(name, p, strlen(p));
		return;
	}
	for (p++; *p != '\0'; p++) {
		if (*p == '"' && *++p != '"')
			break;
		lun_buffer_add_byte(name, *p);
	}
}

/* ---- one column, or several -------------------------------------------- */

static enum lun_code
add_column(struct lun_buffer *text, const char *key, struct lun_text name,
    struct lun_err *err)
{
	struct lun_buffer copy = {0};
	enum lun_code code;

	lun_buffer_add_text(&copy, name);
	lun_buffer_add_byte(&copy, '\0');
	if (copy.failed)
		return lun_fail(err, LUN_NOMEM, "%s: out of memory", key);
	code = lun_pg_check_name(key, copy.bytes, err);
	if (code == LUN_OK) {
		lun_buffer_add_text(text, LUN_TEXT("e."));
		lun_sql_quote(text, copy.bytes);
	}
	lun_buffer_free(&copy);
	return code;
}

/* Whatever stands before a "-" has none of its own. */
static enum lun_code
add_columns(struct lun_buffer *text, const char *key, struct lun_text names,
    struct lun_err *err)
{
	enum lun_code code = LUN_OK;

	while (code == LUN_OK && names.bytes != NULL) {
		struct lun_text name = lun_sql_url_part(&names, ',');
		bool last = names.bytes == NULL;

		lun_buffer_add_text(
		    text, last ? LUN_TEXT("(") : LUN_TEXT("replace(replace(("));
		code = add_column(text, key, name, err);
		lun_buffer_add_text(text,
		    last ? LUN_TEXT(")::text")
			 : LUN_TEXT(")::text, '%', '%25'), '-', '%2D') || "
				    "'-' || "));
	}
	return code;
}

static enum lun_code
take_column(struct lun_pg *c, const char *key, bool several, char **own,
    const char **column, struct lun_err *err)
{
	const char *name = lun_pg_url_value(c->url, key);
	struct lun_buffer text = {0};
	enum lun_code code;

	if (name == NULL)
		return LUN_OK;
	if (several && strchr(name, ',') != NULL)
		code = add_columns(&text, key, lun_text_of(name), err);
	else
		code = add_column(&text, key, lun_text_of(name), err);
	if (code != LUN_OK) {
		lun_buffer_free(&text);
		return code;
	}
	*own = lun_buffer_take(&text);
	if (*own == NULL)
		return lun_pg_mapping_no_memory(c, err);
	*column = *own;
	return LUN_OK;
}

static enum lun_code
refuse_columns(const struct lun_pg_mapping *mapping, const struct lun_pg *c,
    struct lun_err *err)
{
	for (int i = 0; i < LUN_PG_COLUMNS; i++)
		if (lun_pg_url_value(c->url, column_keys[i]) != NULL)
			return lun_fail(err, LUN_CONFIG,
			    "%s: %s= is for layout=custom and outbox; "
			    "layout=%s has columns of its own",
			    lun_pg_name(c), column_keys[i],
			    mapping->layout.name);
	return LUN_OK;
}

enum lun_code
lun_pg_take_named_columns(
    struct lun_pg_mapping *mapping, struct lun_pg *c, struct lun_err *err)
{
	static const enum lun_pg_column needed[] = {LUN_PG_C_POSITION,
	    LUN_PG_C_ID, LUN_PG_C_STREAM, LUN_PG_C_TYPE, LUN_PG_C_DATA};
	struct lun_pg_layout *layout = &mapping->layout;
	enum lun_code code;

	if (!layout->named)
		return refuse_columns(mapping, c, err);
	code = take_column(
	    c, "tenant", false, &mapping->own_tenant, &layout->tenant, err);
	for (int i = 0; i < LUN_PG_COLUMNS && code == LUN_OK; i++)
		code = take_column(c, column_keys[i], i == LUN_PG_C_STREAM,
		    &mapping->own_texts[i],
		    lun_pg_column_of(layout, (enum lun_pg_column)i), err);
	for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++)
		if (code == LUN_OK &&
		    *lun_pg_column_of(layout, needed[i]) == NULL &&
		    !(layout->is_outbox && needed[i] == LUN_PG_C_POSITION))
			code = lun_fail(err, LUN_CONFIG,
			    "%s: the URL must name a column with %s=",
			    lun_pg_name(c), column_keys[needed[i]]);
	return code;
}

/* ---- what an outbox is ordered by -------------------------------------- */

/* The type of a column, as an oid; 0: it is not there. */
static Oid
type_of(const PGresult *columns, const char *column)
{
	struct lun_buffer name = {0};
	Oid type = 0;

	if (column != NULL)
		lun_pg_add_column_name(&name, column);
	for (int i = 0; i < PQntuples(columns); i++)
		if (lun_text_equal(
			lun_pg_bytes(columns, i, 0), lun_buffer_text(&name)))
			type = (Oid)lun_pg_int8(columns, i, 1);
	lun_buffer_free(&name);
	return type;
}

static bool
is_integer(Oid type)
{
	return type == LUN_PG_INT8 || type == LUN_PG_INT4 ||
	       type == LUN_PG_INT2 || type == LUN_PG_NUMERIC;
}

static bool
is_time(Oid type)
{
	return type == LUN_PG_TIMESTAMPTZ || type == LUN_PG_TIMESTAMP;
}

enum lun_code
lun_pg_choose_position(struct lun_pg_mapping *mapping, struct lun_pg *c,
    const PGresult *columns, struct lun_err *err)
{
	struct lun_pg_layout *layout = &mapping->layout;

	if (!layout->is_outbox)
		return LUN_OK;
	if (layout->position == NULL &&
	    is_integer(type_of(columns, layout->id)))
		layout->position = layout->id;
	if (layout->position == NULL &&
	    is_time(type_of(columns, layout->recorded_at)))
		layout->position = layout->recorded_at;
	if (layout->position == NULL)
		return lun_fail(err, LUN_CONFIG,
		    "%s: nothing in \"%s\" says in what order to read it: name "
		    "a column with position=, a number that counts up, a time "
		    "or a UUID of version 7",
		    lun_pg_name(c), mapping->table);
	if (lun_pg_url_value(c->url, "safe_head") != NULL ||
	    layout->transaction_id != NULL)
		return LUN_OK;
	mapping->safety = LUN_PG_WINDOW;
	if (!is_integer(type_of(columns, layout->position)))
		return LUN_OK;
	mapping->safety = LUN_PG_GAPS;
	if (lun_pg_url_value(c->url, "grace_ms") == NULL)
		mapping->grace_us = 0; /* a number is drawn with its row */
	return LUN_OK;
}
