/* schema.c - what the models of one projection version look like. */

#include "data/schema.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "json/scan.h"

static const char *const type_names[] = {
    [LUN_FIELD_TEXT] = "text",
    [LUN_FIELD_INTEGER] = "integer",
    [LUN_FIELD_NUMBER] = "number",
    [LUN_FIELD_BOOLEAN] = "boolean",
    [LUN_FIELD_TIMESTAMP] = "timestamp",
    [LUN_FIELD_JSON] = "json",
};

#define TYPE_COUNT (sizeof type_names / sizeof type_names[0])

/* The model's id, SQLite's names of a row, PostgreSQL's system columns. */
static const char *const reserved_names[] = {
    "id",
    "rowid",
    "oid",
    "_rowid_",
    "tableoid",
    "xmin",
    "cmin",
    "xmax",
    "cmax",
    "ctid",
};

#define RESERVED_COUNT (sizeof reserved_names / sizeof reserved_names[0])

/* The engine's own tables, and SQLite's. */
static const char *const taken_prefixes[] = {"lunette_", "sqlite_"};

#define PREFIX_COUNT (sizeof taken_prefixes / sizeof taken_prefixes[0])

const char *
lun_field_type_name(enum lun_field_type type)
{
	return (size_t)type < TYPE_COUNT ? type_names[type] : "unknown";
}

bool
lun_field_type_parse(struct lun_text name, enum lun_field_type *type)
{
	for (size_t i = 0; i < TYPE_COUNT; i++) {
		if (lun_text_equal(name, lun_text_of(type_names[i]))) {
			*type = (enum lun_field_type)i;
			return true;
		}
	}
	return false;
}

void
lun_schema_free(struct lun_schema *schema)
{
	if (schema == NULL)
		return;
	free(schema->fields);
	free(schema->columns);
	free(schema->indexes);
	for (size_t i = 0; i < schema->type_count; i++)
		free((char *)(uintptr_t)schema->types[i].bytes);
	free(schema->types);
	free(schema);
}

int
lun_schema_find(const struct lun_schema *schema, struct lun_text field)
{
	size_t low = 0, high = schema->field_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = lun_text_compare(
		    field, lun_text_of(schema->fields[middle].name));

		if (order == 0)
			return (int)middle;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return -1;
}

/* ---- names ------------------------------------------------------------- */

