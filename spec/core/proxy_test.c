/*
 * proxy_test.c - a unix socket between a client and a server that loses,
 * delays or withholds what goes through it, for specs.
 *
 *   local proxy = require("proxy_test").start(path, path of the server)
 *   proxy:rule("\0COMMIT\0", "after")   once, when a client says that:
 *     "before"  both connections end, the server never hears it
 *     "after"   it is done, but its answer never comes back
 *     "late"    the client is cut off; the server hears it at let_go()
 *     "stall"   from there on everything stands still
 *   proxy:fired()                   whether that has happened
 *   proxy:stall() proxy:resume()    nothing goes through meanwhile
 *   proxy:cut()                     end every connection
 *
 * With a leading NUL the pattern is the beginning of a statement, and what was
 * said before it goes through; else all that was read together is withheld.
 */

#include <fcntl.h>
#include <lauxlib.h>
#include <lua.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PROXY     "lunette.proxy_test"
#define PAIRS_MAX 64
#define CHUNK     65536
#define HEAD      5 /* of a message: its letter and its length */

enum mode {
	MODE_NONE,
	MODE_BEFORE,
	MODE_AFTER,
	MODE_LATE,
	MODE_STALL,
};

struct pair {
	int client;
	int server; /* -1: a free place */
	bool mute;  /* MODE_AFTER: until its answer is seen */
	char *held; /* MODE_LATE, MODE_STALL */
	size_t held_length;
};

struct proxy {
	pthread_t thread;
	pthread_mutex_t lock;
	int listener;
	int bell[2];
	struct sockaddr_un target;
	struct pair pairs[PAIRS_MAX];
	char pattern[64];
	size_t pattern_length;
	enum mode mode;
	bool fired;
	bool stalled;
	bool let_go;
	bool cut;
	bool stop;
};

/* ---- the thread -------------------------------------------------------- */

static void
close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void
end_pair(struct pair *pair)
{
	close_fd(&pair->client);
	close_fd(&pair->server);
	free(pair->held);
	*pair = (struct pair){-1, -1, false, NULL, 0};
}

static bool
write_all(int fd, const char *bytes, size_t length)
{
	while (length > 0) {
		ssize_t n = send(fd, bytes, length, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		bytes += n;
		length -= (size_t)n;
	}
	return true;
}

static void
accept_client(struct proxy *p)
{
	int client = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);
	int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	for (size_t i = 0; i < PAIRS_MAX; i++) {
		struct pair *pair = &p->pairs[i];

		if (pair->server >= 0)
			continue;
		if (connect(server, (struct sockaddr *)&p->target,
			sizeof p->target) != 0)
			break;
		*pair = (struct pair){client, server, false, NULL, 0};
		return;
	}
	close_fd(&client);
	close_fd(&server);
}

static void
hold(struct pair *pair, const char *bytes, size_t length)
{
	pair->held = malloc(length);
	if (pair->held != NULL)
		memcpy(pair->held, bytes, length);
	pair->held_length = pair->held != NULL ? length : 0;
}

static void
apply_rule(struct proxy *p, struct pair *pair, const char *bytes, size_t length)
{
	enum mode mode = p->mode;

	p->mode = MODE_NONE;
	p->fired = true;
	switch (mode) {
	case MODE_AFTER:
		pair->mute = true;
		if (!write_all(pair->server, bytes, length))
			end_pair(pair);
		break;
	case MODE_LATE:
		hold(pair, bytes, length);
		close_fd(&pair->client);
		break;
	case MODE_STALL:
		hold(pair, bytes, length);
		p->stalled = true;
		break;
	default:
		end_pair(pair);
		break;
	}
}

static void
pass_on(struct proxy *p, struct pair *pair, const char *bytes, size_t length)
{
	const char *found = NULL;
	size_t before = length;

	if (p->mode != MODE_NONE)
		found = memmem(bytes, length, p->pattern, p->pattern_length);
	if (found != NULL)
		before = p->pattern[0] == '\0' && found >= bytes + HEAD
			     ? (size_t)(found - bytes) - HEAD
			     : 0;
	if (!write_all(pair->server, bytes, before))
		end_pair(pair);
	else if (found != NULL)
		apply_rule(p, pair, bytes + before, length - before);
}

