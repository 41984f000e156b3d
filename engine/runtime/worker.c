/*
 * worker.c - a projection on a thread of its own.
 *
 * Why it loses nothing. The thread alone touches the projection, from
 * lun_worker_start() until it has ended; others leave notes in the mailbox,
 * which it reads between two steps, so a reload, a detachment and a request
 * always find whole batches. However it ends it first hands the ownership
 * back, which waits for the commit under way and commits a position that moved
 * alone. A run to a position ends only when the step says that there is no
 * more, or the cursor is there, and that is committed; what writers still
 * hold back keeps it going. A script that is stuck in a library call cannot be ended:
 * the thread is left behind in the phase that nothing follows, in which it may
 * neither apply nor commit if it ever wakes up, and its lease runs out.
 */

#include "runtime/worker.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/thread.h"
#include "runtime/idle.h"
#include "runtime/stuck.h"

#define NS_PER_MS        1000000LL
#define SLICE_NS         (20 * NS_PER_MS) /* between looks at a late script */
#define SLICE_MS         100 /* between looks at requests, while idle */
#define UNOWNED_PAUSE_MS 500
#define FAILED_PAUSE_MS  100

struct lun_worker {
	struct lun_projection *p;
	pthread_t thread;
	int bell; /* eventfd: something is in the mailbox */
	bool bounded;
	struct lun_position until;

	pthread_mutex_t lock;
	pthread_cond_t ended;
	bool stop;
	bool detach;
	bool done;
	struct lun_script *script; /* to be put in place */
	enum lun_code outcome;
	struct lun_err err;

	/* the watchdog's */
	struct lun_stuck stuck;

	/* the thread's own */
	struct lun_idle idle;
};

/* ---- the mailbox ------------------------------------------------------- */

void
lun_worker_wake(struct lun_worker *worker)
{
	uint64_t one = 1;

	(void)!write(worker->bell, &one, sizeof one);
}

void
lun_worker_stop(struct lun_worker *worker)
{
	pthread_mutex_lock(&worker->lock);
	worker->stop = true;
	pthread_mutex_unlock(&worker->lock);
	atomic_store(&worker->p->stop_asked, true);
	atomic_store(&worker->p->indexing.stop, true);
	lun_worker_wake(worker);
}

/* Whoever waits is not told how the text before it failed. */
static void
note_waiting_text(struct lun_worker *worker)
{
	struct lun_projection *p = worker->p;

	pthread_mutex_lock(&p->around->board->lock);
	p->report.text_waits = worker->script != NULL;
	pthread_cond_broadcast(&p->around->board->changed);
	pthread_mutex_unlock(&p->around->board->lock);
}

void
lun_worker_reload(struct lun_worker *worker, struct lun_script *script)
{
	struct lun_script *old;

	pthread_mutex_lock(&worker->lock);
	old = worker->script;
	worker->script = script;
	note_waiting_text(worker);
	pthread_mutex_unlock(&worker->lock);
	lun_script_free(old);
	lun_worker_wake(worker);
}

void
lun_worker_detach(struct lun_worker *worker, bool detached)
{
	pthread_mutex_lock(&worker->lock);
	worker->detach = detached;
	pthread_mutex_unlock(&worker->lock);
	lun_worker_wake(worker);
}

static bool
is_stopped(struct lun_worker *worker)
{
	bool stop;

	pthread_mutex_lock(&worker->lock);
	stop = worker->stop;
	pthread_mutex_unlock(&worker->lock);
	return stop;
}

static void
take_script(void *arg)
{
	struct lun_worker *worker = arg;
	struct lun_script *script;
	struct lun_err err;

	pthread_mutex_lock(&worker->lock);
	script = worker->script;
	worker->script = NULL;
	pthread_mutex_unlock(&worker->lock);
	if (script == NULL)
		return;
	if (lun_projection_swap(worker->p, script, &err) != LUN_OK)
		lun_log(
		    worker->p->around->log, LUN_LOG_ERROR, "%s", err.message);
	else
		lun_log(worker->p->around->log, LUN_LOG_INFO,
		    "%s: script reloaded", worker->p->name);
	pthread_mutex_lock(&worker->lock);
	note_waiting_text(worker);
	pthread_mutex_unlock(&worker->lock);
}

