/* parser.c - memory, messages and reading, for the parser of queries. */

#include "query/parser.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"

#define SHOWN_MAX 80

struct block {
	struct block *next;
	alignas(max_align_t) char bytes[];
};

void *
lun_query_allocate(struct lun_query_parser *p, size_t size)
{
	struct block *block = calloc(1, sizeof *block + size);

	if (block == NULL) {
		(void)lun_fail(
		    p->err, LUN_NOMEM, "parsing a query: out of memory");
		return NULL;
	}
	block->next = p->memory;
	p->memory = block;
	return block->bytes;
}

void *
lun_query_grow(
    struct lun_query_parser *p, void *items, size_t count, size_t size)
{
	void *larger;

	/* Room doubles whenever count reaches a power of two. */
	if ((count & (count - 1)) != 0)
		return items;
	larger = lun_query_allocate(p, (count > 0 ? 2 * count : 1) * size);
	if (larger != NULL && count > 0)
		memcpy(larger, items, count * size);
	return larger;
}

void
lun_query_free(struct lun_query *query)
{
	struct block *block = query != NULL ? query->memory : NULL;

	while (block != NULL) {
		struct block *next = block->next;

		free(block);
		block = next;
	}
}

struct lun_text
lun_query_shown(struct lun_text text)
{
	if (text.length <= SHOWN_MAX)
		return text;
	text.length = SHOWN_MAX;
	while (text.length > 0 &&
	       ((unsigned char)text.bytes[text.length] & 0xc0) == 0x80)
		text.length--;
	return text;
}

enum lun_code
lun_query_fail(struct lun_query_parser *p, const char *fmt, ...)
{
	struct lun_text shown = lun_query_shown(p->term);
	char message[sizeof p->err->message];
	va_list args;

	va_start(args, fmt);
	vsnprintf(message, sizeof message, fmt, args);
	va_end(args);
	return lun_fail(p->err, LUN_INVALID, "query term \"%.*s%s\": %s",
	    LUN_TEXT_ARG(shown), shown.length < p->term.length ? "..." : "",
	    message);
}

/* ---- reading ----------------------------------------------------------- */

struct lun_text
lun_query_rest(const struct lun_query_parser *p)
{
	return (struct lun_text){p->at, (size_t)(p->end - p->at)};
}

void
lun_query_skip_spaces(struct lun_query_parser *p)
{
	while (p->at < p->end && *p->at == ' ')
		p->at++;
}

bool
lun_query_take(struct lun_query_parser *p, char byte)
{
	if (p->at == p->end || *p->at != byte)
		return false;
	p->at++;
	return true;
}

bool
lun_query_take_word(struct lun_query_parser *p, const char *word)
{
	size_t length = strlen(word);

	if ((size_t)(p->end - p->at) < length ||
	    memcmp(p->at, word, length) != 0)
		return false;
	p->at += length;
	return true;
}

enum lun_code
lun_query_expect(struct lun_query_parser *p, char byte, const char *after)
{
	struct lun_text rest = lun_query_shown(lun_query_rest(p));

	if (lun_query_take(p, byte))
		return LUN_OK;
	if (rest.length == 0)
		return lun_query_fail(
		    p, "it ends where \"%c\" should follow %s", byte, after);
	return lun_query_fail(p, "\"%c\" should follow %s, before \"%.*s\"",
	    byte, after, LUN_TEXT_ARG(rest));
}

enum lun_code
lun_query_read_quoted(struct lun_query_parser *p, struct lun_text *text)
{
	char *start = ++p->at;
	char *put = start;

	while (p->at < p->end && *p->at != '"') {
		if (*p->at == '\\' && ++p->at == p->end)
			break;
		*put++ = *p->at++;
	}
	if (p->at == p->end)
		return lun_query_fail(p, "a double quote is not closed");
	p->at++;
	*text = (struct lun_text){start, (size_t)(put - start)};
	return LUN_OK;
}

static bool
at_name_end(const struct lun_query_parser *p)
{
	if (p->at == p->end || strchr(".,()=:\"", *p->at) != NULL)
		return true;
	return p->end - p->at >= 2 && p->at[0] == '-' && p->at[1] == '>';
}

static struct lun_text
read_plain_name(struct lun_query_parser *p)
{
	char *start = p->at;
	size_t length;

	while (!at_name_end(p))
		p->at++;
	length = (size_t)(p->at - start);
	while (length > 0 && start[length - 1] == ' ')
		length--;
	return (struct lun_text){start, length};
}

enum lun_code
lun_query_read_name(struct lun_query_parser *p, struct lun_text *name)
{
	lun_query_skip_spaces(p);
	if (p->at < p->end && *p->at == '"') {
		if (lun_query_read_quoted(p, name) != LUN_OK)
			return LUN_INVALID;
		lun_query_skip_spaces(p);
	} else {
		*name = read_plain_name(p);
	}
	if (name->length == 0) {
		struct lun_text rest = lun_query_shown(lun_query_rest(p));

		return lun_query_fail(p, "a name is missing %s \"%.*s\"",
		    rest.length > 0 ? "before" : "at the end",
		    LUN_TEXT_ARG(rest));
	}
	return LUN_OK;
}
