/*
 * lines.h - an open line for each call, out of a pool that many handles share.
 *
 * A call takes a line, which is opened where it is not, and gives it back. A
 * handle may keep one for all its calls. How a line is opened is known to whom
 * the lines belong.
 */

#ifndef LUN_BASE_LINES_H
#define LUN_BASE_LINES_H

#include "base/pool.h"

struct lun_lines {
	struct lun_pool pool;
	size_t count;     /* of lines */
	int64_t wait_ms;  /* how long one is waited for */
	const char *name; /* of what they lead to; not ours */
	/*
	 * Open it unless it is, and note that (lun_pool_note()). LUN_AGAIN: not
	 * this one, but there are others (lun_pool_can_spare()).
	 */
	enum lun_code (*open)(struct lun_lines *lines,
	    struct lun_pool_line *line, struct lun_err *err);
};

/* What a handle has of them. */
struct lun_line_use {
	struct lun_pool_line *line; /* of the call under way, or NULL */
	struct lun_pool_line *kept; /* nobody else's, or NULL */
};

enum lun_line_kind {
	LUN_LINE_ANY,
	LUN_LINE_FAVOURED,
	LUN_LINE_LONG, /* LUN_AGAIN where there are as many as may be */
};

/* An open line for one call. */
enum lun_code lun_lines_enter(struct lun_lines *lines, struct lun_line_use *use,
    enum lun_line_kind kind, struct lun_err *err) LUN_MUSTCHECK;
void lun_lines_leave(struct lun_lines *lines, struct lun_line_use *use);
/*
 * Opened now, for good; without one, where there are too few, it does as well.
 */
enum lun_code lun_lines_keep(struct lun_lines *lines, struct lun_line_use *use,
    struct lun_err *err) LUN_MUSTCHECK;
void lun_lines_give_up(struct lun_lines *lines, struct lun_line_use *use);

#endif
