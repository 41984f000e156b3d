/* models_rows.c - models as rows of a table: loading and writing them. */

#include <math.h>
#include <stdlib.h>

#include "clock.h"
#include "json_scan.h"
#include "models.h"

#define LOAD_ROWS   5000 /* of one statement */
#define WRITE_ROWS  5000 /* more are slower: 50,000 by half */
#define WRITE_BYTES ((size_t)16 << 20)

void
lun_pg_add_columns(struct pg_models *m, const struct lun_schema *schema)
{
	lun_pg_add_sql(m, "\"id\"");
	for (size_t i = 0; i < schema->field_count; i++) {
		lun_pg_add_sql(m, ", ");
		lun_pg_quote(&m->sql, schema->fields[i].name);
	}
}

/* ---- reading ----------------------------------------------------------- */

static bool
read_text(const PGresult *r, int row, int column, struct lun_value *value)
{
	value->kind = LUN_VALUE_TEXT;
	value->text = lun_pg_bytes(r, row, column);
	return true;
}

static bool
read_timestamp(const PGresult *r, int row, int column, struct lun_value *value)
{
	value->kind = LUN_VALUE_TIMESTAMP;
	value->integer = lun_pg_time(r, row, column);
	return value->integer >= LUN_TIMESTAMP_MIN &&
	       value->integer <= LUN_TIMESTAMP_MAX;
}

static bool
read_json(const PGresult *r, int row, int column, struct lun_buffer *scratch,
    struct lun_value *value)
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
		return read_text(r, row, column, value);
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
		return read_timestamp(r, row, column, value);
	case LUN_FIELD_JSON:
		break;
	}
	return read_json(r, row, column, scratch, value);
}

enum lun_code
lun_pg_wrong_value(const struct lun_schema *schema, const PGresult *result,
    int row, int field, struct lun_err *err)
{
	struct lun_text id = lun_pg_bytes(result, row, 0);
	bool is_id = field == LUN_COLUMN_ID;
	enum lun_field_type type =
	    is_id ? LUN_FIELD_TEXT : schema->fields[field].type;

	return lun_fail(err, LUN_IO,
	    "table %s__v%d, id \"%.*s\": column \"%s\" holds what is no %s; "
	    "somebody changed it: correct it, or run \"lunette rebuild %s\"",
	    schema->projection, schema->version, LUN_TEXT_ARG(id),
	    is_id ? "id" : schema->fields[field].name,
	    lun_field_type_name(type), schema->projection);
}

/* ---- loading ----------------------------------------------------------- */

struct load {
	struct pg_models *m;
	const struct lun_schema *schema;
	lun_model_fn *model;
	void *arg;
	struct lun_buffer row;
	struct lun_buffer scratch;
};

static enum lun_code
pack_row(
    struct load *load, const PGresult *result, int row, struct lun_err *err)
{
	const struct lun_schema *schema = load->schema;
	struct lun_value value;

	lun_buffer_clear(&load->row);
	for (size_t i = 0; i < schema->field_count; i++) {
		if (!lun_pg_read_value(result, row, (int)i + 1,
			schema->fields[i].type, &load->scratch, &value))
			return lun_pg_wrong_value(
			    schema, result, row, (int)i, err);
		lun_row_add(&load->row, &value);
	}
	if (load->row.failed || load->scratch.failed)
		return lun_fail(err, LUN_NOMEM, "load: out of memory");
	return LUN_OK;
}

static enum lun_code
give_rows(struct load *load, const PGresult *result, struct lun_err *err)
{
	enum lun_code code = LUN_OK;

	for (int row = 0; code == LUN_OK && row < PQntuples(result); row++) {
		code = pack_row(load, result, row, err);
		if (code == LUN_OK)
			code =
			    load->model(load->arg, lun_pg_bytes(result, row, 0),
				lun_buffer_text(&load->row), err);
	}
	return code;
}

static enum lun_code
load_some(struct load *load, const struct lun_text *ids, size_t count,
    struct lun_err *err)
{
	struct pg_models *m = load->m;
	PGresult *result = NULL;
	enum lun_code code;

	lun_pg_begin_array(&m->params, LUN_PG_TEXT_ARRAY, count);
	for (size_t i = 0; i < count; i++)
		lun_pg_element_text(&m->params, ids[i]);
	lun_pg_end_array(&m->params);
	lun_pg_begin_sql(m, "SELECT ");
	lun_pg_add_columns(m, load->schema);
	lun_pg_add_sql(m, " FROM ");
	lun_pg_add_table(m, load->schema);
	lun_pg_add_sql(m, " WHERE \"id\" = ANY ($1)");
	code = lun_pg_run_sql(m, &result, err);
	if (code == LUN_OK)
		code = give_rows(load, result, err);
	PQclear(result);
	return code;
}

