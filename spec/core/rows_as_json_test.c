/*
 * rows_as_json_test.c - rows as JSON for specs, with a model store that answers
 * every query with the rows it is given.
 *
 * A value is {kind, value}, such as {"integer", 1} or {"null"}; a schema is
 * the list of its field names, or nil for a model that is whole JSON.
 */

#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>

#include "base/error.h"
#include "store/model_store.h"
#include "store/rows_as_json.h"

int luaopen_rows_as_json_test(lua_State *L);

#define VALUES_MAX 10

static struct lun_text
to_text(lua_State *L, int index)
{
	struct lun_text text;

	text.bytes = luaL_checklstring(L, index, &text.length);
	return text;
}

/* The {kind, value} on top is taken off; what it points at stays. */
static struct lun_value
take_value(lua_State *L)
{
	static const char *const kinds[] = {"null", "text", "integer", "number",
	    "boolean", "timestamp", "json", NULL};
	struct lun_value value;

	lua_rawgeti(L, -1, 1);
	value.kind = (enum lun_value_kind)luaL_checkoption(L, -1, NULL, kinds);
	lua_rawgeti(L, -2, 2);
	if (value.kind == LUN_VALUE_TEXT || value.kind == LUN_VALUE_JSON)
		value.text = to_text(L, -1);
	else if (value.kind == LUN_VALUE_NUMBER)
		value.number = luaL_checknumber(L, -1);
	else if (value.kind == LUN_VALUE_BOOLEAN)
		value.integer = lua_toboolean(L, -1);
	else if (value.kind != LUN_VALUE_NULL)
		value.integer = luaL_checkinteger(L, -1);
	lua_pop(L, 3);
	return value;
}

static size_t
read_values(lua_State *L, int index, struct lun_value values[VALUES_MAX])
{
	size_t count = (size_t)luaL_len(L, index);

	luaL_argcheck(L, count <= VALUES_MAX, index, "too many values");
	for (size_t i = 0; i < count; i++) {
		lua_rawgeti(L, index, (lua_Integer)i + 1);
		values[i] = take_value(L);
	}
	return count;
}

/* places from 1, or none */
static void
read_order(lua_State *L, int index, struct lun_schema *schema,
    size_t columns[VALUES_MAX])
{
	if (lua_getfield(L, index, "order") == LUA_TTABLE) {
		schema->columns = columns;
		for (size_t i = 0; i < schema->field_count; i++) {
			lua_rawgeti(L, -1, (lua_Integer)i + 1);
			columns[i] = (size_t)luaL_checkinteger(L, -1) - 1;
			lua_pop(L, 1);
		}
	}
	lua_pop(L, 1);
}

struct memory {
	struct lun_field fields[VALUES_MAX];
	size_t columns[VALUES_MAX];
};

/* nil: whole JSON; or field names, and order, and key: "integer" */
static struct lun_schema
read_schema(lua_State *L, int index, struct memory *memory)
{
	struct lun_field *fields = memory->fields;
	struct lun_schema schema = {.fields = fields, .field_count = 1};

	snprintf(fields[0].name, sizeof fields[0].name, "model");
	schema.whole_json = lua_isnil(L, index);
	if (schema.whole_json)
		return schema;
	schema.field_count = (size_t)luaL_len(L, index);
	for (size_t i = 0; i < schema.field_count && i < VALUES_MAX; i++) {
		lua_rawgeti(L, index, (lua_Integer)i + 1);
		snprintf(fields[i].name, sizeof fields[i].name, "%s",
		    luaL_checkstring(L, -1));
		lua_pop(L, 1);
	}
	if (lua_getfield(L, index, "key") == LUA_TSTRING)
		schema.key_type = LUN_FIELD_INTEGER;
	lua_pop(L, 1);
	read_order(L, index, &schema, memory->columns);
	return schema;
}

static int
push_out(lua_State *L, struct lun_buffer *out)
{
	lua_pushlstring(L, out->length > 0 ? out->bytes : "", out->length);
	lun_buffer_free(out);
	return 1;
}

/* value({kind, value}) */
static int
result_value(lua_State *L)
{
	struct lun_buffer out = {0};
	struct lun_value value;

	lua_settop(L, 1);
	lua_pushvalue(L, 1);
	value = take_value(L);
	lun_rows_write_value(&out, &value);
	return push_out(L, &out);
}

/* model(schema, id, values) */
static int
result_model(lua_State *L)
{
	struct memory memory;
	struct lun_schema schema = read_schema(L, 1, &memory);
	struct lun_text id = to_text(L, 2);
	struct lun_value values[VALUES_MAX];
	struct lun_buffer row = {0}, out = {0};
	size_t count = read_values(L, 3, values);

	for (size_t i = 0; i < count; i++)
		lun_row_add(&row, &values[i]);
	lun_rows_write_model(&out, &schema, id, lun_buffer_text(&row));
	lun_buffer_free(&row);
	return push_out(L, &out);
}

struct canned_store {
	struct lun_model_store base; /* must stay first */
	lua_State *L;
	int rows; /* place of the list of rows, or 0: fail */
};

static enum lun_code
canned_query(struct lun_model_store *store, struct lun_key key,
    const struct lun_schema *schema, const struct lun_query *query,
    lun_result_fn *result, void *arg, struct lun_err *err)
{
	struct canned_store *canned = (struct canned_store *)store;
	struct lun_value values[VALUES_MAX];
	lua_State *L = canned->L;
	enum lun_code code = LUN_OK;

	(void)key;
	(void)schema;
	(void)query;
	if (canned->rows == 0)
		return lun_fail(err, LUN_UNAVAILABLE, "no rows today");
	for (lua_Integer i = 1; i <= luaL_len(L, canned->rows); i++) {
		lua_rawgeti(L, canned->rows, i);
		code = result(
		    arg, values, read_values(L, lua_gettop(L), values), err);
		lua_pop(L, 1);
		if (code != LUN_OK)
			break;
	}
	return code;
}

static size_t
read_columns(lua_State *L, int index, struct lun_column columns[VALUES_MAX])
{
	size_t count = 0;

	if (lua_isnil(L, index))
		return 0;
	for (; lua_rawgeti(L, index, (lua_Integer)count + 1) == LUA_TSTRING;
	     lua_pop(L, 1)) {
		luaL_argcheck(L, count < VALUES_MAX, index, "too many");
		columns[count++].name = to_text(L, -1);
	}
	lua_pop(L, 1);
	return count;
}

/* query(schema, names selected | nil, rows | nil): JSON, or nil, message */
static int
result_query(lua_State *L)
{
	static const struct lun_model_store_ops ops = {.query = canned_query};
	struct memory memory;
	struct lun_schema schema = read_schema(L, 1, &memory);
	struct lun_column columns[VALUES_MAX];
	struct lun_query query = {.select = columns};
	struct canned_store store = {.base = {.ops = &ops}, .L = L};
	struct lun_buffer out = {0};
	struct lun_err err;

	lua_settop(L, 3);
	query.select_count = read_columns(L, 2, columns);
	store.rows = lua_istable(L, 3) ? 3 : 0;
	if (lun_rows_write_query(&store.base, lun_only_key("p"), &schema,
		&query, &out, &err) == LUN_OK)
		return push_out(L, &out);
	lun_buffer_free(&out);
	luaL_pushfail(L);
	lua_pushstring(L, err.message);
	return 2;
}

static const luaL_Reg functions[] = {
    {"value", result_value},
    {"model", result_model},
    {"query", result_query},
    {NULL, NULL},
};

int
luaopen_rows_as_json_test(lua_State *L)
{
	luaL_newlib(L, functions);
	return 1;
}
