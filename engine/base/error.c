/* error.c - how a failure is described. */

#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/printable.h"

#define LUN_VERSION "1.0.0"
#define LONGEST     2048 /* bytes of a message before it is cut */

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

	if (error == EMFILE)
		return "too many open files: raise the limit (ulimit -n)";

	return words != NULL ? words : "unknown error";
}

/*
 * A message is one line that can be shown, whatever a script, a driver or a
 * URL put into it. It is cut after passwords are gone: the "@" by which one is
 * known may stand beyond.
 */
static void
take_message(struct lun_err *err, char *message, size_t size)
{
	size_t length;

	lun_printable_message(message, size);
	length = strnlen(message, sizeof err->message - 1);
	memcpy(err->message, message, length);
	err->message[length] = '\0';
	lun_printable_line(err->message, sizeof err->message);
}

enum lun_code
lun_fail(struct lun_err *err, enum lun_code code, const char *fmt, ...)
{
	char message[LONGEST];
	va_list args;

	if (err == NULL)
		return code;
	err->code = code;
	err->detail[0] = '\0';
	va_start(args, fmt);
	vsnprintf(message, sizeof message, fmt, args);
	va_end(args);
	take_message(err, message, sizeof message);
	return code;
}

enum lun_code
lun_recode(struct lun_err *err, enum lun_code code)
{
	if (err != NULL)
		err->code = code;
	return code;
}

enum lun_code
lun_wrap(struct lun_err *err, enum lun_code code, const char *fmt, ...)
{
	char message[LONGEST];
	va_list args;
	int used;

	if (err == NULL)
		return code;
	va_start(args, fmt);
	used = vsnprintf(message, sizeof message, fmt, args);
	va_end(args);
	if (used >= 0 && (size_t)used < sizeof message)
		snprintf(message + used, sizeof message - (size_t)used, ": %s",
		    err->message);
	take_message(err, message, sizeof message);
	err->code = code;
	return code;
}
