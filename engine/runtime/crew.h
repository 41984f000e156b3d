/*
 * crew.h - a few threads that take turns at many tasks.
 *
 * A task has one turn after the other, each on whatever thread is free, and
 * each says when the next one is due. Whoever is due stands in a line, first
 * come, first served. Threads are begun when there is something for them to do
 * and end when there was nothing for a while. A turn that lasts (a script that
 * is stuck, a store that is locked) keeps nobody else from his: another thread
 * stands in for it, up to LUN_CREW_STAND_INS.
 */

#ifndef LUN_RUNTIME_CREW_H
#define LUN_RUNTIME_CREW_H

#include <pthread.h>
#include <time.h>

#include "runtime/due.h"

#define LUN_CREW_STAND_INS 8
#define LUN_WHEN_WOKEN     INT64_MAX

/* What a turn came to. */
struct lun_turn {
	bool ended;     /* no other one follows */
	bool listens;   /* a hint makes the next one due */
	int64_t due_ns; /* … or this moment of the monotonic clock; 0: now */
};

/* woken: somebody asked for this turn, or there was a hint. */
typedef struct lun_turn lun_turn_fn(void *arg, bool woken);

enum lun_task_state {
	LUN_TASK_WAITS,
	LUN_TASK_IN_LINE,
	LUN_TASK_HAS_TURN,
	LUN_TASK_ENDED,
};

struct lun_crew_thread;

/* Begins as {.take_turn, .arg}; the rest is the crew's, under its lock. */
struct lun_task {
	lun_turn_fn *take_turn;
	void *arg;
	enum lun_task_state state;
	bool woken;
	bool listens;
	uint64_t hints; /* that there were before its turn */
	int64_t due_ns;
	size_t place;            /* among those that are due later; 0: none */
	struct lun_task *behind; /* in the line */
	struct lun_task *next_listening;
	struct lun_task **listening_at; /* what points at it in that list */
	struct lun_crew_thread *thread; /* on which it has its turn */
};

/* Hints that there may be something to do, for all tasks that listen. */
struct lun_hints {
	int (*fd)(void *arg); /* readable when there is one; -1: none now */
	void (*take)(void *arg);
	void *arg;
};

struct lun_crew {
	pthread_mutex_t lock;
	pthread_cond_t called;
	pthread_cond_t turned; /* a turn is over */
	struct lun_hints hints;
	int bell;           /* an eventfd, for whoever watches; -1: none yet */
	unsigned most;      /* threads, without those that stand in */
	unsigned stand_ins; /* may be had now */
	unsigned count;     /* of threads, without those that were lost */
	unsigned idle;      /* of them, to be called */
	unsigned calls;     /* that nobody has answered yet */
	bool ending;
	struct lun_crew_thread *threads;
	struct lun_crew_thread *watcher; /* for what is due, for hints */
	bool rung;                       /* it is on its way back */
	int64_t watched_until_ns;
	bool watches_hints;
	uint64_t hints_taken;

	struct lun_task *first; /* in the line */
	struct lun_task *last;
	struct lun_due due;
	size_t tasks;               /* that have not ended */
	struct lun_task *listening; /* and waiting */
};

/* The hints' arg is borrowed. */
void lun_crew_init(
    struct lun_crew *crew, unsigned most, const struct lun_hints *hints);
void lun_crew_fini(struct lun_crew *crew);
/* Wait for its threads, but for those that were lost; it may begin again. */
void lun_crew_end(struct lun_crew *crew);

/* Its first turn is due. It has to stay until it has ended. */
enum lun_code lun_crew_add(struct lun_crew *crew, struct lun_task *task,
    struct lun_err *err) LUN_MUSTCHECK;
/* Its next turn is due. */
void lun_crew_wake(struct lun_crew *crew, struct lun_task *task);
/*
 * It was told to end: give it its last turn on this thread, unless it has one
 * on another. False: that was not over by this moment of the monotonic clock.
 */
bool lun_crew_finish(
    struct lun_crew *crew, struct lun_task *task, int64_t until_ns);

/* Every now and then: let threads stand in for those whose turn lasts. */
void lun_crew_look(struct lun_crew *crew);
/*
 * The CPU clock of the thread on which the task has its turn, for as long as
 * that lasts. False: it has none.
 */
bool lun_crew_clock(
    struct lun_crew *crew, const struct lun_task *task, clockid_t *clock);
/* Until its turn is over its thread has this name in a list of threads. */
void lun_crew_name(
    struct lun_crew *crew, const struct lun_task *task, const char *name);
/*
 * Its turn will not end: its thread is lost, has this name from now on, and
 * frees itself should the turn end after all.
 */
void lun_crew_lose(
    struct lun_crew *crew, struct lun_task *task, const char *name);

#endif
