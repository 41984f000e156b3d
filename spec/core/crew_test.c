/*
 * crew_test.c - a crew and one hint, for specs.
 *
 * begin(): a task whose first turn lasts until the crew took a hint, beside
 * another that listens for it; turns() of the first; finish().
 */

#include <lauxlib.h>
#include <lua.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "runtime/crew.h"

static struct {
	struct lun_crew crew;
	struct lun_task busy;
	struct lun_task listener;
	int hint; /* an eventfd */
	atomic_int turns;
	atomic_int hints_taken;
	atomic_bool ending;
} t;

int luaopen_crew_test(lua_State *L);

static int
hint_fd(void *arg)
{
	(void)arg;
	return t.hint;
}

static void
take_hint(void *arg)
{
	uint64_t count;

	(void)arg;
	(void)!read(t.hint, &count, sizeof count);
	atomic_fetch_add(&t.hints_taken, 1);
}

static void
give_hint(void)
{
	uint64_t one = 1;

	(void)!write(t.hint, &one, sizeof one);
}

static struct lun_turn
listen(bool ended)
{
	return (struct lun_turn){
	    .ended = ended, .listens = true, .due_ns = LUN_WHEN_WOKEN};
}

static struct lun_turn
take_listener_turn(void *arg, bool woken)
{
	(void)arg;
	(void)woken;
	return listen(atomic_load(&t.ending));
}

/* What the hint is about came after it looked. */
static struct lun_turn
take_busy_turn(void *arg, bool woken)
{
	(void)arg;
	(void)woken;
	if (atomic_load(&t.turns) == 0) {
		give_hint();
		while (atomic_load(&t.hints_taken) == 0)
			sched_yield();
	}
	atomic_fetch_add(&t.turns, 1);
	return listen(atomic_load(&t.ending));
}

static int
crew_begin(lua_State *L)
{
	const struct lun_hints hints = {.fd = hint_fd, .take = take_hint};
	struct lun_err err;

	lun_crew_init(&t.crew, 4, &hints);
	t.hint = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	t.busy = (struct lun_task){.take_turn = take_busy_turn};
	t.listener = (struct lun_task){.take_turn = take_listener_turn};
	atomic_store(&t.turns, 0);
	atomic_store(&t.hints_taken, 0);
	atomic_store(&t.ending, false);
	if (lun_crew_add(&t.crew, &t.listener, &err) != LUN_OK ||
	    lun_crew_add(&t.crew, &t.busy, &err) != LUN_OK)
		return luaL_error(L, "%s", err.message);
	return 0;
}

static int
crew_turns(lua_State *L)
{
	lua_pushinteger(L, atomic_load(&t.turns));
	return 1;
}

static int
crew_finish(lua_State *L)
{
	(void)L;
	atomic_store(&t.ending, true);
	(void)!lun_crew_finish(&t.crew, &t.listener, INT64_MAX);
	(void)!lun_crew_finish(&t.crew, &t.busy, INT64_MAX);
	lun_crew_fini(&t.crew);
	close(t.hint);
	return 0;
}

static const luaL_Reg functions[] = {
    {"begin", crew_begin},
    {"turns", crew_turns},
    {"finish", crew_finish},
    {NULL, NULL},
};

int
luaopen_crew_test(lua_State *L)
{
	luaL_newlib(L, functions);
	return 1;
}
