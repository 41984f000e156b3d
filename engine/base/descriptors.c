/* descriptors.c - see descriptors.h. */

#include "base/descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* A file that is opened gets the lowest free number. */
void
lun_descriptors_fill(void)
{
	int before = errno;

	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			(void)!open("/dev/null",
			    fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
	errno = before;
}
