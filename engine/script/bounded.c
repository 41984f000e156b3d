/*
 * bounded.c - can a call of a script's functions never take many instructions?
 *
 * Without a jump backwards a function runs each of its instructions once at
 * most, and those of the functions that it calls. It can call nothing of Lua but
 * what its upvalues hold, if
 * - it makes no functions, and finds none in tables or libraries;
 * - a function that an instruction fetches from an upvalue is called there and
 *   then, and so never becomes a value that anything else could call: not the
 *   functions in C either.
 * The upvalues of a script that keeps nothing stay what they are, so the
 * functions below one are known, and none that is above itself is taken. What
 * is in no row of the table of instructions below is not understood, and then
 * the function counts as one without bounds.
 */

#include "script/bounded.h"

#include <lauxlib.h>

#include "script/bytecode.h"
#include "script/sandbox.h"

#define DEPTH_MAX    20 /* functions that call each other */
#define UPVALUES_MAX 256

#define CALL      68
#define TAIL_CALL 69
#define JUMP      56

#define JUMP_ZERO 16777215 /* what stands for a jump by nothing */

/* What an instruction does with the registers that its operands name. */
enum use {
	WRITES_A = 1, /* and those behind it */
	READS_A = 2,
	USES_B = 4,
	USES_C = 8, /* unless it is a constant there */
	JUMPS = 16,
	ENDS = 32, /* it is no part of what makes arguments */
	UNKNOWN = 64,
};

/* By number, as Lua 5.4 has them: each row is for those up to its own. */
static const struct {
	unsigned char last;
	unsigned char use;
} rows[] = {
    {0, WRITES_A | USES_B},           /* MOVE */
    {9, WRITES_A},                    /* LOADI ... GETUPVAL */
    {10, ENDS},                       /* SETUPVAL */
    {11, WRITES_A},                   /* GETTABUP */
    {12, WRITES_A | USES_B | USES_C}, /* GETTABLE */
    {14, WRITES_A | USES_B},          /* GETI, GETFIELD */
    {15, ENDS},                       /* SETTABUP */
    {16, READS_A | USES_B | USES_C},  /* SETTABLE */
    {18, READS_A | USES_C},           /* SETI, SETFIELD */
    {19, WRITES_A},                   /* NEWTABLE */
    {20, WRITES_A | USES_B | USES_C}, /* SELF */
    {33, WRITES_A | USES_B},          /* ADDI ... SHLI */
    {45, WRITES_A | USES_B | USES_C}, /* ADD ... SHR */
    {46, READS_A | USES_B},           /* MMBIN */
    {48, READS_A},                    /* MMBINI, MMBINK */
    {52, WRITES_A | USES_B},          /* UNM, BNOT, NOT, LEN */
    {53, WRITES_A},                   /* CONCAT */
    {55, ENDS},                       /* CLOSE, TBC */
    {JUMP, JUMPS},                    /* JMP */
    {59, READS_A | USES_B},           /* EQ, LT, LE */
    {66, READS_A},                    /* EQK ... TEST */
    {67, WRITES_A | USES_B},          /* TESTSET */
    {CALL, WRITES_A},                 /* CALL */
    {72, ENDS},                       /* TAILCALL, RETURN ... */
    {77, UNKNOWN},                    /* FORLOOP ... TFORLOOP */
    {78, WRITES_A},                   /* SETLIST */
    {79, UNKNOWN},                    /* CLOSURE */
    {80, WRITES_A},                   /* VARARG */
    {81, ENDS},                       /* VARARGPREP */
    {82, 0},                          /* EXTRAARG */
};

struct search {
	lua_State *L;
	struct lun_buffer *room;
	int64_t most;
};

/* ---- instructions ------------------------------------------------------ */

static unsigned
use_of(uint32_t instruction)
{
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (lun_bytecode_op(instruction) <= rows[i].last)
			return rows[i].use;
	return UNKNOWN;
}

/* By how many instructions it jumps, from the next one. */
static int64_t
jump_of(uint32_t instruction)
{
	return (int64_t)(instruction >> 7) - JUMP_ZERO;
}

static bool
touches(uint32_t i, unsigned function)
{
	unsigned use = use_of(i), a = lun_bytecode_a(i);

	return ((use & WRITES_A) != 0 && a <= function) ||
	       ((use & READS_A) != 0 && a == function) ||
	       ((use & USES_B) != 0 && lun_bytecode_b(i) == function) ||
	       ((use & USES_C) != 0 && !lun_bytecode_k(i) &&
		   lun_bytecode_c(i) == function) ||
	       (use & (ENDS | UNKNOWN)) != 0;
}

