/* values.c - values on their way to PostgreSQL and back, in binary. */

#include "postgres/client/values.h"

#include <assert.h>
#include <endian.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

#define JSONB_VERSION    '\1'
#define EPOCH_US         INT64_C(946684800000000) /* 2000-01-01 from 1970 */
#define ARRAY_HEAD_BYTES 20
#define KEPT_BYTES       ((size_t)4 << 20) /* of parameters, for the next ones */

struct lun_pg_param {
	Oid type;
	const char *bytes; /* borrowed; NULL: at `at` in the kept bytes */
	size_t at;
	size_t length;
	bool is_null;
};

/* ---- big-endian numbers ------------------------------------------------ */

static uint64_t
read_8_bytes(const char *from)
{
	uint64_t bytes;

	memcpy(&bytes, from, sizeof bytes);
	return be64toh(bytes);
}

static uint32_t
read_4_bytes(const char *from)
{
	uint32_t bytes;

	memcpy(&bytes, from, sizeof bytes);
	return be32toh(bytes);
}

static uint16_t
read_2_bytes(const char *from)
{
	uint16_t bytes;

	memcpy(&bytes, from, sizeof bytes);
	return be16toh(bytes);
}

static void
keep_4_bytes(struct lun_pg_params *params, uint32_t value)
{
	uint32_t bytes = htobe32(value);

	lun_buffer_add(&params->kept, &bytes, sizeof bytes);
}

static void
keep_8_bytes(struct lun_pg_params *params, uint64_t value)
{
	uint64_t bytes = htobe64(value);

	lun_buffer_add(&params->kept, &bytes, sizeof bytes);
}

/* ---- parameters -------------------------------------------------------- */

void
lun_pg_params_clear(struct lun_pg_params *params)
{
	params->count = 0;
	params->failed = false;
	if (params->kept.capacity > KEPT_BYTES)
		lun_buffer_free(&params->kept);
	lun_buffer_clear(&params->kept);
}

void
lun_pg_params_free(struct lun_pg_params *params)
{
	free(params->items);
	lun_buffer_free(&params->kept);
	*params = (struct lun_pg_params){0};
}

static struct lun_pg_param *
add_param(struct lun_pg_params *params, enum lun_pg_type type)
{
	struct lun_pg_param *param;

	if (params->count == params->capacity) {
		size_t capacity = params->capacity * 2 + 8;

		param = realloc(params->items, capacity * sizeof *param);
		if (param == NULL) {
			params->failed = true;
			return NULL;
		}
		params->items = param;
		params->capacity = capacity;
	}
	param = &params->items[params->count++];
	*param = (struct lun_pg_param){
	    .type = (Oid)type,
	    .at = params->kept.length,
	};
	return param;
}

void
lun_pg_add_text(
    struct lun_pg_params *params, enum lun_pg_type type, struct lun_text text)
{
	struct lun_pg_param *param = add_param(params, type);

	if (param == NULL)
		return;
	param->bytes = text.bytes;
	param->length = text.length;
	param->is_null = text.bytes == NULL;
}

void
lun_pg_add_copy(
    struct lun_pg_params *params, enum lun_pg_type type, struct lun_text text)
{
	struct lun_pg_param *param = add_param(params, type);

	if (param == NULL)
		return;
	lun_buffer_add_text(&params->kept, text);
	param->length = text.length;
}

static void
add_number(struct lun_pg_params *params, enum lun_pg_type type, uint64_t value)
{
	struct lun_pg_param *param = add_param(params, type);

	if (param == NULL)
		return;
	keep_8_bytes(params, value);
	param->length = 8;
}

void
lun_pg_add_int8(struct lun_pg_params *params, int64_t value)
{
	add_number(params, LUN_PG_INT8, (uint64_t)value);
}

void
lun_pg_add_number(struct lun_pg_params *params, double value)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof bits);
	add_number(params, LUN_PG_FLOAT8, bits);
}

void
lun_pg_add_xid8(struct lun_pg_params *params, uint64_t value)
{
	add_number(params, LUN_PG_XID8, value);
}