static void
from_client(struct proxy *p, struct pair *pair)
{
	char bytes[CHUNK];
	ssize_t n = read(pair->client, bytes, sizeof bytes);

	if (n <= 0)
		end_pair(pair);
	else
		pass_on(p, pair, bytes, (size_t)n);
}

/* A muted pair ends when the server has told what the client must not hear. */
static void
from_server(struct pair *pair)
{
	char bytes[CHUNK];
	ssize_t n = read(pair->server, bytes, sizeof bytes);

	if (n <= 0)
		end_pair(pair);
	else if (pair->mute) {
		if (memmem(bytes, (size_t)n, "COMMIT", 6) != NULL)
			end_pair(pair);
	} else if (pair->client >= 0 &&
		   !write_all(pair->client, bytes, (size_t)n))
		end_pair(pair);
}

static void
release_held(struct pair *pair)
{
	if (pair->held == NULL)
		return;
	if (!write_all(pair->server, pair->held, pair->held_length)) {
		end_pair(pair);
		return;
	}
	free(pair->held);
	pair->held = NULL;
}

static void
obey(struct proxy *p)
{
	for (size_t i = 0; i < PAIRS_MAX; i++) {
		struct pair *pair = &p->pairs[i];

		if (pair->server < 0)
			continue;
		if (p->cut)
			end_pair(pair);
		else if (!p->stalled && (p->let_go || pair->client >= 0))
			release_held(pair);
	}
	p->cut = p->let_go = false;
}

static void
serve(struct proxy *p, const struct pollfd *fds)
{
	char byte;

	if (fds[0].revents != 0)
		(void)!read(p->bell[0], &byte, 1);
	if (fds[1].revents != 0)
		accept_client(p);
	for (size_t i = 0; i < PAIRS_MAX; i++) {
		struct pair *pair = &p->pairs[i];

		if (fds[2 + 2 * i].revents != 0 && pair->client >= 0 &&
		    !p->stalled)
			from_client(p, pair);
		if (fds[3 + 2 * i].revents != 0 && pair->server >= 0 &&
		    !p->stalled)
			from_server(pair);
	}
	obey(p);
}

