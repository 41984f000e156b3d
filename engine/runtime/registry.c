/* registry.c - the projections of an engine, and the files they come from. */

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "runtime/engine.h"

/* ---- entries ----------------------------------------------------------- */

struct lun_entry *
lun_engine_at(struct lun_engine *engine, size_t index)
{
	struct lun_entry *entry = NULL;

	pthread_mutex_lock(&engine->lock);
	if (index < engine->entry_count)
		entry = engine->entries[index];
	pthread_mutex_unlock(&engine->lock);
	return entry;
}

size_t
lun_engine_count(struct lun_engine *engine)
{
	size_t count;

	pthread_mutex_lock(&engine->lock);
	count = engine->entry_count;
	pthread_mutex_unlock(&engine->lock);
	return count;
}

struct lun_entry *
lun_engine_find(struct lun_engine *engine, const char *name)
{
	struct lun_entry *entry;

	pthread_mutex_lock(&engine->lock);
	entry = lun_entry_index_name(&engine->index, name);
	pthread_mutex_unlock(&engine->lock);
	return entry;
}

void
lun_engine_wake(struct lun_engine *engine)
{
	pthread_mutex_lock(&engine->lock);
	for (size_t i = 0; i < engine->entry_count; i++)
		if (engine->entries[i]->worker != NULL)
			lun_worker_wake(engine->entries[i]->worker);
	pthread_mutex_unlock(&engine->lock);
}

void
lun_engine_wake_readers(struct lun_engine *engine)
{
	struct lun_entry *entry;

	lun_subscription_wake(engine->subscription);
	pthread_mutex_lock(&engine->lock);
	for (size_t i = 0; i < engine->entry_count; i++) {
		entry = engine->entries[i];
		if (entry->worker != NULL && !lun_projection_shares(entry->p))
			lun_worker_wake(entry->worker);
	}
	pthread_mutex_unlock(&engine->lock);
}

/* With register_lock held: a path does not change then. */
static struct lun_entry *
find_path(struct lun_engine *engine, const char *path)
{
	struct lun_entry *entry;

	pthread_mutex_lock(&engine->lock);
	entry = lun_entry_index_path(&engine->index, path);
	pthread_mutex_unlock(&engine->lock);
	return entry;
}

void
lun_entry_free(struct lun_entry *entry)
{
	lun_projection_free(entry->p);
	pthread_mutex_destroy(&entry->step_lock);
	free(entry);
}

static enum lun_code
add_entry(
    struct lun_engine *engine, struct lun_entry *entry, struct lun_err *err)
{
	enum lun_code code = LUN_OK;

	pthread_mutex_lock(&engine->lock);
	if (engine->entry_count == engine->entry_capacity) {
		size_t capacity = engine->entry_capacity * 2 + 8;
		struct lun_entry **grown = realloc(
		    engine->entries, capacity * sizeof(struct lun_entry *));

		if (grown == NULL) {
			code = lun_fail(
			    err, LUN_NOMEM, "%s: out of memory", entry->name);
		} else {
			engine->entries = grown;
			engine->entry_capacity = capacity;
		}
	}
	if (code == LUN_OK) {
		engine->entries[engine->entry_count++] = entry;
		lun_entry_index_add(&engine->index, entry);
		atomic_fetch_add(&engine->memory.projections, 1);
	}
	pthread_mutex_unlock(&engine->lock);
	return code;
}

/* script is taken over. */
static enum lun_code
make_entry(struct lun_engine *engine, struct lun_script *script,
    const char *path, struct lun_entry **out, struct lun_err *err)
{
	struct lun_entry *entry = calloc(1, sizeof *entry);
	enum lun_code code;

	if (entry == NULL) {
		lun_script_free(script);
		return lun_fail(err, LUN_NOMEM, "registering: out of memory");
	}
	snprintf(entry->name, sizeof entry->name, "%s",
	    lun_script_schema(script)->projection);
	snprintf(entry->path, sizeof entry->path, "%s", path);
	pthread_mutex_init(&entry->step_lock, NULL);
	code = lun_projection_new(
	    entry->name, script, &engine->around, &entry->p, err);
	if (code == LUN_OK)
		code = add_entry(engine, entry, err);
	if (code != LUN_OK) {
		lun_entry_free(entry);
		return code;
	}
	*out = entry;
	return LUN_OK;
}

/* ---- registering ------------------------------------------------------- */

static void
set_detached(struct lun_engine *engine, struct lun_entry *entry, bool detached)
{
	pthread_mutex_lock(&engine->lock);
	if (entry->worker != NULL)
		lun_worker_detach(entry->worker, detached);
	pthread_mutex_unlock(&engine->lock);
	if (detached)
		atomic_store(&engine->name_freed, true);
}

/* False if there is no worker. */
static bool
hand_to_worker(struct lun_engine *engine, struct lun_entry *entry,
    struct lun_script *script)
{
	bool working;

	pthread_mutex_lock(&engine->lock);
	working = entry->worker != NULL;
	if (working) {
		lun_worker_reload(entry->worker, script);
		lun_worker_detach(entry->worker, false);
	}
	pthread_mutex_unlock(&engine->lock);
	return working;
}

