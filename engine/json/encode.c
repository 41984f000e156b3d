/* encode.c - Lua values to JSON text, without anything in between. */

#include "json/decode.h"

#include <lauxlib.h>
#include <math.h>
#include <stdlib.h>

#include "json/scan.h"

/* Objects with so many members are sorted without asking Lua for memory. */
#define FEW_MEMBERS 32

#define PATH_KEY_MAX 60 /* bytes of a key shown in a path */

/* How a value was reached; the outermost has no `up` and names nothing. */
struct path {
	const struct path *up;
	int depth;
	struct lun_text key; /* of an object, or absent: */
	lua_Integer index;   /* of an array */
};

struct encoder {
	lua_State *L;
	struct lun_buffer *out;
	size_t limit;      /* length of out at which the value is too large */
	bool plain;        /* no metatables but that of arrays */
	const char *field; /* whose value it is, for messages; or NULL */
};

static void encode_value(
    struct encoder *encoder, int index, const struct path *path);

static bool
is_name(struct lun_text key)
{
	for (size_t i = 0; i < key.length; i++) {
		char c = key.bytes[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

		if (!letter && c != '_' && (i == 0 || c < '0' || c > '9'))
			return false;
	}
	return key.length > 0 && key.length <= PATH_KEY_MAX;
}

/* ["a key"], on one line. */
static void
add_quoted_key(luaL_Buffer *text, struct lun_text key)
{
	luaL_addstring(text, "[\"");
	for (size_t i = 0; i < key.length && i < PATH_KEY_MAX; i++) {
		bool control = (unsigned char)key.bytes[i] < 0x20;

		luaL_addchar(text, control ? '?' : key.bytes[i]);
	}
	luaL_addstring(text, key.length > PATH_KEY_MAX ? "...\"]" : "\"]");
}

static void
add_step(lua_State *L, luaL_Buffer *text, const struct path *step)
{
	if (step->key.bytes == NULL) {
		lua_pushfstring(L, "[%I]", (LUAI_UACINT)step->index);
		luaL_addvalue(text);
	} else if (is_name(step->key)) {
		if (step->depth > 1)
			luaL_addchar(text, '.');
		luaL_addlstring(text, step->key.bytes, step->key.length);
	} else {
		add_quoted_key(text, step->key);
	}
}

/* Raise "path: what", behind the line of the Lua function that called us. */
static void
refuse_value(struct encoder *encoder, const struct path *path, const char *what)
{
	const struct path *steps[LUN_JSON_DEPTH_MAX + 1];
	int count = 0;
	luaL_Buffer text;

	for (; path->up != NULL; path = path->up)
		steps[count++] = path;
	luaL_checkstack(encoder->L, LUA_MINSTACK, NULL);
	luaL_where(encoder->L, 1);
	luaL_buffinit(encoder->L, &text);
	if (encoder->field != NULL) {
		lua_pushfstring(encoder->L, "field \"%s\": ", encoder->field);
		luaL_addvalue(&text);
	}
	for (int i = count; i > 0; i--)
		add_step(encoder->L, &text, steps[i - 1]);
	if (count > 0)
		luaL_addstring(&text, ": ");
	luaL_addstring(&text, what);
	luaL_pushresult(&text);
	lua_concat(encoder->L, 2);
	lua_error(encoder->L);
}

static void
refuse_type(struct encoder *encoder, int index, const struct path *path)
{
	const char *name =
	    lua_typename(encoder->L, lua_type(encoder->L, index));

	refuse_value(encoder, path,
	    lua_pushfstring(encoder->L, "a %s cannot be stored", name));
}

static void
encode_text(struct encoder *encoder, struct lun_text text,
    const struct path *path, const char *fault)
{
	if (!lun_utf8_valid(text))
		refuse_value(encoder, path, fault);
	lun_json_write_string(encoder->out, text);
}

static void
encode_number(struct encoder *encoder, int index, const struct path *path)
{
	lua_State *L = encoder->L;
	double number;

	if (lua_isinteger(L, index)) {
		lun_json_write_integer(encoder->out, lua_tointeger(L, index));
		return;
	}
	number = lua_tonumber(L, index);
	if (isnan(number))
		refuse_value(encoder, path, "nan cannot be stored");
	if (isinf(number))
		refuse_value(
		    encoder, path, "an infinite number cannot be stored");
	lun_json_write_number(encoder->out, number);
}

/* ---- objects */

/* A member whose value is at an index of the stack or of a table. */
struct member {
	struct lun_text key;
	int index;
};

static int
compare_members(const void *a, const void *b)
{
	const struct member *left = a, *right = b;

	return lun_text_compare(left->key, right->key);
}

static void
sort_few(struct member *members, int count)
{
	for (int i = 1; i < count; i++) {
		struct member member = members[i];
		int at = i;

		for (; at > 0 &&
		       lun_text_compare(members[at - 1].key, member.key) > 0;
		     at--)
			members[at] = members[at - 1];
		members[at] = member;
	}
}

static void
encode_member(struct encoder *encoder, const struct member *member, bool first,
    int value, const struct path *path)
{
	struct path step = {
	    .up = path, .depth = path->depth + 1, .key = member->key};

	if (!first)
		lun_buffer_add_byte(encoder->out, ',');
	encode_text(encoder, member->key, path,
	    "a key that is not UTF-8 cannot be stored");
	lun_buffer_add_byte(encoder->out, ':');
	encode_value(encoder, value, &step);
}

/* The key below the value on top, which must be a string. */
static struct lun_text
check_key(struct encoder *encoder, const struct path *path)
{
	struct lun_text key;
	int type = lua_type(encoder->L, -2);

	if (type == LUA_TNUMBER)
		refuse_value(encoder, path,
		    "a table with both text keys and numbers cannot be stored");
	if (type != LUA_TSTRING)
		refuse_value(encoder, path,
		    lua_pushfstring(encoder->L,
			"a table with a %s as a key cannot be stored",
			lua_typename(encoder->L, type)));
	key.bytes = lua_tolstring(encoder->L, -2, &key.length);
	return key;
}

/* Keys and values lie on the stack, in pairs above base. */
static void
encode_few_members(struct encoder *encoder, struct member *members, int count,
    const struct path *path)
{
	sort_few(members, count);
	lun_buffer_add_byte(encoder->out, '{');
	for (int i = 0; i < count; i++)
		encode_member(
		    encoder, &members[i], i == 0, members[i].index, path);
	lun_buffer_add_byte(encoder->out, '}');
}

static size_t
count_entries(lua_State *L, int index)
{
	size_t count = 0;

	lua_pushnil(L);
	for (; lua_next(L, index) != 0; lua_pop(L, 1))
		count++;
	return count;
}

/*
 * The array that is sorted is a userdata, and the keys it points at are held
 * by a table: should anything raise, the collector finds all of it.
 */
static void
encode_many_members(struct encoder *encoder, int index, const struct path *path)
{
	lua_State *L = encoder->L;
	size_t size = count_entries(L, index);
	struct member *members =
	    lua_newuserdatauv(L, (size + 1) * sizeof *members, 0);
	int keys, count = 0;

	lua_createtable(L, (int)size, 0);
	keys = lua_gettop(L);
	lua_pushnil(L);
	while ((size_t)count < size && lua_next(L, index) != 0) {
		members[count].key = check_key(encoder, path);
		count++;
		members[count - 1].index = count;
		lua_pop(L, 1);
		lua_pushvalue(L, -1);
		lua_rawseti(L, keys, count);
	}
	qsort(members, (size_t)count, sizeof *members, compare_members);
	lun_buffer_add_byte(encoder->out, '{');
	for (int i = 0; i < count; i++) {
		lua_rawgeti(L, keys, members[i].index);
		lua_rawget(L, index);
		encode_member(
		    encoder, &members[i], i == 0, lua_gettop(L), path);
		lua_pop(L, 1);
	}
	lun_buffer_add_byte(encoder->out, '}');
}

static void
encode_object(struct encoder *encoder, int index, const struct path *path)
{
	struct member members[FEW_MEMBERS];
	lua_State *L = encoder->L;
	int top = lua_gettop(L), count = 0;

	lua_pushnil(L);
	while (lua_next(L, index) != 0) {
		if (count == FEW_MEMBERS) {
			lua_settop(L, top);
			encode_many_members(encoder, index, path);
			lua_settop(L, top);
			return;
		}
		members[count].key = check_key(encoder, path);
		members[count].index = lua_gettop(L);
		count++;
		lua_pushvalue(L, -2);
	}
	encode_few_members(encoder, members, count, path);
	lua_settop(L, top);
}

/* ---- arrays */

/* Every key must be one of 1..length. */
static void
check_array(struct encoder *encoder, int index, lua_Integer length,
    const struct path *path)
{
	lua_State *L = encoder->L;
	lua_Integer count = 0, key;

	for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1)) {
		if (lua_type(L, -2) == LUA_TSTRING)
			refuse_value(encoder, path,
			    "a table with both text keys and numbers cannot be "
			    "stored");
		key = lua_isinteger(L, -2) ? lua_tointeger(L, -2) : 0;
		if (key >= 1 && key <= length)
			count++;
		else
			length = -1;
	}
	if (count != length)
		refuse_value(encoder, path,
		    "an array must have the keys 1 to n without holes");
}

