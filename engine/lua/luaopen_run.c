/*
 * luaopen_run.c - registering projections and bringing them up to date.
 */

#include "lua/luaopen.h"

#define WAIT_SECONDS 10

static const char *const source_fields[] = {"source", "name", NULL};
static const char *const wait_fields[] = {
    "projection", "after", "timeout", NULL};

/* engine:register(path | {source=, name=}) */
static int
engine_register(lua_State *L)
{
	struct lun_engine *engine = lun_host_check_engine(L);
	char name[64];
	struct lun_err err;
	enum lun_code code;

	lua_settop(L, 2);
	if (lua_type(L, 2) == LUA_TTABLE) {
		const char *chunk;
		size_t length;
		const char *source;

		lun_host_check_keys(L, 2, source_fields);
		chunk = lun_host_text_field(L, 2, "name");
		lua_getfield(L, 2, "source");
		if (lua_type(L, -1) != LUA_TSTRING)
			return luaL_error(L, "source must be a string, got %s",
			    luaL_typename(L, -1));
		source = lua_tolstring(L, -1, &length);
		code = lun_engine_register_source(engine,
		    chunk != NULL ? chunk : "source", source, length, name,
		    &err);
	} else {
		code = lun_engine_register(
		    engine, lun_host_check_text(L, 2), name, &err);
	}
	if (code != LUN_OK)
		return lun_host_fail(L, code, &err);
	lua_pushstring(L, name);
	return 1;
}

/* engine:register_folder(path) */
static int
engine_register_folder(lua_State *L)
{
	struct lun_engine *engine = lun_host_check_engine(L);
	const char *folder = lun_host_check_text(L, 2);
	struct lun_err err;
	enum lun_code code = lun_engine_register_folder(engine, folder, &err);

	return lun_host_done(L, code, &err);
}

/* engine:step([name]): events read, or false when there were none. */
static int
engine_step(lua_State *L)
{
	struct lun_engine *engine = lun_host_check_engine(L);
	const char *name = lun_host_opt_text(L, 2);
	size_t applied = 0;
	struct lun_err err;
	enum lun_code code;

	code = lun_projection_step(engine, name, &applied, &err);
	if (code == LUN_AGAIN) {
		lua_pushboolean(L, 0);
		return 1;
	}
	if (code != LUN_OK)
		return lun_host_fail(L, code, &err);
	lua_pushinteger(L, (lua_Integer)applied);
	return 1;
}

/* A run_once with a progress function, which lies at index 2. */
struct run {
	lua_State *L;
	struct lun_host_engine *host;
	const struct lun_progress *progress;
	size_t count;
	int failure; /* stack index of what the function raised; 0: nothing */
};

static int
call_progress(lua_State *L)
{
	struct run *run = lua_touserdata(L, 2);

	lua_settop(L, 1);
	lua_createtable(L, (int)run->count, 0);
	for (size_t i = 0; i < run->count; i++) {
		const struct lun_progress *progress = &run->progress[i];

		lua_createtable(L, 0, 6);
		lua_pushstring(L, progress->projection);
		lua_setfield(L, -2, "projection");
		lua_pushnumber(L, progress->fraction);
		lua_setfield(L, -2, "fraction");
		lua_pushinteger(L, (lua_Integer)progress->events_done);
		lua_setfield(L, -2, "events_done");
		lua_pushinteger(L, (lua_Integer)progress->events_parked);
		lua_setfield(L, -2, "events_parked");
		lua_pushinteger(L, (lua_Integer)progress->events_skipped);
		lua_setfield(L, -2, "events_skipped");
		lua_pushnumber(L, progress->seconds);
		lua_setfield(L, -2, "seconds");
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	lua_call(L, 1, 1);
	return 1;
}

/*
 * Called by the engine, so nothing may be raised here. This is the one
 * protected call outside the script host: the host's state has no other door.
 */
static bool
report_progress(void *arg, const struct lun_progress *progress, size_t count)
{
	struct run *run = arg;
	lua_State *L = run->L;
	bool go_on;

	if (run->failure != 0 || !lua_checkstack(L, 3))
		return false;
	run->progress = progress;
	run->count = count;
	lua_pushcfunction(L, call_progress);
	lua_pushvalue(L, 2);
	lua_pushlightuserdata(L, run);
	run->host->in_progress = true;
	if (lua_pcall(L, 2, 1, 0) != LUA_OK)
		run->failure = lua_gettop(L);
	run->host->in_progress = false;
	if (run->failure != 0)
		return false;
	go_on = lua_type(L, -1) != LUA_TBOOLEAN || lua_toboolean(L, -1);
	lua_settop(L, -2);
	return go_on;
}

/* engine:run_once([progress]) */
static int
engine_run_once(lua_State *L)
{
	struct lun_engine *engine = lun_host_check_engine(L);
	struct run run = {.L = L, .host = lua_touserdata(L, 1)};
	bool quiet = lua_isnoneornil(L, 2);
	struct lun_err err;
	enum lun_code code;

	if (!quiet)
		luaL_checktype(L, 2, LUA_TFUNCTION);
	lua_settop(L, 2);
	code = lun_engine_run_once(
	    engine, quiet ? NULL : report_progress, &run, &err);
	if (run.failure != 0) {
		lua_settop(L, run.failure);
		return lua_error(L);
	}
	return lun_host_done(L, code, &err);
}

/* engine:start() */
static int
engine_start(lua_State *L)
{
	struct lun_engine *engine = lun_host_check_engine(L);
	struct lun_err err;
	enum lun_code code = lun_engine_start(engine, &err);

	return lun_host_done(L, code, &err);
}

/* engine:stop() */
static int
engine_stop(lua_State *L)
{
	struct lun_engine *engine = lun_host_check_engine(L);
	struct lun_err err;
	enum lun_code code = lun_engine_stop(engine, &err);

	return lun_host_done(L, code, &err);
}

/* engine:watch() */
static int
engine_watch(lua_State *L)
{
	struct lun_engine *engine = lun_host_check_engine(L);
	struct lun_err err;
	enum lun_code code = lun_engine_watch(engine, &err);

	return lun_host_done(L, code, &err);
}

/* engine:wait{projection=, after=, timeout=} */
static int
engine_wait(lua_State *L)
{
	struct lun_engine *engine = lun_host_check_engine(L);
	const char *projection, *after;
	struct lun_err err;
	enum lun_code code;
	int64_t timeout_ms;

	luaL_checktype(L, 2, LUA_TTABLE);
	lun_host_check_keys(L, 2, wait_fields);
	projection = lun_host_text_field(L, 2, "projection");
	if (projection == NULL)
		return luaL_error(L, "a wait needs a projection");
	after = lun_host_text_field(L, 2, "after");
	if (after != NULL && strcmp(after, "strong") == 0)
		after = NULL;
	lua_getfield(L, 2, "timeout");
	timeout_ms = lun_host_check_seconds(L, -1, WAIT_SECONDS);
	code = lun_engine_wait(engine, projection, after, timeout_ms, &err);
	return lun_host_done(L, code, &err);
}

const luaL_Reg lun_host_run_methods[] = {
    {"register", engine_register},
    {"register_folder", engine_register_folder},
    {"step", engine_step},
    {"run_once", engine_run_once},
    {"start", engine_start},
    {"stop", engine_stop},
    {"watch", engine_watch},
    {"wait", engine_wait},
    {NULL, NULL},
};
