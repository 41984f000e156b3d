/* line_reader.c - lines of a file or standard input, plain or gzip. */

#include "cli/line_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/buffer.h"
#include "base/error.h"

#define CHUNK ((size_t)256 << 10)

/* zlib: the largest window, and a gzip header. */
#define GZIP_WINDOW_BITS (15 + 16)

enum packing {
	UNKNOWN,
	PLAIN,
	GZIP,
};

struct cli_line_reader {
	const char *path;
	int fd;
	int signals;
	size_t longest;
	uint64_t number;
	uint64_t taken, size;

	enum packing packing;
	bool input_ended;
	bool member_open; /* inside a gzip member: the end would be too early */
	z_stream stream;
	unsigned char *input;

	struct lun_buffer text; /* unpacked */
	size_t at;              /* where the next line begins in it */
	bool dropping;          /* inside a line that is too long */
	bool ended;
};

/* ---- bytes ------------------------------------------------------------- */

enum lun_code
cli_line_reader_wait(struct cli_line_reader *reader, struct lun_err *err)
{
	struct pollfd ready[2] = {
	    {.fd = reader->signals, .events = POLLIN},
	    {.fd = reader->fd, .events = POLLIN},
	};

	while (poll(ready, 2, -1) < 0)
		if (errno != EINTR)
			return lun_fail(err, LUN_IO, "reading %s: %s",
			    reader->path, lun_errno_words(errno));
	if (ready[0].revents & POLLIN)
		return lun_fail(
		    err, LUN_TIMEOUT, "reading %s: interrupted", reader->path);
	return LUN_OK;
}

static enum lun_code
read_input(struct cli_line_reader *reader, struct lun_err *err)
{
	enum lun_code code = cli_line_reader_wait(reader, err);
	ssize_t got;

	if (code != LUN_OK)
		return code;
	do
		got = read(reader->fd, reader->input, CHUNK);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return lun_fail(err, LUN_IO, "reading %s: %s", reader->path,
		    lun_errno_words(errno));
	reader->stream.next_in = reader->input;
	reader->stream.avail_in = (unsigned)got;
	reader->taken += (uint64_t)got;
	reader->input_ended = got == 0;
	return LUN_OK;
}

static enum lun_code
start_unpacking(struct cli_line_reader *reader, struct lun_err *err)
{
	reader->packing = PLAIN;
	/* No JSON begins with this byte. */
	if (reader->stream.next_in[0] != 0x1f)
		return LUN_OK;
	if (inflateInit2(&reader->stream, GZIP_WINDOW_BITS) != Z_OK)
		return lun_fail(err, LUN_NOMEM, "unpacking %s: out of memory",
		    reader->path);
	reader->packing = GZIP;
	return LUN_OK;
}

static enum lun_code
copy_plain(struct cli_line_reader *reader, struct lun_err *err)
{
	z_stream *stream = &reader->stream;

	lun_buffer_add(&reader->text, stream->next_in, stream->avail_in);
	stream->avail_in = 0;
	return reader->text.failed
		   ? lun_fail(err, LUN_NOMEM, "reading %s: out of memory",
			 reader->path)
		   : LUN_OK;
}

/* A file may be several gzip members one after the other. */
static enum lun_code
next_member(struct cli_line_reader *reader, struct lun_err *err)
{
	reader->member_open = false;
	if (inflateReset(&reader->stream) == Z_OK)
		return LUN_OK;
	return lun_fail(
	    err, LUN_IO, "unpacking %s: out of order", reader->path);
}

static enum lun_code
decompress_input(struct cli_line_reader *reader, struct lun_err *err)
{
	z_stream *stream = &reader->stream;
	char *room = lun_buffer_reserve(&reader->text, CHUNK);
	int result;

	if (room == NULL)
		return lun_fail(err, LUN_NOMEM, "unpacking %s: out of memory",
		    reader->path);
	stream->next_out = (unsigned char *)room;
	stream->avail_out = (unsigned)CHUNK;
	reader->member_open = true;
	result = inflate(stream, Z_NO_FLUSH);
	reader->text.length += CHUNK - stream->avail_out;
	if (result == Z_STREAM_END)
		return next_member(reader, err);
	if (result == Z_OK || result == Z_BUF_ERROR)
		return LUN_OK;
	return lun_fail(err, LUN_IO, "unpacking %s: %s near byte %llu",
	    reader->path,
	    stream->msg != NULL ? stream->msg : "damaged gzip data",
	    (unsigned long long)(reader->taken - stream->avail_in));
}

/* Some more text, or reader->ended. */
static enum lun_code
read_text(struct cli_line_reader *reader, struct lun_err *err)
{
	bool drained = reader->packing == GZIP && reader->stream.avail_out > 0;
	enum lun_code code = LUN_OK;

	if (reader->stream.avail_in == 0 &&
	    (reader->packing != GZIP || drained || !reader->member_open)) {
		code = read_input(reader, err);
		if (code != LUN_OK)
			return code;
		if (reader->input_ended && reader->member_open)
			return lun_fail(err, LUN_IO,
			    "unpacking %s: it ends in the middle of its gzip "
			    "data",
			    reader->path);
		reader->ended = reader->input_ended;
	}
	if (reader->ended)
		return LUN_OK;
	if (reader->packing == UNKNOWN)
		code = start_unpacking(reader, err);
	if (code != LUN_OK)
		return code;
	return reader->packing == GZIP ? decompress_input(reader, err)
				       : copy_plain(reader, err);
}

