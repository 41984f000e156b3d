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
	struct lun_schema *schema; /* the script may be another one soon */
	struct lun_report before;
	int64_t ended_ns; /* 0: it runs */
};

/* What one call of lun_engine_run_once() follows. */
struct run {
	struct lun_engine *engine;
	struct runner *runners;
	struct lun_progress *progress;
	size_t count;
	int64_t began_ns;
	struct lun_err first; /* failure */
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
	enum lun_code code = LUN_OK;
	size_t count = lun_engine_count(engine);

	run->runners = calloc(count + 1, sizeof *run->runners);
	run->progress = calloc(count + 1, sizeof *run->progress);
	if (run->runners == NULL || run->progress == NULL)
		return lun_fail(err, LUN_NOMEM, "running: out of memory");
	run->count = count;
	for (size_t i = 0; i < count && code == LUN_OK; i++) {
		struct lun_entry *entry = lun_engine_at(engine, i);
		struct runner *runner = &run->runners[i];

		run->progress[i].projection = entry->name;
		runner->entry = entry;
		runner->start = find_start(engine, entry->name);
		runner->before = lun_projection_report(entry->p);
		code =
		    lun_projection_copy_schema(entry->p, &runner->schema, err);
	}
	return code;
}

/* 0: not known. */
static uint64_t
count_events(struct lun_engine *engine, const struct runner *runner)
{
	const struct lun_reading reading = {
	    .what = "counting events for a run of",
	    .projection = runner->entry->name,
	    .stores = LUN_READS_EVENTS};
	struct lun_event_filter filter = {.types = runner->schema->types,
	    .type_count = runner->schema->type_count};
	struct lun_lag lag = {0};
	struct lun_reader *reader;

	if (lun_reader_take(engine, &reading, &reader, NULL) != LUN_OK)
		return 0;
	if (lun_event_store_lag(
		reader->events, runner->start, &filter, &lag, NULL) != LUN_OK)
		lag.events = 0;
	lun_reader_give_back(engine, reader);
	return lag.events;
}

/* That may take as long as reading a part of them, which goes on meanwhile. */
static void
count_totals(struct run *run)
{
	struct lun_engine *engine = run->engine;

	for (size_t i = 0; i < run->count && !atomic_load(&engine->stopping);
	     i++)
		run->progress[i].events_total =
		    count_events(engine, &run->runners[i]);
}

static void
free_run(struct run *run)
{
	for (size_t i = 0; i < run->count; i++)
		lun_schema_free(run->runners[i].schema);
	free(run->runners);
	free(run->progress);
}

static void
keep_first(struct run *run, const struct lun_err *err)
{
	if (run->first.code == LUN_OK)
		run->first = *err;
}

/* Whether an entry's run is over; a stuck one is over and failed. */
static bool
is_over(struct run *run, struct lun_entry *entry)
{
	enum lun_code outcome;
	struct lun_err err = {0};

	if (entry->worker != NULL &&
	    lun_worker_done(entry->worker, &outcome, &err)) {
		if (outcome != LUN_OK)
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

static void
note_progress(const struct run *run, const struct runner *runner,
    struct lun_progress *progress)
{
	const struct lun_report *before = &runner->before;
	struct lun_report now = lun_projection_report(runner->entry->p);
	int64_t until =
	    runner->ended_ns != 0 ? runner->ended_ns : lun_clock_mono_ns();

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

		if (!is_over(run, runner->entry))
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
run_to(struct run *run, struct lun_position head, lun_progress_fn *progress,
    void *arg, struct lun_err *err)
{
	struct lun_err stuck = {0};
	enum lun_code code = prepare_run(run, err);

	run->began_ns = lun_clock_mono_ns();
	if (code == LUN_OK)
		code = lun_engine_start_all(run->engine, &head, err);
	if (code == LUN_OK)
		count_totals(run);
	if (code == LUN_OK && !follow_run(run, progress, arg))
		code = lun_fail(err, LUN_TIMEOUT,
		    "stopped before the head was reached; what is applied is "
		    "kept");
	free_run(run);
	if (lun_engine_stop_all(run->engine, &stuck) != LUN_OK)
		keep_first(run, &stuck);
	if (code != LUN_OK || run->first.code == LUN_OK)
		return code;
	if (err != NULL)
		*err = run->first;
	return run->first.code;
}

enum lun_code
lun_engine_run_once(struct lun_engine *engine, lun_progress_fn *progress,
    void *arg, struct lun_err *err)
{
	struct run run = {.engine = engine};
	struct lun_position head;
	enum lun_code code = lun_engine_begin_running(engine, err);

	if (code != LUN_OK)
		return code;
	code = lun_reader_find_head(engine, "a run to the head", &head, err);
	if (code == LUN_OK)
		code = run_to(&run, head, progress, arg, err);
	pthread_mutex_unlock(&engine->run_lock);
	return code;
}
