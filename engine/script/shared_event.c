/* shared_event.c - one event object for all events of a type. */

#include "script/shared_event.h"

#include <lauxlib.h>
#include <math.h>

#include "script/event_object.h"
#include "script/script_state.h"
#include "json/scan.h"

#define KEYS_MAX    12
#define READY_BYTES 256 /* of a value that is made before it is asked for */

/* Fields of an event that may stand ready. */
#define READY_FIELDS                                                           \
	(1u << LUN_EVENT_ID | 1u << LUN_EVENT_POSITION |                       \
	    1u << LUN_EVENT_RECORDED_AT | 1u << LUN_EVENT_STREAM |             \
	    1u << LUN_EVENT_TYPE | 1u << LUN_EVENT_VERSION)

/* A member of the data that the script has looked at. */
struct known_key {
	struct lun_text name; /* in the list of keys */
	uint32_t ordinal;     /* where it was last, among the members */
};

/* In Lua's memory. The numbers are references in the registry. */
struct lun_shared_event {
	struct lun_event_object *event;
	struct lun_event_object_data *data;
	int event_reference;
	int data_reference;
	int event_fields; /* table: what is found without a call */
	int data_fields;
	int keys;              /* list of the known keys */
	unsigned known_fields; /* bits */
	size_t key_count;
	struct known_key known_keys[KEYS_MAX];
	bool has_data; /* the data is among the fields */
};

/* ---- learning ---------------------------------------------------------- */

static struct lun_shared_event *
shared_of(lua_State *L)
{
	return lua_touserdata(L, lua_upvalueindex(1));
}

/* Put the object in place of the table of fields that __index came by. */
static void
put_object(lua_State *L, int reference)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, reference);
	lua_replace(L, 1);
}

static int
event_index(lua_State *L)
{
	struct lun_shared_event *shared = shared_of(L);

	if (lua_type(L, 2) == LUA_TSTRING)
		shared->known_fields |=
		    1u << lun_event_object_find_field(lua_tostring(L, 2)) &
		    READY_FIELDS;
	put_object(L, shared->event_reference);
	return lun_event_object_index(L);
}

static bool
stands_ready(const struct lun_member *member)
{
	return member->kind != LUN_JSON_ARRAY &&
	       member->kind != LUN_JSON_OBJECT &&
	       member->value_length <= READY_BYTES;
}

static bool
is_known(const struct lun_shared_event *shared, struct lun_text name)
{
	for (size_t i = 0; i < shared->key_count; i++)
		if (lun_text_equal(shared->known_keys[i].name, name))
			return true;
	return false;
}

/* The key is at 2. */
static void
learn_key(
    lua_State *L, struct lun_script *script, struct lun_shared_event *shared)
{
	const struct lun_documents *documents = script->batch->documents;
	struct lun_text data =
	    script->batch->events[shared->event->number].data;
	const struct lun_member *member;
	struct lun_text name;

	if (lua_type(L, 2) != LUA_TSTRING || shared->key_count == KEYS_MAX)
		return;
	name.bytes = lua_tolstring(L, 2, &name.length);
	member =
	    lun_documents_find(documents, shared->data->document, data, name);
	if (member == NULL || !stands_ready(member) || is_known(shared, name))
		return;
	lua_rawgeti(L, LUA_REGISTRYINDEX, shared->keys);
	lua_pushvalue(L, 2);
	lua_rawseti(L, -2, (lua_Integer)shared->key_count + 1);
	lua_pop(L, 1);
	shared->known_keys[shared->key_count++] =
	    (struct known_key){.name = name};
}

static int
data_index(lua_State *L)
{
	struct lun_shared_event *shared = shared_of(L);

	learn_key(L, lun_script_of(L), shared);
	put_object(L, shared->data_reference);
	return lun_event_object_data_index(L);
}

/* ---- making one -------------------------------------------------------- */

/*
 * Make the table of fields of the object on top, which gets a metatable that
 * looks there first; the reference of the table.
 */
static int
give_fields(lua_State *L, struct lun_shared_event *shared, bool data)
{
	int fields;

	lun_event_object_push_metatable(L, data);
	lua_createtable(L, 0, 4);
	lua_createtable(L, 0, 1);
	lua_pushlightuserdata(L, shared);
	lua_pushcclosure(L, data ? data_index : event_index, 1);
	lua_setfield(L, -2, "__index");
	lua_setmetatable(L, -2);
	lua_pushvalue(L, -1);
	fields = luaL_ref(L, LUA_REGISTRYINDEX);
	lua_setfield(L, -2, "__index");
	lua_setmetatable(L, -2);
	return fields;
}

static struct lun_shared_event *
make_shared(lua_State *L)
{
	struct lun_shared_event *shared =
	    lua_newuserdatauv(L, sizeof *shared, 0);

	*shared = (struct lun_shared_event){0};
	(void)luaL_ref(L, LUA_REGISTRYINDEX);
	shared->event = lua_newuserdatauv(L, sizeof *shared->event, 2);
	*shared->event = (struct lun_event_object){0};
	shared->event_fields = give_fields(L, shared, false);
	shared->event_reference = luaL_ref(L, LUA_REGISTRYINDEX);
	shared->data = lua_newuserdatauv(L, sizeof *shared->data, 1);
	*shared->data = (struct lun_event_object_data){0};
	shared->data_fields = give_fields(L, shared, true);
	shared->data_reference = luaL_ref(L, LUA_REGISTRYINDEX);
	lua_newtable(L);
	shared->keys = luaL_ref(L, LUA_REGISTRYINDEX);
	return shared;
}

