/* query.c - a question about the models of one projection: its terms. */

#include "query/query.h"

#include "base/error.h"
#include "query/parser.h"
#include "json/scan.h"

/* The query and what its terms have said so far. */
struct terms {
	struct lun_query *query;
	bool has_limit;
	bool has_offset;
	uint64_t max_limit;
};

/* ---- limit and offset -------------------------------------------------- */

#define COUNT_MOST "9223372036854775807"

static bool
parse_count(struct lun_text text, uint64_t *count)
{
	uint64_t sum = 0;

	if (text.length == 0)
		return false;
	for (size_t i = 0; i < text.length; i++) {
		char c = text.bytes[i];

		if (c < '0' || c > '9' ||
		    __builtin_mul_overflow(sum, 10, &sum) ||
		    __builtin_add_overflow(sum, (uint64_t)(c - '0'), &sum))
			return false;
	}
	*count = sum;
	return sum <= INT64_MAX;
}

static enum lun_code
fail_twice(struct lun_query_parser *p, const char *what)
{
	return lun_query_fail(p, "%s is given twice", what);
}

static enum lun_code
read_limit(struct lun_query_parser *p, struct terms *terms)
{
	uint64_t limit;

	if (terms->has_limit)
		return fail_twice(p, "limit");
	if (!parse_count(lun_query_rest(p), &limit))
		return lun_query_fail(
		    p, "limit takes a whole number from 0 to " COUNT_MOST);
	if (limit > terms->max_limit)
		return lun_query_fail(p,
		    "the limit is above %llu, the most a query may ask for "
		    "(setting query_limit_max); take the rows in pages with "
		    "offset",
		    (unsigned long long)terms->max_limit);
	terms->has_limit = true;
	terms->query->limit = limit;
	return LUN_OK;
}

static enum lun_code
read_offset(struct lun_query_parser *p, struct terms *terms)
{
	if (terms->has_offset)
		return fail_twice(p, "offset");
	terms->has_offset = true;
	if (!parse_count(lun_query_rest(p), &terms->query->offset))
		return lun_query_fail(
		    p, "offset takes a whole number from 0 to " COUNT_MOST);
	return LUN_OK;
}

/* ---- order ------------------------------------------------------------- */

static enum lun_code
read_direction(struct lun_query_parser *p, struct lun_order *order)
{
	struct lun_text rest;

	if (lun_query_take_word(p, ".desc"))
		order->descending = true;
	else
		(void)lun_query_take_word(p, ".asc");
	order->nulls_first = order->descending;
	if (lun_query_take_word(p, ".nullsfirst"))
		order->nulls_first = true;
	else if (lun_query_take_word(p, ".nullslast"))
		order->nulls_first = false;
	lun_query_skip_spaces(p);
	if (p->at == p->end || *p->at == ',')
		return LUN_OK;
	rest = lun_query_shown(lun_query_rest(p));
	return lun_query_fail(p,
	    "\"%.*s\" follows a field; .asc or .desc and then .nullsfirst or "
	    ".nullslast may",
	    LUN_TEXT_ARG(rest));
}

static enum lun_code
read_order(struct lun_query_parser *p, struct terms *terms)
{
	struct lun_query *query = terms->query;

	if (query->order_count > 0)
		return fail_twice(p, "order");
	do {
		struct lun_order *order = lun_query_grow(
		    p, query->order, query->order_count, sizeof *order);

		if (order == NULL)
			return LUN_NOMEM;
		query->order = order;
		if (query->order_count == LUN_QUERY_COLUMNS_MAX)
			return lun_query_fail(p,
			    "order names more than %d columns",
			    LUN_QUERY_COLUMNS_MAX);
		order += query->order_count++;
		if (lun_query_read_column(p, &order->column) != LUN_OK ||
		    read_direction(p, order) != LUN_OK)
			return LUN_INVALID;
	} while (lun_query_take(p, ','));
	return LUN_OK;
}

/* ---- select ------------------------------------------------------------ */

/* [key:]column */
static enum lun_code
read_selected_column(struct lun_query_parser *p, struct lun_column *column)
{
	struct lun_text name;
	bool alias;

	if (lun_query_read_name(p, &name) != LUN_OK)
		return LUN_INVALID;
	alias = lun_query_take(p, ':');
	if (!alias)
		return lun_query_read_column_after(p, name, column);
	if (lun_query_read_column(p, column) != LUN_OK)
		return LUN_INVALID;
	column->name = name;
	return LUN_OK;
}

static enum lun_code
check_selected(struct lun_query_parser *p, const struct lun_query *query)
{
	struct lun_text name = query->select[query->select_count - 1].name;
	struct lun_text shown = lun_query_shown(name);

	if (query->select_count > LUN_QUERY_COLUMNS_MAX)
		return lun_query_fail(p, "select names more than %d columns",
		    LUN_QUERY_COLUMNS_MAX);
	for (size_t i = 0; i + 1 < query->select_count; i++)
		if (lun_text_equal(query->select[i].name, name))
			return lun_query_fail(p,
			    "two columns would be called \"%.*s\"; give one "
			    "a name of its own, as in name:column",
			    LUN_TEXT_ARG(shown));
	return LUN_OK;
}

