/*
 * idle.c - how often to look for news, so that having none costs next to
 * nothing.
 */

#include "runtime/idle.h"

#include "base/clock.h"
#include "projection/projection.h"

#define FIRST_PAUSE_MS 1
#define COST_FACTOR    100 /* a look takes that part of the time, at most */
#define SELDOM_NS      1000000000LL
#define NS_PER_MS      1000000LL
#define LONGEST_MS     1000000 /* told at once */

void
lun_idle_begin(struct lun_idle *idle)
{
	idle->pause_ms = FIRST_PAUSE_MS;
	idle->look_at_ns = 0;
}

/* Microseconds; none where the store was away before the first one. */
static int64_t
last_look_us(const struct lun_projection *p)
{
	return p->batch != NULL ? p->batch->look_us : 0;
}

static void
tell(struct lun_idle *idle, struct lun_projection *p, int64_t spacing)
{
	if (idle->told || spacing < SELDOM_NS)
		return;
	idle->told = true;
	lun_log(p->around->log, LUN_LOG_INFO,
	    "%s: a look for news takes the event store %lld ms, so it looks "
	    "every %lld s while there is none",
	    p->name, (long long)last_look_us(p) / 1000,
	    (long long)(spacing / SELDOM_NS));
}

void
lun_idle_found_nothing(struct lun_idle *idle, struct lun_projection *p)
{
	unsigned workers = atomic_load(&p->around->board->workers);
	int64_t spacing =
	    last_look_us(p) * 1000 * COST_FACTOR * (workers > 0 ? workers : 1);
	int64_t pause = idle->pause_ms * NS_PER_MS;
	int64_t most = p->around->settings->poll_ms;

	idle->look_at_ns =
	    lun_clock_mono_ns() + (spacing > pause ? spacing : pause);
	idle->pause_ms *= 2;
	if (idle->pause_ms > most)
		idle->pause_ms = (int)most;
	tell(idle, p, spacing);
}

int
lun_idle_left_ms(const struct lun_idle *idle)
{
	int64_t left = idle->look_at_ns - lun_clock_mono_ns();

	if (left <= 0)
		return 0;
	left = left / NS_PER_MS + 1;
	return left < LONGEST_MS ? (int)left : LONGEST_MS;
}
