/* script.c - a projection script: load, validate, describe. */

#include "script/script.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/error.h"
#include "script/bounded.h"
#include "script/event_object.h"
#include "script/lunette_object.h"
#include "script/model_object.h"
#include "script/sandbox.h"
#include "script/script_state.h"
#include "script/source.h"
#include "script/stateless.h"
#include "json/decode.h"
#include "json/scan.h"
#include "json/write.h"

#define UNCOUNTED_MAX 10000 /* instructions of a call: some 100 us */

/* A Lua state being built, to become the script's. */
struct building {
	struct lun_script *script;
	struct lun_vm *vm;
	struct lun_declaration about;
	struct lun_script_functions functions;
	enum lun_code code;
	struct lun_err *err;
};

/* ---- the state --------------------------------------------------------- */

/* How many of `most` arguments the function on top looks at, at least one. */
static int
count_arguments(const lua_Debug *about, int most)
{
	if (about->isvararg || about->nparams > most)
		return most;
	return about->nparams > 1 ? about->nparams : 1;
}

/* Pop the function on top and refer to it. */
static void
keep_handler(lua_State *L, struct lun_handler *handler, int arguments)
{
	lua_Debug about;

	lua_pushvalue(L, -1);
	lua_getinfo(L, ">Su", &about);
	handler->line = about.linedefined;
	handler->arguments = count_arguments(&about, arguments);
	handler->reference = luaL_ref(L, LUA_REGISTRYINDEX);
}

/* A function of the table on top, if it is there. */
static void
keep_named(
    lua_State *L, const char *name, struct lun_handler *handler, int arguments)
{
	lua_pushstring(L, name);
	if (lua_rawget(L, -2) == LUA_TNIL)
		lua_pop(L, 1);
	else
		keep_handler(L, handler, arguments);
}

static bool
keep_on(lua_State *L, struct building *b)
{
	const struct lun_event_filter *filter = &b->about.filter;

	b->functions.on = calloc(filter->type_count, sizeof *b->functions.on);
	if (b->functions.on == NULL)
		return false;
	lua_pushstring(L, "on");
	lua_rawget(L, -2);
	for (size_t i = 0; i < filter->type_count; i++) {
		struct lun_text type = filter->types[i];

		lua_pushlstring(L, type.bytes, type.length);
		lua_rawget(L, -2);
		keep_handler(L, &b->functions.on[i], 3);
	}
	lua_pop(L, 1);
	return true;
}

