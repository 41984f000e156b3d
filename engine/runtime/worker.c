/*
 * worker.c - a projection whose steps are turns of a crew's threads.
 *
 * Why it loses nothing. A turn alone touches the projection, from
 * lun_worker_start() until the last one, and there is one at a time, on
 * whatever thread; others leave notes in the mailbox, which a turn reads
 * before its step, so a reload, a detachment and a request always find whole
 * batches. Fetching and committing beside it go on between turns, but only
 * while its slot is held: the slice ends with a batch that was committed in
 * place. However it ends, the last turn hands the ownership back, which waits
 * for the commit under way and commits a position that moved alone. A run to a
 * position ends only when the step says that there is no more, or the cursor is
 * there, and that is committed; what writers still hold back keeps it going. A
 * script that is stuck in a library call cannot be ended: the thread that has
 * its turn is left behind, and the projection in the phase that nothing
 * follows, in which it may neither apply nor commit if it ever wakes up, and
 * its lease runs out.
 */

#include "runtime/worker.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/idle.h"
#include "base/thread.h"
#include "runtime/stuck.h"

#define NS_PER_MS        1000000LL
#define SLICE_NS         (20 * NS_PER_MS) /* between looks at a late script */
#define UNOWNED_PAUSE_NS (500 * NS_PER_MS)
#define INDEX_PAUSE_NS   (200 * NS_PER_MS) /* between looks at the making */
#define SHARED_PAUSE_MS  1000              /* it is woken when there is news */

struct lun_worker {
	struct lun_projection *p;
	struct lun_crew *crew;
	struct lun_slots *slots;
	struct lun_task task;
	struct lun_slot slot;
	bool bounded;
	struct lun_position until;

	pthread_mutex_t lock;
	bool stop;
	bool detach;
	bool done;
	struct lun_script *script; /* to be put in place */
	enum lun_code outcome;
	struct lun_err err;

	/* the watchdog's */
	struct lun_stuck stuck;

	/* the turn's own */
	struct lun_idle idle;
	int64_t next_ns; /* no step before that; 0: at once */
	bool has_begun;  /* its first turn is over */
	bool in_slots;   /* it may hold its slot, or waits for it */
	bool only_moved; /* its last step, over what nobody wants */
	bool looks;      /* for itself, at the event store */
};

/* ---- the mailbox ------------------------------------------------------- */

