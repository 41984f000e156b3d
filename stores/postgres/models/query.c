/*
 * query.c - a query as SQL over the table of its models.
 *
 * Everything a user wrote is a bound parameter. Text columns are COLLATE "C",
 * and under that collation ILIKE folds A to Z only. Places inside json are
 * compared by their kind: a CASE gives null where they have another.
 */

#include <inttypes.h>
#include <stdlib.h>

#include "postgres/models/models.h"
#include "query/json_path.h"

/* SQL being written in m->sql, its parameters in m->params. */
struct sql {
	struct pg_models *m;
	const struct lun_schema *schema;
	struct lun_buffer scratch;
};

static void
add(struct sql *sql, const char *text)
{
	lun_buffer_add_text(&sql->m->sql, lun_text_of(text));
}

/* The parameter that was added last. */
static void
add_parameter(struct sql *sql, const char *cast)
{
	lun_buffer_printf(&sql->m->sql, "$%zu%s", sql->m->params.count, cast);
}

static void
add_text(struct sql *sql, struct lun_text text)
{
	lun_pg_add_text(&sql->m->params, LUN_PG_TEXT, text);
	add_parameter(sql, "");
}

static void
add_integer(struct sql *sql, int64_t value)
{
	lun_pg_add_int8(&sql->m->params, value);
	add_parameter(sql, "");
}

static void
add_count(struct sql *sql, uint64_t count)
{
	add_integer(sql, count > INT64_MAX ? INT64_MAX : (int64_t)count);
}

