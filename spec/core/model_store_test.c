/*
 * model_store_test.c - model stores for specs.
 *
 * A call that fails gives nil, message, code. A row is a table by field name;
 * an absent key is a null. A timestamp is {timestamp = µs}, json {json = text}.
 */

#include <string.h>

#include "lua_test.h"
#include "model_test.h"

/* ---- values ------------------------------------------------------------ */

static void
push_boxed(lua_State *L, const char *key)
{
	lua_createtable(L, 0, 1);
	lua_insert(L, -2);
	lua_setfield(L, -2, key);
}

static void
push_value(lua_State *L, const struct lun_value *value)
{
	switch (value->kind) {
	case LUN_VALUE_NULL:
		lua_pushlightuserdata(L, NULL);
		break;
	case LUN_VALUE_TEXT:
		push_text(L, value->text);
		break;
	case LUN_VALUE_INTEGER:
		lua_pushinteger(L, value->integer);
		break;
	case LUN_VALUE_NUMBER:
		lua_pushnumber(L, value->number);
		break;
	case LUN_VALUE_BOOLEAN:
		lua_pushboolean(L, value->integer != 0);
		break;
	case LUN_VALUE_TIMESTAMP:
		lua_pushinteger(L, value->integer);
		push_boxed(L, "timestamp");
		break;
	case LUN_VALUE_JSON:
		push_text(L, value->text);
		push_boxed(L, "json");
		break;
	}
}

/* ---- schemas ----------------------------------------------------------- */

/* schema(projection, version, text) */
static int
schema(lua_State *L)
{
	const char *projection = luaL_checkstring(L, 1);
	int version = (int)luaL_checkinteger(L, 2);
	struct lun_text text = check_text(L, 3);
	struct lun_schema **box = lua_newuserdatauv(L, sizeof *box, 0);
	struct lun_err err;
	enum lun_code code;

	*box = NULL;
	luaL_setmetatable(L, SCHEMA);
	code = lun_schema_parse(projection, version, text, box, &err);
	return code == LUN_OK ? 1 : push_failure(L, code, &err);
}

static int
schema_gc(lua_State *L)
{
	lun_schema_free(*(struct lun_schema **)lua_touserdata(L, 1));
	return 0;
}

/* ---- opening and closing ----------------------------------------------- */

static struct lun_model_store **
push_store(lua_State *L)
{
	struct lun_model_store **box = lua_newuserdatauv(L, sizeof *box, 0);

	*box = NULL;
	luaL_setmetatable(L, STORE);
	return box;
}

static lua_Integer
option(lua_State *L, const char *name, lua_Integer initial)
{
	lua_Integer value = initial;

	if (lua_istable(L, 2)) {
		lua_getfield(L, 2, name);
		value = luaL_optinteger(L, -1, initial);
		lua_pop(L, 1);
	}
	return value;
}

/* open(url[, options]) */
static int
store_open(lua_State *L)
{
	struct lun_store_options options = {
	    .busy_timeout_ms = option(L, "busy_timeout_ms", 5000),
	    .call_timeout_ms = option(L, "call_timeout_ms", 0),
	    .synchronous = "off",
	    .wal_autocheckpoint_pages =
		option(L, "wal_autocheckpoint_pages", 1000),
	    .cache_kib = option(L, "cache_kib", 2000),
	    .must_exist = option(L, "must_exist", 0) != 0,
	    .connections = option(L, "connections", 0),
	};
	const char *url = luaL_checkstring(L, 1);
	struct lun_model_store **box = push_store(L);
	struct lun_err err;
	enum lun_code code = lun_model_store_open(url, &options, box, &err);

	return code == LUN_OK ? 1 : push_failure(L, code, &err);
}

static int
store_connect(lua_State *L)
{
	struct lun_model_store *store = check_store(L, 1);
	struct lun_model_store **box = push_store(L);
	struct lun_err err;
	enum lun_code code = lun_model_store_connect(store, box, &err);

	return code == LUN_OK ? 1 : push_failure(L, code, &err);
}

static int
store_connect_kept(lua_State *L)
{
	struct lun_model_store *store = check_store(L, 1);
	struct lun_model_store **box = push_store(L);
	struct lun_err err;
	enum lun_code code = lun_model_store_connect_kept(store, box, &err);

	return code == LUN_OK ? 1 : push_failure(L, code, &err);
}

static int
store_tend(lua_State *L)
{
	lun_model_store_tend(check_store(L, 1));
	return 0;
}

static int
store_is_away(lua_State *L)
{
	lua_pushboolean(L, lun_model_store_is_away(check_store(L, 1)));
	return 1;
}

