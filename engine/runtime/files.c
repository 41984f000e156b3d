/* files.c - the script files of an engine, and which of them changed. */

#include "runtime/files.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "base/error.h"
#include "script/source.h"

#define NS_PER_MS 1000000LL
#define SETTLE_NS (50 * NS_PER_MS) /* an editor's several writes are one */
#define HASTE_NS  (20 * SETTLE_NS) /* but nobody waits longer for their end */
#define FRESH_S   2 /* a folder's times may be too coarse for what follows */

/* What says that a path leads to another text, or another list of files. */
struct stamp {
	bool there;
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec changed, written;
};

struct lun_folder {
	char *path;
	struct stamp listed; /* as it was when its list was read */
	int watch_id;        /* -1: no hints */
	bool unread;         /* the last look could not list it */
};

struct lun_file {
	char *path;
	struct stamp taken; /* as it was told of */
	uint64_t hash;      /* of the text then; 0: there was none to read */
	struct stamp seen;
	int64_t first_ns; /* of the first change not told of; 0: none */
	int64_t last_ns;
};

/* ---- looking at one ---------------------------------------------------- */

/* `otherwise` if that cannot be known: a folder that may not be entered. */
static struct stamp
stamp_of(const char *path, const struct stamp *otherwise)
{
	struct stat status;

	if (stat(path, &status) != 0)
		return errno == ENOENT || errno == ENOTDIR || errno == ELOOP
			   ? (struct stamp){.there = false}
			   : *otherwise;
	return (struct stamp){
	    .there = true,
	    .device = status.st_dev,
	    .inode = status.st_ino,
	    .size = status.st_size,
	    .changed = status.st_ctim,
	    .written = status.st_mtim,
	};
}

static bool
is_same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool
is_same(const struct stamp *a, const struct stamp *b)
{
	return a->there == b->there && a->device == b->device &&
	       a->inode == b->inode && a->size == b->size &&
	       is_same_time(a->changed, b->changed) &&
	       is_same_time(a->written, b->written);
}

/* Remember that it is like this; true if it is another text than before. */
static bool
take_file(struct lun_file *file, const struct stamp *now)
{
	bool was_there = file->taken.there;
	uint64_t hash = now->there ? lun_source_hash(file->path) : 0;
	bool same = was_there == now->there && file->hash == hash &&
		    (hash != 0 || !now->there);

	file->taken = *now;
	file->hash = hash;
	file->first_ns = 0;
	return !same;
}

/* True if it has another text, and was left alone for a moment. */
static bool
look_at_file(struct lun_file *file, int64_t now_ns)
{
	struct stamp now = stamp_of(file->path, &file->taken);

	if (is_same(&now, &file->taken)) {
		file->first_ns = 0;
		return false;
	}
	if (file->first_ns == 0 || !is_same(&now, &file->seen)) {
		file->seen = now;
		file->last_ns = now_ns;
	}
	if (file->first_ns == 0)
		file->first_ns = now_ns;
	if (now_ns - file->last_ns < SETTLE_NS &&
	    now_ns - file->first_ns < HASTE_NS)
		return false;
	return take_file(file, &now);
}

/* ---- hints ------------------------------------------------------------- */

static void
say_unwatched(struct lun_files *files, const struct lun_err *err)
{
	if (!files->unwatched_said)
		lun_log(files->log, LUN_LOG_WARNING,
		    "%s: changed scripts are noticed within two seconds "
		    "rather than at once",
		    err->message);
	files->unwatched_said = true;
}

static void
watch_folder(struct lun_files *files, struct lun_folder *folder)
{
	struct lun_err err;

	if (files->watch == NULL)
		return;
	if (folder->watch_id >= 0)
		lun_watch_drop(files->watch, folder->watch_id);
	folder->watch_id = -1;
	if (lun_watch_add(
		files->watch, folder->path, &folder->watch_id, &err) != LUN_OK)
		say_unwatched(files, &err);
}

static bool
knows_folder(const struct lun_files *files, const char *folder)
{
	for (size_t i = 0; i < files->folder_count; i++)
		if (strcmp(files->folders[i].path, folder) == 0)
			return true;
	return false;
}

/* The folder of a file that was named alone. */
static void
watch_file(struct lun_files *files, const char *path)
{
	const char *slash = strrchr(path, '/');
	int length = slash == NULL ? 0 : (int)(slash - path);
	struct lun_err err;
	char *folder;
	int id;

	if (files->watch == NULL || asprintf(&folder, "%.*s", length, path) < 0)
		return;
	if (!knows_folder(files, folder) && lun_watch_add(files->watch,
						slash == NULL ? "."
						: length == 0 ? "/"
							      : folder,
						&id, &err) != LUN_OK)
		say_unwatched(files, &err);
	free(folder);
}

