/* mappings.c - a layout as it is found in a database. */

#include "postgres/events/mappings.h"

#include <stdlib.h>

#include "base/error.h"
#include "postgres/events/catalogue.h"
#include "postgres/events/mapping_parts.h"
#include "postgres/events/named_columns.h"
#include "postgres/events/safe_head.h"
#include "sql/names.h"

#define OWN_LAYOUT    "lunette"
#define CUSTOM_LAYOUT "custom"

enum lun_code
lun_pg_mapping_no_memory(const struct lun_pg *c, struct lun_err *err)
{
	return lun_fail(err, LUN_NOMEM, "%s: out of memory", lun_pg_name(c));
}

const char **
lun_pg_column_of(struct lun_pg_layout *layout, enum lun_pg_column column)
{
	switch (column) {
	case LUN_PG_C_POSITION:
		return &layout->position;
	case LUN_PG_C_TRANSACTION:
		return &layout->transaction_id;
	case LUN_PG_C_VERSION:
		return &layout->version;
	case LUN_PG_C_RECORDED_AT:
		return &layout->recorded_at;
	case LUN_PG_C_ID:
		return &layout->id;
	case LUN_PG_C_STREAM:
		return &layout->stream;
	case LUN_PG_C_TYPE:
		return &layout->type;
	case LUN_PG_C_DATA:
		return &layout->data;
	default:
		return &layout->metadata;
	}
}

void
lun_pg_mapping_free(struct lun_pg_mapping *mapping)
{
	if (mapping == NULL)
		return;
	for (int i = 0; i < LUN_PG_COLUMNS; i++) {
		free(mapping->expressions[i]);
		free(mapping->own_texts[i]);
	}
	free(mapping->schema);
	free(mapping->table);
	free(mapping->channel);
	lun_pg_scope_free(&mapping->narrowed);
	free(mapping->version);
	free(mapping->columns);
	free(mapping->own_tenant);
	free(mapping->keys);
	free(mapping->keys_read);
	free(mapping->keys_down);
	free(mapping->from);
	free(mapping->scope);
	free(mapping->visible);
	free(mapping->shown);
	free(mapping->remark);
	free(mapping);
}

bool
lun_pg_mapping_is_own(const struct lun_pg_mapping *mapping)
{
	return strcmp(mapping->layout.name, OWN_LAYOUT) == 0;
}

bool
lun_pg_mapping_is_custom(const struct lun_pg_mapping *mapping)
{
	return strcmp(mapping->layout.name, CUSTOM_LAYOUT) == 0;
}

/* ---- what the database has --------------------------------------------- */

static void
add_relation(const struct lun_pg_mapping *mapping, struct lun_buffer *text)
{
	lun_sql_quote(text, mapping->schema);
	lun_buffer_add_byte(text, '.');
	lun_sql_quote(text, mapping->table);
}

/* The columns of the relation; none: it is not there. */
static enum lun_code
find_columns(struct lun_pg_mapping *mapping, struct lun_pg *c, PGresult **out,
    struct lun_err *err)
{
	struct lun_pg_params params = {0};
	struct lun_buffer name = {0};
	enum lun_code code;

	add_relation(mapping, &name);
	lun_pg_add_text(&params, LUN_PG_TEXT, lun_buffer_text(&name));
	if (name.failed)
		code = lun_pg_mapping_no_memory(c, err);
	else
		code = lun_pg_query(c,
		    "SELECT attname::text, atttypid::int8 "
		    "FROM pg_catalog.pg_attribute "
		    "WHERE attrelid = pg_catalog.to_regclass($1) "
		    "AND attnum > 0 AND NOT attisdropped",
		    &params, out, err);
	lun_pg_params_free(&params);
	lun_buffer_free(&name);
	return code;
}

/* A column with "?" before it that is not there is no column. */
static const char *
settle_optional(const char *column, const PGresult *columns)
{
	if (column == NULL || column[0] != '?')
		return column;
	column++;
	for (int i = 0; i < PQntuples(columns); i++)
		if (lun_text_equal(lun_pg_bytes(columns, i, 0),
			lun_text_of(strchr(column, '.') + 1)))
			return column;
	return NULL;
}

