/*
 * json_test.c - the JSON codec for its specs, and jansson to compare it with.
 *
 * Expected failures return nil, message, code name.
 */

#include <jansson.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdlib.h>

#include "base/error.h"
#include "json/decode.h"
#include "json/scan.h"
#include "json/shape.h"

int luaopen_json_test(lua_State *L);

#define BUFFER_TYPE "json_test.buffer"

static struct lun_text
check_text(lua_State *L, int index)
{
	struct lun_text text;

	text.bytes = luaL_checklstring(L, index, &text.length);
	return text;
}

static int
push_failure(lua_State *L, enum lun_code code, const struct lun_err *err)
{
	luaL_pushfail(L);
	lua_pushstring(L, err->message);
	lua_pushstring(L, lun_code_name(code));
	return 3;
}

static int
buffer_gc(lua_State *L)
{
	lun_buffer_free(luaL_checkudata(L, 1, BUFFER_TYPE));
	return 0;
}

/* +1: a buffer that goes with its userdata, whatever is raised. */
static struct lun_buffer *
push_buffer(lua_State *L)
{
	struct lun_buffer *buffer = lua_newuserdatauv(L, sizeof *buffer, 0);

	*buffer = (struct lun_buffer){0};
	luaL_setmetatable(L, BUFFER_TYPE);
	return buffer;
}

static int
push_bytes(lua_State *L, const struct lun_buffer *buffer)
{
	if (buffer->failed)
		return luaL_error(L, "out of memory");
	lua_pushlstring(
	    L, buffer->length > 0 ? buffer->bytes : "", buffer->length);
	return 1;
}

/* ---- values ------------------------------------------------------------ */

static int
codec_check(lua_State *L)
{
	struct lun_err err;
	enum lun_code code = lun_json_check(check_text(L, 1), &err);

	if (code != LUN_OK)
		return push_failure(L, code, &err);
	lua_pushboolean(L, true);
	return 1;
}

static int
codec_check_form(lua_State *L)
{
	struct lun_err err;
	enum lun_code code = lun_json_check_form(check_text(L, 1), &err);

	if (code != LUN_OK)
		return push_failure(L, code, &err);
	lua_pushboolean(L, true);
	return 1;
}

static int
codec_decode(lua_State *L)
{
	lun_json_push(L, check_text(L, 1));
	return 1;
}

static int
codec_encode(lua_State *L)
{
	struct lun_buffer *out;

	luaL_checkany(L, 1);
	out = push_buffer(L);
	lun_json_encode(L, 1, out);
	return push_bytes(L, out);
}

/* array(table): the table, marked */
static int
codec_array(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	lun_json_mark_array(L, 1);
	return 1;
}

static int
codec_is_array(lua_State *L)
{
	lua_settop(L, 1);
	lua_rawgetp(L, LUA_REGISTRYINDEX, lun_json_array_key());
	lua_pushboolean(L, lua_getmetatable(L, 1) && lua_rawequal(L, 2, 3));
	return 1;
}

/* ---- a userdata that stands for a value -------------------------------- */

static int
give_value(lua_State *L)
{
	lua_getiuservalue(L, 1, 1);
	return 1;
}

/* stand_in(value): a userdata that stands for it */
static int
codec_stand_in(lua_State *L)
{
	luaL_checkany(L, 1);
	lua_newuserdatauv(L, 0, 1);
	lua_pushvalue(L, 1);
	lua_setiuservalue(L, -2, 1);
	lua_createtable(L, 0, 1);
	lua_pushcfunction(L, give_value);
	lua_rawsetp(L, -2, lun_json_value_key());
	lua_setmetatable(L, -2);
	return 1;
}

/* ---- scanning ---------------------------------------------------------- */

static const char *const kind_names[] = {
    [LUN_JSON_NULL] = "null",
    [LUN_JSON_FALSE] = "false",
    [LUN_JSON_TRUE] = "true",
    [LUN_JSON_INTEGER] = "integer",
    [LUN_JSON_NUMBER] = "number",
    [LUN_JSON_STRING] = "string",
    [LUN_JSON_ARRAY] = "array",
    [LUN_JSON_OBJECT] = "object",
};

static void
set_text(lua_State *L, const char *name, struct lun_text text)
{
	lua_pushlstring(L, text.bytes, text.length);
	lua_setfield(L, -2, name);
}

static void
push_member(lua_State *L, const struct lun_json_member *member)
{
	lua_createtable(L, 0, 5);
	set_text(L, "key", member->key);
	set_text(L, "value", member->value);
	lua_pushstring(L, kind_names[member->kind]);
	lua_setfield(L, -2, "kind");
	lua_pushboolean(L, member->key_escaped);
	lua_setfield(L, -2, "key_escaped");
	lua_pushboolean(L, member->value_escaped);
	lua_setfield(L, -2, "value_escaped");
}

