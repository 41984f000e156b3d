/*
 * idle.h - how often to look for news, so that having none costs next to
 * nothing.
 */

#ifndef LUN_BASE_IDLE_H
#define LUN_BASE_IDLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"

struct lun_idle {
	int pause_ms;       /* the next one; doubles while nothing happens */
	int held_factor;    /* likewise, of the cost of a look */
	int64_t look_at_ns; /* not before, unless there is news; 0: at once */
	bool told;          /* that it looks seldom */
};

/* A look at an event store that found nothing. */
struct lun_look {
	const char *who; /* looks; for the log */
	const struct lun_log *log;
	int64_t cost_us;  /* of the store's time */
	unsigned lookers; /* all of them together cost it a hundredth of that */
	bool held;        /* … or more at first: there is news, held back */
	int64_t most_ms;  /* the longest pause, if looks are cheap */
};

/* There may be news. */
void lun_idle_begin(struct lun_idle *idle);
/* The pause after such a look. */
void lun_idle_found_nothing(struct lun_idle *idle, const struct lun_look *look);
/* No look before so much time has passed, unless there is news. */
void lun_idle_wait(struct lun_idle *idle, int64_t ms);
/* Milliseconds until the next look; 0: now. */
int lun_idle_left_ms(const struct lun_idle *idle);

#endif
