/*
 * lua_test.h - what the C parts of specs share: fields of Lua tables, and
 * classes of userdata.
 */

#ifndef LUN_LUA_TEST_H
#define LUN_LUA_TEST_H

#include <lauxlib.h>
#include <lua.h>

#include "base/text.h"

/* The text at a table's key, borrowed as long as the table is unchanged. */
static inline struct lun_text
text_field(lua_State *L, int table, const char *key)
{
	struct lun_text text = LUN_TEXT_NONE;

	if (lua_getfield(L, table, key) != LUA_TNIL)
		text.bytes = luaL_checklstring(L, -1, &text.length);
	lua_pop(L, 1);
	return text;
}

static inline lua_Integer
integer_field(lua_State *L, int table, const char *key, lua_Integer otherwise)
{
	lua_Integer value;

	lua_getfield(L, table, key);
	value = luaL_optinteger(L, -1, otherwise);
	lua_pop(L, 1);
	return value;
}

static inline void
make_class(lua_State *L, const char *name, const luaL_Reg *methods)
{
	luaL_newmetatable(L, name);
	luaL_setfuncs(L, methods, 0);
	lua_pushvalue(L, -1);
	lua_setfield(L, -2, "__index");
	lua_pop(L, 1);
}

#endif
