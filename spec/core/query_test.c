/* query_test.c - engine/query/query.h for specs: a parsed query as Lua tables. */

#include "query/query.h"

#include <lauxlib.h>
#include <lua.h>
#include <string.h>

#define TERMS_MAX 2000

static struct lun_text
check_text(lua_State *L, int index)
{
	struct lun_text text;

	text.bytes = luaL_checklstring(L, index, &text.length);
	return text;
}

static void
push_text(lua_State *L, struct lun_text text)
{
	lua_pushlstring(L, text.bytes != NULL ? text.bytes : "", text.length);
}

static void
set_integer(lua_State *L, const char *key, uint64_t value)
{
	lua_pushinteger(L, (lua_Integer)value);
	lua_setfield(L, -2, key);
}

static const char *const op_names[] = {
    [LUN_QUERY_EQ] = "eq",
    [LUN_QUERY_NEQ] = "neq",
    [LUN_QUERY_GT] = "gt",
    [LUN_QUERY_GTE] = "gte",
    [LUN_QUERY_LT] = "lt",
    [LUN_QUERY_LTE] = "lte",
    [LUN_QUERY_LIKE] = "like",
    [LUN_QUERY_ILIKE] = "ilike",
    [LUN_QUERY_IN] = "in",
    [LUN_QUERY_IS_NULL] = "is_null",
    [LUN_QUERY_AND] = "and",
    [LUN_QUERY_OR] = "or",
    [LUN_QUERY_NOT] = "not",
};

static const char *const kind_names[] = {
    [LUN_VALUE_NULL] = "null",
    [LUN_VALUE_TEXT] = "text",
    [LUN_VALUE_INTEGER] = "integer",
    [LUN_VALUE_NUMBER] = "number",
    [LUN_VALUE_BOOLEAN] = "boolean",
    [LUN_VALUE_TIMESTAMP] = "timestamp",
    [LUN_VALUE_JSON] = "json",
};

/* {field, path, name}; field counts from 0, -1 is the id */
static void
push_column(lua_State *L, const struct lun_column *column)
{
	lua_newtable(L);
	lua_pushinteger(L, column->field);
	lua_setfield(L, -2, "field");
	push_text(L, column->name);
	lua_setfield(L, -2, "name");
	lua_newtable(L);
	for (size_t i = 0; i < column->path_length; i++) {
		push_text(L, column->path[i]);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	lua_setfield(L, -2, "path");
}

/* {kind, value} */
static void
push_value(lua_State *L, const struct lun_value *value)
{
	lua_newtable(L);
	lua_pushstring(L, kind_names[value->kind]);
	lua_rawseti(L, -2, 1);
	if (value->kind == LUN_VALUE_TEXT)
		push_text(L, value->text);
	else if (value->kind == LUN_VALUE_NUMBER)
		lua_pushnumber(L, value->number);
	else
		lua_pushinteger(L, value->integer);
	lua_rawseti(L, -2, 2);
}

static void
push_condition(lua_State *L, const struct lun_condition *condition)
{
	luaL_checkstack(L, 8, NULL);
	lua_newtable(L);
	lua_pushstring(L, op_names[condition->op]);
	lua_setfield(L, -2, "op");
	push_column(L, &condition->column);
	lua_setfield(L, -2, "column");
	lua_newtable(L);
	for (size_t i = 0; i < condition->value_count; i++) {
		push_value(L, &condition->values[i]);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	lua_setfield(L, -2, "values");
	lua_newtable(L);
	for (size_t i = 0; i < condition->child_count; i++) {
		push_condition(L, &condition->children[i]);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	lua_setfield(L, -2, "children");
}

static void
push_order(lua_State *L, const struct lun_query *query)
{
	lua_newtable(L);
	for (size_t i = 0; i < query->order_count; i++) {
		push_column(L, &query->order[i].column);
		lua_pushboolean(L, query->order[i].descending);
		lua_setfield(L, -2, "descending");
		lua_pushboolean(L, query->order[i].nulls_first);
		lua_setfield(L, -2, "nulls_first");
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
}

static void
push_query(lua_State *L, const struct lun_query *query)
{
	lua_newtable(L);
	if (query->where != NULL) {
		push_condition(L, query->where);
		lua_setfield(L, -2, "where");
	}
	push_order(L, query);
	lua_setfield(L, -2, "order");
	lua_newtable(L);
	for (size_t i = 0; i < query->select_count; i++) {
		push_column(L, &query->select[i]);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	lua_setfield(L, -2, "select");
	set_integer(L, "limit", query->limit);
	set_integer(L, "offset", query->offset);
}

static size_t
read_terms(lua_State *L, int index, struct lun_text terms[TERMS_MAX])
{
	size_t count = (size_t)luaL_len(L, index);

	luaL_argcheck(L, count <= TERMS_MAX, index, "too many");
	for (size_t i = 0; i < count; i++) {
		lua_geti(L, index, (lua_Integer)i + 1);
		terms[i] = check_text(L, -1);
		lua_pop(L, 1); /* still held by the list */
	}
	return count;
}

/*
 * parse(schema text, terms, default limit, highest limit) -> table |
 * nil, message, code
 */
static int
query_parse(lua_State *L)
{
	uint64_t limit = (uint64_t)luaL_optinteger(L, 3, 100);
	uint64_t max_limit = (uint64_t)luaL_optinteger(L, 4, 10000);
	struct lun_text *terms =
	    lua_newuserdatauv(L, TERMS_MAX * sizeof *terms, 0);
	size_t count = read_terms(L, 2, terms);
	struct lun_schema *schema;
	struct lun_query *query;
	struct lun_err err;
	enum lun_code code;

	if (lun_schema_parse("account_summary", 1, check_text(L, 1), &schema,
		&err) != LUN_OK)
		return luaL_error(L, "%s", err.message);
	code = lun_query_parse(
	    schema, terms, count, limit, max_limit, &query, &err);
	lun_schema_free(schema);
	if (code != LUN_OK) {
		lua_pushnil(L);
		lua_pushstring(L, err.message);
		lua_pushstring(L, lun_code_name(code));
		return 3;
	}
	push_query(L, query);
	lun_query_free(query);
	return 1;
}

/* like(pattern, text, fold_case) */
static int
query_like(lua_State *L)
{
	lua_pushboolean(L, lun_query_like(check_text(L, 1), check_text(L, 2),
			       lua_toboolean(L, 3)));
	return 1;
}

static const luaL_Reg functions[] = {
    {"like", query_like},
    {"parse", query_parse},
    {NULL, NULL},
};

int luaopen_query_test(lua_State *L);

int
luaopen_query_test(lua_State *L)
{
	luaL_newlib(L, functions);
	return 1;
}
