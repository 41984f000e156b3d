/*
 * values_test.c - the small parts for specs: positions, timestamps, packed
 * rows, buffers, batches of events.
 */

#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/printable.h"
#include "data/event.h"
#include "data/position.h"
#include "data/row.h"
#include "data/token.h"

static struct lun_text
check_text(lua_State *L, int index)
{
	struct lun_text text;

	text.bytes = luaL_checklstring(L, index, &text.length);
	return text;
}

static void
push_text(lua_State *L, struct lun_text text)
{
	if (text.bytes == NULL)
		lua_pushnil(L);
	else
		lua_pushlstring(L, text.bytes, text.length);
}

/* ---- positions --------------------------------------------------------- */

static int
position_to_hex(lua_State *L)
{
	struct lun_position position = {(uint64_t)luaL_checkinteger(L, 1),
	    (uint64_t)luaL_checkinteger(L, 2)};
	char hex[LUN_POSITION_HEX_SIZE];

	lun_position_to_hex(position, hex);
	lua_pushstring(L, hex);
	return 1;
}

static int
position_from_hex(lua_State *L)
{
	struct lun_position position;

	if (!lun_position_from_hex(check_text(L, 1), &position))
		return 0;
	lua_pushinteger(L, (lua_Integer)position.hi);
	lua_pushinteger(L, (lua_Integer)position.lo);
	return 2;
}

/* token_format(identity, hi, lo) */
static int
token_format(lua_State *L)
{
	struct lun_position position = {(uint64_t)luaL_checkinteger(L, 2),
	    (uint64_t)luaL_checkinteger(L, 3)};
	char token[LUN_TOKEN_SIZE];

	lun_token_format(luaL_checkstring(L, 1), position, token);
	lua_pushstring(L, token);
	return 1;
}

/* token_parse(text, identity) -> hi, lo; or nil, message, code */
static int
token_parse(lua_State *L)
{
	struct lun_position position;
	struct lun_err err;

	if (lun_token_parse(check_text(L, 1), luaL_checkstring(L, 2), &position,
		&err) != LUN_OK) {
		lua_pushnil(L);
		lua_pushstring(L, err.message);
		lua_pushstring(L, lun_code_name(err.code));
		return 3;
	}
	lua_pushinteger(L, (lua_Integer)position.hi);
	lua_pushinteger(L, (lua_Integer)position.lo);
	return 2;
}

static int
token_is(lua_State *L)
{
	lua_pushboolean(L, lun_token_is(check_text(L, 1)));
	return 1;
}

/* position_compare(hi, lo, hi, lo) -> -1, 0, 1 */
static int
position_compare(lua_State *L)
{
	struct lun_position a = {(uint64_t)luaL_checkinteger(L, 1),
	    (uint64_t)luaL_checkinteger(L, 2)};
	struct lun_position b = {(uint64_t)luaL_checkinteger(L, 3),
	    (uint64_t)luaL_checkinteger(L, 4)};

	lua_pushinteger(L, lun_position_compare(a, b));
	return 1;
}

/* ---- clocks ------------------------------------------------------------ */

/* deadline_ns(ms): nanoseconds from now, or "never" */
static int
deadline_ns(lua_State *L)
{
	int64_t now = lun_clock_mono_ns();
	int64_t until = lun_clock_deadline_ns(luaL_checkinteger(L, 1));

	if (until == INT64_MAX)
		lua_pushliteral(L, "never");
	else
		lua_pushinteger(L, until - now);
	return 1;
}

static int
timestamp_format(lua_State *L)
{
	char text[LUN_TIMESTAMP_LENGTH + 1];

	lun_timestamp_format(luaL_checkinteger(L, 1), text);
	lua_pushstring(L, text);
	return 1;
}

static int
timestamp_parse(lua_State *L)
{
	int64_t us;

	if (!lun_timestamp_parse(check_text(L, 1), &us))
		return 0;
	lua_pushinteger(L, us);
	return 1;
}

