/* clock.c - the clocks the engine reads, and the one text form of time. */

#define _POSIX_C_SOURCE 200809L

#include "base/clock.h"

#include <time.h>

#define NS_PER_S  1000000000LL
#define NS_PER_MS 1000000LL
#define US_PER_S  1000000LL
#define S_PER_DAY 86400LL

static int64_t
read_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

int64_t
lun_clock_wall_us(void)
{
	return read_ns(CLOCK_REALTIME) / 1000;
}

int64_t
lun_clock_age_us(int64_t wall_us)
{
	int64_t age;

	if (__builtin_sub_overflow(lun_clock_wall_us(), wall_us, &age))
		return wall_us < 0 ? INT64_MAX : INT64_MIN;
	return age;
}

int64_t
lun_clock_mono_ns(void)
{
	return read_ns(CLOCK_MONOTONIC);
}

int64_t
lun_clock_deadline_ns(int64_t ms)
{
	int64_t now = lun_clock_mono_ns(), span, deadline;

	if (ms <= 0)
		return now;
	if (__builtin_mul_overflow(ms, NS_PER_MS, &span) ||
	    __builtin_add_overflow(now, span, &deadline))
		return INT64_MAX;
	return deadline;
}

int64_t
lun_clock_thread_ns(void)
{
	return read_ns(CLOCK_THREAD_CPUTIME_ID);
}

/*
 * Days since 1970-01-01 in the proleptic Gregorian calendar, counting years
 * from March so that the leap day is the last of its year. timegm() and
 * gmtime_r() count leap seconds where TZ names a zone of "right/": two
 * processes would make two models of one log.
 */
