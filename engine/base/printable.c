/* printable.c - see printable.h. */

#include "base/printable.h"

#include <stdio.h>

#include "base/utf8.h"

#define LONGEST 4096 /* bytes of a text that is made printable in place */

/* ---- characters -------------------------------------------------------- */

/*
 * What a terminal obeys or leaves out: control characters, and those that
 * Unicode has to be ignored where they have no meaning (marks of direction,
 * joiners, fillers, selectors, tags). In ascending order.
 */
static const struct range {
	uint32_t first, last;
} hidden[] = {
    {0x00, 0x1F},
    {0x7F, 0x9F},
    {0xAD, 0xAD},
    {0x34F, 0x34F},
    {0x61C, 0x61C},
    {0x115F, 0x1160},
    {0x17B4, 0x17B5},
    {0x180B, 0x180F},
    {0x200B, 0x200F},
    {0x2028, 0x202E},
    {0x2060, 0x206F},
    {0x3164, 0x3164},
    {0xFE00, 0xFE0F},
    {0xFEFF, 0xFEFF},
    {0xFFA0, 0xFFA0},
    {0xFFF0, 0xFFFB},
    {0x1BCA0, 0x1BCA3},
    {0x1D173, 0x1D17A},
    {0xE0000, 0xE0FFF},
};

static bool
is_hidden(uint32_t point)
{
	const struct range *range = hidden;
	const struct range *end = hidden + sizeof hidden / sizeof hidden[0];

	while (range < end && point > range->last)
		range++;
	return range < end && point >= range->first;
}

static size_t
write_escape(uint32_t point, char shown[LUN_PRINTABLE_SIZE])
{
	static const char letters[] = "\a\b\t\n\v\f\r";
	static const char names[] = "abtnvfr";
	const char *known =
	    point != 0 && point < 32 ? strchr(letters, (int)point) : NULL;

	if (known != NULL)
		return (size_t)snprintf(
		    shown, LUN_PRINTABLE_SIZE, "\\%c", names[known - letters]);
	return (size_t)snprintf(
	    shown, LUN_PRINTABLE_SIZE, "\\u%04x", (unsigned)point);
}

size_t
lun_printable_next(
    struct lun_text rest, char shown[LUN_PRINTABLE_SIZE], size_t *length)
{
	size_t taken = lun_utf8_length(rest.bytes, rest.bytes + rest.length);
	uint32_t point;

	if (taken == 0) {
		*length = (size_t)snprintf(shown, LUN_PRINTABLE_SIZE, "\\x%02x",
		    (unsigned)(unsigned char)rest.bytes[0]);
		return 1;
	}
	point = lun_utf8_point(rest.bytes, taken);
	if (is_hidden(point)) {
		*length = write_escape(point, shown);
		return taken;
	}
	memcpy(shown, rest.bytes, taken);
	*length = taken;
	return taken;
}

/* ---- a text where it stands -------------------------------------------- */

static bool
is_plain(const char *text)
{
	while (*text >= ' ' && *text < 0x7F)
		text++;
	return *text == '\0';
}

/* A character that the size has cut in two is no byte to be shown. */
static size_t
without_cut_end(struct lun_text text)
{
	for (size_t cut = 1; cut <= 3 && cut <= text.length; cut++) {
		unsigned char byte =
		    (unsigned char)text.bytes[text.length - cut];

		if (byte < 0x80)
			break;
		if (byte >= 0xC0)
			return lun_utf8_length(text.bytes + text.length - cut,
				   text.bytes + text.length) == 0
				   ? text.length - cut
				   : text.length;
	}
	return text.length;
}

static void
make_printable(char *text, size_t size, bool lines)
{
	char copy[LONGEST], shown[LUN_PRINTABLE_SIZE];
	struct lun_text rest = {copy, strnlen(text, sizeof copy)};
	size_t used = 0, length, taken;

	if (is_plain(text))
		return;
	memcpy(copy, text, rest.length);
	if (rest.length + 1 >= size)
		rest.length = without_cut_end(rest);
	for (; rest.length > 0; rest.bytes += taken, rest.length -= taken) {
		bool space = *rest.bytes >= '\t' && *rest.bytes <= '\r';

		if (space) {
			shown[0] = lines ? *rest.bytes : ' ';
			taken = length = 1;
		} else {
			taken = lun_printable_next(rest, shown, &length);
		}
		if (used + length >= size)
			break;
		memcpy(text + used, shown, length);
		used += length;
	}
	text[used] = '\0';
}

void
lun_printable_line(char *text, size_t size)
{
	make_printable(text, size, false);
}

void
lun_printable_lines(char *text, size_t size)
{
	make_printable(text, size, true);
}

/* ---- passwords --------------------------------------------------------- */

/* Three stars at most: the text must not grow. Returns where they end. */
static char *
put_stars(char *from, char *to)
{
	size_t stars = to - from < 3 ? (size_t)(to - from) : 3;

	memset(from, '*', stars);
	memmove(from + stars, to, strlen(to) + 1);
	return from + stars;
}

/* ":5432", and then nothing that could belong to a password. */
static bool
is_port(const char *colon, const char *end)
{
	const char *p = colon + 1;

	while (p < end && *p >= '0' && *p <= '9')
		p++;
	return p == end || strchr("/?#:),", *p) != NULL;
}

/*
 * The user's part of a URL ends at the last "@": a password with an "@" of
 * its own goes as far. Without any, what follows ":" may be the begin of a
 * password that goes on behind a blank or a quote, up to an "@", or that was
 * cut off.
 */
static char *
mask_authority(char *user)
{
	char *end = user + strcspn(user, " \t\n\"'<>");
	char *host = memrchr(user, '@', (size_t)(end - user));
	char *from = *user == '[' ? user + strcspn(user, "]") : user;
	char *colon =
	    from < end ? memchr(from, ':', (size_t)(end - from)) : NULL;

	if (colon == NULL || (host != NULL && colon > host))
		return user;
	if (host != NULL)
		return put_stars(colon + 1, host);
	if (is_port(colon, end))
		return user;
	host = strchr(end, '@');
	return put_stars(colon + 1, host != NULL ? host : end);
}

/* Where the value behind "password" and "=" ends. */
static char *
end_of_value(char *value)
{
	char *end = value + 1;

	if (*value != '\'')
		return value + strcspn(value, " \t\n&\"'");
	while (*end != '\0' && *end != '\'')
		end += *end == '\\' && end[1] != '\0' ? 2 : 1;
	return *end == '\'' ? end + 1 : end;
}

void
lun_printable_mask(char *text)
{
	static const char key[] = "password";
	char *at = text;

	while ((at = strstr(at, "://")) != NULL)
		at = mask_authority(at + 3);
	for (at = text; (at = strstr(at, key)) != NULL;) {
		at += strlen(key);
		at += strspn(at, " ");
		if (*at != '=')
			continue;
		at += 1 + strspn(at + 1, " ");
		at = put_stars(at, end_of_value(at));
	}
}

void
lun_printable_message(char *text, size_t size)
{
	lun_printable_mask(text);
	lun_printable_line(text, size);
}
