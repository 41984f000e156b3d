/*
 * pulse.h - what other threads may see and ask of a script that runs.
 */

#ifndef LUN_SCRIPT_PULSE_H
#define LUN_SCRIPT_PULSE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Zero is the state before the first call. */
struct lun_pulse {
	/*
	 * Rises whenever a handler is entered or left or passes a budget check;
	 * odd while a handler, or the script itself, runs.
	 */
	_Atomic uint64_t progress;
	/* Stop at the next budget check: the call ends with LUN_UNAVAILABLE. */
	atomic_bool interrupt;
};

#endif
