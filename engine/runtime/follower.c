/* follower.c - script files that change while an engine runs. */

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/error.h"
#include "base/thread.h"
#include "runtime/engine.h"

#define LOOK_MS 2000 /* between looks without a hint */
#define SOON_MS 25   /* while something is still being written */

struct lun_follower {
	struct lun_engine *engine;
	pthread_t thread;
	int bell;
	atomic_bool stop;
	char **changed; /* paths, in the order of the look */
	size_t count;
};

static void
collect_path(void *arg, const char *path)
{
	struct lun_follower *follower = arg;
	char **grown =
	    realloc(follower->changed, (follower->count + 1) * sizeof *grown);

	if (grown == NULL)
		return;
	follower->changed = grown;
	grown[follower->count] = strdup(path);
	if (grown[follower->count] != NULL)
		follower->count++;
}

/* Take up what was collected, all of it or what belongs to no projection. */
static void
handle_collected(struct lun_follower *follower, bool orphans)
{
	for (size_t i = 0; i < follower->count; i++) {
		const char *path = follower->changed[i];

		if (!atomic_load(&follower->stop) &&
		    (!orphans || !lun_engine_has_path(follower->engine, path)))
			lun_engine_file_changed(
			    follower->engine, path, &follower->stop);
		free(follower->changed[i]);
	}
	follower->count = 0;
}

/* True if nothing is still being written. */
static bool
look(struct lun_follower *follower)
{
	struct lun_engine *engine = follower->engine;
	bool settled = lun_files_look(&engine->files, collect_path, follower);

	handle_collected(follower, false);
	/* A file that was refused for its name may have it now. */
	if (atomic_exchange(&engine->name_freed, false)) {
		lun_files_each(&engine->files, collect_path, follower);
		handle_collected(follower, true);
	}
	return settled;
}

/* Until the time is up, the bell rings or, if that counts, there is a hint. */
static void
wait_for_hint(struct lun_follower *follower, int timeout_ms, bool listen)
{
	struct pollfd sources[2] = {
	    {.fd = follower->bell, .events = POLLIN},
	    {.fd = listen ? lun_files_fd(&follower->engine->files) : -1,
		.events = POLLIN},
	};
	uint64_t count;

	if (poll(sources, 2, timeout_ms) > 0 && sources[0].revents != 0)
		(void)!read(follower->bell, &count, sizeof count);
}

static void *
run_follower(void *arg)
{
	struct lun_follower *follower = arg;
	struct lun_files *files = &follower->engine->files;

	while (!atomic_load(&follower->stop)) {
		bool settled;

		if (!lun_files_are_followed(files)) {
			wait_for_hint(follower, -1, false);
			continue;
		}
		settled = look(follower);
		/* However many hints there are, looks are rare. */
		wait_for_hint(follower, SOON_MS, false);
		if (settled)
			wait_for_hint(follower, LOOK_MS - SOON_MS, true);
	}
	return NULL;
}

void
lun_follower_ring(struct lun_follower *follower)
{
	uint64_t one = 1;

	(void)!write(follower->bell, &one, sizeof one);
}

static void
free_follower(struct lun_follower *follower)
{
	if (follower->bell >= 0)
		close(follower->bell);
	free(follower->changed);
	free(follower);
}

enum lun_code
lun_follower_start(
    struct lun_engine *engine, struct lun_follower **out, struct lun_err *err)
{
	struct lun_follower *follower = calloc(1, sizeof *follower);
	enum lun_code code = LUN_OK;

	if (follower == NULL)
		return lun_fail(err, LUN_NOMEM, "follower: out of memory");
	follower->engine = engine;
	follower->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (follower->bell < 0)
		code = lun_fail(
		    err, LUN_IO, "follower: %s", lun_errno_words(errno));
	if (code == LUN_OK)
		code = lun_thread_start(&follower->thread, "lunette-files",
		    run_follower, follower, err);
	if (code != LUN_OK) {
		free_follower(follower);
		return code;
	}
	*out = follower;
	return LUN_OK;
}

void
lun_follower_stop(struct lun_follower *follower)
{
	if (follower == NULL)
		return;
	atomic_store(&follower->stop, true);
	lun_follower_ring(follower);
	pthread_join(follower->thread, NULL);
	free_follower(follower);
}
