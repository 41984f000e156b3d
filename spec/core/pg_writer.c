/*
 * pg_writer.c - programs that append to a PostgreSQL event store all at once,
 * as applications do: pg_writer.start(conninfo, statement, options).
 *
 * Each writer has streams of its own. A transaction writes one to three
 * events, stays open for a random time in between, and then commits, or, one
 * time in ten, rolls back. The statement has the parameters $1 stream, $2
 * version and $3 id; it may hold several, parted by ";;".
 */

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>
#include <uuid/uuid.h>

#include <lauxlib.h>
#include <lua.h>

#define WRITERS "pg_writer.writers"

#define MOST_WRITERS    64
#define MOST_STATEMENTS 8
#define MOST_EVENTS     3  /* of a transaction */
#define ROLLED_BACK     10 /* one in so many */
#define ID_SIZE         37

struct writer {
	pthread_t thread;
	struct group *group;
	unsigned number;
	unsigned seed;
	PGconn *conn;
	char (*ids)[ID_SIZE]; /* of the events that were committed */
	size_t count, capacity;
	long version;
	char error[256];
};

struct group {
	char *conninfo;
	char *sql[MOST_STATEMENTS];
	int statements;
	int first_version;
	int hold_ms;
	size_t writer_count;
	struct writer writers[MOST_WRITERS];
	atomic_bool stop;
	bool running;
};

int luaopen_pg_writer(lua_State *L);

static bool
check(struct writer *w, PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);
	bool good = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;

	if (!good)
		snprintf(
		    w->error, sizeof w->error, "%s", PQerrorMessage(w->conn));
	PQclear(result);
	return good;
}

static bool
run(struct writer *w, const char *sql)
{
	return check(w, PQexec(w->conn, sql));
}

static void
hold(struct writer *w)
{
	if (w->group->hold_ms > 0)
		poll(NULL, 0, rand_r(&w->seed) % (w->group->hold_ms + 1));
}

static bool
write_event(struct writer *w, long version, char id[ID_SIZE])
{
	char stream[64], number[32];
	const char *values[] = {stream, number, id};
	uuid_t uuid;

	uuid_generate_random(uuid);
	uuid_unparse_lower(uuid, id);
	snprintf(stream, sizeof stream, "writer-%u", w->number);
	snprintf(number, sizeof number, "%ld", version);
	for (int i = 0; i < w->group->statements; i++)
		if (!check(w, PQexecParams(w->conn, w->group->sql[i], 3, NULL,
				  values, NULL, NULL, 0)))
			return false;
	return true;
}

static bool
keep(struct writer *w, char ids[][ID_SIZE], size_t count)
{
	if (w->count + count > w->capacity) {
		size_t capacity = w->capacity * 2 + 256;
		void *grown = realloc(w->ids, capacity * ID_SIZE);

		if (grown == NULL)
			return false;
		w->ids = grown;
		w->capacity = capacity;
	}
	memcpy(w->ids[w->count], ids, count * ID_SIZE);
	w->count += count;
	w->version += (long)count;
	return true;
}

static bool
transact(struct writer *w)
{
	char ids[MOST_EVENTS][ID_SIZE];
	size_t count = 1 + (size_t)rand_r(&w->seed) % MOST_EVENTS;

	if (!run(w, "BEGIN"))
		return false;
	for (size_t i = 0; i < count; i++) {
		if (!write_event(w, w->version + (long)i, ids[i]))
			return false;
		if (i == 0)
			hold(w);
	}
	if (rand_r(&w->seed) % ROLLED_BACK == 0)
		return run(w, "ROLLBACK");
	return run(w, "COMMIT") && keep(w, ids, count);
}

static void *
write_on(void *arg)
{
	struct writer *w = arg;

	w->conn = PQconnectdb(w->group->conninfo);
	if (PQstatus(w->conn) != CONNECTION_OK)
		snprintf(
		    w->error, sizeof w->error, "%s", PQerrorMessage(w->conn));
	while (w->error[0] == '\0' && !w->group->stop)
		if (!transact(w) && w->error[0] == '\0')
			snprintf(w->error, sizeof w->error, "out of memory");
	PQfinish(w->conn);
	return NULL;
}

