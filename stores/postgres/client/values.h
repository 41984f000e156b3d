/*
 * values.h - values on their way to PostgreSQL and back, in binary.
 *
 * Parameters borrow the texts they are given until the statement was sent;
 * numbers are kept. Zero is the empty list; clear it to use it again.
 * Out of memory is remembered and reported when the statement is sent.
 */

#ifndef LUN_POSTGRES_CLIENT_VALUES_H
#define LUN_POSTGRES_CLIENT_VALUES_H

#include <libpq-fe.h>

#include "base/buffer.h"
#include "base/text.h"

enum lun_pg_type {
	LUN_PG_BOOL = 16,
	LUN_PG_BYTEA = 17,
	LUN_PG_NAME = 19,
	LUN_PG_INT8 = 20,
	LUN_PG_INT2 = 21,
	LUN_PG_INT4 = 23,
	LUN_PG_TEXT = 25,
	LUN_PG_OID = 26,
	LUN_PG_JSON = 114,
	LUN_PG_FLOAT8 = 701,
	LUN_PG_BPCHAR = 1042,
	LUN_PG_VARCHAR = 1043,
	LUN_PG_DATE = 1082,
	LUN_PG_TIMESTAMP = 1114,
	LUN_PG_TIMESTAMPTZ = 1184,
	LUN_PG_NUMERIC = 1700,
	LUN_PG_UUID = 2950,
	LUN_PG_JSONB = 3802,
	LUN_PG_XID8 = 5069,
	LUN_PG_JSON_ARRAY = 199,
	LUN_PG_BOOL_ARRAY = 1000,
	LUN_PG_TEXT_ARRAY = 1009,
	LUN_PG_INT8_ARRAY = 1016,
	LUN_PG_FLOAT8_ARRAY = 1022,
	LUN_PG_TIMESTAMPTZ_ARRAY = 1185,
	LUN_PG_UUID_ARRAY = 2951,
	LUN_PG_JSONB_ARRAY = 3807,
};

struct lun_pg_param;

struct lun_pg_params {
	struct lun_pg_param *items;
	size_t count;
	size_t capacity;
	struct lun_buffer kept; /* bytes of the numbers and arrays */
	bool failed;
};

void lun_pg_params_clear(struct lun_pg_params *params);
void lun_pg_params_free(struct lun_pg_params *params);

/* Absent text is a null. json and text have the same bytes in binary. */
void lun_pg_add_text(
    struct lun_pg_params *params, enum lun_pg_type type, struct lun_text text);
/* The same with a copy of the text. */
void lun_pg_add_copy(
    struct lun_pg_params *params, enum lun_pg_type type, struct lun_text text);
void lun_pg_add_int8(struct lun_pg_params *params, int64_t value);
void lun_pg_add_number(struct lun_pg_params *params, double value);
void lun_pg_add_xid8(struct lun_pg_params *params, uint64_t value);
/* As two big-endian halves. */
void lun_pg_add_uuid(struct lun_pg_params *params, uint64_t hi, uint64_t lo);
/* Microseconds since 1970 UTC. */
void lun_pg_add_time(struct lun_pg_params *params, int64_t us);
/* Of a timestamp type, microseconds since 2000, as the server has them. */
void lun_pg_add_server_time(
    struct lun_pg_params *params, enum lun_pg_type type, int64_t us);
void lun_pg_add_bool(struct lun_pg_params *params, bool value);

/*
 * An array parameter: begin, exactly count elements, end. An element of
 * jsonb, text or anything else is the value's binary form; the arrays are
 * written here so that big batches need one parameter a column.
 */
void lun_pg_begin_array(
    struct lun_pg_params *params, enum lun_pg_type array, size_t count);
void lun_pg_element_null(struct lun_pg_params *params);
void lun_pg_element_text(struct lun_pg_params *params, struct lun_text text);
void lun_pg_element_jsonb(struct lun_pg_params *params, struct lun_text json);
void lun_pg_element_int8(struct lun_pg_params *params, int64_t value);
void lun_pg_element_number(struct lun_pg_params *params, double value);
void lun_pg_element_time(struct lun_pg_params *params, int64_t us);
/* As two big-endian halves. */
void lun_pg_element_uuid(
    struct lun_pg_params *params, uint64_t hi, uint64_t lo);
void lun_pg_element_bool(struct lun_pg_params *params, bool value);
void lun_pg_end_array(struct lun_pg_params *params);

/* As libpq wants them; freed with free(). NULL when out of memory. */
struct lun_pg_arguments {
	Oid *types;
	const char **values;
	int *lengths;
	int *formats;
};
void *lun_pg_arguments(
    const struct lun_pg_params *params, struct lun_pg_arguments *arguments);

/* ---- results, in binary ------------------------------------------------ */

static inline bool
lun_pg_is_null(const PGresult *result, int row, int column)
{
	return PQgetisnull(result, row, column) != 0;
}

/* The bytes as they came, borrowed from the result; absent for a null. */
struct lun_text lun_pg_bytes(const PGresult *result, int row, int column);
/* Of an int2, int4, int8 or xid8; 0 for a null. */
int64_t lun_pg_int8(const PGresult *result, int row, int column);
/* The two halves of a uuid. */
void lun_pg_halves(
    const PGresult *result, int row, int column, uint64_t *hi, uint64_t *lo);
double lun_pg_number(const PGresult *result, int row, int column);
bool lun_pg_bool(const PGresult *result, int row, int column);
/*
 * Microseconds since 1970 UTC, of a timestamp with or without zone, or a
 * LUN_TIME_* where it is null or infinite.
 */
int64_t lun_pg_time(const PGresult *result, int row, int column);
/* The JSON text of a json, text, bytea or (by its type) jsonb column. */
struct lun_text lun_pg_json(const PGresult *result, int row, int column);
#define LUN_PG_UUID_SIZE 37 /* with its NUL */
/* The text of a uuid; the column must not be null. */
void lun_pg_uuid(
    const PGresult *result, int row, int column, char text[LUN_PG_UUID_SIZE]);

#endif
