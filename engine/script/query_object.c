/* query_object.c - the query builder. */

#include "script/query_object.h"

#include <lauxlib.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "query/query.h"
#include "json/decode.h"
#include "json/write.h"

/* Registry key of the metatable. */
static const char builder_key;

static void
check_builder(lua_State *L)
{
	if (!lun_query_object_is(L, 1))
		luaL_error(L, "expected a query: call its methods with \":\"");
}

/* Add the term on top and leave only the builder: return this. */
static int
add_term(lua_State *L)
{
	lua_rawseti(L, 1, (lua_Integer)lua_rawlen(L, 1) + 1);
	lua_settop(L, 1);
	return 1;
}

static bool
begins_with(const char *text, const char *start)
{
	return strncmp(text, start, strlen(start)) == 0;
}

/* Index of the term that begins so, or 0. */
static lua_Integer
find_term(lua_State *L, const char *start)
{
	lua_Integer count = (lua_Integer)lua_rawlen(L, 1);

	for (lua_Integer i = 1; i <= count; i++) {
		bool found = lua_rawgeti(L, 1, i) == LUA_TSTRING &&
			     begins_with(lua_tostring(L, -1), start);

		lua_pop(L, 1);
		if (found)
			return i;
	}
	return 0;
}

/* Replace the term that begins so by the one on top: return this. */
static int
replace_term(lua_State *L, const char *start)
{
	lua_Integer index = find_term(L, start);

	if (index == 0)
		return add_term(L);
	lua_rawseti(L, 1, index);
	lua_settop(L, 1);
	return 1;
}

/* ---- names and values -------------------------------------------------- */

/* Push (+1) a text in double quotes. */
static void
push_quoted(lua_State *L, int index)
{
	size_t length;
	const char *text = lua_tolstring(L, index, &length);
	luaL_Buffer out;

	luaL_buffinit(L, &out);
	luaL_addchar(&out, '"');
	for (size_t i = 0; i < length; i++) {
		if (text[i] == '"' || text[i] == '\\')
			luaL_addchar(&out, '\\');
		luaL_addchar(&out, text[i]);
	}
	luaL_addchar(&out, '"');
	luaL_pushresult(&out);
}

/* Push (+1) a field's name, or a path such as address->city. */
static void
push_field_name(lua_State *L, int index)
{
	const char *name;
	size_t length;

	if (lua_type(L, index) != LUA_TSTRING)
		luaL_error(L, "a query needs the name of a field, got %s",
		    luaL_typename(L, index));
	name = lua_tolstring(L, index, &length);
	if (length > 0 && strcspn(name, ".,()=:\"\\ \t\n") == length)
		lua_pushvalue(L, index);
	else
		push_quoted(L, index);
}

static void
push_float(lua_State *L, double number)
{
	char text[LUN_JSON_NUMBER_SIZE];

	if (!isfinite(number))
		luaL_error(L, "a query cannot compare with nan or infinity");
	lun_json_shortest(text, number);
	lua_pushstring(L, text);
}

/* Push (+1) one value; texts are always quoted. */
static void
push_query_value(lua_State *L, int index)
{
	switch (lua_type(L, index)) {
	case LUA_TSTRING:
		push_quoted(L, index);
		return;
	case LUA_TNUMBER:
		if (lua_isinteger(L, index))
			lua_pushfstring(
			    L, "%I", (LUAI_UACINT)lua_tointeger(L, index));
		else
			push_float(L, lua_tonumber(L, index));
		return;
	case LUA_TBOOLEAN:
		lua_pushstring(L, lua_toboolean(L, index) ? "true" : "false");
		return;
	default:
		if (lua_touserdata(L, index) == lun_json_null() ||
		    lua_isnil(L, index))
			luaL_error(L, "nothing is equal to null: ask with "
				      "filter(field, \"is\", \"null\")");
		luaL_error(L, "a query cannot compare with a %s",
		    luaL_typename(L, index));
	}
}