void
lun_worker_wake(struct lun_worker *worker)
{
	lun_crew_wake(worker->crew, &worker->task);
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

static void
look_soon(struct lun_worker *worker)
{
	lun_idle_begin(&worker->idle);
	worker->next_ns = 0;
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

	look_soon(worker);
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
		lun_projection_index_here(worker->p);
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

/* A failed one waits for its owner, a detached one for its file. */
static bool
is_at_rest(const struct lun_projection *p)
{
	return lun_projection_is(p, LUN_PHASE_FAILED) ||
	       lun_projection_is(p, LUN_PHASE_DETACHED);
}

/* A bounded run waits for neither. */
static bool
end_if_at_rest(struct lun_worker *worker)
{
	struct lun_projection *p = worker->p;
	struct lun_report report;
	struct lun_err err = {0};

	if (!worker->bounded || !is_at_rest(p))
		return false;
	report = lun_projection_report(p);
	end_run(worker,
	    lun_projection_is(p, LUN_PHASE_DETACHED)
		? lun_fail(&err, LUN_CONFIG,
		      "%s: its script file is gone, so it stays where it is",
		      p->name)
		: lun_fail(
		      &err, LUN_CONFIG, "%s: %s", p->name, report.last_error),
	    &err);
	return true;
}

/* ---- a turn ------------------------------------------------------------ */

static void
leave_slots(struct lun_worker *worker)
{
	if (!worker->in_slots)
		return;
	worker->in_slots = false;
	lun_projection_end_overlap(worker->p);
	lun_slots_leave(worker->slots, &worker->slot);
}

/*
 * Whoever catches up needs a slot, and is called when there is one, unless he
 * only passes over events. At the end of a slice what was fetched is applied,
 * and no more fetched.
 */
static bool
may_step(struct lun_worker *worker)
{
	struct lun_projection *p = worker->p;

	if (!lun_projection_is(p, LUN_PHASE_CATCHING_UP) ||
	    (worker->only_moved && !worker->in_slots))
		return true;
	worker->in_slots = true;
	if (!lun_slots_take(worker->slots, &worker->slot))
		return false;
	lun_projection_overlap(p);
	p->fetches = !lun_slots_is_over(worker->slots, &worker->slot);
	return true;
}

static void
set_looking(struct lun_worker *worker, bool looks)
{
	atomic_uint *lookers = &worker->p->around->board->lookers;

	if (looks && !worker->looks)
		atomic_fetch_add(lookers, 1);
	else if (!looks && worker->looks)
		atomic_fetch_sub(lookers, 1);
	worker->looks = looks;
}

/* All who look for themselves together cost an event store a hundredth. */
static void
plan_look(struct lun_worker *worker)
{
	const struct lun_projection *p = worker->p;

	lun_idle_found_nothing(&worker->idle,
	    &(struct lun_look){
		.who = p->name,
		.log = p->around->log,
		.cost_us = p->batch != NULL ? p->batch->look_us : 0,
		.lookers = atomic_load(&p->around->board->lookers),
		.held = p->batch != NULL && p->batch->held,
		.most_ms = p->around->settings->poll_ms,
	    });
}

/* Who shares the reading is woken. */
static void
note_nothing(struct lun_worker *worker)
{
	set_looking(worker, !lun_projection_shares(worker->p));
	if (!worker->looks)
		lun_idle_wait(&worker->idle, SHARED_PAUSE_MS);
	else
		plan_look(worker);
	worker->next_ns = worker->idle.look_at_ns;
}

static void
note_step(struct lun_worker *worker, enum lun_code code, struct lun_step step)
{
	struct lun_projection *p = worker->p;
	bool moved = lun_step_has_moved(code, step);

	worker->only_moved = moved && step.applied == 0;
	if (!moved || !p->fetches ||
	    !lun_projection_is(p, LUN_PHASE_CATCHING_UP))
		leave_slots(worker);
	if (!moved)
		lun_projection_rest(p);
	if (moved) {
		look_soon(worker);
	} else if (code == LUN_OK && step.outcome == LUN_STEP_PAUSED) {
		worker->next_ns = LUN_WHEN_WOKEN;
	} else if (code == LUN_OK || code == LUN_UNAVAILABLE) {
		note_nothing(worker);
	} else {
		worker->next_ns = lun_clock_mono_ns() + UNOWNED_PAUSE_NS;
	}
}

/*
 * The first turn makes tables alone: once all projections have had theirs, no
 * connection to SQLite has to read the whole schema again. A failure is found
 * again by the step.
 */
static void
begin(struct lun_worker *worker)
{
	worker->has_begun = true;
	(void)!lun_projection_prepare(worker->p, NULL);
}

static void
do_step(struct lun_worker *worker)
{
	struct lun_projection *p = worker->p;
	struct lun_err err = {0};
	enum lun_code code;
	struct lun_step step;

	if (end_if_at_rest(worker))
		return;
	if (!worker->has_begun) {
		begin(worker);
		return;
	}
	if (is_at_rest(p))
		worker->next_ns = LUN_WHEN_WOKEN;
	if (lun_clock_mono_ns() < worker->next_ns)
		return;
	if (!may_step(worker)) {
		worker->next_ns = LUN_WHEN_WOKEN;
		return;
	}
	code = lun_projection_one_step(p, &step, &err);
	if (!lun_projection_is(p, LUN_PHASE_ABANDONED) &&
	    !end_if_bounded(worker, code, step.outcome, &err))
		note_step(worker, code, step);
}

static void
work(struct lun_worker *worker)
{
	struct lun_projection *p = worker->p;

	take_script(worker);
	take_detachment(worker);
	lun_projection_serve_requests(p, begin_request, worker);
	if (!lun_projection_is(p, LUN_PHASE_CATCHING_UP) &&
	    !lun_projection_is(p, LUN_PHASE_ABANDONED))
		leave_slots(worker);
	if (lun_projection_is(p, LUN_PHASE_LIVE))
		lun_projection_index(p);
	do_step(worker);
}

static void
end_worker(struct lun_worker *worker)
{
	struct lun_projection *p = worker->p;
	struct lun_board *board = p->around->board;
	bool abandoned = lun_projection_is(p, LUN_PHASE_ABANDONED);

	if (!abandoned) {
		leave_slots(worker);
		lun_projection_disown(p);
	}
	set_looking(worker, false);
	pthread_mutex_lock(&worker->lock);
	worker->done = true;
	pthread_mutex_unlock(&worker->lock);
	if (!abandoned)
		lun_board_ring(board);
}

static void
plan_by(struct lun_turn *turn, int64_t due_ns)
{
	if (due_ns < turn->due_ns)
		turn->due_ns = due_ns;
}

/* When the next one is due, which may be but for a look at something else. */
static struct lun_turn
plan_turn(const struct lun_worker *worker)
{
	const struct lun_projection *p = worker->p;
	struct lun_turn turn = {.due_ns = worker->next_ns,
	    .listens =
		worker->next_ns != LUN_WHEN_WOKEN && !lun_projection_shares(p)};

	if (lun_projection_is_owned(p) && atomic_load(&p->request_waits))
		plan_by(&turn, p->requests_ns);
	if (lun_projection_is(p, LUN_PHASE_LIVE) && !p->indexing.done)
		plan_by(&turn, lun_clock_mono_ns() + INDEX_PAUSE_NS);
	return turn;
}

static struct lun_turn
take_turn(void *arg, bool woken)
{
	struct lun_worker *worker = arg;
	const struct lun_projection *p = worker->p;

	if (woken)
		look_soon(worker);
	if (!is_stopped(worker) && !lun_projection_is(p, LUN_PHASE_ABANDONED))
		work(worker);
	if (!is_stopped(worker) && !lun_projection_is(p, LUN_PHASE_ABANDONED))
		return plan_turn(worker);
	end_worker(worker);
	return (struct lun_turn){.ended = true};
}

/* ---- life -------------------------------------------------------------- */

static void
free_worker(struct lun_worker *worker)
{
	lun_script_free(worker->script);
	pthread_mutex_destroy(&worker->lock);
	free(worker);
}

/* From any thread: its slot is there, or there is news. */
static void
call_worker(void *arg)
{
	lun_worker_wake(arg);
}

static void
begin_run(struct lun_worker *worker, const struct lun_position *until)
{
	lun_idle_begin(&worker->idle);
	worker->bounded = until != NULL;
	if (until != NULL)
		worker->until = *until;
	else
		lun_projection_share(worker->p, call_worker, worker);
	worker->p->has_worker = true;
	lun_projection_begin_anew(worker->p);
	atomic_store(&worker->p->stop_asked, false);
}

enum lun_code
lun_worker_start(struct lun_projection *p, const struct lun_position *until,
    struct lun_crew *crew, struct lun_slots *slots, struct lun_worker **out,
    struct lun_err *err)
{
	struct lun_worker *worker = calloc(1, sizeof *worker);
	enum lun_code code;

	if (worker == NULL)
		return lun_fail(err, LUN_NOMEM, "%s: out of memory", p->name);
	pthread_mutex_init(&worker->lock, NULL);
	worker->p = p;
	worker->crew = crew;
	worker->slots = slots;
	worker->task = (struct lun_task){.take_turn = take_turn, .arg = worker};
	worker->slot = (struct lun_slot){.call = call_worker, .arg = worker};
	begin_run(worker, until);
	set_looking(worker, true);
	code = lun_crew_add(crew, &worker->task, err);
	if (code != LUN_OK) {
		set_looking(worker, false);
		p->has_worker = false;
		lun_projection_end_sharing(p);
		free_worker(worker);
		return lun_wrap(err, code, "%s", p->name);
	}
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
	struct lun_projection *p = worker->p;
	struct lun_stuck *stuck = &worker->stuck;
	clockid_t clock = 0;
	uint64_t progress;

	if (!lun_crew_clock(worker->crew, &worker->task, &clock))
		return false;
	if (clock != stuck->cpu_clock)
		*stuck = (struct lun_stuck){.cpu_clock = clock};
	pthread_mutex_lock(&p->around->board->lock);
	progress = atomic_load(&lun_script_pulse(p->script)->progress);
	pthread_mutex_unlock(&p->around->board->lock);
	if (!lun_stuck_look(stuck, progress, limit_ms))
		return false;
	lun_crew_name(worker->crew, &worker->task, p->name);
	return true;
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
	struct lun_task *task = &worker->task;
	int64_t now = lun_clock_mono_ns();
	uint64_t progress;

	lun_worker_stop(worker);
	if (!lun_crew_finish(
		worker->crew, task, deadline_ns - (deadline_ns - now) / 5)) {
		progress = interrupt_script(p);
		while (!lun_crew_finish(worker->crew, task, deadline_ns)) {
			if (is_out_of_reach(p, &progress)) {
				abandon_projection(p);
				lun_crew_lose(worker->crew, task, p->name);
				return false;
			}
			deadline_ns = lun_clock_mono_ns() + SLICE_NS;
		}
	}
	take_script(worker); /* that came too late for its last turn */
	p->has_worker = false;
	lun_projection_end_sharing(p);
	free_worker(worker);
	return true;
}
