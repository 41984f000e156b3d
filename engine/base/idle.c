/*
 * idle.c - how often to look for news, so that having none costs next to
 * nothing.
 */

#include "base/idle.h"

#include "base/clock.h"

#define FIRST_PAUSE_MS 1
#define COST_FACTOR    100 /* a look takes that part of the time, at most */
#define SELDOM_NS      1000000000LL
#define NS_PER_MS      1000000LL
#define LONGEST_MS     1000000 /* told at once */

void
lun_idle_begin(struct lun_idle *idle)
{
	idle->pause_ms = FIRST_PAUSE_MS;
	idle->held_factor = 1;
	idle->look_at_ns = 0;
}

static void
tell(struct lun_idle *idle, const struct lun_look *look, int64_t spacing)
{
	if (idle->told || look->held || spacing < SELDOM_NS)
		return;
	idle->told = true;
	lun_log(look->log, LUN_LOG_INFO,
	    "%s: a look for news takes the event store %lld ms, so it looks "
	    "every %lld s while there is none",
	    look->who, (long long)look->cost_us / 1000,
	    (long long)(spacing / SELDOM_NS));
}

/* How many times as long as a look the pause behind it is. */
static int
choose_factor(struct lun_idle *idle, const struct lun_look *look)
{
	int factor = idle->held_factor;

	if (!look->held || factor >= COST_FACTOR)
		return COST_FACTOR;
	idle->held_factor *= 2;
	return factor;
}

void
lun_idle_found_nothing(struct lun_idle *idle, const struct lun_look *look)
{
	unsigned lookers = look->lookers > 0 ? look->lookers : 1;
	int64_t spacing =
	    look->cost_us * 1000 * choose_factor(idle, look) * lookers;
	int64_t pause = idle->pause_ms * NS_PER_MS;

	idle->look_at_ns =
	    lun_clock_mono_ns() + (spacing > pause ? spacing : pause);
	idle->pause_ms *= 2;
	if (idle->pause_ms > look->most_ms)
		idle->pause_ms = (int)look->most_ms;
	tell(idle, look, spacing);
}

void
lun_idle_wait(struct lun_idle *idle, int64_t ms)
{
	idle->look_at_ns = lun_clock_mono_ns() + ms * NS_PER_MS;
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
