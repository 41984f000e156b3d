/*
 * stateless.c - can the functions of a script keep anything for their next call?
 *
 * A value outlives a call only in a variable or a table that does. From a
 * function, those are what its upvalues hold: its script's own variables, the
 * globals, and tables in these. So it is enough that
 * - no instruction assigns to such a variable, nor into such a table by name;
 * - no such table gets to where it could be changed or handed on: what an
 *   instruction fetches of one is looked up in at once, and is gone then;
 * - in the tables are plain values and functions, which are looked at alike, and
 *   there is nothing else, such as a coroutine, which is a table of its own kind.
 * Strings have the functions of the table `string`, which are among the
 * globals. Metatables of the engine's objects are out of a script's reach.
 */

#include "script/stateless.h"

#include <lauxlib.h>

#include "script/bytecode.h"
#include "script/sandbox.h"

#define UPVALUES_MAX 255
#define ENTRIES_MAX  10000              /* of a table of constants */
#define BYTES_MAX    ((size_t)64 << 10) /* of a function */

/* What a variable from outside holds; it stays so if nothing assigns to it. */
enum held {
	HELD_OWN,   /* of a function inside: it belongs to the call */
	HELD_PLAIN, /* or a function */
	HELD_TABLE, /* of such */
	HELD_GLOBALS,
};

/* After a refusal the stack is left as it is. */
struct search {
	lua_State *L;
	struct lun_buffer *room;
	int globals;   /* what the script's functions see, a table of tables */
	int seen;      /* table: the functions found, each as a key */
	int found;     /* table: the same as a list */
	int names;     /* table: what is assigned to by name, each as a key */
	bool computes; /* such a name */
	lua_Integer count;
};

/* ---- what there is ----------------------------------------------------- */

/* Pop the function on top, to be looked at once. */
static void
add_function(struct search *s)
{
	lua_State *L = s->L;

	lua_pushvalue(L, -1);
	if (lua_rawget(L, s->seen) == LUA_TNIL) {
		lua_pushvalue(L, -2);
		lua_pushboolean(L, true);
		lua_rawset(L, s->seen);
		lua_pushvalue(L, -2);
		lua_rawseti(L, s->found, ++s->count);
	}
	lua_pop(L, 2);
}

static bool
is_plain(lua_State *L, int index)
{
	return lua_type(L, index) <= LUA_TSTRING;
}

/* Pop the value on top, if it is plain or a function. */
static bool
take_plain(struct search *s)
{
	if (lua_isfunction(s->L, -1)) {
		add_function(s);
		return true;
	}
	if (!is_plain(s->L, -1))
		return false;
	lua_pop(s->L, 1);
	return true;
}

/* Pop the table on top, if it has nothing but such values. */
static bool
take_table(struct search *s)
{
	lua_State *L = s->L;
	int table = lua_gettop(L), entries = 0;

	for (lua_pushnil(L); lua_next(L, table) != 0;)
		if (!is_plain(L, -2) || ++entries > ENTRIES_MAX ||
		    !take_plain(s))
			return false;
	lua_pop(L, 1);
	return true;
}

/* The same; with a metatable it may do anything. */
static bool
take_simple_table(struct search *s)
{
	return !lua_getmetatable(s->L, -1) && take_table(s);
}

static bool
take_library(struct search *s)
{
	return lun_sandbox_is_strict(s->L, -1) ? take_table(s)
					       : take_simple_table(s);
}

static bool
take_globals(struct search *s)
{
	lua_State *L = s->L;

	for (lua_pushnil(L); lua_next(L, s->globals) != 0;)
		if (!is_plain(L, -2) ||
		    !(lua_istable(L, -1) ? take_library(s) : take_plain(s)))
			return false;
	lun_sandbox_push_strings(L);
	return take_simple_table(s);
}

/* Pop the value of an upvalue. */
static bool
take_upvalue(struct search *s, unsigned char *held)
{
	lua_State *L = s->L;

	*held = HELD_PLAIN;
	if (!lua_istable(L, -1))
		return take_plain(s);
	if (lua_rawequal(L, -1, s->globals)) {
		*held = HELD_GLOBALS;
		lua_pop(L, 1);
		return true;
	}
	*held = HELD_TABLE;
	return take_simple_table(s);
}

/* ---- what the instructions do ------------------------------------------ */

/*
 * A register has got a table from outside: is that only looked up in, by the
 * instruction that puts what it finds in its place? Nothing comes before that
 * but other fields for the key.
 */
static bool
is_looked_up(const struct lun_bytecode_function *f, size_t n, unsigned table)
{
	for (; n < f->instruction_count; n++) {
		uint32_t i = lun_bytecode_instruction(f, n);
		unsigned op = lun_bytecode_op(i), a = lun_bytecode_a(i);
		bool from_it = lun_bytecode_b(i) == table;

		if (a == table && from_it)
			return op == LUN_OP_GETTABLE || op == LUN_OP_GETI ||
			       op == LUN_OP_GETFIELD;
		if (op != LUN_OP_GETFIELD || a <= table || from_it)
			return false;
	}
	return false;
}

static bool
is_global_table(struct search *s, struct lun_text name)
{
	bool table;

	if (name.bytes == NULL)
		return true;
	lua_pushlstring(s->L, name.bytes, name.length);
	table = lua_rawget(s->L, s->globals) == LUA_TTABLE;
	lua_pop(s->L, 1);
	return table;
}

