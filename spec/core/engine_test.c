/*
 * engine_test.c - lunette.h where the Lua module does not reach: calls on other
 * threads, and calls inside a progress function.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "lua_test.h"
#include "lunette.h"

#define ENGINE      "engine_test.engine"
#define APPENDING   "engine_test.appending"
#define REGISTERING "engine_test.registering"

/* nil, message, code */
static int
push_failure(lua_State *L, const struct lun_err *err)
{
	lua_pushnil(L);
	lua_pushstring(L, err->message);
	lua_pushstring(L, lun_code_name(err->code));
	return 3;
}

static int
push_done(lua_State *L, enum lun_code code, const struct lun_err *err)
{
	if (code != LUN_OK)
		return push_failure(L, err);
	lua_pushboolean(L, 1);
	return 1;
}

static int
push_json(
    lua_State *L, enum lun_code code, char *json, const struct lun_err *err)
{
	if (code != LUN_OK)
		return push_failure(L, err);
	lua_pushstring(L, json);
	lun_free(json);
	return 1;
}

static struct lun_engine *
check_engine(lua_State *L)
{
	struct lun_engine **engine = luaL_checkudata(L, 1, ENGINE);

	luaL_argcheck(L, *engine != NULL, 1, "closed");
	return *engine;
}

/* open(events, models) */
static int
test_open(lua_State *L)
{
	const struct lun_setting settings[] = {
	    {"events", luaL_checkstring(L, 1)},
	    {"models", luaL_checkstring(L, 2)},
	    {"busy_timeout_ms", "10000"},
	    {"batch_events", "5"},
	    {"live_events", "5"},
	};
	const struct lun_engine_options options = {
	    .settings = settings,
	    .setting_count = sizeof settings / sizeof settings[0],
	};
	struct lun_engine **engine = lua_newuserdatauv(L, sizeof *engine, 0);
	struct lun_err err;

	*engine = NULL;
	luaL_setmetatable(L, ENGINE);
	if (lun_engine_open(&options, engine, &err) != LUN_OK)
		return push_failure(L, &err);
	return 1;
}

static int
engine_close(lua_State *L)
{
	struct lun_engine **engine = luaL_checkudata(L, 1, ENGINE);

	lun_engine_close(*engine);
	*engine = NULL;
	return 0;
}

static int
engine_register(lua_State *L)
{
	struct lun_engine *engine = check_engine(L);
	size_t length;
	const char *source = luaL_checklstring(L, 2, &length);
	struct lun_err err;

	return push_done(L,
	    lun_engine_register_source(
		engine, "script", source, length, NULL, &err),
	    &err);
}

static int
engine_status(lua_State *L)
{
	struct lun_engine *engine = check_engine(L);
	char *json = NULL;
	struct lun_err err;
	enum lun_code code = lun_engine_status(engine, &json, &err);

	return push_json(L, code, json, &err);
}

/* request(projection, kind as a number) */
static int
engine_request(lua_State *L)
{
	struct lun_err err;
	enum lun_request_kind kind =
	    (enum lun_request_kind)luaL_checkinteger(L, 3);

	return push_done(L,
	    lun_engine_request(check_engine(L), luaL_checkstring(L, 2), kind,
		NULL, INT64_MAX, &err),
	    &err);
}

static int
engine_get(lua_State *L)
{
	struct lun_engine *engine = check_engine(L);
	char *json = NULL;
	struct lun_err err;
	enum lun_code code = lun_engine_get(engine, luaL_checkstring(L, 2),
	    luaL_checkstring(L, 3), &json, &err);

	return push_json(L, code, json, &err);
}

static int
engine_query(lua_State *L)
{
	struct lun_engine *engine = check_engine(L);
	char *json = NULL;
	struct lun_err err;
	enum lun_code code = lun_engine_query(
	    engine, luaL_checkstring(L, 2), NULL, 0, &json, &err);

	return push_json(L, code, json, &err);
}

/* ---- a run ------------------------------------------------------------- */

struct run {
	struct lun_engine *engine;
	const char *call;
	int times;
	enum lun_code code;
};

static bool
call_inside(void *arg, const struct lun_progress *progress, size_t count)
{
	struct run *run = arg;

	if (strcmp(run->call, "start") != 0 &&
	    (count == 0 || progress[0].events_done == 0))
		return true;
	if (run->times++ > 0)
		return true;
	if (strcmp(run->call, "stop") == 0)
		run->code = lun_engine_stop(run->engine, NULL);
	else if (strcmp(run->call, "start") == 0)
		run->code = lun_engine_start(run->engine, NULL);
	else
		lun_engine_close(run->engine);
	return true;
}

/* run_once("stop", "start" or "close" in the first call of progress, but for
 * "start" once there is some) -> code of the run, code of that call */
static int
engine_run_once(lua_State *L)
{
	struct run run = {
	    .engine = check_engine(L),
	    .call = luaL_checkstring(L, 2),
	};
	enum lun_code code =
	    lun_engine_run_once(run.engine, call_inside, &run, NULL);

	lua_pushstring(L, lun_code_name(code));
	lua_pushstring(L, lun_code_name(run.code));
	return 2;
}

/* start_and_stop() -> true; or nil, message, code */
static int
engine_start_and_stop(lua_State *L)
{
	struct lun_engine *engine = check_engine(L);
	struct lun_err err;
	enum lun_code code = lun_engine_start(engine, &err);

	if (code == LUN_OK)
		code = lun_engine_stop(engine, &err);
	return push_done(L, code, &err);
}

