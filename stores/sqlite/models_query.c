/*
 * models_query.c - a query as SQL over the table of its models.
 *
 * Everything a user wrote is a bound parameter. What SQLite has another
 * opinion about is done by functions of ours: like, and values inside json,
 * of which lunette_class() tells the class and lunette_value() the value.
 */

#include <stdlib.h>

#include "base/clock.h"
#include "query/json_path.h"
#include "sql/select.h"
#include "sqlite/models.h"
#include "json/scan.h"

/* Values of one class compare with each other only. 0: any but json. */
enum value_class {
	CLASS_ANY,
	CLASS_BOOLEAN,
	CLASS_NUMBER,
	CLASS_TIMESTAMP,
	CLASS_TEXT,
	CLASS_JSON,
};

static enum value_class
class_of(enum lun_value_kind kind)
{
	switch (kind) {
	case LUN_VALUE_BOOLEAN:
		return CLASS_BOOLEAN;
	case LUN_VALUE_INTEGER:
	case LUN_VALUE_NUMBER:
		return CLASS_NUMBER;
	case LUN_VALUE_TIMESTAMP:
		return CLASS_TIMESTAMP;
	case LUN_VALUE_TEXT:
		return CLASS_TEXT;
	case LUN_VALUE_JSON:
		return CLASS_JSON;
	case LUN_VALUE_NULL:
		break;
	}
	return CLASS_ANY;
}

/* ---- functions in SQL -------------------------------------------------- */

static struct lun_text
argument_text(sqlite3_value *value)
{
	const char *bytes = (const char *)sqlite3_value_text(value);

	if (bytes == NULL)
		return LUN_TEXT_NONE;
	return (struct lun_text){bytes, (size_t)sqlite3_value_bytes(value)};
}

/* Arguments: json, keys. False if an error was set. */
static bool
find_value(sqlite3_context *context, int count, sqlite3_value **arguments,
    struct lun_buffer *scratch, struct lun_value *value)
{
	struct lun_text json = argument_text(arguments[0]);
	struct lun_text path[LUN_QUERY_PATH_MAX];

	value->kind = LUN_VALUE_NULL;
	if (json.bytes == NULL)
		return true;
	if (lun_json_check(json, NULL) != LUN_OK) {
		sqlite3_result_error(context,
		    "a model holds what is no json; somebody changed it", -1);
		return false;
	}
	for (int i = 1; i < count && i <= LUN_QUERY_PATH_MAX; i++)
		path[i - 1] = argument_text(arguments[i]);
	if (lun_json_path_value(json, path, (size_t)count - 1, scratch, value))
		return true;
	sqlite3_result_error_nomem(context);
	return false;
}

static void
give_value(sqlite3_context *context, const struct lun_value *value)
{
	switch (value->kind) {
	case LUN_VALUE_NULL:
		sqlite3_result_null(context);
		break;
	case LUN_VALUE_NUMBER:
		sqlite3_result_double(context, value->number);
		break;
	case LUN_VALUE_TEXT:
	case LUN_VALUE_JSON:
		sqlite3_result_text64(context, value->text.bytes,
		    value->text.length, SQLITE_TRANSIENT, SQLITE_UTF8);
		break;
	default:
		sqlite3_result_int64(context, value->integer);
		break;
	}
}

/* Documents are all alike, so none of them is ever looked at. */
static bool
fits_class(enum lun_value_kind kind, enum value_class wanted)
{
	if (wanted == CLASS_ANY)
		return kind != LUN_VALUE_JSON;
	return class_of(kind) == wanted;
}

/* lunette_value(class, json, key...): null unless the value is of the class */
static void
value_function(sqlite3_context *context, int count, sqlite3_value **arguments)
{
	enum value_class wanted =
	    (enum value_class)sqlite3_value_int(arguments[0]);
	struct lun_buffer scratch = {0};
	struct lun_value value;

	if (find_value(context, count - 1, arguments + 1, &scratch, &value)) {
		if (!fits_class(value.kind, wanted))
			value.kind = LUN_VALUE_NULL;
		give_value(context, &value);
	}
	lun_buffer_free(&scratch);
}

/* lunette_class(json, key...): the class of the value; null for null */
static void
class_function(sqlite3_context *context, int count, sqlite3_value **arguments)
{
	struct lun_buffer scratch = {0};
	struct lun_value value;

	if (find_value(context, count, arguments, &scratch, &value) &&
	    value.kind != LUN_VALUE_NULL)
		sqlite3_result_int(context, (int)class_of(value.kind));
	lun_buffer_free(&scratch);
}

