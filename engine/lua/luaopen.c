/*
 * luaopen.c - require "lunette.core": the engine in somebody else's Lua.
 */

#include "lua/luaopen.h"
#include "script/query_object.h"
#include "script/source.h"

#include <string.h>

#include "json/decode.h"
#include "json/scan.h"

/* Settings as text; what they point at stays in the tables at 1 and anchors. */
struct settings {
	struct lun_setting *list;
	size_t count;
};

static size_t
count_pairs(lua_State *L, int table)
{
	size_t count = 0;

	lua_pushnil(L);
	while (lua_next(L, table) != 0) {
		lua_pop(L, 1);
		count++;
	}
	return count;
}

/* The text of the setting on the top of the stack, which stays there. */
static const char *
setting_text(lua_State *L, const char *name)
{
	lua_Integer whole;
	int is_whole;

	switch (lua_type(L, -1)) {
	case LUA_TNUMBER:
		whole = lua_tointegerx(L, -1, &is_whole);
		if (is_whole) {
			lua_pop(L, 1);
			lua_pushinteger(L, whole);
		}
		return lua_tostring(L, -1);
	case LUA_TSTRING:
		return lun_host_check_text(L, -1);
	default:
		luaL_error(L, "setting %s must be a string or a number, got %s",
		    name, luaL_typename(L, -1));
		return NULL;
	}
}

/* Pushes two values (+2) that own what the settings point at. */
static struct settings
push_settings(lua_State *L, int table)
{
	struct settings settings = {.count = 0};
	size_t count = count_pairs(L, table);
	int anchors;

	settings.list =
	    lua_newuserdatauv(L, (count + 1) * sizeof *settings.list, 0);
	lua_createtable(L, (int)count, 0);
	anchors = lua_gettop(L);
	lua_pushnil(L);
	while (lua_next(L, table) != 0) {
		struct lun_setting *setting = &settings.list[settings.count];

		if (lua_type(L, -2) != LUA_TSTRING)
			luaL_error(L, "the name of a setting must be a string");
		setting->name = lua_tostring(L, -2);
		setting->value = setting_text(L, setting->name);
		lua_rawseti(L, anchors, (lua_Integer)++settings.count);
	}
	return settings;
}

/* lunette.open{events=, models=, ...} */
static int
lunette_open(lua_State *L)
{
	struct lun_engine_options options = {.log = NULL};
	struct lun_host_engine *host;
	struct settings settings;
	struct lun_err err;
	enum lun_code code;

	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	settings = push_settings(L, 1);
	options.settings = settings.list;
	options.setting_count = settings.count;

	host = lua_newuserdatauv(L, sizeof *host, 0);
	*host = (struct lun_host_engine){.engine = NULL};
	luaL_setmetatable(L, LUN_HOST_ENGINE);
	code = lun_engine_open(&options, &host->engine, &err);
	if (code != LUN_OK)
		return lun_host_fail(L, code, &err);
	return 1;
}

/* lunette.check(path) */
static int
lunette_check(lua_State *L)
{
	const char *path = lun_host_check_text(L, 1);
	char **json = lun_host_push_owner(L);
	struct lun_err err;
	enum lun_code code = lun_script_check(path, json, &err);

	if (code != LUN_OK)
		return lun_host_fail(L, code, &err);
	lun_host_push_owned_json(L, json);
	return 1;
}

/* core.read_script(path): its text; for lunette.testing */
static int
core_read_script(lua_State *L)
{
	const char *path = lun_host_check_text(L, 1);
	struct lun_buffer *text = lun_host_push_buffer(L);
	struct lun_err err;
	enum lun_code code = lun_source_read(path, text, &err);

	if (code != LUN_OK)
		return lun_host_fail(L, code, &err);
	lua_pushlstring(L, text->bytes, text->length);
	return 1;
}

/* lunette.array(table): an array even when it is empty. */
static int
lunette_array(lua_State *L)
{
	if (lua_isnoneornil(L, 1)) {
		lua_settop(L, 0);
		lua_newtable(L);
	}
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	lun_json_mark_array(L, 1);
	return 1;
}

/* lunette.encode(value) */
static int
lunette_encode(lua_State *L)
{
	struct lun_buffer *out;

	luaL_checkany(L, 1);
	lua_settop(L, 1);
	out = lun_host_push_buffer(L);
	lun_json_encode(L, 1, out);
	if (out->failed)
		return luaL_error(L, "out of memory");
	lua_pushlstring(L, out->bytes, out->length);
	lun_buffer_free(out);
	return 1;
}

/* lunette.decode(text) */
static int
lunette_decode(lua_State *L)
{
	struct lun_text json;
	struct lun_err err;
	enum lun_code code;

	json.bytes = luaL_checklstring(L, 1, &json.length);
	code = lun_json_check(json, &err);
	if (code != LUN_OK)
		return lun_host_fail(L, code, &err);
	lun_json_push(L, json);
	return 1;
}

static int
engine_close(lua_State *L)
{
	struct lun_host_engine *host = luaL_checkudata(L, 1, LUN_HOST_ENGINE);
	struct lun_engine *engine = host->engine;

	if (host->in_progress)
		return luaL_error(
		    L, "cannot close an engine in its progress function");
	host->engine = NULL;
	lun_engine_close(engine);
	return 0;
}

static int
engine_tostring(lua_State *L)
{
	struct lun_host_engine *host = luaL_checkudata(L, 1, LUN_HOST_ENGINE);

	lua_pushfstring(L, "%s (%s)", LUN_HOST_ENGINE,
	    host->engine != NULL ? "open" : "closed");
	return 1;
}

static const luaL_Reg engine_meta[] = {
    {"__gc", engine_close},
    {"__close", engine_close},
    {"__tostring", engine_tostring},
    {NULL, NULL},
};

static void
setup_engine(lua_State *L)
{
	luaL_newmetatable(L, LUN_HOST_ENGINE);
	luaL_setfuncs(L, engine_meta, 0);
	lua_newtable(L);
	luaL_setfuncs(L, lun_host_event_methods, 0);
	luaL_setfuncs(L, lun_host_run_methods, 0);
	luaL_setfuncs(L, lun_host_model_methods, 0);
	lua_pushcfunction(L, engine_close);
	lua_setfield(L, -2, "close");
	lua_setfield(L, -2, "__index");
	lua_pop(L, 1);
}

static const luaL_Reg functions[] = {
    {"open", lunette_open},
    {"check", lunette_check},
    {"array", lunette_array},
    {"encode", lunette_encode},
    {"decode", lunette_decode},
    {"read_script", core_read_script},
    {NULL, NULL},
};

int
luaopen_lunette_core(lua_State *L)
{
	luaL_checkversion(L);
	lun_json_setup(L);
	lun_host_setup(L);
	setup_engine(L);
	luaL_newlib(L, functions);
	lun_query_object_push(L);
	lua_setfield(L, -2, "query");
	lua_pushlightuserdata(L, lun_json_null());
	lua_setfield(L, -2, "null");
	lua_pushstring(L, lun_version());
	lua_setfield(L, -2, "version");
	return 1;
}
