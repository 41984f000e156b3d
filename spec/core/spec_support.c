/*
 * spec_support.c - what specs need of the system: time, folders, processes.
 */

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>

#define PROCESS "spec_support.process"

extern char **environ;

struct process {
	pid_t pid; /* 0: none, or waited for already */
	int status;
	long peak_kib; /* the most memory it held, known once it has ended */
};

/* Everything the child needs, made ready before the vfork. */
struct launch {
	char **argv;
	char **envp;
	const char *cwd;
	const char *input;
	const char *output;
	const char *error;
	lua_Integer file_size_limit; /* bytes; -1: none */
};

static int64_t
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void
pause_ms(lua_Integer ms)
{
	struct timespec left = {
	    .tv_sec = ms / 1000,
	    .tv_nsec = ms % 1000 * 1000000,
	};

	while (nanosleep(&left, &left) != 0 && errno == EINTR)
		continue;
}

static int
support_now_ms(lua_State *L)
{
	lua_pushinteger(L, now_ms());
	return 1;
}

static int
support_sleep_ms(lua_State *L)
{
	pause_ms(luaL_checkinteger(L, 1));
	return 0;
}

static int
support_getpid(lua_State *L)
{
	lua_pushinteger(L, getpid());
	return 1;
}

static int
support_getcwd(lua_State *L)
{
	char path[4096];

	if (getcwd(path, sizeof path) == NULL)
		return luaL_fileresult(L, 0, NULL);
	lua_pushstring(L, path);
	return 1;
}

/* environ() -> list of "NAME=value" */
static int
support_environ(lua_State *L)
{
	lua_newtable(L);
	for (lua_Integer i = 0; environ[i] != NULL; i++) {
		lua_pushstring(L, environ[i]);
		lua_rawseti(L, -2, i + 1);
	}
	return 1;
}

/* mkdtemp(prefix) -> path */
static int
support_mkdtemp(lua_State *L)
{
	const char *prefix = luaL_checkstring(L, 1);
	char path[4096];

	if (strlen(prefix) + 7 > sizeof path)
		return luaL_argerror(L, 1, "too long");
	strcpy(path, prefix);
	strcat(path, "XXXXXX");
	if (mkdtemp(path) == NULL)
		return luaL_fileresult(L, 0, prefix);
	lua_pushstring(L, path);
	return 1;
}

static int
remove_entry(
    const char *path, const struct stat *info, int kind, struct FTW *at)
{
	(void)info;
	(void)kind;
	(void)at;
	remove(
	    path); /* what cannot be removed is left in the temporary folder */
	return 0;
}

static int
support_remove_tree(lua_State *L)
{
	nftw(luaL_checkstring(L, 1), remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	return 0;
}

static int
support_mkdir(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);

	return luaL_fileresult(L, mkdir(path, 0777) == 0, path);
}

/* chmod(path, mode) */
static int
support_chmod(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	mode_t mode = (mode_t)luaL_checkinteger(L, 2);

	return luaL_fileresult(L, chmod(path, mode) == 0, path);
}

/* setenv(name, value): value nil removes it */
static int
support_setenv(lua_State *L)
{
	const char *name = luaL_checkstring(L, 1);
	const char *value = luaL_optstring(L, 2, NULL);

	if (value == NULL)
		unsetenv(name);
	else
		setenv(name, value, 1);
	return 0;
}

/*
 * An array of C strings out of the list at index; the array is a userdata
 * left on the stack, the strings belong to the list.
 */
static char **
push_strings(lua_State *L, int index)
{
	size_t count = (size_t)luaL_len(L, index);
	char **strings = lua_newuserdatauv(L, (count + 1) * sizeof *strings, 0);

	for (size_t i = 0; i < count; i++) {
		if (lua_rawgeti(L, index, (lua_Integer)i + 1) != LUA_TSTRING)
			luaL_error(L, "item %d is not a string", (int)i + 1);
		strings[i] = (char *)lua_tostring(L, -1);
		lua_pop(L, 1);
	}
	strings[count] = NULL;
	return strings;
}

static const char *
option_text(lua_State *L, int options, const char *name, const char *initial)
{
	const char *text = initial;

	if (lua_getfield(L, options, name) != LUA_TNIL)
		text = luaL_checkstring(L, -1);
	lua_pop(L, 1); /* still held by the options */
	return text;
}

static bool
redirect(int target, const char *path, int flags)
{
	int fd = open(path, flags, 0666);

	if (fd < 0)
		return false;
	if (fd == target)
		return true;
	if (dup2(fd, target) < 0)
		return false;
	close(fd);
	return true;
}

static void
become(const struct launch *launch)
{
	if (!redirect(0, launch->input, O_RDONLY) ||
	    !redirect(1, launch->output, O_WRONLY | O_CREAT | O_TRUNC) ||
	    !redirect(2, launch->error, O_WRONLY | O_CREAT | O_TRUNC))
		_exit(126);
	close_range(3, ~0U, 0);
	if (launch->cwd != NULL && chdir(launch->cwd) != 0)
		_exit(126);
	if (launch->file_size_limit >= 0) {
		struct rlimit limit = {
		    .rlim_cur = (rlim_t)launch->file_size_limit,
		    .rlim_max = (rlim_t)launch->file_size_limit,
		};

		signal(SIGXFSZ, SIG_IGN);
		setrlimit(RLIMIT_FSIZE, &limit);
	}
	execvpe(launch->argv[0], launch->argv, launch->envp);
	_exit(127);
}

/* No fork: that copies the memory of all specs, most of it under ASan. */
__attribute__((noinline)) static pid_t
start(const struct launch *launch)
{
	pid_t pid = vfork();

	if (pid == 0)
		become(launch);
	return pid;
}

