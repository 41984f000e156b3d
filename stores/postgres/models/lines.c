/*
 * lines.c - the connections that the handles of one store take turns at.
 *
 * A server has a limit of its own, which others use up as well. Where it lets
 * nobody in any more, those that are in go on, fewer at a time.
 */

#include <assert.h>
#include <stdlib.h>

#include "base/log.h"
#include "postgres/models/models.h"

#define DEFAULT_LINES 10

/* ---- opening one ------------------------------------------------------- */

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
	    why->message, lun_pool_open(&lines->base.pool), lines->base.count);
}

static enum lun_code
open_line(
    struct lun_lines *base, struct lun_pool_line *opened, struct lun_err *err)
{
	struct pg_lines *lines = (struct pg_lines *)base;
	struct pg_line *line = (struct pg_line *)opened;
	struct lun_err why;
	bool was_open = line->c.conn != NULL;
	enum lun_code code = lun_pg_ready(&line->c, &why);

	lun_pool_note(&base->pool, opened, code == LUN_OK);
	if (code == LUN_OK && !was_open) {
		atomic_store(&lines->is_away, false);
		atomic_store(&lines->told_of_fewer, false);
	}
	if (code == LUN_OK)
		return LUN_OK;
	if (line->c.unanswered)
		atomic_store(&lines->is_away, true);
	if (code == LUN_UNAVAILABLE && lun_pool_can_spare(&base->pool)) {
		tell_of_fewer(lines, &why);
		return LUN_AGAIN;
	}
	atomic_store(&lines->is_away, code == LUN_UNAVAILABLE);
	return lun_fail(err, code, "%s", why.message);
}

/* ---- life -------------------------------------------------------------- */

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
	lines->base.count = count;
	lines->base.open = open_line;
	lun_pool_init(&lines->base.pool);
	for (size_t i = count; i-- > 0;)
		lun_pool_put(&lines->base.pool, &lines->at[i].base);
	return lines;
}

void
lun_pg_lines_release(struct pg_lines *lines)
{
	if (atomic_fetch_sub(&lines->users, 1) > 1)
		return;
	for (size_t i = lines->base.count; i-- > 0;)
		lun_pg_close(&lines->at[i].c);
	lun_pool_fini(&lines->base.pool);
	free(lines);
}

/* ---- having one -------------------------------------------------------- */

enum lun_code
lun_pg_enter(
    struct lun_model_store *store, enum lun_call call, struct lun_err *err)
{
	struct pg_models *m = pg_models_of(store);
	enum lun_code code = lun_lines_enter(&m->lines->base, &m->use,
	    call == LUN_CALL_LONG ? LUN_LINE_LONG : LUN_LINE_ANY, err);

	m->call = call;
	if (code == LUN_OK)
		m->c = &((struct pg_line *)m->use.line)->c;
	return code;
}

void
lun_pg_leave(struct lun_model_store *store)
{
	struct pg_models *m = pg_models_of(store);

	assert(!m->c->in_transaction);
	/* What may take hours and was given up says nothing of the server. */
	if (m->c->unanswered ? m->call != LUN_CALL_LONG : m->c->conn != NULL)
		atomic_store(&m->lines->is_away, m->c->unanswered);
	lun_pool_note(&m->lines->base.pool, m->use.line, m->c->conn != NULL);
	m->c = NULL;
	lun_lines_leave(&m->lines->base, &m->use);
}

bool
lun_pg_is_away(struct lun_model_store *store)
{
	return atomic_load(&pg_models_of(store)->lines->is_away);
}