static void
add_name(struct search *s, struct lun_text name)
{
	if (name.bytes == NULL) {
		s->computes = true;
		return;
	}
	lua_pushlstring(s->L, name.bytes, name.length);
	lua_pushboolean(s->L, true);
	lua_rawset(s->L, s->names);
}

/* In Lua's functions alone: those in C change no table by name. */
static void
note_assignment(
    struct search *s, const struct lun_bytecode_function *f, uint32_t i)
{
	switch (lun_bytecode_op(i)) {
	case LUN_OP_SETTABLE:
		s->computes = true;
		return;
	case LUN_OP_SETTABUP:
	case LUN_OP_SETFIELD:
		add_name(s, lun_bytecode_constant(f, lun_bytecode_b(i)));
	}
}

static bool
is_harmless(struct search *s, const struct lun_bytecode_function *f, size_t n,
    const unsigned char *held)
{
	uint32_t i = lun_bytecode_instruction(f, n);
	unsigned a = lun_bytecode_a(i), b = lun_bytecode_b(i);

	switch (lun_bytecode_op(i)) {
	case LUN_OP_SETUPVAL:
		return held[b] == HELD_OWN;
	case LUN_OP_SETTABUP:
		return held[a] == HELD_OWN;
	case LUN_OP_GETUPVAL:
		return held[b] < HELD_TABLE ||
		       (held[b] == HELD_TABLE && is_looked_up(f, n + 1, a));
	case LUN_OP_GETTABUP:
		return held[b] != HELD_GLOBALS ||
		       !is_global_table(
			   s, lun_bytecode_constant(f, lun_bytecode_c(i))) ||
		       is_looked_up(f, n + 1, a);
	}
	return true;
}

/* What the upvalues of the next function hold, and of the one around it. */
static void
name_upvalues(const struct lun_bytecode_function *f, const unsigned char *outer,
    unsigned char *held)
{
	for (size_t i = 0; i < f->upvalue_count && i < UPVALUES_MAX; i++) {
		const char *upvalue = f->upvalues + i * LUN_BYTECODE_UPVALUE;
		bool in_stack = upvalue[0] != 0;

		held[i] =
		    in_stack ? HELD_OWN : outer[(unsigned char)upvalue[1]];
	}
}

/* A function, and those inside it; held is the outermost one's own. */
static bool
look_into(struct search *s, struct lun_bytecode *b, const unsigned char *outer,
    bool outermost)
{
	struct lun_bytecode_function f = lun_bytecode_enter(b);
	unsigned char held[UPVALUES_MAX + 1] = {0};
	bool fine = !b->bad;

	if (outermost)
		memcpy(held, outer, sizeof held);
	else
		name_upvalues(&f, outer, held);
	for (size_t n = 0; fine && n < f.instruction_count; n++) {
		fine = is_harmless(s, &f, n, held);
		note_assignment(s, &f, lun_bytecode_instruction(&f, n));
	}
	for (size_t n = 0; fine && n < f.function_count; n++)
		fine = look_into(s, b, held, false);
	lun_bytecode_leave(b);
	return fine && !b->bad;
}

/* ---- a function -------------------------------------------------------- */

static int
write_piece(lua_State *L, const void *bytes, size_t length, void *arg)
{
	struct lun_buffer *room = arg;

	(void)L;
	lun_buffer_add(room, bytes, length);
	return room->failed || room->length > BYTES_MAX;
}

/* The function on top. */
static bool
look_at_function(struct search *s)
{
	unsigned char held[UPVALUES_MAX + 1] = {0};
	struct lun_bytecode bytecode;
	lua_State *L = s->L;
	int function = lua_gettop(L);
	bool in_c = lua_iscfunction(L, function);

	for (int i = 0; lua_getupvalue(L, function, i + 1) != NULL; i++)
		if (!take_upvalue(s, &held[i]) ||
		    (in_c && held[i] != HELD_PLAIN))
			return false;
	if (in_c)
		return true;
	lun_buffer_clear(s->room);
	if (lua_dump(L, write_piece, s->room, true) != 0)
		return false;
	bytecode = lun_bytecode_begin(lun_buffer_text(s->room));
	return !bytecode.bad && look_into(s, &bytecode, held, true);
}

bool
lun_stateless_check(lua_State *L, int functions, struct lun_buffer *room)
{
	int top = lua_gettop(L);
	struct search s = {.L = L,
	    .room = room,
	    .globals = top + 1,
	    .seen = top + 2,
	    .found = top + 3,
	    .names = top + 4};
	bool fine;

	functions = lua_absindex(L, functions);
	luaL_checkstack(L, LUA_MINSTACK, NULL);
	lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
	lua_newtable(L);
	lua_newtable(L);
	lua_newtable(L);
	fine = take_globals(&s);
	lua_settop(L, s.names);
	for (lua_pushnil(L); fine && lua_next(L, functions) != 0;)
		add_function(&s);
	for (lua_Integer i = 1; fine && i <= s.count; i++) {
		lua_settop(L, s.names);
		lua_rawgeti(L, s.found, i);
		fine = look_at_function(&s);
	}
	lua_settop(L, s.names);
	if (!fine || s.computes)
		lua_pushnil(L);
	lua_replace(L, top + 1);
	lua_settop(L, top + 1);
	return fine;
}