static void *
run_proxy(void *arg)
{
	struct proxy *p = arg;
	struct pollfd fds[2 + 2 * PAIRS_MAX];

	pthread_mutex_lock(&p->lock);
	while (!p->stop) {
		fds[0] = (struct pollfd){.fd = p->bell[0], .events = POLLIN};
		fds[1] = (struct pollfd){
		    .fd = p->stalled ? -1 : p->listener, .events = POLLIN};
		for (size_t i = 0; i < PAIRS_MAX; i++) {
			const struct pair *pair = &p->pairs[i];
			bool still = p->stalled || pair->server < 0;

			fds[2 + 2 * i] = (struct pollfd){
			    .fd =
				still || pair->held != NULL ? -1 : pair->client,
			    .events = POLLIN};
			fds[3 + 2 * i] = (struct pollfd){
			    .fd = still ? -1 : pair->server, .events = POLLIN};
		}
		pthread_mutex_unlock(&p->lock);
		(void)poll(fds, 2 + 2 * PAIRS_MAX, -1);
		pthread_mutex_lock(&p->lock);
		serve(p, fds);
	}
	for (size_t i = 0; i < PAIRS_MAX; i++)
		end_pair(&p->pairs[i]);
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* ---- methods ----------------------------------------------------------- */

static struct proxy *
check_proxy(lua_State *L)
{
	struct proxy **box = luaL_checkudata(L, 1, PROXY);

	luaL_argcheck(L, *box != NULL, 1, "the proxy is closed");
	return *box;
}

static void
ring(struct proxy *p)
{
	(void)!write(p->bell[1], "!", 1);
}

static int
set_flag(lua_State *L, size_t offset, bool value)
{
	struct proxy *p = check_proxy(L);

	pthread_mutex_lock(&p->lock);
	*(bool *)(void *)((char *)p + offset) = value;
	pthread_mutex_unlock(&p->lock);
	ring(p);
	return 0;
}

static int
proxy_stall(lua_State *L)
{
	return set_flag(L, offsetof(struct proxy, stalled), true);
}

static int
proxy_resume(lua_State *L)
{
	return set_flag(L, offsetof(struct proxy, stalled), false);
}

static int
proxy_let_go(lua_State *L)
{
	return set_flag(L, offsetof(struct proxy, let_go), true);
}

static int
proxy_cut(lua_State *L)
{
	return set_flag(L, offsetof(struct proxy, cut), true);
}

/* rule(pattern, mode) */
static int
proxy_rule(lua_State *L)
{
	static const char *const modes[] = {
	    "none", "before", "after", "late", "stall", NULL};
	struct proxy *p = check_proxy(L);
	size_t length;
	const char *pattern = luaL_checklstring(L, 2, &length);
	int mode = luaL_checkoption(L, 3, NULL, modes);

	luaL_argcheck(L, length <= sizeof p->pattern, 2, "too long");
	pthread_mutex_lock(&p->lock);
	memcpy(p->pattern, pattern, length);
	p->pattern_length = length;
	p->mode = (enum mode)mode;
	p->fired = false;
	pthread_mutex_unlock(&p->lock);
	return 0;
}

static int
proxy_fired(lua_State *L)
{
	struct proxy *p = check_proxy(L);

	pthread_mutex_lock(&p->lock);
	lua_pushboolean(L, p->fired);
	pthread_mutex_unlock(&p->lock);
	return 1;
}

static int
proxy_close(lua_State *L)
{
	struct proxy **box = luaL_checkudata(L, 1, PROXY);
	struct proxy *p = *box;

	if (p == NULL)
		return 0;
	*box = NULL;
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_mutex_unlock(&p->lock);
	ring(p);
	pthread_join(p->thread, NULL);
	close(p->listener);
	close(p->bell[0]);
	close(p->bell[1]);
	pthread_mutex_destroy(&p->lock);
	free(p);
	return 0;
}

static bool
set_address(struct sockaddr_un *address, const char *path)
{
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof address->sun_path)
		return false;
	strcpy(address->sun_path, path);
	return true;
}

static bool
open_proxy(struct proxy *p, const char *path, const char *target)
{
	struct sockaddr_un address;

	for (size_t i = 0; i < PAIRS_MAX; i++)
		p->pairs[i] = (struct pair){-1, -1, false, NULL, 0};
	pthread_mutex_init(&p->lock, NULL);
	p->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return set_address(&address, path) && set_address(&p->target, target) &&
	       pipe2(p->bell, O_CLOEXEC) == 0 &&
	       bind(p->listener, (struct sockaddr *)&address, sizeof address) ==
		   0 &&
	       listen(p->listener, PAIRS_MAX) == 0 &&
	       pthread_create(&p->thread, NULL, run_proxy, p) == 0;
}

/* start(path, path of the server) */
static int
proxy_start(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	const char *target = luaL_checkstring(L, 2);
	struct proxy **box = lua_newuserdatauv(L, sizeof *box, 0);

	*box = calloc(1, sizeof **box);
	if (*box == NULL || !open_proxy(*box, path, target))
		return luaL_error(L, "no proxy at %s", path);
	luaL_setmetatable(L, PROXY);
	return 1;
}

int luaopen_proxy_test(lua_State *L);

int
luaopen_proxy_test(lua_State *L)
{
	static const luaL_Reg methods[] = {
	    {"rule", proxy_rule},
	    {"fired", proxy_fired},
	    {"stall", proxy_stall},
	    {"resume", proxy_resume},
	    {"let_go", proxy_let_go},
	    {"cut", proxy_cut},
	    {"close", proxy_close},
	    {"__gc", proxy_close},
	    {NULL, NULL},
	};
	static const luaL_Reg functions[] = {
	    {"start", proxy_start},
	    {NULL, NULL},
	};

	luaL_newmetatable(L, PROXY);
	luaL_setfuncs(L, methods, 0);
	lua_pushvalue(L, -1);
	lua_setfield(L, -2, "__index");
	luaL_newlib(L, functions);
	return 1;
}
