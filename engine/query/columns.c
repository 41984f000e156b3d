/* columns.c - names in a query: fields, and paths inside json fields. */

#include <stdio.h>

#include "base/suggest.h"
#include "query/parser.h"

#define LIST_SIZE 240

static bool
take_arrow(struct lun_query_parser *p)
{
	return lun_query_take_word(p, "->>") || lun_query_take_word(p, "->");
}

/* "id, balance, owner", cut where it gets long. */
static void
list_fields(const struct lun_schema *schema, char list[LIST_SIZE])
{
	size_t length = (size_t)snprintf(list, LIST_SIZE, "id");

	for (size_t i = 0; i < schema->field_count; i++) {
		const char *name =
		    schema->fields[lun_schema_column(schema, i)].name;

		if (length + strlen(name) + sizeof ", , ..." > LIST_SIZE) {
			snprintf(list + length, LIST_SIZE - length, ", ...");
			return;
		}
		length += (size_t)snprintf(
		    list + length, LIST_SIZE - length, ", %s", name);
	}
}

static enum lun_code
refuse_unknown_field(struct lun_query_parser *p, struct lun_text name)
{
	const struct lun_schema *schema = p->schema;
	struct lun_text shown = lun_query_shown(name);
	struct lun_suggestion suggestion = {0};
	char list[LIST_SIZE];

	lun_suggestion_consider(&suggestion, name, LUN_TEXT("id"));
	for (size_t i = 0; i < schema->field_count; i++)
		lun_suggestion_consider(
		    &suggestion, name, lun_text_of(schema->fields[i].name));
	if (suggestion.word.bytes != NULL)
		return lun_query_fail(p,
		    "%s has no field \"%.*s\"; did you mean \"%.*s\"?",
		    schema->projection, LUN_TEXT_ARG(shown),
		    LUN_TEXT_ARG(suggestion.word));
	list_fields(schema, list);
	return lun_query_fail(p, "%s has no field \"%.*s\"; it has %s",
	    schema->projection, LUN_TEXT_ARG(shown), list);
}

static enum lun_code
fail_path(struct lun_query_parser *p, const char *name, const char *type)
{
	return lun_query_fail(p,
	    "%s is %s; only json fields have something behind an arrow", name,
	    type);
}

/* names: the field and the keys behind it; of a whole model all are keys. */
static enum lun_code
resolve_column(struct lun_query_parser *p, const struct lun_text *names,
    size_t count, struct lun_column *column)
{
	size_t first_key = p->schema->whole_json ? 0 : 1;

	*column = (struct lun_column){.name = names[count - 1]};
	if (lun_text_equal(names[0], LUN_TEXT("id"))) {
		column->field = LUN_COLUMN_ID;
		return count == 1
			   ? LUN_OK
			   : fail_path(p, "id",
				 lun_field_type_name(p->schema->key_type));
	}
	column->field =
	    p->schema->whole_json ? 0 : lun_schema_find(p->schema, names[0]);
	if (column->field < 0)
		return refuse_unknown_field(p, names[0]);
	if (count > first_key) {
		const struct lun_field *field =
		    &p->schema->fields[column->field];

		if (field->type != LUN_FIELD_JSON)
			return fail_path(
			    p, field->name, lun_field_type_name(field->type));
	}
	column->path_length = count - first_key;
	if (column->path_length > LUN_QUERY_PATH_MAX)
		return lun_query_fail(p,
		    "a path may have at most %d keys, this one has %zu",
		    LUN_QUERY_PATH_MAX, column->path_length);
	for (size_t i = first_key; i < count; i++)
		column->path[i - first_key] = names[i];
	return LUN_OK;
}

enum lun_code
lun_query_read_column_after(
    struct lun_query_parser *p, struct lun_text name, struct lun_column *column)
{
	struct lun_text names[LUN_QUERY_PATH_MAX + 2];
	size_t count = 0;

	names[count++] = name;
	while (take_arrow(p)) {
		if (count == sizeof names / sizeof names[0])
			return lun_query_fail(p,
			    "a path may have at most %d keys, this one has "
			    "more",
			    LUN_QUERY_PATH_MAX);
		if (lun_query_read_name(p, &names[count++]) != LUN_OK)
			return LUN_INVALID;
	}
	return resolve_column(p, names, count, column);
}

enum lun_code
lun_query_read_column(struct lun_query_parser *p, struct lun_column *column)
{
	struct lun_text name;

	if (lun_query_read_name(p, &name) != LUN_OK)
		return LUN_INVALID;
	return lun_query_read_column_after(p, name, column);
}

enum lun_field_type
lun_query_column_type(
    const struct lun_query_parser *p, const struct lun_column *column)
{
	if (column->field == LUN_COLUMN_ID)
		return p->schema->key_type;
	return p->schema->fields[column->field].type;
}