static int
timestamp_of_text(lua_State *L)
{
	int64_t us;

	if (!lun_timestamp_of_text(check_text(L, 1), &us))
		return 0;
	lua_pushinteger(L, us);
	return 1;
}

/* age_us(moment) */
static int
age_us(lua_State *L)
{
	lua_pushinteger(L, lun_clock_age_us(luaL_checkinteger(L, 1)));
	return 1;
}

/* clocks() -> wall in microseconds, monotonic and thread in nanoseconds */
static int
clocks(lua_State *L)
{
	lua_pushinteger(L, lun_clock_wall_us());
	lua_pushinteger(L, lun_clock_mono_ns());
	lua_pushinteger(L, lun_clock_thread_ns());
	return 3;
}

/* ---- rows -------------------------------------------------------------- */

static const char *const kinds[] = {
    "null", "text", "integer", "number", "boolean", "timestamp", "json", NULL};

/* Reads {kind, value} at the top of the stack; its text stays in the table. */
static struct lun_value
read_value(lua_State *L)
{
	struct lun_value value = {0};

	lua_geti(L, -1, 1);
	lua_geti(L, -2, 2);
	value.kind = (enum lun_value_kind)luaL_checkoption(L, -2, NULL, kinds);
	if (value.kind == LUN_VALUE_TEXT || value.kind == LUN_VALUE_JSON)
		value.text = check_text(L, -1);
	else if (value.kind == LUN_VALUE_NUMBER)
		value.number = luaL_checknumber(L, -1);
	else if (value.kind != LUN_VALUE_NULL)
		value.integer = luaL_checkinteger(L, -1);
	lua_pop(L, 2);
	return value;
}

/* row_pack{{kind, value}...} -> bytes */
static int
row_pack(lua_State *L)
{
	lua_Integer count = luaL_len(L, 1);
	struct lun_buffer row = {0};

	for (lua_Integer i = 1; i <= count; i++) {
		struct lun_value value;

		lua_geti(L, 1, i);
		value = read_value(L);
		lua_pop(L, 1);
		lun_row_add(&row, &value);
	}
	lua_pushlstring(L, row.bytes != NULL ? row.bytes : "", row.length);
	lun_buffer_free(&row);
	return 1;
}

static void
push_value(lua_State *L, const struct lun_value *value)
{
	lua_newtable(L);
	lua_pushstring(L, kinds[value->kind]);
	lua_rawseti(L, -2, 1);
	if (value->kind == LUN_VALUE_TEXT || value->kind == LUN_VALUE_JSON)
		push_text(L, value->text);
	else if (value->kind == LUN_VALUE_NUMBER)
		lua_pushnumber(L, value->number);
	else if (value->kind == LUN_VALUE_NULL)
		lua_pushnil(L);
	else
		lua_pushinteger(L, value->integer);
	lua_rawseti(L, -2, 2);
}

/* row_unpack(bytes) -> {{kind, value}...} */
static int
row_unpack(lua_State *L)
{
	struct lun_text row = check_text(L, 1);
	struct lun_value value;

	lua_newtable(L);
	for (lua_Integer i = 1; lun_row_next(&row, &value); i++) {
		push_value(L, &value);
		lua_rawseti(L, -2, i);
	}
	return 1;
}

/* ---- buffers ----------------------------------------------------------- */

/* buffer_join(text...) -> text, added byte by byte and as a whole in turn */
static int
buffer_join(lua_State *L)
{
	struct lun_buffer buffer = {0};

	for (int i = 1; i <= lua_gettop(L); i++) {
		struct lun_text text = check_text(L, i);

		if (i % 2 == 0) {
			lun_buffer_add_text(&buffer, text);
			continue;
		}
		for (size_t j = 0; j < text.length; j++)
			lun_buffer_add_byte(&buffer, text.bytes[j]);
	}
	lua_pushlstring(
	    L, buffer.bytes != NULL ? buffer.bytes : "", buffer.length);
	lun_buffer_free(&buffer);
	return 1;
}

