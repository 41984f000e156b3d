/* gaps.c - positions without an event, as an operator wants to see them. */

#include "postgres/events/events.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/error.h"
#include "json/scan.h"

struct gap_writer {
	struct lun_event_store *store;
	struct lun_buffer *out;
	const struct lun_pg_state *state;
	uint64_t numbers; /* listed as skipped */
	bool wrote_any;
};

static void
write_gap_position(struct gap_writer *l, const char *key, uint64_t number)
{
	char text[LUN_POSITION_MAX];

	lun_event_store_format_position(
	    l->store, (struct lun_position){0, number}, text);
	lun_buffer_printf(l->out, "\"%s\":\"%s\",", key, text);
}

static void
write_gap(struct gap_writer *l, const char *state,
    const struct lun_pg_skip *gap, struct lun_text reason)
{
	char at[LUN_TIMESTAMP_LENGTH + 1];

	lun_timestamp_format(gap->at, at);
	lun_buffer_printf(
	    l->out, "%s{\"state\":\"%s\",", l->wrote_any ? "," : "", state);
	write_gap_position(l, "from", gap->from);
	write_gap_position(l, "to", gap->to);
	lun_buffer_printf(l->out,
	    "\"numbers\":%" PRIu64 ",\"at\":\"%s\",\"reason\":",
	    gap->to - gap->from + 1, at);
	lun_json_write_string(l->out, reason);
	lun_buffer_add_byte(l->out, '}');
	l->wrote_any = true;
}

static void
write_unlisted(struct gap_writer *l, uint64_t numbers)
{
	lun_buffer_printf(l->out,
	    "%s{\"state\":\"skipped\",\"from\":null,\"to\":null,"
	    "\"numbers\":%" PRIu64 ",\"at\":null,"
	    "\"reason\":\"earlier ones, no longer listed\"}",
	    l->wrote_any ? "," : "", numbers);
	l->wrote_any = true;
}

static enum lun_code
add_holder(struct gap_writer *l, struct lun_buffer *words, struct lun_err *err)
{
	struct lun_pg_events *s = lun_pg_events_of(l->store);

	if (s->source->mapping->safety == LUN_PG_WINDOW)
		return lun_pg_add_pending_writers(s, l->state, words, err);
	return lun_pg_events_held_by(l->store, LUN_TEXT_NONE, words, err);
}

/* Events that can be seen above the safe head, with who it is. */
static enum lun_code
write_held(struct gap_writer *l, struct lun_err *err)
{
	struct lun_pg_events *s = lun_pg_events_of(l->store);
	const struct lun_pg_mapping *m = s->source->mapping;
	char from[LUN_POSITION_MAX], to[LUN_POSITION_MAX];
	struct lun_buffer words = {0};
	PGresult *result = NULL;
	enum lun_code code;

	lun_buffer_clear(&s->sql);
	lun_pg_start_params(m, &s->params);
	lun_buffer_printf(&s->sql,
	    "SELECT %s, pg_catalog.count(*) OVER () FROM %s WHERE %s AND ",
	    m->keys_read, m->from, m->visible);
	lun_pg_compare(m, &s->sql, ">", &s->params, s->safe_head.bound);
	lun_buffer_printf(&s->sql, " ORDER BY %s LIMIT 1", m->keys);
	code = lun_pg_events_run(s, &result, err);
	if (code == LUN_OK)
		code = add_holder(l, &words, err);
	if (code == LUN_OK && PQntuples(result) > 0) {
		lun_pg_format_position(
		    m, lun_pg_keys_position(m, result, 0), from);
		lun_pg_format_position(m, s->safe_head.last, to);
		lun_buffer_printf(l->out,
		    "{\"state\":\"held\",\"from\":\"%s\",\"to\":\"%s\","
		    "\"numbers\":%" PRId64 ",\"at\":null,\"reason\":",
		    from, to, lun_pg_int8(result, 0, lun_pg_key_columns(m)));
		lun_json_write_string(l->out, lun_buffer_text(&words));
		lun_buffer_add_byte(l->out, '}');
	}
	l->out->failed |= words.failed;
	PQclear(result);
	lun_buffer_free(&words);
	return code;
}