/* ---- appending on a thread of its own ---------------------------------- */

struct appending {
	struct lun_engine *engine;
	pthread_t thread;
	bool joined;
	atomic_bool done;
	enum lun_code code;
	struct lun_err err;
};

static void *
append_one(void *arg)
{
	static const struct lun_new_event event = {
	    .stream = "s",
	    .type = "T",
	    .data = "{}",
	    .expected_version = LUN_ANY_VERSION,
	};
	struct appending *a = arg;

	a->code = lun_engine_append(a->engine, &event, 1, NULL, &a->err);
	atomic_store(&a->done, true);
	return NULL;
}

/* append_beside(): an event of type T */
static int
engine_append_beside(lua_State *L)
{
	struct lun_engine *engine = check_engine(L);
	struct appending *a = lua_newuserdatauv(L, sizeof *a, 1);

	*a = (struct appending){.engine = engine, .joined = true};
	luaL_setmetatable(L, APPENDING);
	lua_pushvalue(L, 1);
	lua_setiuservalue(L, -2, 1);
	if (pthread_create(&a->thread, NULL, append_one, a) != 0)
		return luaL_error(L, "no thread");
	a->joined = false;
	return 1;
}

static int
appending_is_done(lua_State *L)
{
	struct appending *a = luaL_checkudata(L, 1, APPENDING);

	lua_pushboolean(L, atomic_load(&a->done));
	return 1;
}

/* join() -> true; or nil, message, code */
static int
appending_join(lua_State *L)
{
	struct appending *a = luaL_checkudata(L, 1, APPENDING);

	if (!a->joined)
		pthread_join(a->thread, NULL);
	a->joined = true;
	return push_done(L, a->code, &a->err);
}

/* ---- registering on a thread of its own -------------------------------- */

struct registering {
	struct lun_engine *engine;
	pthread_t thread;
	bool joined;
	atomic_bool done;
	const char **sources;
	size_t count;
	enum lun_code code;
	struct lun_err err;
};

static void *
register_each(void *arg)
{
	struct registering *r = arg;

	for (size_t i = 0; i < r->count && r->code == LUN_OK; i++)
		r->code = lun_engine_register_source(r->engine, "script",
		    r->sources[i], strlen(r->sources[i]), NULL, &r->err);
	atomic_store(&r->done, true);
	return NULL;
}

/* register_beside({source, ...}) */
static int
engine_register_beside(lua_State *L)
{
	struct lun_engine *engine = check_engine(L);
	size_t count = lua_rawlen(L, 2);
	struct registering *r = lua_newuserdatauv(L, sizeof *r, 3);

	*r = (struct registering){.engine = engine, .joined = true};
	luaL_setmetatable(L, REGISTERING);
	lua_pushvalue(L, 1);
	lua_setiuservalue(L, -2, 1);
	lua_pushvalue(L, 2);
	lua_setiuservalue(L, -2, 2);
	r->sources = lua_newuserdatauv(L, (count + 1) * sizeof(char *), 0);
	lua_setiuservalue(L, -2, 3);
	for (; r->count < count; r->count++) {
		lua_rawgeti(L, 2, (lua_Integer)r->count + 1);
		r->sources[r->count] = luaL_checkstring(L, -1);
		lua_pop(L, 1);
	}
	if (pthread_create(&r->thread, NULL, register_each, r) != 0)
		return luaL_error(L, "no thread");
	r->joined = false;
	return 1;
}

static int
registering_is_done(lua_State *L)
{
	struct registering *r = luaL_checkudata(L, 1, REGISTERING);

	lua_pushboolean(L, atomic_load(&r->done));
	return 1;
}

/* join() -> true; or nil, message, code */
static int
registering_join(lua_State *L)
{
	struct registering *r = luaL_checkudata(L, 1, REGISTERING);

	if (!r->joined)
		pthread_join(r->thread, NULL);
	r->joined = true;
	return push_done(L, r->code, &r->err);
}

/* ---- the module -------------------------------------------------------- */

static const luaL_Reg engine_methods[] = {
    {"append_beside", engine_append_beside},
    {"close", engine_close},
    {"get", engine_get},
    {"query", engine_query},
    {"register", engine_register},
    {"request", engine_request},
    {"register_beside", engine_register_beside},
    {"run_once", engine_run_once},
    {"start_and_stop", engine_start_and_stop},
    {"status", engine_status},
    {"__gc", engine_close},
    {NULL, NULL},
};

static const luaL_Reg appending_methods[] = {
    {"is_done", appending_is_done},
    {"join", appending_join},
    {"__gc", appending_join},
    {NULL, NULL},
};

static const luaL_Reg registering_methods[] = {
    {"is_done", registering_is_done},
    {"join", registering_join},
    {"__gc", registering_join},
    {NULL, NULL},
};

int luaopen_engine_test(lua_State *L);

int
luaopen_engine_test(lua_State *L)
{
	make_class(L, ENGINE, engine_methods);
	make_class(L, APPENDING, appending_methods);
	make_class(L, REGISTERING, registering_methods);
	lua_newtable(L);
	lua_pushcfunction(L, test_open);
	lua_setfield(L, -2, "open");
	return 1;
}
