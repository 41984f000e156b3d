/*
 * text.h - bytes with a length. Never NUL-terminated unless said so.
 */

#ifndef LUN_BASE_TEXT_H
#define LUN_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct lun_text {
	const char *bytes; /* NULL: absent, where absence means something */
	size_t length;
};

#define LUN_TEXT_NONE   ((struct lun_text){NULL, 0})
#define LUN_TEXT(s)     ((struct lun_text){"" s, sizeof(s) - 1})
#define LUN_TEXT_ARG(t) (int)(t).length, (t).bytes /* for "%.*s" */

static inline struct lun_text
lun_text_of(const char *s)
{
	return (struct lun_text){s, s != NULL ? strlen(s) : 0};
}

/* Bytes compared as unsigned; a prefix sorts first. */
static inline int
lun_text_compare(struct lun_text a, struct lun_text b)
{
	size_t shorter = a.length < b.length ? a.length : b.length;
	int order = shorter > 0 ? memcmp(a.bytes, b.bytes, shorter) : 0;

	if (order != 0)
		return order;
	return (a.length > b.length) - (a.length < b.length);
}

static inline bool
lun_text_equal(struct lun_text a, struct lun_text b)
{
	return a.length == b.length &&
	       (a.length == 0 || memcmp(a.bytes, b.bytes, a.length) == 0);
}

/* Of A to Z alone, in every locale. */
static inline char
lun_ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static inline char
lun_ascii_upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

/* -1: it is none. */
static inline int
lun_ascii_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = lun_ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static inline bool
lun_ascii_alnum(char c)
{
	c = lun_ascii_lower(c);
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

#endif