static int64_t
days_of(int64_t year, int month, int day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t year_of_era = y - era * 400;
	int64_t day_of_year =
	    (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
	int64_t day_of_era = year_of_era * 365 + year_of_era / 4 -
			     year_of_era / 100 + day_of_year;

	return era * 146097 + day_of_era - 719468;
}

static void
date_of(int64_t days, int *year, int *month, int *day)
{
	int64_t z = days + 719468;
	int64_t era = (z >= 0 ? z : z - 146096) / 146097;
	int64_t day_of_era = z - era * 146097;
	int64_t year_of_era = (day_of_era - day_of_era / 1460 +
				  day_of_era / 36524 - day_of_era / 146096) /
			      365;
	int64_t day_of_year =
	    day_of_era -
	    (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int64_t shifted = (5 * day_of_year + 2) / 153;

	*day = (int)(day_of_year - (153 * shifted + 2) / 5 + 1);
	*month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
	*year = (int)(year_of_era + era * 400 + (*month <= 2));
}

/* Decimal digits of value, right-aligned in width characters. */
static char *
put_digits(char *at, int width, int64_t value)
{
	for (int i = width - 1; i >= 0; i--) {
		at[i] = (char)('0' + value % 10);
		value /= 10;
	}
	return at + width;
}

void
lun_timestamp_format(int64_t us, char text[LUN_TIMESTAMP_LENGTH + 1])
{
	int64_t seconds = us / US_PER_S;
	int64_t fraction = us % US_PER_S;
	int64_t days, rest;
	int year, month, day;
	char *p = text;

	if (fraction < 0) {
		fraction += US_PER_S;
		seconds--;
	}
	days = seconds / S_PER_DAY;
	rest = seconds % S_PER_DAY;
	if (rest < 0) {
		rest += S_PER_DAY;
		days--;
	}
	date_of(days, &year, &month, &day);
	p = put_digits(p, 4, year);
	*p++ = '-';
	p = put_digits(p, 2, month);
	*p++ = '-';
	p = put_digits(p, 2, day);
	*p++ = 'T';
	p = put_digits(p, 2, rest / 3600);
	*p++ = ':';
	p = put_digits(p, 2, rest / 60 % 60);
	*p++ = ':';
	p = put_digits(p, 2, rest % 60);
	*p++ = '.';
	p = put_digits(p, 6, fraction);
	*p++ = 'Z';
	*p = '\0';
}

/* Reads exactly width digits; false if they are not there. */
static bool
take_digits(struct lun_text *text, int width, int *value)
{
	int sum = 0;

	if (text->length < (size_t)width)
		return false;
	for (int i = 0; i < width; i++) {
		char c = text->bytes[i];

		if (c < '0' || c > '9')
			return false;
		sum = sum * 10 + (c - '0');
	}
	text->bytes += width;
	text->length -= (size_t)width;
	*value = sum;
	return true;
}

static bool
take_one_of(struct lun_text *text, const char *allowed, char *taken)
{
	if (text->length == 0 || strchr(allowed, text->bytes[0]) == NULL ||
	    text->bytes[0] == '\0')
		return false;
	if (taken != NULL)
		*taken = text->bytes[0];
	text->bytes++;
	text->length--;
	return true;
}

static bool
take_fraction(struct lun_text *text, int64_t *us, bool *cut)
{
	int64_t scale = US_PER_S / 10;
	int digit;

	*us = 0;
	if (!take_one_of(text, ".,", NULL))
		return true;
	if (!take_digits(text, 1, &digit))
		return false;
	do {
		*us += digit * scale;
		*cut = *cut || (scale == 0 && digit != 0);
		scale /= 10;
	} while (take_digits(text, 1, &digit));
	return true;
}

/* Hours, then minutes with a colon or without, or none. */
static bool
take_offset(struct lun_text *text, int64_t *seconds)
{
	char sign;
	int hours, minutes = 0;

	*seconds = 0;
	if (take_one_of(text, "Zz", NULL))
		return true;
	if (!take_one_of(text, "+-", &sign) || !take_digits(text, 2, &hours))
		return false;
	if ((take_one_of(text, ":", NULL) || text->length > 0) &&
	    !take_digits(text, 2, &minutes))
		return false;
	if (hours > 23 || minutes > 59)
		return false;
	*seconds = (sign == '-' ? -1 : 1) * (hours * 3600LL + minutes * 60LL);
	return true;
}

/* False if there is no such day, such as 30 February. */
static bool
find_day(int year, int month, int day, int64_t *days)
{
	int found_year, found_month, found_day;

	*days = days_of(year, month, day);
	date_of(*days, &found_year, &found_month, &found_day);
	return year >= 1 && found_year == year && found_month == month &&
	       found_day == day;
}

static bool
take_date(struct lun_text *text, int64_t *days)
{
	int year, month, day;

	return take_digits(text, 4, &year) && take_one_of(text, "-", NULL) &&
	       take_digits(text, 2, &month) && take_one_of(text, "-", NULL) &&
	       take_digits(text, 2, &day) && find_day(year, month, day, days);
}

static bool
take_time(struct lun_text *text, int64_t *us, bool *cut)
{
	int hour, minute, second;
	int64_t fraction;

	if (!take_digits(text, 2, &hour) || !take_one_of(text, ":", NULL) ||
	    !take_digits(text, 2, &minute) || !take_one_of(text, ":", NULL) ||
	    !take_digits(text, 2, &second) ||
	    !take_fraction(text, &fraction, cut) || hour > 23 || minute > 59 ||
	    second > 60)
		return false;
	*us = (hour * 3600LL + minute * 60LL + second) * US_PER_S + fraction;
	return true;
}

bool
lun_timestamp_read(struct lun_text text, struct lun_timestamp *out)
{
	int64_t days, time = 0, offset = 0;

	*out = (struct lun_timestamp){0};
	if (!take_date(&text, &days))
		return false;
	out->date_only = text.length == 0;
	if (!out->date_only && (!take_one_of(&text, "Tt ", NULL) ||
				   !take_time(&text, &time, &out->cut)))
		return false;
	out->zoned = text.length > 0;
	if (out->zoned && (!take_offset(&text, &offset) || text.length > 0))
		return false;
	out->us = days * S_PER_DAY * US_PER_S + time - offset * US_PER_S;
	return out->us >= LUN_TIMESTAMP_MIN && out->us <= LUN_TIMESTAMP_MAX;
}

bool
lun_timestamp_parse(struct lun_text text, int64_t *us)
{
	struct lun_timestamp read;

	if (!lun_timestamp_read(text, &read) || !read.zoned)
		return false;
	*us = read.us;
	return true;
}

bool
lun_timestamp_of_text(struct lun_text text, int64_t *us)
{
	struct lun_timestamp read;
	bool valid;

	while (text.length > 0 && text.bytes[text.length - 1] == ' ')
		text.length--;
	*us = LUN_TIME_INFINITY;
	if (lun_text_equal(text, LUN_TEXT("infinity")))
		return true;
	*us = LUN_TIME_MINUS_INFINITY;
	if (lun_text_equal(text, LUN_TEXT("-infinity")))
		return true;
	valid = lun_timestamp_read(text, &read);
	*us = read.us;
	return valid;
}