static enum lun_code
read_select(struct lun_query_parser *p, struct terms *terms)
{
	struct lun_query *query = terms->query;

	if (query->select_count > 0)
		return fail_twice(p, "select");
	if (lun_text_equal(lun_query_rest(p), LUN_TEXT("*")))
		return LUN_OK;
	do {
		struct lun_column *select = lun_query_grow(
		    p, query->select, query->select_count, sizeof *select);

		if (select == NULL)
			return LUN_NOMEM;
		query->select = select;
		if (read_selected_column(p, &select[query->select_count++]) !=
			LUN_OK ||
		    check_selected(p, query) != LUN_OK)
			return LUN_INVALID;
	} while (lun_query_take(p, ','));
	if (p->at < p->end)
		return lun_query_fail(
		    p, "select takes names with commas between them");
	return LUN_OK;
}

/* ---- terms ------------------------------------------------------------- */

/* All filters of a query hold: they are the children of one AND. */
static struct lun_condition *
add_filter(struct lun_query_parser *p, struct terms *terms)
{
	struct lun_condition *where = terms->query->where;
	struct lun_condition *children;

	if (where == NULL) {
		where = lun_query_allocate(p, sizeof *where);
		if (where == NULL)
			return NULL;
		where->op = LUN_QUERY_AND;
		terms->query->where = where;
	}
	children = lun_query_grow(
	    p, where->children, where->child_count, sizeof *children);
	if (children == NULL)
		return NULL;
	where->children = children;
	return &children[where->child_count++];
}

static enum lun_code
read_filter(struct lun_query_parser *p, struct terms *terms)
{
	struct lun_condition *condition = add_filter(p, terms);
	char *start = p->at;
	bool negated;

	if (condition == NULL)
		return LUN_NOMEM;
	negated = lun_query_take_word(p, "not.");
	if (lun_query_take_word(p, "and="))
		return lun_query_read_group(
		    p, LUN_QUERY_AND, negated, condition);
	if (lun_query_take_word(p, "or="))
		return lun_query_read_group(
		    p, LUN_QUERY_OR, negated, condition);
	p->at = start;
	if (memchr(p->at, '=', (size_t)(p->end - p->at)) == NULL)
		return lun_query_fail(p,
		    "it has no \"=\"; write a filter as field=op.value, for "
		    "example balance=gte.1000");
	return lun_query_read_filter(p, condition);
}

static enum lun_code
read_term(struct lun_query_parser *p, struct terms *terms)
{
	if (lun_query_take_word(p, "limit="))
		return read_limit(p, terms);
	if (lun_query_take_word(p, "offset="))
		return read_offset(p, terms);
	if (lun_query_take_word(p, "order="))
		return read_order(p, terms);
	if (lun_query_take_word(p, "select="))
		return read_select(p, terms);
	return read_filter(p, terms);
}

static enum lun_code
check_term(
    struct lun_text term, size_t number, size_t *bytes, struct lun_err *err)
{
	*bytes += term.length;
	if (*bytes > LUN_QUERY_BYTES_MAX)
		return lun_fail(err, LUN_INVALID,
		    "the query has more than %zu bytes", LUN_QUERY_BYTES_MAX);
	if (term.length == 0)
		return lun_fail(
		    err, LUN_INVALID, "query term %zu is empty", number);
	if (memchr(term.bytes, '\0', term.length) != NULL ||
	    !lun_utf8_valid(term))
		return lun_fail(err, LUN_INVALID,
		    "query term %zu is not UTF-8 text without NUL", number);
	return LUN_OK;
}

static enum lun_code
read_terms(struct lun_query_parser *p, struct terms *terms,
    const struct lun_text *given, size_t count)
{
	enum lun_code code = LUN_OK;
	size_t bytes = 0;

	for (size_t i = 0; i < count && code == LUN_OK; i++) {
		code = check_term(given[i], i + 1, &bytes, p->err);
		if (code != LUN_OK)
			return code;
		p->term = given[i];
		p->at = lun_query_allocate(p, given[i].length);
		if (p->at == NULL)
			return LUN_NOMEM;
		memcpy(p->at, given[i].bytes, given[i].length);
		p->end = p->at + given[i].length;
		code = read_term(p, terms);
	}
	return code;
}

static void
unwrap_single_condition(struct lun_query *query)
{
	if (query->where != NULL && query->where->child_count == 1)
		query->where = query->where->children;
}

enum lun_code
lun_query_parse(const struct lun_schema *schema, const struct lun_text *terms,
    size_t count, uint64_t default_limit, uint64_t max_limit,
    struct lun_query **out, struct lun_err *err)
{
	struct lun_query_parser p = {.schema = schema, .err = err};
	struct terms state = {.max_limit = max_limit};
	enum lun_code code = LUN_NOMEM;

	state.query = lun_query_allocate(&p, sizeof *state.query);
	if (state.query == NULL)
		return LUN_NOMEM;
	state.query->limit = default_limit;
	code = read_terms(&p, &state, terms, count);
	state.query->memory = p.memory;
	if (code != LUN_OK) {
		lun_query_free(state.query);
		return code;
	}
	unwrap_single_condition(state.query);
	*out = state.query;
	return LUN_OK;
}