/* ---- showing an event -------------------------------------------------- */

/* Set one of the object's user values to the value on top, which is popped. */
static void
set_user_value(lua_State *L, int reference, int n)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, reference);
	lua_insert(L, -2);
	lua_setiuservalue(L, -2, n);
	lua_pop(L, 1);
}

static void
clear_user_value(lua_State *L, int reference, int n)
{
	lua_pushnil(L);
	set_user_value(L, reference, n);
}

/* Take off what was made of the last event when it was asked for. */
static void
clear_parts(lua_State *L, struct lun_shared_event *shared)
{
	if (shared->event->has_parts) {
		if (!shared->has_data)
			clear_user_value(L, shared->event_reference, 1);
		clear_user_value(L, shared->event_reference, 2);
	}
	if (shared->data->has_nested)
		clear_user_value(L, shared->data_reference, 1);
	shared->event->has_parts = shared->data->has_nested = false;
}

/*
 * The table of the event's fields is on top. Whoever looks elsewhere, such as
 * pairs(event), finds the same object.
 */
static void
show_data(lua_State *L, struct lun_shared_event *shared, bool show)
{
	if (show == shared->has_data)
		return;
	if (show)
		lua_rawgeti(L, LUA_REGISTRYINDEX, shared->data_reference);
	else
		lua_pushnil(L);
	lua_pushvalue(L, -1);
	set_user_value(L, shared->event_reference, 1);
	lua_setfield(L, -2, lun_event_object_field_names[LUN_EVENT_DATA]);
	shared->has_data = show;
}

/* The same table; the object is below it. */
static void
show_fields(
    lua_State *L, struct lun_script *script, struct lun_shared_event *shared)
{
	unsigned field = 0;

	for (unsigned bits = shared->known_fields; bits != 0; bits >>= 1) {
		if (bits % 2 != 0) {
			lun_event_object_push_field(L, script,
			    lua_gettop(L) - 1,
			    (enum lun_event_object_field)field);
			lua_setfield(
			    L, -2, lun_event_object_field_names[field]);
		}
		field++;
	}
}

/* Most events of a type have the same members in the same order. */
static const struct lun_member *
find_member(const struct lun_documents *documents, size_t index,
    struct lun_text json, struct known_key *key)
{
	const struct lun_document *document =
	    lun_documents_at(documents, index);
	const struct lun_member *first =
	    lun_documents_member(documents, document, 0);
	const struct lun_member *member = first + key->ordinal;

	if (key->ordinal < document->count && !member->key_escaped &&
	    lun_text_equal(lun_member_key(member, json), key->name))
		return member;
	member = lun_documents_find(documents, index, json, key->name);
	if (member != NULL)
		key->ordinal = (uint32_t)(member - first);
	return member;
}

/* Push (+1) a member's value, or nil: then it has to be asked for. */
static void
push_ready(lua_State *L, struct lun_script *script,
    const struct lun_member *member, struct lun_text json)
{
	struct lun_text value;

	if (member == NULL || !stands_ready(member)) {
		lua_pushnil(L);
		return;
	}
	value = lun_member_value(member, json);
	/* What raises does so where it is asked for. */
	if (member->kind == LUN_JSON_NUMBER && isinf(lun_json_number(value)))
		lua_pushnil(L);
	else
		lun_event_object_push_value(L, script, member, value);
}

static void
show_members(lua_State *L, struct lun_script *script,
    struct lun_shared_event *shared, uint32_t number)
{
	struct lun_text json = script->batch->events[number].data;

	lua_rawgeti(L, LUA_REGISTRYINDEX, shared->data_fields);
	lua_rawgeti(L, LUA_REGISTRYINDEX, shared->keys);
	for (size_t i = 0; i < shared->key_count; i++) {
		const struct lun_member *member =
		    find_member(script->batch->documents, 2 * (size_t)number,
			json, &shared->known_keys[i]);

		lua_rawgeti(L, -1, (lua_Integer)i + 1);
		push_ready(L, script, member, json);
		lua_rawset(L, -4);
	}
	lua_pop(L, 2);
}

/* The object is on top. */
static void
show_event(lua_State *L, struct lun_script *script,
    struct lun_shared_event *shared, uint32_t number)
{
	const struct lun_document *data =
	    lun_documents_at(script->batch->documents, 2 * (size_t)number);
	bool is_object = data->state == LUN_DOCUMENT_OBJECT;

	clear_parts(L, shared);
	shared->event->stamp = shared->data->stamp = script->stamp;
	shared->event->number = number;
	shared->data->document = 2 * number;
	if (is_object != shared->has_data || shared->known_fields != 0) {
		lua_rawgeti(L, LUA_REGISTRYINDEX, shared->event_fields);
		show_data(L, shared, is_object);
		show_fields(L, script, shared);
		lua_pop(L, 1);
	}
	if (is_object && shared->key_count > 0)
		show_members(L, script, shared, number);
}

void
lun_shared_event_push(
    lua_State *L, struct lun_script *script, size_t kind, uint32_t number)
{
	struct lun_shared_event **shared =
	    &script->functions.shared[kind % LUN_SHARED_EVENTS];

	if (*shared == NULL)
		*shared = make_shared(L);
	lua_rawgeti(L, LUA_REGISTRYINDEX, (*shared)->event_reference);
	show_event(L, script, *shared, number);
}
