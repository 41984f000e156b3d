/* shared_event.c - one event object for all events of a type. */

#include "script/shared_event.h"

#include <lauxlib.h>
#include <math.h>

#include "script/event_object.h"
#include "script/event_table.h"
#include "script/script_state.h"
#include "json/scan.h"

#define KNOWN_MAX   18
#define READY_BYTES 256 /* of a value that is made before it is asked for */

/* Fields of an event that may stand ready. */
#define READY_FIELDS                                                           \
	(1u << LUN_EVENT_ID | 1u << LUN_EVENT_POSITION |                       \
	    1u << LUN_EVENT_RECORDED_AT | 1u << LUN_EVENT_STREAM |             \
	    1u << LUN_EVENT_TYPE | 1u << LUN_EVENT_VERSION)

/* What stands on the stack during a run, from the object's place on. */
enum slot {
	SLOT_EVENT,        /* what the script is given */
	SLOT_EVENT_FIELDS, /* tables that Lua finds without a call ... */
	SLOT_DATA_FIELDS,
	SLOT_EVENT_ASSIGNED, /* ... what the script assigns to elsewhere */
	SLOT_DATA_ASSIGNED,
	SLOT_NAMES,
	SLOT_COUNT = SLOT_NAMES + KNOWN_MAX
};

/* A field of the event, or a member of its data, that the script has looked at. */
struct known {
	bool of_data;
	bool assigned; /* the script assigns to something of this name */
	enum lun_event_object_field field;
	struct lun_text name; /* in the list of names */
	uint32_t ordinal;     /* where it was last, among the members */
};

/*
 * In Lua's memory. The references are to the registry. Without tables in front
 * the script is given the objects, and the tables of fields are the same.
 */
struct lun_shared_event {
	struct lun_event_object *event;
	struct lun_event_object_data *data;
	int event_reference;
	int data_reference;
	int slots[SLOT_NAMES]; /* references */
	int shown_data;        /* what the script is given as event.data */
	int names;             /* list of the known names */
	size_t known_count;
	struct known known[KNOWN_MAX];
	bool data_is_assigned;
	bool data_was_asked; /* for, in some event */
	bool has_data;       /* the data is among the fields */

	uint64_t run; /* in which it stands on the stack */
	int place;
	size_t named_count; /* so many of the names do */
	size_t shown_count; /* and so many show the event */
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

/* Does the script assign to anything of the name at index? */
static bool
is_assigned(lua_State *L, const struct lun_script *script, int index)
{
	bool assigned;

	if (lua_rawgeti(L, LUA_REGISTRYINDEX, script->functions.assigned) !=
	    LUA_TTABLE) {
		lua_pop(L, 1);
		return false; /* it is given no table that it could change */
	}
	lua_pushvalue(L, index);
	assigned = lua_rawget(L, -2) != LUA_TNIL;
	lua_pop(L, 2);
	return assigned;
}

static bool
is_known(
    const struct lun_shared_event *shared, bool of_data, struct lun_text name)
{
	for (size_t i = 0; i < shared->known_count; i++)
		if (shared->known[i].of_data == of_data &&
		    lun_text_equal(shared->known[i].name, name))
			return true;
	return false;
}

/* The name is at 2. */
static void
learn(lua_State *L, struct lun_shared_event *shared, struct known known)
{
	known.name.bytes = lua_tolstring(L, 2, &known.name.length);
	if (shared->known_count == KNOWN_MAX ||
	    is_known(shared, known.of_data, known.name))
		return;
	known.assigned = is_assigned(L, lun_script_of(L), 2);
	lua_rawgeti(L, LUA_REGISTRYINDEX, shared->names);
	lua_pushvalue(L, 2);
	lua_rawseti(L, -2, (lua_Integer)shared->known_count + 1);
	lua_pop(L, 1);
	shared->known[shared->known_count++] = known;
}

static void ask_for_data(lua_State *L, struct lun_shared_event *shared);

static int
event_index(lua_State *L)
{
	struct lun_shared_event *shared = shared_of(L);
	struct known known = {0};

	if (lua_type(L, 2) == LUA_TSTRING) {
		known.field = lun_event_object_find_field(lua_tostring(L, 2));
		if ((1u << known.field & READY_FIELDS) != 0)
			learn(L, shared, known);
		if (known.field == LUN_EVENT_DATA)
			ask_for_data(L, shared);
	}
	put_object(L, shared->event_reference);
	return lun_event_object_index(L);
}

/* Among the fields is the data. */
static int
event_pairs(lua_State *L)
{
	struct lun_shared_event *shared = shared_of(L);

	ask_for_data(L, shared);
	put_object(L, shared->event_reference);
	return lun_event_object_pairs(L);
}

static bool
stands_ready(const struct lun_member *member)
{
	return member->kind != LUN_JSON_ARRAY &&
	       member->kind != LUN_JSON_OBJECT &&
	       member->value_length <= READY_BYTES;
}

/* The member of the data under way that the key at 2 names, or NULL. */
static const struct lun_member *
find_asked(lua_State *L, const struct lun_script *script,
    const struct lun_shared_event *shared)
{
	const struct lun_batch *batch = script->batch;
	struct lun_text key;

	if (lua_type(L, 2) != LUA_TSTRING)
		return NULL;
	key.bytes = lua_tolstring(L, 2, &key.length);
	return lun_documents_find(batch->documents, shared->data->document,
	    batch->events[shared->event->number].data, key);
}

static int
data_index(lua_State *L)
{
	struct lun_shared_event *shared = shared_of(L);
	const struct lun_member *member =
	    find_asked(L, lun_script_of(L), shared);

	if (member == NULL)
		return 0;
	if (stands_ready(member))
		learn(L, shared, (struct known){.of_data = true});
	put_object(L, shared->data_reference);
	return lun_event_object_data_index(L);
}

/* ---- making one -------------------------------------------------------- */

/*
 * Give the object on top a metatable that looks in a table of fields first; the
 * reference of the table.
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
	if (!data) {
		lua_pushlightuserdata(L, shared);
		lua_pushcclosure(L, event_pairs, 1);
		lua_setfield(L, -2, "__pairs");
	}
	lua_setmetatable(L, -2);
	return fields;
}

static int
keep_copy(lua_State *L)
{
	lua_pushvalue(L, -1);
	return luaL_ref(L, LUA_REGISTRYINDEX);
}

/*
 * The object on top is popped (-1): what of it the script is given, with the
 * slots of its fields.
 */
static int
give_front(lua_State *L, struct lun_shared_event *shared, bool in_front,
    enum slot fields, enum slot assigned)
{
	bool data = fields == SLOT_DATA_FIELDS;
	int given;

