/* load.c - models as rows of a table: reading them. */

#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "postgres/models/models.h"
#include "json/scan.h"

#define LOAD_ROWS 5000 /* of one statement */

/* ---- reading ----------------------------------------------------------- */

static bool
read_text_value(const PGresult *r, int row, int column, struct lun_value *value)
{
	value->kind = LUN_VALUE_TEXT;
	value->text = lun_pg_bytes(r, row, column);
	return true;
}

static bool
read_timestamp_value(
    const PGresult *r, int row, int column, struct lun_value *value)
{
	value->kind = LUN_VALUE_TIMESTAMP;
	value->integer = lun_pg_time(r, row, column);
	return value->integer >= LUN_TIMESTAMP_MIN &&
	       value->integer <= LUN_TIMESTAMP_MAX;
}

static bool
read_json_column(const PGresult *r, int row, int column,
    struct lun_buffer *scratch, struct lun_value *value)
{
	lun_pg_json_received(lun_pg_json(r, row, column), scratch);
	value->kind = LUN_VALUE_JSON;
	value->text = lun_buffer_text(scratch);
	return scratch->failed || lun_json_check(value->text, NULL) == LUN_OK;
}

static Oid
stored_type(enum lun_field_type type)
{
	static const Oid types[] = {
	    [LUN_FIELD_TEXT] = LUN_PG_TEXT,
	    [LUN_FIELD_INTEGER] = LUN_PG_INT8,
	    [LUN_FIELD_NUMBER] = LUN_PG_FLOAT8,
	    [LUN_FIELD_BOOLEAN] = LUN_PG_BOOL,
	    [LUN_FIELD_TIMESTAMP] = LUN_PG_TIMESTAMPTZ,
	    [LUN_FIELD_JSON] = LUN_PG_JSONB,
	};

	return types[type];
}

bool
lun_pg_read_value(const PGresult *r, int row, int column,
    enum lun_field_type type, struct lun_buffer *scratch,
    struct lun_value *value)
{
	if (PQftype(r, column) != stored_type(type))
		return false;
	value->kind = LUN_VALUE_NULL;
	if (lun_pg_is_null(r, row, column))
		return true;
	switch (type) {
	case LUN_FIELD_TEXT:
		return read_text_value(r, row, column, value);
	case LUN_FIELD_INTEGER:
		value->kind = LUN_VALUE_INTEGER;
		value->integer = lun_pg_int8(r, row, column);
		return true;
	case LUN_FIELD_NUMBER:
		value->kind = LUN_VALUE_NUMBER;
		value->number = lun_pg_number(r, row, column);
		return isfinite(value->number);
	case LUN_FIELD_BOOLEAN:
		value->kind = LUN_VALUE_BOOLEAN;
		value->integer = lun_pg_bool(r, row, column);
		return true;
	case LUN_FIELD_TIMESTAMP:
		return read_timestamp_value(r, row, column, value);
	case LUN_FIELD_JSON:
		break;
	}
	return read_json_column(r, row, column, scratch, value);
}

/* The id of a row is its first column. */
static struct lun_text
read_id(const PGresult *r, int row, char digits[LUN_MODEL_ID_DIGITS + 1])
{
	if (PQftype(r, 0) == LUN_PG_INT8)
		return lun_model_id_of_integer(lun_pg_int8(r, row, 0), digits);
	return lun_pg_bytes(r, row, 0);
}

enum lun_code
lun_pg_wrong_value(struct lun_key key, const struct lun_schema *schema,
    const PGresult *result, int row, int field, struct lun_err *err)
{
	char table[LUN_PG_TABLE_NAME_SIZE], digits[LUN_MODEL_ID_DIGITS + 1];
	struct lun_text id = read_id(result, row, digits);
	bool is_id = field == LUN_COLUMN_ID;
	enum lun_field_type type =
	    is_id ? schema->key_type : schema->fields[field].type;

	lun_pg_name_table(key, table);
	return lun_fail(err, LUN_IO,
	    "table %s, id \"%.*s\": column \"%s\" holds what is no %s; "
	    "somebody changed it: correct it, or run \"lunette rebuild %s\"",
	    table, LUN_TEXT_ARG(id), is_id ? "id" : schema->fields[field].name,
	    lun_field_type_name(type), schema->projection);
}

/* ---- loading ----------------------------------------------------------- */

