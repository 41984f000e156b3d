/* positions.c - positions of a layout, as parameters, in rows and in text. */

#include "postgres/events/mappings.h"

#include <inttypes.h>
#include <stdio.h>

#include <uuid/uuid.h>

#define HALF 8 /* bytes of a UUID in each part of a position */

/*
 * The engine's first position lies before every event, so the positions of a
 * store that counts from 0 are shifted by one.
 */
static int64_t
number_of(const struct lun_pg_mapping *mapping, struct lun_position position)
{
	return (int64_t)position.lo - (mapping->layout.starts_at_zero ? 1 : 0);
}

static struct lun_position
position_of(const struct lun_pg_mapping *mapping, int64_t number)
{
	number += mapping->layout.starts_at_zero ? 1 : 0;
	return (struct lun_position){0, number > 0 ? (uint64_t)number : 0};
}

void
lun_pg_start_params(
    const struct lun_pg_mapping *mapping, struct lun_pg_params *params)
{
	lun_pg_params_clear(params);
	lun_pg_scope_add_params(&mapping->narrowed, params);
}

static void
add_transaction(const struct lun_pg_mapping *mapping,
    struct lun_pg_params *params, uint64_t transaction)
{
	if (mapping->types[LUN_PG_C_TRANSACTION] == LUN_PG_XID8)
		lun_pg_add_xid8(params, transaction);
	else
		lun_pg_add_int8(params, (int64_t)transaction);
}

void
lun_pg_compare(const struct lun_pg_mapping *mapping, struct lun_buffer *sql,
    const char *sign, struct lun_pg_params *params,
    struct lun_position position)
{
	size_t n = params->count + 1;

	switch (mapping->key) {
	case LUN_PG_PAIR:
		lun_buffer_printf(
		    sql, "(%s) %s ($%zu, $%zu)", mapping->keys, sign, n, n + 1);
		add_transaction(mapping, params, position.hi);
		lun_pg_add_int8(params, (int64_t)position.lo);
		break;
	case LUN_PG_UUID_KEY:
		lun_buffer_printf(sql, "%s %s $%zu", mapping->keys, sign, n);
		lun_pg_add_uuid(params, position.hi, position.lo);
		break;
	case LUN_PG_NUMBER:
		lun_buffer_printf(sql, "%s %s $%zu", mapping->keys, sign, n);
		lun_pg_add_int8(params, number_of(mapping, position));
		break;
	}
}

void
lun_pg_add_anchor(const struct lun_pg_mapping *mapping, struct lun_buffer *sql,
    struct lun_pg_params *params, struct lun_position position)
{
	const char *id = mapping->expressions[LUN_PG_C_ID];

	lun_buffer_printf(sql,
	    "(SELECT pg_catalog.min(x.id) AS id, pg_catalog.count(*) AS n FROM "
	    "((SELECT (%s)::text AS id FROM %s WHERE %s AND ",
	    id, mapping->from, mapping->scope);
	lun_pg_compare(mapping, sql, "=", params, position);
	lun_buffer_add_text(sql, LUN_TEXT(" LIMIT 2)"));
	if (mapping->key == LUN_PG_PAIR) {
		lun_buffer_printf(sql,
		    " UNION ALL (SELECT (%s)::text FROM %s WHERE %s AND %s IS "
		    "NULL AND %s = $%zu LIMIT 1)",
		    id, mapping->from, mapping->scope, mapping->layout.position,
		    mapping->layout.transaction_id, params->count + 1);
		add_transaction(mapping, params, position.hi);
	}
	lun_buffer_add_text(sql, LUN_TEXT(") x) a"));
}

static struct lun_position
read_position(const struct lun_pg_mapping *mapping, const PGresult *row,
    int number, int transaction)
{
	struct lun_position position = LUN_POSITION_START;

	switch (mapping->key) {
	case LUN_PG_PAIR:
		position.hi = (uint64_t)lun_pg_int8(row, 0, transaction);
		position.lo = (uint64_t)lun_pg_int8(row, 0, number);
		break;
	case LUN_PG_UUID_KEY:
		lun_pg_halves(row, 0, number, &position.hi, &position.lo);
		break;
	case LUN_PG_NUMBER:
		position = position_of(mapping, lun_pg_int8(row, 0, number));
		break;
	}
	return position;
}

