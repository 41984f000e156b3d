/*
 * pg_session.c - PostgreSQL sessions in the hand of a spec: sessions that keep
 * transactions open while others go on. pg_session.open(url).
 */

#include <libpq-fe.h>

#include <lauxlib.h>
#include <lua.h>

#define SESSION "pg_session.session"

int luaopen_pg_session(lua_State *L);

static PGconn **
check_session(lua_State *L)
{
	return luaL_checkudata(L, 1, SESSION);
}

static int
session_open(lua_State *L)
{
	const char *url = luaL_checkstring(L, 1);
	PGconn **conn = lua_newuserdatauv(L, sizeof(PGconn *), 0);

	*conn = NULL;
	luaL_setmetatable(L, SESSION);
	*conn = PQconnectdb(url);
	if (PQstatus(*conn) != CONNECTION_OK)
		return luaL_error(L, "%s", PQerrorMessage(*conn));
	return 1;
}

/* session:run(sql) -> the first value of the first row, or nil */
static int
session_run(lua_State *L)
{
	PGconn **conn = check_session(L);
	PGresult *result = PQexec(*conn, luaL_checkstring(L, 2));
	ExecStatusType status = PQresultStatus(result);

	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
		PQclear(result);
		return luaL_error(L, "%s", PQerrorMessage(*conn));
	}
	lua_pushstring(L, PQntuples(result) > 0 && !PQgetisnull(result, 0, 0)
			      ? PQgetvalue(result, 0, 0)
			      : NULL);
	PQclear(result);
	return 1;
}

static int
session_close(lua_State *L)
{
	PGconn **conn = check_session(L);

	PQfinish(*conn);
	*conn = NULL;
	return 0;
}

int
luaopen_pg_session(lua_State *L)
{
	static const luaL_Reg methods[] = {
	    {"run", session_run},
	    {"close", session_close},
	    {"__gc", session_close},
	    {NULL, NULL},
	};

	luaL_newmetatable(L, SESSION);
	luaL_setfuncs(L, methods, 0);
	lua_pushvalue(L, -1);
	lua_setfield(L, -2, "__index");
	lua_newtable(L);
	lua_pushcfunction(L, session_open);
	lua_setfield(L, -2, "open");
	return 1;
}
