/*
 * source_state_fuzz.c - any text as what a reader kept with its checkpoint:
 * refused and empty, or a state that can be used and written again.
 */

#include <assert.h>
#include <stdint.h>

#include "postgres/events/source_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_positions(const struct lun_pg_positions *list)
{
	for (size_t i = 0; i < list->count; i++) {
		assert(lun_pg_positions_has(list, list->items[i]));
		assert(i == 0 || lun_position_compare(
				     list->items[i - 1], list->items[i]) < 0);
	}
}

static void
check_state(const struct lun_pg_state *state)
{
	assert(state->watermark_count <= LUN_PG_WATERMARKS);
	assert(state->skip_count <= LUN_PG_SKIPPED);
	assert(state->delivered.count <= LUN_PG_DELIVERED);
	for (size_t i = 0; i < state->skip_count; i++)
		assert(state->skips[i].from <= state->skips[i].to);
	check_positions(&state->delivered);
	check_positions(&state->delivered_early);
}

static void
use(struct lun_pg_state *state, uint64_t number)
{
	struct lun_position position = {0, number};

	lun_pg_state_add_skip(state, number, number, 1);
	assert(lun_pg_state_may_have_skipped(state, number));
	lun_pg_state_remove_skip(state, number);
	assert(lun_pg_positions_add(&state->delivered, position));
	assert(lun_pg_positions_has(&state->delivered, position));
	lun_pg_positions_remove(&state->delivered, position);
	lun_pg_positions_forget(&state->delivered, position);
	check_positions(&state->delivered);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lun_text text = {(const char *)data, size};
	struct lun_pg_state state = {0}, again = {0};
	struct lun_buffer once = {0}, twice = {0};

	if (lun_pg_state_decode(&state, text)) {
		check_state(&state);
		lun_pg_state_encode(&state, &once);
		assert(lun_pg_state_decode(&again, lun_buffer_text(&once)));
		lun_pg_state_encode(&again, &twice);
		assert(lun_text_equal(
		    lun_buffer_text(&once), lun_buffer_text(&twice)));
		use(&state, size);
	} else {
		assert(state.skip_count == 0 && state.delivered.count == 0 &&
		       state.anchor.length == 0);
	}
	lun_pg_state_free(&state);
	lun_pg_state_free(&again);
	lun_buffer_free(&once);
	lun_buffer_free(&twice);
	return 0;
}
