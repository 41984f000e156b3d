/* sandbox.c - what a script sees. */

#include "script/sandbox.h"

#include <lauxlib.h>
#include <lualib.h>
#include <string.h>

#include "script/event_object.h"
#include "script/model_object.h"
#include "script/nested_object.h"
#include "script/vm.h"

#define SORT_FACTOR 16                 /* comparisons for each element */
#define LONG        ((size_t)4 << 10)  /* a text that may take time to scan */
#define LARGE       ((size_t)32 << 10) /* one that does */

/* ---- functions in place of Lua's own ----------------------------------- */

/* Push (+1) what tostring() gives: never an address. */
static void
push_text(lua_State *L, int index)
{
	index = lua_absindex(L, index);
	if (luaL_callmeta(L, index, "__tostring")) {
		if (lua_type(L, -1) != LUA_TSTRING)
			luaL_error(L, "'__tostring' must return a string");
		return;
	}
	switch (lua_type(L, index)) {
	case LUA_TLIGHTUSERDATA:
		lua_pushliteral(L, "null");
		return;
	case LUA_TTABLE:
	case LUA_TFUNCTION:
	case LUA_TTHREAD:
	case LUA_TUSERDATA:
		lua_pushstring(L, luaL_typename(L, index));
		return;
	default:
		luaL_tolstring(L, index, NULL);
	}
}

static int
base_tostring(lua_State *L)
{
	luaL_checkany(L, 1);
	push_text(L, 1);
	return 1;
}

static int
base_type(lua_State *L)
{
	luaL_checkany(L, 1);
	lua_pushstring(L, lun_event_object_typename(L, 1));
	return 1;
}

static int
base_next(lua_State *L)
{
	if (lun_nested_object_is(L, 1))
		return lun_nested_object_next(L);
	luaL_argexpected(L, !lun_event_object_is(L, 1), 1, "table");
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 2);
	if (lua_next(L, 1) != 0)
		return 2;
	lua_pushnil(L);
	return 1;
}

/*
 * A finalizer runs with hooks off, beyond any budget. Lua looks for __gc only
 * here: put into the metatable later it has no effect.
 */
static int
base_setmetatable(lua_State *L)
{
	int type = lua_type(L, 2);

	luaL_argexpected(L, !lun_event_object_is(L, 1), 1, "table");
	luaL_checktype(L, 1, LUA_TTABLE);
	luaL_argexpected(L,
	    type == LUA_TNIL ||
		(type == LUA_TTABLE && !lun_event_object_is(L, 2)),
	    2, "nil or table");
	if (type == LUA_TTABLE) {
		lua_pushliteral(L, "__gc");
		if (lua_rawget(L, 2) != LUA_TNIL)
			luaL_error(L, "__gc is not available to projections");
	}
	if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
		luaL_error(L, "cannot change a protected metatable");
	lun_model_object_open(L, 1);
	lua_settop(L, 2);
	lua_setmetatable(L, 1);
	return 1;
}

/*
 * Lua's own function in the frame of the one in its place, whose upvalue it
 * is; those that are replaced look at no upvalue.
 */
