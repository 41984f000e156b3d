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

struct lun_lane {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	enum phase phase;
	lun_lane_fn *job;
	void *arg;
	enum lun_code code;
	struct lun_err err;
};

static void *
run_lane(void *arg)
{
	struct lun_lane *lane = arg;

	pthread_mutex_lock(&lane->lock);
	while (lane->phase != ENDING) {
		struct lun_err err = {0};
		enum lun_code code;

		if (lane->phase != SUBMITTED) {
			pthread_cond_wait(&lane->changed, &lane->lock);
			continue;
		}
		pthread_mutex_unlock(&lane->lock);
		code = lane->job(lane->arg, &err);
		pthread_mutex_lock(&lane->lock);
		lane->code = code;
		lane->err = err;
		lane->phase = DONE;
		pthread_cond_broadcast(&lane->changed);
	}
	pthread_mutex_unlock(&lane->lock);
	return NULL;
}

struct lun_lane *
lun_lane_new(const char *name)
{
	struct lun_lane *lane = calloc(1, sizeof *lane);

	if (lane == NULL)
		return NULL;
	pthread_mutex_init(&lane->lock, NULL);
	lun_cond_init(&lane->changed);
	if (lun_thread_start(&lane->thread, name, run_lane, lane, NULL) !=
	    LUN_OK) {
		pthread_cond_destroy(&lane->changed);
		pthread_mutex_destroy(&lane->lock);
		free(lane);
		return NULL;
	}
	return lane;
}

void
lun_lane_free(struct lun_lane *lane)
{
	if (lane == NULL)
		return;
	pthread_mutex_lock(&lane->lock);
	while (lane->phase == SUBMITTED)
		pthread_cond_wait(&lane->changed, &lane->lock);
	lane->phase = ENDING;
	pthread_cond_broadcast(&lane->changed);
	pthread_mutex_unlock(&lane->lock);
	pthread_join(lane->thread, NULL);
	pthread_cond_destroy(&lane->changed);
	pthread_mutex_destroy(&lane->lock);
	free(lane);
}

void
lun_lane_submit(struct lun_lane *lane, lun_lane_fn *job, void *arg)
{
	pthread_mutex_lock(&lane->lock);
	assert(lane->phase == IDLE);
	lane->job = job;
	lane->arg = arg;
	lane->phase = SUBMITTED;
	pthread_cond_broadcast(&lane->changed);
	pthread_mutex_unlock(&lane->lock);
}

enum lun_code
lun_lane_wait(struct lun_lane *lane, struct lun_err *err)
{
	enum lun_code code;

	pthread_mutex_lock(&lane->lock);
	assert(lane->phase != IDLE);
	while (lane->phase == SUBMITTED)
		pthread_cond_wait(&lane->changed, &lane->lock);
	lane->phase = IDLE;
	code = lane->code;
	if (code != LUN_OK && err != NULL)
		*err = lane->err;
	pthread_mutex_unlock(&lane->lock);
	return code;
}

bool
lun_lane_done(struct lun_lane *lane)
{
	bool done;

	pthread_mutex_lock(&lane->lock);
	done = lane->phase == DONE;
	pthread_mutex_unlock(&lane->lock);
	return done;
}
