/* select.c - see select.h. */

#include "sql/select.h"

#include "sql/names.h"

void
lun_sql_add(struct lun_sql_select *s, const char *text)
{
	lun_buffer_add_text(s->text, lun_text_of(text));
}

void
lun_sql_add_field(struct lun_sql_select *s, int field)
{
	lun_sql_quote(s->text,
	    field == LUN_COLUMN_ID ? "id" : s->schema->fields[field].name);
}

void
lun_sql_add_text(struct lun_sql_select *s, struct lun_text text)
{
	struct lun_value value = {.kind = LUN_VALUE_TEXT};

	value.text = text;
	s->dialect->add_value(s, &value);
}

static void
add_count(struct lun_sql_select *s, uint64_t count)
{
	struct lun_value value = {.kind = LUN_VALUE_INTEGER};

	value.integer = count > INT64_MAX ? INT64_MAX : (int64_t)count;
	s->dialect->add_value(s, &value);
}

bool
lun_sql_is_json(const struct lun_sql_select *s, const struct lun_column *column)
{
	return column->field != LUN_COLUMN_ID &&
	       s->schema->fields[column->field].type == LUN_FIELD_JSON;
}

/* ---- conditions -------------------------------------------------------- */

void
lun_sql_add_comparison(struct lun_sql_select *s,
    const struct lun_column *column, const char *comparison,
    const struct lun_value *value)
{
	if (lun_sql_is_json(s, column)) {
		s->dialect->add_json_comparison(s, column, comparison, value);
		return;
	}
	lun_sql_add_field(s, column->field);
	lun_sql_add(s, comparison);
	s->dialect->add_value(s, value);
}

/* Values inside json may differ in class, so IN is many equalities. */
static void
add_in_json(struct lun_sql_select *s, const struct lun_condition *c)
{
	for (size_t i = 0; i < c->value_count; i++) {
		lun_sql_add(s, i == 0 ? "(" : " OR ");
		lun_sql_add_comparison(s, &c->column, " = ", &c->values[i]);
	}
	lun_sql_add(s, ")");
}

static void
add_in(struct lun_sql_select *s, const struct lun_condition *c)
{
	if (c->value_count == 0) {
		lun_sql_add(s, s->dialect->never);
		return;
	}
	if (lun_sql_is_json(s, &c->column)) {
		add_in_json(s, c);
		return;
	}
	lun_sql_add_field(s, c->column.field);
	for (size_t i = 0; i < c->value_count; i++) {
		lun_sql_add(s, i == 0 ? " IN (" : ", ");
		s->dialect->add_value(s, &c->values[i]);
	}
	lun_sql_add(s, ")");
}

static void
add_is_null(struct lun_sql_select *s, const struct lun_column *column)
{
	if (lun_sql_is_json(s, column))
		s->dialect->add_json_class(s, column);
	else
		lun_sql_add_field(s, column->field);
	lun_sql_add(s, " IS NULL");
}

static void add_condition(
    struct lun_sql_select *s, const struct lun_condition *c);

static void
add_group(struct lun_sql_select *s, const struct lun_condition *c)
{
	bool all = c->op == LUN_QUERY_AND;

	if (c->child_count == 0)
		lun_sql_add(s, all ? s->dialect->always : s->dialect->never);
	for (size_t i = 0; i < c->child_count; i++) {
		if (i > 0)
			lun_sql_add(s, all ? " AND " : " OR ");
		add_condition(s, &c->children[i]);
	}
}

static void
add_condition(struct lun_sql_select *s, const struct lun_condition *c)
{
	static const char *const comparisons[] = {
	    [LUN_QUERY_EQ] = " = ",
	    [LUN_QUERY_NEQ] = " <> ",
	    [LUN_QUERY_GT] = " > ",
	    [LUN_QUERY_GTE] = " >= ",
	    [LUN_QUERY_LT] = " < ",
	    [LUN_QUERY_LTE] = " <= ",
	};

	lun_sql_add(s, c->op == LUN_QUERY_NOT ? "(NOT " : "(");
	switch (c->op) {
	case LUN_QUERY_AND:
	case LUN_QUERY_OR:
		add_group(s, c);
		break;
	case LUN_QUERY_NOT:
		add_condition(s, c->children);
		break;
	case LUN_QUERY_LIKE:
	case LUN_QUERY_ILIKE:
		s->dialect->add_like(s, c);
		break;
	case LUN_QUERY_IN:
		add_in(s, c);
		break;
	case LUN_QUERY_IS_NULL:
		add_is_null(s, &c->column);
		break;
	default:
		lun_sql_add_comparison(
		    s, &c->column, comparisons[c->op], c->values);
		break;
	}
	lun_sql_add(s, ")");
}

/* ---- the statement ----------------------------------------------------- */

static void
add_selected(struct lun_sql_select *s, const struct lun_query *query)
{
	lun_sql_add(s, "SELECT ");
	if (query->select_count == 0) {
		lun_sql_add_columns(s->text, s->schema);
		return;
	}
	lun_sql_quote(s->text, "id");
	for (size_t i = 0; i < query->select_count; i++) {
		lun_sql_add(s, ", ");
		if (lun_sql_is_json(s, &query->select[i]))
			s->dialect->add_json(s, &query->select[i]);
		else
			lun_sql_add_field(s, query->select[i].field);
	}
}

void
lun_sql_add_direction(struct lun_sql_select *s, const struct lun_order *order)
{
	lun_sql_add(s, order->descending ? " DESC" : " ASC");
	lun_sql_add(s, order->nulls_first ? " NULLS FIRST, " : " NULLS LAST, ");
}

static void
add_order(struct lun_sql_select *s, const struct lun_query *query)
{
	lun_sql_add(s, " ORDER BY ");
	for (size_t i = 0; i < query->order_count; i++) {
		const struct lun_order *order = &query->order[i];

		if (lun_sql_is_json(s, &order->column)) {
			s->dialect->add_json_class(s, &order->column);
			lun_sql_add_direction(s, order);
			s->dialect->add_json_order(s, order);
		} else {
			lun_sql_add_field(s, order->column.field);
			lun_sql_add_direction(s, order);
		}
	}
	lun_sql_quote(s->text, "id");
}

void
lun_sql_select(struct lun_sql_select *s, const struct lun_query *query)
{
	add_selected(s, query);
	lun_sql_add(s, " FROM ");
	s->dialect->add_table(s);
	if (query->where != NULL) {
		lun_sql_add(s, " WHERE ");
		add_condition(s, query->where);
	}
	add_order(s, query);
	lun_sql_add(s, " LIMIT ");
	add_count(s, query->limit);
	lun_sql_add(s, " OFFSET ");
	add_count(s, query->offset);
	lun_buffer_add_byte(s->text, '\0');
}
