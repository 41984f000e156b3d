/* lines.c - an open line for each call, out of a pool that many share. */

#include "base/lines.h"

#include <assert.h>

#include "base/clock.h"
#include "base/error.h"

/* The code of opening it. */
static enum lun_code
use_line(struct lun_lines *lines, struct lun_line_use *use,
    struct lun_pool_line *line, struct lun_err *err)
{
	enum lun_code code = lines->open(lines, line, err);

	if (code == LUN_OK)
		use->line = line;
	else if (line != use->kept)
		lun_pool_give(&lines->pool, line);
	return code;
}

static struct lun_pool_line *
wait_for_line(struct lun_lines *lines, enum lun_line_kind kind)
{
	int64_t deadline_ns = lun_clock_deadline_ns(lines->wait_ms);

	return kind == LUN_LINE_FAVOURED
		   ? lun_pool_take_favoured(&lines->pool, deadline_ns)
		   : lun_pool_take(&lines->pool, deadline_ns);
}

static enum lun_code
take_line(struct lun_lines *lines, struct lun_line_use *use,
    enum lun_line_kind kind, struct lun_err *err)
{
	enum lun_code code;

	do {
		struct lun_pool_line *line = wait_for_line(lines, kind);

		if (line == NULL)
			return lun_fail(err, LUN_UNAVAILABLE,
			    "%s: all %zu connections are busy: raise the "
			    "setting connections, or call_timeout_ms, which is "
			    "how long one is waited for",
			    lines->name, lines->count);
		code = use_line(lines, use, line, err);
	} while (code == LUN_AGAIN);
	return code;
}

static enum lun_code
take_long(
    struct lun_lines *lines, struct lun_line_use *use, struct lun_err *err)
{
	struct lun_pool_line *line = lun_pool_take_long(&lines->pool);
	enum lun_code code = LUN_AGAIN;

	if (line != NULL)
		code = use_line(lines, use, line, err);
	if (code != LUN_AGAIN)
		return code;
	return lun_fail(err, code,
	    "%s: as many connections as may be are busy with long calls",
	    lines->name);
}

enum lun_code
lun_lines_enter(struct lun_lines *lines, struct lun_line_use *use,
    enum lun_line_kind kind, struct lun_err *err)
{
	enum lun_code code = LUN_AGAIN;

	assert(use->line == NULL);
	if (use->kept == NULL && kind == LUN_LINE_LONG)
		return take_long(lines, use, err);
	if (use->kept != NULL)
		code = use_line(lines, use, use->kept, err);
	/* Where it was lost and cannot be had again, another one does. */
	return code == LUN_AGAIN ? take_line(lines, use, kind, err) : code;
}

void
lun_lines_leave(struct lun_lines *lines, struct lun_line_use *use)
{
	struct lun_pool_line *line = use->line;

	assert(line != NULL);
	use->line = NULL;
	if (line != use->kept)
		lun_pool_give(&lines->pool, line);
}

enum lun_code
lun_lines_keep(
    struct lun_lines *lines, struct lun_line_use *use, struct lun_err *err)
{
	enum lun_code code = take_long(lines, use, err);

	if (code == LUN_AGAIN)
		return LUN_OK;
	use->kept = use->line;
	use->line = NULL;
	return code;
}

void
lun_lines_give_up(struct lun_lines *lines, struct lun_line_use *use)
{
	if (use->kept != NULL)
		lun_pool_give(&lines->pool, use->kept);
	use->kept = NULL;
}
