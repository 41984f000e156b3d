/* scripts.c - finding projection scripts. */

#include "cli/scripts.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buffer.h"
#include "base/error.h"

static bool
ends_in(const char *text, const char *end)
{
	size_t length = strlen(text), end_length = strlen(end);

	return length > end_length &&
	       strcmp(text + length - end_length, end) == 0;
}

static int
is_script(const struct dirent *entry)
{
	return entry->d_name[0] != '.' && ends_in(entry->d_name, ".lua") &&
	       !ends_in(entry->d_name, "_spec.lua");
}

static enum lun_code
visit_file(const char *folder, const char *name, cli_script_fn *script,
    void *arg, struct lun_err *err)
{
	enum lun_code code;
	char *path;

	if (asprintf(&path, "%s/%s", folder, name) < 0)
		return lun_fail(err, LUN_NOMEM, "%s/%s", folder, name);
	code = script(arg, path, err);
	free(path);
	return code;
}

static enum lun_code
visit_folder(
    const char *folder, cli_script_fn *script, void *arg, struct lun_err *err)
{
	struct dirent **entries;
	int count = scandir(folder, &entries, is_script, alphasort);
	enum lun_code code = LUN_OK;

	if (count < 0)
		return lun_fail(err, LUN_CONFIG, "reading folder %s: %s",
		    folder, lun_errno_words(errno));
	for (int i = 0; i < count; i++) {
		if (code == LUN_OK)
			code = visit_file(
			    folder, entries[i]->d_name, script, arg, err);
		free(entries[i]);
	}
	free(entries);
	return code;
}

enum lun_code
cli_scripts_each(
    const char *path, cli_script_fn *script, void *arg, struct lun_err *err)
{
	struct stat status;

	if (stat(path, &status) != 0)
		return lun_fail(err, LUN_CONFIG, "%s: %s%s", path,
		    lun_errno_words(errno),
		    errno == ENOENT ? "; `lunette new NAME' writes a script"
				    : "");
	if (S_ISDIR(status.st_mode))
		return visit_folder(path, script, arg, err);
	return script(arg, path, err);
}

enum lun_code
cli_scripts_none(const char *const *paths, size_t count, struct lun_err *err)
{
	struct lun_buffer list = {0};

	for (size_t i = 0; i < count; i++)
		lun_buffer_printf(&list, "%s%s", i > 0 ? ", " : "", paths[i]);
	(void)lun_fail(err, LUN_NOTFOUND,
	    "there is no script in %.*s; `lunette new NAME' writes one",
	    LUN_TEXT_ARG(lun_buffer_text(&list)));
	lun_buffer_free(&list);
	return LUN_NOTFOUND;
}

/* ---- the script of one projection -------------------------------------- */

struct search {
	struct lun_engine *engine;
	const char *projection;
	bool found;
	struct lun_err broken; /* the first that cannot be loaded, if any */
};

/* Whether the file's name without ".lua" is the projection's. */
static bool
is_named(const char *path, const char *projection)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash != NULL ? slash + 1 : path;
	size_t length = strlen(projection);

	return strncmp(name, projection, length) == 0 &&
	       strcmp(name + length, ".lua") == 0;
}

static enum lun_code
consider_script(void *arg, const char *path, struct lun_err *err)
{
	struct search *search = arg;
	struct lun_err failure;
	enum lun_code code;

	if (search->found)
		return LUN_OK;
	code = lun_engine_register_as(
	    search->engine, path, search->projection, &failure);
	search->found = code == LUN_OK;
	if (code == LUN_OK || code == LUN_NOTFOUND)
		return LUN_OK;
	if (is_named(path, search->projection)) {
		*err = failure;
		return code;
	}
	if (search->broken.code == LUN_OK)
		search->broken = failure;
	return LUN_OK;
}

enum lun_code
cli_scripts_register(struct cli *cli, struct lun_engine *engine,
    const char *projection, struct lun_err *err)
{
	const struct cli_layer *chosen = &cli->layers.chosen;
	struct search search = {.engine = engine, .projection = projection};

	for (size_t i = 0; i < chosen->projection_count && !search.found; i++) {
		struct lun_err failure = {0};
		enum lun_code code = cli_scripts_each(
		    chosen->projections[i], consider_script, &search, &failure);

		if (code == LUN_OK)
			continue;
		/* Models can be read without the default folder. */
		if (cli->layers.flags.projection_count == 0 &&
		    code == LUN_CONFIG)
			continue;
		if (err != NULL)
			*err = failure;
		return code;
	}
	if (search.found)
		return LUN_OK;
	if (search.broken.code != LUN_OK)
		cli_screen_say(&cli->screen,
		    "no script of %s was found; this one is left out: %s",
		    projection, search.broken.message);
	return lun_fail(
	    err, LUN_NOTFOUND, "no script of projection %s", projection);
}
