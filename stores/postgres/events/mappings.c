/* mappings.c - a layout as it is found in a database. */

#include "postgres/events/mappings.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/error.h"
#include "postgres/events/catalogue.h"
#include "postgres/events/named_columns.h"
#include "postgres/events/safe_head.h"
#include "postgres/events/versions.h"
#include "sql/names.h"

#define OWN_LAYOUT    "lunette"
#define CUSTOM_LAYOUT "custom"
#define GRACE_MS_MAX  3600000
#define WINDOW_MS_MAX 86400000

static enum lun_code
no_memory(const struct lun_pg *c, struct lun_err *err)
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

/* ---- what the URL asks for --------------------------------------------- */

/* How it is safe to read is never guessed. */
static enum lun_code
take_safety(
    struct lun_pg_mapping *mapping, struct lun_pg *c, struct lun_err *err)
{
	const char *word = lun_pg_url_value(c->url, "safe_head");
	bool custom = lun_pg_mapping_is_custom(mapping);

	mapping->safety = mapping->layout.safety;
	if (word == NULL && custom && mapping->layout.transaction_id == NULL)
		return lun_fail(err, LUN_CONFIG,
		    "%s: the URL must say with safe_head= how far it is safe "
		    "to read: transactions, serialised, gaps or window",
		    lun_pg_name(c));
	if (word == NULL)
		return LUN_OK;
	if (mapping->layout.named && lun_pg_find_safety(word, &mapping->safety))
		return LUN_OK;
	if (mapping->layout.may_be_serialised &&
	    strcmp(word, "serialised") == 0) {
		mapping->safety = LUN_PG_SERIALISED;
		return LUN_OK;
	}
	return lun_fail(err, LUN_CONFIG,
	    "%s: safe_head=%.40s is not possible with this layout: %s",
	    lun_pg_name(c), word,
	    mapping->layout.named
		? "write transactions, serialised, gaps or window"
	    : mapping->layout.may_be_serialised
		? "write serialised, or leave it out"
		: "leave it out");
}

static enum lun_code
take_unwrap(
    struct lun_pg_mapping *mapping, struct lun_pg *c, struct lun_err *err)
{
	const char *word = lun_pg_url_value(c->url, "unwrap");

	mapping->unwrap = mapping->layout.unwrap;
	if (word == NULL)
		return LUN_OK;
	mapping->unwrap = strcmp(word, "yes") == 0;
	if (mapping->unwrap || strcmp(word, "no") == 0)
		return LUN_OK;
	return lun_fail(err, LUN_CONFIG, "%s: unwrap=%.40s: write yes or no",
	    lun_pg_name(c), word);
}

static enum lun_code
take_span(struct lun_pg *c, const char *key, int64_t most_ms, atomic_llong *us,
    struct lun_err *err)
{
	const char *word = lun_pg_url_value(c->url, key);
	struct lun_position number;

	if (word == NULL)
		return LUN_OK;
	if (!lun_position_from_decimal(lun_text_of(word), &number) ||
	    number.lo > (uint64_t)most_ms)
		return lun_fail(err, LUN_CONFIG,
		    "%s: %s=%.40s: write a number of milliseconds up to "
		    "%" PRId64,
		    lun_pg_name(c), key, word, most_ms);
	*us = (int64_t)number.lo * 1000;
	return LUN_OK;
}

static enum lun_code
take_spans(
    struct lun_pg_mapping *mapping, struct lun_pg *c, struct lun_err *err)
{
	enum lun_code code;

	mapping->grace_us = mapping->layout.grace_ms * 1000;
	mapping->window_us = mapping->layout.window_ms * 1000;
	code = take_span(c, "grace_ms", GRACE_MS_MAX, &mapping->grace_us, err);
	if (code == LUN_OK)
		code = take_span(
		    c, "window_ms", WINDOW_MS_MAX, &mapping->window_us, err);
	return code;
}

static enum lun_code
take_holes(
    struct lun_pg_mapping *mapping, struct lun_pg *c, struct lun_err *err)
{
	const char *word = lun_pg_url_value(c->url, "holes");

