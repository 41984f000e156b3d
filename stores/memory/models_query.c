/* models_query.c - answering queries from the models in memory. */

#include <stdlib.h>

#include "base/error.h"
#include "memory/models.h"
#include "query/json_path.h"

/* What a condition says of a model: three-valued, as in SQL. */
enum truth {
	FALSE,
	UNKNOWN,
	TRUE,
};

/* A query under way. The first failure makes all later answers void. */
struct search_rows {
	const struct lun_schema *schema;
	const struct lun_query *query;
	struct lun_buffer scratch;  /* of the value being looked at */
	struct lun_buffer scratch2; /* of the other one, in a comparison */
	bool failed;                /* out of memory */
};

/* ---- values ------------------------------------------------------------ */

static struct lun_value
field_value(
    const struct search_rows *s, const struct memory_row *row, int field)
{
	struct lun_text rest = row->values;
	struct lun_value value = {.kind = LUN_VALUE_NULL};

	if (field == LUN_COLUMN_ID)
		return lun_model_id_value(s->schema, row->id);
	for (int i = 0; i <= field; i++)
		if (!lun_row_next(&rest, &value))
			value.kind = LUN_VALUE_NULL;
	return value;
}

/* Also the whole of a json field is compared by the kind of its value. */
static struct lun_value
column_value(struct search_rows *s, const struct memory_row *row,
    const struct lun_column *column, struct lun_buffer *scratch)
{
	struct lun_value value = field_value(s, row, column->field);

	if (value.kind != LUN_VALUE_JSON)
		return value;
	if (!lun_json_path_value(value.text, column->path, column->path_length,
		scratch, &value)) {
		s->failed = true;
		value.kind = LUN_VALUE_NULL;
	}
	return value;
}

/* Exact, unlike a conversion of the integer to a double. */
static int
compare_integer_number(int64_t integer, double number)
{
	int64_t whole;

	if (number >= 9223372036854775808.0)
		return -1;
	if (number < -9223372036854775808.0)
		return 1;
	whole = (int64_t)number;
	if (integer != whole)
		return integer < whole ? -1 : 1;
	return (number < (double)whole) - (number > (double)whole);
}

static int
compare_numbers(const struct lun_value *a, const struct lun_value *b)
{
	bool a_is_real = a->kind == LUN_VALUE_NUMBER;
	bool b_is_real = b->kind == LUN_VALUE_NUMBER;

	if (a_is_real && b_is_real)
		return (a->number > b->number) - (a->number < b->number);
	if (a_is_real)
		return -compare_integer_number(b->integer, a->number);
	if (b_is_real)
		return compare_integer_number(a->integer, b->number);
	return (a->integer > b->integer) - (a->integer < b->integer);
}

/* Only values of one class are comparable; this is also the classes' order. */
static int
class_rank_of(const struct lun_value *value)
{
	switch (value->kind) {
	case LUN_VALUE_NULL:
		return 0;
	case LUN_VALUE_BOOLEAN:
		return 1;
	case LUN_VALUE_INTEGER:
	case LUN_VALUE_NUMBER:
		return 2;
	case LUN_VALUE_TIMESTAMP:
		return 3;
	case LUN_VALUE_TEXT:
		return 4;
	case LUN_VALUE_JSON:
		break;
	}
	return 5;
}

static int
compare_values(const struct lun_value *a, const struct lun_value *b)
{
	int kind = class_rank_of(a), other = class_rank_of(b);

	if (kind != other)
		return kind < other ? -1 : 1;
	if (kind == 0 || kind == 5)
		return 0; /* nulls, and documents, are all alike */
	if (kind == 4)
		return lun_text_compare(a->text, b->text);
	return compare_numbers(a, b);
}

/* ---- conditions -------------------------------------------------------- */

