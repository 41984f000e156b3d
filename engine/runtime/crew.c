/*
 * crew.c - a few threads that take turns at many tasks.
 *
 * One thread that has nothing to do watches: it sleeps until the next task is
 * due, a hint comes or the bell rings; the others sleep until they are called.
 * Whoever takes a task calls another one if there is more to do or nobody is
 * left to watch.
 */

#include "runtime/crew.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/thread.h"

#define NS_PER_S  1000000000LL
#define NS_PER_MS 1000000LL
#define LATE_NS   (500 * NS_PER_MS) /* a turn that lasts so long */
#define IDLE_NS   (10 * NS_PER_S)   /* before a thread ends */
#define LISTEN_NS (100 * NS_PER_MS) /* between looks for who gives hints */
#define CREW_NAME "lunette-crew"
#define NAME_SIZE 16

struct lun_crew_thread {
	struct lun_crew *crew;
	struct lun_crew_thread *next;
	pthread_t id;
	struct lun_task *task; /* NULL: none */
	int64_t began_ns;      /* its turn */
	bool named;            /* after what it does */
	bool lost;
	bool gone; /* to be joined */
};

/* ---- the line ---------------------------------------------------------- */

static void
join_line(struct lun_crew *crew, struct lun_task *task)
{
	task->state = LUN_TASK_IN_LINE;
	task->behind = NULL;
	if (crew->first == NULL)
		crew->first = task;
	else
		crew->last->behind = task;
	crew->last = task;
}

static void
leave_line(struct lun_crew *crew, struct lun_task *task)
{
	struct lun_task *before = NULL;

	for (struct lun_task *at = crew->first; at != task; at = at->behind)
		before = at;
	if (before == NULL)
		crew->first = task->behind;
	else
		before->behind = task->behind;
	if (crew->last == task)
		crew->last = before;
}

static void
begin_listening(struct lun_crew *crew, struct lun_task *task)
{
	task->next_listening = crew->listening;
	task->listening_at = &crew->listening;
	if (crew->listening != NULL)
		crew->listening->listening_at = &task->next_listening;
	crew->listening = task;
}

static void
end_listening(struct lun_task *task)
{
	*task->listening_at = task->next_listening;
	if (task->next_listening != NULL)
		task->next_listening->listening_at = task->listening_at;
}

static void
begin_waiting(struct lun_crew *crew, struct lun_task *task)
{
	task->state = LUN_TASK_WAITS;
	if (task->listens)
		begin_listening(crew, task);
	if (task->due_ns != LUN_WHEN_WOKEN)
		lun_due_add(&crew->due, task);
}

static void
end_waiting(struct lun_crew *crew, struct lun_task *task)
{
	if (task->listens)
		end_listening(task);
	lun_due_remove(&crew->due, task);
}

static void
line_up_due(struct lun_crew *crew)
{
	int64_t now = lun_clock_mono_ns();
	struct lun_task *task;

	while (
	    (task = lun_due_first(&crew->due)) != NULL && task->due_ns <= now) {
		end_waiting(crew, task);
		join_line(crew, task);
	}
}

static void
begin_turn(
    struct lun_crew *crew, struct lun_task *task, struct lun_crew_thread *me)
{
	leave_line(crew, task);
	task->state = LUN_TASK_HAS_TURN;
	task->hints = crew->hints_taken;
	task->thread = me;
	if (me == NULL)
		return;
	me->task = task;
	me->began_ns = lun_clock_mono_ns();
}

/* It comes back to see what there is to do, or until when to watch. */
static void
ring_watcher(struct lun_crew *crew)
{
	uint64_t one = 1;

	crew->rung = true;
	(void)!write(crew->bell, &one, sizeof one);
}

static void
end_turn(struct lun_crew *crew, struct lun_task *task, struct lun_turn turn)
{
	pthread_cond_broadcast(&crew->turned);
	task->thread = NULL;
	task->listens = turn.listens;
	task->due_ns = turn.due_ns;
	/* It may have looked before there was what the hint is about. */
	if (turn.listens && task->hints != crew->hints_taken)
		task->woken = true;
	if (turn.ended) {
		task->state = LUN_TASK_ENDED;
		crew->tasks--;
	} else if (task->woken || turn.due_ns == 0) {
		join_line(crew, task);
	} else {
		begin_waiting(crew, task);
		if (crew->watcher != NULL &&
		    (turn.due_ns < crew->watched_until_ns ||
			(turn.listens && !crew->watches_hints)))
			ring_watcher(crew);
	}
}

