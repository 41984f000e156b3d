/*
 * reader_test.c - calls of lunette.h on threads of their own, with the time
 * that each took.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "lua_test.h"
#include "lunette.h"
#include "runtime/engine.h"

#define ENGINE       "reader_test.engine"
#define CALLING      "reader_test.calling"
#define SETTINGS_MAX 20
#define TIMES_MAX    100

static struct lun_engine *
check_engine(lua_State *L)
{
	struct lun_engine **engine = luaL_checkudata(L, 1, ENGINE);

	luaL_argcheck(L, *engine != NULL, 1, "closed");
	return *engine;
}

/* nil, message, code */
static int
push_failure(lua_State *L, const struct lun_err *err)
{
	lua_pushnil(L);
	lua_pushstring(L, err->message);
	lua_pushstring(L, lun_code_name(err->code));
	return 3;
}

/* open{setting = text} */
static int
test_open(lua_State *L)
{
	struct lun_setting settings[SETTINGS_MAX];
	struct lun_engine_options options = {.settings = settings};
	struct lun_engine **engine;
	struct lun_err err;

	luaL_checktype(L, 1, LUA_TTABLE);
	lua_pushnil(L);
	while (lua_next(L, 1) != 0 && options.setting_count < SETTINGS_MAX) {
		settings[options.setting_count++] = (struct lun_setting){
		    luaL_checkstring(L, -2), luaL_checkstring(L, -1)};
		lua_pop(L, 1);
	}
	engine = lua_newuserdatauv(L, sizeof *engine, 0);
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

	if (lun_engine_register_source(
		engine, "script", source, length, NULL, &err) != LUN_OK)
		return push_failure(L, &err);
	lua_pushboolean(L, 1);
	return 1;
}

/* step(name): everything there is */
static int
engine_step(lua_State *L)
{
	struct lun_engine *engine = check_engine(L);
	const char *name = luaL_checkstring(L, 2);
	struct lun_err err;
	enum lun_code code;

	do
		code = lun_projection_step(engine, name, NULL, &err);
	while (code == LUN_OK);
	if (code != LUN_AGAIN)
		return push_failure(L, &err);
	lua_pushboolean(L, 1);
	return 1;
}

/* answering(): how many readers are taken for handle_query */
static int
engine_answering(lua_State *L)
{
	struct lun_readers *readers = &check_engine(L)->readers;
	size_t answering;

	pthread_mutex_lock(&readers->lock);
	answering = readers->answering;
	pthread_mutex_unlock(&readers->lock);
	lua_pushinteger(L, (lua_Integer)answering);
	return 1;
}

/* ---- calls on threads -------------------------------------------------- */

struct calling {
	struct lun_engine *engine;
	const char *call;
	const char *projection;
	const char *argument;
	int64_t timeout_ms;
	int times;
	pthread_t thread;
	bool joined;
	atomic_bool done;
	enum lun_code code;
	struct lun_err err;
	char *json;
	double took_ms[TIMES_MAX];
};

static double
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static bool
skip_event(void *arg, const char *json, size_t length)
{
	(void)arg;
	(void)json;
	(void)length;
	return true;
}

static enum lun_code
call_once(struct calling *c)
{
	struct lun_events_filter filter = {.limit = 1};
	struct lun_engine *e = c->engine;

	if (strcmp(c->call, "get") == 0)
		return lun_engine_get(
		    e, c->projection, c->argument, &c->json, &c->err);
	if (strcmp(c->call, "query") == 0)
		return lun_engine_query(
		    e, c->projection, NULL, 0, &c->json, &c->err);
	if (strcmp(c->call, "status") == 0)
		return lun_engine_status(e, &c->json, &c->err);
	if (strcmp(c->call, "checkpoint") == 0)
		return lun_engine_checkpoint(
		    e, c->projection, &c->json, &c->err);
	if (strcmp(c->call, "parked") == 0)
		return lun_engine_parked(
		    e, c->projection, NULL, &c->json, &c->err);
	if (strcmp(c->call, "gaps") == 0)
		return lun_engine_gaps(e, c->projection, &c->json, &c->err);
	if (strcmp(c->call, "events") == 0)
		return lun_engine_events(e, &filter, skip_event, NULL, &c->err);
	return lun_engine_wait(
	    e, c->projection, c->argument, c->timeout_ms, &c->err);
}

