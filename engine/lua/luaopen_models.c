/*
 * luaopen_models.c - reading models, and the operator's side of an engine.
 */

#include "lua/luaopen.h"
#include "script/query_object.h"

#define REQUEST_SECONDS 30

/* The outcome of a call that left JSON in the owner on the top. */
static int
give_json(
    lua_State *L, char **json, enum lun_code code, const struct lun_err *err)
{
	if (code != LUN_OK)
		return lun_host_fail(L, code, err);
	lun_host_push_owned_json(L, json);
	return 1;
}

/* engine:get(projection, id) */
static int
engine_get(lua_State *L)
{
	struct lun_engine *engine = lun_host_check_engine(L);
	const char *projection = lun_host_check_text(L, 2);
	const char *id = lun_host_check_id(L, 3);
	char **json = lun_host_push_owner(L);
	struct lun_err err;
	enum lun_code code = lun_engine_get(engine, projection, id, json, &err);

	return give_json(L, json, code, &err);
}

/* Terms of the list at index 3, in a userdata (+1); the list keeps them. */
static const char **
push_checked_terms(lua_State *L, size_t count)
{
	const char **terms =
	    lua_newuserdatauv(L, (count + 1) * sizeof *terms, 0);

	for (size_t i = 0; i < count; i++) {
		if (lua_rawgeti(L, 3, (lua_Integer)i + 1) != LUA_TSTRING)
			luaL_error(L, "term %d must be a string, got %s",
			    (int)i + 1, luaL_typename(L, -1));
		terms[i] = lun_host_check_text(L, -1);
		lua_pop(L, 1);
	}
	return terms;
}

/*
 * From (projection, terms), (projection, query) or (query) to the projection's
 * name at 2 and a list of terms at 3; a query that was built is such a list.
 */
static void
sort_out_query(lua_State *L)
{
	const char *name;

	lua_settop(L, 3);
	if (lun_query_object_is(L, 2)) {
		if (!lua_isnil(L, 3))
			luaL_error(L, "a query takes no terms beside it");
		lua_copy(L, 2, 3);
		if (lua_getfield(L, 3, "projection") != LUA_TSTRING)
			luaL_error(L, "the query does not say of what");
		lua_replace(L, 2);
		return;
	}
	name = lun_host_check_text(L, 2);
	if (lua_isnil(L, 3)) {
		lua_newtable(L);
		lua_replace(L, 3);
	}
	luaL_checktype(L, 3, LUA_TTABLE);
	if (!lun_query_object_is(L, 3))
		return;
	if (lua_getfield(L, 3, "projection") == LUA_TSTRING &&
	    strcmp(lua_tostring(L, -1), name) != 0)
		luaL_error(L, "a query of %s cannot be asked of %s",
		    lua_tostring(L, -1), name);
	lua_pop(L, 1);
}

/* engine:query(projection, [terms or query]), engine:query(query) */
static int
engine_query(lua_State *L)
{
	struct lun_engine *engine = lun_host_check_engine(L);
	const char *projection;
	const char **terms;
	size_t count;
	char **json;
	struct lun_err err;
	enum lun_code code;

	sort_out_query(L);
	projection = lun_host_check_text(L, 2);
	count = lun_query_object_is(L, 3)
		    ? lua_rawlen(L, 3)
		    : lun_host_check_list(L, 3, "terms such as \"limit=10\"");
	terms = push_checked_terms(L, count);
	json = lun_host_push_owner(L);
	code = lun_engine_query(engine, projection, terms, count, json, &err);
	return give_json(L, json, code, &err);
}

/* engine:status([projection]) */
static int
engine_status(lua_State *L)
{
	struct lun_engine *engine = lun_host_check_engine(L);
	const char *projection = lun_host_opt_text(L, 2);
	char **json = lun_host_push_owner(L);
	struct lun_err err;
	enum lun_code code =
	    projection != NULL
		? lun_projection_status(engine, projection, json, &err)
		: lun_engine_status(engine, json, &err);

	return give_json(L, json, code, &err);
}

/* engine:projections() */
static int
engine_projections(lua_State *L)
{
	struct lun_engine *engine = lun_host_check_engine(L);
	char **json = lun_host_push_owner(L);
	struct lun_err err;
	enum lun_code code = lun_engine_projections(engine, json, &err);

	return give_json(L, json, code, &err);
}

