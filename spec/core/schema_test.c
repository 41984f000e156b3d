/* schema_test.c - engine/data/schema.h and engine/base/suggest.h for specs. */

#include "data/schema.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>

#include "base/suggest.h"
#include "data/model_id.h"

static struct lun_text
check_text(lua_State *L, int index)
{
	struct lun_text text;

	text.bytes = luaL_checklstring(L, index, &text.length);
	return text;
}

/* true, or nil, message, code */
static int
push_outcome(lua_State *L, enum lun_code code, const struct lun_err *err)
{
	if (code == LUN_OK) {
		lua_pushboolean(L, true);
		return 1;
	}
	lua_pushnil(L);
	lua_pushstring(L, err->message);
	lua_pushstring(L, lun_code_name(code));
	return 3;
}

static int
schema_check_projection_name(lua_State *L)
{
	struct lun_err err;
	enum lun_code code =
	    lun_schema_check_projection_name(check_text(L, 1), &err);

	return push_outcome(L, code, &err);
}

static int
schema_check_field_name(lua_State *L)
{
	struct lun_err err;
	enum lun_code code =
	    lun_schema_check_field_name(check_text(L, 1), &err);

	return push_outcome(L, code, &err);
}

static void
read_fields(lua_State *L, struct lun_schema *schema)
{
	lua_getfield(L, 1, "fields");
	schema->field_count = (size_t)luaL_len(L, -1);
	schema->fields = lua_newuserdatauv(
	    L, (schema->field_count + 1) * sizeof *schema->fields, 0);
	for (size_t i = 0; i < schema->field_count; i++) {
		lua_geti(L, -2, (lua_Integer)i + 1);
		snprintf(schema->fields[i].name, sizeof schema->fields[i].name,
		    "%s", luaL_checkstring(L, -1));
		schema->fields[i].type = LUN_FIELD_TEXT;
		lua_pop(L, 1);
	}
}

static void
read_index(lua_State *L, struct lun_index *index)
{
	index->count = (size_t)luaL_len(L, -1);
	luaL_argcheck(
	    L, index->count <= LUN_INDEX_FIELDS_MAX, 1, "too many fields");
	for (size_t i = 0; i < index->count; i++) {
		lua_geti(L, -1, (lua_Integer)i + 1);
		index->fields[i] = (size_t)luaL_checkinteger(L, -1) - 1;
		lua_pop(L, 1);
	}
}

static void
read_indexes(lua_State *L, struct lun_schema *schema)
{
	lua_getfield(L, 1, "indexes");
	schema->index_count = (size_t)luaL_len(L, -1);
	schema->indexes = lua_newuserdatauv(
	    L, (schema->index_count + 1) * sizeof *schema->indexes, 0);
	for (size_t i = 0; i < schema->index_count; i++) {
		lua_geti(L, -2, (lua_Integer)i + 1);
		read_index(L, &schema->indexes[i]);
		lua_pop(L, 1);
	}
}

/* check{fields = names, indexes = lists of places, whole_json = boolean} */
static int
schema_check(lua_State *L)
{
	struct lun_schema schema = {0};
	struct lun_err err;
	enum lun_code code;

	read_fields(L, &schema);
	read_indexes(L, &schema);
	lua_getfield(L, 1, "whole_json");
	schema.whole_json = lua_toboolean(L, -1);
	code = lun_schema_check(&schema, &err);
	return push_outcome(L, code, &err);
}

static void
push_fields(lua_State *L, const struct lun_schema *schema)
{
	lua_newtable(L);
	for (size_t i = 0; i < schema->field_count; i++) {
		const struct lun_field *field = &schema->fields[i];

		lua_pushstring(L, lun_field_type_name(field->type));
		lua_setfield(L, -2, field->name);
	}
}