static int
buffer_printf(lua_State *L)
{
	struct lun_buffer buffer = {0};
	char *taken;

	lun_buffer_printf(&buffer, "%s=%d", luaL_checkstring(L, 1),
	    (int)luaL_checkinteger(L, 2));
	taken = lun_buffer_take(&buffer);
	lua_pushstring(L, taken);
	lua_pushinteger(L, (lua_Integer)buffer.length);
	lun_free(taken);
	return 2;
}

/* buffer_exhaust() -> failed, length: more is asked for than can be had */
static int
buffer_exhaust(lua_State *L)
{
	struct lun_buffer buffer = {0};

	lun_buffer_add(&buffer, "a", 1);
	(void)lun_buffer_reserve(&buffer, SIZE_MAX / 2);
	lun_buffer_add(&buffer, "b", 1);
	lua_pushboolean(L, buffer.failed);
	lua_pushinteger(L, (lua_Integer)buffer.length);
	lun_buffer_clear(&buffer);
	lua_pushboolean(L, buffer.failed);
	lun_buffer_free(&buffer);
	return 3;
}

/* ---- batches ----------------------------------------------------------- */

#define BATCH "values_test.batch"

static struct lun_batch *
check_batch(lua_State *L)
{
	return *(struct lun_batch **)luaL_checkudata(L, 1, BATCH);
}

static int
batch_new(lua_State *L)
{
	struct lun_batch **batch = lua_newuserdatauv(L, sizeof *batch, 0);

	*batch = NULL;
	luaL_setmetatable(L, BATCH);
	*batch = lun_batch_new();
	return 1;
}

static int
batch_gc(lua_State *L)
{
	lun_batch_free(check_batch(L));
	return 0;
}

static struct lun_text
text_field(lua_State *L, int index, const char *name)
{
	struct lun_text text = {0};

	lua_getfield(L, index, name);
	text.bytes = lua_tolstring(L, -1, &text.length);
	lua_pop(L, 1); /* still held by the table */
	return text;
}

/* batch:add{id=, stream=, type=, data=, metadata=, version=} */
static int
batch_add(lua_State *L)
{
	struct lun_event event = {
	    .id = text_field(L, 2, "id"),
	    .stream = text_field(L, 2, "stream"),
	    .type = text_field(L, 2, "type"),
	    .data = text_field(L, 2, "data"),
	    .metadata = text_field(L, 2, "metadata"),
	};

	lua_getfield(L, 2, "version");
	event.version = luaL_optinteger(L, -1, 0);
	lua_pushboolean(L, lun_batch_add(check_batch(L), &event));
	return 1;
}

static void
set_text(lua_State *L, const char *name, struct lun_text text)
{
	push_text(L, text);
	lua_setfield(L, -2, name);
}

/* batch:at(i) -> table */
static int
batch_at(lua_State *L)
{
	struct lun_batch *batch = check_batch(L);
	size_t i = (size_t)luaL_checkinteger(L, 2) - 1;
	const struct lun_event *event;

	luaL_argcheck(L, i < batch->count, 2, "out of range");
	event = &batch->events[i];
	lua_newtable(L);
	set_text(L, "id", event->id);
	set_text(L, "stream", event->stream);
	set_text(L, "type", event->type);
	set_text(L, "data", event->data);
	set_text(L, "metadata", event->metadata);
	lua_pushinteger(L, event->version);
	lua_setfield(L, -2, "version");
	return 1;
}

/* batch:size() -> count, bytes */
static int
batch_size(lua_State *L)
{
	lua_pushinteger(L, (lua_Integer)check_batch(L)->count);
	lua_pushinteger(L, (lua_Integer)check_batch(L)->bytes);
	return 2;
}

static int
batch_clear(lua_State *L)
{
	lun_batch_clear(check_batch(L));
	return 0;
}

#define TYPES_MAX 16

