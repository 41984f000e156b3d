/*
 * script_test.c - engine/script/ for specs: a script with a unit of work and a
 * model store in memory, without an engine around it.
 */

#include <lauxlib.h>
#include <lua.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/error.h"
#include "runtime/load.h"
#include "script/query_object.h"
#include "script/script.h"
#include "script/script_state.h"
#include "script/settings_file.h"
#include "store/model_store.h"
#include "store/rows_as_json.h"
#include "store/unit_of_work.h"
#include "json/decode.h"

#define SCRIPT "script_test.script"

struct failure {
	const char *phase;
	size_t event; /* from 1, over all batches */
	struct lun_err err;
	bool starved;
};

struct host {
	struct lun_script *script;
	struct lun_unit_of_work *uow;
	struct lun_model_store *store;
	struct lun_collected collected;
	struct lun_batch *batch;
	int64_t revision;
	int64_t fence;
	size_t done; /* events of earlier batches */
	struct failure *failures;
	size_t failure_count;
	pthread_t thread;
	bool on_thread;
};

static struct host *
check_host(lua_State *L)
{
	return luaL_checkudata(L, 1, SCRIPT);
}

/* A table with message, detail and code (+1). */
static void
push_err(lua_State *L, const struct lun_err *err)
{
	lua_createtable(L, 0, 3);
	lua_pushstring(L, err->message);
	lua_setfield(L, -2, "message");
	lua_pushstring(L, err->detail);
	lua_setfield(L, -2, "detail");
	lua_pushstring(L, lun_code_name(err->code));
	lua_setfield(L, -2, "code");
}

static int
fail(lua_State *L, const struct lun_err *err)
{
	lua_pushnil(L);
	push_err(L, err);
	return 2;
}

static void
need(lua_State *L, enum lun_code code, const struct lun_err *err)
{
	if (code != LUN_OK)
		luaL_error(L, "%s: %s", lun_code_name(code), err->message);
}

/* ---- life -------------------------------------------------------------- */

static lua_Integer
option(lua_State *L, int index, const char *name, lua_Integer otherwise)
{
	lua_Integer value = otherwise;

	if (!lua_istable(L, index))
		return otherwise;
	if (lua_getfield(L, index, name) != LUA_TNIL)
		value = lua_tointeger(L, -1);
	lua_pop(L, 1);
	return value;
}

static struct lun_script_limits
check_limits(lua_State *L, int index)
{
	return (struct lun_script_limits){
	    .instructions = option(L, index, "instructions", 10000000),
	    .cpu_ms = option(L, index, "cpu_ms", 2000),
	    .memory_bytes = (size_t)option(L, index, "memory", 32 << 20),
	};
}

static void
open_store(lua_State *L, struct host *host, lua_Integer cache)
{
	const struct lun_schema *schema = lun_script_schema(host->script);
	struct lun_store_options options = {.busy_timeout_ms = 1000};
	struct lun_checkpoint checkpoint = {0};
	char holder[LUN_OWNER_SIZE];
	struct lun_err err;

	host->uow = lun_uow_new();
	if (host->uow != NULL)
		lun_uow_limit(host->uow, (size_t)cache);
	host->batch = lun_batch_new();
	need(L, lun_model_store_open("memory:", &options, &host->store, &err),
	    &err);
	need(L,
	    lun_model_store_acquire(host->store,
		lun_only_key(schema->projection), "spec", 60000, &host->fence,
		holder, &err),
	    &err);
	need(L,
	    lun_model_store_define(host->store,
		lun_only_key(schema->projection), schema, host->fence, &err),
	    &err);
	need(L,
	    lun_model_store_checkpoint(host->store,
		lun_only_key(schema->projection), &checkpoint, &err),
	    &err);
	host->revision = checkpoint.revision;
	lun_checkpoint_free(&checkpoint);
}