static void
push_list(lua_State *L, const struct lun_json_member *members, size_t count)
{
	lua_createtable(L, (int)count, 0);
	for (size_t i = 0; i < count; i++) {
		push_member(L, &members[i]);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
}

/* members(text, room): a list, or nil, message, code, count */
static int
codec_members(lua_State *L)
{
	struct lun_text text = check_text(L, 1);
	size_t count = (size_t)luaL_optinteger(L, 2, 1000);
	struct lun_json_member *members =
	    lua_newuserdatauv(L, (count + 1) * sizeof *members, 0);
	struct lun_err err;
	enum lun_code code = lun_json_members(text, members, &count, &err);

	if (code == LUN_OK) {
		push_list(L, members, count);
		return 1;
	}
	push_failure(L, code, &err);
	lua_pushinteger(L, (lua_Integer)count);
	return 4;
}

static struct lun_json_member
find_place(struct lun_text text, const struct lun_member *place)
{
	return (struct lun_json_member){
	    .key = lun_member_key(place, text),
	    .value = lun_member_value(place, text),
	    .kind = (enum lun_json_kind)place->kind,
	    .key_escaped = place->key_escaped,
	    .value_escaped = place->value_escaped,
	};
}

/* alike(learnt, text): the members of text, or nil: it has another shape */
static int
codec_alike(lua_State *L)
{
	struct lun_text learnt = check_text(L, 1), text = check_text(L, 2);
	struct lun_json_member members[100];
	struct lun_member places[100];
	struct lun_json_shape shape = {0};
	size_t count = 100;

	if (lun_json_members(learnt, members, &count, NULL) != LUN_OK)
		return luaL_error(L, "not an object of up to 100 members");
	for (size_t i = 0; i < count; i++)
		places[i] = lun_member_of(&members[i], learnt);
	lun_json_shape_learn(&shape, learnt, places, count);
	if (!lun_json_shape_members(&shape, text, places))
		return 0;
	for (size_t i = 0; i < shape.count; i++)
		members[i] = find_place(text, &places[i]);
	push_list(L, members, shape.count);
	return 1;
}

/* find(text, key): the member or nil */
static int
codec_find(lua_State *L)
{
	const char *key = luaL_checkstring(L, 2);
	struct lun_json_member members[100];
	const struct lun_json_member *member;
	size_t count = 100;

	if (lun_json_members(check_text(L, 1), members, &count, NULL) != LUN_OK)
		return luaL_error(L, "not an object of up to 100 members");
	member = lun_json_find(members, count, key);
	if (member == NULL)
		return 0;
	push_member(L, member);
	return 1;
}

/* elements(text): list of {value, kind}; the text must be valid */
static int
codec_elements(lua_State *L)
{
	struct lun_text rest = check_text(L, 1);
	struct lun_text element;
	enum lun_json_kind kind;
	lua_Integer count = 0;

	lua_newtable(L);
	while (lun_json_next_element(&rest, &element, &kind)) {
		lua_createtable(L, 0, 2);
		set_text(L, "value", element);
		lua_pushstring(L, kind_names[kind]);
		lua_setfield(L, -2, "kind");
		lua_rawseti(L, -2, ++count);
	}
	return 1;
}

/* walk(text): as members(), but of a text known to be valid */
static int
codec_walk(lua_State *L)
{
	struct lun_text rest = check_text(L, 1);
	struct lun_json_member member;
	lua_Integer count = 0;

	lua_newtable(L);
	while (lun_json_next_member(&rest, &member)) {
		push_member(L, &member);
		lua_rawseti(L, -2, ++count);
	}
	return 1;
}

static int
codec_unescape(lua_State *L)
{
	struct lun_text literal = check_text(L, 1);
	struct lun_buffer *out = push_buffer(L);

	lun_json_unescape(literal, out);
	return push_bytes(L, out);
}

static int
codec_integer(lua_State *L)
{
	lua_pushinteger(L, lun_json_integer(check_text(L, 1)));
	return 1;
}

static int
codec_number(lua_State *L)
{
	lua_pushnumber(L, lun_json_number(check_text(L, 1)));
	return 1;
}

/* floor(text) -> the whole number at or below, whether equal; or nothing */
static int
codec_floor(lua_State *L)
{
	int64_t whole;
	bool exact;

	if (!lun_json_floor(check_text(L, 1), &whole, &exact))
		return 0;
	lua_pushinteger(L, whole);
	lua_pushboolean(L, exact);
	return 2;
}

static int
codec_utf8_valid(lua_State *L)
{
	lua_pushboolean(L, lun_utf8_valid(check_text(L, 1)));
	return 1;
}

/* ---- when memory runs out ---------------------------------------------- */

/* Lua's allocations left before every one fails. */
static void *
starving_alloc(void *arg, void *block, size_t old_size, size_t new_size)
{
	size_t *left = arg;

	(void)old_size;
	if (new_size == 0) {
		free(block);
		return NULL;
	}
	if (*left == 0)
		return NULL;
	--*left;
	return realloc(block, new_size);
}

struct round_trip {
	struct lun_text text;
	struct lun_buffer out;
};

static int
run_round_trip(lua_State *L)
{
	struct round_trip *trip = lua_touserdata(L, 1);

	lun_json_setup(L);
	lun_json_push(L, trip->text);
	lun_json_encode(L, -1, &trip->out);
	return 0;
}

/*
 * starve(text, n): decode and encode in a state of its own whose n+1st
 * allocation fails: the text, or nil.
 */
static int
codec_starve(lua_State *L)
{
	struct round_trip trip = {.text = check_text(L, 1)};
	size_t left = 1000; /* for the state itself */
	lua_State *starving = lua_newstate(starving_alloc, &left);
	int status;

	if (starving == NULL)
		return luaL_error(L, "no state");
	left = (size_t)luaL_checkinteger(L, 2);
	lua_pushcfunction(starving, run_round_trip);
	lua_pushlightuserdata(starving, &trip);
	status = lua_pcall(starving, 1, 0, 0);
	lua_close(starving);
	if (status == LUA_OK)
		push_bytes(L, &trip.out);
	else
		luaL_pushfail(L);
	lun_buffer_free(&trip.out);
	return 1;
}

/* ---- jansson ----------------------------------------------------------- */

static void push_jansson(lua_State *L, const json_t *value);

static void
push_jansson_object(lua_State *L, const json_t *object)
{
	void *at = json_object_iter((json_t *)(uintptr_t)object);

	lua_newtable(L);
	while (at != NULL) {
		lua_pushlstring(
		    L, json_object_iter_key(at), json_object_iter_key_len(at));
		push_jansson(L, json_object_iter_value(at));
		lua_rawset(L, -3);
		at = json_object_iter_next((json_t *)(uintptr_t)object, at);
	}
}

static void
push_jansson_array(lua_State *L, const json_t *array)
{
	lua_newtable(L);
	lun_json_mark_array(L, -1);
	for (size_t i = 0; i < json_array_size(array); i++) {
		push_jansson(L, json_array_get(array, i));
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
}

static void
push_jansson(lua_State *L, const json_t *value)
{
	luaL_checkstack(L, 4, NULL);
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		push_jansson_object(L, value);
		break;
	case JSON_ARRAY:
		push_jansson_array(L, value);
		break;
	case JSON_STRING:
		lua_pushlstring(
		    L, json_string_value(value), json_string_length(value));
		break;
	case JSON_INTEGER:
		lua_pushinteger(L, json_integer_value(value));
		break;
	case JSON_REAL:
		lua_pushnumber(L, json_real_value(value));
		break;
	case JSON_NULL:
		lua_pushlightuserdata(L, lun_json_null());
		break;
	default:
		lua_pushboolean(L, json_is_true(value));
	}
}

/* jansson(text): the value, or nil and a message */
static int
codec_jansson(lua_State *L)
{
	struct lun_text text = check_text(L, 1);
	json_error_t error;
	json_t *value = json_loadb(text.bytes, text.length,
	    JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);

	if (value == NULL) {
		luaL_pushfail(L);
		lua_pushstring(L, error.text);
		return 2;
	}
	push_jansson(L, value);
	json_decref(value);
	return 1;
}

static const luaL_Reg functions[] = {
    {"check", codec_check},
    {"check_form", codec_check_form},
    {"decode", codec_decode},
    {"encode", codec_encode},
    {"array", codec_array},
    {"is_array", codec_is_array},
    {"stand_in", codec_stand_in},
    {"members", codec_members},
    {"alike", codec_alike},
    {"find", codec_find},
    {"elements", codec_elements},
    {"walk", codec_walk},
    {"unescape", codec_unescape},
    {"floor", codec_floor},
    {"integer", codec_integer},
    {"number", codec_number},
    {"utf8_valid", codec_utf8_valid},
    {"starve", codec_starve},
    {"jansson", codec_jansson},
    {NULL, NULL},
};

int
luaopen_json_test(lua_State *L)
{
	lun_json_setup(L);
	luaL_newmetatable(L, BUFFER_TYPE);
	lua_pushcfunction(L, buffer_gc);
	lua_setfield(L, -2, "__gc");
	luaL_newlib(L, functions);
	lua_pushlightuserdata(L, lun_json_null());
	lua_setfield(L, -2, "null");
	return 1;
}