static void
settle_optionals(struct lun_pg_layout *layout, const PGresult *columns)
{
	for (int i = 0; i < LUN_PG_COLUMNS; i++) {
		const char **column =
		    lun_pg_column_of(layout, (enum lun_pg_column)i);

		*column = settle_optional(*column, columns);
	}
	for (int i = 0; i < LUN_PG_HIDDEN; i++)
		layout->hidden[i] = settle_optional(layout->hidden[i], columns);
	layout->tenant = settle_optional(layout->tenant, columns);
	if (layout->realm == NULL)
		layout->realm = layout->tenant;
}

void
lun_pg_add_template(const struct lun_pg_mapping *mapping,
    struct lun_buffer *text, const char *pattern)
{
	const char *mark;

	while ((mark = strstr(pattern, "%S")) != NULL) {
		lun_buffer_add(text, pattern, (size_t)(mark - pattern));
		lun_sql_quote(text, mapping->schema);
		lun_buffer_add_byte(text, '.');
		pattern = mark + 2;
	}
	lun_buffer_add(text, pattern, strlen(pattern));
}

static bool
make_from(struct lun_pg_mapping *mapping)
{
	struct lun_buffer from = {0};

	add_relation(mapping, &from);
	lun_buffer_add_text(&from, LUN_TEXT(" e "));
	if (mapping->layout.joins != NULL)
		lun_pg_add_template(mapping, &from, mapping->layout.joins);
	mapping->from = lun_buffer_take(&from);
	return mapping->from != NULL;
}

static bool
make_channel(struct lun_pg_mapping *mapping)
{
	struct lun_buffer channel = {0};
	const char *pattern = mapping->layout.channel;

	if (pattern == NULL)
		return true;
	if (strncmp(pattern, "%s", 2) == 0) {
		lun_buffer_printf(&channel, "%s", mapping->schema);
		pattern += 2;
	}
	lun_buffer_add(&channel, pattern, strlen(pattern));
	mapping->channel = lun_buffer_take(&channel);
	return mapping->channel != NULL;
}

/* The modifier of a numeric(PRECISION,SCALE), or -1, holds both. */
static enum lun_code
check_scale(const struct lun_pg_mapping *mapping, struct lun_pg *c,
    int modifier, struct lun_err *err)
{
	struct lun_buffer name = {0};

	if (mapping->types[LUN_PG_C_POSITION] != LUN_PG_NUMERIC ||
	    (modifier >= 4 && ((modifier - 4) & 0xffff) == 0))
		return LUN_OK;
	lun_pg_add_column_name(&name, mapping->layout.position);
	(void)lun_fail(err, LUN_CONFIG,
	    "%s: the position \"%.*s\" of \"%s\" may have fractions: let it be "
	    "a numeric(20,0), or a bigint",
	    lun_pg_name(c), LUN_TEXT_ARG(lun_buffer_text(&name)),
	    mapping->table);
	lun_buffer_free(&name);
	return LUN_CONFIG;
}

/* The types of the columns, as the server resolves the expressions. */
static enum lun_code
find_types(
    struct lun_pg_mapping *mapping, struct lun_pg *c, struct lun_err *err)
{
	struct lun_buffer sql = {0};
	struct lun_pg_params params = {0};
	PGresult *result = NULL;
	enum lun_code code;

	lun_buffer_add_text(&sql, LUN_TEXT("SELECT "));
	for (int i = 0; i < LUN_PG_COLUMNS; i++) {
		const char *column =
		    *lun_pg_column_of(&mapping->layout, (enum lun_pg_column)i);

		lun_buffer_printf(&sql, "%s%s", i > 0 ? ", " : "",
		    column != NULL ? column : "NULL::text");
	}
	lun_buffer_printf(
	    &sql, " FROM %s WHERE %s LIMIT 0", mapping->from, mapping->visible);
	lun_buffer_add_byte(&sql, '\0');
	lun_pg_start_params(mapping, &params);
	if (sql.failed)
		code = lun_pg_mapping_no_memory(c, err);
	else
		code = lun_pg_query(c, sql.bytes, &params, &result, err);
	for (int i = 0; i < LUN_PG_COLUMNS && code == LUN_OK; i++)
		mapping->types[i] = PQftype(result, i);
	if (code == LUN_OK)
		code = check_scale(
		    mapping, c, PQfmod(result, LUN_PG_C_POSITION), err);
	PQclear(result);
	lun_buffer_free(&sql);
	lun_pg_params_free(&params);
	return code;
}