/* load(source, {chunk, instructions, cpu_ms, memory, cache}) */
static int
test_load(lua_State *L)
{
	struct lun_script_limits limits = check_limits(L, 2);
	lua_Integer cache = option(L, 2, "cache", 1 << 30);
	const char *chunk = "script.lua";
	struct lun_text source;
	struct host *host;
	struct lun_err err;

	source.bytes = luaL_checklstring(L, 1, &source.length);
	if (lua_istable(L, 2) && lua_getfield(L, 2, "chunk") == LUA_TSTRING)
		chunk = lua_tostring(L, -1);
	host = lua_newuserdatauv(L, sizeof *host, 0);
	*host = (struct host){0};
	luaL_setmetatable(L, SCRIPT);
	if (lun_script_new(chunk, source, &limits, &host->script, &err) !=
		LUN_OK ||
	    lun_script_renew(host->script, &err) != LUN_OK)
		return fail(L, &err);
	open_store(L, host, cache);
	return 1;
}

/* load_file(path) */
static int
test_load_file(lua_State *L)
{
	struct lun_loading loading = {
	    .limits = check_limits(L, 2), .stuck_ms = 50};
	struct lun_script *script;
	struct lun_err err;

	if (lun_load_script_file(
		luaL_checkstring(L, 1), &loading, &script, &err) != LUN_OK)
		return fail(L, &err);
	lua_pushstring(L, lun_script_schema(script)->projection);
	lun_script_free(script);
	return 1;
}

static int
script_close(lua_State *L)
{
	struct host *host = check_host(L);

	lun_script_free(host->script);
	lun_uow_free(host->uow);
	lun_model_store_close(host->store);
	lun_collected_free(&host->collected);
	lun_batch_free(host->batch);
	free(host->failures);
	*host = (struct host){0};
	return 0;
}

/* ---- what a script says ------------------------------------------------ */

static void
set_text(lua_State *L, const char *key, const char *value)
{
	lua_pushstring(L, value);
	lua_setfield(L, -2, key);
}

