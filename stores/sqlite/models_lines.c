/*
 * models_lines.c - the connections that the handles of one store take turns at.
 *
 * Writers wait for their turn before they take a line, so that they hold up
 * nobody who reads. They favour one line: whoever makes a table has all other
 * connections read the whole schema again.
 */

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "sqlite/models.h"

#define DEFAULT_LINES   10
#define DEFAULT_WAIT_MS 30000

struct sqlite_lines *
lun_sqlite_lines_new(const struct lun_store_options *options)
{
	int64_t wanted = options != NULL ? options->connections : 0;
	int64_t wait_ms = options != NULL ? options->call_timeout_ms : 0;
	size_t count = wanted > 0 ? (size_t)wanted : DEFAULT_LINES;
	struct sqlite_lines *lines;

	lines = calloc(1, sizeof *lines + count * sizeof lines->at[0]);
	if (lines == NULL)
		return NULL;
	atomic_init(&lines->users, 1);
	lines->wait_ms = wait_ms > 0 ? wait_ms : DEFAULT_WAIT_MS;
	lines->count = count;
	lun_pool_init(&lines->pool);
	for (size_t i = count; i-- > 0;)
		lun_pool_put(&lines->pool, &lines->at[i].base);
	return lines;
}

void
lun_sqlite_lines_release(struct sqlite_lines *lines)
{
	if (atomic_fetch_sub(&lines->users, 1) > 1)
		return;
	for (size_t i = lines->count; i-- > 0;) {
		lun_sqlite_statements_free(&lines->at[i].statements);
		lun_sqlite_close(&lines->at[i].c);
	}
	lun_pool_fini(&lines->pool);
	free(lines);
}

/* ---- having one -------------------------------------------------------- */

/* LUN_AGAIN: not this one, but there are others. */
static enum lun_code
open_line(
    struct sqlite_lines *lines, struct sqlite_line *line, struct lun_err *err)
{
	enum lun_code code;

	if (line->c.db != NULL)
		return LUN_OK;
	code = lun_sqlite_connect(&line->c, &lines->at[0].c, err);
	if (code == LUN_OK)
		code = lun_sqlite_add_functions(&line->c, err);
	if (code != LUN_OK)
		lun_sqlite_close(&line->c);
	lun_pool_note(&lines->pool, &line->base, code == LUN_OK);
	/* The process has no more descriptors, or no memory. */
	if ((code == LUN_IO || code == LUN_NOMEM) &&
	    lun_pool_can_spare(&lines->pool))
		return LUN_AGAIN;
	return code;
}

static struct sqlite_line *
wait_for_line(struct sqlite_lines *lines, enum lun_call call)
{
	int64_t deadline_ns = lun_clock_deadline_ns(lines->wait_ms);

	return (struct sqlite_line *)(call == LUN_CALL_WRITES
					  ? lun_pool_take_favoured(
						&lines->pool, deadline_ns)
					  : lun_pool_take(
						&lines->pool, deadline_ns));
}

static enum lun_code
take_line(struct sqlite_models *m, enum lun_call call, struct lun_err *err)
{
	struct sqlite_lines *lines = m->lines;
	enum lun_code code;

	do {
		struct sqlite_line *line = wait_for_line(lines, call);

		if (line == NULL)
			return lun_fail(err, LUN_UNAVAILABLE,
			    "%s: all %zu connections are busy: raise the "
			    "setting connections, or call_timeout_ms, which is "
			    "how long one is waited for",
			    lun_sqlite_path(&lines->at[0].c), lines->count);
		code = open_line(lines, line, err);
		if (code == LUN_OK)
			m->line = line;
		else
			lun_pool_give(&lines->pool, &line->base);
	} while (code == LUN_AGAIN);
	return code;
}

static enum lun_code
take_long(struct sqlite_models *m, struct lun_err *err)
{
	struct sqlite_lines *lines = m->lines;
	struct sqlite_line *line =
	    (struct sqlite_line *)lun_pool_take_long(&lines->pool);
	enum lun_code code = LUN_AGAIN;

	if (line != NULL)
		code = open_line(lines, line, err);
	if (code == LUN_OK)
		m->line = line;
	else if (line != NULL)
		lun_pool_give(&lines->pool, &line->base);
	if (code != LUN_AGAIN)
		return code;
	return lun_fail(err, code,
	    "%s: as many connections as may be are busy with long calls",
	    lun_sqlite_path(&lines->at[0].c));
}

static enum lun_code
take_any(struct sqlite_models *m, enum lun_call call, struct lun_err *err)
{
	if (m->kept != NULL) {
		m->line = m->kept;
		return LUN_OK;
	}
	return call == LUN_CALL_LONG ? take_long(m, err)
				     : take_line(m, call, err);
}

enum lun_code
lun_sqlite_enter(
    struct lun_model_store *store, enum lun_call call, struct lun_err *err)
{
	struct sqlite_models *m = sqlite_models_of(store);
	const struct lun_sqlite *first = &m->lines->at[0].c;
	bool writes = call == LUN_CALL_WRITES;
	int64_t begin_by_ns = 0;
	enum lun_code code = LUN_OK;

	assert(m->line == NULL);
	if (writes)
		code = lun_sqlite_take_turn(first, &begin_by_ns, err);
	if (code != LUN_OK)
		return code;
	code = take_any(m, call, err);
	if (code != LUN_OK) {
		if (writes)
			lun_sqlite_pass_turn(first);
		return code;
	}
	m->c = &m->line->c;
	m->c->has_turn = writes;
	m->c->begin_by_ns = begin_by_ns;
	return LUN_OK;
}

void
lun_sqlite_leave(struct lun_model_store *store)
{
	struct sqlite_models *m = sqlite_models_of(store);
	struct sqlite_line *line = m->line;
	bool had_turn = line->c.has_turn;

	assert(sqlite3_get_autocommit(line->c.db));
	line->c.has_turn = false;
	line->c.begin_by_ns = 0;
	m->line = NULL;
	m->c = NULL;
	if (line != m->kept)
		lun_pool_give(&m->lines->pool, &line->base);
	if (had_turn)
		lun_sqlite_pass_turn(&m->lines->at[0].c);
}

/* ---- keeping one ------------------------------------------------------- */

enum lun_code
lun_sqlite_keep_line(struct sqlite_models *m, struct lun_err *err)
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
lun_sqlite_give_up_line(struct sqlite_models *m)
{
	if (m->kept != NULL)
		lun_pool_give(&m->lines->pool, &m->kept->base);
	m->kept = NULL;
}
