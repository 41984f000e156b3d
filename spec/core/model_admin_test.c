/*
 * model_admin_test.c - the rest of a model store for specs: events set aside,
 * requests, heartbeats, and a writer that keeps the store busy.
 *
 * Loading it adds methods to the stores of model_store_test.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "model_test.h"

#define WRITER "lunette.busy_writer"

/* ---- requests and heartbeats ------------------------------------------- */

static void
copy_string(char *copy, size_t size, const char *string)
{
	size_t length = strlen(string);

	if (length >= size)
		length = size - 1;
	memcpy(copy, string, length);
	copy[length] = '\0';
}

static const char *const kinds[] = {"pause", "resume", "rebuild", "retry",
    "discard", "set_checkpoint", "delete_checkpoint", "adopt_checkpoint", NULL};

/* request_post(projection, kind, argument) -> number */
static int
store_request_post(lua_State *L)
{
	struct lun_key key = check_key(L, 2);
	struct lun_request request = {
	    .kind = (enum lun_request_kind)luaL_checkoption(L, 3, NULL, kinds),
	    .build = key.build,
	    .shard = key.shard,
	};
	struct lun_err err;
	int64_t number;
	enum lun_code code;

	copy_string(
	    request.projection, sizeof request.projection, key.projection);
	copy_string(request.argument, sizeof request.argument,
	    luaL_optstring(L, 4, ""));
	code = lun_model_store_request_post(
	    check_store(L, 1), &request, &number, &err);
	if (code != LUN_OK)
		return push_failure(L, code, &err);
	lua_pushinteger(L, number);
	return 1;
}

static enum lun_code
list_key(void *arg, struct lun_key key, struct lun_err *err)
{
	lua_State *L = arg;

	(void)err;
	lua_pushfstring(
	    L, "%s/%d/%d", key.projection, (int)key.build, key.shard);
	lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
	return LUN_OK;
}

/* requests_waiting() -> {"projection/build/shard", ...} */
static int
store_requests_waiting(lua_State *L)
{
	struct lun_err err;
	enum lun_code code;

	lua_newtable(L);
	code = lun_model_store_requests_waiting(
	    check_store(L, 1), list_key, L, &err);
	return code == LUN_OK ? 1 : push_failure(L, code, &err);
}

/* request_next(key) -> {number=, projection=, build=, shard=, kind=, ...} */
static int
store_request_next(lua_State *L)
{
	struct lun_request request;
	struct lun_err err;
	enum lun_code code = lun_model_store_request_next(
	    check_store(L, 1), check_key(L, 2), &request, &err);

	if (code != LUN_OK)
		return push_failure(L, code, &err);
	lua_newtable(L);
	set_integer(L, "number", request.number);
	set_text(L, "projection", lun_text_of(request.projection));
	set_integer(L, "build", request.build);
	set_integer(L, "shard", request.shard);
	set_text(L, "kind", lun_text_of(kinds[request.kind]));
	set_text(L, "argument", lun_text_of(request.argument));
	return 1;
}

/* request_finish(number[, code name, message]) */
static int
store_request_finish(lua_State *L)
{
	const char *name = luaL_optstring(L, 3, "ok");
	enum lun_code outcome = LUN_OK;
	struct lun_err err;
	enum lun_code code;

	while (strcmp(lun_code_name(outcome), name) != 0)
		outcome++;
	code = lun_model_store_request_finish(check_store(L, 1),
	    luaL_checkinteger(L, 2), outcome, luaL_optstring(L, 4, NULL), &err);
	return push_done(L, code, &err);
}

/* request_result(number, withdraw) */
static int
store_request_result(lua_State *L)
{
	struct lun_err outcome, err;
	enum lun_code code = lun_model_store_request_result(check_store(L, 1),
	    luaL_checkinteger(L, 2), lua_toboolean(L, 3), &outcome, &err);

	if (code != LUN_OK)
		return push_done(L, code, &err);
	return push_done(L, outcome.code, &outcome);
}

static struct lun_heartbeat
to_heartbeat(lua_State *L, int index)
{
	struct lun_heartbeat h = {
	    .build = key_part(L, index, "build", 1),
	    .shard = (int)key_part(L, index, "shard", 0),
	};

	copy_string(h.projection, sizeof h.projection,
	    field_string(L, index, "projection", ""));
	copy_string(
	    h.owner, sizeof h.owner, field_string(L, index, "owner", ""));
	copy_string(
	    h.state, sizeof h.state, field_string(L, index, "state", ""));
	copy_string(h.waiting_for, sizeof h.waiting_for,
	    field_string(L, index, "waiting_for", ""));
	copy_string(h.last_error, sizeof h.last_error,
	    field_string(L, index, "last_error", ""));
	lua_getfield(L, index, "events_per_second");
	h.events_per_second = luaL_optnumber(L, -1, 0);
	lua_pop(L, 1);
	return h;
}

/* publish{heartbeat, ...} */
static int
store_publish(lua_State *L)
{
	struct lun_model_store *store = check_store(L, 1);
	size_t count = lua_rawlen(L, 2);
	struct lun_heartbeat *heartbeats =
	    lua_newuserdatauv(L, (count + 1) * sizeof *heartbeats, 0);
	struct lun_err err;
	enum lun_code code;

	for (size_t i = 0; i < count; i++) {
		lua_rawgeti(L, 2, (lua_Integer)i + 1);
		heartbeats[i] = to_heartbeat(L, lua_gettop(L));
		lua_pop(L, 1);
	}
	code = lun_model_store_publish(store, heartbeats, count, &err);
	return push_done(L, code, &err);
}

