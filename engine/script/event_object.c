/* event_object.c - events and their data as scripts hold them. */

#include "script/event_object.h"

#include <lauxlib.h>
#include <math.h>

#include "base/clock.h"
#include "script/event_table.h"
#include "script/nested_object.h"
#include "script/script_state.h"
#include "store/event_store.h"
#include "json/decode.h"

#define DECODED_PER_INSTRUCTION 16  /* bytes of JSON */
#define COPIED_AT_ONCE          256 /* values between two charges */
#define SHOWN_MAX               40  /* bytes of a value in a message */

/* Keys of the metatables of each. */
static const char event_key, data_key;

const char *const lun_event_object_field_names[LUN_EVENT_FIELD_COUNT] = {"data",
    "id", "metadata", "position", "recorded_at", "stream", "type", "version",
    "tenant"};

void
lun_event_object_check_stamp(lua_State *L, uint64_t stamp)
{
	if (stamp != lun_script_of(L)->stamp)
		luaL_error(L,
		    "an event was used after its batch: copy what you keep, "
		    "with lunette.table(event)");
}

bool
lun_event_object_has_metatable(lua_State *L, int index, const char *key)
{
	int type = lua_type(L, index);
	bool has;

	if ((type != LUA_TUSERDATA && type != LUA_TTABLE) ||
	    !lua_getmetatable(L, index))
		return false;
	has = lua_rawgetp(L, -1, key) != LUA_TNIL;
	lua_pop(L, 2);
	return has;
}

/* ---- data -------------------------------------------------------------- */

static struct lun_text
text_of(const struct lun_script *script, uint32_t document)
{
	const struct lun_event *event = &script->batch->events[document / 2];

	return document % 2 == 0 ? event->data : event->metadata;
}

static struct lun_text
check_data(lua_State *L, const struct lun_script *script,
    const struct lun_event_object_data *data)
{
	lun_event_object_check_stamp(L, data->stamp);
	return text_of(script, data->document);
}

static void
push_unescaped(lua_State *L, struct lun_script *script, struct lun_text literal)
{
	struct lun_buffer *text = &script->text;

	lun_buffer_clear(text);
	lun_json_unescape(literal, text);
	if (text->failed)
		lun_vm_raise_no_memory(L);
	lua_pushlstring(L, text->length > 0 ? text->bytes : "", text->length);
}

static void
push_number(lua_State *L, struct lun_text literal)
{
	double number = lun_json_number(literal);

	if (isinf(number)) {
		lua_pushlstring(L, literal.bytes,
		    literal.length < SHOWN_MAX ? literal.length : SHOWN_MAX);
		luaL_error(L,
		    "event: the number %s%s is beyond what a number can be",
		    lua_tostring(L, -1),
		    literal.length < SHOWN_MAX ? "" : "...");
	}
	lua_pushnumber(L, number);
}

/* Decode for the script, which pays for what takes longer than a few calls. */
static void
push_json(lua_State *L, struct lun_text json)
{
	lun_vm_charge(L, json.length / DECODED_PER_INSTRUCTION);
	lun_json_push(L, json);
}

void
lun_event_object_push_value(lua_State *L, struct lun_script *script,
    const struct lun_member *member, struct lun_text value)
{
	switch ((enum lun_json_kind)member->kind) {
	case LUN_JSON_STRING:
		if (member->value_escaped)
			push_unescaped(L, script, value);
		else
			lua_pushlstring(L, value.bytes + 1, value.length - 2);
		return;
	case LUN_JSON_INTEGER:
		lua_pushinteger(L, lun_json_integer(value));
		return;
	case LUN_JSON_NUMBER:
		push_number(L, value);
		return;
	case LUN_JSON_TRUE:
	case LUN_JSON_FALSE:
		lua_pushboolean(L, member->kind == LUN_JSON_TRUE);
		return;
	case LUN_JSON_NULL:
		lua_pushlightuserdata(L, lun_json_null());
		return;
	case LUN_JSON_ARRAY:
	case LUN_JSON_OBJECT:
		push_json(L, value);
	}
}

