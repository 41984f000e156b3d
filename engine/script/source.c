/* source.c - the text of a script file. */

#include "script/source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/error.h"
#include "base/utf8.h"

#define CHUNK ((size_t)16 << 10)

static enum lun_code
fail_errno(const char *path, struct lun_err *err)
{
	enum lun_code code = errno == ENOENT ? LUN_NOTFOUND : LUN_IO;

	return lun_fail(err, code, "%s: %s", path, lun_errno_words(errno));
}

static const char *
kind_of(mode_t mode)
{
	if (S_ISDIR(mode))
		return "a folder";
	if (S_ISFIFO(mode))
		return "a FIFO";
	return S_ISSOCK(mode) ? "a socket" : "a device";
}

static enum lun_code
fail_size(const char *path, enum lun_code code, struct lun_err *err)
{
	return lun_fail(err, code, "%s: has more than %zu bytes: not a script",
	    path, LUN_SOURCE_BYTES_MAX);
}

static enum lun_code
read_whole_file(
    const char *path, int fd, struct lun_buffer *out, struct lun_err *err)
{
	size_t start = out->length;
	ssize_t got;

	do {
		char *room = lun_buffer_reserve(out, CHUNK);

		if (room == NULL)
			return lun_fail(
			    err, LUN_NOMEM, "%s: out of memory", path);
		do
			got = read(fd, room, CHUNK);
		while (got < 0 && errno == EINTR);
		if (got < 0)
			return fail_errno(path, err);
		out->length += (size_t)got;
		if (out->length - start > LUN_SOURCE_BYTES_MAX)
			return fail_size(path, LUN_CONFIG, err);
	} while (got > 0);
	return LUN_OK;
}

enum lun_code
lun_source_read(const char *path, struct lun_buffer *out, struct lun_err *err)
{
	/* Opening a FIFO, or a device, must not wait for its other end. */
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	enum lun_code code;
	struct stat status;

	/* A socket cannot be opened at all. */
	if (fd < 0 && (errno != ENXIO || stat(path, &status) != 0))
		return fail_errno(path, err);
	if (fd >= 0 && fstat(fd, &status) != 0)
		code = fail_errno(path, err);
	else if (!S_ISREG(status.st_mode))
		code = lun_fail(err, LUN_CONFIG,
		    "%s: is %s: a regular file is expected", path,
		    kind_of(status.st_mode));
	else
		code = read_whole_file(path, fd, out, err);
	if (fd >= 0)
		close(fd);
	return code;
}

enum lun_code
lun_source_begin(const char *chunk, struct lun_text *source, enum lun_code code,
    struct lun_err *err)
{
	const char *encoding = lun_utf8_begin(source);

	if (source->length > LUN_SOURCE_BYTES_MAX)
		return fail_size(chunk, code, err);
	if (encoding == NULL)
		return LUN_OK;
	return lun_fail(err, code,
	    "%s: is %s (byte order mark or zero bytes): save it as UTF-8",
	    chunk, encoding);
}

uint64_t
lun_source_hash(const char *path)
{
	struct lun_buffer source = {0};
	uint64_t hash = 0;

	if (lun_source_read(path, &source, NULL) == LUN_OK)
		hash = XXH3_64bits(source.bytes, source.length) | 1;
	lun_buffer_free(&source);
	return hash;
}