static int
compare_texts(const void *a, const void *b)
{
	return lun_text_compare(
	    *(const struct lun_text *)a, *(const struct lun_text *)b);
}

/* What is no UTF-8 is nobody's id, and the server would refuse to look. */
static size_t
keep_possible(const struct lun_text *ids, size_t count, struct lun_text *kept)
{
	size_t found = 0;

	for (size_t i = 0; i < count; i++)
		if (lun_utf8_valid(ids[i]))
			kept[found++] = ids[i];
	qsort(kept, found, sizeof *kept, compare_texts);
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
	count = keep_possible(ids, count, sorted);
	for (size_t at = 0; code == LUN_OK && at < count; at += LOAD_ROWS)
		code = load_some(load, sorted + at,
		    count - at < LOAD_ROWS ? count - at : LOAD_ROWS, err);
	free(sorted);
	return code;
}

enum lun_code
lun_pg_load(struct lun_model_store *store, const struct lun_schema *schema,
    const struct lun_text *ids, size_t count, lun_model_fn *model, void *arg,
    struct lun_err *err)
{
	struct load load = {
	    .m = lun_pg_models_enter(store),
	    .schema = schema,
	    .model = model,
	    .arg = arg,
	};
	enum lun_code code = load_all(&load, ids, count, err);

	lun_buffer_free(&load.row);
	lun_buffer_free(&load.scratch);
	return lun_pg_models_leave(
	    load.m, lun_pg_explain(load.m, schema, code, err));
}

/* ---- writing ----------------------------------------------------------- */

struct writer {
	struct pg_models *m;
	const struct lun_schema *schema;
	const struct lun_model_write *writes; /* sorted; deletions first */
	size_t count;
	struct lun_text *rows; /* what is left of each row of the chunk */
	struct lun_buffer scratch;
};

static enum lun_pg_type
array_type(enum lun_field_type type)
{
	static const enum lun_pg_type arrays[] = {
	    [LUN_FIELD_TEXT] = LUN_PG_TEXT_ARRAY,
	    [LUN_FIELD_INTEGER] = LUN_PG_INT8_ARRAY,
	    [LUN_FIELD_NUMBER] = LUN_PG_FLOAT8_ARRAY,
	    [LUN_FIELD_BOOLEAN] = LUN_PG_BOOL_ARRAY,
	    [LUN_FIELD_TIMESTAMP] = LUN_PG_TIMESTAMPTZ_ARRAY,
	    [LUN_FIELD_JSON] = LUN_PG_JSONB_ARRAY,
	};

	return arrays[type];
}

static void
add_element(struct writer *w, const struct lun_value *value)
{
	struct lun_pg_params *params = &w->m->params;

	switch (value->kind) {
	case LUN_VALUE_NULL:
		lun_pg_element_null(params);
		break;
	case LUN_VALUE_TEXT:
		lun_pg_element_text(params, value->text);
		break;
	case LUN_VALUE_INTEGER:
		lun_pg_element_int8(params, value->integer);
		break;
	case LUN_VALUE_NUMBER:
		lun_pg_element_number(params, value->number);
		break;
	case LUN_VALUE_BOOLEAN:
		lun_pg_element_bool(params, value->integer != 0);
		break;
	case LUN_VALUE_TIMESTAMP:
		lun_pg_element_time(params, value->integer);
		break;
	case LUN_VALUE_JSON:
		lun_pg_element_jsonb(
		    params, lun_pg_json_to_send(value->text, &w->scratch));
		params->failed |= w->scratch.failed;
		break;
	}
}

static enum lun_code
misfit(const struct writer *w, struct lun_err *err)
{
	return lun_fail(err, LUN_INVALID,
	    "write \"%s\": a row does not fit the schema",
	    w->schema->projection);
}

/* Column after column, each an array; the rows are read side by side. */
static enum lun_code
add_arrays(struct writer *w, const struct lun_model_write *writes, size_t count,
    struct lun_err *err)
{
	struct lun_pg_params *params = &w->m->params;
	struct lun_value value;

	lun_pg_begin_array(params, LUN_PG_TEXT_ARRAY, count);
	for (size_t i = 0; i < count; i++) {
		lun_pg_element_text(params, writes[i].id);
		w->rows[i] = writes[i].row;
	}
	lun_pg_end_array(params);
	for (size_t f = 0; f < w->schema->field_count; f++) {
		lun_pg_begin_array(
		    params, array_type(w->schema->fields[f].type), count);
		for (size_t i = 0; i < count; i++) {
			if (!lun_row_next(&w->rows[i], &value))
				return misfit(w, err);
			add_element(w, &value);
		}
		lun_pg_end_array(params);
	}
	for (size_t i = 0; i < count; i++)
		if (w->rows[i].length > 0)
			return misfit(w, err);
	return LUN_OK;
}