	shared->slots[assigned] = give_fields(L, shared, data);
	if (in_front) {
		lun_event_table_push(L);
		given = luaL_ref(L, LUA_REGISTRYINDEX);
		lua_pop(L, 1);
		shared->slots[fields] = given;
		return given;
	}
	shared->slots[fields] = shared->slots[assigned];
	return luaL_ref(L, LUA_REGISTRYINDEX);
}

static struct lun_shared_event *
make_shared(lua_State *L, const struct lun_script *script)
{
	bool in_front = script->functions.assigned != LUA_REFNIL;
	struct lun_shared_event *shared =
	    lua_newuserdatauv(L, sizeof *shared, 0);

	*shared = (struct lun_shared_event){0};
	(void)luaL_ref(L, LUA_REGISTRYINDEX);
	shared->event = lua_newuserdatauv(L, sizeof *shared->event, 2);
	*shared->event = (struct lun_event_object){0};
	shared->event_reference = keep_copy(L);
	shared->slots[SLOT_EVENT] = give_front(
	    L, shared, in_front, SLOT_EVENT_FIELDS, SLOT_EVENT_ASSIGNED);
	shared->data = lua_newuserdatauv(L, sizeof *shared->data, 1);
	*shared->data = (struct lun_event_object_data){0};
	shared->data_reference = keep_copy(L);
	shared->shown_data = give_front(
	    L, shared, in_front, SLOT_DATA_FIELDS, SLOT_DATA_ASSIGNED);
	lua_newtable(L);
	shared->names = luaL_ref(L, LUA_REGISTRYINDEX);
	lua_pushstring(L, lun_event_object_field_names[LUN_EVENT_DATA]);
	shared->data_is_assigned = is_assigned(L, script, lua_gettop(L));
	lua_pop(L, 1);
	return shared;
}

static struct lun_shared_event *
take_shared(lua_State *L, struct lun_script *script, size_t kind)
{
	struct lun_shared_event **shared =
	    &script->functions.shared[kind % LUN_SHARED_EVENTS];

	if (*shared == NULL)
		*shared = make_shared(L, script);
	return *shared;
}

static void
push_slots(lua_State *L, struct lun_shared_event *shared)
{
	luaL_checkstack(L, SLOT_COUNT + LUA_MINSTACK, NULL);
	shared->place = lua_gettop(L) + 1;
	for (size_t i = 0; i < SLOT_NAMES; i++)
		lua_rawgeti(L, LUA_REGISTRYINDEX, shared->slots[i]);
	lua_settop(L, shared->place + SLOT_COUNT - 1);
	shared->named_count = 0;
}

void
lun_shared_event_place(lua_State *L, struct lun_script *script, size_t kind)
{
	struct lun_shared_event *shared = take_shared(L, script, kind);

	if (shared->run == script->run)
		return;
	push_slots(L, shared);
	shared->run = script->run;
}

/* What was learned since. */
static void
place_names(lua_State *L, struct lun_shared_event *shared)
{
	if (shared->named_count == shared->known_count)
		return;
	lua_rawgeti(L, LUA_REGISTRYINDEX, shared->names);
	for (; shared->named_count < shared->known_count;
	     shared->named_count++) {
		lua_rawgeti(L, -1, (lua_Integer)shared->named_count + 1);
		lua_replace(
		    L, shared->place + SLOT_NAMES + (int)shared->named_count);
	}
	lua_pop(L, 1);
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

/* Whoever looks elsewhere, such as pairs(event), finds the same object. */
static void
show_data(lua_State *L, struct lun_shared_event *shared, bool show)
{
	enum slot fields =
	    shared->data_is_assigned ? SLOT_EVENT_ASSIGNED : SLOT_EVENT_FIELDS;

	if (show == shared->has_data)
		return;
	if (show)
		lua_rawgeti(L, LUA_REGISTRYINDEX, shared->shown_data);
	else
		lua_pushnil(L);
	lua_pushvalue(L, -1);
	set_user_value(L, shared->event_reference, 1);
	lua_pushstring(L, lun_event_object_field_names[LUN_EVENT_DATA]);
	lua_insert(L, -2);
	lua_rawset(L, shared->place + (int)fields);
	shared->has_data = show;
}

/* Most events of a type have the same members in the same order. */
static const struct lun_member *
find_member(const struct lun_documents *documents, size_t index,
    struct lun_text json, struct known *known)
{
	const struct lun_document *document =
	    lun_documents_at(documents, index);
	const struct lun_member *first =
	    lun_documents_member(documents, document, 0);
	const struct lun_member *member = first + known->ordinal;

	if (known->ordinal < document->count && !member->key_escaped &&
	    lun_text_equal(lun_member_key(member, json), known->name))
		return member;
	member = lun_documents_find(documents, index, json, known->name);
	if (member != NULL)
		known->ordinal = (uint32_t)(member - first);
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

static int
slot_of(const struct lun_shared_event *shared, const struct known *known)
{
	enum slot slot = known->of_data ? SLOT_DATA_FIELDS : SLOT_EVENT_FIELDS;

	if (known->assigned)
		slot =
		    known->of_data ? SLOT_DATA_ASSIGNED : SLOT_EVENT_ASSIGNED;
	return shared->place + (int)slot;
}

static void
show_known(lua_State *L, struct lun_script *script,
    struct lun_shared_event *shared, const struct lun_event *event)
{
	const struct lun_documents *documents = script->batch->documents;
	int name = shared->place + SLOT_NAMES;

	for (size_t i = 0; i < shared->known_count; i++, name++) {
		struct known *known = &shared->known[i];

		if (known->of_data && !shared->has_data)
			continue;
		lua_pushvalue(L, name);
		if (known->of_data)
			push_ready(L, script,
			    find_member(documents, shared->data->document,
				event->data, known),
			    event->data);
		else
			lun_event_object_push_simple(
			    L, script, event, known->field);
		lua_rawset(L, slot_of(shared, known));
	}
	shared->shown_count = shared->known_count;
}

/* Two models may be touched by one event. */
static bool
is_shown(const struct lun_script *script, const struct lun_shared_event *shared,
    uint32_t number)
{
	return shared->event->stamp == script->stamp &&
	       shared->event->number == number &&
	       shared->shown_count == shared->known_count;
}

/* What is wrong with it is said when it is asked for. */
static bool
is_object(struct lun_documents *documents, const struct lun_event *event,
    const struct lun_shared_event *shared)
{
	uint32_t data = shared->data->document;

	if (shared->data_was_asked)
		(void)!lun_documents_open(
		    documents, data, event->type, event->data, NULL);
	return lun_documents_at(documents, data)->state == LUN_DOCUMENT_OBJECT;
}

/* All that is known of the event under way. */
static void
show(lua_State *L, struct lun_script *script, struct lun_shared_event *shared)
{
	const struct lun_event *event =
	    &script->batch->events[shared->event->number];

	place_names(L, shared);
	show_data(
	    L, shared, is_object(script->batch->documents, event, shared));
	show_known(L, script, shared, event);
}

static void
show_event(lua_State *L, struct lun_script *script,
    struct lun_shared_event *shared, uint32_t number)
{
	clear_parts(L, shared);
	shared->event->stamp = shared->data->stamp = script->stamp;
	shared->event->number = number;
	shared->data->document = 2 * number;
	show(L, script, shared);
}

/* For the first time: it is shown now, as it will be of later events. */
static void
ask_for_data(lua_State *L, struct lun_shared_event *shared)
{
	int top = lua_gettop(L), place = shared->place;
	size_t named_count = shared->named_count;

	if (shared->data_was_asked)
		return;
	shared->data_was_asked = true;
	push_slots(L, shared);
	show(L, lun_script_of(L), shared);
	shared->place = place;
	shared->named_count = named_count;
	lua_settop(L, top);
}

void
lun_shared_event_push(
    lua_State *L, struct lun_script *script, size_t kind, uint32_t number)
{
	struct lun_shared_event *shared = take_shared(L, script, kind);

	if (!is_shown(script, shared, number))
		show_event(L, script, shared, number);
	lua_pushvalue(L, shared->place + SLOT_EVENT);
}