	mapping->contiguous =
	    !mapping->layout.loose && mapping->layout.version != NULL;
	mapping->ignore_holes = mapping->layout.deletes;
	if (word == NULL)
		return LUN_OK;
	mapping->ignore_holes = strcmp(word, "ignore") == 0;
	if (mapping->ignore_holes || strcmp(word, "stop") == 0)
		return LUN_OK;
	return lun_fail(err, LUN_CONFIG,
	    "%s: holes=%.40s: write stop or ignore", lun_pg_name(c), word);
}

static enum lun_code
take_names(
    struct lun_pg_mapping *mapping, struct lun_pg *c, struct lun_err *err)
{
	const char *schema = lun_pg_url_value(c->url, "schema");
	const char *table = lun_pg_url_value(c->url, "table");
	enum lun_code code = LUN_OK;

	if (schema == NULL)
		schema = mapping->layout.schema;
	if (table != NULL)
		code = lun_pg_check_name("table", table, err);
	else
		table = mapping->layout.table;
	if (code != LUN_OK)
		return code;
	if (table == NULL)
		return lun_fail(err, LUN_CONFIG,
		    "%s: the URL must name a table with table=",
		    lun_pg_name(c));
	mapping->schema = strdup(schema);
	mapping->table = strdup(table);
	if (mapping->schema == NULL || mapping->table == NULL)
		return no_memory(c, err);
	return LUN_OK;
}