static void
encode_array(struct encoder *encoder, int index, const struct path *path)
{
	struct path step = {.up = path, .depth = path->depth + 1};
	lua_Integer length = (lua_Integer)lua_rawlen(encoder->L, index);

	check_array(encoder, index, length, path);
	lun_buffer_add_byte(encoder->out, '[');
	for (lua_Integer i = 1; i <= length; i++) {
		if (i > 1)
			lun_buffer_add_byte(encoder->out, ',');
		step.index = i;
		lua_rawgeti(encoder->L, index, i);
		encode_value(encoder, lua_gettop(encoder->L), &step);
		lua_pop(encoder->L, 1);
	}
	lun_buffer_add_byte(encoder->out, ']');
}

/* ---- tables and userdata */

/* Has the table the array metatable, and has it any? */
static bool
is_marked(lua_State *L, int index, bool *has_metatable)
{
	bool same;

	*has_metatable = lua_getmetatable(L, index);
	if (!*has_metatable)
		return false;
	lua_rawgetp(L, LUA_REGISTRYINDEX, lun_json_array_key());
	same = lua_rawequal(L, -1, -2);
	lua_pop(L, 2);
	return same;
}

/* Type of the first key lua_next() finds; LUA_TNIL: the table is empty. */
static int
first_key_type(lua_State *L, int index)
{
	int type;

	lua_pushnil(L);
	if (lua_next(L, index) == 0)
		return LUA_TNIL;
	type = lua_type(L, -2);
	lua_pop(L, 2);
	return type;
}

