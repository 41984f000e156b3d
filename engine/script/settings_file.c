/* settings_file.c - a settings file: a Lua table, run confined. */

#include "script/settings_file.h"

#include <lauxlib.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "script/sandbox.h"
#include "script/source.h"
#include "script/vm.h"

/* Generous for a table of a few words. */
static const struct lun_script_limits limits = {.instructions = 10000000,
    .cpu_ms = LUN_SETTINGS_FILE_CPU_MS,
    .memory_bytes = 16 << 20};

struct load {
	const char *path;
	struct lun_text source;
	struct lun_vm *vm;
	/* name NUL value NUL, again and again */
	struct lun_buffer texts;
	size_t count;
};

static void
add_pair(struct load *load, const char *name, struct lun_text value)
{
	lun_buffer_add(&load->texts, name, strlen(name) + 1);
	lun_buffer_add_text(&load->texts, value);
	lun_buffer_add_byte(&load->texts, '\0');
	load->count++;
}

static void
add_number_setting(lua_State *L, struct load *load, const char *name)
{
	double number = lua_tonumber(L, -1);
	int whole;
	lua_Integer integer = lua_tointegerx(L, -1, &whole);
	struct lun_text text;

	if (!whole)
		luaL_error(L, "%s: %s: expected a whole number%s, got %s",
		    load->path, name,
		    number == floor(number) ? " of at most 64 bits" : "",
		    lua_tostring(L, -1));
	lua_pushfstring(L, "%I", (LUAI_UACINT)integer);
	text.bytes = lua_tolstring(L, -1, &text.length);
	add_pair(load, name, text);
	lua_pop(L, 1);
}

static void
add_text_setting(lua_State *L, struct load *load, const char *name)
{
	struct lun_text text;

	text.bytes = lua_tolstring(L, -1, &text.length);
	if (memchr(text.bytes, '\0', text.length) != NULL)
		luaL_error(L, "%s: %s: has a NUL byte", load->path, name);
	add_pair(load, name, text);
}

/* The value on top, which is no list. */
static void
add_scalar(lua_State *L, struct load *load, const char *name)
{
	switch (lua_type(L, -1)) {
	case LUA_TSTRING:
		add_text_setting(L, load, name);
		return;
	case LUA_TNUMBER:
		add_number_setting(L, load, name);
		return;
	case LUA_TBOOLEAN:
		add_pair(load, name,
		    lua_toboolean(L, -1) ? LUN_TEXT("true")
					 : LUN_TEXT("false"));
		return;
	default:
		luaL_error(L,
		    "%s: %s: expected text, a number or a boolean, got a %s",
		    load->path, name, luaL_typename(L, -1));
	}
}

/* Only what stands in a table counts; with a metatable more would seem to. */
static void
check_plain(lua_State *L, const char *path, const char *what)
{
	if (lua_getmetatable(L, -1))
		luaL_error(L,
		    "%s: %s must be a plain table without a metatable", path,
		    what);
}

/* The value on top: a list of them, or one. */
static void
add_values(lua_State *L, struct load *load, const char *name)
{
	lua_Integer count, members = 0;

	if (!lua_istable(L, -1)) {
		add_scalar(L, load, name);
		return;
	}
	check_plain(L, load->path, name);
	count = (lua_Integer)lua_rawlen(L, -1);
	for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1))
		members++;
	if (members != count)
		luaL_error(L, "%s: %s: expected a value or a list of values",
		    load->path, name);
	for (lua_Integer i = 1; i <= count; i++) {
		lua_rawgeti(L, -1, i);
		add_scalar(L, load, name);
		lua_pop(L, 1);
	}
}

/* Push (+1) the sorted list of the keys of the table at index. */
static lua_Integer
push_sorted_keys(lua_State *L, int table, const char *path)
{
	lua_Integer count = 0;
	int keys;

	lua_newtable(L);
	keys = lua_gettop(L);
	for (lua_pushnil(L); lua_next(L, table) != 0; lua_pop(L, 1)) {
		if (lua_type(L, -2) != LUA_TSTRING)
			luaL_error(L,
			    "%s: expected settings by name, such as "
			    "events = \"sqlite:events.db\"",
			    path);
		lua_pushvalue(L, -2);
		lua_rawseti(L, keys, ++count);
	}
	lua_getglobal(L, "table");
	lua_getfield(L, -1, "sort");
	lua_pushvalue(L, keys);
	lua_call(L, 1, 0);
	lua_settop(L, keys);
	return count;
}

