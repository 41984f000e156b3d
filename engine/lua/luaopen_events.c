/*
 * luaopen_events.c - engine:append and engine:events.
 */

#include "base/clock.h"
#include "lua/luaopen.h"
#include "json/decode.h"

/*
 * An append under way. The two arrays belong to userdata, every text in them
 * to a string that the table at `anchors` holds.
 */
struct append {
	struct lun_new_event *events;
	struct lun_appended *appended;
	size_t count;
	int anchors;
	lua_Integer anchored;
	struct lun_buffer *json;
};

static const char *const event_fields[] = {"id", "tenant", "stream", "type",
    "data", "metadata", "recorded_at", "expected_version", NULL};

static const char *const events_fields[] = {
    "stream", "type", "after", "limit", NULL};

/* Pops the value on the top of the stack and keeps it alive. */
static void
anchor_value(lua_State *L, struct append *append)
{
	lua_rawseti(L, append->anchors, ++append->anchored);
}

static const char *
text_field(lua_State *L, struct append *append, int event, const char *name)
{
	const char *text = lun_host_text_field(L, event, name);

	anchor_value(L, append);
	return text;
}

static const char *
needed_field(lua_State *L, struct append *append, int event, const char *name)
{
	const char *text = text_field(L, append, event, name);

	if (text == NULL)
		luaL_error(L, "an event needs a %s", name);
	return text;
}

/* The field as JSON; `absent` if it is nil. */
static const char *
json_field(lua_State *L, struct append *append, int event, const char *name,
    const char *absent)
{
	const char *text;

	if (lua_getfield(L, event, name) == LUA_TNIL) {
		lua_pop(L, 1);
		return absent;
	}
	lun_buffer_clear(append->json);
	lun_json_encode_plain(L, lua_gettop(L), NULL, append->json);
	if (append->json->failed)
		luaL_error(L, "out of memory");
	text = lua_pushlstring(L, append->json->bytes, append->json->length);
	anchor_value(L, append);
	lua_pop(L, 1);
	return text;
}

static int64_t
integer_field(
    lua_State *L, int event, const char *name, int64_t least, int64_t absent)
{
	int64_t value;
	int is_integer;

	if (lua_getfield(L, event, name) == LUA_TNIL) {
		lua_pop(L, 1);
		return absent;
	}
	value = lua_tointegerx(L, -1, &is_integer);
	if (!is_integer || value < least)
		luaL_error(L,
		    "%s must be a whole number, not below %I and of at "
		    "most 64 bits",
		    name, (LUAI_UACINT)least);
	lua_pop(L, 1);
	return value;
}

/* Microseconds, or RFC 3339 text; LUN_TIME_UNKNOWN: it is absent. */
static int64_t
recorded_at(lua_State *L, int event)
{
	struct lun_text text;
	int64_t us;

	if (lua_getfield(L, event, "recorded_at") != LUA_TSTRING) {
		lua_pop(L, 1);
		return integer_field(L, event, "recorded_at", LUN_TIMESTAMP_MIN,
		    LUN_TIME_UNKNOWN);
	}
	text.bytes = lua_tolstring(L, -1, &text.length);
	if (!lun_timestamp_parse(text, &us))
		luaL_error(L, "recorded_at: %s is not an RFC 3339 timestamp",
		    text.bytes);
	lua_pop(L, 1);
	return us;
}

/* Takes the event on the top of the stack. */
static void
take_event(lua_State *L, struct append *append)
{
	struct lun_new_event *added = &append->events[append->count++];
	int event = lua_gettop(L);
	int64_t at = recorded_at(L, event);

	lun_host_check_keys(L, event, event_fields);
	*added = (struct lun_new_event){
	    .id = text_field(L, append, event, "id"),
	    .tenant = text_field(L, append, event, "tenant"),
	    .stream = needed_field(L, append, event, "stream"),
	    .type = needed_field(L, append, event, "type"),
	    .data = json_field(L, append, event, "data", "{}"),
	    .metadata = json_field(L, append, event, "metadata", NULL),
	    .recorded_at = at != LUN_TIME_UNKNOWN ? at : 0,
	    .at_epoch = at == 0,
	    .expected_version =
		integer_field(L, event, "expected_version", 0, LUN_ANY_VERSION),
	};
	lua_pop(L, 1);
}