struct load {
	struct pg_models *m;
	struct lun_key key;
	const struct lun_schema *schema;
	lun_model_fn *model;
	void *arg;
	struct lun_buffer row;
	struct lun_buffer scratch;
	enum lun_code code; /* of the caller's function */
};

static enum lun_code
pack_row(struct load *load, const PGresult *row, struct lun_err *err)
{
	const struct lun_schema *schema = load->schema;
	struct lun_value value;

	lun_buffer_clear(&load->row);
	for (size_t i = 0; i < schema->field_count; i++) {
		if (!lun_pg_read_value(row, 0, (int)i + 1,
			schema->fields[i].type, &load->scratch, &value))
			return lun_pg_wrong_value(
			    load->key, schema, row, 0, (int)i, err);
		lun_row_add(&load->row, &value);
	}
	if (load->row.failed || load->scratch.failed)
		return lun_fail(err, LUN_NOMEM, "load: out of memory");
	return LUN_OK;
}

/* LUN_AGAIN ends the stream: the caller's code is kept beside it. */
static enum lun_code
give_row(void *arg, const PGresult *row, struct lun_err *err)
{
	struct load *load = arg;
	char digits[LUN_MODEL_ID_DIGITS + 1];
	enum lun_code code = pack_row(load, row, err);

	if (code == LUN_OK)
		code = load->code = load->model(load->arg,
		    read_id(row, 0, digits), lun_row_text(&load->row), err);
	return code;
}

static enum lun_code
load_some(struct load *load, const struct lun_text *ids, size_t count,
    struct lun_err *err)
{
	struct pg_models *m = load->m;
	enum lun_code code;

	lun_pg_begin_array(
	    &m->params, lun_pg_array_type(load->schema->key_type), count);
	for (size_t i = 0; i < count; i++)
		lun_pg_element_id(&m->params, load->schema, ids[i]);
	lun_pg_end_array(&m->params);
	lun_pg_begin_sql(m, "SELECT ");
	lun_sql_add_columns(&m->sql, load->schema);
	lun_pg_add_sql(m, " FROM ");
	lun_pg_add_table(m, load->key);
	lun_pg_add_sql(m, " WHERE \"id\" = ANY ($1)");
	code = lun_pg_stream_sql(m, give_row, load, err);
	return load->code != LUN_OK ? load->code : code;
}

static int
compare_ids(const void *a, const void *b, void *schema)
{
	return lun_model_id_compare(
	    schema, *(const struct lun_text *)a, *(const struct lun_text *)b);
}

/* What is no UTF-8 is nobody's id, and the server would refuse to look. */
static size_t
keep_possible(const struct lun_schema *schema, const struct lun_text *ids,
    size_t count, struct lun_text *kept)
{
	size_t found = 0;

	for (size_t i = 0; i < count; i++)
		if (lun_utf8_valid(ids[i]))
			kept[found++] = ids[i];
	qsort_r(
	    kept, found, sizeof *kept, compare_ids, (void *)(uintptr_t)schema);
	return found;
}

static enum lun_code
load_all(struct load *load, const struct lun_text *ids, size_t count,
    struct lun_err *err)
{
	struct lun_text *sorted = malloc((count + 1) * sizeof *sorted);
	enum lun_code code = LUN_OK;

	if (sorted == NULL)
		return lun_fail(err, LUN_NOMEM, "load: out of memory");
	count = keep_possible(load->schema, ids, count, sorted);
	for (size_t at = 0; code == LUN_OK && at < count; at += LOAD_ROWS)
		code = load_some(load, sorted + at,
		    count - at < LOAD_ROWS ? count - at : LOAD_ROWS, err);
	free(sorted);
	return code;
}

enum lun_code
lun_pg_load(struct lun_model_store *store, struct lun_key key,
    const struct lun_schema *schema, const struct lun_text *ids, size_t count,
    lun_model_fn *model, void *arg, struct lun_err *err)
{
	struct load load = {
	    .m = pg_models_of(store),
	    .key = key,
	    .schema = schema,
	    .model = model,
	    .arg = arg,
	};
	enum lun_code code = load_all(&load, ids, count, err);

	lun_buffer_free(&load.row);
	lun_buffer_free(&load.scratch);
	return lun_pg_explain(load.m, key, schema, code, err);
}