/* A nested value is decoded once: the same access gives the same object. */
static void
push_nested(lua_State *L, struct lun_script *script, int index, int key,
    const struct lun_member *member, struct lun_text json)
{
	struct lun_event_object_data *data = lua_touserdata(L, index);
	struct lun_text value = lun_member_value(member, json);

	data->has_nested = true;
	script->batch->documents->list[data->document].lent = true;
	if (lua_getiuservalue(L, index, 1) != LUA_TTABLE) {
		lua_pop(L, 1);
		lua_newtable(L);
		lua_pushvalue(L, -1);
		lua_setiuservalue(L, index, 1);
	}
	lua_pushvalue(L, key);
	if (lua_rawget(L, -2) == LUA_TNIL) {
		lua_pop(L, 1);
		lun_event_object_push_value(L, script, member, value);
		lun_nested_object_wrap(L);
		lua_pushvalue(L, key);
		lua_pushvalue(L, -2);
		lua_rawset(L, -4);
	}
	lua_remove(L, -2);
}

static void
push_member(lua_State *L, struct lun_script *script, int index, int key,
    const struct lun_member *member, struct lun_text json)
{
	if (member->kind == LUN_JSON_ARRAY || member->kind == LUN_JSON_OBJECT)
		push_nested(L, script, index, key, member, json);
	else
		lun_event_object_push_value(
		    L, script, member, lun_member_value(member, json));
}

/* data[key] */
int
lun_event_object_data_index(lua_State *L)
{
	struct lun_script *script = lun_script_of(L);
	struct lun_event_object_data *data = lua_touserdata(L, 1);
	struct lun_text json = check_data(L, script, data), key;
	const struct lun_member *member;

	if (lua_type(L, 2) != LUA_TSTRING)
		return 0;
	key.bytes = lua_tolstring(L, 2, &key.length);
	member = lun_documents_find(
	    script->batch->documents, data->document, json, key);
	if (member == NULL)
		return 0;
	push_member(L, script, 1, 2, member, json);
	return 1;
}

static void
push_member_key(lua_State *L, struct lun_script *script,
    const struct lun_member *member, struct lun_text json)
{
	struct lun_text key = lun_member_key(member, json);

	if (member->key_escaped)
		push_unescaped(L, script, key);
	else
		lua_pushlstring(L, key.bytes, key.length);
}

/* What pairs(data) steps with; upvalues: the data, how many were given. */
static int
data_next(lua_State *L)
{
	struct lun_script *script = lun_script_of(L);
	struct lun_event_object_data *data =
	    lua_touserdata(L, lua_upvalueindex(1));
	lua_Integer n = lua_tointeger(L, lua_upvalueindex(2));
	struct lun_text json = check_data(L, script, data);
	const struct lun_document *document =
	    lun_documents_at(script->batch->documents, data->document);
	const struct lun_member *member;

	if (n >= (lua_Integer)document->count)
		return 0;
	lua_pushinteger(L, n + 1);
	lua_replace(L, lua_upvalueindex(2));
	member =
	    lun_documents_member(script->batch->documents, document, (size_t)n);
	lua_settop(L, 0);
	lua_pushvalue(L, lua_upvalueindex(1));
	push_member_key(L, script, member, json);
	push_member(L, script, 1, 2, member, json);
	return 2;
}

static int
data_pairs(lua_State *L)
{
	check_data(L, lun_script_of(L), lua_touserdata(L, 1));
	lua_pushvalue(L, 1);
	lua_pushinteger(L, 0);
	lua_pushcclosure(L, data_next, 2);
	return 1;
}

/* #data: how many members there are */
static int
data_len(lua_State *L)
{
	struct lun_script *script = lun_script_of(L);
	struct lun_event_object_data *data = lua_touserdata(L, 1);

	check_data(L, script, data);
	lua_pushinteger(L,
	    lun_documents_at(script->batch->documents, data->document)->count);
	return 1;
}

