/*
 * model_test.h - what the C parts of the model stores' specs share: Lua values
 * to C and back.
 *
 * A call that fails gives nil, message, code.
 */

#ifndef LUN_MODEL_TEST_H
#define LUN_MODEL_TEST_H

#include <lauxlib.h>
#include <lua.h>

#include "store/model_store.h"

#define STORE  "lunette.model_store"
#define SCHEMA "lunette.schema"

static inline struct lun_text
check_text(lua_State *L, int index)
{
	struct lun_text text;

	text.bytes = luaL_checklstring(L, index, &text.length);
	return text;
}

static inline struct lun_text
optional_text(lua_State *L, int index)
{
	return lua_isnoneornil(L, index) ? LUN_TEXT_NONE : check_text(L, index);
}

static inline void
push_text(lua_State *L, struct lun_text text)
{
	if (text.bytes == NULL)
		lua_pushnil(L);
	else
		lua_pushlstring(L, text.bytes, text.length);
}

static inline int
push_failure(lua_State *L, enum lun_code code, const struct lun_err *err)
{
	lua_pushnil(L);
	lua_pushstring(L, err->message);
	lua_pushstring(L, lun_code_name(code));
	if (err->code != code)
		return luaL_error(L, "code %s, described as %s: %s",
		    lun_code_name(code), lun_code_name(err->code),
		    err->message);
	return 3;
}

static inline int
push_done(lua_State *L, enum lun_code code, const struct lun_err *err)
{
	if (code != LUN_OK)
		return push_failure(L, code, err);
	lua_pushboolean(L, true);
	return 1;
}

static inline struct lun_position
check_position(lua_State *L, int index)
{
	struct lun_position position = LUN_POSITION_START;

	if (lua_isinteger(L, index))
		position.lo = (uint64_t)lua_tointeger(L, index);
	else if (!lua_isnoneornil(L, index) &&
		 !lun_position_from_hex(check_text(L, index), &position))
		luaL_argerror(L, index, "no position");
	return position;
}

static inline void
push_position(lua_State *L, struct lun_position position)
{
	char hex[LUN_POSITION_HEX_SIZE];

	if (position.hi == 0 && position.lo <= INT64_MAX) {
		lua_pushinteger(L, (lua_Integer)position.lo);
		return;
	}
	lun_position_to_hex(position, hex);
	lua_pushstring(L, hex);
}

/*
 * What a call is about: a projection's name or a schema, which stand for the
 * first shard of the first build, or {name or schema, build =, shard =}.
 */
static inline struct lun_schema *
check_schema(lua_State *L, int index)
{
	struct lun_schema **box;

	if (!lua_istable(L, index))
		return *(struct lun_schema **)luaL_checkudata(L, index, SCHEMA);
	lua_rawgeti(L, index, 1);
	box = luaL_checkudata(L, -1, SCHEMA);
	lua_pop(L, 1); /* the table keeps it */
	return *box;
}

static inline lua_Integer
key_part(lua_State *L, int index, const char *name, lua_Integer absent)
{
	lua_Integer part;

	lua_getfield(L, index, name);
	part = luaL_optinteger(L, -1, absent);
	lua_pop(L, 1);
	return part;
}

static inline struct lun_key
check_key(lua_State *L, int index)
{
	struct lun_key key;

	if (lua_isstring(L, index))
		return lun_only_key(lua_tostring(L, index));
	if (!lua_istable(L, index))
		return lun_only_key(check_schema(L, index)->projection);
	lua_rawgeti(L, index, 1);
	if (lua_isstring(L, -1))
		key.projection = lua_tostring(L, -1);
	else
		key.projection = check_schema(L, index)->projection;
	lua_pop(L, 1);
	key.build = key_part(L, index, "build", 1);
	key.shard = (int)key_part(L, index, "shard", 0);
	return key;
}

static inline struct lun_model_store *
check_store(lua_State *L, int index)
{
	struct lun_model_store **box = luaL_checkudata(L, index, STORE);

	luaL_argcheck(L, *box != NULL, index, "the store is closed");
	return *box;
}

static inline struct lun_guard
check_guard(lua_State *L, int index)
{
	return (struct lun_guard){
	    .expected_revision = luaL_checkinteger(L, index),
	    .fence = luaL_checkinteger(L, index + 1)};
}

static inline void
set_integer(lua_State *L, const char *key, int64_t value)
{
	lua_pushinteger(L, value);
	lua_setfield(L, -2, key);
}

static inline void
set_text(lua_State *L, const char *key, struct lun_text text)
{
	push_text(L, text);
	lua_setfield(L, -2, key);
}

/* Append to the list on top of the stack. */
static inline void
append(lua_State *L)
{
	lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
}

static inline struct lun_text
field_text(lua_State *L, int index, const char *key)
{
	struct lun_text text;

	lua_getfield(L, index, key);
	text = optional_text(L, -1);
	lua_pop(L, 1); /* the table keeps it alive */
	return text;
}

static inline const char *
field_string(lua_State *L, int index, const char *key, const char *initial)
{
	struct lun_text text = field_text(L, index, key);

	return text.bytes != NULL ? text.bytes : initial;
}

static inline int64_t
field_integer(lua_State *L, int index, const char *key)
{
	int64_t value;

	lua_getfield(L, index, key);
	value = luaL_optinteger(L, -1, 0);
	lua_pop(L, 1);
	return value;
}

static inline struct lun_position
field_position(lua_State *L, int index, const char *key)
{
	struct lun_position position;

	lua_getfield(L, index, key);
	position = check_position(L, lua_gettop(L));
	lua_pop(L, 1);
	return position;
}

#endif
