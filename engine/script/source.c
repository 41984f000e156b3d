/* source.c - the text of a script file. */

#include "script/source.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

#define CHUNK ((size_t)16 << 10)

static enum lun_code
fail_errno(const char *path, struct lun_err *err)
{
	enum lun_code code = errno == ENOENT ? LUN_NOTFOUND : LUN_IO;

	return lun_fail(err, code, "%s: %s", path, lun_errno_words(errno));
}

static enum lun_code
read_whole_file(
    const char *path, FILE *file, struct lun_buffer *out, struct lun_err *err)
{
	size_t start = out->length, got;

	do {
		char *room = lun_buffer_reserve(out, CHUNK);

		if (room == NULL)
			return lun_fail(
			    err, LUN_NOMEM, "%s: out of memory", path);
		errno = 0;
		got = fread(room, 1, CHUNK, file);
		out->length += got;
		if (out->length - start > LUN_SOURCE_BYTES_MAX)
			return lun_fail(err, LUN_CONFIG,
			    "%s: has more than %zu bytes: not a script", path,
			    LUN_SOURCE_BYTES_MAX);
	} while (got > 0);
	return ferror(file) ? fail_errno(path, err) : LUN_OK;
}

enum lun_code
lun_source_read(const char *path, struct lun_buffer *out, struct lun_err *err)
{
	FILE *file = fopen(path, "rb");
	enum lun_code code;

	if (file == NULL)
		return fail_errno(path, err);
	code = read_whole_file(path, file, out, err);
	fclose(file);
	return code;
}
