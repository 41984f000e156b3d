/* background.c - a thread that does one job at a time beside its owner. */

#include "base/background.h"

#include <assert.h>
#include <stdlib.h>

#include "base/thread.h"

enum phase {
	IDLE,
	SUBMITTED,
	DONE,
	ENDING
};

struct lun_background {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	enum phase phase;
	lun_background_fn *job;
	void *arg;
	enum lun_code code;
	struct lun_err err;
};

static void *
run_lane(void *arg)
{
	struct lun_background *background = arg;

	pthread_mutex_lock(&background->lock);
	while (background->phase != ENDING) {
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
		background->phase = DONE;
		pthread_cond_broadcast(&background->changed);
	}
	pthread_mutex_unlock(&background->lock);
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
	if (lun_thread_start(&background->thread, name, run_lane, background,
		NULL) != LUN_OK) {
		pthread_cond_destroy(&background->changed);
		pthread_mutex_destroy(&background->lock);
		free(background);
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
	pthread_cond_destroy(&background->changed);
	pthread_mutex_destroy(&background->lock);
	free(background);
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