static int
store_close(lua_State *L)
{
	struct lun_model_store **box = luaL_checkudata(L, 1, STORE);

	lun_model_store_close(*box);
	*box = NULL;
	return 0;
}

/* ---- ownership --------------------------------------------------------- */

/*
 * acquire(projection, owner[, time to live]) -> fence, or nil, message, code,
 * holder
 */
static int
store_acquire(lua_State *L)
{
	char holder[LUN_OWNER_SIZE] = "";
	struct lun_err err;
	int64_t fence;
	enum lun_code code = lun_model_store_acquire(check_store(L, 1),
	    check_key(L, 2), luaL_checkstring(L, 3),
	    luaL_optinteger(L, 4, 10000), &fence, holder, &err);

	if (code != LUN_OK) {
		push_failure(L, code, &err);
		lua_pushstring(L, holder);
		return 4;
	}
	lua_pushinteger(L, fence);
	return 1;
}

static int
store_renew(lua_State *L)
{
	struct lun_err err;
	enum lun_code code =
	    lun_model_store_renew_one(check_store(L, 1), check_key(L, 2),
		luaL_checkinteger(L, 3), luaL_optinteger(L, 4, 10000), &err);

	return push_done(L, code, &err);
}

#define LEASES_MAX 10

/* {{key, fence}, ...}, also on the stack, for as long as it is there */
static size_t
check_leases(lua_State *L, int index, struct lun_lease *leases)
{
	size_t count = lua_rawlen(L, index);

	luaL_argcheck(L, count <= LEASES_MAX, index, "too many");
	luaL_checkstack(L, (int)count + 4, NULL);
	for (size_t i = 0; i < count; i++) {
		lua_rawgeti(L, index, (lua_Integer)i + 1);
		lua_rawgeti(L, -1, 2);
		leases[i].fence = luaL_checkinteger(L, -1);
		lua_pop(L, 1);
		lua_rawgeti(L, -1, 1);
		leases[i].key = check_key(L, -1);
		lua_remove(L, -2);
	}
	return count;
}

/*
 * renew_all({{key, fence}, ...}[, time to live]) -> {"ok" or why not, ...}
 */