static int
store_heartbeat(lua_State *L)
{
	static const char *const held[] = {"unknown", "yes", "no"};
	struct lun_heartbeat h;
	struct lun_err err;
	enum lun_code code = lun_model_store_heartbeat(
	    check_store(L, 1), check_key(L, 2), &h, &err);

	if (code != LUN_OK)
		return push_failure(L, code, &err);
	lua_newtable(L);
	set_text(L, "projection", lun_text_of(h.projection));
	set_integer(L, "build", h.build);
	set_integer(L, "shard", h.shard);
	set_text(L, "owner", lun_text_of(h.owner));
	set_text(L, "state", lun_text_of(h.state));
	set_text(L, "waiting_for", lun_text_of(h.waiting_for));
	set_text(L, "last_error", lun_text_of(h.last_error));
	lua_pushnumber(L, h.events_per_second);
	lua_setfield(L, -2, "events_per_second");
	lua_pushstring(L, held[h.held]);
	lua_setfield(L, -2, "held");
	set_integer(L, "age_us", h.age_us);
	return 1;
}

/* ---- a busy writer ----------------------------------------------------- */

/* A thread that does nothing but long commits. */
struct writer {
	pthread_t thread;
	struct lun_model_store *store;
	struct lun_write_set set;
	struct lun_model_write *models;
	char (*ids)[24];
	struct lun_buffer row;
	atomic_bool stop;
	atomic_long commits;
	bool running;
	struct lun_err err; /* of the commit that ended it */
};

static void *
write_on(void *arg)
{
	struct writer *w = arg;

	while (!w->stop) {
		if (lun_model_store_commit(w->store, &w->set, &w->err) !=
		    LUN_OK)
			break;
		w->set.expected_revision++;
		w->commits++;
	}
	return NULL;
}

static void
fill_writer(struct writer *w, size_t count)
{
	w->ids = calloc(count, sizeof *w->ids);
	w->models = calloc(count, sizeof *w->models);
	for (size_t i = 0; i < w->set.schema->field_count; i++)
		lun_row_add(
		    &w->row, &(struct lun_value){.kind = LUN_VALUE_NULL});
	for (size_t i = 0; i < count; i++) {
		snprintf(w->ids[i], sizeof w->ids[i], "%zu", i);
		w->models[i].id = lun_text_of(w->ids[i]);
		w->models[i].row = lun_buffer_text(&w->row);
	}
	w->set.models = w->models;
	w->set.model_count = count;
}

/* busy_writer(schema, revision, fence, rows): on a connection of its own */
static int
store_busy_writer(lua_State *L)
{
	struct lun_model_store *store = check_store(L, 1);
	struct lun_guard guard = check_guard(L, 3);
	struct writer *w;
	enum lun_code code;

	w = lua_newuserdatauv(L, sizeof *w, 1);
	*w = (struct writer){.set = {.key = check_key(L, 2),
				 .schema = check_schema(L, 2),
				 .identity = "a log",
				 .bundle_hash = "abc",
				 .bundle = LUN_TEXT("{}"),
				 .expected_revision = guard.expected_revision,
				 .fence = guard.fence}};
	luaL_setmetatable(L, WRITER);
	lua_pushvalue(L, 2);
	lua_setiuservalue(L, -2, 1); /* the schema stays alive */
	fill_writer(w, (size_t)luaL_checkinteger(L, 5));
	code = lun_model_store_connect(store, &w->store, &w->err);
	if (code != LUN_OK)
		return push_failure(L, code, &w->err);
	w->running = pthread_create(&w->thread, NULL, write_on, w) == 0;
	return 1;
}

static int
writer_commits(lua_State *L)
{
	struct writer *w = luaL_checkudata(L, 1, WRITER);

	lua_pushinteger(L, w->commits);
	return 1;
}

/* stop() -> commits, the failure that ended it or nil */
static int
writer_stop(lua_State *L)
{
	struct writer *w = luaL_checkudata(L, 1, WRITER);

	w->stop = true;
	if (w->running)
		pthread_join(w->thread, NULL);
	w->running = false;
	lun_model_store_close(w->store);
	w->store = NULL;
	free(w->ids);
	free(w->models);
	w->ids = NULL;
	w->models = NULL;
	lun_buffer_free(&w->row);
	lua_pushinteger(L, w->commits);
	if (w->err.code == LUN_OK)
		return 1;
	lua_pushstring(L, w->err.message);
	return 2;
}

/* ---- the module -------------------------------------------------------- */

static const luaL_Reg store_methods[] = {
    {"request_post", store_request_post},
    {"requests_waiting", store_requests_waiting},
    {"request_next", store_request_next},
    {"request_finish", store_request_finish},
    {"request_result", store_request_result},
    {"publish", store_publish},
    {"heartbeat", store_heartbeat},
    {"busy_writer", store_busy_writer},
    {NULL, NULL},
};

static const luaL_Reg writer_methods[] = {
    {"commits", writer_commits},
    {"stop", writer_stop},
    {"__gc", writer_stop},
    {NULL, NULL},
};

int luaopen_model_admin_test(lua_State *L);

int
luaopen_model_admin_test(lua_State *L)
{
	luaL_newmetatable(L, WRITER);
	luaL_setfuncs(L, writer_methods, 0);
	lua_pushvalue(L, -1);
	lua_setfield(L, -2, "__index");
	luaL_getmetatable(L, STORE);
	luaL_setfuncs(L, store_methods, 0);
	lua_pushboolean(L, 1);
	return 1;
}