/* script is taken over. */
static enum lun_code
replace_script(struct lun_engine *engine, struct lun_entry *entry,
    struct lun_script *script, struct lun_err *err)
{
	enum lun_code code;

	do {
		if (hand_to_worker(engine, entry, script))
			return LUN_OK;
		code = lun_entry_take(engine, entry, err);
	} while (code == LUN_CONFIG); /* a worker has come meanwhile */
	if (code != LUN_OK) {
		lun_script_free(script);
		return code;
	}
	code = lun_projection_swap(entry->p, script, err);
	lun_entry_give_back(entry);
	return code;
}

/* Two files that give one name are a mistake, unless one took over. */
static enum lun_code
check_path(const struct lun_entry *entry, const char *path, struct lun_err *err)
{
	if (strcmp(entry->path, path) == 0 || entry->path[0] == '\0' ||
	    access(entry->path, F_OK) != 0)
		return LUN_OK;
	return lun_fail(err, LUN_CONFIG,
	    "%s: the name %s is taken by %s: give one of them another name",
	    path, entry->name, entry->path);
}

static void
set_path(struct lun_engine *engine, struct lun_entry *entry, const char *path)
{
	pthread_mutex_lock(&engine->lock);
	lun_entry_index_move(&engine->index, entry, path);
	pthread_mutex_unlock(&engine->lock);
}

/* A file whose script has another name now leaves its old projection. */
static void
leave_old_name(struct lun_engine *engine, const char *path, const char *name)
{
	struct lun_entry *old = find_path(engine, path);

	if (old != NULL && strcmp(old->name, name) != 0) {
		set_detached(engine, old, true);
		set_path(engine, old, "");
	}
}

/* script is taken over; path is "" for a source from memory. */
static enum lun_code
register_one(struct lun_engine *engine, struct lun_script *script,
    const char *path, char *name, struct lun_err *err)
{
	const char *given = lun_script_schema(script)->projection;
	struct lun_entry *entry = lun_engine_find(engine, given);
	enum lun_code code;

	leave_old_name(engine, path, given);
	if (entry != NULL) {
		code = check_path(entry, path, err);
		if (code != LUN_OK) {
			lun_script_free(script);
			return code;
		}
		set_path(engine, entry, path);
		code = replace_script(engine, entry, script, err);
	} else {
		code = make_entry(engine, script, path, &entry, err);
		if (code == LUN_OK && lun_engine_is_running(engine))
			code = lun_entry_start(engine, entry, NULL, err);
	}
	if (code == LUN_OK && name != NULL)
		memcpy(name, entry->name, sizeof entry->name);
	return code;
}

static enum lun_code
register_script(struct lun_engine *engine, struct lun_script *script,
    const char *path, char *name, struct lun_err *err)
{
	enum lun_code code;

	pthread_mutex_lock(&engine->register_lock);
	code = register_one(engine, script, path, name, err);
	pthread_mutex_unlock(&engine->register_lock);
	return code;
}

struct lun_loading
lun_engine_loading(struct lun_engine *engine)
{
	struct lun_loading loading = lun_loading_from(&engine->settings);

	loading.losses = &engine->losses;
	return loading;
}

static enum lun_code
load_file(struct lun_engine *engine, const char *path, const atomic_bool *stop,
    struct lun_script **script, struct lun_err *err)
{
	struct lun_loading loading = lun_engine_loading(engine);

	loading.stop = stop;
	if (strlen(path) >= LUN_PATH_MAX)
		return lun_fail(
		    err, LUN_CONFIG, "%.60s...: path too long", path);
	return lun_load_script_file(path, &loading, script, err);
}

/* What is not registered is followed no further, unless its folder is. */
static enum lun_code
register_file(struct lun_engine *engine, const char *path,
    const atomic_bool *stop, char *name, struct lun_err *err)
{
	struct lun_script *script;
	bool added;
	enum lun_code code = lun_files_note(&engine->files, path, &added, err);

	if (code != LUN_OK)
		return code;
	code = load_file(engine, path, stop, &script, err);
	if (code == LUN_OK)
		code = register_script(engine, script, path, name, err);
	if (code != LUN_OK && added)
		lun_files_forget(&engine->files, path);
	return code;
}

static void
copy_path(struct lun_engine *engine, const struct lun_entry *entry,
    char path[LUN_PATH_MAX])
{
	pthread_mutex_lock(&engine->lock);
	snprintf(path, LUN_PATH_MAX, "%s", entry != NULL ? entry->path : "");
	pthread_mutex_unlock(&engine->lock);
}

enum lun_code
lun_engine_load(void *loader, const char *projection, const atomic_bool *stop,
    struct lun_script **out, struct lun_err *err)
{
	struct lun_engine *engine = loader;
	char path[LUN_PATH_MAX];
	struct lun_script *script;
	enum lun_code code;

