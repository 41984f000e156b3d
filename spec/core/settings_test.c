/* settings_test.c - engine/settings/settings.h for specs. */

#include "settings/settings.h"

#include "settings/memory.h"

#include <lauxlib.h>
#include <lua.h>
#include <string.h>

static void
set_text(lua_State *L, const char *key, const char *value)
{
	lua_pushstring(L, value); /* nil for NULL */
	lua_setfield(L, -2, key);
}

static void
set_integer(lua_State *L, const char *key, int64_t value)
{
	lua_pushinteger(L, value);
	lua_setfield(L, -2, key);
}

static const char *const type_names[] = {
    [LUN_SETTING_URL] = "url",
    [LUN_SETTING_NUMBER] = "number",
    [LUN_SETTING_CHOICE] = "choice",
};

/* entries() -> the table, as a list */
static int
settings_entries(lua_State *L)
{
	const struct lun_setting_entry *entry = lun_setting_entries;

	lua_newtable(L);
	for (lua_Integer i = 1; entry->name != NULL; entry++, i++) {
		lua_newtable(L);
		set_text(L, "name", entry->name);
		set_text(L, "type", type_names[entry->type]);
		set_text(L, "initial", entry->initial);
		set_integer(L, "least", entry->least);
		set_integer(L, "most", entry->most);
		set_text(L, "choices", entry->choices);
		set_text(L, "argument", entry->argument);
		set_text(L, "help", entry->help);
		lua_rawseti(L, -2, i);
	}
	return 1;
}

static void
push_settings(lua_State *L, const struct lun_settings *settings)
{
	const struct lun_setting_entry *entry = lun_setting_entries;

	lua_newtable(L);
	for (; entry->name != NULL; entry++) {
		const char *place = (const char *)settings + entry->offset;
		const char *text;
		int64_t number;

		if (entry->type == LUN_SETTING_NUMBER) {
			memcpy(&number, place, sizeof number);
			set_integer(L, entry->name, number);
		} else {
			memcpy(&text, place, sizeof text);
			set_text(L, entry->name, text);
		}
	}
}

#define GIVEN_MAX 64

static size_t
read_given(lua_State *L, struct lun_setting given[GIVEN_MAX])
{
	size_t count = (size_t)luaL_len(L, 1);

	luaL_argcheck(L, count <= GIVEN_MAX, 1, "too many");
	for (size_t i = 0; i < count; i++) {
		lua_geti(L, 1, (lua_Integer)i + 1);
		lua_geti(L, -1, 1);
		lua_geti(L, -2, 2);
		given[i].name = lua_tostring(L, -2);
		given[i].value = lua_tostring(L, -1);
		lua_pop(L, 3); /* still held by the list */
	}
	return count;
}

/* make{{name, value}...} -> table | nil, message, code */
static int
settings_make(lua_State *L)
{
	struct lun_setting given[GIVEN_MAX];
	size_t count = read_given(L, given);
	struct lun_settings settings;
	struct lun_err err;
	enum lun_code code = lun_settings_make(given, count, &settings, &err);

	if (code != LUN_OK) {
		lua_pushnil(L);
		lua_pushstring(L, err.message);
		lua_pushstring(L, lun_code_name(code));
		return 3;
	}
	push_settings(L, &settings);
	lun_settings_free(&settings);
	return 1;
}

/* shares(bytes, slots, projections) -> table */
static int
settings_shares(lua_State *L)
{
	struct lun_memory memory;
	struct lun_shares shares;

	lun_memory_init(
	    &memory, luaL_checkinteger(L, 1), (size_t)luaL_checkinteger(L, 2));
	atomic_store(&memory.projections, (size_t)luaL_checkinteger(L, 3));
	shares = lun_memory_share(&memory);
	lua_newtable(L);
	set_integer(L, "batch", (int64_t)shares.batch);
	set_integer(L, "touched", (int64_t)shares.touched);
	set_integer(L, "models", (int64_t)shares.models);
	set_integer(L, "idle_models", (int64_t)shares.idle_models);
	set_integer(L, "look", (int64_t)shares.look);
	set_integer(
	    L, "event_pages_kib", lun_memory_event_pages_kib(memory.bytes));
	set_integer(
	    L, "model_pages_kib", lun_memory_model_pages_kib(memory.bytes));
	return 1;
}

static const luaL_Reg functions[] = {
    {"shares", settings_shares},
    {"entries", settings_entries},
    {"make", settings_make},
    {NULL, NULL},
};

int luaopen_settings_test(lua_State *L);

int
luaopen_settings_test(lua_State *L)
{
	luaL_newlib(L, functions);
	return 1;
}
