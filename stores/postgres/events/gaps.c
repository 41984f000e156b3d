/* gaps.c - positions without an event, as an operator wants to see them. */

#include "postgres/events/events.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/error.h"
#include "json/scan.h"

struct gap_writer {
	struct lun_event_store *store;
	struct lun_buffer *out;
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
    const struct lun_pg_skip *gap, const char *reason)
{
	char at[LUN_TIMESTAMP_LENGTH + 1];

	lun_timestamp_format(gap->at, at);
	lun_buffer_printf(
	    l->out, "%s{\"state\":\"%s\",", l->wrote_any ? "," : "", state);
	write_gap_position(l, "from", gap->from);
	write_gap_position(l, "to", gap->to);
	lun_buffer_printf(l->out,
	    "\"numbers\":%" PRIu64 ",\"at\":\"%s\",\"reason\":\"%s\"}",
	    gap->to - gap->from + 1, at, reason);
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

static void
write_gaps(struct gap_writer *l, const struct lun_pg_state *state, bool grace)
{
	const char *dead = grace ? "no transaction that could bring it was "
				   "left, nor after the grace time"
				 : "no transaction that could bring it was "
				   "left";

	lun_buffer_add_byte(l->out, '[');
	if (state->open_gap.from > 0)
		write_gap(l, "open", &state->open_gap,
		    "a transaction that may bring it is under way");
	for (size_t i = state->skip_count; i-- > 0;) {
		const struct lun_pg_skip *skip = &state->skips[i];

		write_gap(l, "skipped", skip, dead);
		l->numbers += skip->to - skip->from + 1;
	}
	if (state->skipped > l->numbers)
		write_unlisted(l, state->skipped - l->numbers);
	lun_buffer_add_byte(l->out, ']');
}

enum lun_code
lun_pg_events_gaps(struct lun_event_store *store, struct lun_text source_state,
    struct lun_buffer *json, struct lun_err *err)
{
	struct lun_pg_events *s = lun_pg_events_of(store);
	struct lun_pg_state state = {0};
	struct gap_writer l = {.store = store, .out = json};
	enum lun_code code = LUN_OK;

	if (lun_pg_state_decode(&state, source_state))
		write_gaps(&l, &state, s->source->mapping->grace_us > 0);
	else
		code = lun_fail(err, LUN_CONFIG,
		    "%s: the checkpoint was not written by a reader of this "
		    "event store",
		    lun_pg_name(&s->c));
	if (json->failed)
		code = lun_pg_events_no_memory(s, err);
	lun_pg_state_free(&state);
	return code;
}