static int
store_renew_all(lua_State *L)
{
	struct lun_lease leases[LEASES_MAX];
	int64_t time_to_live_ms = luaL_optinteger(L, 3, 10000);
	size_t count = check_leases(L, 2, leases);
	struct lun_err err;
	enum lun_code code = lun_model_store_renew(
	    check_store(L, 1), leases, count, time_to_live_ms, &err);

	if (code != LUN_OK)
		return push_failure(L, code, &err);
	lua_createtable(L, (int)count, 0);
	for (size_t i = 0; i < count; i++) {
		code = lun_lease_check(&leases[i], &err);
		lua_pushstring(L, code == LUN_OK ? "ok" : err.message);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	return 1;
}

static int
store_release(lua_State *L)
{
	lun_model_store_release(
	    check_store(L, 1), check_key(L, 2), luaL_checkinteger(L, 3));
	return 0;
}

/* ---- projections ------------------------------------------------------- */

/* define(schema, fence) */
static int
store_define(lua_State *L)
{
	struct lun_err err;
	enum lun_code code = lun_model_store_define(check_store(L, 1),
	    check_key(L, 2), check_schema(L, 2), luaL_checkinteger(L, 3), &err);

	return push_done(L, code, &err);
}

/* reset(schema, revision, fence) */
static int
store_reset(lua_State *L)
{
	struct lun_err err;
	enum lun_code code = lun_model_store_reset(check_store(L, 1),
	    check_key(L, 2), check_schema(L, 2), check_guard(L, 3), &err);

	return push_done(L, code, &err);
}

/* drop(projection, revision, fence) */
static int
store_drop(lua_State *L)
{
	struct lun_err err;
	enum lun_code code = lun_model_store_drop(
	    check_store(L, 1), check_key(L, 2), check_guard(L, 3), &err);

	return push_done(L, code, &err);
}

/* index(schema) */
static int
store_index(lua_State *L)
{
	atomic_bool stop;
	struct lun_err err;
	enum lun_code code;

	atomic_init(&stop, false);
	code = lun_model_store_index(check_store(L, 1), check_key(L, 2),
	    check_schema(L, 2), &stop, &err);
	return push_done(L, code, &err);
}

static void
push_checkpoint(lua_State *L, const struct lun_checkpoint *c)
{
	lua_newtable(L);
	set_integer(L, "version", c->version);
	push_position(L, c->position);
	lua_setfield(L, -2, "position");
	set_integer(L, "revision", c->revision);
	set_integer(L, "rows_revision", c->rows_revision);
	set_integer(L, "projection_revision", c->projection_revision);
	set_integer(L, "fence", c->fence);
	lua_pushboolean(L, c->paused);
	lua_setfield(L, -2, "paused");
	set_text(L, "identity", lun_text_of(c->identity));
	set_text(L, "bundle_hash", lun_text_of(c->bundle_hash));
	set_integer(L, "script_count", c->script_count);
	set_integer(L, "committed_at", c->committed_at);
	set_integer(L, "parked_count", (int64_t)c->parked_count);
	set_integer(L, "skipped_count", (int64_t)c->skipped_count);
	lua_pushlstring(L,
	    c->source_state.bytes != NULL ? c->source_state.bytes : "",
	    c->source_state.length);
	lua_setfield(L, -2, "source_state");
	set_text(L, "schema", lun_buffer_text(&c->schema));
}

static int
store_checkpoint(lua_State *L)
{
	struct lun_checkpoint checkpoint;
	struct lun_err err;
	enum lun_code code = lun_model_store_checkpoint(
	    check_store(L, 1), check_key(L, 2), &checkpoint, &err);

	if (code != LUN_OK)
		return push_failure(L, code, &err);
	push_checkpoint(L, &checkpoint);
	lun_checkpoint_free(&checkpoint);
	return 1;
}

/* set_position(projection, position, source state, revision, fence) */
static int
store_set_position(lua_State *L)
{
	struct lun_err err;
	enum lun_code code = lun_model_store_set_position(check_store(L, 1),
	    check_key(L, 2), check_position(L, 3), optional_text(L, 4),
	    check_guard(L, 5), &err);

	return push_done(L, code, &err);
}

/* adopt(projection, identity, revision, fence) */
static int
store_adopt(lua_State *L)
{
	struct lun_err err;
	enum lun_code code = lun_model_store_adopt(check_store(L, 1),
	    check_key(L, 2), luaL_checkstring(L, 3), check_guard(L, 4), &err);

	return push_done(L, code, &err);
}

/* set_paused(projection, paused, revision of the projection, fence) */
static int
store_set_paused(lua_State *L)
{
	struct lun_err err;
	enum lun_code code = lun_model_store_set_paused(check_store(L, 1),
	    check_key(L, 2), lua_toboolean(L, 3), check_guard(L, 4), &err);

	return push_done(L, code, &err);
}

static enum lun_code
append_name(void *arg, const char *projection, struct lun_err *err)
{
	(void)err;
	lua_pushstring(arg, projection);
	append(arg);
	return LUN_OK;
}

static int
store_list(lua_State *L)
{
	struct lun_model_store *store = check_store(L, 1);
	struct lun_err err;
	enum lun_code code;

	lua_newtable(L);
	code = lun_model_store_list(store, append_name, L, &err);
	return code == LUN_OK ? 1 : push_failure(L, code, &err);
}

/* projection(name) -> {live_build=, last_build=, paused=, revision=} */
static int
store_projection(lua_State *L)
{
	struct lun_projection_info info;
	struct lun_err err;
	enum lun_code code = lun_model_store_projection(
	    check_store(L, 1), luaL_checkstring(L, 2), &info, &err);

	if (code != LUN_OK)
		return push_failure(L, code, &err);
	lua_newtable(L);
	set_integer(L, "live_build", info.live_build);
	set_integer(L, "last_build", info.last_build);
	lua_pushboolean(L, info.paused);
	lua_setfield(L, -2, "paused");
	set_integer(L, "revision", info.revision);
	return 1;
}

static enum lun_code
append_build(void *arg, const struct lun_build *build, struct lun_err *err)
{
	lua_State *L = arg;

	(void)err;
	lua_newtable(L);
	set_integer(L, "number", build->number);
	set_integer(L, "version", build->version);
	set_text(L, "state", lun_text_of(build->state));
	set_text(L, "reason", lun_text_of(build->reason));
	set_integer(L, "made_at", build->made_at);
	set_integer(L, "kept_until", build->kept_until);
	set_text(L, "bundle_hash", lun_text_of(build->bundle_hash));
	set_text(L, "schema", build->schema);
	append(L);
	return LUN_OK;
}

/* builds(name) -> a list of builds */
static int
store_builds(lua_State *L)
{
	struct lun_model_store *store = check_store(L, 1);
	const char *name = luaL_checkstring(L, 2);
	struct lun_err err;
	enum lun_code code;

	lua_newtable(L);
	code = lun_model_store_builds(store, name, append_build, L, &err);
	return code == LUN_OK ? 1 : push_failure(L, code, &err);
}

/* ---- models ------------------------------------------------------------ */

struct receiver {
	lua_State *L;
	const struct lun_schema *schema;
};

/* Into the table on top: id -> row. */
static enum lun_code
receive_model(
    void *arg, struct lun_text id, struct lun_text row, struct lun_err *err)
{
	struct receiver *r = arg;
	struct lun_value value;

	(void)err;
	push_text(r->L, id);
	lua_newtable(r->L);
	for (size_t i = 0; lun_row_next(&row, &value); i++)
		if (value.kind != LUN_VALUE_NULL) {
			push_value(r->L, &value);
			lua_setfield(r->L, -2, r->schema->fields[i].name);
		}
	lua_rawset(r->L, -3);
	return LUN_OK;
}

/* load(schema, ids) -> rows by id */
static int
store_load(lua_State *L)
{
	struct lun_model_store *store = check_store(L, 1);
	struct receiver r = {L, check_schema(L, 2)};
	size_t count = lua_rawlen(L, 3);
	struct lun_text *ids =
	    lua_newuserdatauv(L, (count + 1) * sizeof *ids, 0);
	struct lun_err err;
	enum lun_code code;

	for (size_t i = 0; i < count; i++) {
		lua_rawgeti(L, 3, (lua_Integer)i + 1);
		ids[i] = check_text(L, -1); /* the list keeps it alive */
		lua_pop(L, 1);
	}
	lua_newtable(L);
	code = lun_model_store_load(store, check_key(L, 2), r.schema, ids,
	    count, receive_model, &r, &err);
	return code == LUN_OK ? 1 : push_failure(L, code, &err);
}

static enum lun_code
receive_values(void *arg, const struct lun_value *values, size_t count,
    struct lun_err *err)
{
	lua_State *L = arg;

	(void)err;
	lua_createtable(L, (int)count, 0);
	for (size_t i = 0; i < count; i++) {
		push_value(L, &values[i]);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	append(L);
	return LUN_OK;
}

/* query(schema, term...) -> a list of lists of values */
static int
store_query(lua_State *L)
{
	struct lun_model_store *store = check_store(L, 1);
	const struct lun_schema *wanted = check_schema(L, 2);
	int count = lua_gettop(L) - 2;
	struct lun_text terms[20] = {{0}};
	struct lun_query *query;
	struct lun_err err;
	enum lun_code code;

	luaL_argcheck(L, count <= 20, 3, "too many terms");
	for (int i = 0; i < count; i++)
		terms[i] = check_text(L, 3 + i);
	code = lun_query_parse(
	    wanted, terms, (size_t)count, 1000, 100000, &query, &err);
	if (code != LUN_OK)
		return push_failure(L, code, &err);
	lua_newtable(L);
	code = lun_model_store_query(
	    store, check_key(L, 2), wanted, query, receive_values, L, &err);
	lun_query_free(query);
	return code == LUN_OK ? 1 : push_failure(L, code, &err);
}

/* ---- the module -------------------------------------------------------- */

static const luaL_Reg store_methods[] = {
    {"connect", store_connect},
    {"connect_kept", store_connect_kept},
    {"tend", store_tend},
    {"is_away", store_is_away},
    {"close", store_close},
    {"acquire", store_acquire},
    {"renew", store_renew},
    {"renew_all", store_renew_all},
    {"release", store_release},
    {"define", store_define},
    {"reset", store_reset},
    {"index", store_index},
    {"drop", store_drop},
    {"checkpoint", store_checkpoint},
    {"set_position", store_set_position},
    {"adopt", store_adopt},
    {"set_paused", store_set_paused},
    {"list", store_list},
    {"projection", store_projection},
    {"builds", store_builds},
    {"load", store_load},
    {"query", store_query},
    {"__gc", store_close},
    {NULL, NULL},
};

static const luaL_Reg schema_methods[] = {
    {"__gc", schema_gc},
    {NULL, NULL},
};

int luaopen_model_store_test(lua_State *L);

int
luaopen_model_store_test(lua_State *L)
{
	static const luaL_Reg functions[] = {
	    {"open", store_open},
	    {"schema", schema},
	    {NULL, NULL},
	};

	make_class(L, STORE, store_methods);
	make_class(L, SCHEMA, schema_methods);
	luaL_newlib(L, functions);
	lua_pushlightuserdata(L, NULL);
	lua_setfield(L, -2, "null");
	return 1;
}
