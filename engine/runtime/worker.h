/*
 * worker.h - a projection that runs in turns of a crew: mailbox in, report out.
 */

#ifndef LUN_RUNTIME_WORKER_H
#define LUN_RUNTIME_WORKER_H

#include "projection/projection.h"
#include "runtime/crew.h"
#include "runtime/slots.h"

/* What becomes of a projection that no budget stops; takes its name. */
#define LUN_STUCK                                                              \
	"%s: its script is stuck in a library call (a string pattern?), "      \
	"where no budget reaches it; restart the process to run it again"

struct lun_worker;

/*
 * Run p until stopped or, with `until`, until it has applied everything up to
 * that position, is paused or has failed. p belongs to the worker until
 * lun_worker_free() returns true. It has its turns from the crew, and takes a
 * slot while it catches up.
 */
enum lun_code lun_worker_start(struct lun_projection *p,
    const struct lun_position *until, struct lun_crew *crew,
    struct lun_slots *slots, struct lun_worker **out,
    struct lun_err *err) LUN_MUSTCHECK;

/* Ask it to end after the batch under way. */
void lun_worker_stop(struct lun_worker *worker);
/* There may be news: look now. */
void lun_worker_wake(struct lun_worker *worker);
/* A changed script, taken over; put in place at the next batch edge. */
void lun_worker_reload(struct lun_worker *worker, struct lun_script *script);
/* The script file is gone (true) or back again. */
void lun_worker_detach(struct lun_worker *worker, bool detached);

/* It has ended; if `until` was given, outcome says how. */
bool lun_worker_done(
    struct lun_worker *worker, enum lun_code *outcome, struct lun_err *err);

/*
 * For a watchdog, called every now and then from one thread: true if the
 * script has used more than limit_ms of CPU inside one library call, where no
 * budget check can reach it.
 */
bool lun_worker_stuck(struct lun_worker *worker, int64_t limit_ms);

/*
 * Wait for it to end, then free it. Shortly before the deadline (of the
 * monotonic clock) its script is interrupted. False: that did not help, it is
 * stuck; it and its projection are left behind (leaked) and will touch nothing
 * should they wake up.
 */
bool lun_worker_free(
    struct lun_worker *worker, int64_t deadline_ns) LUN_MUSTCHECK;

#endif
