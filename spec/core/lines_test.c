/*
 * lines_test.c - lines for specs: new(count, wait_ms); a line is its number.
 *
 * lines:close(number, code) closes one; opening it is refused with the code
 * from then on, or, without one, works again. lines:handle() -> a handle.
 */

#include "base/lines.h"

#include "base/error.h"
#include "lua_test.h"

#define LINES  "lines_test.lines"
#define HANDLE "lines_test.handle"
#define MOST   8

struct test_line {
	struct lun_pool_line base; /* stays first */
	enum lun_code refused;     /* with that; LUN_OK: it is not */
};

struct test_lines {
	struct lun_lines base; /* stays first */
	struct test_line at[MOST];
};

struct test_handle {
	struct test_lines *lines;
	struct lun_line_use use;
};

int luaopen_lines_test(lua_State *L);

static enum lun_code
open_line(
    struct lun_lines *lines, struct lun_pool_line *line, struct lun_err *err)
{
	enum lun_code code = ((struct test_line *)line)->refused;

	if (line->is_open)
		return LUN_OK;
	lun_pool_note(&lines->pool, line, code == LUN_OK);
	if (code == LUN_UNAVAILABLE && lun_pool_can_spare(&lines->pool))
		return LUN_AGAIN;
	return code != LUN_OK ? lun_fail(err, code, "refused") : LUN_OK;
}

static int
test_new(lua_State *L)
{
	lua_Integer count = luaL_checkinteger(L, 1);
	struct test_lines *lines = lua_newuserdatauv(L, sizeof *lines, 0);

	luaL_argcheck(L, count <= MOST, 1, "too many");
	*lines = (struct test_lines){
	    .base = {.count = (size_t)count,
		.wait_ms = luaL_checkinteger(L, 2),
		.name = "there",
		.open = open_line},
	};
	lun_pool_init(&lines->base.pool);
	for (lua_Integer i = count; i-- > 0;)
		lun_pool_put(&lines->base.pool, &lines->at[i].base);
	luaL_setmetatable(L, LINES);
	return 1;
}

static int
lines_free(lua_State *L)
{
	struct test_lines *lines = luaL_checkudata(L, 1, LINES);

	lun_pool_fini(&lines->base.pool);
	return 0;
}

static int
lines_close(lua_State *L)
{
	struct test_lines *lines = luaL_checkudata(L, 1, LINES);
	struct test_line *line = &lines->at[luaL_checkinteger(L, 2) - 1];
	const char *name = luaL_optstring(L, 3, "");

	lun_pool_note(&lines->base.pool, &line->base, false);
	line->refused = strcmp(name, "unavailable") == 0 ? LUN_UNAVAILABLE
			: strcmp(name, "config") == 0    ? LUN_CONFIG
							 : LUN_OK;
	return 0;
}

static int
lines_handle(lua_State *L)
{
	struct test_lines *lines = luaL_checkudata(L, 1, LINES);
	struct test_handle *handle = lua_newuserdatauv(L, sizeof *handle, 1);

	*handle = (struct test_handle){.lines = lines};
	lua_pushvalue(L, 1);
	lua_setiuservalue(L, -2, 1); /* the lines have to stay */
	luaL_setmetatable(L, HANDLE);
	return 1;
}

/* The number of a line; nil, the name of the code and the message. */
static int
answer(lua_State *L, enum lun_code code, const struct test_lines *lines,
    const struct lun_pool_line *line, const struct lun_err *err)
{
	if (code == LUN_OK && line != NULL) {
		lua_pushinteger(
		    L, (const struct test_line *)line - lines->at + 1);
		return 1;
	}
	lua_pushnil(L);
	lua_pushstring(L, lun_code_name(code));
	lua_pushstring(L, err->message);
	return 3;
}

static int
handle_enter(lua_State *L)
{
	static const char *const kinds[] = {"any", "favoured", "long", NULL};
	struct test_handle *h = luaL_checkudata(L, 1, HANDLE);
	struct lun_err err = {0};
	enum lun_code code = lun_lines_enter(&h->lines->base, &h->use,
	    (enum lun_line_kind)luaL_checkoption(L, 2, "any", kinds), &err);

	return answer(L, code, h->lines, h->use.line, &err);
}

static int
handle_leave(lua_State *L)
{
	struct test_handle *h = luaL_checkudata(L, 1, HANDLE);

	lun_lines_leave(&h->lines->base, &h->use);
	return 0;
}

static int
handle_keep(lua_State *L)
{
	struct test_handle *h = luaL_checkudata(L, 1, HANDLE);
	struct lun_err err = {0};
	enum lun_code code = lun_lines_keep(&h->lines->base, &h->use, &err);

	return answer(L, code, h->lines, h->use.kept, &err);
}

static int
handle_give_up(lua_State *L)
{
	struct test_handle *h = luaL_checkudata(L, 1, HANDLE);

	lun_lines_give_up(&h->lines->base, &h->use);
	return 0;
}

static const luaL_Reg lines_methods[] = {
    {"close", lines_close},
    {"handle", lines_handle},
    {"__gc", lines_free},
    {NULL, NULL},
};

static const luaL_Reg handle_methods[] = {
    {"enter", handle_enter},
    {"leave", handle_leave},
    {"keep", handle_keep},
    {"give_up", handle_give_up},
    {NULL, NULL},
};

int
luaopen_lines_test(lua_State *L)
{
	make_class(L, LINES, lines_methods);
	make_class(L, HANDLE, handle_methods);
	lua_newtable(L);
	lua_pushcfunction(L, test_new);
	lua_setfield(L, -2, "new");
	return 1;
}
