/* json_fuzz.c - the JSON codec on any bytes. */

#include <assert.h>
#include <lauxlib.h>
#include <lua.h>
#include <stdint.h>
#include <stdlib.h>

#include "json/decode.h"
#include "json/scan.h"
#include "json/shape.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ROOM 8

struct input {
	struct lun_text text;
	struct lun_buffer once; /* decoded and encoded */
	struct lun_buffer twice;
};

static int
round_trip(lua_State *L)
{
	struct input *input = lua_touserdata(L, 1);

	lun_json_setup(L);
	lun_json_push(L, input->text);
	lun_json_encode(L, -1, &input->once);
	lun_json_push(L, lun_buffer_text(&input->once));
	lun_json_encode(L, -1, &input->twice);
	return 0;
}

static void
unescape(struct lun_text text)
{
	struct lun_buffer bytes = {0};

	lun_json_unescape(text, &bytes);
	assert(lun_utf8_valid(lun_buffer_text(&bytes)));
	lun_buffer_free(&bytes);
}

static void walk(struct lun_text value, enum lun_json_kind kind);

static void
walk_object(struct lun_text object)
{
	struct lun_json_member member;

	while (lun_json_next_member(&object, &member)) {
		unescape(member.key);
		walk(member.value, member.kind);
	}
}

static void
walk_array(struct lun_text array)
{
	struct lun_text element;
	enum lun_json_kind kind;

	while (lun_json_next_element(&array, &element, &kind))
		walk(element, kind);
}

/* Look at every part of a valid value. */
static void
walk(struct lun_text value, enum lun_json_kind kind)
{
	struct lun_buffer again = {0};

	assert(lun_json_check(value, NULL) == LUN_OK);
	if (kind == LUN_JSON_OBJECT)
		walk_object(value);
	if (kind == LUN_JSON_ARRAY)
		walk_array(value);
	if (kind == LUN_JSON_STRING)
		unescape(value);
	if (kind == LUN_JSON_NUMBER) {
		lun_json_write_number(&again, lun_json_number(value));
		assert(lun_json_number(lun_buffer_text(&again)) ==
		       lun_json_number(value));
	}
	if (kind == LUN_JSON_INTEGER) {
		lun_json_write_integer(&again, lun_json_integer(value));
		assert(lun_text_equal(lun_buffer_text(&again), value));
	}
	lun_buffer_free(&again);
}

/* The members listed are those found by walking. */
static enum lun_code
check_members(struct lun_text text)
{
	struct lun_json_member members[ROOM], member;
	size_t count = ROOM, found = 0;
	enum lun_code code = lun_json_members(text, members, &count, NULL);

	if (code != LUN_OK && code != LUN_NOMEM)
		return code;
	for (; lun_json_next_member(&text, &member); found++) {
		if (code != LUN_OK)
			continue;
		assert(lun_text_equal(members[found].key, member.key));
		assert(lun_text_equal(members[found].value, member.value));
		assert(members[found].kind == member.kind);
	}
	assert(found == count);
	return code;
}

static void
check_alike(const struct lun_json_shape *shape, struct lun_text text)
{
	struct lun_json_member members[ROOM];
	struct lun_member places[LUN_JSON_SHAPE_MEMBERS];
	size_t count = ROOM;

	if (!lun_json_shape_members(shape, text, places))
		return;
	assert(lun_json_members(text, members, &count, NULL) == LUN_OK);
	assert(count == shape->count);
	for (size_t i = 0; i < count; i++) {
		assert(text.bytes + places[i].key_at == members[i].key.bytes);
		assert(places[i].key_length == members[i].key.length);
		assert(
		    text.bytes + places[i].value_at == members[i].value.bytes);
		assert(places[i].value_length == members[i].value.length);
		assert(places[i].kind == (uint32_t)members[i].kind);
		assert(places[i].value_escaped == members[i].value_escaped);
	}
}

/* What is found by the shape is what is found without it, if one byte differs. */
static void
check_shape(struct lun_text text)
{
	struct lun_json_member members[ROOM];
	struct lun_member places[ROOM] = {0};
	struct lun_json_shape shape = {0};
	size_t count = ROOM;
	char *other = malloc(text.length + 1);

	if (other != NULL &&
	    lun_json_members(text, members, &count, NULL) == LUN_OK) {
		for (size_t i = 0; i < count; i++)
			places[i] = lun_member_of(&members[i], text);
		lun_json_shape_learn(&shape, text, places, count);
		check_alike(&shape, text);
		for (size_t i = 0; i < text.length; i++) {
			memcpy(other, text.bytes, text.length);
			other[i] ^= (char)(1 << i % 8);
			check_alike(
			    &shape, (struct lun_text){other, text.length});
		}
	}
	free(other);
}

static void
check_round_trip(struct input *input, bool valid)
{
	lua_State *L = luaL_newstate();
	int status;

	if (L == NULL)
		return;
	lua_pushcfunction(L, round_trip);
	lua_pushlightuserdata(L, input);
	status = lua_pcall(L, 1, 0, 0);
	lua_close(L);
	assert((status == LUA_OK) == valid);
	if (valid)
		assert(lun_text_equal(lun_buffer_text(&input->once),
		    lun_buffer_text(&input->twice)));
	lun_buffer_free(&input->once);
	lun_buffer_free(&input->twice);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = {.text = {(const char *)data, size}};
	bool valid = lun_json_check(input.text, NULL) == LUN_OK;
	struct lun_text array = {"[", 1};
	struct lun_buffer wrapped = {0};

	bool formed = lun_json_check_form(input.text, NULL) == LUN_OK;

	assert(formed || !valid);
	assert((check_members(input.text) == LUN_INVALID) == !formed);
	check_shape(input.text);
	check_round_trip(&input, valid);
	if (valid) {
		lun_buffer_add_text(&wrapped, array);
		lun_buffer_add_text(&wrapped, input.text);
		lun_buffer_add_byte(&wrapped, ']');
		walk_array(lun_buffer_text(&wrapped));
		lun_buffer_free(&wrapped);
	}
	return 0;
}
