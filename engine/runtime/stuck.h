/*
 * stuck.h - noticing a script that does not come back from a library call.
 *
 * A loop inside one library call (a pathological string pattern) is seen by no
 * hook: the script's progress stands still while its thread burns CPU.
 */

#ifndef LUN_RUNTIME_STUCK_H
#define LUN_RUNTIME_STUCK_H

#include <time.h>

#include "base/background.h"
#include "script/pulse.h"

/* What was seen at the last look; begins as {.cpu_clock = the thread's}. */
struct lun_stuck {
	clockid_t cpu_clock;
	uint64_t seen_progress;
	int64_t seen_cpu_ns;
};

/*
 * A look, every now and then: true if the script whose progress this is has
 * used more than limit_ms of CPU since it last got on.
 */
bool lun_stuck_look(
    struct lun_stuck *stuck, uint64_t progress, int64_t limit_ms);

/* How long somebody waits for a script on another thread. */
struct lun_patience {
	int64_t stuck_ms;        /* CPU time in one library call */
	int64_t deadline_ns;     /* then it is interrupted; 0: never */
	const atomic_bool *stop; /* NULL: nobody stops it */
};

/*
 * Watch the thread's job, which runs the script with this pulse, until it ends;
 * whatever the budget can end ends soon after an interrupt. False: it is stuck,
 * or was told to stop and did not at once; lun_background_abandon() it.
 * *interrupted says whether it was.
 */
bool lun_stuck_watch(struct lun_background *thread, struct lun_pulse *pulse,
    const struct lun_patience *patience, bool *interrupted) LUN_MUSTCHECK;

#endif