static void
push_columns(lua_State *L, const struct lun_schema *schema)
{
	lua_newtable(L);
	for (size_t i = 0; i < schema->field_count; i++) {
		size_t place = lun_schema_column(schema, i);

		lua_pushstring(L, schema->fields[place].name);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
}

static void
push_schema(lua_State *L, const struct lun_schema *schema)
{
	struct lun_buffer text = {0};

	lua_newtable(L);
	lun_schema_describe(schema, &text);
	lua_pushlstring(L, text.bytes, text.length);
	lun_buffer_free(&text);
	lua_setfield(L, -2, "text");
	lua_pushstring(L, schema->projection);
	lua_setfield(L, -2, "projection");
	lua_pushinteger(L, schema->version);
	lua_setfield(L, -2, "version");
	lua_pushboolean(L, schema->whole_json);
	lua_setfield(L, -2, "whole_json");
	push_fields(L, schema);
	lua_setfield(L, -2, "fields");
	lua_pushstring(L, lun_field_type_name(schema->key_type));
	lua_setfield(L, -2, "key");
	push_columns(L, schema);
	lua_setfield(L, -2, "columns");
}

/* parse(projection, version, text) -> table | nil, message, code */
static int
schema_parse(lua_State *L)
{
	struct lun_schema *schema;
	struct lun_err err;
	enum lun_code code = lun_schema_parse(luaL_checkstring(L, 1),
	    (int)luaL_checkinteger(L, 2), check_text(L, 3), &schema, &err);

	if (code != LUN_OK)
		return push_outcome(L, code, &err);
	push_schema(L, schema);
	lun_schema_free(schema);
	return 1;
}

/* agree(text, text): whether they build the same models */
static int
schema_agree(lua_State *L)
{
	lua_pushboolean(
	    L, lun_schema_texts_agree(check_text(L, 1), check_text(L, 2)));
	return 1;
}

/* take_indexes(text, text with indexes) -> text */
static int
schema_take_indexes(lua_State *L)
{
	struct lun_buffer out = {0};

	lun_schema_take_indexes(check_text(L, 1), check_text(L, 2), &out);
	lua_pushlstring(L, out.bytes != NULL ? out.bytes : "", out.length);
	lun_buffer_free(&out);
	return 1;
}

/* id(text) -> the integer whose key it is, or nil */
static int
schema_id(lua_State *L)
{
	char digits[LUN_MODEL_ID_DIGITS + 1];
	struct lun_text id = check_text(L, 1);
	int64_t integer;

	if (!lun_model_id_integer(id, &integer))
		return 0;
	if (!lun_text_equal(id, lun_model_id_of_integer(integer, digits)))
		return luaL_error(L, "%s has two forms", id.bytes);
	lua_pushinteger(L, integer);
	return 1;
}

static struct lun_schema
of_key(lua_State *L, int index)
{
	bool by_number = strcmp(luaL_checkstring(L, index), "integer") == 0;

	return (struct lun_schema){.projection = "p",
	    .key_type = by_number ? LUN_FIELD_INTEGER : LUN_FIELD_TEXT};
}

/* compare_ids(key type, a, b) -> -1, 0 or 1 */
static int
schema_compare_ids(lua_State *L)
{
	struct lun_schema schema = of_key(L, 1);
	int order =
	    lun_model_id_compare(&schema, check_text(L, 2), check_text(L, 3));

	lua_pushinteger(L, (order > 0) - (order < 0));
	return 1;
}

/* check_id(key type, id) */
static int
schema_check_id(lua_State *L)
{
	struct lun_schema schema = of_key(L, 1);
	struct lun_err err;

	return push_outcome(
	    L, lun_model_id_check(&schema, check_text(L, 2), &err), &err);
}

/* find(text, field) -> place from 1 | nil */
static int
schema_find(lua_State *L)
{
	struct lun_text field = check_text(L, 2);
	struct lun_schema *schema;
	struct lun_err err;
	int place;

	if (lun_schema_parse("p", 1, check_text(L, 1), &schema, &err) != LUN_OK)
		return luaL_error(L, "%s", err.message);
	place = lun_schema_find(schema, field);
	lun_schema_free(schema);
	if (place < 0)
		return 0;
	lua_pushinteger(L, place + 1);
	return 1;
}

/* nearest(written, candidates...) -> candidate | nil */
static int
schema_nearest(lua_State *L)
{
	struct lun_suggestion suggestion = {0};

	for (int i = 2; i <= lua_gettop(L); i++)
		lun_suggestion_consider(
		    &suggestion, check_text(L, 1), check_text(L, i));
	if (suggestion.word.bytes == NULL)
		return 0;
	lua_pushlstring(L, suggestion.word.bytes, suggestion.word.length);
	return 1;
}

static const luaL_Reg functions[] = {
    {"check", schema_check},
    {"check_id", schema_check_id},
    {"compare_ids", schema_compare_ids},
    {"agree", schema_agree},
    {"take_indexes", schema_take_indexes},
    {"id", schema_id},
    {"check_field_name", schema_check_field_name},
    {"check_projection_name", schema_check_projection_name},
    {"find", schema_find},
    {"nearest", schema_nearest},
    {"parse", schema_parse},
    {NULL, NULL},
};

int luaopen_schema_test(lua_State *L);

int
luaopen_schema_test(lua_State *L)
{
	luaL_newlib(L, functions);
	return 1;
}
