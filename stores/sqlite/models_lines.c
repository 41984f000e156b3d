/*
 * models_lines.c - the connections that the handles of one store take turns at.
 *
 * Writers wait for their turn before they take a line, so that they hold up
 * nobody who reads. They favour one line: whoever makes a table has all other
 * connections read the whole schema again.
 */

#include <assert.h>
#include <stdlib.h>

#include "sqlite/models.h"

#define DEFAULT_LINES   10
#define DEFAULT_WAIT_MS 30000

static enum lun_code
open_line(
    struct lun_lines *base, struct lun_pool_line *opened, struct lun_err *err)
{
	struct sqlite_lines *lines = (struct sqlite_lines *)base;
	struct sqlite_line *line = (struct sqlite_line *)opened;
	enum lun_code code;

	if (line->c.db != NULL)
		return LUN_OK;
	code = lun_sqlite_connect(&line->c, &lines->at[0].c, err);
	if (code == LUN_OK)
		code = lun_sqlite_add_functions(&line->c, err);
	if (code != LUN_OK)
		lun_sqlite_close(&line->c);
	lun_pool_note(&base->pool, opened, code == LUN_OK);
	/* The process has no more descriptors, or no memory. */
	if ((code == LUN_IO || code == LUN_NOMEM) &&
	    lun_pool_can_spare(&base->pool))
		return LUN_AGAIN;
	return code;
}

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
	lines->base.wait_ms = wait_ms > 0 ? wait_ms : DEFAULT_WAIT_MS;
	lines->base.count = count;
	lines->base.open = open_line;
	lun_pool_init(&lines->base.pool);
	for (size_t i = count; i-- > 0;)
		lun_pool_put(&lines->base.pool, &lines->at[i].base);
	return lines;
}

void
lun_sqlite_lines_release(struct sqlite_lines *lines)
{
	if (atomic_fetch_sub(&lines->users, 1) > 1)
		return;
	for (size_t i = lines->base.count; i-- > 0;) {
		lun_sqlite_statements_free(&lines->at[i].statements);
		lun_sqlite_close(&lines->at[i].c);
	}
	lun_pool_fini(&lines->base.pool);
	free(lines);
}

/* ---- having one -------------------------------------------------------- */

static enum lun_line_kind
kind_of(enum lun_call call)
{
	return call == LUN_CALL_LONG     ? LUN_LINE_LONG
	       : call == LUN_CALL_WRITES ? LUN_LINE_FAVOURED
					 : LUN_LINE_ANY;
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

	if (writes)
		code = lun_sqlite_take_turn(first, &begin_by_ns, err);
	if (code != LUN_OK)
		return code;
	code = lun_lines_enter(&m->lines->base, &m->use, kind_of(call), err);
	if (code != LUN_OK) {
		if (writes)
			lun_sqlite_pass_turn(first);
		return code;
	}
	m->c = &sqlite_line_of(m)->c;
	m->c->has_turn = writes;
	m->c->begin_by_ns = begin_by_ns;
	return LUN_OK;
}

void
lun_sqlite_leave(struct lun_model_store *store)
{
	struct sqlite_models *m = sqlite_models_of(store);
	bool had_turn = m->c->has_turn;

	assert(sqlite3_get_autocommit(m->c->db));
	m->c->has_turn = false;
	m->c->begin_by_ns = 0;
	m->c = NULL;
	lun_lines_leave(&m->lines->base, &m->use);
	if (had_turn)
		lun_sqlite_pass_turn(&m->lines->at[0].c);
}
