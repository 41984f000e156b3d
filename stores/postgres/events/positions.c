/* positions.c - positions of a layout, as parameters, in rows and in text. */

#include "postgres/events/mappings.h"

#include <inttypes.h>
#include <stdio.h>

#include <uuid/uuid.h>

#include "base/clock.h"

#define HALF 8 /* bytes of a UUID in each part of a position */

/*
 * The engine's first position lies before every event, so the positions of a
 * store that counts from 0 are shifted by one.
 */
static uint64_t
shift_of(const struct lun_pg_mapping *mapping)
{
	return mapping->layout.starts_at_zero ? 1 : 0;
}

static int64_t
number_of(const struct lun_pg_mapping *mapping, struct lun_position position)
{
	return (int64_t)(position.lo - shift_of(mapping));
}

static struct lun_position
position_of(const struct lun_pg_mapping *mapping, int64_t number)
{
	if (number < 0)
		return LUN_POSITION_START;
	return (struct lun_position){0, (uint64_t)number + shift_of(mapping)};
}

/*
 * Moments: microseconds since 2000, as the server has them, and a part of a
 * hash, both signed there; here they are shifted to stand in one order.
 */
#define SIGN     (UINT64_C(1) << 63)
#define EPOCH_US INT64_C(946684800000000) /* 2000, since 1970 */

static int64_t
signed_of(uint64_t half)
{
	return (int64_t)(half ^ SIGN);
}

static uint64_t
half_of(int64_t number)
{
	return (uint64_t)number ^ SIGN;
}

struct lun_position
lun_pg_time_position(const struct lun_pg_mapping *mapping, int64_t us)
{
	if (mapping->key == LUN_PG_MOMENT)
		return (struct lun_position){half_of(us - EPOCH_US), 0};
	return (struct lun_position){
	    us > 0 ? (uint64_t)(us / 1000) << 16 : 0, 0};
}

/* Beyond the years that the text of a time can have it ends at their ends. */
static int64_t
moment_of(struct lun_position position)
{
	int64_t us = signed_of(position.hi);

	if (us < LUN_TIMESTAMP_MIN - EPOCH_US)
		return LUN_TIMESTAMP_MIN;
	if (us > LUN_TIMESTAMP_MAX - EPOCH_US)
		return LUN_TIMESTAMP_MAX;
	return us + EPOCH_US;
}

int64_t
lun_pg_position_time(
    const struct lun_pg_mapping *mapping, struct lun_position position)
{
	if (mapping->key == LUN_PG_MOMENT)
		return moment_of(position);
	return (int64_t)(position.hi >> 16) * 1000;
}

void
lun_pg_start_params(
    const struct lun_pg_mapping *mapping, struct lun_pg_params *params)
{
	lun_pg_params_clear(params);
	lun_pg_scope_add_params(&mapping->narrowed, params);
}

void
lun_pg_add_position_number(const struct lun_pg_mapping *mapping,
    struct lun_pg_params *params, struct lun_position position)
{
	lun_pg_add_int8(params, number_of(mapping, position));
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
	case LUN_PG_MOMENT:
		lun_buffer_printf(
		    sql, "(%s) %s ($%zu, $%zu)", mapping->keys, sign, n, n + 1);
		lun_pg_add_server_time(params,
		    (enum lun_pg_type)mapping->types[LUN_PG_C_POSITION],
		    signed_of(position.hi));
		lun_pg_add_int8(params, signed_of(position.lo));
		break;
	case LUN_PG_UUID_KEY:
		lun_buffer_printf(sql, "%s %s $%zu", mapping->keys, sign, n);
		lun_pg_add_uuid(params, position.hi, position.lo);
		break;
	case LUN_PG_NUMBER:
		lun_buffer_printf(sql, "%s %s $%zu", mapping->keys, sign, n);
		lun_pg_add_position_number(mapping, params, position);
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
	case LUN_PG_MOMENT:
		position.hi = half_of(lun_pg_int8(row, 0, number));
		position.lo = half_of(lun_pg_int8(row, 0, transaction));
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
	return mapping->key == LUN_PG_PAIR || mapping->key == LUN_PG_MOMENT ? 2
									    : 1;
}

struct lun_position
lun_pg_keys_position(
    const struct lun_pg_mapping *mapping, const PGresult *row, int column)
{
	if (mapping->key == LUN_PG_MOMENT)
		return read_position(mapping, row, column, column + 1);
	return read_position(
	    mapping, row, column + lun_pg_key_columns(mapping) - 1, column);
}

