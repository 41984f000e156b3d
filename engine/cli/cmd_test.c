/* cmd_test.c - run the specs of a folder of scripts with busted. */

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "cli/command.h"

/* Where lunette.testing lies, seen from the folder of this program. */
struct installation {
	const char *root; /* holds the Lua modules */
	const char *core; /* holds lunette/core.so */
};

static const struct installation installations[] = {
    {"../share/lua/5.4", "../lib/lua/5.4"},
    {"../lua", "lua"},    /* built and not installed */
    {"../../lua", "lua"}, /* the same, with a sanitizer */
};

#define INSTALLATIONS (sizeof installations / sizeof installations[0])

/* The folder of this program, without the slash. */
static enum lun_code
find_program(char folder[PATH_MAX], struct lun_err *err)
{
	ssize_t length = readlink("/proc/self/exe", folder, PATH_MAX - 1);
	char *slash;

	if (length < 0)
		return lun_fail(
		    err, LUN_IO, "/proc/self/exe: %s", lun_errno_words(errno));
	folder[length] = '\0';
	slash = strrchr(folder, '/');
	if (slash != NULL)
		*slash = '\0';
	return LUN_OK;
}

/* NULL: lunette is where Lua looks by itself, such as in a rock, or nowhere. */
static const struct installation *
find_installation(const char *folder)
{
	for (size_t i = 0; i < INSTALLATIONS; i++) {
		char path[PATH_MAX + 64];

		snprintf(path, sizeof path, "%s/%s/lunette/testing.lua", folder,
		    installations[i].root);
		if (access(path, R_OK) == 0)
			return &installations[i];
	}
	return NULL;
}

/* In front of what is in the environment; ";;" is Lua's own default. */
static bool
prepend_path(const char *variable, const char *path)
{
	const char *before = getenv(variable);
	char *joined;
	bool done;

	if (asprintf(&joined, "%s;%s", path, before != NULL ? before : ";") < 0)
		return false;
	done = setenv(variable, joined, 1) == 0;
	free(joined);
	return done;
}

static enum lun_code
set_paths(struct lun_err *err)
{
	char folder[PATH_MAX];
	const struct installation *installation;
	char *lua = NULL, *core = NULL;
	enum lun_code code = find_program(folder, err);

	if (code != LUN_OK)
		return code;
	installation = find_installation(folder);
	if (installation == NULL)
		return LUN_OK;
	/* A version's own variable would win over the general one. */
	unsetenv("LUA_PATH_5_4");
	unsetenv("LUA_CPATH_5_4");
	if (asprintf(&lua, "%s/%s/?.lua;%s/%s/?/init.lua", folder,
		installation->root, folder, installation->root) < 0 ||
	    asprintf(&core, "%s/%s/?.so", folder, installation->core) < 0 ||
	    !prepend_path("LUA_PATH", lua) || !prepend_path("LUA_CPATH", core))
		code = lun_fail(err, LUN_NOMEM, "out of memory");
	free(lua);
	free(core);
	return code;
}

/* A program on the PATH, to be freed; NULL: there is none. */
static char *
find_on_path(const char *program)
{
	const char *rest = getenv("PATH");

	while (rest != NULL && *rest != '\0') {
		int length = (int)strcspn(rest, ":");
		char *path;

		if (asprintf(&path, "%.*s/%s", length, rest, program) < 0)
			return NULL;
		if (access(path, X_OK) == 0)
			return path;
		free(path);
		rest += length + (rest[length] == ':');
	}
	return NULL;
}

static enum lun_code
run_busted(const char *folder, struct lun_err *err)
{
	char *busted = find_on_path("busted");
	char *lua = find_on_path("lua5.4");
	char *option = NULL;

	signal(SIGXFSZ, SIG_DFL);
	if (busted == NULL) {
		free(lua);
		return lun_fail(err, LUN_CONFIG,
		    "testing %s: busted is not installed (Debian: apt install "
		    "lua-busted; else: luarocks install busted)",
		    folder);
	}
	if (lua != NULL && asprintf(&option, "--lua=%s", lua) >= 0)
		execl(busted, "busted", option, "--pattern=_spec", folder,
		    (char *)NULL);
	else
		execl(
		    busted, "busted", "--pattern=_spec", folder, (char *)NULL);
	lun_fail(err, LUN_IO, "%s: %s", busted, lun_errno_words(errno));
	free(option);
	free(lua);
	free(busted);
	return LUN_IO;
}

static enum lun_code
run_test(struct cli *cli, struct lun_err *err)
{
	const char *folder = cli_argument(cli, 0);
	enum lun_code code;

	if (folder == NULL)
		folder = cli->layers.chosen.projections[0];
	if (access(folder, R_OK) != 0)
		return lun_fail(err, LUN_CONFIG, "testing %s: %s", folder,
		    lun_errno_words(errno));
	code = set_paths(err);
	return code == LUN_OK ? run_busted(folder, err) : code;
}

static const struct cli_argument arguments[] = {
    {.name = "DIR", .kind = CLI_FOLDER, .optional = true},
    {.name = NULL},
};

const struct cli_command cmd_test = {
    .name = "test",
    .summary = "run the specs of a folder of scripts",
    .description =
	"Run every *_spec.lua of the folder (default: the first path of "
	"scripts) with busted, in which require \"lunette.testing\" works.",
    .arguments = arguments,
    .run = run_test,
};
