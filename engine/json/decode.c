/* decode.c - JSON text to Lua values, without anything in between. */

#include "json/decode.h"

#include <lauxlib.h>

#include "json/scan.h"
#include "json/token.h"

/* So many members wait on the Lua stack for a table of the right size. */
#define ON_STACK     16
#define ANSWER_DEPTH 2

static const char null_address, array_address, value_address;

void *
lun_json_null(void)
{
	return (void *)(uintptr_t)&null_address;
}

bool
lun_json_is_null(lua_State *L, int index)
{
	return lua_touserdata(L, index) == lun_json_null();
}

const void *
lun_json_array_key(void)
{
	return &array_address;
}

const void *
lun_json_value_key(void)
{
	return &value_address;
}

void
lun_json_setup(lua_State *L)
{
	lua_createtable(L, 0, 2);
	lua_pushliteral(L, "array");
	lua_setfield(L, -2, "__name");
	lua_pushliteral(L, "array");
	lua_setfield(L, -2, "__metatable");
	lua_rawsetp(L, LUA_REGISTRYINDEX, lun_json_array_key());
}

bool
lun_json_is_plain(lua_State *L, int index)
{
	bool array;

	if (!lua_istable(L, index) || !lua_getmetatable(L, index))
		return lua_istable(L, index);
	lua_rawgetp(L, LUA_REGISTRYINDEX, lun_json_array_key());
	array = lua_rawequal(L, -1, -2);
	lua_pop(L, 2);
	return array;
}

void
lun_json_mark_array(lua_State *L, int index)
{
	index = lua_absindex(L, index);
	luaL_checkstack(L, 1, NULL);
	lua_rawgetp(L, LUA_REGISTRYINDEX, lun_json_array_key());
	lua_setmetatable(L, index);
}

/* ---- decoding ---------------------------------------------------------- */

struct decoder {
	lua_State *L;
	struct lun_json_reader in;
	bool form_only; /* numbers may be beyond a double */
};

static void decode_value(struct decoder *decoder, int depth);

static void
raise_fault(struct decoder *decoder)
{
	lua_pushfstring(decoder->L, "invalid JSON at byte %I: %s",
	    (LUAI_UACINT)lun_json_fault_byte(&decoder->in), decoder->in.fault);
	lua_error(decoder->L);
}

/* What a check found: raise its fault unless all is well. */
static void
need_valid(struct decoder *decoder, bool well)
{
	if (!well)
		raise_fault(decoder);
}

static void
push_escaped(lua_State *L, struct lun_text body)
{
	luaL_Buffer buffer;
	char *room = luaL_buffinitsize(L, &buffer, body.length);

	luaL_pushresultsize(&buffer, lun_json_unescape_body(body, room));
}

static void
push_string(struct decoder *decoder)
{
	struct lun_text body;
	bool escaped;

	need_valid(
	    decoder, lun_json_read_string(&decoder->in, &body, &escaped));
	if (escaped)
		push_escaped(decoder->L, body);
	else
		lua_pushlstring(decoder->L, body.bytes, body.length);
}

static void
push_number(struct decoder *decoder)
{
	struct lun_json_number number;

	need_valid(decoder, lun_json_read_number(&decoder->in, &number));
	need_valid(decoder, decoder->form_only ||
				lun_json_number_fits(&number) ||
				lun_json_fault(&decoder->in, number.text.bytes,
				    "number too large"));
	if (number.integer)
		lua_pushinteger(decoder->L, lun_json_integer_of(&number));
	else
		lua_pushnumber(decoder->L, lun_json_double_of(&number));
}

/*
 * A container under way: a slot on the Lua stack for its table, above it the
 * items that are not in the table yet. The table is made when the container
 * ends or when HELD items wait, so that most tables have their final size.
 */
struct building {
	int slot;
	int on_stack;
	lua_Integer count; /* of items that are in the table */
	uint64_t seen;     /* a bit for every key so far */
};

static struct building
begin_building(struct decoder *decoder, int depth)
{
	lua_State *L = decoder->L;

	need_valid(decoder, depth < LUN_JSON_DEPTH_MAX ||
				lun_json_fault(&decoder->in, decoder->in.at,
				    "nested too deep"));
	luaL_checkstack(L, 2 * ON_STACK + LUA_MINSTACK, "JSON value");
	lua_pushnil(L);
	return (struct building){.slot = lua_gettop(L)};
}

static void
make_table(lua_State *L, const struct building *object, int array, int hash)
{
	if (!lua_isnil(L, object->slot))
		return;
	lua_createtable(L, array, hash);
	lua_replace(L, object->slot);
}

static void
move_members_to_table(lua_State *L, struct building *object, int size)
{
	make_table(L, object, 0, size);
	object->count += object->on_stack;
	for (; object->on_stack > 0; object->on_stack--)
		lua_rawset(L, object->slot);
}