void
lun_pg_add_uuid(struct lun_pg_params *params, uint64_t hi, uint64_t lo)
{
	struct lun_pg_param *param = add_param(params, LUN_PG_UUID);

	if (param == NULL)
		return;
	keep_8_bytes(params, hi);
	keep_8_bytes(params, lo);
	param->length = 16;
}

void
lun_pg_add_time(struct lun_pg_params *params, int64_t us)
{
	add_number(params, LUN_PG_TIMESTAMPTZ, (uint64_t)(us - EPOCH_US));
}

void
lun_pg_add_server_time(
    struct lun_pg_params *params, enum lun_pg_type type, int64_t us)
{
	add_number(params, type, (uint64_t)us);
}

void
lun_pg_add_bool(struct lun_pg_params *params, bool value)
{
	struct lun_pg_param *param = add_param(params, LUN_PG_BOOL);

	if (param == NULL)
		return;
	lun_buffer_add_byte(&params->kept, value ? '\1' : '\0');
	param->length = 1;
}

/* ---- arrays ------------------------------------------------------------ */

static Oid
element_type(enum lun_pg_type array)
{
	switch (array) {
	case LUN_PG_JSON_ARRAY:
		return LUN_PG_JSON;
	case LUN_PG_BOOL_ARRAY:
		return LUN_PG_BOOL;
	case LUN_PG_INT8_ARRAY:
		return LUN_PG_INT8;
	case LUN_PG_FLOAT8_ARRAY:
		return LUN_PG_FLOAT8;
	case LUN_PG_TIMESTAMPTZ_ARRAY:
		return LUN_PG_TIMESTAMPTZ;
	case LUN_PG_JSONB_ARRAY:
		return LUN_PG_JSONB;
	case LUN_PG_UUID_ARRAY:
		return LUN_PG_UUID;
	default:
		assert(array == LUN_PG_TEXT_ARRAY);
		return LUN_PG_TEXT;
	}
}

void
lun_pg_begin_array(
    struct lun_pg_params *params, enum lun_pg_type array, size_t count)
{
	if (add_param(params, array) == NULL)
		return;
	keep_4_bytes(params, count > 0); /* dimensions */
	keep_4_bytes(params, 1);         /* there may be nulls */
	keep_4_bytes(params, element_type(array));
	if (count == 0)
		return;
	keep_4_bytes(params, count);
	keep_4_bytes(params, 1); /* the first index */
}

void
lun_pg_element_null(struct lun_pg_params *params)
{
	keep_4_bytes(params, UINT32_MAX);
}

void
lun_pg_element_text(struct lun_pg_params *params, struct lun_text text)
{
	if (text.bytes == NULL) {
		lun_pg_element_null(params);
		return;
	}
	keep_4_bytes(params, text.length);
	lun_buffer_add_text(&params->kept, text);
}

void
lun_pg_element_jsonb(struct lun_pg_params *params, struct lun_text json)
{
	if (json.bytes == NULL) {
		lun_pg_element_null(params);
		return;
	}
	keep_4_bytes(params, json.length + 1);
	lun_buffer_add_byte(&params->kept, JSONB_VERSION);
	lun_buffer_add_text(&params->kept, json);
}

void
lun_pg_element_int8(struct lun_pg_params *params, int64_t value)
{
	keep_4_bytes(params, 8);
	keep_8_bytes(params, (uint64_t)value);
}

void
lun_pg_element_number(struct lun_pg_params *params, double value)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof bits);
	lun_pg_element_int8(params, (int64_t)bits);
}

void
lun_pg_element_time(struct lun_pg_params *params, int64_t us)
{
	lun_pg_element_int8(params, us - EPOCH_US);
}

void
lun_pg_element_uuid(struct lun_pg_params *params, uint64_t hi, uint64_t lo)
{
	keep_4_bytes(params, 16);
	keep_8_bytes(params, hi);
	keep_8_bytes(params, lo);
}

void
lun_pg_element_bool(struct lun_pg_params *params, bool value)
{
	keep_4_bytes(params, 1);
	lun_buffer_add_byte(&params->kept, value ? '\1' : '\0');
}

void
lun_pg_end_array(struct lun_pg_params *params)
{
	struct lun_pg_param *param;

	if (params->failed || params->kept.failed)
		return;
	param = &params->items[params->count - 1];
	param->length = params->kept.length - param->at;
}