/* Data or metadata: lazy if it is an object, else its value (+1). */
static void
push_event_document(lua_State *L, struct lun_script *script, uint32_t document)
{
	struct lun_text json = text_of(script, document);
	struct lun_event_object_data *data;
	struct lun_err err;
	enum lun_code code = lun_documents_open(script->batch->documents,
	    document, script->batch->events[document / 2].type, json, &err);

	if (code == LUN_NOMEM)
		lun_vm_raise_no_memory(L);
	if (code != LUN_OK)
		luaL_error(L, "event %s: %s",
		    document % 2 == 0 ? "data" : "metadata", err.message);
	if (lun_documents_at(script->batch->documents, document)->state !=
	    LUN_DOCUMENT_OBJECT) {
		script->batch->documents->list[document].lent = true;
		push_json(L, json);
		if (lua_istable(L, -1))
			lun_nested_object_wrap(L);
		return;
	}
	data = lua_newuserdatauv(L, sizeof *data, 1);
	*data = (struct lun_event_object_data){
	    .stamp = script->stamp, .document = document};
	lua_rawgeti(L, LUA_REGISTRYINDEX, script->functions.data_metatable);
	lua_setmetatable(L, -2);
}

/* ---- events ------------------------------------------------------------ */

static const struct lun_event *
check_event(lua_State *L, const struct lun_script *script,
    const struct lun_event_object *object)
{
	lun_event_object_check_stamp(L, object->stamp);
	return &script->batch->events[object->number];
}

static void
push_position(
    lua_State *L, const struct lun_script *script, struct lun_position position)
{
	char text[LUN_POSITION_MAX];

	if (script->events != NULL)
		lun_event_store_format_position(script->events, position, text);
	else
		lun_position_to_hex(position, text);
	lua_pushstring(L, text);
}

/* data (part 0) or metadata (part 1): made once for each event object. */
static void
push_part(lua_State *L, struct lun_script *script, int index,
    struct lun_event_object *object, uint32_t part)
{
	if (lua_getiuservalue(L, index, (int)part + 1) != LUA_TNIL)
		return;
	lua_pop(L, 1);
	object->has_parts = true;
	push_event_document(L, script, object->number * 2 + part);
	lua_pushvalue(L, -1);
	lua_setiuservalue(L, index, (int)part + 1);
}

static void
push_text(lua_State *L, struct lun_text text)
{
	lua_pushlstring(L, text.length > 0 ? text.bytes : "", text.length);
}

static void
push_time(lua_State *L, int64_t us)
{
	if (us == LUN_TIME_UNKNOWN)
		lua_pushnil(L);
	else if (lun_timestamp_is_infinite(us))
		lua_pushnumber(
		    L, us == LUN_TIME_INFINITY ? HUGE_VAL : -HUGE_VAL);
	else
		lua_pushinteger(L, us);
}

void
lun_event_object_push_simple(lua_State *L, struct lun_script *script,
    const struct lun_event *event, enum lun_event_object_field field)
{
	switch (field) {
	case LUN_EVENT_ID:
		push_text(L, event->id);
		return;
	case LUN_EVENT_STREAM:
		push_text(L, event->stream);
		return;
	case LUN_EVENT_TYPE:
		push_text(L, event->type);
		return;
	case LUN_EVENT_POSITION:
		push_position(L, script, event->position);
		return;
	case LUN_EVENT_RECORDED_AT:
		push_time(L, event->recorded_at);
		return;
	case LUN_EVENT_VERSION:
		lua_pushinteger(L, event->version);
		return;
	case LUN_EVENT_TENANT:
		script->knows_tenant = true;
		if (event->tenant.bytes == NULL)
			lua_pushnil(L);
		else
			push_text(L, event->tenant);
		return;
	case LUN_EVENT_DATA:
	case LUN_EVENT_METADATA:
	case LUN_EVENT_FIELD_COUNT:
		break;
	}
	lua_pushnil(L);
}

/* A field of the event object at index (+1). */
static void
push_field(lua_State *L, struct lun_script *script, int index,
    enum lun_event_object_field field)
{
	struct lun_event_object *object = lua_touserdata(L, index);
	const struct lun_event *event = check_event(L, script, object);

	if (field == LUN_EVENT_DATA)
		push_part(L, script, index, object, 0);
	else if (field == LUN_EVENT_METADATA && event->metadata.bytes != NULL)
		push_part(L, script, index, object, 1);
	else
		lun_event_object_push_simple(L, script, event, field);
}

/* The first letter tells most of them apart. */
enum lun_event_object_field
lun_event_object_find_field(const char *name)
{
	enum lun_event_object_field field = LUN_EVENT_DATA;

	while (field < LUN_EVENT_FIELD_COUNT &&
	       (lun_event_object_field_names[field][0] != name[0] ||
		   strcmp(lun_event_object_field_names[field], name) != 0))
		field++;
	return field;
}