	*out = NULL;
	copy_path(engine, lun_engine_find(engine, projection), path);
	if (path[0] == '\0')
		return LUN_OK;
	code = load_file(engine, path, stop, &script, err);
	if (code != LUN_OK)
		return code;
	if (strcmp(lun_script_schema(script)->projection, projection) != 0) {
		code = lun_fail(err, LUN_CONFIG,
		    "%s is the script of %s now, no longer of %s", path,
		    lun_script_schema(script)->projection, projection);
		lun_script_free(script);
		return code;
	}
	*out = script;
	return LUN_OK;
}

enum lun_code
lun_engine_register(struct lun_engine *engine, const char *path, char *name,
    struct lun_err *err)
{
	return register_file(engine, path, NULL, name, err);
}

enum lun_code
lun_engine_register_as(struct lun_engine *engine, const char *path,
    const char *projection, struct lun_err *err)
{
	struct lun_script *script;
	enum lun_code code = load_file(engine, path, NULL, &script, err);

	if (code != LUN_OK)
		return code;
	if (strcmp(lun_script_schema(script)->projection, projection) == 0)
		return register_script(engine, script, path, NULL, err);
	lun_script_free(script);
	return lun_fail(err, LUN_NOTFOUND,
	    "%s is not the script of projection %s", path, projection);
}

enum lun_code
lun_engine_register_source(struct lun_engine *engine, const char *chunk,
    const char *source, size_t length, char *name, struct lun_err *err)
{
	struct lun_loading loading = lun_engine_loading(engine);
	struct lun_text text = {source, length};
	struct lun_script *script;
	enum lun_code code =
	    lun_load_script(chunk, text, &loading, &script, err);

	if (code != LUN_OK)
		return code;
	return register_script(engine, script, "", name, err);
}

/* ---- folders ----------------------------------------------------------- */

static int
choose_script(const struct dirent *entry)
{
	return lun_files_is_script(entry->d_name);
}

static void
name_script(char path[LUN_PATH_MAX + NAME_MAX], const char *folder,
    const struct dirent *entry)
{
	snprintf(path, LUN_PATH_MAX + NAME_MAX, "%s/%s", folder, entry->d_name);
}

/* Every script gets its chance; the first failure is what is returned. */
static enum lun_code
register_found(struct lun_engine *engine, const char *folder,
    struct dirent **found, int count, struct lun_err *err)
{
	enum lun_code result = LUN_OK;

	for (int i = 0; i < count; i++) {
		char path[LUN_PATH_MAX + NAME_MAX];
		struct lun_err failure;
		enum lun_code code;

		name_script(path, folder, found[i]);
		code = lun_engine_register(engine, path, NULL, &failure);
		if (code == LUN_OK)
			continue;
		lun_log(&engine->log, LUN_LOG_ERROR, "%s", failure.message);
		if (result == LUN_OK && err != NULL)
			*err = failure;
		if (result == LUN_OK)
			result = code;
	}
	return result;
}

enum lun_code
lun_engine_register_folder(
    struct lun_engine *engine, const char *folder, struct lun_err *err)
{
	struct dirent **found;
	enum lun_code code = lun_files_add_folder(&engine->files, folder, err);
	int count;

	if (code != LUN_OK)
		return code;
	count = scandir(folder, &found, choose_script, alphasort);
	if (count < 0)
		return lun_fail(err, LUN_CONFIG, "reading the folder %s: %s",
		    folder, lun_errno_words(errno));
	code = register_found(engine, folder, found, count, err);
	for (int i = 0; i < count; i++)
		free(found[i]);
	free(found);
	return code;
}

/* ---- changes ----------------------------------------------------------- */

enum lun_code
lun_engine_watch(struct lun_engine *engine, struct lun_err *err)
{
	(void)err;
	lun_files_follow(&engine->files);
	pthread_mutex_lock(&engine->lock);
	if (engine->follower != NULL)
		lun_follower_ring(engine->follower);
	pthread_mutex_unlock(&engine->lock);
	return LUN_OK;
}

static struct lun_entry *
find_registered(struct lun_engine *engine, const char *path)
{
	struct lun_entry *entry;

	pthread_mutex_lock(&engine->register_lock);
	entry = find_path(engine, path);
	pthread_mutex_unlock(&engine->register_lock);
	return entry;
}

bool
lun_engine_has_path(struct lun_engine *engine, const char *path)
{
	return find_registered(engine, path) != NULL;
}

void
lun_engine_file_changed(
    struct lun_engine *engine, const char *path, const atomic_bool *stop)
{
	struct lun_entry *entry = find_registered(engine, path);
	struct lun_err err;

	if (access(path, F_OK) != 0) {
		if (entry != NULL)
			set_detached(engine, entry, true);
		return;
	}
	if (register_file(engine, path, stop, NULL, &err) == LUN_OK ||
	    atomic_load(stop))
		return;
	lun_log(&engine->log, LUN_LOG_ERROR, "%s%s", err.message,
	    entry != NULL ? "; the old script goes on" : "");
	if (entry != NULL)
		lun_projection_note_error(entry->p, &err);
}
