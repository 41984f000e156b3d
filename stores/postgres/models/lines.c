/*
 * lines.c - the connections that the handles of one store take turns at.
 *
 * A server has a limit of its own, which others use up as well. Where it lets
 * nobody in any more, those that are in go on, fewer at a time.
 */

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "postgres/models/models.h"

#define DEFAULT_LINES 10

struct pg_lines *
lun_pg_lines_new(const struct lun_store_options *options)
{
	int64_t wanted = options != NULL ? options->connections : 0;
	size_t count = wanted > 0 ? (size_t)wanted : DEFAULT_LINES;
	struct pg_lines *lines;

	lines = calloc(1, sizeof *lines + count * sizeof lines->at[0]);
	if (lines == NULL)
		return NULL;
	atomic_init(&lines->users, 1);
	lines->count = count;
	lun_pool_init(&lines->pool);
	for (size_t i = count; i-- > 0;)
		lun_pool_put(&lines->pool, &lines->at[i].base);
	return lines;
}

void
lun_pg_lines_release(struct pg_lines *lines)
{
	if (atomic_fetch_sub(&lines->users, 1) > 1)
		return;
	for (size_t i = lines->count; i-- > 0;)
		lun_pg_close(&lines->at[i].c);
	lun_pool_fini(&lines->pool);
	free(lines);
}

/* ---- having one -------------------------------------------------------- */

static enum lun_code
say_busy(const struct pg_models *m, struct lun_err *err)
{
	return lun_fail(err, LUN_UNAVAILABLE,
	    "%s: all %zu connections are busy: raise the setting connections, "
	    "or call_timeout_ms, which is how long one is waited for",
	    lun_pg_name(&m->lines->at[0].c), m->lines->count);
}

/* Once, until one more can be opened. */
static void
tell_of_fewer(struct pg_lines *lines, const struct lun_err *why)
{
	const struct lun_log *log = lines->at[0].c.url->options.log;

	if (log == NULL || atomic_exchange(&lines->told_of_fewer, true))
		return;
	lun_log(log, LUN_LOG_WARNING,
	    "%s; goes on with the %zu connections that are open, of %zu that "
	    "the setting connections allows",
	    why->message, lun_pool_open(&lines->pool), lines->count);
}

/* LUN_AGAIN: not this one, but there are others. */
static enum lun_code
open_line(struct pg_lines *lines, struct pg_line *line, struct lun_err *err)
{
	struct lun_err why;
	bool was_open = line->c.conn != NULL;
	enum lun_code code = lun_pg_ready(&line->c, &why);

	lun_pool_note(&lines->pool, &line->base, code == LUN_OK);
	if (code == LUN_OK) {
		atomic_store(&lines->is_away, false);
		if (!was_open)
			atomic_store(&lines->told_of_fewer, false);
		return LUN_OK;
	}
	if (code == LUN_UNAVAILABLE && lun_pool_can_spare(&lines->pool)) {
		tell_of_fewer(lines, &why);
		return LUN_AGAIN;
	}
	atomic_store(&lines->is_away, code == LUN_UNAVAILABLE);
	return lun_fail(err, code, "%s", why.message);
}

/* An open line for one call. */
static enum lun_code
take_line(struct pg_models *m, struct lun_err *err)
{
	struct pg_lines *lines = m->lines;
	int64_t deadline_ns =
	    lun_clock_deadline_ns(lines->at[0].c.url->options.call_timeout_ms);
	enum lun_code code;

	do {
		struct pg_line *line =
		    (struct pg_line *)lun_pool_take(&lines->pool, deadline_ns);

		if (line == NULL)
			return say_busy(m, err);
		code = open_line(lines, line, err);
		if (code == LUN_OK)
			m->line = line;
		else
			lun_pool_give(&lines->pool, &line->base);
	} while (code == LUN_AGAIN);
	return code;
}

static enum lun_code
take_long(struct pg_models *m, struct lun_err *err)
{
	struct pg_lines *lines = m->lines;
	struct pg_line *line =
	    (struct pg_line *)lun_pool_take_long(&lines->pool);
	enum lun_code code;

	if (line == NULL)
		return lun_fail(err, LUN_AGAIN,
		    "%s: as many connections as may be are busy with long "
		    "calls",
		    lun_pg_name(&lines->at[0].c));
	code = open_line(lines, line, err);
	if (code == LUN_OK)
		m->line = line;
	else
		lun_pool_give(&lines->pool, &line->base);
	return code == LUN_AGAIN ? lun_fail(err, code, "no line to spare")
				 : code;
}

/* Where it was lost, and the server is full by now, one of the others does. */
static enum lun_code
take_kept(struct pg_models *m, struct lun_err *err)
{
	enum lun_code code = open_line(m->lines, m->kept, err);

	if (code == LUN_OK)
		m->line = m->kept;
	return code == LUN_AGAIN ? take_line(m, err) : code;
}

enum lun_code
lun_pg_enter(
    struct lun_model_store *store, enum lun_call call, struct lun_err *err)
{
	struct pg_models *m = pg_models_of(store);
	enum lun_code code;

	assert(m->line == NULL);
	if (m->kept != NULL)
		code = take_kept(m, err);
	else if (call == LUN_CALL_LONG)
		code = take_long(m, err);
	else
		code = take_line(m, err);
	if (code == LUN_OK)
		m->c = &m->line->c;
	return code;
}

void
lun_pg_leave(struct lun_model_store *store)
{
	struct pg_models *m = pg_models_of(store);
	struct pg_line *line = m->line;

	assert(line != NULL && !line->c.in_transaction);
	m->line = NULL;
	m->c = NULL;
	lun_pool_note(&m->lines->pool, &line->base, line->c.conn != NULL);
	if (line != m->kept)
		lun_pool_give(&m->lines->pool, &line->base);
}

/* ---- keeping one ------------------------------------------------------- */

enum lun_code
lun_pg_keep_line(struct pg_models *m, struct lun_err *err)
{
	enum lun_code code;

	if (m->lines->count < 2)
		return LUN_OK;
	code = take_long(m, err);
	if (code == LUN_AGAIN)
		return LUN_OK;
	m->kept = m->line;
	m->line = NULL;
	return code;
}

void
lun_pg_give_up_line(struct pg_models *m)
{
	if (m->kept != NULL)
		lun_pool_give(&m->lines->pool, &m->kept->base);
	m->kept = NULL;
}