/* event.name: a misspelt one raises, for it could never be there */
int
lun_event_object_index(lua_State *L)
{
	enum lun_event_object_field field = LUN_EVENT_FIELD_COUNT;

	if (lua_type(L, 2) == LUA_TSTRING)
		field = lun_event_object_find_field(lua_tostring(L, 2));
	if (field == LUN_EVENT_FIELD_COUNT)
		return luaL_error(L, "an event has no field \"%s\"",
		    luaL_tolstring(L, 2, NULL));
	push_field(L, lun_script_of(L), 1, field);
	return 1;
}

/* What pairs(event) steps with; upvalues: the event, the next field. */
static int
event_next(lua_State *L)
{
	lua_Integer field = lua_tointeger(L, lua_upvalueindex(2));

	lua_settop(L, 0);
	lua_pushvalue(L, lua_upvalueindex(1));
	for (; field < LUN_EVENT_FIELD_COUNT; field++) {
		lua_pushstring(L, lun_event_object_field_names[field]);
		push_field(
		    L, lun_script_of(L), 1, (enum lun_event_object_field)field);
		if (!lua_isnil(L, -1))
			break;
		lua_settop(L, 1);
	}
	if (field == LUN_EVENT_FIELD_COUNT)
		return 0;
	lua_pushinteger(L, field + 1);
	lua_replace(L, lua_upvalueindex(2));
	return 2;
}

int
lun_event_object_pairs(lua_State *L)
{
	check_event(L, lun_script_of(L), lua_touserdata(L, 1));
	lua_pushvalue(L, 1);
	lua_pushinteger(L, 0);
	lua_pushcclosure(L, event_next, 2);
	return 1;
}

static int
refuse_change(lua_State *L)
{
	return luaL_error(L, "events cannot be changed");
}

/* #event: as a table it would have one. */
static int
refuse_length(lua_State *L)
{
	return luaL_error(L, "an event has no length");
}

/* ---- copies and text --------------------------------------------------- */

static void push_copy(lua_State *L, int index, int depth);

static void
push_event_copy(lua_State *L, int event)
{
	lua_createtable(L, 0, LUN_EVENT_FIELD_COUNT);
	for (enum lun_event_object_field field = LUN_EVENT_DATA;
	     field < LUN_EVENT_FIELD_COUNT; field++) {
		push_field(L, lun_script_of(L), event, field);
		push_copy(L, lua_gettop(L), 1);
		lua_setfield(L, -3, lun_event_object_field_names[field]);
		lua_pop(L, 1);
	}
}

static void
push_table_copy(lua_State *L, int table, int depth)
{
	size_t copied = 0;

	lua_createtable(L, (int)lua_rawlen(L, table), 0);
	if (lua_getmetatable(L, table)) {
		lua_rawgetp(L, LUA_REGISTRYINDEX, lun_json_array_key());
		if (lua_rawequal(L, -1, -2))
			lun_json_mark_array(L, -3);
		lua_pop(L, 2);
	}
	for (lua_pushnil(L); lua_next(L, table) != 0; lua_pop(L, 1)) {
		if (++copied % COPIED_AT_ONCE == 0)
			lun_vm_charge(L, COPIED_AT_ONCE);
		lua_pushvalue(L, -2);
		push_copy(L, lua_gettop(L) - 1, depth + 1);
		lua_rawset(L, -5);
	}
}

static void
push_copy(lua_State *L, int index, int depth)
{
	struct lun_script *script = lun_script_of(L);

	luaL_checkstack(L, LUA_MINSTACK, NULL);
	if (depth > LUN_JSON_DEPTH_MAX)
		luaL_error(L, "nested too deep (does it contain itself?)");
	if (lun_event_table_push_object(L, index)) {
		push_copy(L, lua_gettop(L), depth);
		lua_remove(L, -2);
	} else if (lun_event_object_has_metatable(L, index, &data_key))
		push_json(L, check_data(L, script, lua_touserdata(L, index)));
	else if (lun_event_object_has_metatable(L, index, &event_key))
		push_event_copy(L, index);
	else if (lun_nested_object_is(L, index)) {
		lun_nested_object_push_table(L, index);
		push_table_copy(L, lua_gettop(L), depth);
		lua_remove(L, -2);
	} else if (lua_istable(L, index))
		push_table_copy(L, index, depth);
	else
		lua_pushvalue(L, index);
}

