/*
 * pool_test.c - the pool of lines for specs.
 *
 * new(count) -> pool; a line is its number, from 1 in the order they were put.
 */

#include <lauxlib.h>
#include <lua.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/pool.h"

#define POOL    "lunette.pool"
#define LINES   16
#define THREADS 8

struct test_line {
	struct lun_pool_line base; /* stays first */
	atomic_int users;
};

struct test_pool {
	struct lun_pool pool;
	struct test_line lines[LINES];
	atomic_bool failed;
	int turns; /* of each thread */
	pthread_t waiter;
	int waited_for;
};

static struct test_pool *
check_pool(lua_State *L)
{
	return luaL_checkudata(L, 1, POOL);
}

static int
pool_new(lua_State *L)
{
	lua_Integer count = luaL_checkinteger(L, 1);
	struct test_pool *t = lua_newuserdatauv(L, sizeof *t, 0);

	luaL_argcheck(L, count <= LINES, 1, "too many");
	*t = (struct test_pool){.turns = 0};
	lun_pool_init(&t->pool);
	for (lua_Integer i = count; i-- > 0;)
		lun_pool_put(&t->pool, &t->lines[i].base);
	luaL_setmetatable(L, POOL);
	return 1;
}

static int
pool_free(lua_State *L)
{
	lun_pool_fini(&check_pool(L)->pool);
	return 0;
}

static int
number_of(const struct test_pool *t, const struct lun_pool_line *line)
{
	return (int)((const struct test_line *)line - t->lines) + 1;
}

static int
push_line(lua_State *L, struct lun_pool_line *line)
{
	if (line == NULL)
		lua_pushnil(L);
	else
		lua_pushinteger(L, number_of(check_pool(L), line));
	return 1;
}

static struct lun_pool_line *
check_line(lua_State *L)
{
	lua_Integer number = luaL_checkinteger(L, 2);

	luaL_argcheck(L, number >= 1 && number <= LINES, 2, "no such line");
	return &check_pool(L)->lines[number - 1].base;
}

/* take([ms]) */
static int
pool_take(lua_State *L)
{
	int64_t deadline_ns = lun_clock_deadline_ns(luaL_optinteger(L, 2, 0));

	return push_line(L, lun_pool_take(&check_pool(L)->pool, deadline_ns));
}

static int
pool_take_favoured(lua_State *L)
{
	return push_line(L, lun_pool_take_favoured(&check_pool(L)->pool,
				lun_clock_deadline_ns(0)));
}

static int
pool_take_long(lua_State *L)
{
	return push_line(L, lun_pool_take_long(&check_pool(L)->pool));
}

static int
pool_give(lua_State *L)
{
	lun_pool_give(&check_pool(L)->pool, check_line(L));
	return 0;
}

/* note(line, is open) */
static int
pool_note(lua_State *L)
{
	lun_pool_note(&check_pool(L)->pool, check_line(L), lua_toboolean(L, 3));
	return 0;
}

static int
pool_can_spare(lua_State *L)
{
	lua_pushboolean(L, lun_pool_can_spare(&check_pool(L)->pool));
	return 1;
}

/* ---- other threads ----------------------------------------------------- */

static void *
wait_for_line(void *arg)
{
	struct test_pool *t = arg;
	struct lun_pool_line *line =
	    lun_pool_take(&t->pool, lun_clock_deadline_ns(20000));

	t->waited_for = line != NULL ? number_of(t, line) : 0;
	return NULL;
}

/* wait(): in a thread, which stands in the queue when this returns */
static int
pool_wait(lua_State *L)
{
	struct test_pool *t = check_pool(L);
	bool waits = false;

	if (pthread_create(&t->waiter, NULL, wait_for_line, t) != 0)
		return luaL_error(L, "no thread");
	while (!waits) {
		pthread_mutex_lock(&t->pool.lock);
		waits = t->pool.first != NULL;
		pthread_mutex_unlock(&t->pool.lock);
	}
	return 0;
}

/* waited() -> the line that the thread got */
static int
pool_waited(lua_State *L)
{
	struct test_pool *t = check_pool(L);

	pthread_join(t->waiter, NULL);
	lua_pushinteger(L, t->waited_for);
	return 1;
}

static void *
take_turns(void *arg)
{
	struct test_pool *t = arg;

	for (int i = 0; i < t->turns; i++) {
		struct test_line *line = (struct test_line *)lun_pool_take(
		    &t->pool, lun_clock_deadline_ns(20000));

		if (line == NULL || atomic_fetch_add(&line->users, 1) != 0) {
			atomic_store(&t->failed, true);
			return NULL;
		}
		lun_pool_note(&t->pool, &line->base, i % 7 != 0);
		atomic_fetch_sub(&line->users, 1);
		lun_pool_give(&t->pool, &line->base);
	}
	return NULL;
}

/* crowd(turns) -> whether every thread had each line to itself */
static int
pool_crowd(lua_State *L)
{
	struct test_pool *t = check_pool(L);
	pthread_t threads[THREADS];

	t->turns = (int)luaL_checkinteger(L, 2);
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, take_turns, t) != 0)
			return luaL_error(L, "no thread");
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	lua_pushboolean(L, !atomic_load(&t->failed));
	return 1;
}

/* ---- the module -------------------------------------------------------- */

static const luaL_Reg methods[] = {
    {"take", pool_take},
    {"take_favoured", pool_take_favoured},
    {"take_long", pool_take_long},
    {"give", pool_give},
    {"note", pool_note},
    {"can_spare", pool_can_spare},
    {"wait", pool_wait},
    {"waited", pool_waited},
    {"crowd", pool_crowd},
    {"__gc", pool_free},
    {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"new", pool_new},
    {NULL, NULL},
};

int luaopen_pool_test(lua_State *L);

int
luaopen_pool_test(lua_State *L)
{
	luaL_newmetatable(L, POOL);
	luaL_setfuncs(L, methods, 0);
	lua_pushvalue(L, -1);
	lua_setfield(L, -2, "__index");
	luaL_newlib(L, functions);
	return 1;
}
