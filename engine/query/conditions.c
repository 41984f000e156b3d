/* conditions.c - conditions of a query, and groups of them. */

#include "query/parser.h"

#define OPERATORS "eq neq gt gte lt lte like ilike in is"

static const struct {
	const char *name;
	enum lun_query_op op;
} operators[] = {
    {"eq", LUN_QUERY_EQ},
    {"neq", LUN_QUERY_NEQ},
    {"gt", LUN_QUERY_GT},
    {"gte", LUN_QUERY_GTE},
    {"lt", LUN_QUERY_LT},
    {"lte", LUN_QUERY_LTE},
    {"like", LUN_QUERY_LIKE},
    {"ilike", LUN_QUERY_ILIKE},
    {"in", LUN_QUERY_IN},
    {"is", LUN_QUERY_IS_NULL},
};

#define OPERATOR_COUNT (sizeof operators / sizeof operators[0])

/* The context of a condition decides where its value ends. */
enum context {
	IN_TERM, /* at the end of the term */
	IN_GROUP /* at "," or ")" */
};

/* ---- building ---------------------------------------------------------- */

/* A condition on one column; counts against the limit. */
static enum lun_code
begin_leaf(struct lun_query_parser *p, enum lun_query_op op,
    const struct lun_column *column, struct lun_condition *condition)
{
	if (++p->conditions > LUN_QUERY_TERMS_MAX)
		return lun_query_fail(p,
		    "the query has more than %d conditions",
		    LUN_QUERY_TERMS_MAX);
	*condition = (struct lun_condition){.op = op, .column = *column};
	return LUN_OK;
}

/* exact: see lun_query_value(). */
static enum lun_code
add_condition_value(struct lun_query_parser *p, struct lun_condition *condition,
    struct lun_query_literal literal, bool *exact)
{
	bool pattern =
	    condition->op == LUN_QUERY_LIKE || condition->op == LUN_QUERY_ILIKE;
	struct lun_value *values;

	*exact = true;

	if (condition->value_count == LUN_QUERY_IN_MAX)
		return lun_query_fail(
		    p, "in has more than %d values", LUN_QUERY_IN_MAX);
	if (++p->values > LUN_QUERY_VALUES_MAX)
		return lun_query_fail(p, "the query has more than %d values",
		    LUN_QUERY_VALUES_MAX);
	values = lun_query_grow(p, condition->values, condition->value_count,
	    sizeof *condition->values);
	if (values == NULL)
		return LUN_NOMEM;
	condition->values = values;
	values += condition->value_count++;
	return pattern
		   ? lun_query_pattern(p, &condition->column, literal, values)
		   : lun_query_value(
			 p, &condition->column, literal, values, exact);
}

/* Make a condition the only child of a NOT. */
static enum lun_code
negate_condition(struct lun_query_parser *p, struct lun_condition *condition)
{
	struct lun_condition *child = lun_query_allocate(p, sizeof *child);

	if (child == NULL)
		return LUN_NOMEM;
	*child = *condition;
	*condition = (struct lun_condition){
	    .op = LUN_QUERY_NOT, .children = child, .child_count = 1};
	return LUN_OK;
}

/* "column is not null" */
static enum lun_code
make_not_null(struct lun_query_parser *p, const struct lun_column *column,
    struct lun_condition *condition)
{
	enum lun_code code =
	    begin_leaf(p, LUN_QUERY_IS_NULL, column, condition);

	return code == LUN_OK ? negate_condition(p, condition) : code;
}

/* The condition and the same one with another operator, under a group. */
static enum lun_code
join_with_itself(struct lun_query_parser *p, enum lun_query_op group,
    enum lun_query_op other, struct lun_condition *condition)
{
	struct lun_condition *children =
	    lun_query_allocate(p, 2 * sizeof *children);
	enum lun_code code;

	if (children == NULL)
		return LUN_NOMEM;
	children[0] = *condition;
	code = begin_leaf(p, other, &condition->column, &children[1]);
	children[1].values = condition->values;
	children[1].value_count = condition->value_count;
	*condition = (struct lun_condition){
	    .op = group, .children = children, .child_count = 2};
	return code;
}