void
lun_event_object_push_plain(lua_State *L, int index)
{
	push_copy(L, lua_absindex(L, index), 0);
}

bool
lun_event_object_is_clean(lua_State *L, int index, uint32_t number)
{
	const struct lun_script *script = lun_script_of(L);
	const struct lun_document *parts =
	    &script->batch->documents->list[number * 2];
	const struct lun_event_object *object = lua_touserdata(L, index);

	return object != NULL && object->stamp == script->stamp &&
	       object->number == number && !parts[0].lent && !parts[1].lent;
}

bool
lun_event_object_is(lua_State *L, int index)
{
	return lun_event_object_has_metatable(L, index, &event_key) ||
	       lun_event_object_has_metatable(L, index, &data_key) ||
	       lun_nested_object_is(L, index);
}

const char *
lun_event_object_typename(lua_State *L, int index)
{
	return lun_event_object_is(L, index) ? "table"
					     : luaL_typename(L, index);
}

/* What lun_json_encode() writes. */
static int
plain_value(lua_State *L)
{
	lun_event_object_push_plain(L, 1);
	return 1;
}

int
lun_event_object_tostring(lua_State *L)
{
	struct lun_buffer *json = &lun_script_of(L)->text;

	lun_event_object_push_plain(L, 1);
	lun_buffer_clear(json);
	lun_json_encode(L, -1, json);
	if (json->failed)
		lun_vm_raise_no_memory(L);
	lua_pushlstring(L, json->bytes, json->length);
	return 1;
}

/* ---- setup ------------------------------------------------------------- */

static const luaL_Reg event_methods[] = {
    {"__index", lun_event_object_index},
    {"__newindex", refuse_change},
    {"__pairs", lun_event_object_pairs},
    {"__len", refuse_length},
    {"__tostring", lun_event_object_tostring},
    {NULL, NULL},
};

static const luaL_Reg data_methods[] = {
    {"__index", lun_event_object_data_index},
    {"__newindex", refuse_change},
    {"__pairs", data_pairs},
    {"__len", data_len},
    {"__tostring", lun_event_object_tostring},
    {NULL, NULL},
};

void
lun_event_object_push_methods(lua_State *L, const char *key, const char *name,
    const luaL_Reg *methods, lua_CFunction value)
{
	lua_createtable(L, 0, 8);
	luaL_setfuncs(L, methods, 0);
	lua_pushstring(L, name);
	lua_setfield(L, -2, "__name");
	lua_pushstring(L, name);
	lua_setfield(L, -2, "__metatable");
	lua_pushcfunction(L, value);
	lua_rawsetp(L, -2, lun_json_value_key());
	lua_pushboolean(L, true);
	lua_rawsetp(L, -2, key);
}

void
lun_event_object_push_metatable(lua_State *L, bool data)
{
	if (data)
		lun_event_object_push_methods(
		    L, &data_key, "event data", data_methods, plain_value);
	else
		lun_event_object_push_methods(
		    L, &event_key, "event", event_methods, plain_value);
}

void
lun_event_object_setup(lua_State *L, struct lun_script_functions *functions)
{
	lun_event_object_push_metatable(L, false);
	functions->event_metatable = luaL_ref(L, LUA_REGISTRYINDEX);
	lun_event_object_push_metatable(L, true);
	functions->data_metatable = luaL_ref(L, LUA_REGISTRYINDEX);
	lun_nested_object_setup(L, functions);
}

void
lun_event_object_push(lua_State *L, uint32_t number)
{
	const struct lun_script *script = lun_script_of(L);
	struct lun_event_object *object =
	    lua_newuserdatauv(L, sizeof *object, 2);

	*object =
	    (struct lun_event_object){.stamp = script->stamp, .number = number};
	lua_rawgeti(L, LUA_REGISTRYINDEX, script->functions.event_metatable);
	lua_setmetatable(L, -2);
}
