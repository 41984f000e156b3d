/* phase_test.c - what may follow what in engine/projection/phase.c. */

#include <lauxlib.h>
#include <lua.h>

#include "projection/projection.h"

/* followers(): by each phase's word, the words of those that may follow it */
static int
phase_followers(lua_State *L)
{
	lua_newtable(L);
	for (int now = 0; now < LUN_PHASE_COUNT; now++) {
		lua_Integer count = 0;

		lua_newtable(L);
		for (int next = 0; next < LUN_PHASE_COUNT; next++) {
			if (!lun_phase_may_follow(
				(enum lun_phase)now, (enum lun_phase)next))
				continue;
			lua_pushstring(L, lun_phase_name((enum lun_phase)next));
			lua_rawseti(L, -2, ++count);
		}
		lua_setfield(L, -2, lun_phase_name((enum lun_phase)now));
	}
	return 1;
}

/* prepared(): by each phase's word, whether it may commit; as enter() sees */
static int
phase_prepared(lua_State *L)
{
	struct lun_projection p = {0};

	lua_newtable(L);
	for (int now = 0; now < LUN_PHASE_COUNT; now++) {
		atomic_store(&p.phase, (enum lun_phase)now);
		lua_pushboolean(L, lun_projection_is_prepared(&p));
		lua_setfield(L, -2, lun_phase_name((enum lun_phase)now));
	}
	return 1;
}

int luaopen_phase_test(lua_State *L);

int
luaopen_phase_test(lua_State *L)
{
	static const luaL_Reg functions[] = {
	    {"followers", phase_followers},
	    {"prepared", phase_prepared},
	    {NULL, NULL},
	};

	luaL_newlib(L, functions);
	return 1;
}