/* False: its metatable, if it has one, does not say what it stands for. */
static bool
encode_what_it_is(struct encoder *encoder, int index, const struct path *path)
{
	lua_State *L = encoder->L;

	luaL_checkstack(L, LUA_MINSTACK, "JSON value");
	if (!lua_getmetatable(L, index))
		return false;
	if (lua_rawgetp(L, -1, lun_json_value_key()) != LUA_TFUNCTION) {
		lua_pop(L, 2);
		return false;
	}
	lua_pushvalue(L, index);
	lua_call(L, 1, 1);
	encode_value(encoder, lua_gettop(L), path);
	lua_pop(L, 2);
	return true;
}

static void
encode_table(struct encoder *encoder, int index, const struct path *path)
{
	lua_State *L = encoder->L;
	bool has_metatable;

	if (path->depth == LUN_JSON_DEPTH_MAX)
		refuse_value(
		    encoder, path, "nested too deep (does it contain itself?)");
	luaL_checkstack(L, 2 * FEW_MEMBERS + LUA_MINSTACK, "JSON value");
	if (is_marked(L, index, &has_metatable)) {
		encode_array(encoder, index, path);
	} else if (has_metatable && encode_what_it_is(encoder, index, path)) {
		return;
	} else if (has_metatable && encoder->plain) {
		refuse_value(
		    encoder, path, "a table with a metatable cannot be stored");
	} else if (first_key_type(L, index) == LUA_TNUMBER) {
		encode_array(encoder, index, path);
		if (!has_metatable)
			lun_json_mark_array(L, index);
	} else {
		encode_object(encoder, index, path);
	}
}

static void
encode_value(struct encoder *encoder, int index, const struct path *path)
{
	lua_State *L = encoder->L;
	struct lun_text text;

	if (encoder->out->failed)
		return;
	if (encoder->out->length >= encoder->limit)
		refuse_value(
		    encoder, path, "the value is too large to be stored");
	switch (lua_type(L, index)) {
	case LUA_TBOOLEAN:
		lun_buffer_add_text(encoder->out, lua_toboolean(L, index)
						      ? LUN_TEXT("true")
						      : LUN_TEXT("false"));
		return;
	case LUA_TNUMBER:
		encode_number(encoder, index, path);
		return;
	case LUA_TSTRING:
		text.bytes = lua_tolstring(L, index, &text.length);
		encode_text(encoder, text, path,
		    "a string that is not UTF-8 cannot be stored");
		return;
	case LUA_TTABLE:
		encode_table(encoder, index, path);
		return;
	case LUA_TUSERDATA:
		if (!encode_what_it_is(encoder, index, path))
			refuse_type(encoder, index, path);
		return;
	default:
		if (lua_touserdata(L, index) != lun_json_null())
			refuse_type(encoder, index, path);
		lun_buffer_add_text(encoder->out, LUN_TEXT("null"));
	}
}

static void
encode_document(struct encoder encoder, int index)
{
	struct path top = {.up = NULL};

	encoder.limit = encoder.out->length + LUN_JSON_SIZE_MAX;
	luaL_checkstack(encoder.L, LUA_MINSTACK, NULL);
	encode_value(&encoder, lua_absindex(encoder.L, index), &top);
}

void
lun_json_encode(lua_State *L, int index, struct lun_buffer *out)
{
	encode_document((struct encoder){.L = L, .out = out}, index);
}

void
lun_json_encode_plain(
    lua_State *L, int index, const char *field, struct lun_buffer *out)
{
	encode_document(
	    (struct encoder){.L = L, .out = out, .plain = true, .field = field},
	    index);
}