int
lun_pg_key_columns(const struct lun_pg_mapping *mapping)
{
	return mapping->key == LUN_PG_PAIR ? 2 : 1;
}

struct lun_position
lun_pg_keys_position(
    const struct lun_pg_mapping *mapping, const PGresult *row, int column)
{
	return read_position(
	    mapping, row, column + lun_pg_key_columns(mapping) - 1, column);
}

struct lun_position
lun_pg_event_position(const struct lun_pg_mapping *mapping, const PGresult *row)
{
	return read_position(
	    mapping, row, LUN_PG_C_POSITION, LUN_PG_C_TRANSACTION);
}

/* ---- text -------------------------------------------------------------- */

static void
split_uuid(struct lun_position position, uuid_t uuid)
{
	for (int i = 0; i < HALF; i++) {
		uuid[i] = (unsigned char)(position.hi >> (56 - 8 * i));
		uuid[HALF + i] = (unsigned char)(position.lo >> (56 - 8 * i));
	}
}

static struct lun_position
join_uuid(const uuid_t uuid)
{
	struct lun_position position = LUN_POSITION_START;

	for (int i = 0; i < HALF; i++) {
		position.hi = position.hi << 8 | uuid[i];
		position.lo = position.lo << 8 | uuid[HALF + i];
	}
	return position;
}

void
lun_pg_format_position(const struct lun_pg_mapping *mapping,
    struct lun_position position, char text[LUN_POSITION_MAX])
{
	uuid_t uuid;

	switch (mapping->key) {
	case LUN_PG_PAIR:
		snprintf(text, LUN_POSITION_MAX, "%" PRIu64 ":%" PRIu64,
		    position.hi, position.lo);
		break;
	case LUN_PG_UUID_KEY:
		split_uuid(position, uuid);
		uuid_unparse_lower(uuid, text);
		break;
	case LUN_PG_NUMBER:
		snprintf(text, LUN_POSITION_MAX, "%" PRId64,
		    number_of(mapping, position));
		break;
	}
}

static bool
parse_pair(struct lun_text text, struct lun_position *position)
{
	const char *colon = memchr(text.bytes, ':', text.length);
	struct lun_position transaction, number;
	struct lun_text first = text, second = text;

	if (colon == NULL)
		return false;
	first.length = (size_t)(colon - text.bytes);
	second.bytes = colon + 1;
	second.length = text.length - first.length - 1;
	if (!lun_position_from_decimal(first, &transaction) ||
	    !lun_position_from_decimal(second, &number))
		return false;
	*position = (struct lun_position){transaction.lo, number.lo};
	return true;
}

static bool
parse_uuid(struct lun_text text, struct lun_position *position)
{
	char copy[LUN_PG_UUID_SIZE];
	uuid_t uuid;

	if (text.length != LUN_PG_UUID_SIZE - 1)
		return false;
	snprintf(copy, sizeof copy, "%.*s", LUN_TEXT_ARG(text));
	if (uuid_parse(copy, uuid) != 0)
		return false;
	*position = join_uuid(uuid);
	return true;
}

static bool
parse_number(const struct lun_pg_mapping *mapping, struct lun_text text,
    struct lun_position *position)
{
	struct lun_position number;

	if (mapping->layout.starts_at_zero &&
	    lun_text_equal(text, LUN_TEXT("-1"))) {
		*position = LUN_POSITION_START;
		return true;
	}
	if (!lun_position_from_decimal(text, &number) ||
	    (mapping->layout.starts_at_zero && number.lo == INT64_MAX))
		return false;
	*position = position_of(mapping, (int64_t)number.lo);
	return true;
}

bool
lun_pg_parse_position(const struct lun_pg_mapping *mapping,
    struct lun_text text, struct lun_position *position)
{
	switch (mapping->key) {
	case LUN_PG_PAIR:
		return parse_pair(text, position);
	case LUN_PG_UUID_KEY:
		return parse_uuid(text, position);
	case LUN_PG_NUMBER:
		return parse_number(mapping, text, position);
	}
	return false;
}