static void
push_indexes(lua_State *L, const struct lun_schema *schema)
{
	lua_newtable(L);
	for (size_t i = 0; i < schema->index_count; i++) {
		const struct lun_index *index = &schema->indexes[i];

		lua_newtable(L);
		for (size_t j = 0; j < index->count; j++) {
			lua_pushstring(
			    L, schema->fields[index->fields[j]].name);
			lua_rawseti(L, -2, (lua_Integer)j + 1);
		}
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
}

static int
script_bundle(lua_State *L)
{
	struct lun_text bundle = lun_script_bundle(check_host(L)->script);

	lua_pushlstring(L, bundle.bytes, bundle.length);
	return 1;
}

static int
script_describe(lua_State *L)
{
	const struct host *host = check_host(L);
	const struct lun_schema *schema = lun_script_schema(host->script);
	const struct lun_event_filter *filter = lun_script_filter(host->script);
	static const char *const policies[] = {"stop", "skip", "park"};

	lua_newtable(L);
	set_text(L, "name", schema->projection);
	set_text(L, "hash", lun_script_hash(host->script));
	set_text(L, "on_error", policies[lun_script_on_error(host->script)]);
	lua_pushinteger(L, schema->version);
	lua_setfield(L, -2, "version");
	lua_pushinteger(L, lun_script_retries(host->script));
	lua_setfield(L, -2, "retries");
	lua_pushboolean(L, lun_script_has_query(host->script));
	lua_setfield(L, -2, "has_query");
	lua_pushboolean(L, schema->whole_json);
	lua_setfield(L, -2, "whole_json");
	lua_newtable(L);
	for (size_t i = 0; i < filter->type_count; i++) {
		lua_pushlstring(
		    L, filter->types[i].bytes, filter->types[i].length);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	lua_setfield(L, -2, "types");
	lua_newtable(L);
	for (size_t i = 0; i < schema->field_count; i++) {
		lua_pushfstring(L, "%s %s", schema->fields[i].name,
		    lun_field_type_name(schema->fields[i].type));
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	lua_setfield(L, -2, "fields");
	lua_newtable(L);
	for (size_t i = 0; i < schema->field_count; i++) {
		lua_pushstring(
		    L, schema->fields[lun_schema_column(schema, i)].name);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	lua_setfield(L, -2, "columns");
	set_text(L, "id", lun_field_type_name(schema->key_type));
	push_indexes(L, schema);
	lua_setfield(L, -2, "indexes");
	return 1;
}

/* ---- batches ----------------------------------------------------------- */

static struct lun_text
text_field(lua_State *L, const char *name, const char *otherwise)
{
	struct lun_text text = lun_text_of(otherwise);

	if (lua_getfield(L, -1, name) == LUA_TSTRING)
		text.bytes = lua_tolstring(L, -1, &text.length);
	lua_pop(L, 1); /* the event's table still holds it */
	return text;
}

/* Events from `first` on, at most size of them, into the batch. */
static void
fill_batch(lua_State *L, struct host *host, size_t first, size_t size)
{
	size_t count = lua_rawlen(L, 2);

	lun_batch_clear(host->batch);
	for (size_t i = first; i <= count && i < first + size; i++) {
		struct lun_event event = {0};

		lua_rawgeti(L, 2, (lua_Integer)i);
		event.position.lo = host->done + i - first + 1;
		event.version = option(L, -1, "version", (lua_Integer)i);
		event.recorded_at = option(L, -1, "recorded_at", 0);
		event.id = text_field(L, "id", "no-id");
		event.stream = text_field(L, "stream", "s");
		event.type = text_field(L, "type", "T");
		event.data = text_field(L, "data", "{}");
		event.metadata = text_field(L, "metadata", NULL);
		event.tenant = text_field(L, "tenant", NULL);
		if (!lun_batch_add(host->batch, &event))
			luaL_error(L, "out of memory");
		lua_pop(L, 1);
	}
}

static void
note_failure(struct host *host, const char *phase, size_t event,
    const struct lun_err *err)
{
	size_t size = (host->failure_count + 1) * sizeof *host->failures;

	host->failures = realloc(host->failures, size);
	host->failures[host->failure_count++] = (struct failure){.phase = phase,
	    .event = host->done + event + 1,
	    .err = *err,
	    .starved = lun_script_starved(host->script)};
}

static bool
is_passable(enum lun_code code)
{
	return code == LUN_SCRIPT || code == LUN_BUDGET ||
	       code == LUN_UNAVAILABLE;
}

static void
extract_all(struct host *host)
{
	struct lun_err err;
	enum lun_code code;

	for (size_t at = 0;; at++) {
		code = lun_script_extract(host->script, host->batch, host->uow,
		    &at, host->batch->count, &err);
		if (code != LUN_OK)
			note_failure(host, "extract", at, &err);
		if (!is_passable(code))
			return;
	}
}

static void
apply_all(struct host *host)
{
	struct lun_err err;
	enum lun_code code;
	size_t count;

	for (size_t at = 0;; at++) {
		code = lun_script_apply(host->script, host->batch, host->uow,
		    &at, host->batch->count, &err);
		if (code == LUN_OK)
			return;
		if (code == LUN_AGAIN)
			lun_fail(&err, code, "parked");
		note_failure(host, "apply",
		    lun_uow_touches(host->uow, &count)[at].event, &err);
		if (code != LUN_AGAIN && !is_passable(code))
			return;
	}
}

static enum lun_code
keep_loaded(
    void *arg, struct lun_text id, struct lun_text row, struct lun_err *err)
{
	(void)err;
	return lun_uow_loaded(arg, id, row) ? LUN_OK : LUN_NOMEM;
}

static enum lun_code
load_models(struct host *host, struct lun_err *err)
{
	const struct lun_text *ids;
	size_t count;
	enum lun_code code = lun_uow_missing(host->uow, &ids, &count, err);

	if (code == LUN_OK && count > 0)
		code = lun_model_store_load(host->store,
		    lun_only_key(lun_script_schema(host->script)->projection),
		    lun_script_schema(host->script), ids, count, keep_loaded,
		    host->uow, err);
	lun_uow_missing_done(host->uow);
	return code;
}

static enum lun_code
commit(struct host *host, struct lun_err *err)
{
	struct lun_write_set writes = {
	    .schema = lun_script_schema(host->script),
	    .position.lo = host->done + host->batch->count,
	    .key = lun_only_key(lun_script_schema(host->script)->projection),
	    .identity = "spec",
	    .bundle_hash = lun_script_hash(host->script),
	    .bundle = lun_script_bundle(host->script),
	    .expected_revision = host->revision,
	    .fence = host->fence,
	};
	enum lun_code code;

	if (!lun_uow_collect(host->uow, &host->collected))
		return LUN_NOMEM;
	writes.models = host->collected.models;
	writes.model_count = host->collected.model_count;
	code = lun_model_store_commit(host->store, &writes, err);
	if (code == LUN_OK)
		host->revision++;
	lun_uow_settled(host->uow);
	return code;
}

/* One batch: read, apply, commit. */
static enum lun_code
step(struct host *host, struct lun_err *err)
{
	enum lun_code code;

	lun_uow_begin(host->uow);
	extract_all(host);
	code = load_models(host, err);
	if (code == LUN_OK)
		apply_all(host);
	lun_script_end_batch(host->script);
	if (code == LUN_OK)
		code = commit(host, err);
	host->done += host->batch->count;
	return code;
}

static void
push_failures(lua_State *L, const struct host *host)
{
	lua_newtable(L);
	for (size_t i = 0; i < host->failure_count; i++) {
		const struct failure *failure = &host->failures[i];

		push_err(L, &failure->err);
		set_text(L, "phase", failure->phase);
		lua_pushinteger(L, (lua_Integer)failure->event);
		lua_setfield(L, -2, "event");
		lua_pushboolean(L, failure->starved);
		lua_setfield(L, -2, "starved");
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
}

/* script:keeps_nothing(): whether that was found of its functions */
static int
script_keeps_nothing(lua_State *L)
{
	lua_pushboolean(L, check_host(L)->script->functions.stateless);
	return 1;
}

/* script:is_bounded(): whether its instructions are not counted */
static int
script_is_bounded(lua_State *L)
{
	lua_pushboolean(L, check_host(L)->script->functions.bounded);
	return 1;
}

/*
 * script:run(events, size): events in batches of size (all), each failed one
 * passed over; returns the list of failures.
 */
static int
script_run(lua_State *L)
{
	struct host *host = check_host(L);
	size_t count = (luaL_checktype(L, 2, LUA_TTABLE), lua_rawlen(L, 2));
	size_t size = (size_t)luaL_optinteger(L, 3, (lua_Integer)count + 1);
	struct lun_err err;

	host->failure_count = 0;
	for (size_t first = 1; first <= count; first += size) {
		fill_batch(L, host, first, size);
		need(L, step(host, &err), &err);
	}
	push_failures(L, host);
	return 1;
}

static void *
run_thread(void *arg)
{
	struct lun_err err;

	(void)step(arg, &err);
	return NULL;
}

/* script:start(events): one batch on a thread; script:join() waits for it. */
static int
script_start(lua_State *L)
{
	struct host *host = check_host(L);

	host->failure_count = 0;
	fill_batch(L, host, 1, lua_rawlen(L, 2));
	host->on_thread =
	    pthread_create(&host->thread, NULL, run_thread, host) == 0;
	lua_pushboolean(L, host->on_thread);
	return 1;
}

static int
script_join(lua_State *L)
{
	struct host *host = check_host(L);

	if (host->on_thread)
		pthread_join(host->thread, NULL);
	host->on_thread = false;
	push_failures(L, host);
	return 1;
}

/* script:park(id): its model has parked events from now on. */
static int
script_park(lua_State *L)
{
	struct host *host = check_host(L);
	struct lun_text id;

	id.bytes = luaL_checklstring(L, 2, &id.length);
	lua_pushboolean(L, lun_uow_mark_parked(host->uow, id, true));
	return 1;
}

/* ---- results ----------------------------------------------------------- */

static enum lun_code
append_model(
    void *arg, struct lun_text id, struct lun_text row, struct lun_err *err)
{
	void **args = arg;

	(void)err;
	lun_rows_write_model(args[0], args[1], id, row);
	return LUN_OK;
}

/* script:get(id): the stored model as JSON, or nil */
static int
script_get(lua_State *L)
{
	struct host *host = check_host(L);
	const struct lun_schema *schema = lun_script_schema(host->script);
	struct lun_buffer json = {0};
	void *args[] = {&json, (void *)(uintptr_t)schema};
	struct lun_text id;
	struct lun_err err;
	enum lun_code code;

	id.bytes = luaL_checklstring(L, 2, &id.length);
	code =
	    lun_model_store_load(host->store, lun_only_key(schema->projection),
		schema, &id, 1, append_model, args, &err);
	if (json.length == 0)
		lua_pushnil(L);
	else
		lua_pushlstring(L, json.bytes, json.length);
	lun_buffer_free(&json);
	need(L, code, &err);
	return 1;
}

/*
 * script:query(terms): the answer as JSON; or nil and the error, with the
 * number of bytes left in the answer's buffer
 */
static int
script_query(lua_State *L)
{
	struct host *host = check_host(L);
	struct lun_buffer json = {0};
	struct lun_text terms[100];
	size_t count = lua_istable(L, 2) ? lua_rawlen(L, 2) : 0;
	struct lun_err err;
	enum lun_code code;

	for (size_t i = 0; i < count && i < 100; i++) {
		lua_rawgeti(L, 2, (lua_Integer)i + 1);
		terms[i].bytes = luaL_checklstring(L, -1, &terms[i].length);
	}
	code = lun_script_query(host->script, host->store,
	    lun_only_key(lun_script_schema(host->script)->projection), terms,
	    count, 100, 1000, &json, &err);
	if (code == LUN_OK) {
		lua_pushlstring(L, json.bytes, json.length);
		lun_buffer_free(&json);
		return 1;
	}
	fail(L, &err);
	lua_pushinteger(L, (lua_Integer)json.length);
	lua_setfield(L, -2, "left");
	lun_buffer_free(&json);
	return 2;
}

/* ---- the rest ---------------------------------------------------------- */

static int
script_renew(lua_State *L)
{
	struct lun_err err;

	need(L, lun_script_renew(check_host(L)->script, &err), &err);
	return 0;
}

static int
script_progress(lua_State *L)
{
	struct lun_pulse *pulse = lun_script_pulse(check_host(L)->script);

	lua_pushinteger(L, (lua_Integer)atomic_load(&pulse->progress));
	return 1;
}

static int
script_interrupt(lua_State *L)
{
	atomic_store(&lun_script_pulse(check_host(L)->script)->interrupt, true);
	return 0;
}

/* settings(path): list of {name, value}, or nil and the error */
static int
test_settings(lua_State *L)
{
	struct lun_settings_file *file;
	struct lun_err err;

	if (lun_load_settings(luaL_checkstring(L, 1), &file, &err) != LUN_OK)
		return fail(L, &err);
	lua_newtable(L);
	for (size_t i = 0; i < file->count; i++) {
		lua_newtable(L);
		lua_pushstring(L, file->pairs[i].name);
		lua_rawseti(L, -2, 1);
		lua_pushstring(L, file->pairs[i].value);
		lua_rawseti(L, -2, 2);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	lun_settings_file_free(file);
	return 1;
}

static const luaL_Reg script_methods[] = {
    {"bundle", script_bundle},
    {"describe", script_describe},
    {"get", script_get},
    {"interrupt", script_interrupt},
    {"is_bounded", script_is_bounded},
    {"join", script_join},
    {"keeps_nothing", script_keeps_nothing},
    {"park", script_park},
    {"progress", script_progress},
    {"query", script_query},
    {"renew", script_renew},
    {"run", script_run},
    {"start", script_start},
    {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"load", test_load},
    {"load_file", test_load_file},
    {"settings", test_settings},
    {NULL, NULL},
};

int luaopen_script_test(lua_State *L);

int
luaopen_script_test(lua_State *L)
{
	luaL_newmetatable(L, SCRIPT);
	luaL_newlib(L, script_methods);
	lua_setfield(L, -2, "__index");
	lua_pushcfunction(L, script_close);
	lua_setfield(L, -2, "__gc");
	luaL_newlib(L, functions);
	lun_query_object_push(L);
	lua_setfield(L, -2, "query");
	lua_pushlightuserdata(L, lun_json_null());
	lua_setfield(L, -2, "null");
	return 1;
}
