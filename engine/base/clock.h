/*
 * clock.h - the four clocks the engine reads, and the one text form of time.
 */

#ifndef LUN_BASE_CLOCK_H
#define LUN_BASE_CLOCK_H

#include "base/text.h"
#include "lunette.h"

/* Microseconds since 1970 UTC; may jump when an operator sets the clock. */
int64_t lun_clock_wall_us(void);

/* Nanoseconds since some moment; never jumps. For time limits. */
int64_t lun_clock_mono_ns(void);

/*
 * That clock so many milliseconds from now; INT64_MAX, which is never, beyond
 * its range.
 */
int64_t lun_clock_deadline_ns(int64_t ms);

/*
 * How long ago that was, in microseconds of the first clock: below 0 if it is
 * still to come. Any number may be asked about; an age that has no room ends at
 * the ends of the range.
 */
int64_t lun_clock_age_us(int64_t wall_us);

/* Nanoseconds of CPU the calling thread has used. For script budgets. */
int64_t lun_clock_thread_ns(void);

#define LUN_TIMESTAMP_LENGTH 27 /* 2026-11-23T05:32:58.123456Z */

/* The earliest and latest moment with a four-digit year. */
#define LUN_TIMESTAMP_MIN (-62135596800000000LL) /* 0001-01-01 */
#define LUN_TIMESTAMP_MAX 253402300799999999LL   /* 9999-12-31 */

/*
 * What stands where a store of others has no moment: nothing at all, and the
 * two ends of time. No moment is one of them.
 */
#define LUN_TIME_UNKNOWN        INT64_MIN
#define LUN_TIME_MINUS_INFINITY (INT64_MIN + 1)
#define LUN_TIME_INFINITY       INT64_MAX

static inline bool
lun_timestamp_is_moment(int64_t us)
{
	return us >= LUN_TIMESTAMP_MIN && us <= LUN_TIMESTAMP_MAX;
}

static inline bool
lun_timestamp_is_infinite(int64_t us)
{
	return us == LUN_TIME_INFINITY || us == LUN_TIME_MINUS_INFINITY;
}

/* Writes LUN_TIMESTAMP_LENGTH bytes and a NUL; us must lie in the range. */
void lun_timestamp_format(int64_t us, char text[LUN_TIMESTAMP_LENGTH + 1]);

/*
 * RFC 3339: date, "T" or space, time, optional fraction (more than six digits
 * are cut), "Z" or an offset. False if it is anything else.
 */
bool lun_timestamp_parse(struct lun_text text, int64_t *us) LUN_MUSTCHECK;

/* A moment, and what its text did not say. */
struct lun_timestamp {
	int64_t us;
	bool date_only; /* the first moment of that day */
	bool zoned;     /* else it was taken for UTC */
	bool cut;       /* the text named a moment less than 1 us later */
};

/*
 * The same with less: time and zone may be missing, an offset may be hours
 * alone, as PostgreSQL writes it.
 */
bool lun_timestamp_read(
    struct lun_text text, struct lun_timestamp *out) LUN_MUSTCHECK;

/*
 * A time in a column of text: the same, "infinity" or "-infinity", with spaces
 * behind it or none. False if it is none of these.
 */
bool lun_timestamp_of_text(struct lun_text text, int64_t *us) LUN_MUSTCHECK;

#endif