/*
 * Compare with what lies between the condition's value and the next one that
 * the column can hold. Nothing is equal to that: nothing is both at most the
 * value and above it, and everything but null is one of the two.
 */
static enum lun_code
compare_above(struct lun_query_parser *p, struct lun_condition *condition)
{
	switch (condition->op) {
	case LUN_QUERY_LT:
		condition->op = LUN_QUERY_LTE;
		return LUN_OK;
	case LUN_QUERY_GTE:
		condition->op = LUN_QUERY_GT;
		return LUN_OK;
	case LUN_QUERY_NEQ:
		condition->op = LUN_QUERY_LTE;
		return join_with_itself(
		    p, LUN_QUERY_OR, LUN_QUERY_GT, condition);
	case LUN_QUERY_EQ:
	case LUN_QUERY_IN:
		condition->op = LUN_QUERY_LTE;
		return join_with_itself(
		    p, LUN_QUERY_AND, LUN_QUERY_GT, condition);
	default:
		return LUN_OK;
	}
}

/* Two children, the second "column is not null", under an AND. */
static enum lun_code
and_not_null(struct lun_query_parser *p, struct lun_condition *condition)
{
	struct lun_column column = condition->column;
	struct lun_condition *children =
	    lun_query_allocate(p, 2 * sizeof *children);

	if (children == NULL)
		return LUN_NOMEM;
	children[0] = *condition;
	*condition = (struct lun_condition){
	    .op = LUN_QUERY_AND, .children = children, .child_count = 2};
	return make_not_null(p, &column, &children[1]);
}

/* ---- values ------------------------------------------------------------ */

static bool
at_item_end(const struct lun_query_parser *p)
{
	return p->at == p->end || *p->at == ',' || *p->at == ')';
}

/* Inside parentheses: up to "," or ")", spaces around it do not count. */
static enum lun_code
read_list_literal(struct lun_query_parser *p, struct lun_query_literal *literal)
{
	char *start;
	size_t length;

	lun_query_skip_spaces(p);
	start = p->at;
	literal->quoted = p->at < p->end && *p->at == '"';
	if (literal->quoted) {
		if (lun_query_read_quoted(p, &literal->text) != LUN_OK)
			return LUN_INVALID;
		lun_query_skip_spaces(p);
		if (at_item_end(p))
			return LUN_OK;
		return lun_query_fail(
		    p, "something follows the closing quote of a value");
	}
	while (!at_item_end(p))
		p->at++;
	length = (size_t)(p->at - start);
	while (length > 0 && start[length - 1] == ' ')
		length--;
	literal->text = (struct lun_text){start, length};
	return LUN_OK;
}

static enum lun_code
read_literal(struct lun_query_parser *p, enum context context,
    struct lun_query_literal *literal)
{
	if (context == IN_GROUP)
		return read_list_literal(p, literal);
	literal->quoted = p->at < p->end && *p->at == '"';
	if (!literal->quoted) {
		literal->text = lun_query_rest(p);
		p->at = p->end;
		return LUN_OK;
	}
	if (lun_query_read_quoted(p, &literal->text) != LUN_OK)
		return LUN_INVALID;
	if (p->at == p->end)
		return LUN_OK;
	return lun_query_fail(p,
	    "something follows the closing quote of the value; escape quotes "
	    "inside as \\\"");
}

static enum lun_code
read_compare(struct lun_query_parser *p, enum context context,
    struct lun_condition *condition)
{
	struct lun_query_literal literal;
	enum lun_code code = read_literal(p, context, &literal);
	bool exact = true;

	if (code == LUN_OK)
		code = add_condition_value(p, condition, literal, &exact);
	return code == LUN_OK && !exact ? compare_above(p, condition) : code;
}

/*
 * Nothing is in an empty list: "is null and is not null" says so without
 * asking anything special of a store.
 */
