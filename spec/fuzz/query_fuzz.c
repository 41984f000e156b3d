/*
 * query_fuzz.c - any terms against a schema with every type of field, and
 * against one without fields; what is taken has to be what query.h promises.
 */

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/clock.h"
#include "query/query.h"
#include "json/scan.h"

#define TERMS_MAX 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char typed[] = "field balance integer\n"
			    "field data json\n"
			    "field limit text\n"
			    "field open boolean\n"
			    "field owner text\n"
			    "field rate number\n"
			    "field since timestamp\n";
static const char whole[] = "whole_json\n";
static const char keyed[] = "key integer\n"
			    "field data json\n"
			    "field owner text\n"
			    "order owner data\n";

static void
check_column(const struct lun_schema *schema, const struct lun_column *column)
{
	assert(lun_utf8_valid(column->name));
	assert(column->path_length <= LUN_QUERY_PATH_MAX);
	if (column->field == LUN_COLUMN_ID) {
		assert(column->path_length == 0);
		return;
	}
	assert(column->field >= 0);
	assert((size_t)column->field < schema->field_count);
	assert(column->path_length == 0 ||
	       schema->fields[column->field].type == LUN_FIELD_JSON);
	assert(!schema->whole_json || column->path_length > 0);
	for (size_t i = 0; i < column->path_length; i++)
		assert(lun_utf8_valid(column->path[i]));
}

static bool
fits(enum lun_field_type type, const struct lun_value *value)
{
	switch (type) {
	case LUN_FIELD_INTEGER:
		return value->kind == LUN_VALUE_INTEGER;
	case LUN_FIELD_NUMBER:
		return value->kind == LUN_VALUE_NUMBER &&
		       value->number - value->number == 0;
	case LUN_FIELD_BOOLEAN:
		return value->kind == LUN_VALUE_BOOLEAN &&
		       (value->integer & ~1) == 0;
	case LUN_FIELD_TIMESTAMP:
		return value->kind == LUN_VALUE_TIMESTAMP &&
		       value->integer >= LUN_TIMESTAMP_MIN &&
		       value->integer <= LUN_TIMESTAMP_MAX;
	case LUN_FIELD_JSON:
		return value->kind >= LUN_VALUE_TEXT &&
		       value->kind <= LUN_VALUE_BOOLEAN;
	case LUN_FIELD_TEXT:
		break;
	}
	return value->kind == LUN_VALUE_TEXT;
}

static void
check_value(const struct lun_schema *schema, const struct lun_column *column,
    const struct lun_value *value)
{
	bool is_id = column->field == LUN_COLUMN_ID;

	assert(
	    fits(is_id ? schema->key_type : schema->fields[column->field].type,
		value));
	if (value->kind != LUN_VALUE_TEXT)
		return;
	assert(lun_utf8_valid(value->text));
	assert(value->text.length == 0 ||
	       memchr(value->text.bytes, '\0', value->text.length) == NULL);
}

static void
check_leaf(const struct lun_schema *schema, const struct lun_condition *leaf)
{
	size_t least = leaf->op == LUN_QUERY_IS_NULL ? 0 : 1;
	size_t most = leaf->op == LUN_QUERY_IN ? LUN_QUERY_IN_MAX : least;

	check_column(schema, &leaf->column);
	assert(leaf->child_count == 0);
	assert(leaf->value_count >= least && leaf->value_count <= most);
	for (size_t i = 0; i < leaf->value_count; i++)
		check_value(schema, &leaf->column, &leaf->values[i]);
}

/* Counts the leaves; a group may stand under a NOT, and "is" makes an AND. */
static size_t
check_condition(const struct lun_schema *schema,
    const struct lun_condition *condition, size_t depth)
{
	size_t leaves = 0;

	assert(depth <= 2 * LUN_QUERY_DEPTH_MAX + 5);
	if (condition->op != LUN_QUERY_AND && condition->op != LUN_QUERY_OR &&
	    condition->op != LUN_QUERY_NOT) {
		check_leaf(schema, condition);
		return 1;
	}
	assert(condition->child_count > 0);
	assert(condition->op != LUN_QUERY_NOT || condition->child_count == 1);
	for (size_t i = 0; i < condition->child_count; i++)
		leaves +=
		    check_condition(schema, &condition->children[i], depth + 1);
	return leaves;
}

static void
check_query(const struct lun_schema *schema, const struct lun_query *query)
{
	if (query->where != NULL)
		assert(check_condition(schema, query->where, 0) <=
		       LUN_QUERY_TERMS_MAX);
	assert(query->order_count <= LUN_QUERY_COLUMNS_MAX);
	assert(query->select_count <= LUN_QUERY_COLUMNS_MAX);
	for (size_t i = 0; i < query->order_count; i++)
		check_column(schema, &query->order[i].column);
	for (size_t i = 0; i < query->select_count; i++)
		check_column(schema, &query->select[i]);
	assert(query->limit <= 1000 && query->offset <= INT64_MAX);
}

static void
parse(const char *text, const struct lun_text *terms, size_t count)
{
	struct lun_schema *schema;
	struct lun_query *query;
	struct lun_err err = {0};
	enum lun_code code =
	    lun_schema_parse("models", 1, lun_text_of(text), &schema, NULL);

	assert(code == LUN_OK);
	code = lun_query_parse(schema, terms, count, 100, 1000, &query, &err);
	if (code == LUN_OK) {
		check_query(schema, query);
		lun_query_free(query);
	} else {
		assert(code == LUN_INVALID && code == err.code);
		assert(err.message[0] != '\0');
		code = lun_query_parse(
		    schema, terms, count, 100, 1000, &query, NULL);
		assert(code == LUN_INVALID);
	}
	lun_schema_free(schema);
}

/* One term a line. */
static size_t
split(struct lun_text input, struct lun_text terms[TERMS_MAX])
{
	size_t count = 0;

	while (input.length > 0 && count < TERMS_MAX) {
		const char *end = memchr(input.bytes, '\n', input.length);
		size_t length =
		    end != NULL ? (size_t)(end - input.bytes) : input.length;

		terms[count++] = (struct lun_text){input.bytes, length};
		length += end != NULL;
		input.bytes += length;
		input.length -= length;
	}
	return count;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lun_text terms[TERMS_MAX];
	struct lun_text input = {(const char *)data, size};
	size_t count = split(input, terms);

	parse(typed, terms, count);
	parse(whole, terms, count);
	parse(keyed, terms, count);
	if (count >= 2) {
		(void)lun_query_like(terms[0], terms[1], false);
		(void)lun_query_like(terms[0], terms[1], true);
		assert(lun_query_like(LUN_TEXT("%"), terms[0], false));
	}
	return 0;
}