static void *
run_calls(void *arg)
{
	struct calling *c = arg;

	for (int i = 0; i < c->times && c->code == LUN_OK; i++) {
		double start = now_ms();

		lun_free(c->json);
		c->json = NULL;
		c->code = call_once(c);
		c->took_ms[i] = now_ms() - start;
	}
	atomic_store(&c->done, true);
	return NULL;
}

/* beside(call, projection, [argument, times, timeout in ms]) */
static int
engine_beside(lua_State *L)
{
	struct lun_engine *engine = check_engine(L);
	struct calling *c;

	lua_settop(L, 6);
	c = lua_newuserdatauv(L, sizeof *c, 4);
	*c = (struct calling){.engine = engine,
	    .call = luaL_checkstring(L, 2),
	    .projection = luaL_optstring(L, 3, NULL),
	    .argument = luaL_optstring(L, 4, NULL),
	    .times = (int)luaL_optinteger(L, 5, 1),
	    .timeout_ms = luaL_optinteger(L, 6, 1000),
	    .joined = true};
	luaL_argcheck(L, c->times <= TIMES_MAX, 5, "too many");
	luaL_setmetatable(L, CALLING);
	for (int i = 1; i <= 4; i++) {
		lua_pushvalue(L, i);
		lua_setiuservalue(L, -2, i);
	}
	if (pthread_create(&c->thread, NULL, run_calls, c) != 0)
		return luaL_error(L, "no thread");
	c->joined = false;
	return 1;
}

static int
calling_is_done(lua_State *L)
{
	struct calling *c = luaL_checkudata(L, 1, CALLING);

	lua_pushboolean(L, atomic_load(&c->done));
	return 1;
}

/* join() -> the last JSON or true; or nil, message, code */
static int
calling_join(lua_State *L)
{
	struct calling *c = luaL_checkudata(L, 1, CALLING);

	if (!c->joined)
		pthread_join(c->thread, NULL);
	c->joined = true;
	if (c->code != LUN_OK)
		return push_failure(L, &c->err);
	if (c->json != NULL)
		lua_pushstring(L, c->json);
	else
		lua_pushboolean(L, 1);
	return 1;
}

/* took() -> a list of milliseconds, after join */
static int
calling_took(lua_State *L)
{
	struct calling *c = luaL_checkudata(L, 1, CALLING);

	lua_createtable(L, c->times, 0);
	for (int i = 0; i < c->times; i++) {
		lua_pushnumber(L, c->took_ms[i]);
		lua_rawseti(L, -2, i + 1);
	}
	return 1;
}

static int
calling_gc(lua_State *L)
{
	struct calling *c = luaL_checkudata(L, 1, CALLING);

	calling_join(L);
	lun_free(c->json);
	c->json = NULL;
	return 0;
}

/* ---- the module -------------------------------------------------------- */

static const luaL_Reg engine_methods[] = {
    {"answering", engine_answering},
    {"beside", engine_beside},
    {"close", engine_close},
    {"register", engine_register},
    {"step", engine_step},
    {"__gc", engine_close},
    {NULL, NULL},
};

static const luaL_Reg calling_methods[] = {
    {"is_done", calling_is_done},
    {"join", calling_join},
    {"took", calling_took},
    {"__gc", calling_gc},
    {NULL, NULL},
};

int luaopen_reader_test(lua_State *L);

int
luaopen_reader_test(lua_State *L)
{
	make_class(L, ENGINE, engine_methods);
	make_class(L, CALLING, calling_methods);
	lua_newtable(L);
	lua_pushcfunction(L, test_open);
	lua_setfield(L, -2, "open");
	return 1;
}