/* Whatever it does, the next look is due. */
static void
begin_request(void *arg)
{
	struct lun_worker *worker = arg;

	lun_idle_begin(&worker->idle);
	take_script(worker);
}

/* The models stay; somebody else may run the projection meanwhile. */
static void
take_detachment(struct lun_worker *worker)
{
	struct lun_projection *p = worker->p;
	bool detach;

	pthread_mutex_lock(&worker->lock);
	detach = worker->detach;
	pthread_mutex_unlock(&worker->lock);
	if (detach == lun_projection_is(p, LUN_PHASE_DETACHED))
		return;
	if (detach) {
		atomic_store(&p->indexing.stop, true);
		lun_projection_disown(p);
	}
	lun_projection_enter(
	    p, detach ? LUN_PHASE_DETACHED : LUN_PHASE_RELEASED, NULL);
}

/* ---- waiting ----------------------------------------------------------- */

static void
empty_bell(struct lun_worker *worker)
{
	uint64_t count;

	(void)!read(worker->bell, &count, sizeof count);
}

static void
tell_notice(struct lun_worker *worker, struct lun_event_store *events)
{
	char notice[LUN_NOTICE_SIZE];

	if (lun_event_store_notice(events, notice))
		lun_log(worker->p->around->log, LUN_LOG_WARNING, "events: %s",
		    notice);
}

/* Until the bell rings, the event store hints at news, or the time is up. */
static void
wait_for_news(struct lun_worker *worker, int timeout_ms, bool listen)
{
	struct lun_event_store *events = worker->p->events;
	int hint =
	    listen && events != NULL ? lun_event_store_wake_fd(events) : -1;
	struct pollfd sources[2] = {
	    {.fd = worker->bell, .events = POLLIN},
	    {.fd = hint, .events = POLLIN},
	};

	if (hint >= 0)
		tell_notice(worker, events);
	if (poll(sources, 2, timeout_ms) <= 0)
		return;
	if (sources[0].revents != 0)
		empty_bell(worker);
	if (hint >= 0 && sources[1].revents != 0)
		lun_event_store_drain(events);
	lun_idle_begin(&worker->idle);
}

/* True if it is too soon for the next look; a part of that was waited for. */
static bool
wait_idle(struct lun_worker *worker)
{
	int left = lun_idle_left_ms(&worker->idle);

	if (left > 0)
		wait_for_news(worker, left < SLICE_MS ? left : SLICE_MS, true);
	return left > 0;
}

/* ---- the loop ---------------------------------------------------------- */

static void
end_run(
    struct lun_worker *worker, enum lun_code code, const struct lun_err *err)
{
	pthread_mutex_lock(&worker->lock);
	worker->outcome = code;
	if (code != LUN_OK)
		worker->err = *err;
	worker->stop = true;
	pthread_mutex_unlock(&worker->lock);
}

static bool
is_at_the_end(const struct lun_worker *worker, enum lun_step_outcome outcome)
{
	const struct lun_projection *p = worker->p;

	return (outcome == LUN_STEP_IDLE && !p->batch->held) ||
	       lun_position_compare(p->cursor, worker->until) >= 0;
}

/* After a step that did not fail: whether the run ends here. */
static bool
end_if_arrived(struct lun_worker *worker, enum lun_step_outcome outcome)
{
	bool at_the_end = is_at_the_end(worker, outcome);
	struct lun_err err = {0};
	enum lun_code code;

	if (!at_the_end && outcome != LUN_STEP_PAUSED)
		return false;
	if (!at_the_end)
		lun_log(worker->p->around->log, LUN_LOG_WARNING,
		    "%s: paused, so it stays where it is; \"lunette "
		    "resume %s\" ends that",
		    worker->p->name, worker->p->name);
	code = lun_projection_flush(worker->p, &err);
	if (code == LUN_UNAVAILABLE)
		return false;
	if (at_the_end)
		lun_projection_index(worker->p);
	end_run(worker, code, &err);
	return true;
}

