/*
 * idle.h - how often to look for news, so that having none costs next to
 * nothing.
 */

#ifndef LUN_RUNTIME_IDLE_H
#define LUN_RUNTIME_IDLE_H

#include <stdbool.h>
#include <stdint.h>

struct lun_projection;

struct lun_idle {
	int pause_ms;       /* the next one; doubles while nothing happens */
	int64_t look_at_ns; /* not before, unless there is news; 0: at once */
	bool told;          /* that it looks seldom */
};

/* There may be news. */
void lun_idle_begin(struct lun_idle *idle);
/*
 * A look found nothing: the pause after it. All workers of an engine together
 * cost an event store a hundredth of its time at most.
 */
void lun_idle_found_nothing(struct lun_idle *idle, struct lun_projection *p);
/* Milliseconds until the next look; 0: now. */
int lun_idle_left_ms(const struct lun_idle *idle);

#endif
