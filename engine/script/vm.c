/* vm.c - one Lua state: its life, its limits and the one door into it. */

#include "script/vm.h"

#include <assert.h>
#include <inttypes.h>
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/locale.h"
#include "base/printable.h"
#include "script/event_object.h"
#include "script/slab.h"
#include "json/scan.h"

#define STEP      200 /* instructions between two budget checks */
#define GARBAGE   ((size_t)512 << 10)
#define MS_PER_NS INT64_C(1000000)

enum spent {
	NOT_SPENT,
	SPENT_INSTRUCTIONS,
	SPENT_CPU,
	SPENT_INTERRUPTED,
};

struct budget {
	int64_t instructions; /* left for this call */
	int64_t deadline_ns;  /* of the thread's CPU clock; 0: not set yet */
	unsigned checks;      /* in this call */
};

struct lun_vm {
	lua_State *L;
	lua_State *running; /* L or a coroutine */
	void *owner;
	struct lun_pulse *pulse;
	struct lun_script_limits limits;
	struct budget budget;
	enum spent spent;
	bool in_protect;
	bool counting;          /* the hook is set */
	bool hurried;           /* the next instruction is checked */
	struct lun_err failure; /* of the protected call under way */
	struct lun_slab slab;
};

/* Only the thread that runs the state writes it. */
static void
add_progress(struct lun_vm *vm, uint64_t steps)
{
	_Atomic uint64_t *progress = &vm->pulse->progress;
	uint64_t now = atomic_load_explicit(progress, memory_order_relaxed);

	atomic_store_explicit(progress, now + steps, memory_order_release);
}

static bool
in_handler(const struct lun_vm *vm)
{
	return atomic_load_explicit(
		   &vm->pulse->progress, memory_order_relaxed) %
		   2 !=
	       0;
}

static int
describe_frame(lua_State *L, lua_Debug *frame, char *out, size_t room)
{
	lua_getinfo(L, "Sln", frame);
	if (*frame->what == 'C')
		return snprintf(out, room, "[C]: in function '%s'\n",
		    frame->name != NULL ? frame->name : "?");
	if (*frame->what == 'm')
		return snprintf(out, room, "%s:%d: in main chunk\n",
		    frame->short_src, frame->currentline);
	if (frame->name != NULL)
		return snprintf(out, room, "%s:%d: in function '%s'\n",
		    frame->short_src, frame->currentline, frame->name);
	return snprintf(out, room, "%s:%d: in function <%s:%d>\n",
	    frame->short_src, frame->currentline, frame->short_src,
	    frame->linedefined);
}

/*
 * The frames of the script, without the engine's function at the bottom.
 * Allocates nothing, so it works when memory has run out.
 */
static void
describe_frames(lua_State *L, int level, char *out, size_t size)
{
	lua_Debug frame, below;
	size_t used = 0;

	out[0] = '\0';
	for (; lua_getstack(L, level, &frame); level++) {
		int length;

		lua_getinfo(L, "S", &frame);
		if (*frame.what == 'C' && !lua_getstack(L, level + 1, &below))
			break;
		length = describe_frame(L, &frame, out + used, size - used);
		if (length < 0 || (size_t)length >= size - used) {
			out[used] = '\0';
			break;
		}
		used += (size_t)length;
	}
	if (used > 0)
		out[used - 1] = '\0';
	lun_printable_lines(out, size);
}

/* "path:line: " of the innermost frame that has a line; the path's length. */
static size_t
describe_line(lua_State *L, char *out, size_t size)
{
	lua_Debug frame;

	out[0] = '\0';
	for (int level = 0; lua_getstack(L, level, &frame); level++) {
		lua_getinfo(L, "Sl", &frame);
		if (frame.currentline <= 0)
			continue;
		snprintf(
		    out, size, "%s:%d: ", frame.short_src, frame.currentline);
		return strlen(frame.short_src);
	}
	return 0;
}

/* A message that has its line, if not this one, keeps it: error(x, 2). */
static bool
has_line(const char *message, const char *line, size_t path_length)
{
	return strncmp(message, line, path_length) == 0 &&
	       message[path_length] == ':' && message[path_length + 1] >= '0' &&
	       message[path_length + 1] <= '9';
}