/* A register has a function from instruction n on: is that only called? */
static bool
is_called(const struct lun_bytecode_function *f, size_t n, unsigned function)
{
	int64_t furthest = 0; /* that a jump goes to */

	for (; n < f->instruction_count; n++) {
		uint32_t i = lun_bytecode_instruction(f, n);
		unsigned op = lun_bytecode_op(i);

		if ((op == CALL || op == TAIL_CALL) &&
		    lun_bytecode_a(i) == function)
			return furthest <= (int64_t)n;
		if (touches(i, function))
			return false;
		if (op == JUMP && (int64_t)n + 1 + jump_of(i) > furthest)
			furthest = (int64_t)n + 1 + jump_of(i);
	}
	return false;
}

/* How often each upvalue is called; false: there is more to the function. */
static bool
count_calls(
    const struct lun_bytecode_function *f, const bool *callees, int64_t *calls)
{
	for (size_t n = 0; n < f->instruction_count; n++) {
		uint32_t i = lun_bytecode_instruction(f, n);
		unsigned upvalue = lun_bytecode_b(i);

		if (use_of(i) == UNKNOWN ||
		    (use_of(i) == JUMPS && jump_of(i) < 0))
			return false;
		if (lun_bytecode_op(i) != LUN_OP_GETUPVAL || !callees[upvalue])
			continue;
		if (!is_called(f, n + 1, lun_bytecode_a(i)))
			return false;
		calls[upvalue]++;
	}
	return f->function_count == 0;
}

/* ---- functions --------------------------------------------------------- */

static bool
is_of_lua(lua_State *L, int index)
{
	return lua_isfunction(L, index) && !lua_iscfunction(L, index);
}

/* Whether the table on top, popped, has a function of Lua, or a table that has. */
static bool
has_functions(lua_State *L, int depth)
{
	int table = lua_gettop(L);
	bool found = false;

	for (lua_pushnil(L); !found && lua_next(L, table) != 0;) {
		found = is_of_lua(L, -1);
		if (lua_istable(L, -1) && depth > 0)
			found = has_functions(L, depth - 1);
		else
			lua_pop(L, 1);
	}
	lua_settop(L, table - 1);
	return found;
}

static int
write_piece(lua_State *L, const void *bytes, size_t length, void *arg)
{
	struct lun_buffer *room = arg;

	(void)L;
	lun_buffer_add(room, bytes, length);
	return room->failed;
}

/* The function on top: its own instructions, and what it calls; -1: unknown. */
static int64_t
read_function(struct search *s, const bool *callees, int64_t *calls)
{
	struct lun_bytecode bytecode;
	struct lun_bytecode_function f;

	lun_buffer_clear(s->room);
	if (lua_dump(s->L, write_piece, s->room, true) != 0)
		return -1;
	bytecode = lun_bytecode_begin(lun_buffer_text(s->room));
	f = lun_bytecode_enter(&bytecode);
	if (bytecode.bad || !count_calls(&f, callees, calls))
		return -1;
	if (f.instruction_count > (size_t)s->most)
		return -1;
	return (int64_t)f.instruction_count;
}

/* Look at the upvalues of the function on top. False: they have too much. */
static bool
find_callees(lua_State *L, bool *callees)
{
	int function = lua_gettop(L);

	for (int i = 0; lua_getupvalue(L, function, i + 1) != NULL; i++) {
		callees[i] = is_of_lua(L, -1);
		if (lua_istable(L, -1) && has_functions(L, 1))
			return false;
		lua_settop(L, function);
	}
	return true;
}

/*
 * Instructions of one call of the function on top, popped; -1 if they may be
 * more than the most. Those that call themselves go too deep.
 */
static int64_t
bound_of(struct search *s, int depth)
{
	lua_State *L = s->L;
	int function = lua_gettop(L);
	bool callees[UPVALUES_MAX] = {false};
	int64_t calls[UPVALUES_MAX] = {0}, bound = -1;

	luaL_checkstack(L, LUA_MINSTACK, NULL);
	if (depth < DEPTH_MAX && find_callees(L, callees))
		bound = read_function(s, callees, calls);
	for (int i = 0; bound >= 0 && i < UPVALUES_MAX; i++) {
		int64_t below;

		if (calls[i] == 0)
			continue;
		lua_getupvalue(L, function, i + 1);
		below = bound_of(s, depth + 1);
		bound = below < 0 ? -1 : bound + calls[i] * below;
		if (bound > s->most)
			bound = -1;
	}
	lua_settop(L, function - 1);
	return bound;
}

bool
lun_bounded_check(
    lua_State *L, int functions, int64_t most, struct lun_buffer *room)
{
	struct search s = {.L = L, .room = room, .most = most};
	bool bounded;
	int top = lua_gettop(L);

	functions = lua_absindex(L, functions);
	luaL_checkstack(L, LUA_MINSTACK, NULL);
	lun_sandbox_push_strings(L);
	bounded = !has_functions(L, 0);
	for (lua_pushnil(L); bounded && lua_next(L, functions) != 0;)
		bounded = bound_of(&s, 0) >= 0;
	lua_settop(L, top);
	return bounded;
}