static int
call_original(lua_State *L)
{
	return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

/* The metatable of a model is the engine's affair. upvalue: Lua's own */
static int
base_getmetatable(lua_State *L)
{
	if (!lun_model_object_is_closed(L, 1))
		return call_original(L);
	lua_pushnil(L);
	return 1;
}

/* An event has nothing that could be had so. upvalue: Lua's own */
static int
base_raw(lua_State *L)
{
	luaL_argexpected(L, !lun_event_object_is(L, 1), 1, "table");
	return call_original(L);
}

static int
base_rawset(lua_State *L)
{
	luaL_argexpected(L, !lun_event_object_is(L, 1), 1, "table");
	lun_model_object_open(L, 1);
	return call_original(L);
}

/* Raise if a conversion of the format would show an address. */
static void
check_format(lua_State *L)
{
	size_t length;
	const char *format = luaL_checklstring(L, 1, &length);

	for (size_t i = 0; i < length; i++) {
		if (format[i] != '%')
			continue;
		i += 1 + strspn(format + i + 1, "-+ #0123456789.");
		if (format[i] == 'p')
			luaL_error(L, "'%%p' is not available to projections");
	}
}

/* string.format; upvalue: Lua's own */
static int
string_format(lua_State *L)
{
	int count = lua_gettop(L);

	check_format(L);
	for (int i = 2; i <= count; i++) {
		if (lua_type(L, i) <= LUA_TBOOLEAN ||
		    lua_type(L, i) == LUA_TNUMBER ||
		    lua_type(L, i) == LUA_TSTRING)
			continue;
		push_text(L, i);
		lua_replace(L, i);
	}
	return call_original(L);
}

/*
 * The functions below do in one instruction what may take seconds, so they are
 * charged for it before they begin. What they allocate, as everybody does, is
 * counted by vm.c. upvalue: Lua's own
 */

/* A string may also be repeated for ever when it is empty. */
static int
string_rep(lua_State *L)
{
	size_t length, separator, count;
	lua_Integer n;

	luaL_checklstring(L, 1, &length);
	luaL_optlstring(L, 3, "", &separator);
	n = luaL_checkinteger(L, 2);
	count = n > 0 ? (size_t)n : 0;
	length += separator;
	lun_vm_check_room(L, length > 0 && count > SIZE_MAX / length
				 ? SIZE_MAX
				 : count * length);
	length = length / LUN_VM_COPIED_PER_INSTRUCTION + 1;
	lun_vm_charge(L, count > SIZE_MAX / length ? SIZE_MAX : count * length);
	return call_original(L);
}

/* The length is what # says: a __len may claim any. */
static void
charge_elements(lua_State *L, size_t each)
{
	bool measured = lua_istable(L, 1) || lun_nested_object_is(L, 1);
	lua_Integer count = measured ? luaL_len(L, 1) : 0;

	if (count > 0)
		lun_vm_charge(L, (size_t)count > SIZE_MAX / each
				     ? SIZE_MAX
				     : (size_t)count * each);
}

/* table.insert, table.remove: at the end nothing is moved */
static int
table_insert(lua_State *L)
{
	if (lua_gettop(L) > 2)
		charge_elements(L, 1);
	return call_original(L);
}

static int
table_remove(lua_State *L)
{
	if (lua_gettop(L) > 1)
		charge_elements(L, 1);
	return call_original(L);
}

/* One that is in order already would pass. */
static int
table_sort(lua_State *L)
{
	if (lun_event_object_is(L, 1))
		luaL_error(L, "events cannot be changed: lunette.table(value) "
			      "is a copy that can");
	charge_elements(L, SORT_FACTOR);
	return call_original(L);
}

static void
charge_range(lua_State *L, lua_Integer from, lua_Integer to)
{
	if (to >= from)
		lun_vm_charge(L, (lua_Unsigned)to - (lua_Unsigned)from);
}

static int
table_concat(lua_State *L)
{
	if (lua_isnoneornil(L, 4))
		charge_elements(L, 1);
	else
		charge_range(
		    L, luaL_optinteger(L, 3, 1), luaL_checkinteger(L, 4));
	return call_original(L);
}

static int
table_move(lua_State *L)
{
	charge_range(L, luaL_checkinteger(L, 2), luaL_checkinteger(L, 3));
	return call_original(L);
}

static bool
is_long(lua_State *L)
{
	return lua_rawlen(L, 1) >= LONG;
}

/*
 * What only scans allocates nothing that would be noticed: the clock is looked
 * at after each call with a long text, or format.
 */
static int
scan_text(lua_State *L)
{
	bool check = is_long(L);
	int results = call_original(L);

	if (check)
		lun_vm_check(L);
	return results;
}

/* Each of its iterations scans a part: all of them together are one. */
static int
string_gmatch(lua_State *L)
{
	if (is_long(L))
		lun_vm_check(L);
	return call_original(L);
}

/*
 * It goes through all of the text, unless it is anchored or counts. What is to
 * be put in may be looked up in an event, in whatever form that is.
 */
static int
string_gsub(lua_State *L)
{
	if (lun_event_object_is(L, 3)) {
		lun_event_object_push_plain(L, 3);
		lua_replace(L, 3);
	}
	if (lua_rawlen(L, 1) >= LARGE && lua_gettop(L) == 3 &&
	    (lua_type(L, 2) != LUA_TSTRING || *lua_tostring(L, 2) != '^'))
		lun_vm_charge(L, (size_t)lua_rawlen(L, 1));
	return scan_text(L);
}

/*
 * Resume co with the `count` values on top, which are popped: how many results
 * are pushed in their place, or -1 and what it raised.
 */
static int
resume_coroutine(lua_State *L, lua_State *co, int count)
{
	lua_State *from;
	int results, status;

	if (!lua_checkstack(co, count)) {
		lua_pushliteral(L, "too many arguments to resume");
		return -1;
	}
	if (lua_status(co) == LUA_OK && lua_gettop(co) == 0) {
		lua_pushliteral(L, "cannot resume dead coroutine");
		return -1;
	}
	lua_xmove(L, co, count);
	from = lun_vm_switch(L, co);
	status = lua_resume(co, L, count, &results);
	(void)lun_vm_switch(L, from);
	if (status > LUA_YIELD) {
		lua_xmove(co, L, 1);
		return -1;
	}
	luaL_checkstack(L, results + 1, "too many results to resume");
	lua_xmove(co, L, results);
	return results;
}

/* The function that coroutine.wrap gives; upvalue: the coroutine. */
static int
wrap_resume(lua_State *L)
{
	lua_State *co = lua_tothread(L, lua_upvalueindex(1));
	int results = resume_coroutine(L, co, lua_gettop(L));

	if (results < 0)
		return lua_error(L);
	return results;
}

/* coroutine.resume(co, ...) */
static int
coroutine_resume(lua_State *L)
{
	lua_State *co = lua_tothread(L, 1);
	int results;

	luaL_argexpected(L, co != NULL, 1, "coroutine");
	results = resume_coroutine(L, co, lua_gettop(L) - 1);
	lua_pushboolean(L, results >= 0);
	if (results < 0)
		results = 1;
	lua_insert(L, -(results + 1));
	return results + 1;
}

/*
 * Lua's own closes the pending variables of a coroutine that failed. If it was
 * the budget's hook that raised in it, hooks are still off there, and a
 * __close would run beyond any budget.
 */
static int
coroutine_wrap(lua_State *L)
{
	lua_State *co;

	luaL_checktype(L, 1, LUA_TFUNCTION);
	co = lua_newthread(L);
	lua_pushvalue(L, 1);
	lua_xmove(L, co, 1);
	lua_pushcclosure(L, wrap_resume, 1);
	return 1;
}

/* ---- what there is ----------------------------------------------------- */

struct entry {
	const char *name;
	lua_CFunction instead; /* NULL: Lua's own, which else is its upvalue */
};

static const struct entry base_entries[] = {
    {"assert", NULL},
    {"error", NULL},
    {"getmetatable", base_getmetatable},
    {"ipairs", NULL},
    {"next", base_next},
    {"pairs", NULL},
    {"pcall", NULL},
    {"rawequal", NULL},
    {"rawget", base_raw},
    {"rawlen", base_raw},
    {"rawset", base_rawset},
    {"select", NULL},
    {"setmetatable", base_setmetatable},
    {"tonumber", scan_text},
    {"tostring", base_tostring},
    {"type", base_type},
    {NULL, NULL},
};

static const struct entry string_entries[] = {
    {"byte", NULL},
    {"char", NULL},
    {"find", scan_text},
    {"format", string_format},
    {"gmatch", string_gmatch},
    {"gsub", string_gsub},
    {"len", NULL},
    {"lower", NULL},
    {"match", scan_text},
    {"pack", scan_text},
    {"packsize", scan_text},
    {"rep", string_rep},
    {"reverse", NULL},
    {"sub", NULL},
    {"unpack", scan_text},
    {"upper", NULL},
    {NULL, NULL},
};

static const struct entry table_entries[] = {
    {"concat", table_concat},
    {"insert", table_insert},
    {"move", table_move},
    {"pack", NULL},
    {"remove", table_remove},
    {"sort", table_sort},
    {"unpack", NULL},
    {NULL, NULL},
};

static const struct entry math_entries[] = {
    {"abs", NULL},
    {"acos", NULL},
    {"asin", NULL},
    {"atan", NULL},
    {"ceil", NULL},
    {"cos", NULL},
    {"deg", NULL},
    {"exp", NULL},
    {"floor", NULL},
    {"fmod", NULL},
    {"huge", NULL},
    {"log", NULL},
    {"max", NULL},
    {"maxinteger", NULL},
    {"min", NULL},
    {"mininteger", NULL},
    {"modf", NULL},
    {"pi", NULL},
    {"rad", NULL},
    {"sin", NULL},
    {"sqrt", NULL},
    {"tan", NULL},
    {"tointeger", NULL},
    {"type", NULL},
    {"ult", NULL},
    {NULL, NULL},
};

static const struct entry utf8_entries[] = {
    {"char", NULL},
    {"charpattern", NULL},
    {"codepoint", scan_text},
    {"codes", NULL},
    {"len", scan_text},
    {"offset", scan_text},
    {NULL, NULL},
};

static const struct entry coroutine_entries[] = {
    {"create", NULL},
    {"isyieldable", NULL},
    {"resume", coroutine_resume},
    {"running", NULL},
    {"status", NULL},
    {"wrap", coroutine_wrap},
    {"yield", NULL},
    {NULL, NULL},
};

static const struct library {
	const char *name; /* NULL: the globals themselves */
	lua_CFunction open;
	const struct entry *entries;
} libraries[] = {
    {NULL, luaopen_base, base_entries},
    {"string", luaopen_string, string_entries},
    {"table", luaopen_table, table_entries},
    {"math", luaopen_math, math_entries},
    {"utf8", luaopen_utf8, utf8_entries},
    {"coroutine", luaopen_coroutine, coroutine_entries},
};

#define LIBRARY_COUNT (sizeof libraries / sizeof libraries[0])

/* ---- putting it together ----------------------------------------------- */

/* Copy from the table on top, which stays, to the table at index. */
static void
copy_entries(lua_State *L, const struct entry *entry, int to)
{
	for (; entry->name != NULL; entry++) {
		lua_getfield(L, -1, entry->name);
		if (entry->instead != NULL)
			lua_pushcclosure(L, entry->instead, 1);
		lua_setfield(L, to, entry->name);
	}
}

/*
 * s.name, where that is no function of Lua's: one that the script has put into
 * its table `string`, which is the upvalue. Nil would make every event whose
 * data is a string concern no model.
 */
static int
index_string(lua_State *L)
{
	lua_settop(L, 2);
	lua_pushvalue(L, 2);
	if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL)
		return 1;
	push_text(L, 2);
	return luaL_error(L,
	    "a string has no \"%s\": it is text and no object; was it encoded "
	    "as JSON twice?",
	    lua_tostring(L, -1));
}