static enum lun_code
take_url(struct lun_pg_mapping *mapping, struct lun_pg *c, struct lun_err *err)
{
	enum lun_code code = lun_pg_take_named_columns(mapping, c, err);

	if (code == LUN_OK)
		code = take_names(mapping, c, err);
	if (code == LUN_OK)
		code = take_safety(mapping, c, err);
	if (code == LUN_OK)
		code = take_unwrap(mapping, c, err);
	if (code == LUN_OK)
		code = take_spans(mapping, c, err);
	if (code == LUN_OK)
		code = take_holes(mapping, c, err);
	return code;
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
		code = no_memory(c, err);
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
	if (mapping->types[LUN_PG_C_POSITION] != LUN_PG_NUMERIC ||
	    (modifier >= 4 && ((modifier - 4) & 0xffff) == 0))
		return LUN_OK;
	return lun_fail(err, LUN_CONFIG,
	    "%s: the position %s of \"%s\" may have fractions: let it be a "
	    "numeric(20,0), or a bigint",
	    lun_pg_name(c), mapping->layout.position, mapping->table);
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
		code = no_memory(c, err);
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

/* ---- from types to expressions ----------------------------------------- */

/* What makes a column of this type one that is understood here. */
struct conversion {
	Oid type; /* 0: any other */
	const char *before;
	const char *after;
};

#define AS_IT_IS(oid)                                                          \
	{                                                                      \
		oid, "", ""                                                    \
	}

static const struct conversion to_name[] = {
    AS_IT_IS(LUN_PG_TEXT),
    AS_IT_IS(LUN_PG_VARCHAR),
    AS_IT_IS(LUN_PG_UUID),
    {LUN_PG_BYTEA, "('\\x' || pg_catalog.encode(", ", 'hex'))"},
    {0, "(", ")::text"},
};
static const struct conversion to_integer[] = {
    AS_IT_IS(LUN_PG_INT8),
    AS_IT_IS(LUN_PG_INT4),
    AS_IT_IS(LUN_PG_INT2),
    {0, "(", ")::int8"},
};
/* Casts to timestamptz would ask the session for a zone; so may text. */
static const struct conversion to_time[] = {
    AS_IT_IS(LUN_PG_TIMESTAMPTZ),
    AS_IT_IS(LUN_PG_TIMESTAMP),
    AS_IT_IS(LUN_PG_TEXT),
    AS_IT_IS(LUN_PG_VARCHAR),
    AS_IT_IS(LUN_PG_BPCHAR),
    {LUN_PG_DATE, "(", ")::timestamp"},
    {0, NULL, NULL},
};
static const struct conversion to_json[] = {
    AS_IT_IS(LUN_PG_JSON),
    AS_IT_IS(LUN_PG_JSONB),
    AS_IT_IS(LUN_PG_TEXT),
    AS_IT_IS(LUN_PG_VARCHAR),
    AS_IT_IS(LUN_PG_BYTEA),
    {LUN_PG_OID, "lo_get(", ")"},
    {0, NULL, NULL},
};
static const struct conversion to_position[] = {
    AS_IT_IS(LUN_PG_INT8),
    AS_IT_IS(LUN_PG_INT4),
    AS_IT_IS(LUN_PG_UUID),
    AS_IT_IS(LUN_PG_TIMESTAMPTZ),
    AS_IT_IS(LUN_PG_TIMESTAMP),
    {LUN_PG_NUMERIC, "(", ")::int8"},
    {0, NULL, NULL},
};
static const struct conversion to_transaction[] = {
    AS_IT_IS(LUN_PG_XID8),
    AS_IT_IS(LUN_PG_INT8),
    {0, NULL, NULL},
};

static const struct {
	const struct conversion *conversions;
	const char *absent;
} readings[LUN_PG_COLUMNS] = {
    [LUN_PG_C_POSITION] = {to_position, NULL},
    [LUN_PG_C_TRANSACTION] = {to_transaction, "NULL::xid8"},
    [LUN_PG_C_VERSION] = {to_integer, "0::int8"},
    [LUN_PG_C_RECORDED_AT] = {to_time, "NULL::timestamptz"},
    [LUN_PG_C_ID] = {to_name, NULL},
    [LUN_PG_C_STREAM] = {to_name, NULL},
    [LUN_PG_C_TYPE] = {to_name, NULL},
    [LUN_PG_C_DATA] = {to_json, NULL},
    [LUN_PG_C_METADATA] = {to_json, "NULL::json"},
};

static enum lun_code
convert_columns(struct lun_pg_mapping *mapping, struct lun_pg *c,
    enum lun_pg_column column, struct lun_err *err)
{
	const char *text = *lun_pg_column_of(&mapping->layout, column);
	const struct conversion *found = readings[column].conversions;
	struct lun_buffer out = {0}, name = {0};

	while (found->type != 0 && found->type != mapping->types[column])
		found++;
	if (text == NULL)
		lun_buffer_printf(&out, "%s", readings[column].absent);
	else if (found->before != NULL)
		lun_buffer_printf(
		    &out, "%s%s%s", found->before, text, found->after);
	else {
		lun_pg_add_column_name(&name, text);
		lun_fail(err, LUN_CONFIG,
		    "%s: the column \"%.*s\" of \"%s\" has a type that cannot "
		    "hold %s",
		    lun_pg_name(c), LUN_TEXT_ARG(lun_buffer_text(&name)),
		    mapping->table,
		    readings[column].conversions == to_json   ? "JSON"
		    : readings[column].conversions == to_time ? "a time"
							      : "a position");
		lun_buffer_free(&name);
		return LUN_CONFIG;
	}
	mapping->expressions[column] = lun_buffer_take(&out);
	return mapping->expressions[column] != NULL ? LUN_OK
						    : no_memory(c, err);
}

/*
 * The version of a placeholder is null, as is that of another tenant's: it
 * counts for no stream.
 */
static enum lun_code
convert_version(
    struct lun_pg_mapping *mapping, struct lun_pg *c, struct lun_err *err)
{
	struct lun_buffer out = {0};
	const char *placeholder = mapping->layout.placeholder;

	mapping->version = mapping->expressions[LUN_PG_C_VERSION];
	mapping->first_version = mapping->layout.named
				     ? -LUN_PG_VERSION_MOST
				     : mapping->layout.first_version;
	lun_buffer_printf(&out, "CASE WHEN (%s) IS NOT TRUE",
	    placeholder != NULL ? placeholder : "false");
	lun_pg_scope_add_counted(mapping, &out);
	lun_buffer_printf(&out, " THEN %s END", mapping->version);
	mapping->expressions[LUN_PG_C_VERSION] = lun_buffer_take(&out);
	return mapping->expressions[LUN_PG_C_VERSION] != NULL
		   ? LUN_OK
		   : no_memory(c, err);
}

/*
 * Of events at one moment the key decides, in an order of no meaning: 64 bits
 * of its hash. They are read in the place of a transaction id.
 */
#define MOMENT_KEY                                                             \
	"('x' || pg_catalog.left(pg_catalog.encode(pg_catalog.sha256("         \
	"pg_catalog.convert_to((%s)::text, 'UTF8')), 'hex'), 16))::bit(64)"    \
	"::int8"

static bool
find_key(struct lun_pg_mapping *mapping)
{
	Oid type = mapping->types[LUN_PG_C_POSITION];
	char **second = &mapping->expressions[LUN_PG_C_TRANSACTION];
	struct lun_buffer text = {0};

	if (mapping->layout.transaction_id != NULL)
		mapping->key = LUN_PG_PAIR;
	else if (type == LUN_PG_UUID)
		mapping->key = LUN_PG_UUID_KEY;
	else if (type == LUN_PG_TIMESTAMPTZ || type == LUN_PG_TIMESTAMP)
		mapping->key = LUN_PG_MOMENT;
	if (mapping->key != LUN_PG_MOMENT)
		return true;
	lun_buffer_printf(&text, MOMENT_KEY, mapping->layout.id);
	free(*second);
	*second = lun_buffer_take(&text);
	return *second != NULL;
}

static bool
make_keys(struct lun_pg_mapping *mapping)
{
	const struct lun_pg_layout *layout = &mapping->layout;
	const char *second = mapping->expressions[LUN_PG_C_TRANSACTION];
	struct lun_buffer keys = {0}, down = {0}, read = {0};

	if (mapping->key == LUN_PG_PAIR) {
		lun_buffer_printf(&keys, "%s, ", layout->transaction_id);
		lun_buffer_printf(&down, "%s DESC, ", layout->transaction_id);
		lun_buffer_add_text(&read, lun_buffer_text(&keys));
	}
	lun_buffer_printf(&keys, "%s", layout->position);
	lun_buffer_printf(&down, "%s DESC", layout->position);
	lun_buffer_printf(&read, "%s", mapping->expressions[LUN_PG_C_POSITION]);
	if (mapping->key == LUN_PG_MOMENT) {
		lun_buffer_printf(&keys, ", %s", second);
		lun_buffer_printf(&down, ", %s DESC", second);
		lun_buffer_printf(&read, ", %s", second);
	}
	mapping->keys = lun_buffer_take(&keys);
	mapping->keys_down = lun_buffer_take(&down);
	mapping->keys_read = lun_buffer_take(&read);
	return mapping->keys != NULL && mapping->keys_down != NULL &&
	       mapping->keys_read != NULL;
}

static bool
make_columns(struct lun_pg_mapping *mapping)
{
	struct lun_buffer columns = {0};

	for (int i = 0; i < LUN_PG_COLUMNS; i++)
		lun_buffer_printf(&columns, "%s%s", i > 0 ? ", " : "",
		    mapping->expressions[i]);
	if (mapping->layout.tenant != NULL)
		lun_buffer_printf(
		    &columns, ", (%s)::text", mapping->layout.tenant);
	mapping->columns = lun_buffer_take(&columns);
	return mapping->columns != NULL;
}

static bool
is_json(Oid type)
{
	return type == LUN_PG_JSON || type == LUN_PG_JSONB;
}

static enum lun_code
make_statements(
    struct lun_pg_mapping *mapping, struct lun_pg *c, struct lun_err *err)
{
	struct lun_buffer remark = {0};
	enum lun_code code = LUN_OK;

	for (int i = 0; i < LUN_PG_COLUMNS && code == LUN_OK; i++)
		code = convert_columns(mapping, c, (enum lun_pg_column)i, err);
	if (code == LUN_OK)
		code = convert_version(mapping, c, err);
	if (code != LUN_OK)
		return code;
	mapping->check_data =
	    mapping->unwrap && !is_json(mapping->types[LUN_PG_C_DATA]);
	if (!find_key(mapping) || !make_keys(mapping) ||
	    !make_columns(mapping) || !make_channel(mapping))
		return no_memory(c, err);
	code = lun_pg_check_safety(mapping, c, err);
	if (code == LUN_OK)
		code = lun_pg_catalogue_check(c, mapping, NULL, &remark, err);
	if (remark.failed)
		code = no_memory(c, err);
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
		return no_memory(c, err);
	mapping->layout = *layout;
	code = take_url(mapping, c, err);
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
		code = no_memory(c, err);
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
		return code == LUN_NOTFOUND ? lun_wrap(err, LUN_CONFIG, "open")
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
		return lun_wrap(err, LUN_CONFIG, "open");
	return code;
}