static enum lun_code
read_list(struct lun_query_parser *p, struct lun_condition *condition)
{
	struct lun_query_literal literal;
	enum lun_code code = lun_query_expect(p, '(', "in.");
	bool exact = true;

	if (code != LUN_OK)
		return code;
	if (lun_query_take(p, ')')) {
		condition->op = LUN_QUERY_IS_NULL;
		return and_not_null(p, condition);
	}
	do {
		/* One that nothing is equal to stays only if it is the last. */
		condition->value_count -= !exact;
		code = read_list_literal(p, &literal);
		if (code == LUN_OK)
			code =
			    add_condition_value(p, condition, literal, &exact);
		if (code != LUN_OK)
			return code;
	} while (lun_query_take(p, ','));
	code = lun_query_expect(p, ')', "the values of in");
	if (code != LUN_OK || exact)
		return code;
	if (condition->value_count == 1)
		return compare_above(p, condition);
	condition->value_count--;
	return LUN_OK;
}

/* SQL's IS TRUE is never unknown: equal, and not null. */
static enum lun_code
make_is_truth(struct lun_query_parser *p, struct lun_text word,
    struct lun_condition *condition)
{
	enum lun_field_type type = lun_query_column_type(p, &condition->column);
	struct lun_text name = lun_query_shown(condition->column.name);
	struct lun_query_literal literal = {word, false};
	enum lun_code code;
	bool exact;

	if (type != LUN_FIELD_BOOLEAN && type != LUN_FIELD_JSON)
		return lun_query_fail(p,
		    "is.true and is.false are for booleans; %.*s is of type "
		    "%s",
		    LUN_TEXT_ARG(name), lun_field_type_name(type));
	condition->op = LUN_QUERY_EQ;
	code = add_condition_value(p, condition, literal, &exact);
	return code == LUN_OK ? and_not_null(p, condition) : code;
}

static enum lun_code
read_is(struct lun_query_parser *p, enum context context,
    struct lun_condition *condition)
{
	struct lun_query_literal literal;
	struct lun_text shown;

	if (read_literal(p, context, &literal) != LUN_OK)
		return LUN_INVALID;
	if (!literal.quoted) {
		if (lun_text_equal(literal.text, LUN_TEXT("null")))
			return LUN_OK;
		if (lun_text_equal(literal.text, LUN_TEXT("not_null")))
			return negate_condition(p, condition);
		if (lun_text_equal(literal.text, LUN_TEXT("true")) ||
		    lun_text_equal(literal.text, LUN_TEXT("false")))
			return make_is_truth(p, literal.text, condition);
	}
	shown = lun_query_shown(literal.text);
	return lun_query_fail(p,
	    "is takes null, not_null, true or false, not \"%.*s\"",
	    LUN_TEXT_ARG(shown));
}

/* ---- conditions -------------------------------------------------------- */

static enum lun_code
fail_operator(struct lun_query_parser *p, const struct lun_column *column,
    struct lun_text word)
{
	struct lun_text name = lun_query_shown(column->name);
	struct lun_text shown = lun_query_shown(word);

	return lun_query_fail(p,
	    "\"%.*s\" is no operator; write %.*s, then one of " OPERATORS
	    ", then a dot and the value",
	    LUN_TEXT_ARG(shown), LUN_TEXT_ARG(name));
}

/* The word before the next dot. */
static enum lun_code
read_operator(struct lun_query_parser *p, const struct lun_column *column,
    enum lun_query_op *op)
{
	char *start = p->at;
	struct lun_text word;

	while (p->at < p->end && *p->at >= 'a' && *p->at <= 'z')
		p->at++;
	word = (struct lun_text){start, (size_t)(p->at - start)};
	for (size_t i = 0; i < OPERATOR_COUNT; i++) {
		if (!lun_text_equal(word, lun_text_of(operators[i].name)))
			continue;
		*op = operators[i].op;
		return lun_query_expect(p, '.', "the operator");
	}
	if (word.length == 0 || p->at == p->end || *p->at != '.')
		word.length = (size_t)(p->end - start);
	return fail_operator(p, column, word);
}

/* [not.]op.value */
static enum lun_code
read_test(struct lun_query_parser *p, enum context context,
    const struct lun_column *column, struct lun_condition *condition)
{
	bool negated = lun_query_take_word(p, "not.");
	enum lun_query_op op = LUN_QUERY_EQ;
	enum lun_code code = read_operator(p, column, &op);

	if (code == LUN_OK)
		code = begin_leaf(p, op, column, condition);
	if (code != LUN_OK)
		return code;
	if (op == LUN_QUERY_IN)
		code = read_list(p, condition);
	else if (op == LUN_QUERY_IS_NULL)
		code = read_is(p, context, condition);
	else
		code = read_compare(p, context, condition);
	if (code == LUN_OK && negated)
		code = negate_condition(p, condition);
	return code;
}

