/* stuck.c - noticing a script that does not come back from a library call. */

#include "runtime/stuck.h"

#include "base/clock.h"

#define NS_PER_MS 1000000LL
#define NS_PER_S  1000000000LL
#define LOOK_NS   (10 * NS_PER_MS)  /* between looks at one that runs */
#define LEAVE_NS  (100 * NS_PER_MS) /* for one that was told to stop */

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

static bool
is_told_to_stop(const struct lun_patience *patience)
{
	return patience->stop != NULL && atomic_load(patience->stop);
}

bool
lun_stuck_watch(struct lun_background *thread, struct lun_pulse *pulse,
    const struct lun_patience *patience, bool *interrupted)
{
	struct lun_stuck stuck = {
	    .cpu_clock = lun_background_cpu_clock(thread)};
	int64_t now = lun_clock_mono_ns(), stopped_ns = 0;

	*interrupted = false;
	while (!lun_background_done_until(thread, now + LOOK_NS)) {
		if (lun_stuck_look(&stuck, atomic_load(&pulse->progress),
			patience->stuck_ms))
			return false;
		now = lun_clock_mono_ns();
		if (stopped_ns == 0 && is_told_to_stop(patience))
			stopped_ns = now;
		if (stopped_ns != 0 && now - stopped_ns > LEAVE_NS)
			return false;
		if (stopped_ns != 0 || (patience->deadline_ns != 0 &&
					   now >= patience->deadline_ns)) {
			*interrupted = true;
			atomic_store(&pulse->interrupt, true);
		}
	}
	return true;
}
