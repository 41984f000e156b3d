/* lunette_object.c - the table `lunette` that scripts have. */

#include "script/lunette_object.h"

#include <lauxlib.h>

#include "base/clock.h"
#include "script/event_object.h"
#include "script/model_object.h"
#include "script/query_object.h"
#include "script/sandbox.h"
#include "script/vm.h"
#include "json/decode.h"

/* lunette.array([list]): a list that stays one in JSON when it is empty */
static int
lunette_array(lua_State *L)
{
	if (lua_isnoneornil(L, 1)) {
		lua_settop(L, 0);
		lua_newtable(L);
	}
	lua_settop(L, 1);
	if (lun_event_object_is(L, 1)) {
		lun_event_object_push_plain(L, 1);
		lua_replace(L, 1);
	}
	luaL_checktype(L, 1, LUA_TTABLE);
	lun_model_object_open(L, 1);
	lun_json_mark_array(L, 1);
	return 1;
}

/* lunette.table(value): a copy made of plain tables */
static int
lunette_table(lua_State *L)
{
	luaL_checkany(L, 1);
	lun_event_object_push_plain(L, 1);
	return 1;
}

/* lunette.timestamp(text): RFC 3339 to microseconds */
static int
lunette_timestamp(lua_State *L)
{
	struct lun_text text;
	int64_t us;

	luaL_checktype(L, 1, LUA_TSTRING);
	text.bytes = lua_tolstring(L, 1, &text.length);
	lun_vm_charge(L, text.length / LUN_VM_COPIED_PER_INSTRUCTION);
	if (!lun_timestamp_parse(text, &us))
		return luaL_error(
		    L, "\"%s\" is not an RFC 3339 time", text.bytes);
	lua_pushinteger(L, us);
	return 1;
}

/* lunette.format_timestamp(microseconds) */
static int
lunette_format_timestamp(lua_State *L)
{
	lua_Integer us = luaL_checkinteger(L, 1);
	char text[LUN_TIMESTAMP_LENGTH + 1];

	luaL_argcheck(L, us >= LUN_TIMESTAMP_MIN && us <= LUN_TIMESTAMP_MAX, 1,
	    "outside the years 1 to 9999");
	lun_timestamp_format(us, text);
	lua_pushlstring(L, text, LUN_TIMESTAMP_LENGTH);
	return 1;
}

static const luaL_Reg functions[] = {
    {"array", lunette_array},
    {"table", lunette_table},
    {"timestamp", lunette_timestamp},
    {"format_timestamp", lunette_format_timestamp},
    {NULL, NULL},
};

void
lun_lunette_object_push(lua_State *L)
{
	luaL_newlib(L, functions);
	lua_pushlightuserdata(L, lun_json_null());
	lua_setfield(L, -2, "null");
	lun_query_object_push(L);
	lua_setfield(L, -2, "query");
	lun_sandbox_make_strict(L, -1, "lunette has no");
}
