/*
 * suggest.h - which of the known words was meant by one that is not known.
 */

#ifndef LUN_BASE_SUGGEST_H
#define LUN_BASE_SUGGEST_H

#include "base/text.h"

/* Zero is the state before the first candidate. */
struct lun_suggestion {
	struct lun_text word; /* absent: nothing is near enough */
	size_t distance;
};

/*
 * Consider a candidate for what was written. Distance counts letters added,
 * dropped or changed, whatever their case; a word is near if it differs in
 * at most a third of its letters, and in no more than three.
 */
void lun_suggestion_consider(struct lun_suggestion *suggestion,
    struct lun_text written, struct lun_text candidate);

#endif
