/* slots_test.c - engine/runtime/slots.h for specs. */

#include "runtime/slots.h"

#include <lauxlib.h>
#include <lua.h>

#define SLOTS "slots_test.slots"
#define SLOT  "slots_test.slot"

static void
call_nobody(void *arg)
{
	(void)arg;
}

static struct lun_slots *
check_slots(lua_State *L)
{
	return luaL_checkudata(L, 1, SLOTS);
}

static struct lun_slot *
check_slot(lua_State *L)
{
	return luaL_checkudata(L, 2, SLOT);
}

/* new(most) */
static int
slots_new(lua_State *L)
{
	size_t most = (size_t)luaL_checkinteger(L, 1);
	struct lun_slots *slots = lua_newuserdatauv(L, sizeof *slots, 0);

	lun_slots_init(slots, most);
	luaL_setmetatable(L, SLOTS);
	return 1;
}

/* slot(): somebody who may want one; alive as long as the slots are */
static int
slot_new(lua_State *L)
{
	struct lun_slot *slot = lua_newuserdatauv(L, sizeof *slot, 0);

	*slot = (struct lun_slot){.call = call_nobody};
	luaL_setmetatable(L, SLOT);
	return 1;
}

static int
slots_free(lua_State *L)
{
	lun_slots_fini(check_slots(L));
	return 0;
}

/* slots:take(slot): whether it is held */
static int
slots_take(lua_State *L)
{
	lua_pushboolean(L, lun_slots_take(check_slots(L), check_slot(L)));
	return 1;
}

static int
slots_leave(lua_State *L)
{
	lun_slots_leave(check_slots(L), check_slot(L));
	return 0;
}

/* slots:holds(slot) */
static int
slots_holds(lua_State *L)
{
	struct lun_slots *slots = check_slots(L);
	const struct lun_slot *slot = check_slot(L);

	pthread_mutex_lock(&slots->lock);
	lua_pushboolean(L, slot->state == LUN_SLOT_HELD);
	pthread_mutex_unlock(&slots->lock);
	return 1;
}

static const luaL_Reg methods[] = {
    {"take", slots_take},
    {"leave", slots_leave},
    {"holds", slots_holds},
    {NULL, NULL},
};

int luaopen_slots_test(lua_State *L);

int
luaopen_slots_test(lua_State *L)
{
	static const luaL_Reg functions[] = {
	    {"new", slots_new},
	    {"slot", slot_new},
	    {NULL, NULL},
	};

	luaL_newmetatable(L, SLOT);
	luaL_newmetatable(L, SLOTS);
	lua_pushcfunction(L, slots_free);
	lua_setfield(L, -2, "__gc");
	luaL_newlib(L, methods);
	lua_setfield(L, -2, "__index");
	luaL_newlib(L, functions);
	return 1;
}
