/* like.c - the one meaning of like and ilike. */

#include "query/query.h"

static char
fold_ascii(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* The offset behind the UTF-8 character at i. */
static size_t
next_character(struct lun_text text, size_t i)
{
	i++;
	while (i < text.length && ((unsigned char)text.bytes[i] & 0xc0) == 0x80)
		i++;
	return i;
}

/*
 * Match one element of the pattern, not a %, and step over it on both sides.
 * A literal is one byte: a character matches byte by byte.
 */
static bool
match_one(struct lun_text pattern, size_t *i, struct lun_text text, size_t *j,
    bool fold_case)
{
	char wanted = pattern.bytes[*i], found = text.bytes[*j];

	if (wanted == '_') {
		*j = next_character(text, *j);
		++*i;
		return true;
	}
	if (wanted == '\\' && *i + 1 < pattern.length)
		wanted = pattern.bytes[++*i];
	++*i;
	++*j;
	return wanted == found ||
	       (fold_case && fold_ascii(wanted) == fold_ascii(found));
}

/*
 * Greedy: only the last % seen is ever tried further on, since what
 * stood before it has matched as early as it could. So the time is at most
 * the product of the lengths.
 */
bool
lun_query_like(struct lun_text pattern, struct lun_text text, bool fold_case)
{
	size_t i = 0, j = 0;
	size_t after_percent = 0, tried_at = 0;
	bool seen_percent = false;

	while (j < text.length || i < pattern.length) {
		if (i < pattern.length && pattern.bytes[i] == '%') {
			after_percent = ++i;
			tried_at = j;
			seen_percent = true;
			continue;
		}
		if (i < pattern.length && j < text.length &&
		    match_one(pattern, &i, text, &j, fold_case))
			continue;
		if (!seen_percent || tried_at >= text.length)
			return false;
		tried_at = next_character(text, tried_at);
		i = after_percent;
		j = tried_at;
	}
	return true;
}
