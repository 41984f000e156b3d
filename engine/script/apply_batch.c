/* apply_batch.c - a batch through the script: which models, and what becomes of them. */

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "script/event_object.h"
#include "script/live_models.h"
#include "script/model_object.h"
#include "script/nested_object.h"
#include "script/read_id.h"
#include "script/script_state.h"
#include "script/shared_event.h"
#include "json/decode.h"
#include "json/scan.h"

/* One call of extract or apply; what the protected loops leave behind. */
struct run {
	struct lun_script *script;
	const struct lun_batch *batch;
	struct lun_unit_of_work *uow;
	size_t at;
	size_t end;         /* the event to stop before */
	enum lun_code code; /* other than what the script did */
	bool in_handler;
	const struct lun_handler *handler; /* the last one called */
	size_t touch_count; /* extract: before the event under way */
	/* places on the stack */
	int top;     /* what stays for the whole run is below */
	int objects; /* the list of event objects */
	int names;   /* apply: the first of the field names */
	int live;    /* apply: the list of live models; 0: there are none */
	int table;   /* apply: the model's table of the call under way */
	bool closes; /* apply: tables of models with a row are closed */
	bool closed; /* the one of the call under way was, before it */
};

/* ---- the batch --------------------------------------------------------- */

static bool
begin_batch(struct lun_script *script, const struct lun_batch *batch)
{
	if (script->batch == batch)
		return true;
	lun_script_end_batch(script);
	if (!lun_documents_begin(batch->documents, 2 * batch->count))
		return false;
	script->batch = batch;
	lun_vm_tune(script->vm);
	return true;
}

void
lun_script_end_batch(struct lun_script *script)
{
	script->stamp++;
	script->batch = NULL;
}

/* Ready to run: a fresh state if the last one is spent. */
static enum lun_code
begin_run(struct run *run, struct lun_err *err)
{
	struct lun_script *script = run->script;

	if (lun_vm_spent(script->vm)) {
		enum lun_code code = lun_script_renew(script, err);

		if (code != LUN_OK)
			return code;
	}
	if (!begin_batch(script, run->batch))
		return lun_fail(err, LUN_NOMEM, "out of memory");
	script->run++;
	lun_vm_count(script->vm, !script->functions.bounded);
	return LUN_OK;
}

/* ---- calling ----------------------------------------------------------- */

/* A script that swallowed the error of its budget must leave nothing behind. */
static void
call_handler(lua_State *L, struct run *run, int arguments)
{
	struct lun_vm *vm = run->script->vm;

	run->in_handler = true;
	lun_vm_enter(vm);
	if (lun_vm_interrupted(vm))
		lun_vm_check(L); /* nothing may count in the call */
	lua_call(L, arguments, 1);
	if (lun_vm_spent(vm))
		luaL_error(L, "budget spent");
	lun_vm_leave(vm);
	run->in_handler = false;
}

/* Place of the event's type among those the script handles, or -1. */
static int
find_type(const struct lun_script *script, struct lun_text type)
{
	const struct lun_event_filter *filter = &script->about.filter;

	for (size_t i = 0; i < filter->type_count; i++)
		if (lun_text_equal(filter->types[i], type))
			return (int)i;
	return filter->type_count == 0 ? 0 : -1;
}

static enum lun_code
fail_memory(struct lun_err *err)
{
	return lun_fail(err, LUN_NOMEM, "applying events: out of memory");
}

/* After a protected loop: what it ended with, and whom to blame. */
static enum lun_code
finish_run(
    struct run *run, enum lun_code code, const char *what, struct lun_err *err)
{
	struct lun_script *script = run->script;

	script->starved = lun_vm_starved(script->vm);
	if (code == LUN_OK)
		return run->code;
	if (script->starved ||
	    (code == LUN_SCRIPT && !run->in_handler && run->handler != NULL))
		return lun_script_blame(script, run->handler, what, code, err);
	return code;
}

/* ---- extract ----------------------------------------------------------- */

static bool
touch_model(struct run *run, struct lun_text id)
{
	if (lun_uow_touch(run->uow, (uint32_t)run->at, id))
		return true;
	run->code = LUN_NOMEM;
	return false;
}

static bool
reserve_listed(struct lun_script *script, size_t index)
{
	size_t capacity = script->listed_capacity;
	uint32_t *listed;

	if (index < capacity)
		return true;
	while (capacity <= index)
		capacity = capacity > 0 ? capacity * 2 : 256;
	listed = realloc(script->listed, capacity * sizeof *listed);
	if (listed == NULL)
		return false;
	memset(listed + script->listed_capacity, 0,
	    (capacity - script->listed_capacity) * sizeof *listed);
	script->listed = listed;
	script->listed_capacity = capacity;
	return true;
}

