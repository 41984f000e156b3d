/* locate_fuzz.c - any bytes as a script; the line of a key must hold it. */

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "script/locate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The line of that number, by Lua's ends of lines; absent if there is none. */
static struct lun_text
line_of(struct lun_text source, int number)
{
	size_t start = 0, at = 0;

	for (int line = 1; at < source.length; at++) {
		char byte = source.bytes[at], next;

		if (byte != '\n' && byte != '\r')
			continue;
		if (line++ == number)
			break;
		next = at + 1 < source.length ? source.bytes[at + 1] : byte;
		if (next != byte && (next == '\n' || next == '\r'))
			at++;
		start = at + 1;
	}
	return (struct lun_text){source.bytes + start, at - start};
}

static bool
holds(struct lun_text line, const char *word)
{
	return memmem(line.bytes, line.length, word, strlen(word)) != NULL;
}

static void
check(struct lun_text source, const char *key, const char *inner, size_t item)
{
	struct lun_locate_path path = {
	    lun_text_of(key), lun_text_of(inner), item};
	int line = lun_locate(source, &path);
	const char *word = inner != NULL ? inner : key;
	struct lun_text text;

	assert(line >= 0);
	if (line == 0 || item > 0)
		return;
	text = line_of(source, line);
	assert((word != NULL && holds(text, word)) || holds(text, "return"));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lun_text source = {(const char *)data, size};

	check(source, NULL, NULL, 0);
	check(source, "on", NULL, 0);
	check(source, "on", "A", 0);
	check(source, "on", NULL, 1);
	check(source, "on", NULL, 2);
	return 0;
}
