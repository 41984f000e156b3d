/* schema_fuzz.c - any text as a stored schema: refused, or one that holds. */

#include <assert.h>
#include <stdint.h>

#include "data/schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_schema(const struct lun_schema *schema)
{
	assert(lun_schema_check(schema, NULL) == LUN_OK);
	assert(schema->field_count <= LUN_FIELDS_MAX);
	assert(schema->index_count <= LUN_INDEXES_MAX);
	for (size_t i = 0; i < schema->field_count; i++) {
		struct lun_text name = lun_text_of(schema->fields[i].name);

		assert(lun_schema_column(schema, i) < schema->field_count);
		assert(lun_schema_find(schema, name) == (int)i);
	}
}

/* What it is described by is another text at most once. */
static void
check_description(const struct lun_schema *schema)
{
	struct lun_buffer once = {0}, twice = {0};
	struct lun_schema *again;

	lun_schema_describe(schema, &once);
	assert(lun_schema_parse("models", 1, lun_buffer_text(&once), &again,
		   NULL) == LUN_OK);
	check_schema(again);
	lun_schema_describe(again, &twice);
	assert(lun_text_equal(lun_buffer_text(&once), lun_buffer_text(&twice)));
	assert(lun_schema_texts_agree(
	    lun_buffer_text(&once), lun_buffer_text(&twice)));
	assert(lun_schema_text_has_index(lun_buffer_text(&once)) ==
	       (schema->index_count > 0));
	lun_schema_free(again);
	lun_buffer_free(&once);
	lun_buffer_free(&twice);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lun_text text = {(const char *)data, size};
	struct lun_schema *schema;
	struct lun_err err = {0};
	enum lun_code code = lun_schema_parse("models", 1, text, &schema, &err);

	assert(lun_schema_texts_agree(text, text));
	(void)lun_schema_text_has_index(text);
	if (code != LUN_OK) {
		assert(code == err.code && err.message[0] != '\0');
		return 0;
	}
	check_schema(schema);
	check_description(schema);
	lun_schema_free(schema);
	return 0;
}