/* An id that a list names twice is one touch. */
static bool
touch_listed(struct run *run, struct lun_text id)
{
	struct lun_script *script = run->script;
	size_t count, index;

	if (!touch_model(run, id))
		return false;
	index = lun_uow_touches(run->uow, &count)[count - 1].model;
	count--;
	if (!reserve_listed(script, index)) {
		run->code = LUN_NOMEM;
		return false;
	}
	if (script->listed[index] == script->list_number)
		lun_uow_cut(run->uow, count);
	script->listed[index] = script->list_number;
	return true;
}

/* Where the numbers start again at 1, no model may keep an old one. */
static void
next_list(struct lun_script *script)
{
	if (++script->list_number != 0)
		return;
	memset(script->listed, 0,
	    script->listed_capacity * sizeof *script->listed);
	script->list_number = 1;
}

/* What was returned is on top. */
static void
refuse_ids(lua_State *L)
{
	luaL_error(L, "expected a model id, a list of model ids or nil, got %s",
	    lun_event_object_is(L, -1) ? "an event" : luaL_typename(L, -1));
}

static void
refuse_list(lua_State *L)
{
	if (lun_event_object_is(L, -1))
		refuse_ids(L);
	luaL_error(
	    L, "a list of model ids must be a plain table without a metatable");
}

/* nil and null in a list are no model, as they are on their own. */
static bool
touch_list(lua_State *L, struct run *run)
{
	int list = lua_gettop(L);

	if (!lun_json_is_plain(L, list))
		refuse_list(L);
	next_list(run->script);
	for (lua_pushnil(L); lua_next(L, list) != 0; lua_pop(L, 1)) {
		if (!lua_isinteger(L, -2) || lua_tointeger(L, -2) < 1)
			luaL_error(L,
			    "expected a list of model ids, got a table with "
			    "the key %s",
			    luaL_tolstring(L, -2, NULL));
		if (!lun_json_is_null(L, -1) &&
		    !touch_listed(run, lun_script_read_id(L, run->script, -1)))
			return false;
	}
	return true;
}

/* What extract_model_id returned is on top. False: see run->code. */
static bool
note_models(lua_State *L, struct run *run)
{
	switch (lua_type(L, -1)) {
	case LUA_TNIL:
		return true;
	case LUA_TTABLE:
		return touch_list(L, run);
	case LUA_TSTRING:
	case LUA_TNUMBER:
		return touch_model(run, lun_script_read_id(L, run->script, -1));
	case LUA_TUSERDATA:
		if (lun_nested_object_is(L, -1)) {
			lun_nested_object_push_table(L, lua_gettop(L));
			return touch_list(L, run);
		}
		/* fall through */
	default:
		if (!lun_json_is_null(L, -1))
			refuse_ids(L);
		return true;
	}
}

/* A kind of event object for each type, for extraction and for application. */
static size_t
kind_of(int type, bool applied)
{
	return 2 * (size_t)type + applied;
}

/* What is on the stack now stays; above it is room for a call. */
static void
settle(lua_State *L, struct run *run)
{
	run->top = lua_gettop(L);
	luaL_checkstack(L, LUN_FIELDS_MAX + LUA_MINSTACK, NULL);
}

/* What all events of this kind share is to stay on the stack. */
static void
place_event(lua_State *L, struct run *run, size_t kind)
{
	if (!run->script->functions.stateless)
		return;
	lun_shared_event_place(L, run->script, kind);
	if (lua_gettop(L) != run->top)
		settle(L, run);
}

/* Push (+1) the event under way, of this type, for extract_model_id. */
static void
push_new_event(lua_State *L, struct run *run, int type)
{
	size_t kind = kind_of(type, false);

	place_event(L, run, kind);
	if (run->script->functions.stateless)
		lun_shared_event_push(L, run->script, kind, (uint32_t)run->at);
	else
		lun_event_object_push(L, (uint32_t)run->at);
}

/* Keep the event's object, on top, for apply_to_model; popped (-1). */
static void
keep_event(lua_State *L, struct run *run)
{
	uint32_t index = (uint32_t)run->at;

	if (!run->script->functions.stateless &&
	    lun_event_object_is_clean(L, -1, index))
		lua_rawseti(L, run->objects, index % LUN_SCRIPT_SLICE + 1);
	else
		lua_pop(L, 1);
}

/* Streams of two tenants may have one name, and an id be made of it. */
static bool
mixes_tenants(struct run *run)
{
	size_t count;

	if (run->at < run->batch->tenants_from || run->script->knows_tenant)
		return false;
	lun_uow_touches(run->uow, &count);
	if (count == run->touch_count)
		return false;
	run->code = LUN_CONFIG;
	return true;
}

