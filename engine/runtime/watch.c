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
struct target {
	int descriptor;
	char *folder;
	char *path;       /* of the file, as it was given; NULL: every script */
	const char *file; /* its name in the folder */
};

struct lun_watch {
	int fd;
	struct target *targets;
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
		enum lun_code code = lun_fail(err, LUN_IO,
		    "watching scripts: %s", lun_errno_words(errno));

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
		free(watch->targets[i].folder);
		free(watch->targets[i].path);
	}
	free(watch->targets);
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
		const struct target *target = &watch->targets[i];

		if (strcmp(target->folder, folder) != 0)
			continue;
		if (target->path == NULL ||
		    (file != NULL && strcmp(target->file, file) == 0))
			return true;
	}
	return false;
}

static const char *
find_file_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

static enum lun_code
add_target(struct lun_watch *watch, const char *folder, const char *path,
    struct lun_err *err)
{
	struct target target = {.folder = strdup(folder)};
	struct target *grown =
	    realloc(watch->targets, (watch->count + 1) * sizeof *grown);

	if (path != NULL)
		target.path = strdup(path);
	if (grown != NULL)
		watch->targets = grown;
	if (grown == NULL || target.folder == NULL ||
	    (path != NULL && target.path == NULL)) {
		free(target.folder);
		free(target.path);
		return lun_fail(
		    err, LUN_NOMEM, "watching %s: no memory", folder);
	}
	if (path != NULL)
		target.file = find_file_name(target.path);
	target.descriptor = inotify_add_watch(watch->fd, folder, CHANGES);
	if (target.descriptor < 0) {
		free(target.folder);
		free(target.path);
		return lun_fail(err, LUN_IO, "watching %s: %s", folder,
		    lun_errno_words(errno));
	}
	watch->targets[watch->count++] = target;
	return LUN_OK;
}

enum lun_code
lun_watch_folder(
    struct lun_watch *watch, const char *folder, struct lun_err *err)
{
	if (is_watched(watch, folder, NULL))
		return LUN_OK;
	return add_target(watch, folder, NULL, err);
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
	if (is_watched(watch, folder, find_file_name(path)))
		return LUN_OK;
	return add_target(watch, folder, path, err);
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
		const struct target *target = &watch->targets[i];

		if (target->descriptor != event->wd)
			continue;
		if (target->path != NULL
			? strcmp(target->file, event->name) != 0
			: !lun_watch_is_script(event->name))
			continue;
		snprintf(
		    path, sizeof path, "%s/%s", target->folder, event->name);
		changed(arg, target->path != NULL ? target->path : path);
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
