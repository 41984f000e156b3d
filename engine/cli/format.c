/* format.c - numbers and spans of time as people read them. */

#include "cli/format.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *
cli_format_count(uint64_t count, char text[CLI_FORMAT_MAX])
{
	char digits[CLI_FORMAT_MAX];
	int length = snprintf(digits, sizeof digits, "%" PRIu64, count);
	char *out = text;

	for (int i = 0; i < length; i++) {
		if (i > 0 && (length - i) % 3 == 0)
			*out++ = ',';
		*out++ = digits[i];
	}
	*out = '\0';
	return text;
}

const char *
cli_format_clock(double seconds, char text[CLI_FORMAT_MAX])
{
	uint64_t s =
	    seconds > 0 && seconds < 1e12 ? (uint64_t)(seconds + 0.5) : 0;
	unsigned minutes = (unsigned)(s / 60 % 60);

	if (s >= 3600)
		snprintf(text, CLI_FORMAT_MAX, "%" PRIu64 ":%02u:%02u",
		    s / 3600, minutes, (unsigned)(s % 60));
	else
		snprintf(text, CLI_FORMAT_MAX, "%u:%02u", minutes,
		    (unsigned)(s % 60));
	return text;
}

const char *
cli_format_span(double seconds, char text[CLI_FORMAT_MAX])
{
	if (seconds < 10)
		snprintf(text, CLI_FORMAT_MAX, "%.1f s",
		    seconds > 0 ? seconds : 0.0);
	else if (seconds < 120)
		snprintf(text, CLI_FORMAT_MAX, "%.0f s", seconds);
	else if (seconds < 2 * 3600)
		snprintf(text, CLI_FORMAT_MAX, "%.0f min", seconds / 60);
	else if (seconds < 2 * 86400)
		snprintf(text, CLI_FORMAT_MAX, "%.0f h", seconds / 3600);
	else
		snprintf(text, CLI_FORMAT_MAX, "%.0f days", seconds / 86400);
	return text;
}
