/* signals.c - SIGINT and SIGTERM. */

#include "cli/signals.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/error.h"
#include "cli/command.h"

static void
stop_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
}

static void
exit_at_once(int number)
{
	(void)number;
	_exit(CLI_KILLED);
}

void
cli_signals_end_at_once(void)
{
	struct sigaction action = {.sa_handler = exit_at_once};
	sigset_t set;

	stop_signals(&set);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

enum lun_code
cli_signals_open(int *fd, struct lun_err *err)
{
	sigset_t set;
	int made;

	stop_signals(&set);
	made = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (made < 0)
		return lun_fail(err, LUN_IO, "waiting for signals: %s",
		    lun_errno_words(errno));
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	*fd = made;
	return LUN_OK;
}

void
cli_signals_close(int fd)
{
	if (fd >= 0)
		close(fd);
}

bool
cli_signals_came(int fd, const char **name)
{
	struct signalfd_siginfo info;

	if (read(fd, &info, sizeof info) != (ssize_t)sizeof info)
		return false;
	if (name != NULL)
		*name = info.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM";
	cli_signals_end_at_once();
	return true;
}

void
cli_signals_wait(int fd, const char **name)
{
	struct pollfd ready = {.fd = fd, .events = POLLIN};

	while (!cli_signals_came(fd, name))
		if (poll(&ready, 1, -1) < 0 && errno != EINTR)
			return;
}
