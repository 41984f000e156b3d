/* run_once.c - a run of all projections up to the head of the event store. */

#include <stdlib.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/thread.h"
#include "runtime/engine.h"

#define PROGRESS_NS 100000000LL
#define NS_PER_S    1e9

/* A projection on its way to the head. */
struct runner {
	struct lun_entry *entry;
	struct lun_position start;
	struct lun_report before;
	bool arrived;
	int64_t ended_ns; /* 0: it runs */
};

/* What one call of lun_engine_run_once() follows. */
struct run {
	struct lun_engine *engine;
	struct runner *runners;
	struct lun_progress *progress;
	size_t count;
	struct lun_position head;
	int64_t began_ns;
	struct lun_err failure; /* the first */
};

/* Where the projection stands before the run. */
static struct lun_position
find_start(struct lun_engine *engine, const char *projection)
{
	const struct lun_reading reading = {.what = "the start of a run of",
	    .projection = projection,
	    .stores = LUN_READS_MODELS};
	struct lun_checkpoint checkpoint = {0};
	struct lun_position start = LUN_POSITION_START;
	struct lun_reader *reader;

	if (lun_reader_take(engine, &reading, &reader, NULL) != LUN_OK)
		return start;
	if (lun_model_store_checkpoint(reader->models, lun_only_key(projection),
		&checkpoint, NULL) == LUN_OK)
		start = checkpoint.position;
	lun_reader_give_back(engine, reader);
	lun_checkpoint_free(&checkpoint);
	return start;
}

static enum lun_code
prepare_run(struct run *run, struct lun_err *err)
{
	struct lun_engine *engine = run->engine;
	size_t count = lun_engine_count(engine);

	run->runners = calloc(count + 1, sizeof *run->runners);
	run->progress = calloc(count + 1, sizeof *run->progress);
	if (run->runners == NULL || run->progress == NULL)
		return lun_fail(err, LUN_NOMEM, "running: out of memory");
	run->count = count;
	for (size_t i = 0; i < count; i++) {
		struct lun_entry *entry = lun_engine_at(engine, i);
		struct runner *runner = &run->runners[i];

		run->progress[i].projection = entry->name;
		runner->entry = entry;
		runner->start = find_start(engine, entry->name);
		runner->before = lun_projection_report(entry->p);
	}
	return LUN_OK;
}

/* The head, if it cannot be found. */
static struct lun_position
find_first_event(const struct run *run)
{
	struct lun_engine *engine = run->engine;
	const struct lun_reading reading = {
	    .what = "the start of a run", .stores = LUN_READS_EVENTS};
	const struct lun_read request = {.max_events = 1, .max_bytes = 1};
	struct lun_position first = run->head;
	struct lun_batch *batch = lun_batch_new();
	struct lun_reader *reader;

	if (batch != NULL &&
	    lun_reader_take(engine, &reading, &reader, NULL) == LUN_OK) {
		if (lun_event_store_read(
			reader->events, &request, batch, NULL) == LUN_OK &&
		    batch->count > 0)
			first = batch->events[0].position;
		lun_reader_give_back(engine, reader);
	}
	lun_batch_free(batch);
	return first;
}

/* A log may begin far from the first position there can be. */
static void
find_beginning(struct run *run)
{
	struct lun_position first = LUN_POSITION_START;

	for (size_t i = 0; i < run->count; i++) {
		struct lun_position *start = &run->runners[i].start;

		if (lun_position_compare(*start, LUN_POSITION_START) != 0)
			continue;
		if (lun_position_compare(first, LUN_POSITION_START) == 0)
			first = find_first_event(run);
		*start = first;
	}
}

static void
free_run(struct run *run)
{
	free(run->runners);
	free(run->progress);
}

static void
keep_first(struct run *run, const struct lun_err *err)
{
	if (run->failure.code == LUN_OK)
		run->failure = *err;
}

/* Whether it is over; a stuck one is over and failed. */
static bool
is_over(struct run *run, struct runner *runner)
{
	struct lun_entry *entry = runner->entry;
	enum lun_code outcome;
	struct lun_err err = {0};

	if (entry->worker != NULL &&
	    lun_worker_done(entry->worker, &outcome, &err)) {
		runner->arrived = outcome == LUN_OK;
		if (!runner->arrived)
			keep_first(run, &err);
		return true;
	}
	if (entry->worker != NULL && !lun_projection_report(entry->p).stuck)
		return false;
	(void)lun_fail(&err, LUN_BUDGET, LUN_STUCK, entry->name);
	keep_first(run, &err);
	return true;
}

static uint64_t
count_set_aside(const struct lun_report *before, const struct lun_report *now,
    enum lun_set_aside_kind kind)
{
	return now->set_aside[kind] - before->set_aside[kind];
}

