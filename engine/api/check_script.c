/* check_script.c - what a script says, without running it over anything. */

#include "api/json_answer.h"
#include "base/error.h"
#include "runtime/load.h"
#include "json/scan.h"

static void
add_declared_fields(struct lun_buffer *out, const struct lun_schema *schema)
{
	lun_answer_key(out, "fields");
	if (schema->whole_json) {
		lun_buffer_add_text(out, LUN_TEXT("null"));
		return;
	}
	lun_buffer_add_byte(out, '{');
	for (size_t i = 0; i < schema->field_count; i++) {
		const struct lun_field *field =
		    &schema->fields[lun_schema_column(schema, i)];

		lun_answer_words(
		    out, field->name, lun_field_type_name(field->type));
	}
	lun_buffer_add_byte(out, '}');
}

/* As they stand in the table and in results. */
static void
add_columns(struct lun_buffer *out, const struct lun_schema *schema)
{
	lun_answer_words(out, "id", lun_field_type_name(schema->key_type));
	lun_answer_key(out, "columns");
	lun_buffer_add_text(out, LUN_TEXT("[\"id\""));
	for (size_t i = 0; i < schema->field_count; i++)
		lun_buffer_printf(out, ",\"%s\"",
		    schema->fields[lun_schema_column(schema, i)].name);
	lun_buffer_add_byte(out, ']');
}

static void
add_handles(struct lun_buffer *out, const struct lun_event_filter *filter)
{
	lun_answer_key(out, "handles");
	if (filter->type_count == 0) {
		lun_buffer_add_text(out, LUN_TEXT("null"));
		return;
	}
	for (size_t i = 0; i < filter->type_count; i++) {
		lun_buffer_add_byte(out, i == 0 ? '[' : ',');
		lun_json_write_string(out, filter->types[i]);
	}
	lun_buffer_add_byte(out, ']');
}

static void
describe_script(struct lun_buffer *out, const struct lun_script *script)
{
	static const char *const on_error[] = {
	    [LUN_ON_ERROR_STOP] = "stop",
	    [LUN_ON_ERROR_SKIP] = "skip",
	    [LUN_ON_ERROR_PARK] = "park",
	};
	const struct lun_schema *schema = lun_script_schema(script);

	lun_buffer_add_byte(out, '{');
	lun_answer_words(out, "name", schema->projection);
	lun_answer_integer(out, "version", schema->version);
	add_declared_fields(out, schema);
	add_handles(out, lun_script_filter(script));
	lun_answer_words(
	    out, "on_error", on_error[lun_script_on_error(script)]);
	lun_answer_integer(out, "retries", lun_script_retries(script));
	lun_answer_bool(out, "handle_query", lun_script_has_query(script));
	lun_answer_words(out, "hash", lun_script_hash(script));
	add_columns(out, schema);
	lun_buffer_add_byte(out, '}');
}

enum lun_code
lun_script_check(const char *path, char **json, struct lun_err *err)
{
	struct lun_buffer out = {0};
	struct lun_script *script;
	struct lun_settings settings;
	struct lun_loading loading;
	enum lun_code code = lun_settings_make(NULL, 0, &settings, err);

	if (code != LUN_OK)
		return code;
	loading = lun_loading_from(&settings);
	lun_settings_free(&settings);
	code = lun_load_script_file(path, &loading, &script, err);
	if (code != LUN_OK)
		return code;
	describe_script(&out, script);
	lun_script_free(script);
	return lun_answer_give(&out, json, path, err);
}
