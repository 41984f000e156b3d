/* background.c - a thread that does one job at a time beside its owner. */

#include "base/background.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/thread.h"

#define LOWEST_PRIORITY 19

enum phase {
	IDLE,
	SUBMITTED,
	DONE,
	ABANDONED,
	ENDING
};

struct lun_background {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	enum phase phase;
	id_t id; /* of the thread, to the kernel */
	lun_background_fn *job;
	void *arg;
	void (*ended)(void *arg); /* of a job that was abandoned */
	enum lun_code code;
	struct lun_err err;
};

static void
destroy_background(struct lun_background *background)
{
	pthread_cond_destroy(&background->changed);
	pthread_mutex_destroy(&background->lock);
	free(background);
}

static void *
run_jobs(void *arg)
{
	struct lun_background *background = arg;
	bool abandoned;

	pthread_mutex_lock(&background->lock);
	background->id = (id_t)gettid();
	while (background->phase != ENDING && background->phase != ABANDONED) {
		struct lun_err err = {0};
		enum lun_code code;

		if (background->phase != SUBMITTED) {
			pthread_cond_wait(
			    &background->changed, &background->lock);
			continue;
		}
		pthread_mutex_unlock(&background->lock);
		code = background->job(background->arg, &err);
		pthread_mutex_lock(&background->lock);
		background->code = code;
		background->err = err;
		if (background->phase == SUBMITTED)
			background->phase = DONE;
		pthread_cond_broadcast(&background->changed);
	}
	abandoned = background->phase == ABANDONED;
	pthread_mutex_unlock(&background->lock);
	if (abandoned) {
		background->ended(background->arg);
		destroy_background(background);
	}
	return NULL;
}

struct lun_background *
lun_background_new(const char *name)
{
	struct lun_background *background = calloc(1, sizeof *background);

	if (background == NULL)
		return NULL;
	pthread_mutex_init(&background->lock, NULL);
	lun_cond_init(&background->changed);
	if (lun_thread_start(&background->thread, name, run_jobs, background,
		NULL) != LUN_OK) {
		destroy_background(background);
		return NULL;
	}
	return background;
}

void
lun_background_free(struct lun_background *background)
{
	if (background == NULL)
		return;
	pthread_mutex_lock(&background->lock);
	while (background->phase == SUBMITTED)
		pthread_cond_wait(&background->changed, &background->lock);
	background->phase = ENDING;
	pthread_cond_broadcast(&background->changed);
	pthread_mutex_unlock(&background->lock);
	pthread_join(background->thread, NULL);
	destroy_background(background);
}

void
lun_background_submit(
    struct lun_background *background, lun_background_fn *job, void *arg)
{
	pthread_mutex_lock(&background->lock);
	assert(background->phase == IDLE);
	background->job = job;
	background->arg = arg;
	background->phase = SUBMITTED;
	pthread_cond_broadcast(&background->changed);
	pthread_mutex_unlock(&background->lock);
}

enum lun_code
lun_background_wait(struct lun_background *background, struct lun_err *err)
{
	enum lun_code code;

	pthread_mutex_lock(&background->lock);
	assert(background->phase != IDLE);
	while (background->phase == SUBMITTED)
		pthread_cond_wait(&background->changed, &background->lock);
	background->phase = IDLE;
	code = background->code;
	if (code != LUN_OK && err != NULL)
		*err = background->err;
	pthread_mutex_unlock(&background->lock);
	return code;
}

bool
lun_background_done(struct lun_background *background)
{
	bool done;

	pthread_mutex_lock(&background->lock);
	done = background->phase == DONE;
	pthread_mutex_unlock(&background->lock);
	return done;
}

bool
lun_background_done_until(struct lun_background *background, int64_t until_ns)
{
	bool done;

	pthread_mutex_lock(&background->lock);
	while (background->phase != DONE && lun_clock_mono_ns() < until_ns)
		lun_cond_wait_until(
		    &background->changed, &background->lock, until_ns);
	done = background->phase == DONE;
	pthread_mutex_unlock(&background->lock);
	return done;
}

clockid_t
lun_background_cpu_clock(const struct lun_background *background)
{
	clockid_t clock;

	if (pthread_getcpuclockid(background->thread, &clock) != 0)
		return CLOCK_MONOTONIC;
	return clock;
}

void
lun_background_abandon(
    struct lun_background *background, void (*ended)(void *arg))
{
	pthread_t thread = background->thread;

	pthread_mutex_lock(&background->lock);
	setpriority(PRIO_PROCESS, background->id, LOWEST_PRIORITY);
	background->ended = ended;
	background->phase = ABANDONED;
	pthread_cond_broadcast(&background->changed);
	pthread_mutex_unlock(&background->lock);
	pthread_detach(thread);
}