static bool
is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool
is_word_start(char c)
{
	return is_lower(c) || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
equal_but_case(struct lun_text a, struct lun_text b)
{
	if (a.length != b.length)
		return false;
	for (size_t i = 0; i < a.length; i++) {
		char x = a.bytes[i], y = b.bytes[i];

		if (x != y && ((x ^ y) != 0x20 || !is_lower((char)(x | 0x20))))
			return false;
	}
	return true;
}

static enum lun_code
check_length(const char *what, struct lun_text name, struct lun_err *err)
{
	if (name.length == 0)
		return lun_fail(err, LUN_INVALID, "the %s is empty", what);
	if (name.length > LUN_NAME_MAX)
		return lun_fail(err, LUN_INVALID,
		    "%s \"%.*s...\" has %zu bytes; at most %d are allowed",
		    what, LUN_NAME_MAX, name.bytes, name.length, LUN_NAME_MAX);
	return LUN_OK;
}

static bool
is_projection_name(struct lun_text name)
{
	if (!is_lower(name.bytes[0]))
		return false;
	for (size_t i = 1; i < name.length; i++) {
		char c = name.bytes[i];

		if (!is_lower(c) && !is_digit(c) && c != '_')
			return false;
		if (c == '_' && name.bytes[i - 1] == '_')
			return false;
	}
	return true;
}

static bool
begins_with(struct lun_text name, struct lun_text prefix)
{
	return name.length >= prefix.length &&
	       memcmp(name.bytes, prefix.bytes, prefix.length) == 0;
}

enum lun_code
lun_schema_check_projection_name(struct lun_text name, struct lun_err *err)
{
	if (check_length("projection name", name, err) != LUN_OK)
		return LUN_INVALID;
	if (!is_projection_name(name))
		return lun_fail(err, LUN_INVALID,
		    "projection name \"%.*s\" must begin with a letter a-z, "
		    "then only a-z, 0-9 and single \"_\"",
		    LUN_TEXT_ARG(name));
	for (size_t i = 0; i < PREFIX_COUNT; i++)
		if (begins_with(name, lun_text_of(taken_prefixes[i])))
			return lun_fail(err, LUN_INVALID,
			    "projection name \"%.*s\": names that begin with "
			    "\"%s\" are taken",
			    LUN_TEXT_ARG(name), taken_prefixes[i]);
	return LUN_OK;
}

static bool
is_field_name(struct lun_text name)
{
	if (!is_word_start(name.bytes[0]))
		return false;
	for (size_t i = 1; i < name.length; i++)
		if (!is_word_start(name.bytes[i]) && !is_digit(name.bytes[i]))
			return false;
	return true;
}

enum lun_code
lun_schema_check_field_name(struct lun_text name, struct lun_err *err)
{
	if (check_length("field name", name, err) != LUN_OK)
		return LUN_INVALID;
	if (!is_field_name(name))
		return lun_fail(err, LUN_INVALID,
		    "field name \"%.*s\" must begin with a letter or \"_\", "
		    "then only letters, digits and \"_\"",
		    LUN_TEXT_ARG(name));
	for (size_t i = 0; i < RESERVED_COUNT; i++)
		if (equal_but_case(name, lun_text_of(reserved_names[i])))
			return lun_fail(err, LUN_INVALID,
			    "field name \"%.*s\" is reserved by a model store; "
			    "choose another",
			    LUN_TEXT_ARG(name));
	return LUN_OK;
}

/* ---- checking ---------------------------------------------------------- */

static enum lun_code
check_fields(const struct lun_schema *schema, struct lun_err *err)
{
	const struct lun_field *fields = schema->fields;

	if (schema->field_count > LUN_FIELDS_MAX)
		return lun_fail(err, LUN_INVALID,
		    "%zu fields; at most %d are allowed", schema->field_count,
		    LUN_FIELDS_MAX);
	for (size_t i = 0; i < schema->field_count; i++) {
		struct lun_text name = lun_text_of(fields[i].name);

		if (lun_schema_check_field_name(name, err) != LUN_OK)
			return LUN_INVALID;
		for (size_t j = 0; j < i; j++)
			if (equal_but_case(name, lun_text_of(fields[j].name)))
				return lun_fail(err, LUN_INVALID,
				    "fields \"%s\" and \"%s\" differ only in "
				    "case",
				    fields[j].name, fields[i].name);
		if (i > 0 &&
		    lun_text_compare(lun_text_of(fields[i - 1].name), name) > 0)
			return lun_fail(err, LUN_INVALID,
			    "field \"%s\" is out of order", fields[i].name);
	}
	return LUN_OK;
}

/* Each field has its column. */
static enum lun_code
check_columns(const struct lun_schema *schema, struct lun_err *err)
{
	bool taken[LUN_FIELDS_MAX] = {false};

	for (size_t i = 0; schema->columns != NULL && i < schema->field_count;
	     i++) {
		size_t field = schema->columns[i];

		if (field >= schema->field_count || taken[field])
			return lun_fail(err, LUN_INVALID,
			    "the order of the fields does not name each of "
			    "them once");
		taken[field] = true;
	}
	return LUN_OK;
}

static int
compare_indexes(const struct lun_index *a, const struct lun_index *b)
{
	for (size_t i = 0; i < a->count && i < b->count; i++)
		if (a->fields[i] != b->fields[i])
			return a->fields[i] < b->fields[i] ? -1 : 1;
	return (a->count > b->count) - (a->count < b->count);
}

static enum lun_code
check_index(const struct lun_schema *schema, size_t number, struct lun_err *err)
{
	const struct lun_index *index = &schema->indexes[number];

	if (index->count < 1 || index->count > LUN_INDEX_FIELDS_MAX)
		return lun_fail(err, LUN_INVALID,
		    "index %zu has %zu fields; 1 to %d are allowed", number + 1,
		    index->count, LUN_INDEX_FIELDS_MAX);
	for (size_t i = 0; i < index->count; i++) {
		if (index->fields[i] >= schema->field_count)
			return lun_fail(err, LUN_INVALID,
			    "index %zu names a field that does not exist",
			    number + 1);
		for (size_t j = 0; j < i; j++)
			if (index->fields[i] == index->fields[j])
				return lun_fail(err, LUN_INVALID,
				    "index %zu names field \"%s\" twice",
				    number + 1,
				    schema->fields[index->fields[i]].name);
	}
	for (size_t i = 0; i < number; i++)
		if (compare_indexes(&schema->indexes[i], index) == 0)
			return lun_fail(err, LUN_INVALID,
			    "indexes %zu and %zu are the same", i + 1,
			    number + 1);
	return LUN_OK;
}

enum lun_code
lun_schema_check(const struct lun_schema *schema, struct lun_err *err)
{
	if (schema->key_type != LUN_FIELD_TEXT &&
	    schema->key_type != LUN_FIELD_INTEGER)
		return lun_fail(err, LUN_INVALID,
		    "the id is text or an integer, not of type %s",
		    lun_field_type_name(schema->key_type));
	if (check_fields(schema, err) != LUN_OK ||
	    check_columns(schema, err) != LUN_OK)
		return LUN_INVALID;
	if (schema->whole_json && schema->index_count > 0)
		return lun_fail(err, LUN_INVALID,
		    "an index needs a declared field to be on");
	if (schema->index_count > LUN_INDEXES_MAX)
		return lun_fail(err, LUN_INVALID,
		    "%zu indexes; at most %d are allowed", schema->index_count,
		    LUN_INDEXES_MAX);
	for (size_t i = 0; i < schema->index_count; i++)
		if (check_index(schema, i, err) != LUN_OK)
			return LUN_INVALID;
	return LUN_OK;
}

/* ---- event types ------------------------------------------------------- */

bool
lun_schema_add_type(struct lun_schema *schema, struct lun_text type)
{
	size_t field = schema->type_count;
	struct lun_text *grown =
	    realloc(schema->types, (field + 1) * sizeof *grown);
	char *copy = malloc(type.length + 1);

	if (grown != NULL)
		schema->types = grown;
	if (grown == NULL || copy == NULL) {
		free(copy);
		return false;
	}
	memcpy(copy, type.bytes, type.length);
	for (; field > 0 && lun_text_compare(grown[field - 1], type) > 0;
	     field--)
		grown[field] = grown[field - 1];
	grown[field] = (struct lun_text){copy, type.length};
	schema->type_count++;
	return true;
}

/* ---- text form --------------------------------------------------------- */

static void
describe_index(const struct lun_schema *schema, const struct lun_index *index,
    struct lun_buffer *text)
{
	lun_buffer_printf(text, "index");
	for (size_t i = 0; i < index->count; i++)
		lun_buffer_printf(
		    text, " %s", schema->fields[index->fields[i]].name);
	lun_buffer_add_byte(text, '\n');
}

/* The next index after `last` in sorted order; NULL last: the first. */
static const struct lun_index *
index_after(const struct lun_schema *schema, const struct lun_index *last)
{
	const struct lun_index *next = NULL;

	for (size_t i = 0; i < schema->index_count; i++) {
		const struct lun_index *index = &schema->indexes[i];

		if (last != NULL && compare_indexes(index, last) <= 0)
			continue;
		if (next == NULL || compare_indexes(index, next) < 0)
			next = index;
	}
	return next;
}

static void
describe_type(struct lun_text type, struct lun_buffer *text)
{
	lun_buffer_printf(text, "handles ");
	lun_json_write_string(text, type);
	lun_buffer_add_byte(text, '\n');
}

static void
describe_columns(const struct lun_schema *schema, struct lun_buffer *text)
{
	lun_buffer_printf(text, "order");
	for (size_t i = 0; i < schema->field_count; i++)
		lun_buffer_printf(text, " %s",
		    schema->fields[lun_schema_column(schema, i)].name);
	lun_buffer_add_byte(text, '\n');
}

/*
 * "key TYPE", unless it is text and a field shows that this is a schema; one
 * line "whole_json", or "field NAME TYPE" for each field; then
 * "index NAME..." for each index, sorted, since their order means nothing;
 * then handles and a JSON string for each event type; last "order NAME..."
 * where the author chose one.
 */
void
lun_schema_describe(const struct lun_schema *schema, struct lun_buffer *text)
{
	const struct lun_index *index = NULL;

	if (schema->key_type != LUN_FIELD_TEXT || schema->field_count == 0)
		lun_buffer_printf(
		    text, "key %s\n", lun_field_type_name(schema->key_type));
	if (schema->whole_json)
		lun_buffer_printf(text, "whole_json\n");
	for (size_t i = 0; !schema->whole_json && i < schema->field_count; i++)
		lun_buffer_printf(text, "field %s %s\n", schema->fields[i].name,
		    lun_field_type_name(schema->fields[i].type));
	while ((index = index_after(schema, index)) != NULL)
		describe_index(schema, index, text);
	for (size_t i = 0; i < schema->type_count; i++)
		describe_type(schema->types[i], text);
	if (schema->columns != NULL)
		describe_columns(schema, text);
}

/* Take the text before the first separator, and the separator, off rest. */
static struct lun_text
take_until(struct lun_text *rest, char separator)
{
	const char *end = rest->length > 0
			      ? memchr(rest->bytes, separator, rest->length)
			      : NULL;
	struct lun_text taken = *rest;

	if (end == NULL) {
		*rest = LUN_TEXT_NONE;
		return taken;
	}
	taken.length = (size_t)(end - rest->bytes);
	rest->bytes = end + 1;
	rest->length -= taken.length + 1;
	return taken;
}

static const struct lun_text index_head = {"index ", 6};
static const struct lun_text order_head = {"order ", 6};
static const struct lun_text handles_head = {"handles ", 8};

struct lun_text
lun_schema_next_line(struct lun_text *rest)
{
	while (rest->length > 0) {
		struct lun_text line = take_until(rest, '\n');

		if (!begins_with(line, index_head) &&
		    !begins_with(line, order_head))
			return line;
	}
	return LUN_TEXT_NONE;
}

bool
lun_schema_texts_agree(struct lun_text a, struct lun_text b)
{
	struct lun_text line_a, line_b;

	do {
		line_a = lun_schema_next_line(&a);
		line_b = lun_schema_next_line(&b);
		if (!lun_text_equal(line_a, line_b))
			return false;
	} while (line_a.length > 0);
	return true;
}

bool
lun_schema_text_has_index(struct lun_text described)
{
	while (described.length > 0)
		if (begins_with(take_until(&described, '\n'), index_head))
			return true;
	return false;
}

static void
add_line(struct lun_buffer *out, struct lun_text line)
{
	lun_buffer_add_text(out, line);
	lun_buffer_add_byte(out, '\n');
}

static void
add_index_lines(struct lun_buffer *out, struct lun_text described)
{
	while (described.length > 0) {
		struct lun_text line = take_until(&described, '\n');

		if (begins_with(line, index_head))
			add_line(out, line);
	}
}

/* They stand before the lines about handles and order. */
void
lun_schema_take_indexes(struct lun_text described, struct lun_text with_indexes,
    struct lun_buffer *out)
{
	bool added = false;

	while (described.length > 0) {
		struct lun_text line = take_until(&described, '\n');
		bool behind = begins_with(line, handles_head) ||
			      begins_with(line, order_head);

		if (begins_with(line, index_head))
			continue;
		if (behind && !added)
			add_index_lines(out, with_indexes);
		added = added || behind;
		add_line(out, line);
	}
	if (!added)
		add_index_lines(out, with_indexes);
}

size_t
lun_schema_index_share(const struct lun_schema *schema, size_t field)
{
	size_t share = 0;

	for (size_t i = 0; i < schema->index_count; i++) {
		const struct lun_index *index = &schema->indexes[i];
		size_t texts = 0;
		bool has_it = false;

		for (size_t f = 0; f < index->count; f++) {
			texts += schema->fields[index->fields[f]].type ==
				 LUN_FIELD_TEXT;
			has_it = has_it || index->fields[f] == field;
		}
		if (has_it && texts > 0 &&
		    (share == 0 || LUN_INDEX_BYTES_MAX / texts < share))
			share = LUN_INDEX_BYTES_MAX / texts;
	}
	return share;
}

static bool
parse_field(struct lun_schema *schema, struct lun_text line)
{
	struct lun_text name = take_until(&line, ' ');
	struct lun_field *field;

	if (schema->field_count == LUN_FIELDS_MAX ||
	    name.length > LUN_NAME_MAX || schema->columns != NULL)
		return false;
	field = &schema->fields[schema->field_count];
	if (!lun_field_type_parse(line, &field->type))
		return false;
	memcpy(field->name, name.bytes, name.length);
	field->name[name.length] = '\0';
	schema->field_count++;
	return true;
}

static bool
parse_index(struct lun_schema *schema, struct lun_text line)
{
	struct lun_index *index = &schema->indexes[schema->index_count];

	if (schema->index_count == LUN_INDEXES_MAX)
		return false;
	while (line.length > 0) {
		int field = lun_schema_find(schema, take_until(&line, ' '));

		if (field < 0 || index->count == LUN_INDEX_FIELDS_MAX)
			return false;
		index->fields[index->count++] = (size_t)field;
	}
	schema->index_count++;
	return true;
}

static bool
parse_whole_json(struct lun_schema *schema, struct lun_text line)
{
	if (line.length > 0 || schema->field_count > 0)
		return false;
	schema->whole_json = true;
	schema->field_count = 1;
	schema->fields[0] = (struct lun_field){"model", LUN_FIELD_JSON};
	return true;
}

/* The first line of all. */
static bool
parse_key(struct lun_schema *schema, struct lun_text line)
{
	return schema->field_count == 0 && schema->type_count == 0 &&
	       lun_field_type_parse(line, &schema->key_type);
}

static enum lun_code
parse_columns(struct lun_schema *schema, struct lun_text line)
{
	size_t count = 0;

	if (schema->columns != NULL)
		return LUN_INVALID;
	schema->columns =
	    calloc(schema->field_count + 1, sizeof *schema->columns);
	if (schema->columns == NULL)
		return LUN_NOMEM;
	while (line.length > 0) {
		int field = lun_schema_find(schema, take_until(&line, ' '));

		if (field < 0 || count == schema->field_count)
			return LUN_INVALID;
		schema->columns[count++] = (size_t)field;
	}
	return count == schema->field_count ? LUN_OK : LUN_INVALID;
}

/* line is a JSON string. */
static enum lun_code
parse_type(struct lun_schema *schema, struct lun_text line)
{
	struct lun_buffer type = {0};
	bool added;

	if (lun_json_check(line, NULL) != LUN_OK || line.bytes[0] != '"')
		return LUN_INVALID;
	lun_json_unescape(line, &type);
	added =
	    !type.failed && lun_schema_add_type(schema, lun_buffer_text(&type));
	lun_buffer_free(&type);
	return added ? LUN_OK : LUN_NOMEM;
}

/* The lines whose parsing takes no memory. */
static bool
parse_plain_line(
    struct lun_schema *schema, struct lun_text word, struct lun_text line)
{
	if (lun_text_equal(word, LUN_TEXT("key")))
		return parse_key(schema, line);
	if (lun_text_equal(word, LUN_TEXT("field")))
		return parse_field(schema, line);
	if (lun_text_equal(word, LUN_TEXT("index")))
		return parse_index(schema, line);
	return lun_text_equal(word, LUN_TEXT("whole_json")) &&
	       parse_whole_json(schema, line);
}

static enum lun_code
parse_line(struct lun_schema *schema, struct lun_text line)
{
	struct lun_text word = take_until(&line, ' ');

	if (lun_text_equal(word, LUN_TEXT("handles")))
		return parse_type(schema, line);
	if (schema->whole_json)
		return LUN_INVALID;
	if (lun_text_equal(word, LUN_TEXT("order")))
		return parse_columns(schema, line);
	return parse_plain_line(schema, word, line) ? LUN_OK : LUN_INVALID;
}

static struct lun_schema *
new_schema(const char *projection, int version)
{
	struct lun_schema *schema = calloc(1, sizeof *schema);

	if (schema == NULL)
		return NULL;
	snprintf(
	    schema->projection, sizeof schema->projection, "%s", projection);
	schema->version = version;
	schema->fields = calloc(LUN_FIELDS_MAX, sizeof *schema->fields);
	schema->indexes = calloc(LUN_INDEXES_MAX, sizeof *schema->indexes);
	if (schema->fields != NULL && schema->indexes != NULL)
		return schema;
	lun_schema_free(schema);
	return NULL;
}

enum lun_code
lun_schema_parse(const char *projection, int version, struct lun_text text,
    struct lun_schema **out, struct lun_err *err)
{
	struct lun_schema *schema = new_schema(projection, version);
	bool has_key = begins_with(text, LUN_TEXT("key "));
	enum lun_code code = LUN_OK;

	if (schema == NULL)
		return lun_fail(
		    err, LUN_NOMEM, "schema of %s: out of memory", projection);
	for (int number = 1; text.length > 0 && code == LUN_OK; number++) {
		struct lun_text line = take_until(&text, '\n');

		code = parse_line(schema, line);
		if (code == LUN_NOMEM)
			(void)lun_fail(err, code, "schema of %s: out of memory",
			    projection);
		else if (code != LUN_OK)
			(void)lun_fail(err, code,
			    "schema of %s: line %d, \"%.*s\", makes no sense",
			    projection, number,
			    (int)(line.length < 60 ? line.length : 60),
			    line.bytes);
	}
	if (code == LUN_OK && schema->field_count == 0 && !has_key)
		code = lun_fail(err, LUN_INVALID,
		    "schema of %s: there are no fields and no key", projection);
	if (code == LUN_OK && lun_schema_check(schema, err) != LUN_OK)
		code = lun_wrap(err, LUN_INVALID, "schema of %s", projection);
	if (code != LUN_OK) {
		lun_schema_free(schema);
		return code;
	}
	*out = schema;
	return LUN_OK;
}

enum lun_code
lun_schema_copy(const struct lun_schema *schema, struct lun_schema **out,
    struct lun_err *err)
{
	struct lun_buffer text = {0};
	enum lun_code code;

	lun_schema_describe(schema, &text);
	if (text.failed)
		code = lun_fail(
		    err, LUN_NOMEM, "%s: out of memory", schema->projection);
	else
		code = lun_schema_parse(schema->projection, schema->version,
		    lun_buffer_text(&text), out, err);
	lun_buffer_free(&text);
	return code;
}
