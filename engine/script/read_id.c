/* read_id.c - model ids as scripts hand them over, and as they get them. */

#include "script/read_id.h"

#include <lauxlib.h>

#include "data/model_id.h"
#include "script/event_object.h"
#include "json/decode.h"
#include "json/scan.h"

static void
refuse_text(lua_State *L, struct lun_text id)
{
	if (id.length == 0)
		luaL_error(L, "a model id must not be empty");
	if (id.length > LUN_MODEL_ID_MAX)
		luaL_error(L, "a model id has %d bytes; at most %d are allowed",
		    (int)id.length, LUN_MODEL_ID_MAX);
	luaL_error(L, "a model id must be UTF-8 text without NUL bytes");
}

/* The value at index is none: a number is shown, of others what they are. */
static void
refuse_id(lua_State *L, int index, const char *expected)
{
	const char *got = lun_event_object_typename(L, index);

	if (lun_json_is_null(L, index))
		got = "null";
	if (lua_type(L, index) == LUA_TNUMBER)
		got = lua_tostring(L, index);
	luaL_error(L, "expected a model id (%s), got %s", expected, got);
}

static struct lun_text
read_text_id(lua_State *L, int index)
{
	struct lun_text id = LUN_TEXT_NONE;

	if (lua_type(L, index) != LUA_TSTRING && !lua_isinteger(L, index))
		refuse_id(L, index, "text or an integer");
	id.bytes = lua_tolstring(L, index, &id.length);
	if (id.length == 0 || id.length > LUN_MODEL_ID_MAX ||
	    memchr(id.bytes, '\0', id.length) != NULL || !lun_utf8_valid(id))
		refuse_text(L, id);
	return id;
}

/* Replace the float at index by the integer. */
static void
make_integer(lua_State *L, int index)
{
	int whole;
	lua_Integer integer = lua_tointegerx(L, index, &whole);

	/* As a float the least integer may stand for one that is less. */
	if (!whole || (integer == INT64_MIN && !lua_isinteger(L, index)))
		luaL_error(L, "a model id must be an integer, got %s",
		    lua_tostring(L, index));
	lua_pushinteger(L, integer);
	lua_replace(L, index);
}

static struct lun_text
read_integer_id(lua_State *L, int index)
{
	struct lun_text id;
	int64_t integer;

	if (lua_type(L, index) == LUA_TNUMBER)
		make_integer(L, index);
	else if (lua_type(L, index) != LUA_TSTRING)
		refuse_id(L, index, "an integer");
	id.bytes = lua_tolstring(L, index, &id.length);
	if (!lun_model_id_integer(id, &integer))
		luaL_error(
		    L, "a model id must be an integer, got \"%s\"", id.bytes);
	return id;
}

struct lun_text
lun_script_read_id(lua_State *L, const struct lun_script *script, int index)
{
	index = lua_absindex(L, index);
	return script->about.schema->key_type == LUN_FIELD_INTEGER
		   ? read_integer_id(L, index)
		   : read_text_id(L, index);
}

void
lun_script_push_id(
    lua_State *L, const struct lun_script *script, struct lun_text id)
{
	struct lun_value value = lun_model_id_value(script->about.schema, id);

	if (value.kind == LUN_VALUE_INTEGER)
		lua_pushinteger(L, value.integer);
	else
		lua_pushlstring(L, id.bytes, id.length);
}