static void
run_chunk(lua_State *L, struct load *load)
{
	lua_pushnil(L);
	lun_sandbox_open(L);
	lua_pushfstring(L, "@%s", load->path);
	if (luaL_loadbufferx(L, load->source.bytes, load->source.length,
		lua_tostring(L, -1), "t") != LUA_OK)
		lua_error(L);
	lun_vm_enter(load->vm);
	lua_call(L, 0, 1);
	lun_vm_leave(load->vm);
}

static int
load_protected(lua_State *L)
{
	struct load *load = lua_touserdata(L, 1);
	int table, keys;
	lua_Integer count;

	run_chunk(L, load);
	table = lua_gettop(L);
	if (!lua_istable(L, table))
		luaL_error(L, "%s: must return a table of settings, got %s",
		    load->path, luaL_typename(L, table));
	check_plain(L, load->path, "the settings");
	count = push_sorted_keys(L, table, load->path);
	keys = lua_gettop(L);
	for (lua_Integer i = 1; i <= count; i++) {
		lua_rawgeti(L, keys, i);
		lua_pushvalue(L, -1);
		lua_rawget(L, table);
		add_values(L, load, lua_tostring(L, -2));
		lua_settop(L, keys);
	}
	return 0;
}

/* False: out of memory. */
static bool
make_pairs(struct load *load, struct lun_settings_file *file)
{
	char *at;

	file->pairs = calloc(load->count + 1, sizeof *file->pairs);
	file->memory = lun_buffer_take(&load->texts);
	if (file->pairs == NULL || file->memory == NULL)
		return false;
	at = file->memory;
	for (; file->count < load->count; file->count++) {
		struct lun_setting *pair = &file->pairs[file->count];

		pair->name = at;
		at += strlen(at) + 1;
		pair->value = at;
		at += strlen(at) + 1;
	}
	return true;
}

/* Whatever the file did, it is the operator's. */
static enum lun_code
blame_file(const struct load *load, enum lun_code code, struct lun_err *err)
{
	if (code != LUN_NOMEM)
		code = LUN_CONFIG;
	if (load->vm != NULL && !lun_vm_starved(load->vm))
		return lun_recode(err, code);
	return lun_wrap(err, code, "%s", load->path);
}

enum lun_code
lun_settings_file_run(struct lun_settings_file *file, struct lun_err *err)
{
	struct load load = {
	    .path = file->path, .source = lun_buffer_text(&file->source)};
	enum lun_code code =
	    lun_vm_new(&limits, &file->pulse, NULL, &load.vm, err);

	if (code == LUN_OK)
		code = lun_vm_protect(load.vm, load_protected, &load, err);
	if (code != LUN_OK)
		code = blame_file(&load, code, err);
	else if (!make_pairs(&load, file))
		code = lun_fail(err, LUN_NOMEM, "%s: out of memory", load.path);
	lun_vm_free(load.vm);
	lun_buffer_free(&load.texts);
	return code;
}

enum lun_code
lun_settings_file_new(const char *path, struct lun_text source,
    struct lun_settings_file **out, struct lun_err *err)
{
	enum lun_code code = lun_source_begin(path, &source, LUN_CONFIG, err);
	struct lun_settings_file *file;

	if (code != LUN_OK)
		return code;
	file = calloc(1, sizeof *file);
	if (file == NULL)
		return lun_fail(err, LUN_NOMEM, "%s: out of memory", path);
	file->path = strdup(path);
	lun_buffer_add_text(&file->source, source);
	if (file->path == NULL || file->source.failed) {
		lun_settings_file_free(file);
		return lun_fail(err, LUN_NOMEM, "%s: out of memory", path);
	}
	*out = file;
	return LUN_OK;
}

void
lun_settings_file_free(struct lun_settings_file *file)
{
	if (file == NULL)
		return;
	lun_buffer_free(&file->source);
	free(file->path);
	free(file->pairs);
	free(file->memory);
	free(file);
}