/* Push (+1) "(a,b,c)" of the list at index. */
static void
push_list(lua_State *L, int index)
{
	lua_Integer count;
	luaL_Buffer out;

	if (!lua_istable(L, index))
		luaL_error(L, "\"in\" needs a list of values, got %s",
		    luaL_typename(L, index));
	if (!lun_json_is_plain(L, index))
		luaL_error(L, "\"in\" needs a plain list, without a metatable");
	count = (lua_Integer)lua_rawlen(L, index);
	luaL_buffinit(L, &out);
	luaL_addchar(&out, '(');
	for (lua_Integer i = 1; i <= count; i++) {
		if (i > 1)
			luaL_addchar(&out, ',');
		lua_rawgeti(L, index, i);
		push_query_value(L, lua_gettop(L));
		lua_remove(L, -2);
		luaL_addvalue(&out);
	}
	luaL_addchar(&out, ')');
	luaL_pushresult(&out);
}

/* Push (+1) what "is" takes: null, true, false, not_null. */
static void
push_truth(lua_State *L, int index)
{
	if (lua_isboolean(L, index))
		push_query_value(L, index);
	else if (lua_type(L, index) == LUA_TSTRING)
		lua_pushvalue(L, index);
	else if (lua_isnil(L, index) ||
		 lua_touserdata(L, index) == lun_json_null())
		lua_pushliteral(L, "null");
	else
		luaL_error(L, "\"is\" takes null, true or false, not a %s",
		    luaL_typename(L, index));
}

static const char *const operators[] = {
    "eq", "neq", "gt", "gte", "lt", "lte", "like", "ilike", "in", "is", NULL};

/* The operator at index without its "not.". Raises if there is none such. */
static const char *
check_operator(lua_State *L, int index)
{
	const char *op = lua_type(L, index) == LUA_TSTRING
			     ? lua_tostring(L, index)
			     : luaL_typename(L, index);
	const char *bare = begins_with(op, "not.") ? op + 4 : op;

	for (const char *const *known = operators; *known != NULL; known++)
		if (strcmp(bare, *known) == 0)
			return bare;
	luaL_error(L,
	    "\"%s\" is no operator: there are eq, neq, gt, gte, lt, lte, "
	    "like, ilike, in and is, each also after \"not.\"",
	    op);
	return NULL;
}

/* Push (+1) field, separator, operator, dot, value: three in a row. */
static void
push_condition(lua_State *L, int first, const char *separator)
{
	const char *op = check_operator(L, first + 1);

	push_field_name(L, first);
	lua_pushstring(L, separator);
	lua_pushvalue(L, first + 1);
	lua_pushliteral(L, ".");
	if (strcmp(op, "in") == 0)
		push_list(L, first + 2);
	else if (strcmp(op, "is") == 0)
		push_truth(L, first + 2);
	else
		push_query_value(L, first + 2);
	lua_concat(L, 5);
}

/* ---- methods ----------------------------------------------------------- */

/* query:filter(field, operator, value) */
static int
query_filter(lua_State *L)
{
	check_builder(L);
	lua_settop(L, 4);
	push_condition(L, 2, "=");
	return add_term(L);
}

static void push_members(lua_State *L, int list, int depth);

/* Raise if the table at index has more keys than what is read of it. */
static void
check_member_size(lua_State *L, int index, int most)
{
	for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1))
		if (--most < 0)
			luaL_error(L,
			    "a member of a group is { field, operator, value "
			    "}, "
			    "{ any = { ... } } or { all = { ... } } and no "
			    "more");
}

/* Push (+1) "or(...)" or "and(...)" if the table at index has such a list. */
static bool
push_group(lua_State *L, int index, int depth)
{
	static const char *const keys[][2] = {{"any", "or"}, {"all", "and"}};

	for (int i = 0; i < 2; i++) {
		if (lua_getfield(L, index, keys[i][0]) != LUA_TTABLE) {
			lua_pop(L, 1);
			continue;
		}
		check_member_size(L, index, 1);
		push_members(L, lua_gettop(L), depth + 1);
		lua_remove(L, -2);
		lua_pushstring(L, keys[i][1]);
		lua_insert(L, -2);
		lua_concat(L, 2);
		return true;
	}
	return false;
}