static void
describe_raised(lua_State *L, struct lun_err *failure)
{
	char line[LUA_IDSIZE + 16];
	size_t path_length = describe_line(L, line, sizeof line);
	const char *message;

	if (lua_type(L, 1) != LUA_TSTRING) {
		lun_fail(failure, LUN_SCRIPT,
		    "%sthe script raised a %s in place of a message", line,
		    lun_event_object_typename(L, 1));
		return;
	}
	message = lua_tostring(L, 1);
	if (has_line(message, line, path_length))
		line[0] = '\0';
	lun_fail(failure, LUN_SCRIPT, "%s%s", line, message);
}

/*
 * The message handler. The text is taken only if it is one: a __tostring
 * could loop, and the host must not print what a script computes now.
 */
static int
describe_error(lua_State *L)
{
	struct lun_vm *vm = lun_vm_of(L);

	if (vm->spent != NOT_SPENT)
		return 1;
	describe_raised(L, &vm->failure);
	describe_frames(L, 1, vm->failure.detail, sizeof vm->failure.detail);
	return 1;
}

/* What was copied meanwhile, as instructions. */
static int64_t
count_copies(struct lun_vm *vm)
{
	size_t copied = vm->slab.uncounted;

	vm->slab.uncounted = 0;
	return copied < LUN_SLAB_HEAVY
		   ? 0
		   : (int64_t)(copied / LUN_VM_COPIED_PER_INSTRUCTION);
}

static enum spent
check_limits(struct lun_vm *vm, int64_t instructions)
{
	struct budget *budget = &vm->budget;
	int64_t now, copies = count_copies(vm);

	if (atomic_exchange(&vm->pulse->interrupt, false))
		return SPENT_INTERRUPTED;
	budget->instructions -= instructions + copies;
	if (budget->instructions <= 0)
		return SPENT_INSTRUCTIONS;
	/* A short call is over before its second check: the clock costs. */
	if (++budget->checks == 1 && copies == 0)
		return NOT_SPENT;
	now = lun_clock_thread_ns();
	if (budget->deadline_ns == 0)
		budget->deadline_ns = now + vm->limits.cpu_ms * MS_PER_NS;
	return now >= budget->deadline_ns ? SPENT_CPU : NOT_SPENT;
}

static void
describe_spent(struct lun_vm *vm, lua_State *L)
{
	struct lun_err *failure = &vm->failure;
	char line[LUA_IDSIZE + 16];

	describe_line(L, line, sizeof line);
	if (vm->spent == SPENT_INTERRUPTED)
		lun_fail(failure, LUN_UNAVAILABLE, "%sinterrupted", line);
	else if (vm->spent == SPENT_INSTRUCTIONS)
		lun_fail(failure, LUN_BUDGET,
		    "%sran more than %" PRId64 " instructions in one call",
		    line, vm->limits.instructions);
	else
		lun_fail(failure, LUN_BUDGET,
		    "%sused more than %" PRId64 " ms of CPU time in one call",
		    line, vm->limits.cpu_ms);
	describe_frames(L, 0, failure->detail, sizeof failure->detail);
}

static void check_budget(lua_State *L, lua_Debug *ar);

/* The hook as it is when nothing is special. */
static void
set_hook(const struct lun_vm *vm, lua_State *L)
{
	if (vm->counting)
		lua_sethook(L, check_budget, LUA_MASKCOUNT, STEP);
	else
		lua_sethook(L, NULL, 0, 0);
}

/* Raise if the budget is spent now that so many instructions have run. */
static void
spend_instructions(lua_State *L, int64_t instructions)
{
	struct lun_vm *vm = lun_vm_of(L);

	if (in_handler(vm))
		add_progress(vm, 2);
	if (vm->spent == NOT_SPENT) {
		vm->spent = check_limits(vm, instructions);
		if (vm->spent == NOT_SPENT)
			return;
		describe_spent(vm, L);
	}
	/* From here on every instruction raises, or pcall would win. */
	lua_sethook(L, check_budget, LUA_MASKCOUNT, 1);
	luaL_error(L, "budget spent");
}

