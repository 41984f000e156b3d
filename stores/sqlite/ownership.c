/* ownership.c - who runs a projection, as locks on files. */

#include "sqlite/ownership.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static enum lun_code
open_file(const char *database, struct lun_key key, int flags, int *fd,
    struct lun_err *err)
{
	struct lun_buffer path = {0};
	enum lun_code code = LUN_OK;

	lun_buffer_printf(&path, "%s.%s.b%" PRId64 ".s%d.lock", database,
	    key.projection, key.build, key.shard);
	if (path.failed) {
		lun_buffer_free(&path);
		return lun_fail(err, LUN_NOMEM, "%s: out of memory", database);
	}
	*fd = open(path.bytes, flags | O_CLOEXEC, 0666);
	if (*fd < 0 && flags == O_RDONLY && errno == ENOENT)
		code = LUN_NOTFOUND;
	else if (*fd < 0)
		code = lun_fail(err, LUN_IO,
		    "own projection \"%s\": open %s: %s; the engine needs to "
		    "write beside the database",
		    key.projection, path.bytes, lun_errno_words(errno));
	lun_buffer_free(&path);
	return code;
}

static void
read_holder(int fd, char holder[LUN_OWNER_SIZE])
{
	ssize_t length = pread(fd, holder, LUN_OWNER_SIZE - 1, 0);

	if (length > 0)
		holder[length] = '\0';
	else
		snprintf(holder, LUN_OWNER_SIZE, "another engine");
}

/* The words are for people only: ownership does not depend on them. */
static void
write_holder(int fd, const char *owner)
{
	size_t length = strlen(owner);

	if (length >= LUN_OWNER_SIZE)
		length = LUN_OWNER_SIZE - 1;
	if (ftruncate(fd, 0) != 0 || pwrite(fd, owner, length, 0) < 0)
		return;
}

static enum lun_code
lock_file(int fd, const char *projection, char holder[LUN_OWNER_SIZE],
    struct lun_err *err)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
		return LUN_OK;
	if (errno != EAGAIN && errno != EACCES)
		return lun_fail(err, LUN_IO,
		    "own projection \"%s\": lock its file: %s", projection,
		    lun_errno_words(errno));
	read_holder(fd, holder);
	return lun_fail(err, LUN_OWNED, "projection \"%s\" is run by %s",
	    projection, holder);
}

enum lun_code
lun_ownership_lock(const char *database, struct lun_key key, const char *owner,
    struct lun_ownership **out, char holder[LUN_OWNER_SIZE],
    struct lun_err *err)
{
	struct lun_ownership *made = calloc(1, sizeof *made);
	enum lun_code code;

	if (made == NULL)
		return lun_fail(err, LUN_NOMEM, "%s: out of memory", database);
	snprintf(
	    made->projection, sizeof made->projection, "%s", key.projection);
	made->key = key;
	made->key.projection = made->projection;
	code = open_file(database, key, O_RDWR | O_CREAT, &made->fd, err);
	if (code != LUN_OK) {
		free(made);
		return code;
	}
	code = lock_file(made->fd, key.projection, holder, err);
	if (code != LUN_OK) {
		close(made->fd);
		free(made);
		return code;
	}
	write_holder(made->fd, owner);
	*out = made;
	return LUN_OK;
}

enum lun_code
lun_ownership_look(const char *database, struct lun_key key, bool *held,
    char holder[LUN_OWNER_SIZE], struct lun_err *err)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	enum lun_code code;
	int fd;

	*held = false;
	code = open_file(database, key, O_RDONLY, &fd, err);
	if (code != LUN_OK)
		return code == LUN_NOTFOUND ? LUN_OK : code;
	if (fcntl(fd, F_OFD_GETLK, &lock) != 0)
		code = lun_fail(err, LUN_IO,
		    "own projection \"%s\": look at its lock: %s",
		    key.projection, lun_errno_words(errno));
	*held = code == LUN_OK && lock.l_type != F_UNLCK;
	if (*held)
		read_holder(fd, holder);
	close(fd);
	return code;
}

void
lun_ownership_unlock(struct lun_ownership *ownership)
{
	if (ownership == NULL)
		return;
	write_holder(ownership->fd, "");
	close(ownership->fd);
	free(ownership);
}

static bool
is_of(const struct lun_ownership *ownership, struct lun_key key)
{
	return ownership->key.build == key.build &&
	       ownership->key.shard == key.shard &&
	       strcmp(ownership->projection, key.projection) == 0;
}

struct lun_ownership **
lun_ownership_find(struct lun_ownership **list, struct lun_key key)
{
	while (*list != NULL && !is_of(*list, key))
		list = &(*list)->next;
	return list;
}