static void
begin_append(lua_State *L, struct append *append, size_t count)
{
	append->events =
	    lua_newuserdatauv(L, count * sizeof *append->events, 0);
	append->appended =
	    lua_newuserdatauv(L, count * sizeof *append->appended, 0);
	append->json = lun_host_push_buffer(L);
	lua_newtable(L);
	append->anchors = lua_gettop(L);
}

static void
push_token(lua_State *L, const struct lun_appended *appended)
{
	if (appended->token[0] != '\0')
		lua_pushstring(L, appended->token);
	else
		lua_pushnil(L);
}

static void
push_appended(lua_State *L, const struct lun_appended *appended)
{
	lua_createtable(L, 0, 4);
	lua_pushstring(L, appended->position);
	lua_setfield(L, -2, "position");
	lua_pushinteger(L, appended->version);
	lua_setfield(L, -2, "version");
	lua_pushboolean(L, appended->existed);
	lua_setfield(L, -2, "existed");
	push_token(L, appended);
	lua_setfield(L, -2, "token");
}

/* The last position, what became of each event, and that position's token. */
static int
push_results(lua_State *L, const struct append *append, bool is_list)
{
	const struct lun_appended *last = &append->appended[append->count - 1];

	lua_pushstring(L, last->position);
	if (is_list)
		lua_createtable(L, (int)append->count, 0);
	else
		push_appended(L, last);
	for (size_t i = 0; is_list && i < append->count; i++) {
		push_appended(L, &append->appended[i]);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	push_token(L, last);
	return 3;
}

/* engine:append(event | list of events) */
static int
engine_append(lua_State *L)
{
	struct lun_engine *engine = lun_host_check_engine(L);
	struct append append = {.count = 0};
	struct lun_err err;
	enum lun_code code;
	bool is_list;
	lua_Integer count;

	luaL_checktype(L, 2, LUA_TTABLE);
	lua_settop(L, 2);
	is_list = lua_rawgeti(L, 2, 1) != LUA_TNIL;
	lua_pop(L, 1);
	count = is_list ? (lua_Integer)lun_host_check_list(L, 2, "events") : 1;
	begin_append(L, &append, (size_t)count);
	for (lua_Integer i = 1; i <= count; i++) {
		if (is_list)
			lua_rawgeti(L, 2, i);
		else
			lua_pushvalue(L, 2);
		if (lua_type(L, -1) != LUA_TTABLE)
			return luaL_error(L, "event %I is no table", i);
		take_event(L, &append);
	}
	code = lun_engine_append(
	    engine, append.events, append.count, append.appended, &err);
	if (code != LUN_OK)
		return lun_host_fail(L, code, &err);
	return push_results(L, &append, is_list);
}

static bool
add_json_event(void *arg, const char *json, size_t length)
{
	struct lun_buffer *list = arg;

	lun_buffer_add_byte(list, list->length == 0 ? '[' : ',');
	lun_buffer_add(list, json, length);
	return !list->failed;
}

/* Leaves the texts it points at on the stack. */
static struct lun_events_filter
check_filter(lua_State *L, int arg)
{
	struct lun_events_filter filter = {.tokens = true};

	if (lua_isnoneornil(L, arg))
		return filter;
	luaL_checktype(L, arg, LUA_TTABLE);
	lun_host_check_keys(L, arg, events_fields);
	filter.stream = lun_host_text_field(L, arg, "stream");
	filter.type = lun_host_text_field(L, arg, "type");
	filter.after = lun_host_text_field(L, arg, "after");
	filter.limit = (uint64_t)integer_field(L, arg, "limit", 1, 0);
	return filter;
}

/* engine:events([{stream=, type=, after=, limit=}]) */
static int
engine_events(lua_State *L)
{
	struct lun_engine *engine = lun_host_check_engine(L);
	struct lun_events_filter filter;
	struct lun_buffer *list;
	struct lun_err err;
	enum lun_code code;

	lua_settop(L, 2);
	filter = check_filter(L, 2);
	list = lun_host_push_buffer(L);
	code = lun_engine_events(engine, &filter, add_json_event, list, &err);
	if (code != LUN_OK)
		return lun_host_fail(L, code, &err);
	lun_buffer_add_byte(list, list->length == 0 ? '[' : ' ');
	lun_buffer_add_byte(list, ']');
	if (list->failed)
		return luaL_error(L, "out of memory");
	lun_json_push_answer(L, lun_buffer_text(list));
	lun_buffer_free(list);
	return 1;
}

const luaL_Reg lun_host_event_methods[] = {
    {"append", engine_append},
    {"events", engine_events},
    {NULL, NULL},
};
