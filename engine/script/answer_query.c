/* answer_query.c - a query answered, by handle_query or as it stands. */

#include <lauxlib.h>

#include "base/error.h"
#include "script/query_object.h"
#include "script/read_id.h"
#include "script/script_state.h"
#include "store/rows_as_json.h"
#include "json/decode.h"

struct answer {
	struct lun_script *script;
	struct lun_buffer *out;
	bool in_handler;
};

/* ---- the store in the script's hands ----------------------------------- */

static struct lun_query_run *
check_run(lua_State *L)
{
	struct lun_query_run *run = lun_script_of(L)->query;

	if (run == NULL)
		luaL_error(
		    L, "the store can be asked only inside handle_query");
	return run;
}

/*
 * Raise what the store said. A script may catch its own mistakes in a query,
 * but not a store that is away: its answer would lack rows.
 */
static void
raise_on(lua_State *L, struct lun_query_run *run, const struct lun_err *err)
{
	if (!run->failed) {
		run->failed = err->code != LUN_INVALID;
		run->failure = *err;
	}
	luaL_where(L, 1);
	lua_pushstring(L, err->message);
	lua_concat(L, 2);
	lua_error(L);
}

/* The terms of the builder at index, which keeps their bytes (+1). */
static struct lun_text *
push_builder_terms(lua_State *L, int index, size_t *count)
{
	struct lun_text *terms;

	*count = lua_rawlen(L, index);
	terms = lua_newuserdatauv(L, (*count + 1) * sizeof *terms, 0);
	for (size_t i = 0; i < *count; i++) {
		if (lua_rawgeti(L, index, (lua_Integer)i + 1) != LUA_TSTRING)
			luaL_error(L, "a query holds a term that is no text");
		terms[i].bytes = lua_tolstring(L, -1, &terms[i].length);
		lua_pop(L, 1);
	}
	return terms;
}

static enum lun_code
run_script_query(const struct lun_query_run *run, struct lun_script *script,
    const struct lun_text *terms, size_t count, struct lun_buffer *out,
    struct lun_err *err)
{
	const struct lun_schema *schema = script->about.schema;
	struct lun_query *query;
	enum lun_code code = lun_query_parse(schema, terms, count,
	    run->default_limit, run->max_limit, &query, err);

	if (code != LUN_OK)
		return code;
	code = lun_rows_write_query(
	    run->models, run->key, schema, query, out, err);
	lun_query_free(query);
	return code;
}

/* A query that names a projection can be asked of that one alone. */
static void
check_own_models(lua_State *L, int query, const char *own)
{
	const char *asked;

	lua_pushliteral(L, "projection");
	lua_rawget(L, query);
	asked = lua_isnil(L, -1)                 ? own
		: lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1)
						 : luaL_typename(L, -1);
	if (strcmp(asked, own) != 0 ||
	    (lua_isstring(L, -1) && lua_rawlen(L, -1) != strlen(own)))
		luaL_error(L,
		    "store:query answers with this projection's own models, "
		    "and the query is of %s: build it with lunette.query()",
		    asked);
	lua_pop(L, 1);
}

/* Whoever says more, such as a projection, would be answered without it. */
static void
need_one_argument(lua_State *L, const char *usage)
{
	if (lua_gettop(L) > 2)
		luaL_error(L,
		    "%s takes nothing more: it answers with this projection's "
		    "own models",
		    usage);
}

/* store:query(query): a list of plain tables; times as RFC 3339 text */
static int
store_query(lua_State *L)
{
	struct lun_script *script = lun_script_of(L);
	struct lun_query_run *run = check_run(L);
	const struct lun_text *terms;
	struct lun_err err;
	enum lun_code code;
	size_t count;

	need_one_argument(L, "store:query(query)");
	if (!lun_query_object_is(L, 2))
		luaL_error(L, "store:query expects a query, got %s",
		    luaL_typename(L, 2));
	check_own_models(L, 2, script->about.schema->projection);
	terms = push_builder_terms(L, 2, &count);
	lun_buffer_clear(&script->json);
	lun_vm_pause(script->vm);
	code = run_script_query(run, script, terms, count, &script->json, &err);
	lun_vm_resume(script->vm);
	if (code != LUN_OK)
		raise_on(L, run, &err);
	lun_json_push_answer(L, lun_buffer_text(&script->json));
	return 1;
}

struct found {
	struct lun_script *script;
	bool any;
};

static enum lun_code
take_model(
    void *arg, struct lun_text id, struct lun_text row, struct lun_err *err)
{
	struct found *found = arg;
	struct lun_script *script = found->script;

	(void)err;
	found->any = true;
	lun_rows_write_model(&script->json, script->about.schema, id, row);
	return LUN_OK;
}

/* store:get(id): the model as a plain table, or nil */
static int
store_get(lua_State *L)
{
	struct lun_script *script = lun_script_of(L);
	struct lun_query_run *run = check_run(L);
	struct found found = {.script = script};
	struct lun_text id;
	struct lun_err err;
	enum lun_code code;

	need_one_argument(L, "store:get(id)");
	id = lun_script_read_id(L, script, 2);
	lun_buffer_clear(&script->json);
	lun_vm_pause(script->vm);
	code = lun_model_store_load(run->models, run->key, script->about.schema,
	    &id, 1, take_model, &found, &err);
	lun_vm_resume(script->vm);
	if (code != LUN_OK)
		raise_on(L, run, &err);
	if (script->json.failed)
		lun_vm_raise_no_memory(L);
	if (!found.any)
		return 0;
	lun_json_push_answer(L, lun_buffer_text(&script->json));
	return 1;
}