/* Push (+1) one member of a group, the table at index. */
static void
push_group_member(lua_State *L, int index, int depth)
{
	int first;

	if (!lua_istable(L, index))
		luaL_error(L,
		    "a group holds conditions such as { \"balance\", \"gte\", "
		    "1000 }, not a %s",
		    luaL_typename(L, index));
	if (push_group(L, index, depth))
		return;
	check_member_size(L, index, 3);
	lua_rawgeti(L, index, 1);
	first = lua_gettop(L);
	lua_rawgeti(L, index, 2);
	lua_rawgeti(L, index, 3);
	push_condition(L, first, ".");
	lua_replace(L, first);
	lua_settop(L, first);
}

/* Push (+1) "(a,b,c)" of the conditions in the list. */
static void
push_members(lua_State *L, int list, int depth)
{
	lua_Integer count = (lua_Integer)lua_rawlen(L, list);
	luaL_Buffer out;

	if (depth > LUN_QUERY_DEPTH_MAX)
		luaL_error(L, "groups may be nested at most %d deep",
		    LUN_QUERY_DEPTH_MAX);
	if (count == 0)
		luaL_error(L, "a group needs at least one condition");
	luaL_checkstack(L, LUA_MINSTACK, NULL);
	luaL_buffinit(L, &out);
	luaL_addchar(&out, '(');
	for (lua_Integer i = 1; i <= count; i++) {
		if (i > 1)
			luaL_addchar(&out, ',');
		lua_rawgeti(L, list, i);
		push_group_member(L, lua_gettop(L), depth);
		lua_remove(L, -2);
		luaL_addvalue(&out);
	}
	luaL_addchar(&out, ')');
	luaL_pushresult(&out);
}

static int
add_group(lua_State *L, const char *start)
{
	check_builder(L);
	luaL_checktype(L, 2, LUA_TTABLE);
	lua_settop(L, 2);
	lua_pushstring(L, start);
	push_members(L, 2, 1);
	lua_concat(L, 2);
	return add_term(L);
}

/* query:any{ {field, operator, value}, { all = { ... } } } */
static int
query_any(lua_State *L)
{
	return add_group(L, "or=");
}

/* query:all{ {field, operator, value}, { any = { ... } } } */
static int
query_all(lua_State *L)
{
	return add_group(L, "and=");
}

/* query:order_by(field, "asc" | "desc"): after those already there */
static int
query_order_by(lua_State *L)
{
	static const char *const directions[] = {"asc", "desc", NULL};
	lua_Integer index;
	int descending;

	check_builder(L);
	descending = luaL_checkoption(L, 3, "asc", directions);
	lua_settop(L, 2);
	index = find_term(L, "order=");
	if (index == 0)
		lua_pushliteral(L, "order=");
	else
		lua_rawgeti(L, 1, index);
	lua_pushstring(L, index == 0 ? "" : ",");
	push_field_name(L, 2);
	lua_pushstring(L, descending ? ".desc" : "");
	lua_concat(L, 4);
	return replace_term(L, "order=");
}

static int
set_number(lua_State *L, const char *start)
{
	lua_Integer number;

	check_builder(L);
	number = luaL_checkinteger(L, 2);
	luaL_argcheck(L, number >= 0, 2, "must not be negative");
	lua_pushfstring(L, "%s%I", start, (LUAI_UACINT)number);
	return replace_term(L, start);
}

/* query:limit(n) */
static int
query_limit(lua_State *L)
{
	return set_number(L, "limit=");
}

/* query:offset(n) */
static int
query_offset(lua_State *L)
{
	return set_number(L, "offset=");
}