static int
extract_protected(lua_State *L)
{
	struct run *run = lua_touserdata(L, 1);
	struct lun_script *script = run->script;

	run->handler = &script->functions.extract;
	lua_rawgeti(L, LUA_REGISTRYINDEX, run->handler->reference);
	lua_rawgeti(L, LUA_REGISTRYINDEX, script->functions.objects);
	run->objects = run->top = 3;
	for (; run->at < run->end; run->at++) {
		int type = find_type(script, run->batch->events[run->at].type);

		if (type < 0)
			continue;
		lun_uow_touches(run->uow, &run->touch_count);
		push_new_event(L, run, type);
		lua_pushvalue(L, 2);
		lua_pushvalue(L, -2);
		script->knows_tenant = false;
		call_handler(L, run, 1);
		if (!note_models(L, run) || mixes_tenants(run))
			return 0;
		lua_settop(L, run->top + 1);
		keep_event(L, run);
	}
	return 0;
}

static enum lun_code
refuse_tenants(const struct run *run, struct lun_err *err)
{
	struct lun_text tenant = run->batch->events[run->at].tenant;

	return lun_fail(err, LUN_CONFIG,
	    "is of the tenant \"%.*s\", events of another one were read "
	    "before, "
	    "and extract_model_id does not look at event.tenant: make it a "
	    "part of the id, or read one tenant alone, with tenant=NAME in the "
	    "event store's URL, or, where the ids of two tenants are never the "
	    "same, look at event.tenant and leave it",
	    tenant.length > 80 ? 80 : (int)tenant.length, tenant.bytes);
}

enum lun_code
lun_script_extract(struct lun_script *script, const struct lun_batch *batch,
    struct lun_unit_of_work *uow, size_t *at, size_t end, struct lun_err *err)
{
	struct run run = {.script = script,
	    .batch = batch,
	    .uow = uow,
	    .at = *at,
	    .end = end};
	enum lun_code code = begin_run(&run, err);

	if (code != LUN_OK)
		return code;
	lun_uow_touches(uow, &run.touch_count);
	code = lun_vm_protect(script->vm, extract_protected, &run, err);
	code = finish_run(&run, code, "extract_model_id", err);
	*at = run.at;
	if (code != LUN_OK)
		lun_uow_cut(uow, run.touch_count);
	if (run.code == LUN_CONFIG)
		return refuse_tenants(&run, err);
	return run.code == LUN_NOMEM ? fail_memory(err) : code;
}

/* ---- apply ------------------------------------------------------------- */

/* For events of this type, by its index or -1; NULL: none. */
static const struct lun_handler *
find_handler(const struct lun_script *script, int type)
{
	if (!script->about.by_type)
		return &script->functions.apply;
	return type >= 0 ? &script->functions.on[type] : NULL;
}

/* Push (+1) the model's table or nil. */
static void
push_model(lua_State *L, struct run *run, const struct lun_model *model)
{
	struct lun_text row = {model->row, model->row_length};

	run->closed = model->row != NULL && run->closes;
	run->script->opened = false;
	if (model->row == NULL)
		lua_pushnil(L);
	else if (run->live > 0)
		lun_live_models_push(
		    L, run->script, run->live, run->names, model->index, row);
	else
		lun_model_object_unpack(L, run->script, run->names, row);
	run->table = lua_gettop(L);
}

/*
 * Push (+1) an event: the object that extract_model_id had, unless a handler
 * may have changed what hangs on it.
 */
static void
push_event(lua_State *L, struct run *run, size_t kind, uint32_t index)
{
	if (run->script->functions.stateless) {
		lun_shared_event_push(L, run->script, kind, index);
		return;
	}
	lua_rawgeti(L, run->objects, index % LUN_SCRIPT_SLICE + 1);
	if (lun_event_object_is_clean(L, -1, index))
		return;
	lua_pop(L, 1);
	lun_event_object_push(L, index);
}

static bool
put_row(struct run *run, struct lun_model *model, struct lun_text row)
{
	if (row.length == model->row_length &&
	    (row.bytes == NULL) == (model->row == NULL) &&
	    (row.bytes == NULL ||
		memcmp(row.bytes, model->row, row.length) == 0))
		return true;
	if (lun_uow_put(run->uow, model, row))
		return true;
	run->code = LUN_NOMEM;
	return false;
}

