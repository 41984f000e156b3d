/* nested_object.c - the arrays and objects inside the data of events. */

#include "script/nested_object.h"

#include <lauxlib.h>

#include "script/event_object.h"
#include "script/script_state.h"

/* User value: the table. */
struct nested_object {
	uint64_t stamp;
};

static const char nested_key; /* of the metatable */

bool
lun_nested_object_is(lua_State *L, int index)
{
	return lun_event_object_has_metatable(L, index, &nested_key);
}

void
lun_nested_object_wrap(lua_State *L)
{
	const struct lun_script *script = lun_script_of(L);
	struct nested_object *object = lua_newuserdatauv(L, sizeof *object, 1);

	object->stamp = script->stamp;
	lua_insert(L, -2);
	lua_setiuservalue(L, -2, 1);
	lua_rawgeti(L, LUA_REGISTRYINDEX, script->functions.nested_metatable);
	lua_setmetatable(L, -2);
}

void
lun_nested_object_push_table(lua_State *L, int index)
{
	const struct nested_object *object = lua_touserdata(L, index);

	lun_event_object_check_stamp(L, object->stamp);
	lua_getiuservalue(L, index, 1);
}

/*
 * The value on top is what the table has under the key at its index: a table
 * gets its object, which stays there, so that the same access gives the same.
 */
static void
wrap_member(lua_State *L, int table, int key)
{
	if (!lua_istable(L, -1))
		return;
	lun_nested_object_wrap(L);
	lua_pushvalue(L, key);
	lua_pushvalue(L, -2);
	lua_rawset(L, table);
}

static int
nested_index(lua_State *L)
{
	lun_nested_object_push_table(L, 1);
	lua_pushvalue(L, 2);
	lua_rawget(L, 3);
	wrap_member(L, 3, 2);
	return 1;
}

int
lun_nested_object_next(lua_State *L)
{
	lua_settop(L, 2);
	lun_nested_object_push_table(L, 1);
	lua_pushvalue(L, 2);
	if (lua_next(L, 3) == 0) {
		lua_pushnil(L);
		return 1;
	}
	wrap_member(L, 3, 4);
	return 2;
}

static int
nested_pairs(lua_State *L)
{
	lun_nested_object_push_table(L, 1);
	lua_pushcfunction(L, lun_nested_object_next);
	lua_pushvalue(L, 1);
	lua_pushnil(L);
	return 3;
}

/* Of an array how long it is, of an object how many members there are. */
static int
nested_len(lua_State *L)
{
	lua_Integer count;

	lun_nested_object_push_table(L, 1);
	count = (lua_Integer)lua_rawlen(L, -1);
	if (count == 0)
		for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1))
			count++;
	lua_pushinteger(L, count);
	return 1;
}

static int
refuse_change(lua_State *L)
{
	return luaL_error(L, "events cannot be changed: lunette.table(value) "
			     "is a copy that can");
}

/* What lun_json_encode() writes. */
static int
nested_value(lua_State *L)
{
	lun_nested_object_push_table(L, 1);
	return 1;
}

void
lun_nested_object_setup(lua_State *L, struct lun_script_functions *functions)
{
	static const luaL_Reg methods[] = {
	    {"__index", nested_index},
	    {"__newindex", refuse_change},
	    {"__pairs", nested_pairs},
	    {"__len", nested_len},
	    {"__tostring", lun_event_object_tostring},
	    {NULL, NULL},
	};

	lun_event_object_push_methods(
	    L, &nested_key, "event data", methods, nested_value);
	functions->nested_metatable = luaL_ref(L, LUA_REGISTRYINDEX);
}