/*
 * Lua turns hooks off while a hook runs and while a finalizer runs. Anything a
 * script could smuggle into either is beyond the budget, which is why
 * the sandbox has neither xpcall nor __gc.
 */
static void
check_budget(lua_State *L, lua_Debug *ar)
{
	struct lun_vm *vm = lun_vm_of(L);

	(void)ar;
	if (vm->hurried) {
		vm->hurried = false;
		set_hook(vm, L);
		spend_instructions(L, 1);
		return;
	}
	/* Part of the instructions before the first check were not ours. */
	spend_instructions(L, vm->budget.checks == 0 ? 0 : STEP);
}

/*
 * One instruction may copy as much as the state may hold, so after large
 * allocations the next one is checked. That of the engine's own functions
 * between two handlers are not the script's.
 */
static void
hurry_check(void *arg)
{
	struct lun_vm *vm = arg;

	if (!in_handler(vm) || vm->spent != NOT_SPENT || vm->hurried)
		return;
	vm->hurried = true;
	lua_sethook(vm->running, check_budget, LUA_MASKCOUNT, 1);
}

void
lun_vm_check(lua_State *L)
{
	struct lun_vm *vm = lun_vm_of(L);

	if (vm->budget.checks == 0)
		vm->budget.checks = 1; /* the clock is worth it */
	spend_instructions(L, 0);
}

lua_State *
lun_vm_switch(lua_State *L, lua_State *to)
{
	struct lun_vm *vm = lun_vm_of(L);
	lua_State *from = vm->running;

	vm->running = to;
	return from;
}

void
lun_vm_charge(lua_State *L, size_t instructions)
{
	if (instructions >= STEP)
		spend_instructions(L, instructions < INT64_MAX / 2
					  ? (int64_t)instructions
					  : INT64_MAX / 2);
}

void
lun_vm_check_room(lua_State *L, size_t bytes)
{
	struct lun_vm *vm = lun_vm_of(L);

	if (bytes <= vm->limits.memory_bytes)
		return;
	vm->slab.starved = true;
	luaL_error(L, "not enough memory");
}

static enum lun_code
describe_starved(struct lun_vm *vm, struct lun_err *err)
{
	return lun_fail(err, LUN_BUDGET, "used more than %zu KiB of memory",
	    vm->limits.memory_bytes / 1024);
}

/*
 * The verdict is the host's, not the script's: a script that swallowed its own
 * budget error has still failed.
 */
static enum lun_code
outcome_of_call(struct lun_vm *vm, int status, struct lun_err *err)
{
	/* During a collection Lua does not ask twice. */
	if (status == LUA_ERRMEM && !vm->slab.exhausted)
		vm->slab.starved = true;
	/* A script that catches this goes on until it spends something else. */
	if (vm->spent != SPENT_INTERRUPTED && vm->slab.starved)
		return describe_starved(vm, err);
	if (vm->spent == NOT_SPENT && vm->slab.out_of_memory)
		return lun_fail(err, LUN_NOMEM, "out of memory");
	if (vm->spent == NOT_SPENT && status == LUA_OK)
		return LUN_OK;
	if (vm->spent == NOT_SPENT && status == LUA_ERRMEM)
		return lun_fail(err, LUN_NOMEM, "out of memory");
	if (vm->spent == NOT_SPENT && status == LUA_ERRERR)
		return lun_fail(
		    err, LUN_SCRIPT, "error while raising an error");
	if (err != NULL)
		*err = vm->failure;
	return vm->failure.code;
}

enum lun_code
lun_vm_protect(
    struct lun_vm *vm, lua_CFunction body, void *arg, struct lun_err *err)
{
	lua_State *L = vm->L;
	int base = lua_gettop(L);
	enum lun_code code;
	locale_t outer;
	int status;