/* With the lock held, which is let go meanwhile. */
static struct lun_turn
take_turn(struct lun_crew *crew, struct lun_task *task)
{
	bool woken = task->woken;
	struct lun_turn turn;

	task->woken = false;
	pthread_mutex_unlock(&crew->lock);
	turn = task->take_turn(task->arg, woken);
	pthread_mutex_lock(&crew->lock);
	return turn;
}

/* ---- threads ----------------------------------------------------------- */

static void *run_thread(void *arg);

static void
join_gone(struct lun_crew *crew)
{
	struct lun_crew_thread **link = &crew->threads;

	while (*link != NULL) {
		struct lun_crew_thread *thread = *link;

		if (!thread->gone) {
			link = &thread->next;
			continue;
		}
		*link = thread->next;
		pthread_join(thread->id, NULL);
		free(thread);
	}
}

static enum lun_code
start_thread(struct lun_crew *crew, struct lun_err *err)
{
	struct lun_crew_thread *thread = calloc(1, sizeof *thread);
	enum lun_code code;

	if (thread == NULL)
		return lun_fail(err, LUN_NOMEM, "a thread: out of memory");
	thread->crew = crew;
	code =
	    lun_thread_start(&thread->id, CREW_NAME, run_thread, thread, err);
	if (code != LUN_OK) {
		free(thread);
		return code;
	}
	thread->next = crew->threads;
	crew->threads = thread;
	crew->count++;
	return LUN_OK;
}

/* Somebody is to see what there is to do, or to watch. */
static void
call_one(struct lun_crew *crew)
{
	if (crew->idle > 0) {
		crew->idle--;
		crew->calls++;
		pthread_cond_signal(&crew->called);
	} else if (crew->watcher != NULL && !crew->rung) {
		ring_watcher(crew);
	} else if (crew->count < crew->most + crew->stand_ins) {
		(void)!start_thread(crew, NULL);
	}
}

static bool
wants_somebody(const struct lun_crew *crew)
{
	return crew->first != NULL ||
	       (crew->watcher == NULL &&
		   (crew->due.count > 0 || crew->listening != NULL));
}

/* False after a long while without a call. */
static bool
wait_for_call(struct lun_crew *crew)
{
	int64_t until = lun_clock_mono_ns() + IDLE_NS;

	crew->idle++;
	while (crew->calls == 0 && !crew->ending && lun_clock_mono_ns() < until)
		lun_cond_wait_until(&crew->called, &crew->lock, until);
	if (crew->calls == 0) {
		crew->idle--;
		return crew->ending;
	}
	crew->calls--;
	return true;
}

/* ---- watching ---------------------------------------------------------- */

static void
wake_listeners(struct lun_crew *crew)
{
	struct lun_task *next;

	crew->hints_taken++;
	for (struct lun_task *task = crew->listening; task != NULL;
	     task = next) {
		next = task->next_listening;
		end_waiting(crew, task);
		task->woken = true;
		join_line(crew, task);
	}
}

/* True if there was a hint. */
static bool
sleep_until(struct lun_crew *crew, int64_t until_ns, bool listen)
{
	const struct lun_hints *hints = &crew->hints;
	struct pollfd sources[2] = {
	    {.fd = crew->bell, .events = POLLIN},
	    {.fd = listen ? hints->fd(hints->arg) : -1, .events = POLLIN},
	};
	int64_t left = until_ns - lun_clock_mono_ns();
	struct timespec pause = {0};
	uint64_t rings;

	if (left > 0)
		pause = (struct timespec){left / NS_PER_S, left % NS_PER_S};
	if (ppoll(sources, 2, &pause, NULL) <= 0)
		return false;
	if (sources[0].revents != 0)
		(void)!read(crew->bell, &rings, sizeof rings);
	if (sources[1].revents == 0)
		return false;
	hints->take(hints->arg);
	return true;
}