static enum lun_code
fail_rest(struct lun_query_parser *p)
{
	struct lun_text rest = lun_query_shown(lun_query_rest(p));

	return lun_query_fail(p,
	    "\"%.*s\" follows where it should end; put values that hold "
	    "\",\" or \")\" into double quotes",
	    LUN_TEXT_ARG(rest));
}

enum lun_code
lun_query_read_filter(
    struct lun_query_parser *p, struct lun_condition *condition)
{
	struct lun_column column;
	enum lun_code code = lun_query_read_column(p, &column);

	if (code == LUN_OK)
		code = lun_query_expect(p, '=', "the field");
	if (code == LUN_OK)
		code = read_test(p, IN_TERM, &column, condition);
	if (code == LUN_OK && p->at < p->end)
		code = fail_rest(p);
	return code;
}

/* ---- groups ------------------------------------------------------------ */

static enum lun_code read_members(
    struct lun_query_parser *p, struct lun_condition *group);

static enum lun_code
read_group(struct lun_query_parser *p, enum lun_query_op op, bool negated,
    struct lun_condition *condition)
{
	enum lun_code code;

	*condition = (struct lun_condition){.op = op};
	if (++p->depth > LUN_QUERY_DEPTH_MAX)
		return lun_query_fail(p, "groups may be nested at most %d deep",
		    LUN_QUERY_DEPTH_MAX);
	code = read_members(p, condition);
	p->depth--;
	if (code == LUN_OK && negated)
		code = negate_condition(p, condition);
	return code;
}

/* Whether a group begins here; steps over its head up to the "(". */
static bool
take_group_head(
    struct lun_query_parser *p, enum lun_query_op *op, bool *negated)
{
	char *start = p->at;

	*negated = lun_query_take_word(p, "not.");
	if (lun_query_take_word(p, "and("))
		*op = LUN_QUERY_AND;
	else if (lun_query_take_word(p, "or("))
		*op = LUN_QUERY_OR;
	else {
		p->at = start;
		return false;
	}
	p->at--;
	return true;
}

static enum lun_code
read_group_condition(
    struct lun_query_parser *p, struct lun_condition *condition)
{
	struct lun_column column;
	enum lun_query_op op;
	enum lun_code code;
	bool negated;

	lun_query_skip_spaces(p);
	if (take_group_head(p, &op, &negated))
		return read_group(p, op, negated, condition);
	code = lun_query_read_column(p, &column);
	if (code == LUN_OK)
		code = lun_query_expect(p, '.', "the field");
	if (code == LUN_OK)
		code = read_test(p, IN_GROUP, &column, condition);
	return code;
}

/* "(a,b,c)" */
static enum lun_code
read_members(struct lun_query_parser *p, struct lun_condition *group)
{
	enum lun_code code =
	    lun_query_expect(p, '(', group->op == LUN_QUERY_AND ? "and" : "or");

	if (code == LUN_OK && lun_query_take(p, ')'))
		return lun_query_fail(p, "a group needs a condition in it");
	while (code == LUN_OK) {
		struct lun_condition *children = lun_query_grow(
		    p, group->children, group->child_count, sizeof *children);

		if (children == NULL)
			return LUN_NOMEM;
		group->children = children;
		code = read_group_condition(p, &children[group->child_count++]);
		lun_query_skip_spaces(p);
		if (code == LUN_OK && !lun_query_take(p, ','))
			return lun_query_expect(
			    p, ')', "the conditions of a group");
	}
	return code;
}

enum lun_code
lun_query_read_group(struct lun_query_parser *p, enum lun_query_op op,
    bool negated, struct lun_condition *condition)
{
	enum lun_code code = read_group(p, op, negated, condition);

	if (code == LUN_OK && p->at < p->end)
		code = fail_rest(p);
	return code;
}