static const luaL_Reg store_methods[] = {
    {"query", store_query},
    {"get", store_get},
    {NULL, NULL},
};

/* ---- the query in the script's hands ----------------------------------- */

static struct lun_text
name_of(struct lun_text term)
{
	const char *end =
	    term.length > 0 ? memchr(term.bytes, '=', term.length) : NULL;

	if (end != NULL)
		term.length = (size_t)(end - term.bytes);
	return term;
}

/* params[name] = value, or a list of values if the name came before. */
static void
add_param(lua_State *L, int params, struct lun_text term)
{
	struct lun_text name = name_of(term);
	size_t skipped = name.length + (name.length < term.length);

	lua_pushlstring(L, name.bytes, name.length);
	lua_pushvalue(L, -1);
	switch (lua_rawget(L, params)) {
	case LUA_TNIL:
		lua_pop(L, 1);
		lua_pushlstring(L, term.bytes + skipped, term.length - skipped);
		break;
	case LUA_TSTRING:
		lua_createtable(L, 2, 0);
		lua_insert(L, -2);
		lua_rawseti(L, -2, 1);
		/* fall through */
	default:
		lua_pushlstring(L, term.bytes + skipped, term.length - skipped);
		lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
	}
	lua_rawset(L, params);
}

/* Push (+1) a builder with the request's terms, also raw as `params`. */
static void
push_request(lua_State *L, const struct lun_query_run *run)
{
	int params;

	lun_query_object_push_builder(L);
	lua_pushliteral(L, "params");
	lua_newtable(L);
	params = lua_gettop(L);
	for (size_t i = 0; i < run->term_count; i++) {
		struct lun_text term = run->terms[i];

		lua_pushlstring(L, term.bytes, term.length);
		lua_rawseti(L, params - 2, (lua_Integer)i + 1);
		add_param(L, params, term);
	}
	lua_rawset(L, params - 2);
}

/* ---- the answer -------------------------------------------------------- */

/* The rows on top, as a JSON array into out. */
static void
write_rows(lua_State *L, struct lun_buffer *out)
{
	size_t start = out->length;

	if (!lua_istable(L, -1))
		luaL_error(L, "expected a list of rows, got %s%s",
		    lun_json_is_null(L, -1) ? "" : "a ",
		    lun_json_is_null(L, -1) ? "null" : luaL_typename(L, -1));
	if (!lun_json_is_plain(L, -1))
		luaL_error(L, "expected a list of rows, got a table with a "
			      "metatable");
	lua_pushnil(L);
	if (lua_next(L, -2) == 0)
		lun_json_mark_array(L, -1);
	else
		lua_pop(L, 2);
	lun_json_encode_plain(L, -1, NULL, out);
	if (!out->failed && out->bytes[start] != '[')
		luaL_error(L, "expected a list of rows, got one table");
}

static int
query_protected(lua_State *L)
{
	struct answer *answer = lua_touserdata(L, 1);
	struct lun_script *script = answer->script;

	lua_rawgeti(L, LUA_REGISTRYINDEX, script->functions.query.reference);
	luaL_newlib(L, store_methods);
	push_request(L, script->query);
	answer->in_handler = true;
	lun_vm_enter(script->vm);
	lua_call(L, 2, 1);
	lun_vm_leave(script->vm);
	answer->in_handler = false;
	write_rows(L, answer->out);
	return 0;
}

static enum lun_code
outcome_of_query(const struct answer *answer, const struct lun_query_run *run,
    enum lun_code code, struct lun_err *err)
{
	const struct lun_script *script = answer->script;

	if (run->failed || (code == LUN_SCRIPT && answer->in_handler &&
			       run->failure.code != LUN_OK)) {
		if (err != NULL)
			*err = run->failure;
		return run->failure.code;
	}
	if (lun_vm_starved(script->vm) ||
	    (code == LUN_SCRIPT && !answer->in_handler))
		return lun_script_blame(script, &script->functions.query,
		    "handle_query", code, err);
	return code;
}

static enum lun_code
call_handle_query(struct lun_script *script, struct lun_query_run *run,
    struct lun_buffer *out, struct lun_err *err)
{
	struct answer answer = {.script = script, .out = out};
	size_t start = out->length;
	enum lun_code code;

	if (lun_vm_spent(script->vm)) {
		code = lun_script_renew(script, err);
		if (code != LUN_OK)
			return code;
	}
	script->query = run;
	lun_vm_count(script->vm, true);
	code = lun_vm_protect(script->vm, query_protected, &answer, err);
	script->query = NULL;
	code = outcome_of_query(&answer, run, code, err);
	if (code != LUN_OK)
		out->length = start;
	return code;
}

enum lun_code
lun_script_query(struct lun_script *script, struct lun_model_store *models,
    struct lun_key key, const struct lun_text *terms, size_t count,
    uint64_t default_limit, uint64_t max_limit, struct lun_buffer *out,
    struct lun_err *err)
{
	struct lun_query_run run = {.models = models,
	    .key = key,
	    .terms = terms,
	    .term_count = count,
	    .default_limit = default_limit,
	    .max_limit = max_limit};
	enum lun_code code;

	if (script->about.has_query)
		code = call_handle_query(script, &run, out, err);
	else
		code = run_script_query(&run, script, terms, count, out, err);
	if (code == LUN_OK && out->failed)
		return lun_fail(err, LUN_NOMEM, "answering: out of memory");
	return code;
}
