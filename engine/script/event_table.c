/* event_table.c - a table in front of an event object. */

#include "script/event_table.h"

#include <lauxlib.h>

static const char object_key; /* of the metatable */

/* A method of the object, in its place; upvalues: the object, the method. */
static int
call_method(lua_State *L)
{
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_replace(L, 1);
	return lua_tocfunction(L, lua_upvalueindex(2))(L);
}

/* One with upvalues knows its object. */
static bool
is_method(lua_State *L, int index)
{
	if (!lua_iscfunction(L, index))
		return false;
	if (lua_getupvalue(L, index, 1) == NULL)
		return true;
	lua_pop(L, 1);
	return false;
}

/* In the metatable below, what is on top, under its key below; popped (-1). */
static void
add_entry(lua_State *L, int object, int metatable)
{
	lua_pushvalue(L, -2);
	if (is_method(L, -2)) {
		lua_pushvalue(L, object);
		lua_pushvalue(L, -3);
		lua_pushcclosure(L, call_method, 2);
	} else {
		lua_pushvalue(L, -2);
	}
	lua_rawset(L, metatable);
	lua_pop(L, 1);
}

void
lun_event_table_push(lua_State *L)
{
	int object = lua_gettop(L);

	lua_createtable(L, 0, 8);
	lua_createtable(L, 0, 12);
	lua_getmetatable(L, object);
	for (lua_pushnil(L); lua_next(L, object + 3) != 0;)
		add_entry(L, object, object + 2);
	lua_pop(L, 1);
	lua_pushvalue(L, object);
	lua_rawsetp(L, -2, &object_key);
	lua_setmetatable(L, -2);
}

bool
lun_event_table_push_object(lua_State *L, int index)
{
	if (lua_type(L, index) != LUA_TTABLE || !lua_getmetatable(L, index))
		return false;
	if (lua_rawgetp(L, -1, &object_key) == LUA_TNIL) {
		lua_pop(L, 2);
		return false;
	}
	lua_remove(L, -2);
	return true;
}
