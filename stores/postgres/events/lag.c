/* lag.c - how far a reader of an event store in PostgreSQL is behind. */

#include "postgres/events/reading.h"

#include "base/clock.h"

#define LAG_ROWS 100000 /* counted one by one; estimated above */

/* Columns: rows seen, rows wanted, time of the first, keys of the last, now. */
static enum lun_code
count_lag(struct lun_pg_events *s, struct lun_position after,
    const struct lun_event_filter *filter, PGresult **out, struct lun_err *err)
{
	const struct lun_pg_mapping *m = s->source->mapping;

	lun_buffer_clear(&s->sql);
	lun_pg_start_params(m, &s->params);
	lun_buffer_printf(&s->sql,
	    "WITH w AS (SELECT row_number() OVER (ORDER BY %s) AS n, %s AS "
	    "moment, "
	    "(true",
	    m->keys, m->expressions[LUN_PG_C_RECORDED_AT]);
	lun_pg_add_filter(s, filter);
	lun_buffer_printf(&s->sql,
	    ") AS wanted, (%s)::text AS last FROM %s WHERE %s AND ",
	    m->layout.position, m->from, m->visible);
	lun_pg_compare(m, &s->sql, ">", &s->params, after);
	lun_buffer_printf(&s->sql,
	    " ORDER BY %s LIMIT %d) SELECT count(*), "
	    "count(*) FILTER (WHERE wanted), "
	    "(SELECT moment FROM w WHERE wanted ORDER BY n LIMIT 1), "
	    "(SELECT last FROM w ORDER BY n DESC LIMIT 1), "
	    "clock_timestamp() FROM w",
	    m->keys, LAG_ROWS);
	return lun_pg_events_run(s, out, err);
}

/* Far behind, the rest is taken to be like the part that was counted. */
static enum lun_code
estimate_lag(struct lun_pg_events *s, struct lun_position after,
    struct lun_text last, struct lun_lag *lag, struct lun_err *err)
{
	struct lun_position end, head;
	enum lun_code code = lun_pg_events_head(&s->base, &head, err);

	if (code != LUN_OK || s->source->mapping->key == LUN_PG_UUID_KEY ||
	    s->source->mapping->key == LUN_PG_MOMENT ||
	    !lun_position_from_decimal(last, &end))
		return code;
	if (head.lo > end.lo && end.lo > after.lo)
		lag->events = (uint64_t)((double)lag->events *
					 (double)(head.lo - after.lo) /
					 (double)(end.lo - after.lo));
	return LUN_OK;
}

enum lun_code
lun_pg_events_lag(struct lun_event_store *store, struct lun_position after,
    const struct lun_event_filter *filter, struct lun_lag *lag,
    struct lun_err *err)
{
	struct lun_pg_events *s = lun_pg_events_of(store);
	struct lun_lag found = {0};
	PGresult *result = NULL;
	enum lun_code code;

	lun_pg_pass_close(s);
	code = count_lag(s, after, filter, &result, err);
	if (code == LUN_OK) {
		found.exact =
		    lun_pg_int8(result, 0, 0) < LAG_ROWS &&
		    !(s->source->mapping->unwrap && filter->type_count > 0);
		found.events = (uint64_t)lun_pg_int8(result, 0, 1);
		if (!lun_pg_event_time(result, 0, 2, &found.oldest_recorded_at))
			found.oldest_recorded_at = LUN_TIME_UNKNOWN;
		found.now = lun_pg_time(result, 0, 4);
	}
	if (code == LUN_OK && lun_pg_int8(result, 0, 0) >= LAG_ROWS)
		code = estimate_lag(
		    s, after, lun_pg_bytes(result, 0, 3), &found, err);
	if (code == LUN_OK)
		*lag = found;
	PQclear(result);
	return code;
}