const char *
lun_pg_column_type(enum lun_field_type type)
{
	static const char *const types[] = {
	    [LUN_FIELD_TEXT] = "text",
	    [LUN_FIELD_INTEGER] = "bigint",
	    [LUN_FIELD_NUMBER] = "double precision",
	    [LUN_FIELD_BOOLEAN] = "boolean",
	    [LUN_FIELD_TIMESTAMP] = "timestamptz",
	    [LUN_FIELD_JSON] = "jsonb",
	};

	return types[type];
}

static void
write_upsert(struct pg_models *m, const struct lun_schema *schema)
{
	lun_pg_begin_sql(m, "INSERT INTO ");
	lun_pg_add_table(m, schema);
	lun_pg_add_sql(m, " (");
	lun_pg_add_columns(m, schema);
	lun_pg_add_sql(m, ") SELECT * FROM unnest($1::text[]");
	for (size_t i = 0; i < schema->field_count; i++)
		lun_buffer_printf(&m->sql, ", $%zu::%s[]", i + 2,
		    lun_pg_column_type(schema->fields[i].type));
	lun_pg_add_sql(m, ") ON CONFLICT (\"id\") DO UPDATE SET ");
	for (size_t i = 0; i < schema->field_count; i++) {
		if (i > 0)
			lun_pg_add_sql(m, ", ");
		lun_pg_quote(&m->sql, schema->fields[i].name);
		lun_pg_add_sql(m, " = excluded.");
		lun_pg_quote(&m->sql, schema->fields[i].name);
	}
}

static enum lun_code
upsert(struct writer *w, const struct lun_model_write *writes, size_t count,
    struct lun_err *err)
{
	enum lun_code code = add_arrays(w, writes, count, err);

	if (code != LUN_OK) {
		lun_pg_params_clear(&w->m->params);
		return code;
	}
	write_upsert(w->m, w->schema);
	return lun_pg_send_sql(w->m, err);
}

static enum lun_code delete (struct writer *w,
    const struct lun_model_write *writes, size_t count, struct lun_err *err) {
	struct lun_pg_params *params = &w->m->params;

	    lun_pg_begin_array(params, LUN_PG_TEXT_ARRAY, count);
	    for (size_t i = 0; i < count; i++)
		lun_pg_element_text(params, writes[i].id);
	    lun_pg_end_array(params); lun_pg_begin_sql(w->m, "DELETE FROM ");
	    lun_pg_add_table(w->m, w->schema);
	    lun_pg_add_sql(w->m, " WHERE \"id\" = ANY ($1)");
	    return lun_pg_send_sql(w->m, err);
}

/* How many of the writes make up one statement. */
static size_t
measure_chunk(const struct lun_model_write *writes, size_t count)
{
	bool deletes = writes[0].row.bytes == NULL;
	size_t bytes = 0, n = 0;

	while (n < count && n < WRITE_ROWS && bytes < WRITE_BYTES &&
	       (writes[n].row.bytes == NULL) == deletes) {
		bytes += writes[n].id.length + writes[n].row.length;
		n++;
	}
	return n;
}

static enum lun_code
write_chunks(struct writer *w, struct lun_err *err)
{
	enum lun_code code = LUN_OK;
	size_t at = 0, n;

	for (; code == LUN_OK && at < w->count; at += n) {
		n = measure_chunk(w->writes + at, w->count - at);
		if (w->writes[at].row.bytes == NULL)
			code = delete (w, w->writes + at, n, err);
		else
			code = upsert(w, w->writes + at, n, err);
	}
	return code;
}

/* Neighbours in the index are written one after the other. */
static int
compare_writes(const void *a, const void *b)
{
	const struct lun_model_write *x = a, *y = b;
	bool x_stays = x->row.bytes != NULL, y_stays = y->row.bytes != NULL;

	if (x_stays != y_stays)
		return x_stays ? 1 : -1;
	return lun_text_compare(x->id, y->id);
}

enum lun_code
lun_pg_write_models(
    struct pg_models *m, const struct lun_write_set *set, struct lun_err *err)
{
	size_t size = set->model_count * sizeof *set->models;
	struct lun_model_write *sorted;
	struct writer w = {
	    .m = m, .schema = set->schema, .count = set->model_count};
	enum lun_code code;

	if (set->model_count == 0)
		return LUN_OK;
	w.writes = sorted = malloc(size);
	w.rows = calloc(WRITE_ROWS, sizeof *w.rows);
	if (sorted == NULL || w.rows == NULL) {
		code = lun_fail(
		    err, LUN_NOMEM, "%s: out of memory", lun_pg_name(m->c));
	} else {
		memcpy(sorted, set->models, size);
		qsort(sorted, set->model_count, sizeof *sorted, compare_writes);
		code = write_chunks(&w, err);
	}
	lun_buffer_free(&w.scratch);
	free(w.rows);
	free(sorted);
	return code;
}
