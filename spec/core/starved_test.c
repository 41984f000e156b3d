/*
 * starved_test.c - the Lua module and the library once more, with memory that
 * runs out where a spec wants it to.
 *
 * The linker sends every request for memory through the functions here, see
 * the Makefile. What SQLite and the host's Lua ask for goes by other ways.
 */

#include <lauxlib.h>
#include <lua.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "lua/luaopen.h"

static atomic_long countdown; /* the request that fails is number 1; 0: none */
static atomic_long held;      /* granted and not given back */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *bytes, size_t size);
void __real_free(void *bytes);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *bytes, size_t size);
void __wrap_free(void *bytes);
char *__wrap_strdup(const char *text);

static bool
is_refused(void)
{
	return atomic_load(&countdown) > 0 &&
	       atomic_fetch_sub(&countdown, 1) == 1;
}

static void *
count_granted(void *bytes)
{
	if (bytes != NULL)
		atomic_fetch_add(&held, 1);
	return bytes;
}

void *
__wrap_malloc(size_t size)
{
	return is_refused() ? NULL : count_granted(__real_malloc(size));
}

void *
__wrap_calloc(size_t count, size_t size)
{
	return is_refused() ? NULL : count_granted(__real_calloc(count, size));
}

void *
__wrap_realloc(void *bytes, size_t size)
{
	if (bytes == NULL)
		return __wrap_malloc(size);
	return is_refused() ? NULL : __real_realloc(bytes, size);
}

void
__wrap_free(void *bytes)
{
	if (bytes != NULL)
		atomic_fetch_sub(&held, 1);
	__real_free(bytes);
}

char *
__wrap_strdup(const char *text)
{
	char *copy = __wrap_malloc(strlen(text) + 1);

	return copy != NULL ? strcpy(copy, text) : NULL;
}

/* refuse(n): the n-th request from now on; 0: none */
static int
starved_refuse(lua_State *L)
{
	atomic_store(&countdown, (long)luaL_checkinteger(L, 1));
	return 0;
}

/* Whether the request that was to be refused is still to come. */
static int
starved_is_waiting(lua_State *L)
{
	lua_pushboolean(L, atomic_load(&countdown) > 0);
	return 1;
}

/* How many pieces of memory the library has now. */
static int
starved_held(lua_State *L)
{
	lua_pushinteger(L, atomic_load(&held));
	return 1;
}

static const luaL_Reg functions[] = {
    {"held", starved_held},
    {"is_waiting", starved_is_waiting},
    {"refuse", starved_refuse},
    {NULL, NULL},
};

int luaopen_starved_test(lua_State *L);

int
luaopen_starved_test(lua_State *L)
{
	luaL_newlib(L, functions);
	lua_pushcfunction(L, luaopen_lunette_core);
	lua_setfield(L, -2, "open_core");
	return 1;
}
