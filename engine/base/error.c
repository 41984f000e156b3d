/* error.c - how a failure is described. */

#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LUN_VERSION "1.0.0"

static const char *const code_names[] = {
    [LUN_OK] = "ok",
    [LUN_AGAIN] = "again",
    [LUN_NOTFOUND] = "not_found",
    [LUN_CONFLICT] = "conflict",
    [LUN_OWNED] = "owned",
    [LUN_UNAVAILABLE] = "unavailable",
    [LUN_TIMEOUT] = "timeout",
    [LUN_IO] = "io",
    [LUN_INVALID] = "invalid",
    [LUN_SCRIPT] = "script",
    [LUN_BUDGET] = "budget",
    [LUN_CONFIG] = "config",
    [LUN_NOMEM] = "no_memory",
};

const char *
lun_code_name(enum lun_code code)
{
	size_t count = sizeof code_names / sizeof code_names[0];

	return (size_t)code < count ? code_names[code] : "unknown";
}

const char *
lun_version(void)
{
	return LUN_VERSION;
}

const char *
lun_errno_words(int error)
{
	const char *words = strerrordesc_np(error);

	return words != NULL ? words : "unknown error";
}

/* A message is one line whatever a script or a driver put into it. */
static void
keep_one_line(char *message)
{
	for (char *p = message; *p != '\0'; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
}

enum lun_code
lun_fail(struct lun_err *err, enum lun_code code, const char *fmt, ...)
{
	va_list args;

	if (err == NULL)
		return code;
	err->code = code;
	err->detail[0] = '\0';
	va_start(args, fmt);
	vsnprintf(err->message, sizeof err->message, fmt, args);
	va_end(args);
	keep_one_line(err->message);
	return code;
}

enum lun_code
lun_wrap(struct lun_err *err, enum lun_code code, const char *fmt, ...)
{
	char cause[sizeof err->message];
	va_list args;
	int used;

	if (err == NULL)
		return code;
	memcpy(cause, err->message, sizeof cause);
	va_start(args, fmt);
	used = vsnprintf(err->message, sizeof err->message, fmt, args);
	va_end(args);
	if (used >= 0 && (size_t)used + 3 < sizeof err->message) {
		size_t room = sizeof err->message - (size_t)used - 3;

		snprintf(
		    err->message + used, room + 3, ": %.*s", (int)room, cause);
	}
	keep_one_line(err->message);
	err->code = code;
	return code;
}