/* filter_wants(types, stream or nil, event's stream, event's type) */
static int
filter_wants(lua_State *L)
{
	struct lun_text types[TYPES_MAX];
	struct lun_event_filter filter = {.types = types};

	filter.type_count = (size_t)luaL_len(L, 1);
	luaL_argcheck(L, filter.type_count <= TYPES_MAX, 1, "too many");
	for (size_t i = 0; i < filter.type_count; i++) {
		lua_geti(L, 1, (lua_Integer)i + 1);
		types[i] = check_text(L, -1);
		lua_pop(L, 1);
	}
	if (!lua_isnil(L, 2))
		filter.stream = check_text(L, 2);
	lua_pushboolean(L, lun_event_filter_wants(
			       &filter, check_text(L, 3), check_text(L, 4)));
	return 1;
}

/* ---- what people are shown --------------------------------------------- */

/* shown(text) -> every character of it as it is shown */
static int
shown(lua_State *L)
{
	struct lun_text rest = check_text(L, 1);
	char one[LUN_PRINTABLE_SIZE];
	luaL_Buffer all;

	luaL_buffinit(L, &all);
	while (rest.length > 0) {
		size_t length, taken = lun_printable_next(rest, one, &length);

		luaL_addlstring(&all, one, length);
		rest.bytes += taken;
		rest.length -= taken;
	}
	luaL_pushresult(&all);
	return 1;
}

/* shown_lines(text, size) -> what becomes of it in an array of that size */
static int
shown_lines(lua_State *L)
{
	char text[4096];
	size_t size = (size_t)luaL_checkinteger(L, 2);

	luaL_argcheck(L, size > 0 && size <= sizeof text, 2, "too large");
	snprintf(text, size, "%s", luaL_checkstring(L, 1));
	lun_printable_lines(text, size);
	lua_pushstring(L, text);
	return 1;
}

/* masked(text) -> the same without passwords */
static int
masked(lua_State *L)
{
	char text[4096];

	snprintf(text, sizeof text, "%s", luaL_checkstring(L, 1));
	lun_printable_mask(text);
	lua_pushstring(L, text);
	return 1;
}

/* failure(text [, context]) -> the message of a failure */
static int
failure(lua_State *L)
{
	struct lun_err err;

	lun_fail(&err, LUN_INVALID, "%s", luaL_checkstring(L, 1));
	if (!lua_isnoneornil(L, 2))
		lun_wrap(&err, LUN_INVALID, "%s", luaL_checkstring(L, 2));
	lua_pushstring(L, err.message);
	return 1;
}

static const luaL_Reg batch_methods[] = {
    {"add", batch_add},
    {"at", batch_at},
    {"clear", batch_clear},
    {"size", batch_size},
    {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"batch", batch_new},
    {"buffer_exhaust", buffer_exhaust},
    {"buffer_join", buffer_join},
    {"buffer_printf", buffer_printf},
    {"age_us", age_us},
    {"clocks", clocks},
    {"failure", failure},
    {"filter_wants", filter_wants},
    {"masked", masked},
    {"position_compare", position_compare},
    {"position_from_hex", position_from_hex},
    {"token_format", token_format},
    {"token_is", token_is},
    {"token_parse", token_parse},
    {"position_to_hex", position_to_hex},
    {"row_pack", row_pack},
    {"row_unpack", row_unpack},
    {"shown", shown},
    {"shown_lines", shown_lines},
    {"timestamp_of_text", timestamp_of_text},
    {"deadline_ns", deadline_ns},
    {"timestamp_format", timestamp_format},
    {"timestamp_parse", timestamp_parse},
    {NULL, NULL},
};

int luaopen_values_test(lua_State *L);

int
luaopen_values_test(lua_State *L)
{
	if (luaL_newmetatable(L, BATCH)) {
		lua_pushcfunction(L, batch_gc);
		lua_setfield(L, -2, "__gc");
		luaL_newlib(L, batch_methods);
		lua_setfield(L, -2, "__index");
	}
	luaL_newlib(L, functions);
	return 1;
}
