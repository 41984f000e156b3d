/* rows_as_json.c - rows of a model store as JSON. */

#include "store/rows_as_json.h"

#include <assert.h>

#include "base/clock.h"
#include "base/error.h"
#include "store/model_store.h"
#include "json/scan.h"
#include "json/write.h"

void
lun_rows_write_value(struct lun_buffer *out, const struct lun_value *value)
{
	char timestamp[LUN_TIMESTAMP_LENGTH + 1];

	switch (value->kind) {
	case LUN_VALUE_NULL:
		lun_buffer_add_text(out, LUN_TEXT("null"));
		break;
	case LUN_VALUE_TEXT:
		lun_json_write_string(out, value->text);
		break;
	case LUN_VALUE_INTEGER:
		lun_json_write_integer(out, value->integer);
		break;
	case LUN_VALUE_NUMBER:
		lun_json_write_number(out, value->number);
		break;
	case LUN_VALUE_BOOLEAN:
		lun_buffer_add_text(
		    out, value->integer ? LUN_TEXT("true") : LUN_TEXT("false"));
		break;
	case LUN_VALUE_TIMESTAMP:
		lun_timestamp_format(value->integer, timestamp);
		lun_json_write_string(out, lun_text_of(timestamp));
		break;
	case LUN_VALUE_JSON:
		lun_utf8_add(out, value->text);
		break;
	}
}

static void
add_name(struct lun_buffer *out, struct lun_text name)
{
	lun_json_write_string(out, name);
	lun_buffer_add_byte(out, ':');
}

static void
add_member(
    struct lun_buffer *out, struct lun_text name, const struct lun_value *value)
{
	lun_buffer_add_byte(out, ',');
	add_name(out, name);
	lun_rows_write_value(out, value);
}

static void
begin_model(struct lun_buffer *out, const struct lun_value *id)
{
	lun_buffer_add_byte(out, '{');
	add_name(out, LUN_TEXT("id"));
	lun_rows_write_value(out, id);
}

/* The members of a model, but for one that would be a second "id". */
static void
add_own_members(struct lun_buffer *out, struct lun_text model)
{
	struct lun_json_member member;

	while (lun_json_next_member(&model, &member)) {
		if (lun_json_find(&member, 1, "id") != NULL)
			continue;
		lun_buffer_add_text(out, LUN_TEXT(",\""));
		lun_buffer_add_text(out, member.key);
		lun_buffer_add_text(out, LUN_TEXT("\":"));
		lun_buffer_add_text(out, member.value);
	}
}

static void
add_whole_model(struct lun_buffer *out, const struct lun_value *model)
{
	if (model->kind == LUN_VALUE_JSON && model->text.length > 0 &&
	    model->text.bytes[0] == '{')
		add_own_members(out, model->text);
	else
		add_member(out, LUN_TEXT("model"), model);
}

static void
add_field(struct lun_buffer *out, const struct lun_schema *schema, size_t field,
    const struct lun_value *value)
{
	if (schema->whole_json)
		add_whole_model(out, value);
	else
		add_member(out, lun_text_of(schema->fields[field].name), value);
}

/* The id, then every field in the order of the names; out in the author's. */
static void
add_every_field(struct lun_buffer *out, const struct lun_schema *schema,
    const struct lun_value *values)
{
	begin_model(out, &values[0]);
	for (size_t i = 0; i < schema->field_count; i++) {
		size_t field = lun_schema_column(schema, i);

		add_field(out, schema, field, &values[field + 1]);
	}
	lun_buffer_add_byte(out, '}');
}

void
lun_rows_write_model(struct lun_buffer *out, const struct lun_schema *schema,
    struct lun_text id, struct lun_text row)
{
	struct lun_value values[1 + LUN_FIELDS_MAX];
	size_t count = 1;

	values[0] = lun_model_id_value(schema, id);
	while (
	    count <= schema->field_count && lun_row_next(&row, &values[count]))
		count++;
	while (count <= schema->field_count)
		values[count++].kind = LUN_VALUE_NULL;
	add_every_field(out, schema, values);
}

/* ---- queries ----------------------------------------------------------- */

struct json_rows {
	struct lun_buffer *out;
	const struct lun_schema *schema;
	const struct lun_query *query;
	bool begun;
};

static void
add_selected(struct lun_buffer *out, const struct lun_query *query,
    const struct lun_value *values)
{
	for (size_t i = 0; i < query->select_count; i++) {
		lun_buffer_add_byte(out, i == 0 ? '{' : ',');
		add_name(out, query->select[i].name);
		lun_rows_write_value(out, &values[i]);
	}
	lun_buffer_add_byte(out, '}');
}

static enum lun_code
add_json_row(void *arg, const struct lun_value *values, size_t count,
    struct lun_err *err)
{
	struct json_rows *json_rows = arg;
	const struct lun_query *query = json_rows->query;

	if (json_rows->begun)
		lun_buffer_add_byte(json_rows->out, ',');
	json_rows->begun = true;
	if (query->select_count > 0) {
		assert(count == query->select_count);
		add_selected(json_rows->out, query, values);
	} else {
		assert(count == json_rows->schema->field_count + 1);
		add_every_field(json_rows->out, json_rows->schema, values);
	}
	(void)count;
	if (json_rows->out->failed)
		return lun_fail(
		    err, LUN_NOMEM, "listing models: out of memory");
	return LUN_OK;
}

enum lun_code
lun_rows_write_query(struct lun_model_store *store, struct lun_key key,
    const struct lun_schema *schema, const struct lun_query *query,
    struct lun_buffer *out, struct lun_err *err)
{
	struct json_rows json_rows = {
	    .out = out, .schema = schema, .query = query};
	enum lun_code code;

	lun_buffer_add_byte(out, '[');
	code = lun_model_store_query(
	    store, key, schema, query, add_json_row, &json_rows, err);
	if (code != LUN_OK)
		return code;
	lun_buffer_add_byte(out, ']');
	if (out->failed)
		return lun_fail(
		    err, LUN_NOMEM, "listing models: out of memory");
	return LUN_OK;
}