void *
lun_pg_arguments(
    const struct lun_pg_params *params, struct lun_pg_arguments *arguments)
{
	size_t count = params->count;
	char *memory;

	if (params->failed || params->kept.failed)
		return NULL;
	memory = malloc(
	    count * (sizeof(char *) + sizeof(Oid) + 2 * sizeof(int)) + 1);
	if (memory == NULL)
		return NULL;
	arguments->values = (const char **)(void *)memory;
	arguments->types = (Oid *)(void *)(arguments->values + count);
	arguments->lengths = (int *)(arguments->types + count);
	arguments->formats = arguments->lengths + count;
	for (size_t i = 0; i < count; i++) {
		const struct lun_pg_param *param = &params->items[i];

		if (param->length > INT_MAX) {
			free(memory);
			return NULL;
		}
		if (param->is_null)
			arguments->values[i] = NULL;
		else if (param->bytes != NULL)
			arguments->values[i] = param->bytes;
		else
			arguments->values[i] = params->kept.bytes + param->at;
		arguments->types[i] = param->type;
		arguments->lengths[i] = (int)param->length;
		arguments->formats[i] = 1;
	}
	return memory;
}

/* ---- results ----------------------------------------------------------- */

struct lun_text
lun_pg_bytes(const PGresult *result, int row, int column)
{
	int length = PQgetlength(result, row, column);

	if (length == 0 && PQgetisnull(result, row, column))
		return LUN_TEXT_NONE;
	return (struct lun_text){
	    PQgetvalue(result, row, column), (size_t)length};
}

int64_t
lun_pg_int8(const PGresult *result, int row, int column)
{
	const char *bytes = PQgetvalue(result, row, column);

	switch (PQgetlength(result, row, column)) {
	case 2:
		return (int16_t)read_2_bytes(bytes);
	case 4:
		return (int32_t)read_4_bytes(bytes);
	case 8:
		return (int64_t)read_8_bytes(bytes);
	default:
		return 0;
	}
}

void
lun_pg_halves(
    const PGresult *result, int row, int column, uint64_t *hi, uint64_t *lo)
{
	const char *bytes = PQgetvalue(result, row, column);

	if (PQgetlength(result, row, column) != 16)
		return;
	*hi = read_8_bytes(bytes);
	*lo = read_8_bytes(bytes + 8);
}

double
lun_pg_number(const PGresult *result, int row, int column)
{
	uint64_t bits;
	double value;

	if (PQgetlength(result, row, column) != 8)
		return 0;
	bits = read_8_bytes(PQgetvalue(result, row, column));
	memcpy(&value, &bits, sizeof value);
	return value;
}

bool
lun_pg_bool(const PGresult *result, int row, int column)
{
	return PQgetlength(result, row, column) == 1 &&
	       PQgetvalue(result, row, column)[0] != '\0';
}

int64_t
lun_pg_time(const PGresult *result, int row, int column)
{
	int64_t us;

	if (lun_pg_is_null(result, row, column))
		return LUN_TIME_UNKNOWN;
	us = lun_pg_int8(result, row, column);
	if (us == INT64_MIN)
		return LUN_TIME_MINUS_INFINITY;
	if (us == INT64_MAX)
		return LUN_TIME_INFINITY;
	/* Beyond any year that is taken, and no infinity. */
	return us > INT64_MAX - EPOCH_US ? INT64_MAX - 1 : us + EPOCH_US;
}

struct lun_text
lun_pg_json(const PGresult *result, int row, int column)
{
	struct lun_text text = lun_pg_bytes(result, row, column);

	if (PQftype(result, column) != LUN_PG_JSONB || text.length == 0)
		return text;
	return (struct lun_text){text.bytes + 1, text.length - 1};
}

void
lun_pg_uuid(
    const PGresult *result, int row, int column, char text[LUN_PG_UUID_SIZE])
{
	const unsigned char *u =
	    (const unsigned char *)PQgetvalue(result, row, column);

	snprintf(text, LUN_PG_UUID_SIZE,
	    "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x"
	    "%02x",
	    u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10],
	    u[11], u[12], u[13], u[14], u[15]);
}
