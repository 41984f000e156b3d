/*
 * locate.h - where in its text a script writes an entry of its table.
 *
 * Only what the text alone proves: a table that other code builds or changes,
 * or one with computed keys, has no entries here.
 */

#ifndef LUN_SCRIPT_LOCATE_H
#define LUN_SCRIPT_LOCATE_H

#include "base/text.h"

/* An entry of the table that a script returns, or one of a table in it. */
struct lun_locate_path {
	struct lun_text key;   /* LUN_TEXT_NONE: the returned table itself */
	struct lun_text inner; /* in the table at key, by name */
	size_t item;           /* or by number, from 1; 0: neither */
};

/*
 * Its line, from 1; where the returned table lacks the key, that of the
 * `return`. 0 if it is not certain. The source may be any bytes; what is found
 * is right if it compiles.
 */
int lun_locate(struct lun_text source, const struct lun_locate_path *path);

#endif