/* As a reader would find it that looks now. */
static enum lun_code
find_held_by_writers(
    struct lun_pg_events *s, struct lun_pg_state *state, struct lun_err *err)
{
	struct lun_pg_pending_writers *pending = &s->pending;
	enum lun_code code;

	pending->numbers = lun_buffer_text(&s->numbers);
	code = lun_pg_pending_writers_find(
	    &s->c, s->source->mapping, state->ceiling, pending, err);
	if (code != LUN_OK)
		return code;
	lun_pg_pending_writers_advance(state, s->source->mapping, pending);
	s->safe_head.bound = state->ceiling;
	s->safe_head.last = pending->last;
	s->safe_head.is_held =
	    lun_position_compare(pending->last, state->ceiling) > 0;
	return LUN_OK;
}

/* Where the order is that of transactions or times, no position is missing. */
static enum lun_code
list_held(struct gap_writer *l, struct lun_pg_state *state, struct lun_err *err)
{
	struct lun_pg_events *s = lun_pg_events_of(l->store);
	struct lun_position last;
	enum lun_code code;

	if (s->source->mapping->safety == LUN_PG_WINDOW)
		code = find_held_by_writers(s, state, err);
	else
		code = lun_pg_events_head(l->store, &last, err);
	lun_buffer_add_byte(l->out, '[');
	if (code == LUN_OK && s->safe_head.is_held)
		code = write_held(l, err);
	lun_buffer_add_byte(l->out, ']');
	return code;
}

static void
write_gaps(struct gap_writer *l, const struct lun_pg_state *state, bool grace,
    struct lun_text holder)
{
	struct lun_text dead =
	    grace ? LUN_TEXT("no transaction that could bring it was left, nor "
			     "after the grace time")
		  : LUN_TEXT("no transaction that could bring it was left");

	lun_buffer_add_byte(l->out, '[');
	if (state->open_gap.from > 0)
		write_gap(l, "open", &state->open_gap,
		    holder.length > 0
			? holder
			: LUN_TEXT("a transaction that may bring it is under "
				   "way"));
	for (size_t i = state->skip_count; i-- > 0;) {
		const struct lun_pg_skip *skip = &state->skips[i];

		write_gap(l, "skipped", skip, dead);
		l->numbers += skip->to - skip->from + 1;
	}
	if (state->skipped > l->numbers)
		write_unlisted(l, state->skipped - l->numbers);
	lun_buffer_add_byte(l->out, ']');
}

/* The holder is a comfort: without it the gaps are told all the same. */
static enum lun_code
list_gaps(struct gap_writer *l, struct lun_text source_state,
    const struct lun_pg_state *state, struct lun_err *err)
{
	struct lun_pg_events *s = lun_pg_events_of(l->store);
	struct lun_buffer holder = {0};

	if (state->open_gap.from > 0 &&
	    lun_pg_events_held_by(l->store, source_state, &holder, err) !=
		LUN_OK)
		lun_buffer_clear(&holder);
	write_gaps(l, state, s->source->mapping->grace_us > 0,
	    lun_buffer_text(&holder));
	lun_buffer_free(&holder);
	return LUN_OK;
}

enum lun_code
lun_pg_events_gaps(struct lun_event_store *store, struct lun_text source_state,
    struct lun_buffer *json, struct lun_err *err)
{
	struct lun_pg_events *s = lun_pg_events_of(store);
	struct lun_pg_state state = {0};
	struct gap_writer l = {.store = store, .out = json, .state = &state};
	enum lun_code code = LUN_OK;

	lun_pg_pass_close(s);
	if (!lun_pg_state_decode(&state, source_state))
		code = lun_fail(err, LUN_CONFIG,
		    "%s: the checkpoint was not written by a reader of this "
		    "event store",
		    lun_pg_name(&s->c));
	else if (s->source->mapping->safety == LUN_PG_TRANSACTIONS ||
		 s->source->mapping->safety == LUN_PG_WINDOW)
		code = list_held(&l, &state, err);
	else
		code = list_gaps(&l, source_state, &state, err);
	if (json->failed)
		code = lun_pg_events_no_memory(s, err);
	lun_pg_state_free(&state);
	return code;
}
