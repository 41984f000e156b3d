/* watch.c - hints that something in a folder has changed. */

#include "runtime/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/error.h"

#define CHANGES                                                                \
	(IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE |            \
	    IN_CREATE | IN_MOVE_SELF | IN_ONLYDIR)

struct lun_watch {
	int fd;
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
	close(watch->fd);
	free(watch);
}

enum lun_code
lun_watch_add(
    struct lun_watch *watch, const char *folder, int *id, struct lun_err *err)
{
	int added = inotify_add_watch(watch->fd, folder, CHANGES);

	if (added < 0)
		return lun_fail(err, LUN_IO, "watching %s: %s", folder,
		    lun_errno_words(errno));
	*id = added;
	return LUN_OK;
}

void
lun_watch_drop(struct lun_watch *watch, int id)
{
	inotify_rm_watch(watch->fd, id);
}

int
lun_watch_fd(const struct lun_watch *watch)
{
	return watch->fd;
}

void
lun_watch_drain(struct lun_watch *watch)
{
	char hints[4096];

	while (read(watch->fd, hints, sizeof hints) > 0)
		;
}
