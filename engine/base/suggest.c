/* suggest.c - which of the known words was meant. */

#include "base/suggest.h"

#define WORD_MAX 64
#define FARTHEST 3

static size_t
smallest_of(size_t a, size_t b, size_t c)
{
	size_t least = a < b ? a : b;

	return least < c ? least : c;
}

/* Levenshtein's distance, one row at a time. */
static size_t
edit_distance(struct lun_text a, struct lun_text b)
{
	size_t row[WORD_MAX + 1];

	for (size_t j = 0; j <= b.length; j++)
		row[j] = j;
	for (size_t i = 1; i <= a.length; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= b.length; j++) {
			bool same = lun_ascii_lower(a.bytes[i - 1]) ==
				    lun_ascii_lower(b.bytes[j - 1]);
			size_t above = row[j];

			row[j] = smallest_of(
			    above + 1, row[j - 1] + 1, diagonal + !same);
			diagonal = above;
		}
	}
	return row[b.length];
}

void
lun_suggestion_consider(struct lun_suggestion *suggestion,
    struct lun_text written, struct lun_text candidate)
{
	size_t d;

	if (written.length > WORD_MAX || candidate.length > WORD_MAX)
		return;
	d = edit_distance(written, candidate);
	if (d > FARTHEST || d * 3 > candidate.length)
		return;
	if (suggestion->word.bytes == NULL || d < suggestion->distance)
		*suggestion = (struct lun_suggestion){candidate, d};
}
