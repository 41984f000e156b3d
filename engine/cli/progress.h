/*
 * progress.h - how far a long job is: a moving bar for each part of it on a
 * terminal, a plain line now and then elsewhere.
 */

#ifndef LUN_CLI_PROGRESS_H
#define LUN_CLI_PROGRESS_H

#include <stddef.h>
#include <stdint.h>

#include "cli/screen.h"

#define CLI_PROGRESS_MAX 64 /* parts shown apart; more: only their sum */

struct cli_part {
	const char *name;
	double done, total; /* total 0: unknown */
	uint64_t count;     /* what the rate is of; often the same as done */
	uint64_t parked, skipped; /* of those counted */
	double seconds;           /* of its own; 0: since the job began */
};

struct cli_progress;

/* unit is what count counts: "event". NULL when out of memory. */
struct cli_progress *cli_progress_new(
    struct cli_screen *screen, const char *unit);
/* NULL is allowed. */
void cli_progress_free(struct cli_progress *progress);

/* Parts keep their order from call to call. */
void cli_progress_show(
    struct cli_progress *progress, const struct cli_part *parts, size_t count);

/* The last word: one line for each part, with its rate over all. */
void cli_progress_finish(struct cli_progress *progress);
/* No last word: the job failed or was interrupted. */
void cli_progress_drop(struct cli_progress *progress);

#endif
