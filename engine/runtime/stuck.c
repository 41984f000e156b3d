/* stuck.c - noticing a script that does not come back from a library call. */

#include "runtime/stuck.h"

#define NS_PER_MS 1000000LL
#define NS_PER_S  1000000000LL

static int64_t
read_cpu_ns(const struct lun_stuck *stuck)
{
	struct timespec now;

	if (clock_gettime(stuck->cpu_clock, &now) != 0)
		return 0;
	return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

bool
lun_stuck_look(struct lun_stuck *stuck, uint64_t progress, int64_t limit_ms)
{
	int64_t now = read_cpu_ns(stuck);

	if (progress % 2 == 0 || progress != stuck->seen_progress) {
		stuck->seen_progress = progress;
		stuck->seen_cpu_ns = now;
		return false;
	}
	return now - stuck->seen_cpu_ns > limit_ms * NS_PER_MS;
}