static enum lun_code
make_statements(
    struct lun_pg_mapping *mapping, struct lun_pg *c, struct lun_err *err)
{
	struct lun_buffer remark = {0};
	enum lun_code code = lun_pg_mapping_make_expressions(mapping, c, err);

	if (code == LUN_OK && !make_channel(mapping))
		code = lun_pg_mapping_no_memory(c, err);
	if (code == LUN_OK)
		code = lun_pg_check_safety(mapping, c, err);
	if (code == LUN_OK)
		code = lun_pg_catalogue_check(c, mapping, NULL, &remark, err);
	if (remark.failed)
		code = lun_pg_mapping_no_memory(c, err);
	mapping->remark = lun_buffer_take(&remark);
	return code;
}

/* ---- finding a layout -------------------------------------------------- */

/* LUN_NOTFOUND: its relation is not there. */
static enum lun_code
try_layout(struct lun_pg *c, const struct lun_pg_layout *layout,
    struct lun_pg_mapping **out, struct lun_err *err)
{
	struct lun_pg_mapping *mapping = calloc(1, sizeof *mapping);
	PGresult *columns = NULL;
	enum lun_code code;

	if (mapping == NULL)
		return lun_pg_mapping_no_memory(c, err);
	mapping->layout = *layout;
	code = lun_pg_mapping_take_url(mapping, c, err);
	if (code == LUN_OK)
		code = find_columns(mapping, c, &columns, err);
	if (code == LUN_OK && PQntuples(columns) == 0)
		code = lun_fail(err, LUN_NOTFOUND,
		    "%s: there is no table \"%s\" in schema \"%s\"",
		    lun_pg_name(c), mapping->table, mapping->schema);
	if (code == LUN_OK)
		settle_optionals(&mapping->layout, columns);
	if (code == LUN_OK)
		code = lun_pg_choose_position(mapping, c, columns, err);
	PQclear(columns);
	if (code == LUN_OK)
		code = lun_pg_scope_take(mapping, c, err);
	if (code == LUN_OK &&
	    (!make_from(mapping) || !lun_pg_scope_make(mapping)))
		code = lun_pg_mapping_no_memory(c, err);
	if (code == LUN_OK)
		code = find_types(mapping, c, err);
	if (code == LUN_OK)
		code = make_statements(mapping, c, err);
	if (code == LUN_OK)
		*out = mapping;
	else
		lun_pg_mapping_free(mapping);
	return code;
}

static enum lun_code
refuse_name(const struct lun_pg *c, const char *name, struct lun_err *err)
{
	struct lun_buffer names = {0};
	const char *last = "";

	for (const struct lun_pg_layout *l = lun_pg_layouts; l->name != NULL;
	     l++) {
		if (strcmp(l->name, last) != 0)
			lun_buffer_printf(&names, "%s, ", l->name);
		last = l->name;
	}
	lun_fail(err, LUN_CONFIG,
	    "%s: there is no layout \"%.40s\"; write one of %.*scustom",
	    lun_pg_name(c), name, LUN_TEXT_ARG(lun_buffer_text(&names)));
	lun_buffer_free(&names);
	return LUN_CONFIG;
}

enum lun_code
lun_pg_mapping_new(
    struct lun_pg *c, struct lun_pg_mapping **out, struct lun_err *err)
{
	static const struct lun_pg_layout custom = {
	    .name = CUSTOM_LAYOUT,
	    .schema = "public",
	    .named = true,
	    .starts_at_zero = true,
	    .grace_ms = 1000,
	    .window_ms = 10000,
	};
	const char *name = lun_pg_url_value(c->url, "layout");
	const struct lun_pg_layout *l = lun_pg_layouts;
	enum lun_code code = LUN_CONFIG;
	bool known = false;

	if (name == NULL)
		name = OWN_LAYOUT;
	if (strcmp(name, custom.name) == 0) {
		code = try_layout(c, &custom, out, err);
		return code == LUN_NOTFOUND ? lun_recode(err, LUN_CONFIG)
					    : code;
	}
	for (; l->name != NULL && (!known || code == LUN_NOTFOUND); l++) {
		if (strcmp(l->name, name) != 0)
			continue;
		known = true;
		code = try_layout(c, l, out, err);
	}
	if (!known)
		return refuse_name(c, name, err);
	if (code == LUN_NOTFOUND && strcmp(name, OWN_LAYOUT) != 0)
		return lun_recode(err, LUN_CONFIG);
	return code;
}
