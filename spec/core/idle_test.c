/*
 * idle_test.c - how often to look for news, for specs.
 *
 * pauses({cost_us, lookers, held, most_ms}, looks) -> for each of so many looks
 * that found nothing the milliseconds to the next, {least, most} as they begin
 * somewhere within the call; and how often something was logged.
 */

#include <lauxlib.h>
#include <lua.h>

#include "base/clock.h"
#include "base/idle.h"
#include "lua_test.h"

static void
count_message(void *arg, enum lun_log_level level, const char *message)
{
	(void)level;
	(void)message;
	++*(int *)arg;
}

static void
push_pause(lua_State *L, int64_t ns, int at)
{
	lua_pushnumber(L, (double)ns / 1e6);
	lua_rawseti(L, -2, at);
}

static int
idle_pauses(lua_State *L)
{
	int told = 0;
	struct lun_log log = {
	    .sink = count_message, .arg = &told, .level = LUN_LOG_INFO};
	struct lun_look look = {
	    .who = "spec",
	    .log = &log,
	    .cost_us = integer_field(L, 1, "cost_us", 0),
	    .lookers = (unsigned)integer_field(L, 1, "lookers", 1),
	    .most_ms = integer_field(L, 1, "most_ms", 100),
	};
	lua_Integer looks = luaL_checkinteger(L, 2);
	struct lun_idle idle = {.told = false};

	lua_getfield(L, 1, "held");
	look.held = lua_toboolean(L, -1);
	lun_idle_begin(&idle);
	lua_newtable(L);
	for (lua_Integer i = 1; i <= looks; i++) {
		int64_t before = lun_clock_mono_ns();

		lun_idle_found_nothing(&idle, &look);
		lua_createtable(L, 2, 0);
		push_pause(L, idle.look_at_ns - lun_clock_mono_ns(), 1);
		push_pause(L, idle.look_at_ns - before, 2);
		lua_rawseti(L, -2, i);
	}
	lua_pushinteger(L, told);
	return 2;
}

int luaopen_idle_test(lua_State *L);

int
luaopen_idle_test(lua_State *L)
{
	static const luaL_Reg functions[] = {
	    {"pauses", idle_pauses}, {NULL, NULL}};

	luaL_newlib(L, functions);
	return 1;
}