static enum truth
compare_condition(enum lun_query_op op, const struct lun_value *found,
    const struct lun_value *wanted)
{
	int order;

	if (found->kind == LUN_VALUE_NULL ||
	    class_rank_of(found) != class_rank_of(wanted))
		return UNKNOWN;
	order = compare_values(found, wanted);
	switch (op) {
	case LUN_QUERY_NEQ:
		return order != 0 ? TRUE : FALSE;
	case LUN_QUERY_GT:
		return order > 0 ? TRUE : FALSE;
	case LUN_QUERY_GTE:
		return order >= 0 ? TRUE : FALSE;
	case LUN_QUERY_LT:
		return order < 0 ? TRUE : FALSE;
	case LUN_QUERY_LTE:
		return order <= 0 ? TRUE : FALSE;
	case LUN_QUERY_LIKE:
	case LUN_QUERY_ILIKE:
		return lun_query_like(
			   wanted->text, found->text, op == LUN_QUERY_ILIKE)
			   ? TRUE
			   : FALSE;
	default:
		return order == 0 ? TRUE : FALSE;
	}
}

static enum truth
is_in(const struct lun_condition *c, const struct lun_value *found)
{
	enum truth truth = FALSE;

	for (size_t i = 0; i < c->value_count && truth != TRUE; i++) {
		enum truth one =
		    compare_condition(LUN_QUERY_EQ, found, &c->values[i]);

		if (one > truth)
			truth = one;
	}
	return truth;
}

static enum truth evaluate_condition(struct search_rows *s,
    const struct lun_condition *c, const struct memory_row *row);

static enum truth
group_holds(struct search_rows *s, const struct lun_condition *c,
    const struct memory_row *row)
{
	bool all = c->op == LUN_QUERY_AND;
	enum truth truth = all ? TRUE : FALSE;

	for (size_t i = 0; i < c->child_count; i++) {
		enum truth one = evaluate_condition(s, &c->children[i], row);

		if (all ? one < truth : one > truth)
			truth = one;
	}
	return truth;
}

static enum truth
evaluate_condition(struct search_rows *s, const struct lun_condition *c,
    const struct memory_row *row)
{
	struct lun_value found;

	switch (c->op) {
	case LUN_QUERY_AND:
	case LUN_QUERY_OR:
		return group_holds(s, c, row);
	case LUN_QUERY_NOT:
		return (enum truth)(
		    TRUE - evaluate_condition(s, c->children, row));
	default:
		break;
	}
	found = column_value(s, row, &c->column, &s->scratch);
	if (c->op == LUN_QUERY_IS_NULL)
		return found.kind == LUN_VALUE_NULL ? TRUE : FALSE;
	if (c->op == LUN_QUERY_IN)
		return is_in(c, &found);
	return compare_condition(c->op, &found, c->values);
}

/* ---- order ------------------------------------------------------------- */

static int
compare_by(struct search_rows *s, const struct lun_order *order,
    const struct memory_row *a, const struct memory_row *b)
{
	struct lun_value x = column_value(s, a, &order->column, &s->scratch);
	struct lun_value y = column_value(s, b, &order->column, &s->scratch2);
	bool x_null = x.kind == LUN_VALUE_NULL;
	bool y_null = y.kind == LUN_VALUE_NULL;

	if (x_null || y_null)
		return order->nulls_first ? y_null - x_null : x_null - y_null;
	return order->descending ? compare_values(&y, &x)
				 : compare_values(&x, &y);
}

static int
compare_rows(const void *a, const void *b, void *arg)
{
	const struct memory_row *x = *(struct memory_row *const *)a;
	const struct memory_row *y = *(struct memory_row *const *)b;
	struct search_rows *s = arg;

	for (size_t i = 0; i < s->query->order_count; i++) {
		int order = compare_by(s, &s->query->order[i], x, y);

		if (order != 0)
			return order;
	}
	return lun_model_id_compare(s->schema, x->id, y->id);
}

/* ---- results ----------------------------------------------------------- */

static enum lun_code
give_model(struct search_rows *s, const struct memory_row *row,
    lun_result_fn *result, void *arg, struct lun_err *err)
{
	struct lun_value values[1 + LUN_FIELDS_MAX];
	struct lun_text rest = row->values;
	size_t count = 1;

	values[0] = field_value(s, row, LUN_COLUMN_ID);
	while (count <= s->schema->field_count &&
	       lun_row_next(&rest, &values[count]))
		count++;
	return result(arg, values, count, err);
}

