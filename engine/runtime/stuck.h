/*
 * stuck.h - noticing a script that does not come back from a library call.
 *
 * A loop inside one library call (a pathological string pattern) is seen by no
 * hook: the script's progress stands still while its thread burns CPU.
 */

#ifndef LUN_RUNTIME_STUCK_H
#define LUN_RUNTIME_STUCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* What was seen at the last look; begins as {.cpu_clock = the thread's}. */
struct lun_stuck {
	clockid_t cpu_clock;
	uint64_t seen_progress;
	int64_t seen_cpu_ns;
};

/*
 * A look, every now and then: true if the script whose lun_script_progress()
 * this is has used more than limit_ms of CPU since it last got on.
 */
bool lun_stuck_look(
    struct lun_stuck *stuck, uint64_t progress, int64_t limit_ms);

#endif
