/* unit_of_work_test.c - engine/store/unit_of_work.h for specs. */

#include "store/unit_of_work.h"

#include <lauxlib.h>
#include <lua.h>

#define UOW "unit_of_work_test.uow"

struct uow {
	struct lun_unit_of_work *uow;
	struct lun_collected collected;
};

static struct uow *
check_uow(lua_State *L)
{
	return luaL_checkudata(L, 1, UOW);
}

/* nil is absent text. */
static struct lun_text
opt_text(lua_State *L, int index)
{
	struct lun_text text = LUN_TEXT_NONE;

	if (!lua_isnoneornil(L, index))
		text.bytes = luaL_checklstring(L, index, &text.length);
	return text;
}

static void
check_memory(lua_State *L, bool good)
{
	if (!good)
		luaL_error(L, "out of memory");
}

/* The model of an index, as touch() gave it. */
static struct lun_model *
check_model(lua_State *L)
{
	return lun_uow_model(
	    check_uow(L)->uow, (uint32_t)luaL_checkinteger(L, 2));
}

/* new(cache_bytes) */
static int
uow_new(lua_State *L)
{
	size_t cache_bytes = (size_t)luaL_checkinteger(L, 1);
	struct uow *u = lua_newuserdatauv(L, sizeof *u, 0);

	*u = (struct uow){0};
	luaL_setmetatable(L, UOW);
	u->uow = lun_uow_new();
	check_memory(L, u->uow != NULL);
	lun_uow_limit(u->uow, cache_bytes);
	return 1;
}

static int
uow_free(lua_State *L)
{
	struct uow *u = check_uow(L);

	lun_uow_free(u->uow);
	lun_collected_free(&u->collected);
	u->uow = NULL;
	return 0;
}

static int
uow_begin(lua_State *L)
{
	lun_uow_begin(check_uow(L)->uow);
	return 0;
}

static int
uow_settled(lua_State *L)
{
	lun_uow_settled(check_uow(L)->uow);
	return 0;
}

static int
uow_forget(lua_State *L)
{
	lun_uow_forget(check_uow(L)->uow);
	return 0;
}

static int
uow_clear(lua_State *L)
{
	lun_uow_clear(check_uow(L)->uow);
	return 0;
}

/* uow:touch(id): the model's index */
static int
uow_touch(lua_State *L)
{
	struct uow *u = check_uow(L);
	const struct lun_touch *touches;
	size_t count;

	check_memory(L, lun_uow_touch(u->uow, 0, opt_text(L, 2)));
	touches = lun_uow_touches(u->uow, &count);
	lua_pushinteger(L, touches[count - 1].model);
	return 1;
}

/* uow:load(rows): ask the table for what is missing; how many were asked */
static int
uow_load(lua_State *L)
{
	struct uow *u = check_uow(L);
	const struct lun_text *ids;
	struct lun_err err;
	size_t count;

	luaL_checktype(L, 2, LUA_TTABLE);
	if (lun_uow_missing(u->uow, &ids, &count, &err) != LUN_OK)
		return luaL_error(L, "%s", err.message);
	for (size_t i = 0; i < count; i++) {
		lua_pushlstring(L, ids[i].bytes, ids[i].length);
		if (lua_rawget(L, 2) == LUA_TSTRING)
			check_memory(
			    L, lun_uow_loaded(u->uow, ids[i], opt_text(L, -1)));
		lua_pop(L, 1);
	}
	lun_uow_missing_done(u->uow);
	lua_pushinteger(L, (lua_Integer)count);
	return 1;
}

/* uow:row(index): the row or nil */
static int
uow_row(lua_State *L)
{
	const struct lun_model *model = check_model(L);

	if (model->row == NULL)
		lua_pushnil(L);
	else
		lua_pushlstring(L, model->row, model->row_length);
	return 1;
}

/* uow:put(index, [row]) */
static int
uow_put(lua_State *L)
{
	check_memory(
	    L, lun_uow_put(check_uow(L)->uow, check_model(L), opt_text(L, 3)));
	return 0;
}

static int
uow_park(lua_State *L)
{
	lun_uow_park(check_uow(L)->uow, check_model(L));
	return 0;
}

/* uow:mark_parked(id, parked) */
static int
uow_mark_parked(lua_State *L)
{
	check_memory(L, lun_uow_mark_parked(check_uow(L)->uow, opt_text(L, 2),
			    lua_toboolean(L, 3)));
	return 0;
}

static int
uow_is_parked(lua_State *L)
{
	lua_pushboolean(L, check_model(L)->parked);
	return 1;
}

/* uow:collect(): {{id=, row=, is_new=}...}; is_new is true or absent */
static int
uow_collect(lua_State *L)
{
	struct uow *u = check_uow(L);

	check_memory(L, lun_uow_collect(u->uow, &u->collected));
	lua_newtable(L);
	for (size_t i = 0; i < u->collected.model_count; i++) {
		const struct lun_model_write *write = &u->collected.models[i];

		lua_createtable(L, 0, 2);
		lua_pushlstring(L, write->id.bytes, write->id.length);
		lua_setfield(L, -2, "id");
		if (write->row.bytes != NULL) {
			lua_pushlstring(L, write->row.bytes, write->row.length);
			lua_setfield(L, -2, "row");
		}
		if (write->is_new) {
			lua_pushboolean(L, 1);
			lua_setfield(L, -2, "is_new");
		}
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	return 1;
}

static int
uow_cache_bytes(lua_State *L)
{
	lua_pushinteger(L, (lua_Integer)lun_uow_cache_bytes(check_uow(L)->uow));
	return 1;
}

static int
uow_shrink(lua_State *L)
{
	lun_uow_shrink(check_uow(L)->uow, (size_t)luaL_checkinteger(L, 2));
	return 0;
}

static int
uow_touched_bytes(lua_State *L)
{
	lua_pushinteger(
	    L, (lua_Integer)lun_uow_touched_bytes(check_uow(L)->uow));
	return 1;
}

static const luaL_Reg methods[] = {
    {"begin", uow_begin},
    {"touch", uow_touch},
    {"load", uow_load},
    {"row", uow_row},
    {"put", uow_put},
    {"park", uow_park},
    {"mark_parked", uow_mark_parked},
    {"is_parked", uow_is_parked},
    {"collect", uow_collect},
    {"settled", uow_settled},
    {"forget", uow_forget},
    {"clear", uow_clear},
    {"cache_bytes", uow_cache_bytes},
    {"shrink", uow_shrink},
    {"touched_bytes", uow_touched_bytes},
    {NULL, NULL},
};

int luaopen_unit_of_work_test(lua_State *L);

int
luaopen_unit_of_work_test(lua_State *L)
{
	static const luaL_Reg functions[] = {
	    {"new", uow_new},
	    {NULL, NULL},
	};

	luaL_newmetatable(L, UOW);
	lua_pushcfunction(L, uow_free);
	lua_setfield(L, -2, "__gc");
	luaL_newlib(L, methods);
	lua_setfield(L, -2, "__index");
	luaL_newlib(L, functions);
	return 1;
}
