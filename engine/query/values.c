/* values.c - what a literal in a query means for the field before it. */

#include "base/clock.h"
#include "query/parser.h"
#include "json/scan.h"

static const char *const expected[] = {
    [LUN_FIELD_TEXT] = "a text",
    [LUN_FIELD_INTEGER] = "a whole number such as 1000",
    [LUN_FIELD_NUMBER] = "a number such as 9.5",
    [LUN_FIELD_BOOLEAN] = "true or false",
    [LUN_FIELD_TIMESTAMP] =
	"a time such as 2026-11-23T05:32:58Z or a date such as 2026-11-23",
    [LUN_FIELD_JSON] = "a text, a number, true or false",
};

static enum lun_code
fail_type(struct lun_query_parser *p, const struct lun_column *column,
    struct lun_text text)
{
	struct lun_text shown = lun_query_shown(text);
	struct lun_text name = lun_query_shown(column->name);
	bool null = lun_text_equal(text, LUN_TEXT("null"));

	return lun_query_fail(p, "%.*s takes %s, not \"%.*s\"%s",
	    LUN_TEXT_ARG(name), expected[lun_query_column_type(p, column)],
	    LUN_TEXT_ARG(shown), null ? "; is.null finds nulls" : "");
}

/* ---- literals ---------------------------------------------------------- */

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* A JSON number and nothing around it. */
static bool
is_numeral(struct lun_text text)
{
	if (text.length == 0 || !is_digit(text.bytes[text.length - 1]) ||
	    (!is_digit(text.bytes[0]) && text.bytes[0] != '-'))
		return false;
	return lun_json_check(text, NULL) == LUN_OK;
}

/* Of a valid JSON number: written without fraction and exponent. */
static bool
to_integer(struct lun_text number, int64_t *integer)
{
	bool negative = number.bytes[0] == '-';
	int64_t sum = 0;

	for (size_t i = negative; i < number.length; i++) {
		int digit = number.bytes[i] - '0';

		if (!is_digit(number.bytes[i]) ||
		    __builtin_mul_overflow(sum, 10, &sum) ||
		    __builtin_sub_overflow(sum, digit, &sum))
			return false;
	}
	if (!negative && sum == INT64_MIN)
		return false;
	*integer = negative ? sum : -sum;
	return true;
}

/* Also 3.0 and 1e3 are whole. */
static bool
read_integer(struct lun_text text, struct lun_value *value)
{
	double number;

	if (!is_numeral(text))
		return false;
	value->kind = LUN_VALUE_INTEGER;
	if (to_integer(text, &value->integer))
		return true;
	number = lun_json_number(text);
	if (!(number >= -0x1p63 && number < 0x1p63) ||
	    number != (double)(int64_t)number)
		return false;
	value->integer = (int64_t)number;
	return true;
}

static bool
read_number(struct lun_text text, struct lun_value *value)
{
	int64_t integer;

	if (!is_numeral(text))
		return false;
	value->kind = LUN_VALUE_NUMBER;
	value->number = to_integer(text, &integer) ? (double)integer
						   : lun_json_number(text);
	return true;
}

static bool
read_boolean(struct lun_text text, struct lun_value *value)
{
	bool truth = lun_text_equal(text, LUN_TEXT("true"));

	if (!truth && !lun_text_equal(text, LUN_TEXT("false")))
		return false;
	value->kind = LUN_VALUE_BOOLEAN;
	value->integer = truth;
	return true;
}

/* A date alone is its first moment in UTC. */
static bool
read_timestamp(struct lun_text text, struct lun_value *value)
{
	char midnight[] = "yyyy-mm-ddT00:00:00Z";
	const size_t date_length = sizeof "yyyy-mm-dd" - 1;

	if (text.length == date_length) {
		memcpy(midnight, text.bytes, date_length);
		text = lun_text_of(midnight);
	}
	value->kind = LUN_VALUE_TIMESTAMP;
	return lun_timestamp_parse(text, &value->integer);
}

/* The kind follows from how the literal is written; "null" is refused. */
static bool
read_json(struct lun_query_literal literal, struct lun_value *value)
{
	struct lun_text text = literal.text;

	if (!literal.quoted) {
		if (lun_text_equal(text, LUN_TEXT("null")))
			return false;
		if (read_boolean(text, value))
			return true;
		if (is_numeral(text) && to_integer(text, &value->integer)) {
			value->kind = LUN_VALUE_INTEGER;
			return true;
		}
		if (read_number(text, value))
			return true;
	}
	*value = (struct lun_value){.kind = LUN_VALUE_TEXT, .text = text};
	return true;
}

static bool
read_typed(enum lun_field_type type, struct lun_query_literal literal,
    struct lun_value *value)
{
	switch (type) {
	case LUN_FIELD_INTEGER:
		return read_integer(literal.text, value);
	case LUN_FIELD_NUMBER:
		return read_number(literal.text, value);
	case LUN_FIELD_BOOLEAN:
		return read_boolean(literal.text, value);
	case LUN_FIELD_TIMESTAMP:
		return read_timestamp(literal.text, value);
	case LUN_FIELD_JSON:
		return read_json(literal, value);
	case LUN_FIELD_TEXT:
		break;
	}
	*value =
	    (struct lun_value){.kind = LUN_VALUE_TEXT, .text = literal.text};
	return true;
}

enum lun_code
lun_query_value(struct lun_query_parser *p, const struct lun_column *column,
    struct lun_query_literal literal, struct lun_value *value)
{
	if (literal.text.length > LUN_QUERY_VALUE_MAX)
		return lun_query_fail(p,
		    "a value has %zu bytes; at most %d are allowed",
		    literal.text.length, LUN_QUERY_VALUE_MAX);
	if (!read_typed(lun_query_column_type(p, column), literal, value))
		return fail_type(p, column, literal.text);
	return LUN_OK;
}

/* ---- patterns ---------------------------------------------------------- */

/* Put % for each * that no backslash escapes; false: it ends in the middle. */
static bool
translate_stars(char *pattern, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (pattern[i] == '*')
			pattern[i] = '%';
		else if (pattern[i] == '\\' && ++i == length)
			return false;
	}
	return true;
}

enum lun_code
lun_query_pattern(struct lun_query_parser *p, const struct lun_column *column,
    struct lun_query_literal literal, struct lun_value *value)
{
	enum lun_field_type type = lun_query_column_type(p, column);
	struct lun_text name = lun_query_shown(column->name);
	size_t length = literal.text.length;
	char *pattern;

	if (type != LUN_FIELD_TEXT && type != LUN_FIELD_JSON)
		return lun_query_fail(p,
		    "like and ilike are for texts; %.*s is of type %s",
		    LUN_TEXT_ARG(name), lun_field_type_name(type));
	if (length > LUN_QUERY_PATTERN_MAX)
		return lun_query_fail(p,
		    "a pattern has %zu bytes; at most %d are allowed", length,
		    LUN_QUERY_PATTERN_MAX);
	pattern = lun_query_allocate(p, length + 1);
	if (pattern == NULL)
		return LUN_NOMEM;
	memcpy(pattern, literal.text.bytes, length);
	if (!translate_stars(pattern, length))
		return lun_query_fail(p,
		    "a pattern must not end in a single backslash; two of "
		    "them stand for one");
	*value = (struct lun_value){
	    .kind = LUN_VALUE_TEXT, .text = {pattern, length}};
	return LUN_OK;
}