/* Push (+1) the functions of strings, whatever becomes of the table. */
static void
push_string_functions(lua_State *L, int globals)
{
	lua_createtable(L, 0, sizeof string_entries / sizeof string_entries[0]);
	lua_getfield(L, globals, "string");
	for (const struct entry *entry = string_entries; entry->name != NULL;
	     entry++) {
		lua_getfield(L, -1, entry->name);
		lua_setfield(L, -3, entry->name);
	}
	lua_createtable(L, 0, 1);
	lua_insert(L, -2);
	lua_pushcclosure(L, index_string, 1);
	lua_setfield(L, -2, "__index");
	lua_setmetatable(L, -2);
}

/* Strings keep working whatever a script does to its string table. */
static void
protect_strings(lua_State *L, int globals)
{
	lua_pushliteral(L, "");
	lua_createtable(L, 0, 3);
	push_string_functions(L, globals);
	lua_setfield(L, -2, "__index");
	lua_pushliteral(L, "string");
	lua_setfield(L, -2, "__metatable");
	lua_setmetatable(L, -2);
	lua_pop(L, 1);
}

static int
refuse_read(lua_State *L)
{
	push_text(L, 2);
	return luaL_error(L, "%s \"%s\"", lua_tostring(L, lua_upvalueindex(1)),
	    lua_tostring(L, -1));
}