	assert(!vm->in_protect);
	if (!lua_checkstack(L, LUA_MINSTACK))
		return lun_fail(err, LUN_NOMEM, "no room on the Lua stack");
	vm->in_protect = true;
	vm->running = L;
	vm->slab.refused = 0;
	vm->slab.exhausted = false;
	vm->budget = (struct budget){.instructions = vm->limits.instructions};
	vm->failure = (struct lun_err){0};

	lua_pushcfunction(L, describe_error);
	lua_pushcfunction(L, body);
	lua_pushlightuserdata(L, arg);
	outer = lun_locale_enter();
	status = lua_pcall(L, 1, 0, base + 1);
	lun_locale_leave(outer);

	if (in_handler(vm))
		lun_vm_leave(vm);
	code = outcome_of_call(vm, status, err);
	lua_settop(L, base);
	vm->in_protect = false;
	return code;
}

void
lun_vm_count(struct lun_vm *vm, bool count)
{
	if (vm->counting == count)
		return;
	vm->counting = count;
	set_hook(vm, vm->L);
}

bool
lun_vm_interrupted(const struct lun_vm *vm)
{
	return atomic_load_explicit(
	    &vm->pulse->interrupt, memory_order_relaxed);
}

void
lun_vm_enter(struct lun_vm *vm)
{
	vm->budget = (struct budget){.instructions = vm->limits.instructions};
	vm->slab.uncounted = 0;
	add_progress(vm, 1);
}

void
lun_vm_leave(struct lun_vm *vm)
{
	add_progress(vm, 1);
}

void
lun_vm_pause(struct lun_vm *vm)
{
	add_progress(vm, 1);
}

void
lun_vm_resume(struct lun_vm *vm)
{
	add_progress(vm, 1);
}

bool
lun_vm_spent(const struct lun_vm *vm)
{
	return vm->spent != NOT_SPENT || vm->slab.starved ||
	       vm->slab.out_of_memory;
}

void
lun_vm_raise_no_memory(lua_State *L)
{
	lun_vm_of(L)->slab.out_of_memory = true;
	luaL_error(L, "out of memory");
}

bool
lun_vm_starved(const struct lun_vm *vm)
{
	return vm->slab.starved;
}

/*
 * The collector waits until the memory in use has grown by a part of itself.
 * While that is little it would run for a handful of events.
 */
void
lun_vm_tune(struct lun_vm *vm)
{
	size_t percent = GARBAGE * 100 / (vm->slab.used + 1);

	if (percent > 200)
		percent = 200;
	if (percent < 20)
		percent = 20;
	lua_gc(vm->L, LUA_GCGEN, (int)percent, 4 * (int)percent);
}

void *
lun_vm_owner(lua_State *L)
{
	return lun_vm_of(L)->owner;
}

enum lun_code
lun_vm_new(const struct lun_script_limits *limits, struct lun_pulse *pulse,
    void *owner, struct lun_vm **out, struct lun_err *err)
{
	struct lun_vm *vm = calloc(1, sizeof *vm);

	if (vm == NULL)
		return lun_fail(err, LUN_NOMEM, "out of memory");
	vm->limits = *limits;
	vm->pulse = pulse;
	vm->owner = owner;
	lun_slab_init(&vm->slab, limits->memory_bytes);
	vm->L = lua_newstate(lun_slab_alloc, &vm->slab);
	if (vm->L == NULL) {
		enum lun_code code =
		    vm->slab.exhausted
			? lun_fail(err, LUN_NOMEM, "out of memory")
			: describe_starved(vm, err);

		lun_vm_free(vm);
		return code;
	}
	*(struct lun_vm **)lua_getextraspace(vm->L) = vm;
	vm->running = vm->L;
	vm->slab.heavy = hurry_check;
	vm->slab.arg = vm;
	/* From birth, because a coroutine copies the hook it is born under. */
	lun_vm_count(vm, true);
	lun_vm_tune(vm);
	*out = vm;
	return LUN_OK;
}

void
lun_vm_free(struct lun_vm *vm)
{
	if (vm == NULL)
		return;
	if (vm->L != NULL)
		lua_close(vm->L);
	lun_slab_fini(&vm->slab);
	free(vm);
}