/* ---- what is known ----------------------------------------------------- */

void
lun_files_init(struct lun_files *files, const struct lun_log *log)
{
	*files = (struct lun_files){.log = log};
	pthread_mutex_init(&files->lock, NULL);
}

void
lun_files_fini(struct lun_files *files)
{
	for (size_t i = 0; i < files->count; i++)
		free(files->list[i].path);
	for (size_t i = 0; i < files->folder_count; i++)
		free(files->folders[i].path);
	free(files->list);
	free(files->folders);
	lun_watch_free(files->watch);
	pthread_mutex_destroy(&files->lock);
}

bool
lun_files_is_script(const char *name)
{
	size_t length = strlen(name);

	if (name[0] == '.' || length <= 4 ||
	    strcmp(name + length - 4, ".lua") != 0)
		return false;
	return length <= 9 || strcmp(name + length - 9, "_spec.lua") != 0;
}

static struct lun_file *
find_file(struct lun_files *files, const char *path)
{
	for (size_t i = 0; i < files->count; i++)
		if (strcmp(files->list[i].path, path) == 0)
			return &files->list[i];
	return NULL;
}

/* The file of that path, or one that was not there so far; NULL: no memory. */
static struct lun_file *
get_file(struct lun_files *files, const char *path)
{
	struct lun_file *file = find_file(files, path);

	if (file != NULL)
		return file;
	if (files->count == files->capacity) {
		size_t capacity = files->capacity * 2 + 8;
		struct lun_file *grown =
		    realloc(files->list, capacity * sizeof(struct lun_file));

		if (grown == NULL)
			return NULL;
		files->list = grown;
		files->capacity = capacity;
	}
	file = &files->list[files->count];
	*file = (struct lun_file){.path = strdup(path)};
	if (file->path == NULL)
		return NULL;
	files->count++;
	return file;
}

static void
take_as_it_is(struct lun_file *file)
{
	struct stamp now = stamp_of(file->path, &file->taken);

	(void)take_file(file, &now);
}

enum lun_code
lun_files_note(
    struct lun_files *files, const char *path, bool *added, struct lun_err *err)
{
	struct lun_file *file;

	pthread_mutex_lock(&files->lock);
	*added = find_file(files, path) == NULL;
	file = get_file(files, path);
	if (file != NULL)
		take_as_it_is(file);
	if (file != NULL && *added)
		watch_file(files, path);
	pthread_mutex_unlock(&files->lock);
	return file != NULL ? LUN_OK
			    : lun_fail(err, LUN_NOMEM, "%s: no memory", path);
}

void
lun_files_forget(struct lun_files *files, const char *path)
{
	struct lun_file *file;

	pthread_mutex_lock(&files->lock);
	file = find_file(files, path);
	if (file != NULL) {
		free(file->path);
		*file = files->list[--files->count];
	}
	pthread_mutex_unlock(&files->lock);
}

void
lun_files_each(struct lun_files *files, lun_files_fn *present, void *arg)
{
	pthread_mutex_lock(&files->lock);
	for (size_t i = 0; i < files->count; i++)
		if (files->list[i].taken.there)
			present(arg, files->list[i].path);
	pthread_mutex_unlock(&files->lock);
}

/* ---- folders ----------------------------------------------------------- */

static int
choose_script(const struct dirent *entry)
{
	return lun_files_is_script(entry->d_name);
}

/* False if it cannot be read, and errno says why, or memory ran out. */
static bool
list_folder(struct lun_files *files, struct lun_folder *folder)
{
	struct stamp now = stamp_of(folder->path, &folder->listed);
	struct dirent **found;
	int count = scandir(folder->path, &found, choose_script, alphasort);
	bool all = count >= 0;

	for (int i = 0; i < count; i++) {
		char *path;

		if (asprintf(&path, "%s/%s", folder->path, found[i]->d_name) >=
		    0) {
			all = get_file(files, path) != NULL && all;
			free(path);
		} else {
			all = false;
		}
		free(found[i]);
	}
	if (count >= 0)
		free(found);
	folder->listed = now;
	if (!all) /* it is to be listed again */
		folder->listed.written = (struct timespec){0};
	return all;
}

static bool
is_another(const struct stamp *a, const struct stamp *b)
{
	return a->there != b->there || a->device != b->device ||
	       a->inode != b->inode;
}