static void
keep_names(lua_State *L, struct building *b)
{
	const struct lun_schema *schema = b->about.schema;

	lua_createtable(L, (int)schema->field_count, 0);
	for (size_t i = 0; i < schema->field_count; i++) {
		lua_pushstring(L, schema->fields[i].name);
		b->functions.name_addresses[i] = lua_topointer(L, -1);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	b->functions.names = luaL_ref(L, LUA_REGISTRYINDEX);
}

/* So many instructions more or less in a call are as good as none. */
static int64_t
count_bound(const struct lun_script *script)
{
	int64_t bound = script->limits.instructions / 100;

	return bound < UNCOUNTED_MAX ? bound : UNCOUNTED_MAX;
}

/* Push (+1) a list of the functions that build models. */
static void
push_builders(lua_State *L, const struct building *b)
{
	lua_Integer count = 0;

	lua_createtable(L, 2, 0);
	lua_rawgeti(L, LUA_REGISTRYINDEX, b->functions.extract.reference);
	lua_rawseti(L, -2, ++count);
	if (!b->about.by_type) {
		lua_rawgeti(L, LUA_REGISTRYINDEX, b->functions.apply.reference);
		lua_rawseti(L, -2, ++count);
		return;
	}
	for (size_t i = 0; i < b->about.filter.type_count; i++) {
		lua_rawgeti(L, LUA_REGISTRYINDEX, b->functions.on[i].reference);
		lua_rawseti(L, -2, ++count);
	}
}

/* Run the chunk; its result is pushed (+1). */
static void
push_result(lua_State *L, struct building *b)
{
	const struct lun_buffer *source = &b->script->source;

	lua_pushfstring(L, "@%s", b->script->chunk);
	if (luaL_loadbufferx(L, source->bytes != NULL ? source->bytes : "",
		source->length, lua_tostring(L, -1), "t") != LUA_OK)
		lua_error(L);
	lun_vm_enter(b->vm);
	lua_call(L, 0, 1);
	lun_vm_leave(b->vm);
}

static int
build_protected(lua_State *L)
{
	struct building *b = lua_touserdata(L, 1);

	lun_json_setup(L);
	lun_event_object_setup(L, &b->functions);
	lun_model_object_setup(L, &b->functions);
	lun_lunette_object_push(L);
	lun_sandbox_open(L);
	push_result(L, b);
	b->code =
	    lun_declaration_read(L, -1, b->script->chunk, &b->about, b->err);
	if (b->code != LUN_OK)
		return 0;
	keep_named(L, "extract_model_id", &b->functions.extract, 1);
	keep_named(L, "apply_to_model", &b->functions.apply, 3);
	keep_named(L, "handle_query", &b->functions.query, 2);
	if (b->about.by_type && !keep_on(L, b)) {
		b->code = lun_fail(b->err, LUN_NOMEM, "out of memory");
		return 0;
	}
	keep_names(L, b);
	push_builders(L, b);
	b->functions.stateless = lun_stateless_check(L, -1, &b->script->text);
	b->functions.assigned = luaL_ref(L, LUA_REGISTRYINDEX);
	b->functions.bounded =
	    b->functions.stateless &&
	    lun_bounded_check(L, -1, count_bound(b->script), &b->script->text);
	lua_createtable(L, LUN_SCRIPT_SLICE, 0);
	b->functions.objects = luaL_ref(L, LUA_REGISTRYINDEX);
	return 0;
}

/* Messages about the script begin with its path. */
static enum lun_code
name_chunk(
    const struct lun_script *script, enum lun_code code, struct lun_err *err)
{
	size_t length = strlen(script->chunk);

	if (err == NULL || strncmp(err->message, script->chunk, length) == 0)
		return code;
	return lun_wrap(err, code, "%s", script->chunk);
}

static void
abandon_building(struct building *b)
{
	lun_vm_free(b->vm);
	lun_declaration_free(&b->about);
	free(b->functions.on);
}

/* A state of its own for the script; b is empty after a failure. */
static enum lun_code
build_state(struct building *b, struct lun_script *script, struct lun_err *err)
{
	enum lun_code code;

	*b = (struct building){.script = script, .err = err};
	code = lun_vm_new(&script->limits, &script->pulse, script, &b->vm, err);
	if (code == LUN_OK)
		code = lun_vm_protect(b->vm, build_protected, b, err);
	if (code == LUN_OK)
		code = b->code;
	if (code == LUN_OK)
		return LUN_OK;
	abandon_building(b);
	return name_chunk(script, code, err);
}

enum lun_code
lun_script_renew(struct lun_script *script, struct lun_err *err)
{
	struct building b;
	enum lun_code code = build_state(&b, script, err);

	if (code != LUN_OK)
		return code;
	/* What others borrow from a description that is there stays there. */
	if (script->about.schema == NULL)
		script->about = b.about;
	else
		lun_declaration_free(&b.about);
	lun_vm_free(script->vm);
	free(script->functions.on);
	script->vm = b.vm;
	script->functions = b.functions;
	return LUN_OK;
}

/* ---- life -------------------------------------------------------------- */

static void
compute_hash(struct lun_script *script)
{
	XXH128_hash_t hash =
	    XXH3_128bits(script->bundle.bytes, script->bundle.length);

	snprintf(script->hash, sizeof script->hash, "%016llx%016llx",
	    (unsigned long long)hash.high64, (unsigned long long)hash.low64);
}

static enum lun_code
make_bundle(struct lun_script *script, struct lun_err *err)
{
	struct lun_text source = lun_buffer_text(&script->source);

	if (!lun_utf8_valid(source))
		return lun_fail(err, LUN_SCRIPT,
		    "%s: is not UTF-8: save the text in that encoding",
		    script->chunk);
	lun_buffer_printf(&script->bundle, "{\"format\":1,\"script\":");
	lun_json_write_string(&script->bundle, source);
	lun_buffer_add_byte(&script->bundle, '}');
	if (script->bundle.failed)
		return lun_fail(
		    err, LUN_NOMEM, "%s: out of memory", script->chunk);
	compute_hash(script);
	return LUN_OK;
}

enum lun_code
lun_script_new(const char *chunk, struct lun_text source,
    const struct lun_script_limits *limits, struct lun_script **out,
    struct lun_err *err)
{
	enum lun_code code = lun_source_begin(chunk, &source, LUN_SCRIPT, err);
	struct lun_script *script;

	if (code != LUN_OK)
		return code;
	script = calloc(1, sizeof *script);
	if (script == NULL)
		return lun_fail(err, LUN_NOMEM, "%s: out of memory", chunk);
	script->limits = *limits;
	script->chunk = strdup(chunk);
	lun_buffer_add_text(&script->source, source);
	if (script->chunk == NULL || script->source.failed)
		code = lun_fail(err, LUN_NOMEM, "%s: out of memory", chunk);
	else
		code = make_bundle(script, err);
	if (code != LUN_OK) {
		lun_script_free(script);
		return code;
	}
	*out = script;
	return LUN_OK;
}

void
lun_script_free(struct lun_script *script)
{
	if (script == NULL)
		return;
	lun_vm_free(script->vm);
	lun_declaration_free(&script->about);
	lun_buffer_free(&script->source);
	lun_buffer_free(&script->bundle);
	lun_buffer_free(&script->row);
	lun_buffer_free(&script->json);
	lun_buffer_free(&script->text);
	free(script->functions.on);
	free(script->listed);
	free(script->chunk);
	free(script);
}

/* ---- what the table says ----------------------------------------------- */

const struct lun_schema *
lun_script_schema(const struct lun_script *script)
{
	return script->about.schema;
}

struct lun_text
lun_script_source(const struct lun_script *script)
{
	return lun_buffer_text(&script->source);
}

struct lun_text
lun_script_bundle(const struct lun_script *script)
{
	return lun_buffer_text(&script->bundle);
}

const char *
lun_script_hash(const struct lun_script *script)
{
	return script->hash;
}

const struct lun_event_filter *
lun_script_filter(const struct lun_script *script)
{
	return &script->about.filter;
}

enum lun_on_error
lun_script_on_error(const struct lun_script *script)
{
	return script->about.on_error;
}

int
lun_script_retries(const struct lun_script *script)
{
	return script->about.retries;
}

bool
lun_script_has_query(const struct lun_script *script)
{
	return script->about.has_query;
}

void
lun_script_use_positions_of(
    struct lun_script *script, struct lun_event_store *events)
{
	script->events = events;
}

/* ---- watching ---------------------------------------------------------- */

struct lun_pulse *
lun_script_pulse(struct lun_script *script)
{
	return &script->pulse;
}

bool
lun_script_starved(const struct lun_script *script)
{
	return script->starved;
}

enum lun_code
lun_script_blame(const struct lun_script *script,
    const struct lun_handler *handler, const char *what, enum lun_code code,
    struct lun_err *err)
{
	if (handler == NULL)
		return lun_wrap(err, code, "%s", script->chunk);
	return lun_wrap(
	    err, code, "%s:%d: %s", script->chunk, handler->line, what);
}