static void
move_elements_to_table(lua_State *L, struct building *array, int size)
{
	lua_Integer last = array->count + array->on_stack;

	make_table(L, array, size, 0);
	for (; array->on_stack > 0; array->on_stack--)
		lua_rawseti(L, array->slot, array->count + array->on_stack);
	array->count = last;
}

/* Is the key on top one of the object's? */
static bool
has_key(lua_State *L, const struct building *object)
{
	bool found;

	for (int i = 0; i < object->on_stack; i++)
		if (lua_rawequal(L, -1, object->slot + 1 + 2 * i))
			return true;
	if (object->count == 0)
		return false;
	lua_pushvalue(L, -1);
	found = lua_rawget(L, object->slot) != LUA_TNIL;
	lua_pop(L, 1);
	return found;
}

static void
decode_key(struct decoder *decoder, struct building *object)
{
	struct lun_json_reader *in = &decoder->in;
	lua_State *L = decoder->L;
	struct lun_text key;
	const char *start;
	uint64_t bit;

	lun_json_skip_space(in);
	start = in->at;
	if (start == in->end || *start != '"')
		need_valid(decoder, lun_json_unexpected(in, "expected a key"));
	push_string(decoder);
	key.bytes = lua_tolstring(L, -1, &key.length);
	bit = lun_json_key_bit(key);
	if ((object->seen & bit) != 0 && has_key(L, object))
		need_valid(decoder, lun_json_fault(in, start, "duplicate key"));
	object->seen |= bit;
	if (!lun_json_take(in, ':'))
		need_valid(decoder, lun_json_unexpected(in, "expected :"));
}

static void
push_object(struct decoder *decoder, int depth)
{
	struct building object = begin_building(decoder, depth);

	decoder->in.at++;
	if (!lun_json_take(&decoder->in, '}')) {
		do {
			if (object.on_stack == ON_STACK)
				move_members_to_table(
				    decoder->L, &object, 4 * ON_STACK);
			decode_key(decoder, &object);
			decode_value(decoder, depth + 1);
			object.on_stack++;
		} while (lun_json_take(&decoder->in, ','));
		if (!lun_json_take(&decoder->in, '}'))
			need_valid(decoder, lun_json_unexpected(&decoder->in,
						"expected , or }"));
	}
	move_members_to_table(decoder->L, &object, object.on_stack);
}

static void
push_array(struct decoder *decoder, int depth)
{
	struct building array = begin_building(decoder, depth);

	decoder->in.at++;
	if (!lun_json_take(&decoder->in, ']')) {
		do {
			if (array.on_stack == 2 * ON_STACK)
				move_elements_to_table(
				    decoder->L, &array, 4 * ON_STACK);
			decode_value(decoder, depth + 1);
			array.on_stack++;
		} while (lun_json_take(&decoder->in, ','));
		if (!lun_json_take(&decoder->in, ']'))
			need_valid(decoder, lun_json_unexpected(&decoder->in,
						"expected , or ]"));
	}
	move_elements_to_table(decoder->L, &array, array.on_stack);
	lun_json_mark_array(decoder->L, array.slot);
}

static void
push_word(struct decoder *decoder, char first)
{
	struct lun_text word = first == 't'   ? LUN_TEXT("true")
			       : first == 'f' ? LUN_TEXT("false")
					      : LUN_TEXT("null");

	need_valid(decoder, lun_json_read_word(&decoder->in, word));
	if (first == 'n')
		lua_pushlightuserdata(decoder->L, lun_json_null());
	else
		lua_pushboolean(decoder->L, first == 't');
}

/* The value that begins here; depth containers are open around it. */
static void
decode_value(struct decoder *decoder, int depth)
{
	struct lun_json_reader *in = &decoder->in;
	char first;

	lun_json_skip_space(in);
	first = in->at < in->end ? *in->at : '\0';
	switch (first) {
	case '"':
		push_string(decoder);
		return;
	case '{':
		push_object(decoder, depth);
		return;
	case '[':
		push_array(decoder, depth);
		return;
	case 't':
	case 'f':
	case 'n':
		push_word(decoder, first);
		return;
	default:
		if (first != '-' && (first < '0' || first > '9'))
			need_valid(decoder,
			    lun_json_unexpected(in, "expected a value"));
		push_number(decoder);
	}
}

static void
push_document(struct decoder *decoder, int depth)
{
	luaL_checkstack(decoder->L, LUA_MINSTACK, "JSON value");
	decode_value(decoder, depth);
	need_valid(decoder, lun_json_read_end(&decoder->in));
}

void
lun_json_push(lua_State *L, struct lun_text json)
{
	struct decoder decoder = {.L = L, .in = lun_json_read(json)};

	push_document(&decoder, 0);
}

void
lun_json_push_answer(lua_State *L, struct lun_text json)
{
	struct decoder decoder = {
	    .L = L, .in = lun_json_read(json), .form_only = true};

	push_document(&decoder, -ANSWER_DEPTH);
}