/* A table with a metatable would read otherwise after the batch. */
static void
check_result(lua_State *L)
{
	if (lun_event_object_is(L, -1)) {
		lun_event_object_push_plain(L, -1);
		lua_replace(L, -2);
	}
	if (!lua_istable(L, -1))
		luaL_error(L, "expected the model (a table) or nil, got %s%s",
		    lun_json_is_null(L, -1) ? "" : "a ",
		    lun_json_is_null(L, -1) ? "null" : luaL_typename(L, -1));
	if (!lun_json_is_plain(L, -1))
		luaL_error(
		    L, "a model must be a plain table without a metatable");
}

/* The model that went in has come back on top, with no keys but its fields. */
static bool
keep_closed(lua_State *L, struct run *run, struct lun_model *model)
{
	struct lun_script *script = run->script;
	struct lun_text row = {model->row, model->row_length};
	bool same;

	if (!lun_model_object_pack_closed(
		L, script, run->names, run->table, row, &same)) {
		run->code = LUN_NOMEM;
		return false;
	}
	row = lun_row_text(&script->row);
	if (run->live > 0) {
		if (!same)
			lun_model_object_fill(L, run->names, row);
		lun_live_models_keep(
		    L, script, run->live, run->table, model->index, row.length);
	}
	return put_row(run, model, row);
}

/* Only where a table was opened has anybody to look. */
static bool
is_still_closed(lua_State *L, const struct run *run)
{
	return run->closed && (!run->script->opened ||
				  lun_model_object_is_closed(L, run->table));
}

/* What the handler returned is on top. False: see run->code. */
static bool
keep_result(lua_State *L, struct run *run, struct lun_model *model)
{
	struct lun_script *script = run->script;

	if (lua_isnil(L, -1))
		return put_row(run, model, LUN_TEXT_NONE);
	if (is_still_closed(L, run)) {
		if (lua_rawequal(L, -1, run->table))
			return keep_closed(L, run, model);
		lun_model_object_open(L, run->table);
	}
	check_result(L);
	if (!lun_model_object_pack(L, script, run->names, -1, model->id)) {
		run->code = LUN_NOMEM;
		return false;
	}
	return put_row(run, model, lun_row_text(&script->row));
}

static bool
apply_touch(lua_State *L, struct run *run, struct lun_touch touch)
{
	const struct lun_event *event = &run->batch->events[touch.event];
	struct lun_model *model = lun_uow_model(run->uow, touch.model);
	const struct lun_handler *handler;
	size_t kind;
	int type;

	if (model->parked) {
		run->code = LUN_AGAIN;
		return false;
	}
	type = find_type(run->script, event->type);
	handler = find_handler(run->script, type);
	if (handler == NULL)
		return true;
	run->handler = handler;
	kind = kind_of(type >= 0 ? type : 0, true);
	if (handler->arguments >= 2)
		place_event(L, run, kind);
	push_model(L, run, model);
	lua_rawgeti(L, LUA_REGISTRYINDEX, handler->reference);
	lua_pushvalue(L, run->table);
	if (handler->arguments >= 2)
		push_event(L, run, kind, touch.event);
	if (handler->arguments >= 3)
		lun_script_push_id(L, run->script, model->id);
	call_handler(L, run, handler->arguments);
	return keep_result(L, run, model);
}

static int
apply_protected(lua_State *L)
{
	struct run *run = lua_touserdata(L, 1);
	size_t count;
	const struct lun_touch *touches = lun_uow_touches(run->uow, &count);

	lua_rawgeti(L, LUA_REGISTRYINDEX, run->script->functions.objects);
	run->objects = lua_gettop(L);
	if (lun_live_models_wanted(run->script)) {
		lun_live_models_push_list(L, run->script);
		run->live = lua_gettop(L);
	}
	run->names = lua_gettop(L) + 1;
	lun_model_object_push_names(L, run->script);
	run->closes = lun_model_object_closes(run->script);
	settle(L, run);
	for (; run->at < count && touches[run->at].event < run->end;
	     run->at++) {
		if (!apply_touch(L, run, touches[run->at]))
			return 0;
		lua_settop(L, run->top);
	}
	return 0;
}

static const char *
handler_name(const struct run *run)
{
	return run->script->about.by_type ? "on" : "apply_to_model";
}

enum lun_code
lun_script_apply(struct lun_script *script, const struct lun_batch *batch,
    struct lun_unit_of_work *uow, size_t *at, size_t end, struct lun_err *err)
{
	struct run run = {.script = script,
	    .batch = batch,
	    .uow = uow,
	    .at = *at,
	    .end = end};
	enum lun_code code = begin_run(&run, err);

	if (code != LUN_OK)
		return code;
	code = lun_vm_protect(script->vm, apply_protected, &run, err);
	code = finish_run(&run, code, handler_name(&run), err);
	*at = run.at;
	return run.code == LUN_NOMEM ? fail_memory(err) : code;
}