/*
 * spawn(argv, options) -> process. Options: stdin, stdout, stderr (paths,
 * default /dev/null), cwd, env (a list of "NAME=value", the whole environment),
 * fsize_limit (bytes).
 */
static int
support_spawn(lua_State *L)
{
	struct launch launch;
	struct process *process;

	luaL_checktype(L, 1, LUA_TTABLE);
	luaL_checktype(L, 2, LUA_TTABLE);
	launch.argv = push_strings(L, 1);
	luaL_argcheck(L, launch.argv[0] != NULL, 1, "empty");
	launch.envp = environ;
	if (lua_getfield(L, 2, "env") == LUA_TTABLE)
		launch.envp = push_strings(L, lua_gettop(L));
	launch.cwd = option_text(L, 2, "cwd", NULL);
	launch.input = option_text(L, 2, "stdin", "/dev/null");
	launch.output = option_text(L, 2, "stdout", "/dev/null");
	launch.error = option_text(L, 2, "stderr", "/dev/null");
	lua_getfield(L, 2, "fsize_limit");
	launch.file_size_limit = luaL_optinteger(L, -1, -1);

	process = lua_newuserdatauv(L, sizeof *process, 0);
	*process = (struct process){0};
	luaL_setmetatable(L, PROCESS);
	process->pid = start(&launch);
	if (process->pid < 0) {
		process->pid = 0;
		return luaL_error(L, "vfork: %s", strerror(errno));
	}
	return 1;
}

static struct process *
check_process(lua_State *L)
{
	return luaL_checkudata(L, 1, PROCESS);
}

static int
process_pid(lua_State *L)
{
	lua_pushinteger(L, check_process(L)->pid);
	return 1;
}

static int
process_peak_kib(lua_State *L)
{
	lua_pushinteger(L, check_process(L)->peak_kib);
	return 1;
}

/* process:kill(signal): a process that has ended is no failure. */
static int
process_kill(lua_State *L)
{
	struct process *process = check_process(L);

	if (process->pid > 0)
		kill(process->pid, (int)luaL_checkinteger(L, 2));
	return 0;
}

static int
push_status(lua_State *L, int status)
{
	if (WIFSIGNALED(status)) {
		lua_pushinteger(L, 128 + WTERMSIG(status));
		lua_pushinteger(L, WTERMSIG(status));
		return 2;
	}
	lua_pushinteger(L, WEXITSTATUS(status));
	return 1;
}

/*
 * process:wait(timeout_ms) -> exit code | 128 + signal, signal | nil, when it
 * still runs at the end of the time.
 */
static int
process_wait(lua_State *L)
{
	struct process *process = check_process(L);
	int64_t end = now_ms() + luaL_checkinteger(L, 2);

	while (process->pid > 0) {
		struct rusage usage;
		pid_t got =
		    wait4(process->pid, &process->status, WNOHANG, &usage);

		if (got == process->pid) {
			process->pid = 0;
			process->peak_kib = usage.ru_maxrss;
		} else if (now_ms() >= end) {
			lua_pushnil(L);
			return 1;
		} else {
			pause_ms(2);
		}
	}
	return push_status(L, process->status);
}

/* A process that nobody waited for does not outlive the specs. */
static int
process_gc(lua_State *L)
{
	struct process *process = check_process(L);

	if (process->pid > 0) {
		kill(process->pid, SIGKILL);
		waitpid(process->pid, &process->status, 0);
		process->pid = 0;
	}
	return 0;
}

/* watch_opens(path): a descriptor for count_opens */
static int
support_watch_opens(lua_State *L)
{
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	/* The kernel joins events that are equal: closing keeps them apart. */
	if (fd < 0 || inotify_add_watch(
			  fd, luaL_checkstring(L, 1), IN_OPEN | IN_CLOSE) < 0)
		return luaL_error(L, "watching: %s", strerror(errno));
	lua_pushinteger(L, fd);
	return 1;
}

/* count_opens(fd): how often that file was opened since; ends the watch */
static int
support_count_opens(lua_State *L)
{
	int fd = (int)luaL_checkinteger(L, 1);
	struct inotify_event event; /* of a file: without a name */
	lua_Integer count = 0;

	while (read(fd, &event, sizeof event) == (ssize_t)sizeof event)
		count += (event.mask & IN_OPEN) != 0;
	close(fd);
	lua_pushinteger(L, count);
	return 1;
}

static const luaL_Reg process_methods[] = {
    {"kill", process_kill},
    {"peak_kib", process_peak_kib},
    {"pid", process_pid},
    {"wait", process_wait},
    {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"chmod", support_chmod},
    {"count_opens", support_count_opens},
    {"environ", support_environ},
    {"getcwd", support_getcwd},
    {"getpid", support_getpid},
    {"mkdir", support_mkdir},
    {"mkdtemp", support_mkdtemp},
    {"now_ms", support_now_ms},
    {"remove_tree", support_remove_tree},
    {"setenv", support_setenv},
    {"sleep_ms", support_sleep_ms},
    {"spawn", support_spawn},
    {"watch_opens", support_watch_opens},
    {NULL, NULL},
};

int luaopen_spec_support(lua_State *L);

int
luaopen_spec_support(lua_State *L)
{
	if (luaL_newmetatable(L, PROCESS)) {
		lua_pushcfunction(L, process_gc);
		lua_setfield(L, -2, "__gc");
		luaL_newlib(L, process_methods);
		lua_setfield(L, -2, "__index");
	}
	luaL_newlib(L, functions);
	return 1;
}
