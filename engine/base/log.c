/* log.c - the one way out for messages. */

#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/printable.h"

#define LINE_SIZE 2304 /* a message and its detail */

void
lun_log(
    const struct lun_log *log, enum lun_log_level level, const char *fmt, ...)
{
	char line[LINE_SIZE];
	va_list args;

	if (log->sink == NULL || level > log->level)
		return;
	va_start(args, fmt);
	vsnprintf(line, sizeof line, fmt, args);
	va_end(args);
	lun_printable_message(line, sizeof line);
	log->sink(log->arg, level, line);
}