/* A bounded run ends where it was to get, or at what keeps it from there. */
static bool
end_if_bounded(struct lun_worker *worker, enum lun_code code,
    enum lun_step_outcome outcome, const struct lun_err *err)
{
	if (!worker->bounded || code == LUN_UNAVAILABLE)
		return false;
	if (code == LUN_OK)
		return end_if_arrived(worker, outcome);
	end_run(worker, code, err);
	return true;
}

/* Its file may come back, but a bounded run does not wait for that. */
static bool
end_if_detached(struct lun_worker *worker)
{
	struct lun_projection *p = worker->p;
	struct lun_err err = {0};

	if (!worker->bounded || !lun_projection_is(p, LUN_PHASE_DETACHED))
		return false;
	end_run(worker,
	    lun_fail(&err, LUN_CONFIG,
		"%s: its script file is gone, so it stays where it is",
		p->name),
	    &err);
	return true;
}

static void
do_step(struct lun_worker *worker)
{
	struct lun_projection *p = worker->p;
	struct lun_err err = {0};
	enum lun_code code;
	struct lun_step step;

	if (end_if_detached(worker))
		return;
	if (lun_projection_is(p, LUN_PHASE_FAILED) ||
	    lun_projection_is(p, LUN_PHASE_DETACHED)) {
		wait_for_news(worker, FAILED_PAUSE_MS, false);
		return;
	}
	if (wait_idle(worker))
		return;
	code = lun_projection_one_step(p, &step, &err);
	if (lun_projection_is(p, LUN_PHASE_ABANDONED) ||
	    end_if_bounded(worker, code, step.outcome, &err))
		return;
	if (lun_step_has_moved(code, step))
		lun_idle_begin(&worker->idle);
	else if (code == LUN_OK || code == LUN_UNAVAILABLE)
		lun_idle_found_nothing(&worker->idle, p);
	else
		wait_for_news(worker, UNOWNED_PAUSE_MS, false);
}

static void *
run_worker(void *arg)
{
	struct lun_worker *worker = arg;
	struct lun_projection *p = worker->p;

	atomic_fetch_add(&p->around->board->workers, 1);
	while (
	    !is_stopped(worker) && !lun_projection_is(p, LUN_PHASE_ABANDONED)) {
		take_script(worker);
		take_detachment(worker);
		lun_projection_serve_requests(p, begin_request, worker);
		do_step(worker);
	}
	if (!lun_projection_is(p, LUN_PHASE_ABANDONED))
		lun_projection_disown(p);
	atomic_fetch_sub(&p->around->board->workers, 1);
	pthread_mutex_lock(&worker->lock);
	worker->done = true;
	pthread_cond_broadcast(&worker->ended);
	pthread_mutex_unlock(&worker->lock);
	if (!lun_projection_is(p, LUN_PHASE_ABANDONED))
		lun_board_ring(p->around->board);
	return NULL;
}

/* ---- life -------------------------------------------------------------- */

static void
free_worker(struct lun_worker *worker)
{
	if (worker->bell >= 0)
		close(worker->bell);
	lun_script_free(worker->script);
	pthread_cond_destroy(&worker->ended);
	pthread_mutex_destroy(&worker->lock);
	free(worker);
}

static void
begin_run(struct lun_worker *worker, const struct lun_position *until)
{
	lun_idle_begin(&worker->idle);
	worker->bounded = until != NULL;
	if (until != NULL)
		worker->until = *until;
	worker->p->has_worker = true;
	lun_projection_begin_anew(worker->p);
	atomic_store(&worker->p->stop_asked, false);
}

enum lun_code
lun_worker_start(struct lun_projection *p, const struct lun_position *until,
    struct lun_worker **out, struct lun_err *err)
{
	struct lun_worker *worker = calloc(1, sizeof *worker);
	enum lun_code code;

