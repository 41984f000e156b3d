/*
 * held_by.c - who holds back events that can be seen already.
 *
 * pg_stat_activity shows every role whose session and transaction it is, and
 * hides its age and statement from those who may not read all statistics. The
 * safe head is held back by transactions of the whole server, in whatever
 * database, and by prepared ones; not by replication slots or long queries,
 * which have no transaction id of their own.
 */

#include "base/error.h"
#include "postgres/events/events.h"

#define SESSION                                                                \
	"pg_catalog.concat('of ', a.usename, ' (pid ', a.pid, "                \
	"', ' || nullif(a.application_name, ''), ', database ', a.datname, "   \
	"')', CASE WHEN a.xact_start IS NULL THEN ', whose age and statement " \
	"are shown to members of pg_read_all_stats' ELSE "                     \
	"pg_catalog.concat(', open for ', "                                    \
	"greatest(0, pg_catalog.round(extract(epoch FROM "                     \
	"pg_catalog.clock_timestamp() - a.xact_start)))::int8, ' s, ', "       \
	"a.state, ': ', pg_catalog.left(pg_catalog.regexp_replace("            \
	"pg_catalog.btrim(a.query), '\\s+', ' ', 'g'), 60)) END)"
#define PREPARED                                                               \
	"pg_catalog.concat('of ', x.owner, ' (prepared as ', x.gid, "          \
	"', database ', x.database, '), open for ', "                          \
	"greatest(0, pg_catalog.round(extract(epoch FROM "                     \
	"pg_catalog.clock_timestamp() - x.prepared)))::int8, "                 \
	"' s: COMMIT PREPARED or ROLLBACK PREPARED ends it')"

/* Below the oldest transaction of the server everything is settled. */
static const char select_oldest[] =
    "WITH h AS MATERIALIZED (SELECT pg_catalog.pg_snapshot_xmin("
    "pg_catalog.pg_current_snapshot()) AS id) "
    "SELECT pg_catalog.concat('transaction ', h.id, "
    "coalesce(' ' || (SELECT " SESSION
    " FROM pg_catalog.pg_stat_activity a WHERE a.backend_xid = h.id::xid "
    "LIMIT 1), ' ' || (SELECT " PREPARED " FROM pg_catalog.pg_prepared_xacts x "
    "WHERE x.transaction = h.id::xid LIMIT 1))), 1::int8 FROM h";

/* $1: the virtual transactions of a watermark, with commas. */
static const char select_writers[] =
    "SELECT pg_catalog.concat('a transaction ', w.words), "
    "pg_catalog.count(*) OVER () FROM (SELECT " SESSION
    " AS words, a.xact_start AS began "
    "FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a "
    "ON a.pid = l.pid WHERE l.locktype = 'virtualxid' AND l.virtualxid = "
    "ANY (pg_catalog.string_to_array($1, ',')) UNION ALL SELECT " PREPARED
    ", x.prepared FROM pg_catalog.pg_prepared_xacts x "
    "WHERE x.database = pg_catalog.current_database() AND 'prepared' = "
    "ANY (pg_catalog.string_to_array($1, ','))) w "
    "ORDER BY w.began NULLS LAST LIMIT 1";

/* The one that has been open longest, and how many more there are. */
static enum lun_code
add_holder(struct lun_pg_events *s, const char *sql, struct lun_text writers,
    struct lun_buffer *words, struct lun_err *err)
{
	struct lun_pg_params params = {0};
	PGresult *result = NULL;
	enum lun_code code;

	if (writers.bytes != NULL)
		lun_pg_add_text(&params, LUN_PG_TEXT, writers);
	code = lun_pg_query(&s->c, sql, &params, &result, err);
	if (code == LUN_OK && PQntuples(result) > 0) {
		int64_t more = lun_pg_int8(result, 0, 1) - 1;

		lun_buffer_add_text(words, lun_pg_bytes(result, 0, 0));
		if (more > 0)
			lun_buffer_printf(
			    words, "; and %lld more", (long long)more);
	}
	PQclear(result);
	lun_pg_params_free(&params);
	return code;
}

/* Of the last event that was seen, to the server's clock: less than nothing. */
static int64_t
us_ahead(const struct lun_pg_events *s)
{
	const struct lun_pg_mapping *mapping = s->source->mapping;

	return lun_pg_position_time(mapping, s->pending.last) - s->pending.now;
}

/* No transaction is left to wait for. */
static void
add_time(const struct lun_pg_events *s, const struct lun_pg_state *state,
    struct lun_buffer *words)
{
	const struct lun_pg_mapping *mapping = s->source->mapping;
	long long grace_ms = (long long)(mapping->grace_us / 1000);

	if (mapping->safety == LUN_PG_WINDOW && us_ahead(s) > 0)
		lun_buffer_printf(words,
		    "the time of the last event, which lies %lld s ahead of "
		    "the server's clock",
		    (long long)((us_ahead(s) + 999999) / 1000000));
	else if (mapping->safety == LUN_PG_WINDOW)
		lun_buffer_printf(words,
		    "the grace time of %lld ms (grace_ms) after the time of an "
		    "event",
		    grace_ms);
	else if (state->watermark_count > 0 && grace_ms > 0)
		lun_buffer_printf(words,
		    "the grace time of %lld ms (grace_ms), as a session may "
		    "have drawn a number that is missing",
		    grace_ms);
}

enum lun_code
lun_pg_add_pending_writers(struct lun_pg_events *s,
    const struct lun_pg_state *state, struct lun_buffer *words,
    struct lun_err *err)
{
	if (state->watermark_count > 0 &&
	    state->watermarks[0].writers.length > 0)
		return add_holder(s, select_writers,
		    lun_buffer_text(&state->watermarks[0].writers), words, err);
	add_time(s, state, words);
	return LUN_OK;
}

/* Those of the oldest watermark, or the time that it is given. */
static enum lun_code
read_pending_writers(struct lun_pg_events *s, struct lun_text source_state,
    struct lun_buffer *words, struct lun_err *err)
{
	struct lun_pg_state state = {0};
	enum lun_code code = LUN_OK;

	if (lun_pg_state_decode(&state, source_state))
		code = lun_pg_add_pending_writers(s, &state, words, err);
	lun_pg_state_free(&state);
	return code;
}

enum lun_code
lun_pg_events_held_by(struct lun_event_store *store,
    struct lun_text source_state, struct lun_buffer *words, struct lun_err *err)
{
	struct lun_pg_events *s = lun_pg_events_of(store);

	if (s->pass.sorts) {
		lun_pg_pass_describe(s, words);
		return LUN_OK;
	}
	lun_pg_pass_close(s);
	if (s->source->mapping->safety == LUN_PG_TRANSACTIONS)
		return add_holder(s, select_oldest, LUN_TEXT_NONE, words, err);
	if (lun_pg_has_pending_writers(s->source->mapping))
		return read_pending_writers(s, source_state, words, err);
	return LUN_OK;
}
