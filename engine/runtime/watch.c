/* watch.c - script files that change. */

#include "runtime/watch.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/error.h"

#define CHANGES     (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE)
#define BUFFER_SIZE 8192
#define PATH_SIZE   4096

/* Something watched: a whole folder, or one file of it. */
struct place {
	int descriptor;
	char *folder;
	char *path;       /* of the file, as it was given; NULL: every script */
	const char *file; /* its name in the folder */
};

struct lun_watch {
	int fd;
	struct place *places;
	size_t count;
};

enum lun_code
lun_watch_new(struct lun_watch **out, struct lun_err *err)
{
	struct lun_watch *watch = calloc(1, sizeof *watch);

	if (watch == NULL)
		return lun_fail(err, LUN_NOMEM, "watching scripts: no memory");
	watch->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (watch->fd < 0) {
		enum lun_code code = lun_fail(
		    err, LUN_IO, "watching scripts: %s", strerror(errno));

		free(watch);
		return code;
	}
	*out = watch;
	return LUN_OK;
}

void
lun_watch_free(struct lun_watch *watch)
{
	if (watch == NULL)
		return;
	for (size_t i = 0; i < watch->count; i++) {
		free(watch->places[i].folder);
		free(watch->places[i].path);
	}
	free(watch->places);
	close(watch->fd);
	free(watch);
}

int
lun_watch_fd(const struct lun_watch *watch)
{
	return watch->fd;
}

static bool
is_watched(const struct lun_watch *watch, const char *folder, const char *file)
{
	for (size_t i = 0; i < watch->count; i++) {
		const struct place *place = &watch->places[i];

		if (strcmp(place->folder, folder) != 0)
			continue;
		if (place->path == NULL ||
		    (file != NULL && strcmp(place->file, file) == 0))
			return true;
	}
	return false;
}

static const char *
file_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

static enum lun_code
add_place(struct lun_watch *watch, const char *folder, const char *path,
    struct lun_err *err)
{
	struct place place = {.folder = strdup(folder)};
	struct place *grown =
	    realloc(watch->places, (watch->count + 1) * sizeof *grown);

	if (path != NULL)
		place.path = strdup(path);
	if (grown != NULL)
		watch->places = grown;
	if (grown == NULL || place.folder == NULL ||
	    (path != NULL && place.path == NULL)) {
		free(place.folder);
		free(place.path);
		return lun_fail(
		    err, LUN_NOMEM, "watching %s: no memory", folder);
	}
	if (path != NULL)
		place.file = file_of(place.path);
	place.descriptor = inotify_add_watch(watch->fd, folder, CHANGES);
	if (place.descriptor < 0) {
		free(place.folder);
		free(place.path);
		return lun_fail(
		    err, LUN_IO, "watching %s: %s", folder, strerror(errno));
	}
	watch->places[watch->count++] = place;
	return LUN_OK;
}

enum lun_code
lun_watch_folder(
    struct lun_watch *watch, const char *folder, struct lun_err *err)
{
	if (is_watched(watch, folder, NULL))
		return LUN_OK;
	return add_place(watch, folder, NULL, err);
}

enum lun_code
lun_watch_file(struct lun_watch *watch, const char *path, struct lun_err *err)
{
	const char *slash = strrchr(path, '/');
	char folder[PATH_SIZE];

	if (slash == NULL)
		snprintf(folder, sizeof folder, ".");
	else if (slash == path)
		snprintf(folder, sizeof folder, "/");
	else
		snprintf(
		    folder, sizeof folder, "%.*s", (int)(slash - path), path);
	if (is_watched(watch, folder, file_of(path)))
		return LUN_OK;
	return add_place(watch, folder, path, err);
}

bool
lun_watch_is_script(const char *name)
{
	size_t length = strlen(name);

	if (name[0] == '.' || length <= 4 ||
	    strcmp(name + length - 4, ".lua") != 0)
		return false;
	return length <= 9 || strcmp(name + length - 9, "_spec.lua") != 0;
}

static void
report_change(const struct lun_watch *watch, const struct inotify_event *event,
    lun_watch_fn *changed, void *arg)
{
	char path[PATH_SIZE + NAME_MAX + 2];

	for (size_t i = 0; i < watch->count; i++) {
		const struct place *place = &watch->places[i];

		if (place->descriptor != event->wd)
			continue;
		if (place->path != NULL ? strcmp(place->file, event->name) != 0
					: !lun_watch_is_script(event->name))
			continue;
		snprintf(
		    path, sizeof path, "%s/%s", place->folder, event->name);
		changed(arg, place->path != NULL ? place->path : path);
		return;
	}
}

bool
lun_watch_read(struct lun_watch *watch, lun_watch_fn *changed, void *arg)
{
	char buffer[BUFFER_SIZE]
	    __attribute__((aligned(__alignof__(struct inotify_event))));
	bool all = true;
	ssize_t length;

	while ((length = read(watch->fd, buffer, sizeof buffer)) > 0) {
		for (char *at = buffer; at < buffer + length;) {
			const struct inotify_event *event = (void *)at;

			if ((event->mask & IN_Q_OVERFLOW) != 0)
				all = false;
			else if (event->len > 0)
				report_change(watch, event, changed, arg);
			at += sizeof *event + event->len;
		}
	}
	return all;
}