static void
add_value(struct sql *sql, const struct lun_value *value)
{
	struct lun_pg_params *params = &sql->m->params;

	switch (value->kind) {
	case LUN_VALUE_NULL:
		add(sql, "NULL");
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
	add_parameter(sql, "");
}

/* ---- columns, and places inside json ----------------------------------- */

static void
add_field(struct sql *sql, int field)
{
	lun_pg_quote(&sql->m->sql,
	    field == LUN_COLUMN_ID ? "id" : sql->schema->fields[field].name);
}

static bool
is_json(const struct sql *sql, const struct lun_column *column)
{
	return column->field != LUN_COLUMN_ID &&
	       sql->schema->fields[column->field].type == LUN_FIELD_JSON;
}

/* ("column" -> key -> key); an arrow and a text look into objects only. */
static void
add_place(struct sql *sql, const struct lun_column *column)
{
	add(sql, "(");
	add_field(sql, column->field);
	for (size_t i = 0; i < column->path_length; i++) {
		add(sql, " -> ");
		add_text(sql, column->path[i]);
	}
	add(sql, ")");
}

static void
add_place_as(struct sql *sql, const struct lun_column *column, const char *kind,
    const char *cast)
{
	add(sql, "CASE jsonb_typeof");
	add_place(sql, column);
	lun_buffer_printf(&sql->m->sql, " WHEN '%s' THEN ", kind);
	add_place(sql, column);
	add(sql, cast);
	add(sql, " END");
}

/* Kinds in their order; null for a null. */
static void
add_class(struct sql *sql, const struct lun_column *column)
{
	add(sql, "CASE jsonb_typeof");
	add_place(sql, column);
	add(sql, " WHEN 'boolean' THEN 1 WHEN 'number' THEN 2"
		 " WHEN 'string' THEN 3 WHEN 'object' THEN 4"
		 " WHEN 'array' THEN 4 END");
}

/* As an exact decimal, as jsonb keeps it. */
static void
add_decimal(struct sql *sql, const struct lun_value *value)
{
	lun_buffer_clear(&sql->scratch);
	if (value->kind == LUN_VALUE_INTEGER)
		lun_buffer_printf(&sql->scratch, "%" PRId64, value->integer);
	else
		lun_pg_write_decimal(&sql->scratch, value->number);
	lun_pg_add_copy(
	    &sql->m->params, LUN_PG_TEXT, lun_buffer_text(&sql->scratch));
	add_parameter(sql, "::numeric");
}

static void
add_place_comparison(struct sql *sql, const struct lun_column *column,
    const char *operator, const struct lun_value * value)
{
	switch (value->kind) {
	case LUN_VALUE_BOOLEAN:
		add_place_as(sql, column, "boolean", "::boolean");
		add(sql, operator);
		add_value(sql, value);
		break;
	case LUN_VALUE_INTEGER:
	case LUN_VALUE_NUMBER:
		add_place_as(sql, column, "number", "::numeric");
		add(sql, operator);
		add_decimal(sql, value);
		break;
	default:
		add_place_as(sql, column, "string", " #>> '{}'");
		add(sql, " COLLATE \"C\"");
		add(sql, operator);
		add_value(sql, value);
		break;
	}
}

/* ---- conditions -------------------------------------------------------- */

static void
add_comparison(struct sql *sql, const struct lun_column *column,
    const char *operator, const struct lun_value * value)
{
	if (is_json(sql, column)) {
		add_place_comparison(sql, column, operator, value);
		return;
	}
	add_field(sql, column->field);
	add(sql, operator);
	add_value(sql, value);
}

/* Values of a json place may differ in kind, so IN is many equalities. */
static void
add_in(struct sql *sql, const struct lun_condition *c)
{
	bool is_place = is_json(sql, &c->column);

	if (c->value_count == 0) {
		add(sql, "FALSE");
		return;
	}
	if (!is_place) {
		add_field(sql, c->column.field);
		add(sql, " IN ");
	}
	for (size_t i = 0; i < c->value_count; i++) {
		add(sql, i == 0 ? "(" : is_place ? " OR " : ", ");
		if (is_place)
			add_comparison(sql, &c->column, " = ", &c->values[i]);
		else
			add_value(sql, &c->values[i]);
	}
	add(sql, ")");
}

static void
add_is_null(struct sql *sql, const struct lun_column *column)
{
	if (is_json(sql, column))
		add_class(sql, column);
	else
		add_field(sql, column->field);
	add(sql, " IS NULL");
}

static void add_condition(struct sql *sql, const struct lun_condition *c);

static void
add_group(struct sql *sql, const struct lun_condition *c)
{
	bool all = c->op == LUN_QUERY_AND;

	if (c->child_count == 0)
		add(sql, all ? "TRUE" : "FALSE");
	for (size_t i = 0; i < c->child_count; i++) {
		if (i > 0)
			add(sql, all ? " AND " : " OR ");
		add_condition(sql, &c->children[i]);
	}
}

static void
add_condition(struct sql *sql, const struct lun_condition *c)
{
	static const char *const operators[] = {
	    [LUN_QUERY_EQ] = " = ",
	    [LUN_QUERY_NEQ] = " <> ",
	    [LUN_QUERY_GT] = " > ",
	    [LUN_QUERY_GTE] = " >= ",
	    [LUN_QUERY_LT] = " < ",
	    [LUN_QUERY_LTE] = " <= ",
	    [LUN_QUERY_LIKE] = " LIKE ",
	    [LUN_QUERY_ILIKE] = " ILIKE ",
	};

	add(sql, c->op == LUN_QUERY_NOT ? "(NOT " : "(");
	switch (c->op) {
	case LUN_QUERY_AND:
	case LUN_QUERY_OR:
		add_group(sql, c);
		break;
	case LUN_QUERY_NOT:
		add_condition(sql, c->children);
		break;
	case LUN_QUERY_IN:
		add_in(sql, c);
		break;
	case LUN_QUERY_IS_NULL:
		add_is_null(sql, &c->column);
		break;
	default:
		add_comparison(sql, &c->column, operators[c->op], c->values);
		break;
	}
	add(sql, ")");
}

/* ---- the rest of the statement ----------------------------------------- */

static void
add_direction(struct sql *sql, const struct lun_order *order)
{
	add(sql, order->descending ? " DESC" : " ASC");
	add(sql, order->nulls_first ? " NULLS FIRST, " : " NULLS LAST, ");
}

/* By kind, then truth and numbers, then texts. */
static void
add_place_order(struct sql *sql, const struct lun_order *order)
{
	const struct lun_column *column = &order->column;

	add_class(sql, column);
	add_direction(sql, order);
	add(sql, "CASE jsonb_typeof");
	add_place(sql, column);
	add(sql, " WHEN 'boolean' THEN ");
	add_place(sql, column);
	add(sql, "::boolean::int::numeric WHEN 'number' THEN ");
	add_place(sql, column);
	add(sql, "::numeric END");
	add_direction(sql, order);
	add_place_as(sql, column, "string", " #>> '{}'");
	add(sql, " COLLATE \"C\"");
	add_direction(sql, order);
}

static void
add_order(struct sql *sql, const struct lun_query *query)
{
	add(sql, " ORDER BY ");
	for (size_t i = 0; i < query->order_count; i++) {
		const struct lun_order *order = &query->order[i];

		if (is_json(sql, &order->column)) {
			add_place_order(sql, order);
			continue;
		}
		add_field(sql, order->column.field);
		add_direction(sql, order);
	}
	add(sql, "\"id\"");
}

/* The id, which errors name, then what is asked for. */
static void
add_selected(struct sql *sql, const struct lun_query *query)
{
	add(sql, "SELECT ");
	if (query->select_count == 0) {
		lun_pg_add_columns(sql->m, sql->schema);
		return;
	}
	add(sql, "\"id\"");
	for (size_t i = 0; i < query->select_count; i++) {
		add(sql, ", ");
		if (is_json(sql, &query->select[i]))
			add_place(sql, &query->select[i]);
		else
			add_field(sql, query->select[i].field);
	}
}

static void
write_sql(struct sql *sql, const struct lun_query *query)
{
	lun_pg_begin_sql(sql->m, "");
	add_selected(sql, query);
	add(sql, " FROM ");
	lun_pg_add_table(sql->m, sql->schema);
	if (query->where != NULL) {
		add(sql, " WHERE ");
		add_condition(sql, query->where);
	}
	add_order(sql, query);
	add(sql, " LIMIT ");
	add_count(sql, query->limit);
	add(sql, " OFFSET ");
	add_count(sql, query->offset);
	lun_buffer_add_byte(&sql->m->sql, '\0');
	sql->m->params.failed |= sql->scratch.failed;
}

/* ---- running it -------------------------------------------------------- */

struct run {
	const struct lun_schema *schema;
	const struct lun_query *query;
	lun_result_fn *result;
	void *arg;
	enum lun_code code; /* of the caller's function */
	size_t count;       /* of values in a row */
	struct lun_value *values;
	struct lun_buffer *json; /* two for each value */
};

/* The field that value number i is of, and its place in the result. */
static int
find_field(const struct run *run, size_t i, int *column)
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
	int column, field = find_field(run, i, &column);
	enum lun_field_type type = field == LUN_COLUMN_ID
				       ? LUN_FIELD_TEXT
				       : run->schema->fields[field].type;

	if (!lun_pg_read_value(row, 0, column, type, json, value))
		return lun_pg_wrong_value(run->schema, row, 0, field, err);
	if (value->kind == LUN_VALUE_JSON && run->query->select_count > 0 &&
	    run->query->select[i].path_length > 0 &&
	    !lun_json_place(value->text, NULL, 0, &json[1], value))
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
run_query(struct run *run, struct pg_models *m, struct lun_err *err)
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
	(void)key;
	struct pg_models *m = lun_pg_models_enter(store);
	struct sql sql = {.m = m, .schema = schema};
	struct run run = {
	    .schema = schema, .query = query, .result = result, .arg = arg};
	enum lun_code code;

	write_sql(&sql, query);
	code = run_query(&run, m, err);
	lun_pg_params_clear(&m->params);
	lun_buffer_free(&sql.scratch);
	return lun_pg_models_leave(m, lun_pg_explain(m, schema, code, err));
}