/* ---- lines ------------------------------------------------------------- */

/* Move what is left to the front, so that the buffer does not grow. */
static void
drop_taken(struct cli_line_reader *reader)
{
	struct lun_buffer *text = &reader->text;

	if (reader->at == 0)
		return;
	memmove(
	    text->bytes, text->bytes + reader->at, text->length - reader->at);
	text->length -= reader->at;
	reader->at = 0;
}

static enum lun_code
too_long(struct cli_line_reader *reader, struct lun_err *err)
{
	reader->number++;
	return lun_fail(err, LUN_INVALID, "the line is longer than %zu bytes",
	    reader->longest);
}

static bool
take_input_line(
    struct cli_line_reader *reader, size_t length, struct lun_text *line)
{
	const char *start = reader->text.bytes + reader->at;
	bool whole = !reader->dropping;

	reader->at += length + 1;
	reader->dropping = false;
	if (!whole)
		return false;
	if (length > 0 && start[length - 1] == '\r')
		length--;
	*line = (struct lun_text){start, length};
	reader->number++;
	return true;
}

/* The last line may lack its end. */
static enum lun_code
take_rest(struct cli_line_reader *reader, struct lun_text *line)
{
	size_t length = reader->text.length - reader->at;

	if (length == 0 || reader->dropping)
		return LUN_NOTFOUND;
	*line = (struct lun_text){reader->text.bytes + reader->at, length};
	reader->at = reader->text.length;
	reader->number++;
	return LUN_OK;
}

/* Pass over a line that is too long; it is reported once. */
static bool
drop_line(struct cli_line_reader *reader, const char *end)
{
	bool first = !reader->dropping;

	reader->dropping = true;
	reader->at = end != NULL ? (size_t)(end - reader->text.bytes)
				 : reader->text.length;
	return first;
}

/* The first end of a line after `looked` bytes that hold none. */
static const char *
find_end(const struct cli_line_reader *reader, size_t looked, size_t *length)
{
	size_t from = reader->at + looked;

	*length = reader->text.length - reader->at;
	if (from >= reader->text.length)
		return NULL;
	return memchr(
	    reader->text.bytes + from, '\n', reader->text.length - from);
}

enum lun_code
cli_line_reader_next(
    struct cli_line_reader *reader, struct lun_text *line, struct lun_err *err)
{
	size_t looked = 0;

	for (;;) {
		enum lun_code code = LUN_OK;
		size_t length;
		const char *end = find_end(reader, looked, &length);

		looked = 0;
		if (end != NULL)
			length =
			    (size_t)(end - reader->text.bytes) - reader->at;
		if (length > reader->longest) {
			if (drop_line(reader, end))
				return too_long(reader, err);
		} else if (end != NULL) {
			if (take_input_line(reader, length, line))
				return LUN_OK;
		} else if (reader->ended) {
			return take_rest(reader, line);
		} else {
			looked = length;
			drop_taken(reader);
			code = read_text(reader, err);
		}
		if (code != LUN_OK)
			return code;
	}
}

/* ---- lifetime ---------------------------------------------------------- */

/*
 * Opening a FIFO would wait for its writer where no signal ends it; reading it
 * waits where one does.
 */
static int
open_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd >= 0 && fcntl(fd, F_SETFL, O_RDONLY) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static enum lun_code
open_input(struct cli_line_reader *reader, struct lun_err *err)
{
	struct stat status;

	if (strcmp(reader->path, "-") == 0) {
		reader->path = "standard input";
		reader->fd = dup(STDIN_FILENO);
	} else {
		reader->fd = open_file(reader->path);
	}
	if (reader->fd < 0 || fstat(reader->fd, &status) != 0)
		return lun_fail(err, LUN_CONFIG, "reading %s: %s", reader->path,
		    lun_errno_words(errno));
	if (S_ISDIR(status.st_mode))
		return lun_fail(err, LUN_CONFIG, "reading %s: it is a folder",
		    reader->path);
	if (S_ISREG(status.st_mode))
		reader->size = (uint64_t)status.st_size;
	return LUN_OK;
}

enum lun_code
cli_line_reader_open(const char *path, size_t longest, int signals,
    struct cli_line_reader **out, struct lun_err *err)
{
	struct cli_line_reader *reader = calloc(1, sizeof *reader);
	enum lun_code code;

	if (reader == NULL)
		return lun_fail(err, LUN_NOMEM, "reading %s", path);
	reader->path = path;
	reader->fd = -1;
	reader->signals = signals;
	reader->longest = longest;
	reader->input = malloc(CHUNK);
	if (reader->input == NULL)
		code = lun_fail(err, LUN_NOMEM, "reading %s", path);
	else
		code = open_input(reader, err);
	if (code != LUN_OK) {
		cli_line_reader_close(reader);
		return code;
	}
	*out = reader;
	return LUN_OK;
}

void
cli_line_reader_close(struct cli_line_reader *reader)
{
	if (reader == NULL)
		return;
	if (reader->packing == GZIP)
		inflateEnd(&reader->stream);
	if (reader->fd >= 0)
		close(reader->fd);
	lun_buffer_free(&reader->text);
	free(reader->input);
	free(reader);
}

uint64_t
cli_line_reader_number(const struct cli_line_reader *reader)
{
	return reader->number;
}

void
cli_line_reader_progress(
    const struct cli_line_reader *reader, uint64_t *done, uint64_t *total)
{
	*done = reader->taken - reader->stream.avail_in;
	*total = reader->size;
}