/* query:select(field, ...) */
static int
query_select(lua_State *L)
{
	int count = lua_gettop(L);

	check_builder(L);
	luaL_argcheck(L, count >= 2, 2, "names of fields expected");
	luaL_checkstack(L, 2 * count + LUA_MINSTACK, NULL);
	lua_pushliteral(L, "select=");
	for (int i = 2; i <= count; i++) {
		lua_pushstring(L, i > 2 ? "," : "");
		push_field_name(L, i);
	}
	lua_concat(L, 2 * (count - 1) + 1);
	return replace_term(L, "select=");
}

/* query:terms(): a list of texts such as "balance=gte.1000" */
static int
query_terms(lua_State *L)
{
	lua_Integer count;

	check_builder(L);
	count = (lua_Integer)lua_rawlen(L, 1);
	lua_createtable(L, (int)count, 0);
	for (lua_Integer i = 1; i <= count; i++) {
		lua_rawgeti(L, 1, i);
		lua_rawseti(L, -2, i);
	}
	return 1;
}

/* tostring(query): the terms as in a URL, but not encoded */
static int
query_tostring(lua_State *L)
{
	lua_Integer count = (lua_Integer)lua_rawlen(L, 1);
	luaL_Buffer out;

	luaL_buffinit(L, &out);
	for (lua_Integer i = 1; i <= count; i++) {
		if (i > 1)
			luaL_addchar(&out, '&');
		lua_rawgeti(L, 1, i);
		luaL_addvalue(&out);
	}
	luaL_pushresult(&out);
	return 1;
}

/* query.limit = 1 would be ignored, and hide the method. */
static int
query_newindex(lua_State *L)
{
	if (lua_type(L, 2) == LUA_TSTRING)
		luaL_error(L,
		    "a query has no field \"%s\" to set: call its methods, "
		    "such "
		    "as query:limit(10)",
		    lua_tostring(L, 2));
	lua_rawset(L, 1);
	return 0;
}

static const luaL_Reg methods[] = {
    {"all", query_all},
    {"any", query_any},
    {"filter", query_filter},
    {"limit", query_limit},
    {"offset", query_offset},
    {"order_by", query_order_by},
    {"select", query_select},
    {"terms", query_terms},
    {NULL, NULL},
};

/* ---- making one -------------------------------------------------------- */

bool
lun_query_object_is(lua_State *L, int index)
{
	bool same;

	if (!lua_istable(L, index) || !lua_getmetatable(L, index))
		return false;
	lua_rawgetp(L, LUA_REGISTRYINDEX, &builder_key);
	same = lua_rawequal(L, -1, -2);
	lua_pop(L, 2);
	return same;
}

void
lun_query_object_push_builder(lua_State *L)
{
	lua_newtable(L);
	lua_rawgetp(L, LUA_REGISTRYINDEX, &builder_key);
	lua_setmetatable(L, -2);
}

/* lunette.query([projection]) */
static int
make_builder(lua_State *L)
{
	if (!lua_isnoneornil(L, 1))
		luaL_checktype(L, 1, LUA_TSTRING);
	lua_settop(L, 1);
	lun_query_object_push_builder(L);
	lua_pushliteral(L, "projection");
	lua_pushvalue(L, 1);
	lua_rawset(L, 2);
	return 1;
}

void
lun_query_object_push(lua_State *L)
{
	lua_createtable(L, 0, 4);
	luaL_newlib(L, methods);
	lua_setfield(L, -2, "__index");
	lua_pushcfunction(L, query_newindex);
	lua_setfield(L, -2, "__newindex");
	lua_pushcfunction(L, query_tostring);
	lua_setfield(L, -2, "__tostring");
	lua_pushliteral(L, "query");
	lua_setfield(L, -2, "__metatable");
	lua_rawsetp(L, LUA_REGISTRYINDEX, &builder_key);
	lua_pushcfunction(L, make_builder);
}