static bool
is_fresh(const struct stamp *stamp)
{
	return time(NULL) - stamp->written.tv_sec < FRESH_S;
}

/* It is tried again with every look, and said once. */
static void
list_again(struct lun_files *files, struct lun_folder *folder)
{
	bool unread = !list_folder(files, folder);

	if (unread && !folder->unread)
		lun_log(files->log, LUN_LOG_WARNING,
		    "%s: reading the folder: %s; new scripts in it are not "
		    "noticed",
		    folder->path, lun_errno_words(errno));
	folder->unread = unread;
}

static void
look_at_folder(struct lun_files *files, struct lun_folder *folder)
{
	struct stamp now = stamp_of(folder->path, &folder->listed);
	bool another = is_another(&now, &folder->listed);

	if (is_same(&now, &folder->listed) && !is_fresh(&now))
		return;
	if (another && !now.there)
		lun_log(files->log, LUN_LOG_WARNING,
		    "%s: the folder is gone, and its scripts with it",
		    folder->path);
	if (another && now.there)
		lun_log(files->log, LUN_LOG_INFO, "%s: the folder was replaced",
		    folder->path);
	if (!now.there)
		folder->listed = now;
	else
		list_again(files, folder);
	if (another && now.there)
		watch_folder(files, folder);
}

/* Of the files so far unknown: they are as they are. */
static void
take_new_files(struct lun_files *files, size_t from)
{
	for (size_t i = from; i < files->count; i++)
		take_as_it_is(&files->list[i]);
}

static enum lun_code
add_folder(struct lun_files *files, const char *path, struct lun_err *err)
{
	struct lun_folder *grown, *folder;
	size_t known = files->count;

	if (knows_folder(files, path))
		return LUN_OK;
	grown =
	    realloc(files->folders, (files->folder_count + 1) * sizeof *grown);
	if (grown == NULL)
		return lun_fail(err, LUN_NOMEM, "%s: out of memory", path);
	files->folders = grown;
	folder = &grown[files->folder_count];
	*folder = (struct lun_folder){.path = strdup(path), .watch_id = -1};
	errno = ENOMEM;
	if (folder->path == NULL || !list_folder(files, folder)) {
		free(folder->path);
		return lun_fail(err, LUN_CONFIG, "reading the folder %s: %s",
		    path, lun_errno_words(errno));
	}
	files->folder_count++;
	take_new_files(files, known);
	if (files->followed)
		watch_folder(files, folder);
	return LUN_OK;
}

enum lun_code
lun_files_add_folder(
    struct lun_files *files, const char *folder, struct lun_err *err)
{
	enum lun_code code;

	pthread_mutex_lock(&files->lock);
	code = add_folder(files, folder, err);
	pthread_mutex_unlock(&files->lock);
	return code;
}

/* ---- following --------------------------------------------------------- */

void
lun_files_follow(struct lun_files *files)
{
	struct lun_err err;

	pthread_mutex_lock(&files->lock);
	if (!files->followed && lun_watch_new(&files->watch, &err) != LUN_OK)
		say_unwatched(files, &err);
	for (size_t i = 0; !files->followed && i < files->folder_count; i++)
		watch_folder(files, &files->folders[i]);
	for (size_t i = 0; !files->followed && i < files->count; i++)
		watch_file(files, files->list[i].path);
	files->followed = true;
	pthread_mutex_unlock(&files->lock);
}

bool
lun_files_are_followed(struct lun_files *files)
{
	bool followed;

	pthread_mutex_lock(&files->lock);
	followed = files->followed;
	pthread_mutex_unlock(&files->lock);
	return followed;
}

int
lun_files_fd(struct lun_files *files)
{
	int fd;

	pthread_mutex_lock(&files->lock);
	fd = files->watch != NULL ? lun_watch_fd(files->watch) : -1;
	pthread_mutex_unlock(&files->lock);
	return fd;
}

bool
lun_files_look(struct lun_files *files, lun_files_fn *changed, void *arg)
{
	int64_t now_ns = lun_clock_mono_ns();
	bool settled = true;

	pthread_mutex_lock(&files->lock);
	if (files->watch != NULL)
		lun_watch_drain(files->watch);
	for (size_t i = 0; i < files->folder_count; i++)
		look_at_folder(files, &files->folders[i]);
	for (size_t i = 0; i < files->count; i++) {
		struct lun_file *file = &files->list[i];

		if (look_at_file(file, now_ns))
			changed(arg, file->path);
		settled = settled && file->first_ns == 0;
	}
	pthread_mutex_unlock(&files->lock);
	return settled;
}