/* lunette_like(pattern, text, fold case) */
static void
like_function(sqlite3_context *context, int count, sqlite3_value **arguments)
{
	struct lun_text pattern = argument_text(arguments[0]);
	struct lun_text text = argument_text(arguments[1]);

	(void)count;
	if (pattern.bytes != NULL && text.bytes != NULL)
		sqlite3_result_int(
		    context, lun_query_like(pattern, text,
				 sqlite3_value_int(arguments[2]) != 0));
}

enum lun_code
lun_sqlite_add_functions(struct lun_sqlite *c, struct lun_err *err)
{
	static const struct {
		const char *name;
		int arguments;
		void (*function)(sqlite3_context *, int, sqlite3_value **);
	} functions[] = {
	    {"lunette_value", -1, value_function},
	    {"lunette_class", -1, class_function},
	    {"lunette_like", 3, like_function},
	};
	int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY;

	for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++)
		if (sqlite3_create_function_v2(c->db, functions[i].name,
			functions[i].arguments, flags, NULL,
			functions[i].function, NULL, NULL, NULL) != SQLITE_OK)
			return lun_sqlite_fail(c, err);
	return LUN_OK;
}

/* ---- the SQL ----------------------------------------------------------- */

/* SQL being written, and what its parameters will be bound to. */
struct select {
	struct lun_sql_select base; /* stays first */
	struct lun_key key;
	struct lun_buffer text;
	struct lun_buffer parameters; /* of struct lun_value */
};

static void
add_table(struct lun_sql_select *s)
{
	lun_sqlite_add_table(s->text, ((struct select *)s)->key);
}

static void
add_value(struct lun_sql_select *s, const struct lun_value *value)
{
	struct select *select = (struct select *)s;

	lun_buffer_add(&select->parameters, value, sizeof *value);
	lun_sql_add(s, "?");
}

/* "column", key, key) */
static void
add_path(struct lun_sql_select *s, const struct lun_column *column)
{
	lun_sql_add_field(s, column->field);
	for (size_t i = 0; i < column->path_length; i++) {
		lun_sql_add(s, ", ");
		lun_sql_add_text(s, column->path[i]);
	}
	lun_sql_add(s, ")");
}

static void
add_json_class(struct lun_sql_select *s, const struct lun_column *column)
{
	lun_sql_add(s, "lunette_class(");
	add_path(s, column);
}

/* What the column has there, or null where that is not of the class. */
static void
add_json_value(struct lun_sql_select *s, const struct lun_column *column,
    enum value_class wanted)
{
	lun_buffer_printf(s->text, "lunette_value(%d, ", (int)wanted);
	add_path(s, column);
}

/* The whole column: read_selected() looks for the value inside. */
static void
add_json(struct lun_sql_select *s, const struct lun_column *column)
{
	lun_sql_add_field(s, column->field);
}

static void
add_json_comparison(struct lun_sql_select *s, const struct lun_column *column,
    const char *comparison, const struct lun_value *value)
{
	add_json_value(s, column, class_of(value->kind));
	lun_sql_add(s, comparison);
	add_value(s, value);
}

static void
add_json_order(struct lun_sql_select *s, const struct lun_order *order)
{
	add_json_value(s, &order->column, CLASS_ANY);
	lun_sql_add_direction(s, order);
}

static void
add_like(struct lun_sql_select *s, const struct lun_condition *c)
{
	const struct lun_column *column = &c->column;

	lun_sql_add(s, "lunette_like(");
	add_value(s, c->values);
	lun_sql_add(s, ", ");
	if (lun_sql_is_json(s, column))
		add_json_value(s, column, CLASS_TEXT);
	else
		lun_sql_add_field(s, column->field);
	lun_sql_add(s, c->op == LUN_QUERY_ILIKE ? ", 1)" : ", 0)");
}

static const struct lun_sql_dialect dialect = {
    .always = "1",
    .never = "0",
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
	struct sqlite_models *m;
	struct lun_key key;
	const struct lun_schema *schema;
	const struct lun_query *query;
	sqlite3_stmt *q;
	size_t count; /* of values in a row */
	struct lun_value *values;
	struct lun_buffer *scratch; /* one for each value */
};