	if (worker == NULL)
		return lun_fail(err, LUN_NOMEM, "%s: out of memory", p->name);
	pthread_mutex_init(&worker->lock, NULL);
	lun_cond_init(&worker->ended);
	worker->p = p;
	worker->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (worker->bell < 0) {
		code = lun_fail(err, LUN_IO, "%s: no event descriptor: %s",
		    p->name, lun_errno_words(errno));
		free_worker(worker);
		return code;
	}
	begin_run(worker, until);
	lun_projection_overlap(p);
	code =
	    lun_thread_start(&worker->thread, p->name, run_worker, worker, err);
	if (code != LUN_OK) {
		p->has_worker = false;
		free_worker(worker);
		return code;
	}
	if (pthread_getcpuclockid(worker->thread, &worker->stuck.cpu_clock) !=
	    0)
		worker->stuck.cpu_clock = CLOCK_MONOTONIC;
	*out = worker;
	return LUN_OK;
}

bool
lun_worker_done(
    struct lun_worker *worker, enum lun_code *outcome, struct lun_err *err)
{
	bool done;

	pthread_mutex_lock(&worker->lock);
	done = worker->done;
	if (done) {
		*outcome = worker->outcome;
		if (worker->outcome != LUN_OK && err != NULL)
			*err = worker->err;
	}
	pthread_mutex_unlock(&worker->lock);
	return done;
}

bool
lun_worker_stuck(struct lun_worker *worker, int64_t limit_ms)
{
	pthread_mutex_t *lock = &worker->p->around->board->lock;
	uint64_t progress;

	pthread_mutex_lock(lock);
	progress = atomic_load(&lun_script_pulse(worker->p->script)->progress);
	pthread_mutex_unlock(lock);
	return lun_stuck_look(&worker->stuck, progress, limit_ms);
}

static bool
wait_for_end(struct lun_worker *worker, int64_t until_ns)
{
	bool done;

	pthread_mutex_lock(&worker->lock);
	while (!worker->done && lun_clock_mono_ns() < until_ns)
		lun_cond_wait_until(&worker->ended, &worker->lock, until_ns);
	done = worker->done;
	pthread_mutex_unlock(&worker->lock);
	return done;
}

/* Ask the script to stop; how far it has come. */
static uint64_t
interrupt_script(struct lun_projection *p)
{
	struct lun_pulse *pulse;
	uint64_t progress;

	pthread_mutex_lock(&p->around->board->lock);
	pulse = lun_script_pulse(p->script);
	atomic_store(&pulse->interrupt, true);
	progress = atomic_load(&pulse->progress);
	pthread_mutex_unlock(&p->around->board->lock);
	return progress;
}

/*
 * Whoever is not inside the script, or gets on with it, will come to an end:
 * only a call that nothing reaches is given up.
 */
static bool
is_out_of_reach(struct lun_projection *p, uint64_t *progress)
{
	uint64_t before = *progress;

	*progress = interrupt_script(p);
	return *progress % 2 != 0 && *progress == before;
}

static void
abandon_projection(struct lun_projection *p)
{
	struct lun_err err;

	(void)lun_fail(&err, LUN_BUDGET, LUN_STUCK, p->name);
	err.detail[0] = '\0';
	lun_projection_enter(p, LUN_PHASE_ABANDONED, &err);
}

bool
lun_worker_free(struct lun_worker *worker, int64_t deadline_ns)
{
	struct lun_projection *p = worker->p;
	int64_t now = lun_clock_mono_ns();
	uint64_t progress;

	lun_worker_stop(worker);
	if (!wait_for_end(worker, deadline_ns - (deadline_ns - now) / 5)) {
		progress = interrupt_script(p);
		while (!wait_for_end(worker, deadline_ns)) {
			if (is_out_of_reach(p, &progress)) {
				abandon_projection(p);
				pthread_detach(worker->thread);
				return false;
			}
			deadline_ns = lun_clock_mono_ns() + SLICE_NS;
		}
	}
	pthread_join(worker->thread, NULL);
	take_script(worker); /* that came too late for the thread */
	p->has_worker = false;
	free_worker(worker);
	return true;
}