struct lun_position
lun_pg_event_position(const struct lun_pg_mapping *mapping, const PGresult *row)
{
	return read_position(
	    mapping, row, LUN_PG_C_POSITION, LUN_PG_C_TRANSACTION);
}

static void
add_ids(struct lun_buffer *sql, struct lun_pg_params *params, const char *key,
    const struct lun_position *positions, size_t count)
{
	lun_buffer_printf(sql, "pg_catalog.unnest($%zu) s (id) WHERE s.id = %s",
	    params->count + 1, key);
	lun_pg_begin_array(params, LUN_PG_UUID_ARRAY, count);
	for (size_t i = 0; i < count; i++)
		lun_pg_element_uuid(params, positions[i].hi, positions[i].lo);
	lun_pg_end_array(params);
}

static void
add_moments(struct lun_buffer *sql, struct lun_pg_params *params,
    const struct lun_pg_mapping *mapping, const struct lun_position *positions,
    size_t count)
{
	bool zoned = mapping->types[LUN_PG_C_POSITION] == LUN_PG_TIMESTAMPTZ;

	lun_buffer_printf(sql,
	    "ROWS FROM (pg_catalog.unnest($%zu), pg_catalog.unnest($%zu)) "
	    "s (moment, part) WHERE (s.moment%s, s.part) = (%s)",
	    params->count + 1, params->count + 2,
	    zoned ? "" : " AT TIME ZONE 'UTC'", mapping->keys);
	lun_pg_begin_array(params, LUN_PG_TIMESTAMPTZ_ARRAY, count);
	for (size_t i = 0; i < count; i++)
		lun_pg_element_int8(params, signed_of(positions[i].hi));
	lun_pg_end_array(params);
	lun_pg_begin_array(params, LUN_PG_INT8_ARRAY, count);
	for (size_t i = 0; i < count; i++)
		lun_pg_element_int8(params, signed_of(positions[i].lo));
	lun_pg_end_array(params);
}

void
lun_pg_add_positions(const struct lun_pg_mapping *mapping,
    struct lun_buffer *sql, struct lun_pg_params *params,
    const struct lun_position *positions, size_t count)
{
	if (mapping->key == LUN_PG_MOMENT)
		add_moments(sql, params, mapping, positions, count);
	else
		add_ids(sql, params, mapping->keys, positions, count);
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

/* A year that the text of a time cannot have is no moment of an event. */
static void
format_moment(struct lun_position position, char text[LUN_POSITION_MAX])
{
	char time[LUN_TIMESTAMP_LENGTH + 1];

	if (signed_of(position.hi) < LUN_TIMESTAMP_MIN - EPOCH_US) {
		snprintf(text, LUN_POSITION_MAX, "start");
		return;
	}
	lun_timestamp_format(moment_of(position), time);
	snprintf(text, LUN_POSITION_MAX, "%s/%016" PRIx64, time, position.lo);
}

/* A time alone: before every event of that moment. */
static bool
parse_moment(struct lun_text text, struct lun_position *position)
{
	const char *slash = memchr(text.bytes, '/', text.length);
	struct lun_position part = LUN_POSITION_START;
	struct lun_text time = text;
	char hex[LUN_POSITION_HEX_SIZE];
	int64_t us;

	if (lun_text_equal(text, LUN_TEXT("start"))) {
		*position = LUN_POSITION_START;
		return true;
	}
	if (slash != NULL) {
		time.length = (size_t)(slash - text.bytes);
		if (text.length - time.length - 1 != 2 * HALF)
			return false;
		snprintf(hex, sizeof hex, "%016d%.16s", 0, slash + 1);
		if (!lun_position_from_hex(lun_text_of(hex), &part))
			return false;
	}
	if (!lun_timestamp_parse(time, &us))
		return false;
	*position = (struct lun_position){half_of(us - EPOCH_US), part.lo};
	return true;
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
	case LUN_PG_MOMENT:
		format_moment(position, text);
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
	if (!lun_position_from_decimal(text, &number))
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
	case LUN_PG_MOMENT:
		return parse_moment(text, position);
	case LUN_PG_UUID_KEY:
		return parse_uuid(text, position);
	case LUN_PG_NUMBER:
		return parse_number(mapping, text, position);
	}
	return false;
}
