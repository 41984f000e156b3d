/*
 * query.c - a query as SQL over the table of its models.
 *
 * Everything a user wrote is a bound parameter. Text columns are COLLATE "C",
 * and under that collation ILIKE folds A to Z only. Values inside json are
 * compared by their kind: a CASE gives null where they have another.
 */

#include <inttypes.h>
#include <stdlib.h>

#include "postgres/models/models.h"
#include "query/json_path.h"
#include "sql/select.h"

/* SQL being written in m->sql, its parameters in m->params. */
struct select {
	struct lun_sql_select base; /* stays first */
	struct pg_models *m;
	struct lun_key key;
	struct lun_buffer scratch;
};

static void
add_table(struct lun_sql_select *s)
{
	struct select *select = (struct select *)s;

	lun_pg_add_table(select->m, select->key);
}

/* The parameter that was added last. */
static void
add_parameter(struct lun_sql_select *s, const char *cast)
{
	const struct pg_models *m = ((struct select *)s)->m;

	lun_buffer_printf(s->text, "$%zu%s", m->params.count, cast);
}

static void
add_value(struct lun_sql_select *s, const struct lun_value *value)
{
	struct lun_pg_params *params = &((struct select *)s)->m->params;

	switch (value->kind) {
	case LUN_VALUE_NULL:
		lun_sql_add(s, "NULL");
		return;
	case LUN_VALUE_TEXT:
	case LUN_VALUE_JSON:
		lun_pg_add_text(params, LUN_PG_TEXT, value->text);
		break;
	case LUN_VALUE_INTEGER:
		lun_pg_add_int8(params, value->integer);
		break;
	case LUN_VALUE_NUMBER:
		lun_pg_add_number(params, value->number);
		break;
	case LUN_VALUE_BOOLEAN:
		lun_pg_add_bool(params, value->integer != 0);
		break;
	case LUN_VALUE_TIMESTAMP:
		lun_pg_add_time(params, value->integer);
		break;
	}
	add_parameter(s, "");
}

static void
add_like(struct lun_sql_select *s, const struct lun_condition *c)
{
	lun_sql_add_comparison(s, &c->column,
	    c->op == LUN_QUERY_ILIKE ? " ILIKE " : " LIKE ", c->values);
}

/* ---- json -------------------------------------------------------------- */

/* ("column" -> key -> key); an arrow and a text look into objects only. */
static void
add_json(struct lun_sql_select *s, const struct lun_column *column)
{
	lun_sql_add(s, "(");
	lun_sql_add_field(s, column->field);
	for (size_t i = 0; i < column->path_length; i++) {
		lun_sql_add(s, " -> ");
		lun_sql_add_text(s, column->path[i]);
	}
	lun_sql_add(s, ")");
}

static void
add_json_as(struct lun_sql_select *s, const struct lun_column *column,
    const char *type, const char *cast)
{
	lun_sql_add(s, "CASE jsonb_typeof");
	add_json(s, column);
	lun_buffer_printf(s->text, " WHEN '%s' THEN ", type);
	add_json(s, column);
	lun_sql_add(s, cast);
	lun_sql_add(s, " END");
}

static void
add_json_class(struct lun_sql_select *s, const struct lun_column *column)
{
	lun_sql_add(s, "CASE jsonb_typeof");
	add_json(s, column);
	lun_sql_add(s, " WHEN 'boolean' THEN 1 WHEN 'number' THEN 2"
		       " WHEN 'string' THEN 3 WHEN 'object' THEN 4"
		       " WHEN 'array' THEN 4 END");
}

/* As an exact decimal, as jsonb keeps it. */
static void
add_decimal(struct lun_sql_select *s, const struct lun_value *value)
{
	struct select *select = (struct select *)s;
	struct lun_buffer *scratch = &select->scratch;

	lun_buffer_clear(scratch);
	if (value->kind == LUN_VALUE_INTEGER)
		lun_buffer_printf(scratch, "%" PRId64, value->integer);
	else
		lun_pg_write_decimal(scratch, value->number);
	lun_pg_add_copy(
	    &select->m->params, LUN_PG_TEXT, lun_buffer_text(scratch));
	add_parameter(s, "::numeric");
}

static void
add_json_comparison(struct lun_sql_select *s, const struct lun_column *column,
    const char *comparison, const struct lun_value *value)
{
	switch (value->kind) {
	case LUN_VALUE_BOOLEAN:
		add_json_as(s, column, "boolean", "::boolean");
		lun_sql_add(s, comparison);
		add_value(s, value);
		break;
	case LUN_VALUE_INTEGER:
	case LUN_VALUE_NUMBER:
		add_json_as(s, column, "number", "::numeric");
		lun_sql_add(s, comparison);
		add_decimal(s, value);
		break;
	default:
		add_json_as(s, column, "string", " #>> '{}'");
		lun_sql_add(s, " COLLATE \"C\"");
		lun_sql_add(s, comparison);
		add_value(s, value);
		break;
	}
}