static int
refuse_write(lua_State *L)
{
	push_text(L, 2);
	return luaL_error(L,
	    "assignment to undefined variable \"%s\": declare it with local",
	    lua_tostring(L, -1));
}

void
lun_sandbox_make_strict(lua_State *L, int index, const char *what)
{
	index = lua_absindex(L, index);
	lua_createtable(L, 0, 3);
	lua_pushstring(L, what);
	lua_pushcclosure(L, refuse_read, 1);
	lua_setfield(L, -2, "__index");
	lua_pushcfunction(L, refuse_write);
	lua_setfield(L, -2, "__newindex");
	lua_pushliteral(L, "strict");
	lua_setfield(L, -2, "__metatable");
	lua_setmetatable(L, index);
}

bool
lun_sandbox_is_strict(lua_State *L, int index)
{
	bool strict;

	if (luaL_getmetafield(L, index, "__newindex") == LUA_TNIL)
		return false;
	strict = lua_tocfunction(L, -1) == refuse_write;
	lua_pop(L, 1);
	return strict;
}

void
lun_sandbox_push_strings(lua_State *L)
{
	lua_pushliteral(L, "");
	luaL_getmetafield(L, -1, "__index");
	luaL_getmetafield(L, -1, "__index");
	lua_getupvalue(L, -1, 1);
	lua_replace(L, -4);
	lua_pop(L, 2);
}

void
lun_sandbox_open(lua_State *L)
{
	int lunette = lua_gettop(L), globals;

	lua_createtable(L, 0, 32);
	globals = lua_gettop(L);
	for (size_t i = 0; i < LIBRARY_COUNT; i++) {
		const struct library *library = &libraries[i];
		int to = globals;

		if (library->name != NULL) {
			lua_createtable(L, 0, 32);
			to = lua_gettop(L);
		}
		lua_pushcfunction(L, library->open);
		lua_call(L, 0, 1);
		copy_entries(L, library->entries, to);
		lua_pop(L, 1);
		if (library->name != NULL)
			lua_setfield(L, globals, library->name);
	}
	protect_strings(L, globals);
	if (!lua_isnil(L, lunette)) {
		lua_pushvalue(L, lunette);
		lua_setfield(L, globals, "lunette");
	}
	lun_sandbox_make_strict(L, globals, "undefined variable");
	lua_rawseti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
	lua_settop(L, lunette - 1);
}
