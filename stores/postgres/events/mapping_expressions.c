/* mapping_expressions.c - from the types of columns to parts of statements. */

#include <stdlib.h>

#include "base/error.h"
#include "postgres/events/mapping_parts.h"
#include "postgres/events/named_columns.h"
#include "postgres/events/versions.h"

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

/* With a cast that does nothing, until a column gets another type. */
static const struct conversion to_name[] = {
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
    {LUN_PG_INT8, "(", ")::int8"},
    {LUN_PG_INT4, "(", ")::int8"},
    {LUN_PG_INT2, "(", ")::int8"},
    {LUN_PG_NUMERIC, "(", ")::int8"},
    AS_IT_IS(LUN_PG_UUID),
    AS_IT_IS(LUN_PG_TIMESTAMPTZ),
    AS_IT_IS(LUN_PG_TIMESTAMP),
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
refuse_type(struct lun_pg_mapping *mapping, const struct lun_pg *c,
    enum lun_pg_column column, struct lun_err *err)
{
	const struct conversion *conversions = readings[column].conversions;
	struct lun_buffer name = {0};

	lun_pg_add_column_name(
	    &name, *lun_pg_column_of(&mapping->layout, column));
	(void)lun_fail(err, LUN_CONFIG,
	    "%s: the column \"%.*s\" of \"%s\" has a type that cannot hold %s",
	    lun_pg_name(c), LUN_TEXT_ARG(lun_buffer_text(&name)),
	    mapping->table,
	    conversions == to_json
		? "JSON; json, jsonb, text, varchar, bytea and oid can"
	    : conversions == to_time
		? "a time; timestamptz, timestamp, date and text can"
		: "a position");
	lun_buffer_free(&name);
	return LUN_CONFIG;
}

static enum lun_code
convert_columns(struct lun_pg_mapping *mapping, struct lun_pg *c,
    enum lun_pg_column column, struct lun_err *err)
{
	const char *text = *lun_pg_column_of(&mapping->layout, column);
	const struct conversion *found = readings[column].conversions;
	struct lun_buffer out = {0};

	while (found->type != 0 && found->type != mapping->types[column])
		found++;
	if (text == NULL)
		lun_buffer_printf(&out, "%s", readings[column].absent);
	else if (found->before != NULL)
		lun_buffer_printf(
		    &out, "%s%s%s", found->before, text, found->after);
	else
		return refuse_type(mapping, c, column, err);
	mapping->expressions[column] = lun_buffer_take(&out);
	return mapping->expressions[column] != NULL
		   ? LUN_OK
		   : lun_pg_mapping_no_memory(c, err);
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
		   : lun_pg_mapping_no_memory(c, err);
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

enum lun_code
lun_pg_mapping_make_expressions(
    struct lun_pg_mapping *mapping, struct lun_pg *c, struct lun_err *err)
{
	enum lun_code code = LUN_OK;

	for (int i = 0; i < LUN_PG_COLUMNS && code == LUN_OK; i++)
		code = convert_columns(mapping, c, (enum lun_pg_column)i, err);
	if (code == LUN_OK)
		code = convert_version(mapping, c, err);
	if (code != LUN_OK)
		return code;
	mapping->check_data =
	    mapping->unwrap && !is_json(mapping->types[LUN_PG_C_DATA]);
	if (!find_key(mapping) || !make_keys(mapping) || !make_columns(mapping))
		return lun_pg_mapping_no_memory(c, err);
	return LUN_OK;
}