/* With the lock held, which is let go meanwhile. */
static void
watch(struct lun_crew *crew, struct lun_crew_thread *me)
{
	const struct lun_task *first = lun_due_first(&crew->due);
	bool listen = crew->listening != NULL;
	int64_t until = lun_clock_mono_ns() + (listen ? LISTEN_NS : IDLE_NS);
	bool hinted;

	if (first != NULL && first->due_ns < until)
		until = first->due_ns;
	crew->watcher = me;
	crew->watched_until_ns = until;
	crew->watches_hints = listen;
	pthread_mutex_unlock(&crew->lock);
	hinted = sleep_until(crew, until, listen);
	pthread_mutex_lock(&crew->lock);
	crew->watcher = NULL;
	crew->rung = false;
	if (hinted)
		wake_listeners(crew);
}

/* ---- a thread ---------------------------------------------------------- */

/* NULL: this thread is not needed any more. */
static struct lun_task *
find_task(struct lun_crew *crew, struct lun_crew_thread *me)
{
	for (;;) {
		line_up_due(crew);
		if (crew->first != NULL)
			return crew->first;
		if (crew->ending || crew->count > crew->most + crew->stand_ins)
			return NULL;
		if (crew->watcher == NULL)
			watch(crew, me);
		else if (!wait_for_call(crew))
			return NULL;
	}
}

static void
forget_name(struct lun_crew_thread *me)
{
	if (me->named)
		pthread_setname_np(me->id, CREW_NAME);
	me->named = false;
}

/* False if the thread was lost meanwhile. */
static bool
give_turn(
    struct lun_crew *crew, struct lun_crew_thread *me, struct lun_task *task)
{
	struct lun_turn turn;

	begin_turn(crew, task, me);
	if (wants_somebody(crew))
		call_one(crew);
	turn = take_turn(crew, task);
	if (me->lost)
		return false;
	me->task = NULL;
	forget_name(me);
	end_turn(crew, task, turn);
	return true;
}

static void *
run_thread(void *arg)
{
	struct lun_crew_thread *me = arg;
	struct lun_crew *crew = me->crew;
	struct lun_task *task;

	pthread_mutex_lock(&crew->lock);
	while ((task = find_task(crew, me)) != NULL)
		if (!give_turn(crew, me, task)) {
			pthread_mutex_unlock(&crew->lock);
			free(me);
			return NULL;
		}
	me->gone = true;
	crew->count--;
	if (wants_somebody(crew))
		call_one(crew);
	pthread_mutex_unlock(&crew->lock);
	return NULL;
}

/* ---- life -------------------------------------------------------------- */

void
lun_crew_init(
    struct lun_crew *crew, unsigned most, const struct lun_hints *hints)
{
	*crew = (struct lun_crew){.hints = *hints, .bell = -1, .most = most};
	pthread_mutex_init(&crew->lock, NULL);
	lun_cond_init(&crew->called);
	lun_cond_init(&crew->turned);
}

void
lun_crew_end(struct lun_crew *crew)
{
	struct lun_crew_thread *thread;

	pthread_mutex_lock(&crew->lock);
	crew->ending = true;
	pthread_cond_broadcast(&crew->called);
	if (crew->watcher != NULL)
		ring_watcher(crew);
	while ((thread = crew->threads) != NULL) {
		crew->threads = thread->next;
		pthread_mutex_unlock(&crew->lock);
		pthread_join(thread->id, NULL);
		free(thread);
		pthread_mutex_lock(&crew->lock);
	}
	crew->ending = false;
	crew->stand_ins = 0;
	pthread_mutex_unlock(&crew->lock);
}

void
lun_crew_fini(struct lun_crew *crew)
{
	lun_crew_end(crew);
	if (crew->bell >= 0)
		close(crew->bell);
	lun_due_free(&crew->due);
	pthread_cond_destroy(&crew->turned);
	pthread_cond_destroy(&crew->called);
	pthread_mutex_destroy(&crew->lock);
}

/* ---- tasks ------------------------------------------------------------- */

/* What a task needs to be sure of its turns. */
static enum lun_code
prepare(struct lun_crew *crew, struct lun_err *err)
{
	if (crew->bell < 0)
		crew->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (crew->bell < 0)
		return lun_fail(err, LUN_IO, "no event descriptor: %s",
		    lun_errno_words(errno));
	if (!lun_due_reserve(&crew->due, crew->tasks + 1))
		return lun_fail(err, LUN_NOMEM, "out of memory");
	return crew->count > 0 ? LUN_OK : start_thread(crew, err);
}