/* ---- for Lua ----------------------------------------------------------- */

static int
option(lua_State *L, const char *name, int otherwise)
{
	int value;

	lua_getfield(L, 3, name);
	value = (int)luaL_optinteger(L, -1, otherwise);
	lua_pop(L, 1);
	return value;
}

static void
split_statements(struct group *g, const char *sql)
{
	while (sql != NULL && g->statements < MOST_STATEMENTS) {
		const char *end = strstr(sql, ";;");

		g->sql[g->statements++] =
		    end != NULL ? strndup(sql, (size_t)(end - sql))
				: strdup(sql);
		sql = end != NULL ? end + 2 : NULL;
	}
}

/* start(conninfo, statement,
 *     {writers=16, hold_ms=500, first_version=1, seed=1}) */
static int
writer_start(lua_State *L)
{
	const char *conninfo = luaL_checkstring(L, 1);
	const char *sql = luaL_checkstring(L, 2);
	struct group *g;
	int seed;

	lua_settop(L, 3);
	luaL_checktype(L, 3, LUA_TTABLE);
	g = lua_newuserdatauv(L, sizeof *g, 0);
	memset(g, 0, sizeof *g);
	luaL_setmetatable(L, WRITERS);
	g->conninfo = strdup(conninfo);
	g->hold_ms = option(L, "hold_ms", 500);
	g->first_version = option(L, "first_version", 1);
	g->writer_count = (size_t)option(L, "writers", 16);
	seed = option(L, "seed", 1);
	luaL_argcheck(L, g->writer_count <= MOST_WRITERS, 3, "too many");
	split_statements(g, sql);
	g->running = true;
	for (size_t i = 0; i < g->writer_count; i++) {
		struct writer *w = &g->writers[i];

		w->group = g;
		w->number = (unsigned)i;
		w->seed = (unsigned)seed + (unsigned)i * 7919;
		w->version = g->first_version;
		pthread_create(&w->thread, NULL, write_on, w);
	}
	return 1;
}

static struct group *
stop_writers(lua_State *L)
{
	struct group *g = luaL_checkudata(L, 1, WRITERS);

	g->stop = true;
	for (size_t i = 0; g->running && i < g->writer_count; i++)
		pthread_join(g->writers[i].thread, NULL);
	g->running = false;
	return g;
}

/* stop() -> list of the ids committed; an error if a writer failed. */
static int
writers_stop(lua_State *L)
{
	struct group *g = stop_writers(L);
	lua_Integer n = 0;

	lua_newtable(L);
	for (size_t i = 0; i < g->writer_count; i++) {
		const struct writer *w = &g->writers[i];

		if (w->error[0] != '\0')
			return luaL_error(L, "a writer: %s", w->error);
		for (size_t k = 0; k < w->count; k++) {
			lua_pushstring(L, w->ids[k]);
			lua_seti(L, -2, ++n);
		}
	}
	return 1;
}

static int
writers_gc(lua_State *L)
{
	struct group *g = stop_writers(L);

	for (size_t i = 0; i < g->writer_count; i++)
		free(g->writers[i].ids);
	for (int i = 0; i < g->statements; i++)
		free(g->sql[i]);
	free(g->conninfo);
	return 0;
}

int
luaopen_pg_writer(lua_State *L)
{
	luaL_newmetatable(L, WRITERS);
	lua_newtable(L);
	lua_pushcfunction(L, writers_stop);
	lua_setfield(L, -2, "stop");
	lua_setfield(L, -2, "__index");
	lua_pushcfunction(L, writers_gc);
	lua_setfield(L, -2, "__gc");
	lua_pop(L, 1);
	lua_newtable(L);
	lua_pushcfunction(L, writer_start);
	lua_setfield(L, -2, "start");
	return 1;
}