/* engine:parked(projection, [model id]) */
static int
engine_parked(lua_State *L)
{
	struct lun_engine *engine = lun_host_check_engine(L);
	const char *projection = lun_host_check_text(L, 2);
	const char *id = lun_host_opt_id(L, 3);
	char **json = lun_host_push_owner(L);
	struct lun_err err;
	enum lun_code code =
	    lun_engine_parked(engine, projection, id, json, &err);

	return give_json(L, json, code, &err);
}

/* engine:skipped(projection) */
static int
engine_skipped(lua_State *L)
{
	struct lun_engine *engine = lun_host_check_engine(L);
	const char *projection = lun_host_check_text(L, 2);
	char **json = lun_host_push_owner(L);
	struct lun_err err;
	enum lun_code code = lun_engine_skipped(engine, projection, json, &err);

	return give_json(L, json, code, &err);
}

/* engine:gaps(projection) */
static int
engine_gaps(lua_State *L)
{
	struct lun_engine *engine = lun_host_check_engine(L);
	const char *projection = lun_host_check_text(L, 2);
	char **json = lun_host_push_owner(L);
	struct lun_err err;
	enum lun_code code = lun_engine_gaps(engine, projection, json, &err);

	return give_json(L, json, code, &err);
}

/* engine:checkpoint(projection) */
static int
engine_checkpoint(lua_State *L)
{
	struct lun_engine *engine = lun_host_check_engine(L);
	const char *projection = lun_host_check_text(L, 2);
	char **json = lun_host_push_owner(L);
	struct lun_err err;
	enum lun_code code =
	    lun_engine_checkpoint(engine, projection, json, &err);

	return give_json(L, json, code, &err);
}

static int
send_request(
    lua_State *L, enum lun_request_kind kind, const char *argument, int timeout)
{
	struct lun_engine *engine = lun_host_check_engine(L);
	const char *projection = lun_host_check_text(L, 2);
	int64_t ms = lun_host_check_seconds(L, timeout, REQUEST_SECONDS);
	struct lun_err err;
	enum lun_code code =
	    lun_engine_request(engine, projection, kind, argument, ms, &err);

	return lun_host_done(L, code, &err);
}

/* engine:pause(projection, [timeout]) */
static int
engine_pause(lua_State *L)
{
	return send_request(L, LUN_REQUEST_PAUSE, NULL, 3);
}

/* engine:resume(projection, [timeout]) */
static int
engine_resume(lua_State *L)
{
	return send_request(L, LUN_REQUEST_RESUME, NULL, 3);
}

/* engine:rebuild(projection, [timeout]) */
static int
engine_rebuild(lua_State *L)
{
	return send_request(L, LUN_REQUEST_REBUILD, NULL, 3);
}

/* engine:retry(projection, [model id], [timeout]) */
static int
engine_retry(lua_State *L)
{
	return send_request(L, LUN_REQUEST_RETRY, lun_host_opt_id(L, 3), 4);
}

/* engine:discard(projection, [model id], [timeout]) */
static int
engine_discard(lua_State *L)
{
	return send_request(L, LUN_REQUEST_DISCARD, lun_host_opt_id(L, 3), 4);
}

/* engine:set_checkpoint(projection, position, [timeout]) */
static int
engine_set_checkpoint(lua_State *L)
{
	return send_request(
	    L, LUN_REQUEST_SET_CHECKPOINT, lun_host_check_text(L, 3), 4);
}

/* engine:delete_checkpoint(projection, [timeout]) */
static int
engine_delete_checkpoint(lua_State *L)
{
	return send_request(L, LUN_REQUEST_DELETE_CHECKPOINT, NULL, 3);
}

/* engine:adopt_checkpoint(projection, [timeout]) */
static int
engine_adopt_checkpoint(lua_State *L)
{
	return send_request(L, LUN_REQUEST_ADOPT_CHECKPOINT, NULL, 3);
}

const luaL_Reg lun_host_model_methods[] = {
    {"get", engine_get},
    {"query", engine_query},
    {"status", engine_status},
    {"projections", engine_projections},
    {"parked", engine_parked},
    {"skipped", engine_skipped},
    {"gaps", engine_gaps},
    {"checkpoint", engine_checkpoint},
    {"pause", engine_pause},
    {"resume", engine_resume},
    {"rebuild", engine_rebuild},
    {"retry", engine_retry},
    {"discard", engine_discard},
    {"set_checkpoint", engine_set_checkpoint},
    {"delete_checkpoint", engine_delete_checkpoint},
    {"adopt_checkpoint", engine_adopt_checkpoint},
    {NULL, NULL},
};