/* Truth and numbers, then texts. */
static void
add_json_order(struct lun_sql_select *s, const struct lun_order *order)
{
	const struct lun_column *column = &order->column;

	lun_sql_add(s, "CASE jsonb_typeof");
	add_json(s, column);
	lun_sql_add(s, " WHEN 'boolean' THEN ");
	add_json(s, column);
	lun_sql_add(s, "::boolean::int::numeric WHEN 'number' THEN ");
	add_json(s, column);
	lun_sql_add(s, "::numeric END");
	lun_sql_add_direction(s, order);
	add_json_as(s, column, "string", " #>> '{}'");
	lun_sql_add(s, " COLLATE \"C\"");
	lun_sql_add_direction(s, order);
}

static const struct lun_sql_dialect dialect = {
    .always = "TRUE",
    .never = "FALSE",
    .add_table = add_table,
    .add_value = add_value,
    .add_like = add_like,
    .add_json = add_json,
    .add_json_class = add_json_class,
    .add_json_comparison = add_json_comparison,
    .add_json_order = add_json_order,
};

/* ---- running it -------------------------------------------------------- */

struct run {
	struct lun_key key;
	const struct lun_schema *schema;
	const struct lun_query *query;
	lun_result_fn *result;
	void *arg;
	enum lun_code code; /* of the caller's function */
	size_t count;       /* of values in a row */
	struct lun_value *values;
	struct lun_buffer *json; /* two for each value */
};

/* The field that value number i is of, and its column in the result. */
static int
find_selected_field(const struct run *run, size_t i, int *column)
{
	bool all = run->query->select_count == 0;

	*column = (int)i + !all;
	return all ? (int)i - 1 : run->query->select[i].field;
}

static enum lun_code
read_value(struct run *run, const PGresult *row, size_t i, struct lun_err *err)
{
	struct lun_value *value = &run->values[i];
	struct lun_buffer *json = &run->json[2 * i];
	int column, field = find_selected_field(run, i, &column);
	enum lun_field_type type = field == LUN_COLUMN_ID
				       ? run->schema->key_type
				       : run->schema->fields[field].type;

	if (!lun_pg_read_value(row, 0, column, type, json, value))
		return lun_pg_wrong_value(
		    run->key, run->schema, row, 0, field, err);
	if (value->kind == LUN_VALUE_JSON && run->query->select_count > 0 &&
	    run->query->select[i].path_length > 0 &&
	    !lun_json_path_value(value->text, NULL, 0, &json[1], value))
		json->failed = true;
	if (json->failed)
		return lun_fail(err, LUN_NOMEM, "query: out of memory");
	return LUN_OK;
}

static enum lun_code
give_row(void *arg, const PGresult *row, struct lun_err *err)
{
	struct run *run = arg;
	enum lun_code code = LUN_OK;

	for (size_t i = 0; code == LUN_OK && i < run->count; i++)
		code = read_value(run, row, i, err);
	if (code == LUN_OK)
		code = run->code =
		    run->result(run->arg, run->values, run->count, err);
	return code;
}

static enum lun_code
stream_selected(struct run *run, struct pg_models *m, struct lun_err *err)
{
	enum lun_code code;

	run->count = run->query->select_count > 0
			 ? run->query->select_count
			 : run->schema->field_count + 1;
	run->values = calloc(run->count, sizeof *run->values);
	run->json = calloc(run->count * 2, sizeof *run->json);
	if (run->values == NULL || run->json == NULL || m->sql.failed)
		code = lun_fail(err, LUN_NOMEM, "query: out of memory");
	else
		code = lun_pg_stream(
		    m->c, m->sql.bytes, &m->params, give_row, run, err);
	for (size_t i = 0; run->json != NULL && i < run->count * 2; i++)
		lun_buffer_free(&run->json[i]);
	free(run->json);
	free(run->values);
	return run->code != LUN_OK ? run->code : code;
}

enum lun_code
lun_pg_query_models(struct lun_model_store *store, struct lun_key key,
    const struct lun_schema *schema, const struct lun_query *query,
    lun_result_fn *result, void *arg, struct lun_err *err)
{
	struct pg_models *m = pg_models_of(store);
	struct select select = {
	    .base = {&dialect, schema, &m->sql}, .m = m, .key = key};
	struct run run = {.key = key,
	    .schema = schema,
	    .query = query,
	    .result = result,
	    .arg = arg};
	enum lun_code code;

	lun_pg_begin_sql(m, "");
	lun_sql_select(&select.base, query);
	m->params.failed |= select.scratch.failed;
	code = stream_selected(&run, m, err);
	lun_pg_params_clear(&m->params);
	lun_buffer_free(&select.scratch);
	return lun_pg_explain(m, key, schema, code, err);
}