static enum lun_code
bind_parameter(struct run *run, int index, const struct lun_value *value)
{
	char stamp[LUN_TIMESTAMP_LENGTH + 1];

	switch (value->kind) {
	case LUN_VALUE_NUMBER:
		lun_sqlite_bind_number(run->m->c, run->q, index, value->number);
		break;
	case LUN_VALUE_TEXT:
	case LUN_VALUE_JSON:
		lun_sqlite_bind_text(run->m->c, run->q, index, value->text);
		break;
	case LUN_VALUE_TIMESTAMP:
		lun_timestamp_format(value->integer, stamp);
		if (sqlite3_bind_text(run->q, index, stamp,
			LUN_TIMESTAMP_LENGTH, SQLITE_TRANSIENT) != SQLITE_OK)
			return LUN_NOMEM;
		break;
	case LUN_VALUE_INTEGER:
	case LUN_VALUE_BOOLEAN:
		lun_sqlite_bind_integer(
		    run->m->c, run->q, index, value->integer);
		break;
	case LUN_VALUE_NULL:
		lun_sqlite_bind_null(run->m->c, run->q, index);
		break;
	}
	return LUN_OK;
}

static enum lun_code
bind_all(struct run *run, const struct select *select, struct lun_err *err)
{
	const char *at = select->parameters.bytes;
	size_t count = select->parameters.length / sizeof(struct lun_value);
	struct lun_value value;

	for (size_t i = 0; i < count; i++, at += sizeof value) {
		memcpy(&value, at, sizeof value);
		if (bind_parameter(run, (int)i + 1, &value) != LUN_OK)
			return lun_fail(err, LUN_NOMEM, "query: out of memory");
	}
	return LUN_OK;
}

/* Value number i, from the column after the id that was read for it. */
static enum lun_code
read_selected(struct run *run, size_t i, struct lun_err *err)
{
	const struct lun_column *column = &run->query->select[i];
	struct lun_value *value = &run->values[i];
	enum lun_code code;

	code = lun_sqlite_read_value(run->q, (int)i + 1, run->key, run->schema,
	    column->field, value, err);
	if (code != LUN_OK || column->path_length == 0 ||
	    value->kind != LUN_VALUE_JSON)
		return code;
	if (lun_json_path_value(value->text, column->path, column->path_length,
		&run->scratch[i], value))
		return LUN_OK;
	return lun_fail(err, LUN_NOMEM, "query: out of memory");
}

static enum lun_code
read_values(struct run *run, struct lun_err *err)
{
	bool all = run->query->select_count == 0;
	enum lun_code code = LUN_OK;

	for (size_t i = 0; code == LUN_OK && i < run->count; i++)
		code = all ? lun_sqlite_read_value(run->q, (int)i, run->key,
				 run->schema, (int)i - 1, &run->values[i], err)
			   : read_selected(run, i, err);
	return code;
}

static enum lun_code
step_selected(
    struct run *run, lun_result_fn *result, void *arg, struct lun_err *err)
{
	enum lun_code code = LUN_OK;

	run->count = run->query->select_count > 0
			 ? run->query->select_count
			 : run->schema->field_count + 1;
	run->values = calloc(run->count, sizeof *run->values);
	run->scratch = calloc(run->count, sizeof *run->scratch);
	if (run->values == NULL || run->scratch == NULL)
		code = lun_fail(err, LUN_NOMEM, "query: out of memory");
	while (lun_sqlite_next(run->m, run->q, &code, err)) {
		code = read_values(run, err);
		if (code == LUN_OK)
			code = result(arg, run->values, run->count, err);
	}
	for (size_t i = 0; run->scratch != NULL && i < run->count; i++)
		lun_buffer_free(&run->scratch[i]);
	free(run->scratch);
	free(run->values);
	return code;
}

enum lun_code
lun_sqlite_query(struct lun_model_store *store, struct lun_key key,
    const struct lun_schema *schema, const struct lun_query *query,
    lun_result_fn *result, void *arg, struct lun_err *err)
{
	struct run run = {.m = sqlite_models_of(store),
	    .key = key,
	    .schema = schema,
	    .query = query};
	struct select select = {
	    .base = {&dialect, schema, &select.text}, .key = key};
	enum lun_code code;

	lun_sql_select(&select.base, query);
	if (select.text.failed || select.parameters.failed)
		code = lun_fail(err, LUN_NOMEM, "query: out of memory");
	else
		code =
		    lun_sqlite_statement(run.m, select.text.bytes, &run.q, err);
	if (code == LUN_OK)
		code = bind_all(&run, &select, err);
	if (code == LUN_OK)
		code = step_selected(&run, result, arg, err);
	lun_sqlite_done(run.q);
	lun_buffer_free(&select.parameters);
	lun_buffer_free(&select.text);
	return lun_sqlite_explain(run.m, key, schema, code, err);
}