/* A selected json field is given whole; a path inside it as its own kind. */
static struct lun_value
selected_value(struct search_rows *s, const struct memory_row *row,
    const struct lun_column *column, struct lun_buffer *scratch)
{
	if (column->path_length == 0)
		return field_value(s, row, column->field);
	return column_value(s, row, column, scratch);
}

static enum lun_code
give_selected(struct search_rows *s, const struct memory_row *row,
    struct lun_value *values, struct lun_buffer *scratch, lun_result_fn *result,
    void *arg, struct lun_err *err)
{
	size_t count = s->query->select_count;

	for (size_t i = 0; i < count; i++)
		values[i] =
		    selected_value(s, row, &s->query->select[i], &scratch[i]);
	if (s->failed)
		return lun_fail(err, LUN_NOMEM, "memory: out of memory");
	return result(arg, values, count, err);
}

static enum lun_code
give_all_selected(struct search_rows *s, struct memory_row *const *rows,
    size_t count, lun_result_fn *result, void *arg, struct lun_err *err)
{
	size_t columns = s->query->select_count;
	struct lun_value *values = calloc(columns, sizeof *values);
	struct lun_buffer *scratch = calloc(columns, sizeof *scratch);
	enum lun_code code = LUN_OK;

	if (values == NULL || scratch == NULL)
		code = lun_fail(err, LUN_NOMEM, "memory: out of memory");
	for (size_t i = 0; code == LUN_OK && i < count; i++)
		code = give_selected(
		    s, rows[i], values, scratch, result, arg, err);
	for (size_t i = 0; scratch != NULL && i < columns; i++)
		lun_buffer_free(&scratch[i]);
	free(scratch);
	free(values);
	return code;
}

static enum lun_code
give_page(struct search_rows *s, struct memory_row *const *rows, size_t count,
    lun_result_fn *result, void *arg, struct lun_err *err)
{
	enum lun_code code = LUN_OK;

	if (s->query->offset >= count)
		return LUN_OK;
	rows += s->query->offset;
	count -= s->query->offset;
	if (count > s->query->limit)
		count = s->query->limit;
	if (s->query->select_count > 0)
		return give_all_selected(s, rows, count, result, arg, err);
	for (size_t i = 0; code == LUN_OK && i < count; i++)
		code = give_model(s, rows[i], result, arg, err);
	return code;
}

static enum lun_code
search_rows(struct search_rows *s, const struct memory_rows *rows,
    lun_result_fn *result, void *arg, struct lun_err *err)
{
	const struct lun_query *query = s->query;
	struct memory_row **found = malloc((rows->count + 1) * sizeof *found);
	enum lun_code code;
	size_t count = 0;

	if (found == NULL)
		return lun_fail(err, LUN_NOMEM, "memory: out of memory");
	for (size_t i = 0; i < rows->count; i++)
		if (query->where == NULL ||
		    evaluate_condition(s, query->where, rows->at[i]) == TRUE)
			found[count++] = rows->at[i];
	if (query->order_count > 0)
		qsort_r(found, count, sizeof *found, compare_rows, s);
	if (s->failed)
		code = lun_fail(err, LUN_NOMEM, "memory: out of memory");
	else
		code = give_page(s, found, count, result, arg, err);
	free(found);
	return code;
}

enum lun_code
lun_memory_query(struct lun_model_store *store, struct lun_key key,
    const struct lun_schema *schema, const struct lun_query *query,
    lun_result_fn *result, void *arg, struct lun_err *err)
{
	struct memory_data *data = lun_memory_lock(store);
	struct search_rows s = {.schema = schema, .query = query};
	struct memory_build *build;
	enum lun_code code;

	code = lun_memory_find_models(data, key, schema, &build, err);
	if (code == LUN_OK)
		code = search_rows(&s, &build->rows, result, arg, err);
	lun_buffer_free(&s.scratch);
	lun_buffer_free(&s.scratch2);
	lun_memory_unlock(data);
	return code;
}
