/*
 * luaopen_host.c - arguments from and results to the host's Lua state.
 */

#include <math.h>
#include <string.h>

#include "base/suggest.h"
#include "lua/luaopen.h"
#include "json/decode.h"

#define OWNER  "lunette.text"
#define BUFFER "lunette.buffer"

#define SECONDS_MAX 1e9

struct lun_engine *
lun_host_check_engine(lua_State *L)
{
	struct lun_host_engine *host = luaL_checkudata(L, 1, LUN_HOST_ENGINE);

	if (host->engine == NULL)
		luaL_error(L, "the engine is closed");
	if (host->in_progress)
		luaL_error(
		    L, "an engine cannot be used in its progress function");
	return host->engine;
}

const char *
lun_host_check_text(lua_State *L, int arg)
{
	size_t length;
	const char *text;

	/* A number would be taken for its digits. */
	luaL_checktype(L, arg, LUA_TSTRING);
	text = lua_tolstring(L, arg, &length);
	if (strlen(text) != length)
		luaL_error(L, "a string must not contain a NUL byte");
	return text;
}

const char *
lun_host_opt_text(lua_State *L, int arg)
{
	return lua_isnoneornil(L, arg) ? NULL : lun_host_check_text(L, arg);
}

const char *
lun_host_check_id(lua_State *L, int arg)
{
	if (lua_isinteger(L, arg))
		return lua_tostring(L, arg);
	return lun_host_check_text(L, arg);
}

const char *
lun_host_opt_id(lua_State *L, int arg)
{
	return lua_isnoneornil(L, arg) ? NULL : lun_host_check_id(L, arg);
}

const char *
lun_host_text_field(lua_State *L, int arg, const char *name)
{
	switch (lua_getfield(L, arg, name)) {
	case LUA_TNIL:
		return NULL;
	case LUA_TSTRING:
		return lun_host_check_text(L, -1);
	default:
		luaL_error(L, "%s must be a string, got %s", name,
		    luaL_typename(L, -1));
		return NULL;
	}
}

/* Whether the key on top is one of the names; the nearest one if not. */
static bool
is_known_key(
    lua_State *L, const char *const *names, struct lun_suggestion *nearest)
{
	struct lun_text key;

	if (lua_type(L, -1) != LUA_TSTRING)
		return false;
	key.bytes = lua_tolstring(L, -1, &key.length);
	for (; *names != NULL; names++) {
		if (lun_text_equal(key, lun_text_of(*names)))
			return true;
		lun_suggestion_consider(nearest, key, lun_text_of(*names));
	}
	return false;
}

void
lun_host_check_keys(lua_State *L, int arg, const char *const *names)
{
	lua_pushnil(L);
	while (lua_next(L, arg) != 0) {
		struct lun_suggestion nearest = {0};
		const char *key;

		lua_pop(L, 1);
		if (is_known_key(L, names, &nearest))
			continue;
		key = luaL_tolstring(L, -1, NULL);
		if (nearest.word.bytes == NULL)
			luaL_error(L, "unknown field %s", key);
		luaL_error(L, "unknown field %s; did you mean \"%s\"?", key,
		    nearest.word.bytes);
	}
}

size_t
lun_host_check_list(lua_State *L, int arg, const char *members)
{
	size_t count = lua_rawlen(L, arg);

	if (!lun_json_is_plain(L, arg))
		luaL_error(L,
		    "expected a plain list, without a metatable, of %s",
		    members);
	for (lua_pushnil(L); lua_next(L, arg) != 0; lua_pop(L, 1)) {
		lua_Integer index =
		    lua_isinteger(L, -2) ? lua_tointeger(L, -2) : 0;

		if (index < 1 || (lua_Unsigned)index > count)
			luaL_error(L, "expected a list of %s, got a field %s",
			    members, luaL_tolstring(L, -2, NULL));
	}
	return count;
}

int64_t
lun_host_check_seconds(lua_State *L, int arg, lua_Number otherwise)
{
	lua_Number seconds = otherwise;

	if (!lua_isnoneornil(L, arg)) {
		if (lua_type(L, arg) != LUA_TNUMBER)
			luaL_error(L, "a timeout must be a number, got %s",
			    luaL_typename(L, arg));
		seconds = lua_tonumber(L, arg);
	}
	if (!(seconds >= 0 && seconds <= SECONDS_MAX))
		luaL_error(L, "a timeout must lie between 0 and 1e9 seconds");
	return (int64_t)ceil(seconds * 1000);
}

int
lun_host_fail(lua_State *L, enum lun_code code, const struct lun_err *err)
{
	lua_pushnil(L);
	lua_pushstring(L, err->message);
	lua_pushstring(L, lun_code_name(code));
	if (err->detail[0] == '\0')
		return 3;
	lua_pushstring(L, err->detail);
	return 4;
}

int
lun_host_done(lua_State *L, enum lun_code code, const struct lun_err *err)
{
	if (code != LUN_OK)
		return lun_host_fail(L, code, err);
	lua_pushboolean(L, 1);
	return 1;
}

static int
owner_gc(lua_State *L)
{
	char **owner = luaL_checkudata(L, 1, OWNER);

	lun_free(*owner);
	*owner = NULL;
	return 0;
}

char **
lun_host_push_owner(lua_State *L)
{
	char **owner = lua_newuserdatauv(L, sizeof *owner, 0);

	*owner = NULL;
	luaL_setmetatable(L, OWNER);
	return owner;
}

void
lun_host_push_owned_json(lua_State *L, char **owner)
{
	lun_json_push_answer(L, lun_text_of(*owner));
	lun_free(*owner);
	*owner = NULL;
	lua_remove(L, -2);
}

static int
buffer_gc(lua_State *L)
{
	lun_buffer_free(luaL_checkudata(L, 1, BUFFER));
	return 0;
}

struct lun_buffer *
lun_host_push_buffer(lua_State *L)
{
	struct lun_buffer *buffer = lua_newuserdatauv(L, sizeof *buffer, 0);

	*buffer = (struct lun_buffer){.bytes = NULL};
	luaL_setmetatable(L, BUFFER);
	return buffer;
}

static void
make_metatable(lua_State *L, const char *name, lua_CFunction gc)
{
	luaL_newmetatable(L, name);
	lua_pushcfunction(L, gc);
	lua_setfield(L, -2, "__gc");
	lua_pop(L, 1);
}

void
lun_host_setup(lua_State *L)
{
	make_metatable(L, OWNER, owner_gc);
	make_metatable(L, BUFFER, buffer_gc);
}
