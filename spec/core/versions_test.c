/* versions_test.c - the table of the last versions of streams. */

#include "postgres/events/versions.h"

#include <stdio.h>

#include <lauxlib.h>
#include <lua.h>

int luaopen_versions_test(lua_State *L);

/* Every third stream is in another realm, under the name of the one before. */
static struct lun_pg_stream
stream_of(lua_Integer number, char name[32])
{
	bool twin = number % 3 == 2;

	snprintf(
	    name, 32, "stream-%lld", (long long)(twin ? number - 1 : number));
	return (struct lun_pg_stream){
	    lun_text_of(twin ? "twin" : ""), lun_text_of(name)};
}

static struct lun_pg_stream_key
key_of(lua_Integer number, char name[32])
{
	return lun_pg_stream_key(stream_of(number, name));
}

static lua_Integer
version_of(lua_Integer number)
{
	return number % 2 == 0 ? number : -number;
}

/*
 * fill(count) -> how many of so many streams are known with their versions,
 * of as many others that were never set, and of the first ones after a clear;
 * whether it was full.
 */
static int
versions_fill(lua_State *L)
{
	lua_Integer count = luaL_checkinteger(L, 1);
	lua_Integer known = 0, others = 0, left = 0;
	struct lun_pg_versions *versions = lun_pg_versions_new();
	char name[32];
	int64_t version;
	bool full;

	if (versions == NULL)
		return luaL_error(L, "out of memory");
	for (lua_Integer i = 0; i < count; i++)
		if (!lun_pg_versions_set(versions, key_of(i, name), 7) ||
		    !lun_pg_versions_set(
			versions, key_of(i, name), version_of(i)))
			break;
	full = lun_pg_versions_is_full(versions);
	for (lua_Integer i = 0; i < count; i++) {
		known +=
		    lun_pg_versions_get(versions, key_of(i, name), &version) &&
		    version == version_of(i);
		others += lun_pg_versions_get(
		    versions, key_of(i + count, name), &version);
	}
	lun_pg_versions_clear(versions);
	for (lua_Integer i = 0; i < count; i++)
		left +=
		    lun_pg_versions_get(versions, key_of(i, name), &version);
	lun_pg_versions_free(versions);
	lua_pushinteger(L, known);
	lua_pushinteger(L, others);
	lua_pushinteger(L, left);
	lua_pushboolean(L, full);
	return 4;
}

/* raise(known or nil, version) -> the version of the stream after that */
static int
versions_raise(lua_State *L)
{
	struct lun_pg_versions *versions = lun_pg_versions_new();
	int64_t version = 0;
	char name[32];

	if (versions == NULL)
		return luaL_error(L, "out of memory");
	if (!lua_isnil(L, 1))
		(void)!lun_pg_versions_set(
		    versions, key_of(1, name), lua_tointeger(L, 1));
	(void)!lun_pg_versions_raise(
	    versions, key_of(1, name), lua_tointeger(L, 2));
	(void)!lun_pg_versions_get(versions, key_of(1, name), &version);
	lun_pg_versions_free(versions);
	lua_pushinteger(L, version);
	return 1;
}

int
luaopen_versions_test(lua_State *L)
{
	lua_newtable(L);
	lua_pushcfunction(L, versions_fill);
	lua_setfield(L, -2, "fill");
	lua_pushcfunction(L, versions_raise);
	lua_setfield(L, -2, "raise");
	return 1;
}