static double
place_of(const struct run *run, struct lun_position position)
{
	return lun_event_store_place(run->engine->events, position);
}

/* Never less than it was, though the projection is built anew meanwhile. */
static double
fraction_done(const struct run *run, const struct runner *runner,
    const struct lun_report *now, double before)
{
	double from = place_of(run, runner->start);
	double way = place_of(run, run->head) - from, fraction;

	if (runner->arrived)
		return 1;
	if (!now->has_position || way <= 0)
		return before;
	fraction = (place_of(run, now->position) - from) / way;
	if (fraction < before)
		return before;
	return fraction < 1 ? fraction : 1;
}

static void
note_progress(const struct run *run, const struct runner *runner,
    struct lun_progress *progress)
{
	const struct lun_report *before = &runner->before;
	struct lun_report now = lun_projection_report(runner->entry->p);
	int64_t until =
	    runner->ended_ns != 0 ? runner->ended_ns : lun_clock_mono_ns();

	progress->fraction =
	    fraction_done(run, runner, &now, progress->fraction);
	progress->events_done = now.events_read - before->events_read;
	progress->events_parked =
	    count_set_aside(before, &now, LUN_SET_ASIDE_PARKED);
	progress->events_skipped =
	    count_set_aside(before, &now, LUN_SET_ASIDE_SKIPPED);
	progress->seconds = (double)(until - run->began_ns) / NS_PER_S;
}

static bool
check_runners(struct run *run)
{
	bool over = true;

	for (size_t i = 0; i < run->count; i++) {
		struct runner *runner = &run->runners[i];

		if (!is_over(run, runner))
			over = false;
		else if (runner->ended_ns == 0)
			runner->ended_ns = lun_clock_mono_ns();
		note_progress(run, runner, &run->progress[i]);
	}
	return over;
}

static uint64_t
count_endings(struct lun_board *board)
{
	uint64_t endings;

	pthread_mutex_lock(&board->lock);
	endings = board->endings;
	pthread_mutex_unlock(&board->lock);
	return endings;
}

/* Since `endings` were counted. */
static void
wait_for_news(struct lun_board *board, uint64_t endings)
{
	int64_t until = lun_clock_mono_ns() + PROGRESS_NS;

	pthread_mutex_lock(&board->lock);
	if (board->endings == endings)
		lun_cond_wait_until(&board->changed, &board->lock, until);
	pthread_mutex_unlock(&board->lock);
}

/* False if the caller wanted to stop early. */
static bool
follow_run(struct run *run, lun_progress_fn *progress, void *arg)
{
	struct lun_board *board = &run->engine->board;
	uint64_t endings = count_endings(board);
	int64_t told = 0;

	for (; !check_runners(run); endings = count_endings(board)) {
		int64_t now = lun_clock_mono_ns();

		if (atomic_load(&run->engine->stopping))
			return false;
		if (progress != NULL && now - told >= PROGRESS_NS) {
			told = now;
			if (!progress(arg, run->progress, run->count))
				return false;
		}
		wait_for_news(board, endings);
	}
	if (progress != NULL)
		(void)progress(arg, run->progress, run->count);
	return true;
}

static enum lun_code
run_to_head(
    struct run *run, lun_progress_fn *progress, void *arg, struct lun_err *err)
{
	struct lun_err stuck = {0};
	enum lun_code code = prepare_run(run, err);

	run->began_ns = lun_clock_mono_ns();
	if (code == LUN_OK)
		code = lun_engine_start_all(run->engine, &run->head, err);
	if (code == LUN_OK)
		find_beginning(run);
	if (code == LUN_OK && !follow_run(run, progress, arg))
		code = lun_fail(err, LUN_TIMEOUT,
		    "stopped before the head was reached; what is applied is "
		    "kept");
	free_run(run);
	if (lun_engine_stop_all(run->engine, &stuck) != LUN_OK)
		keep_first(run, &stuck);
	if (code != LUN_OK || run->failure.code == LUN_OK)
		return code;
	if (err != NULL)
		*err = run->failure;
	return run->failure.code;
}

enum lun_code
lun_engine_run_once(struct lun_engine *engine, lun_progress_fn *progress,
    void *arg, struct lun_err *err)
{
	struct run run = {.engine = engine};
	enum lun_code code = lun_engine_begin_running(engine, err);

	if (code != LUN_OK)
		return code;
	code =
	    lun_reader_find_head(engine, "a run to the head", &run.head, err);
	if (code == LUN_OK)
		code = run_to_head(&run, progress, arg, err);
	pthread_mutex_unlock(&engine->run_lock);
	return code;
}