enum lun_code
lun_crew_add(struct lun_crew *crew, struct lun_task *task, struct lun_err *err)
{
	enum lun_code code;

	pthread_mutex_lock(&crew->lock);
	code = prepare(crew, err);
	if (code == LUN_OK) {
		crew->tasks++;
		join_line(crew, task);
		call_one(crew);
	}
	pthread_mutex_unlock(&crew->lock);
	return code;
}

void
lun_crew_wake(struct lun_crew *crew, struct lun_task *task)
{
	pthread_mutex_lock(&crew->lock);
	if (task->state != LUN_TASK_ENDED)
		task->woken = true;
	if (task->state == LUN_TASK_WAITS) {
		end_waiting(crew, task);
		join_line(crew, task);
		call_one(crew);
	}
	pthread_mutex_unlock(&crew->lock);
}

/* With the lock held. */
static void
give_turn_here(struct lun_crew *crew, struct lun_task *task)
{
	if (task->state == LUN_TASK_WAITS) {
		end_waiting(crew, task);
		join_line(crew, task);
	}
	begin_turn(crew, task, NULL);
	end_turn(crew, task, take_turn(crew, task));
	if (wants_somebody(crew))
		call_one(crew);
}

bool
lun_crew_finish(struct lun_crew *crew, struct lun_task *task, int64_t until_ns)
{
	bool ended;

	pthread_mutex_lock(&crew->lock);
	while (task->state != LUN_TASK_ENDED) {
		if (task->state != LUN_TASK_HAS_TURN)
			give_turn_here(crew, task);
		else if (lun_clock_mono_ns() >= until_ns)
			break;
		else
			lun_cond_wait_until(
			    &crew->turned, &crew->lock, until_ns);
	}
	ended = task->state == LUN_TASK_ENDED;
	pthread_mutex_unlock(&crew->lock);
	return ended;
}

/* ---- turns that last --------------------------------------------------- */

void
lun_crew_look(struct lun_crew *crew)
{
	int64_t late_ns = lun_clock_mono_ns() - LATE_NS;
	unsigned late = 0;

	pthread_mutex_lock(&crew->lock);
	for (struct lun_crew_thread *t = crew->threads; t != NULL; t = t->next)
		late += t->task != NULL && t->began_ns < late_ns;
	crew->stand_ins = late < LUN_CREW_STAND_INS ? late : LUN_CREW_STAND_INS;
	join_gone(crew);
	if (wants_somebody(crew))
		call_one(crew);
	pthread_mutex_unlock(&crew->lock);
}

bool
lun_crew_clock(
    struct lun_crew *crew, const struct lun_task *task, clockid_t *clock)
{
	bool has_one;

	pthread_mutex_lock(&crew->lock);
	has_one = task->thread != NULL &&
		  pthread_getcpuclockid(task->thread->id, clock) == 0;
	pthread_mutex_unlock(&crew->lock);
	return has_one;
}

/* With the lock held. */
static void
name_thread(struct lun_crew_thread *thread, const char *name)
{
	char shortened[NAME_SIZE];

	snprintf(shortened, sizeof shortened, "%s", name);
	pthread_setname_np(thread->id, shortened);
	thread->named = true;
}

void
lun_crew_name(
    struct lun_crew *crew, const struct lun_task *task, const char *name)
{
	pthread_mutex_lock(&crew->lock);
	if (task->thread != NULL && !task->thread->named)
		name_thread(task->thread, name);
	pthread_mutex_unlock(&crew->lock);
}

void
lun_crew_lose(struct lun_crew *crew, struct lun_task *task, const char *name)
{
	struct lun_crew_thread **link = &crew->threads;
	struct lun_crew_thread *thread;

	pthread_mutex_lock(&crew->lock);
	thread = task->thread;
	if (thread != NULL) {
		while (*link != thread)
			link = &(*link)->next;
		*link = thread->next;
		crew->count--;
		crew->tasks--;
		thread->lost = true;
		name_thread(thread, name);
		pthread_detach(thread->id);
		if (wants_somebody(crew))
			call_one(crew);
	}
	pthread_mutex_unlock(&crew->lock);
}
