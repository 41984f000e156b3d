/* values.c - what a literal in a query means for the field before it. */

#include <math.h>

#include "base/clock.h"
#include "query/parser.h"
#include "json/scan.h"

/* From here on every double is whole. */
#define WHOLE_FROM (INT64_C(1) << 52)

static const char *const expected[] = {
    [LUN_FIELD_TEXT] = "a text",
    [LUN_FIELD_INTEGER] = "a whole number of at most 64 bits, such as 1000",
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

/* Also 3.0 and 1e3 are whole. */
static bool
read_integer(struct lun_text text, struct lun_value *value)
{
	bool exact;

	value->kind = LUN_VALUE_INTEGER;
	return is_numeral(text) &&
	       lun_json_floor(text, &value->integer, &exact) && exact;
}

/*
 * Whether a number of at most 64 bits is so large that no fraction lies between
 * doubles: it is taken by all of its digits, as the integer at or below it.
 */
static bool
is_large(struct lun_text text, int64_t *whole, bool *exact)
{
	return lun_json_floor(text, whole, exact) &&
	       (*whole >= WHOLE_FROM || *whole < -WHOLE_FROM);
}

/* The greatest double that is not above an integer. */
static double
floor_to_double(int64_t integer, bool *exact)
{
	double number = (double)integer;

	if (number >= 0x1p63 || (int64_t)number > integer)
		number = nextafter(number, -INFINITY);
	*exact = *exact && (int64_t)number == integer;
	return number;
}

static bool
read_number(struct lun_text text, struct lun_value *value, bool *exact)
{
	int64_t whole;

	if (!is_numeral(text))
		return false;
	value->kind = LUN_VALUE_NUMBER;
	if (is_large(text, &whole, exact)) {
		value->number = floor_to_double(whole, exact);
		return true;
	}
	*exact = true;
	value->number = lun_json_number(text);
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
read_timestamp(struct lun_text text, struct lun_value *value, bool *exact)
{
	struct lun_timestamp read;

	if (!lun_timestamp_read(text, &read) ||
	    (!read.zoned && !read.date_only))
		return false;
	value->kind = LUN_VALUE_TIMESTAMP;
	value->integer = read.us;
	*exact = !read.cut;
	return true;
}

/* A whole number stays one: 64 bits are exact, whatever it is compared with. */
static bool
read_json_number(struct lun_text text, struct lun_value *value, bool *exact)
{
	if (read_integer(text, value))
		return true;
	if (!is_numeral(text))
		return false;
	if (is_large(text, &value->integer, exact))
		return true;
	*exact = true;
	*value = (struct lun_value){
	    .kind = LUN_VALUE_NUMBER, .number = lun_json_number(text)};
	return true;
}

/* The kind follows from how the literal is written; "null" is refused. */
static bool
read_json(
    struct lun_query_literal literal, struct lun_value *value, bool *exact)
{
	struct lun_text text = literal.text;

	if (!literal.quoted) {
		if (lun_text_equal(text, LUN_TEXT("null")))
			return false;
		if (read_boolean(text, value))
			return true;
		if (read_json_number(text, value, exact))
			return true;
	}
	*value = (struct lun_value){.kind = LUN_VALUE_TEXT, .text = text};
	return true;
}

static bool
read_typed(enum lun_field_type type, struct lun_query_literal literal,
    struct lun_value *value, bool *exact)
{
	*exact = true;
	switch (type) {
	case LUN_FIELD_INTEGER:
		return read_integer(literal.text, value);
	case LUN_FIELD_NUMBER:
		return read_number(literal.text, value, exact);
	case LUN_FIELD_BOOLEAN:
		return read_boolean(literal.text, value);
	case LUN_FIELD_TIMESTAMP:
		return read_timestamp(literal.text, value, exact);
	case LUN_FIELD_JSON:
		return read_json(literal, value, exact);
	case LUN_FIELD_TEXT:
		break;
	}
	*value =
	    (struct lun_value){.kind = LUN_VALUE_TEXT, .text = literal.text};
	return true;
}

enum lun_code
lun_query_value(struct lun_query_parser *p, const struct lun_column *column,
    struct lun_query_literal literal, struct lun_value *value, bool *exact)
{
	if (literal.text.length > LUN_QUERY_VALUE_MAX)
		return lun_query_fail(p,
		    "a value has %zu bytes; at most %d are allowed",
		    literal.text.length, LUN_QUERY_VALUE_MAX);
	if (!read_typed(
		lun_query_column_type(p, column), literal, value, exact))
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
