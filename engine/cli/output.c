/* output.c - standard output that knows why it failed. */

#include "cli/output.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "cli/command.h"

/* What is called at the exit gets no argument. */
static int first_failure;

/* A stream forgets it: errno is that of a later call by the time of the exit. */
static ssize_t
write_output(void *cookie, const char *bytes, size_t length)
{
	size_t written = 0;

	(void)cookie;
	while (written < length) {
		ssize_t n =
		    write(STDOUT_FILENO, bytes + written, length - written);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			if (first_failure == 0)
				first_failure = errno;
			break;
		}
		written += (size_t)n;
	}
	return (ssize_t)written;
}

static void
finish_output(void)
{
	if (fflush(stdout) == 0 && first_failure == 0)
		return;
	fprintf(stderr, "lunette: writing to standard output: %s\n",
	    lun_errno_words(first_failure));
	_exit(CLI_FAILED);
}

bool
cli_output_begin(void)
{
	const cookie_io_functions_t calls = {.write = write_output};
	bool terminal = isatty(STDOUT_FILENO) == 1;
	FILE *stream = fopencookie(NULL, "w", calls);

	if (stream == NULL || atexit(finish_output) != 0)
		return false;
	setvbuf(stream, NULL, terminal ? _IOLBF : _IOFBF, BUFSIZ);
	stdout = stream;
	return true;
}
