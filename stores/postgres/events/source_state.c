/* source_state.c - what a reader must not forget between two reads. */

#include "postgres/events/source_state.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "json/scan.h"

#define MEMBERS_MAX 16

/* ---- lists of positions ------------------------------------------------ */

/* The index where it is, or has to be inserted. */
static size_t
find_index(const struct lun_pg_positions *list, struct lun_position position)
{
	size_t low = 0, high = list->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (lun_position_compare(list->items[middle], position) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool
lun_pg_positions_has(
    const struct lun_pg_positions *list, struct lun_position position)
{
	size_t at = find_index(list, position);

	return at < list->count &&
	       lun_position_compare(list->items[at], position) == 0;
}

bool
lun_pg_positions_add(
    struct lun_pg_positions *list, struct lun_position position)
{
	size_t at = find_index(list, position);

	if (lun_pg_positions_has(list, position))
		return true;
	if (list->count == list->capacity) {
		size_t capacity = list->capacity * 2 + 16;
		void *items =
		    realloc(list->items, capacity * sizeof *list->items);

		if (items == NULL)
			return false;
		list->items = items;
		list->capacity = capacity;
	}
	memmove(list->items + at + 1, list->items + at,
	    (list->count - at) * sizeof *list->items);
	list->items[at] = position;
	list->count++;
	return true;
}

static void
remove_lowest(struct lun_pg_positions *list, size_t count)
{
	list->count -= count;
	memmove(list->items, list->items + count,
	    list->count * sizeof *list->items);
}

void
lun_pg_positions_remove(
    struct lun_pg_positions *list, struct lun_position position)
{
	size_t at = find_index(list, position);

	if (!lun_pg_positions_has(list, position))
		return;
	list->count--;
	memmove(list->items + at, list->items + at + 1,
	    (list->count - at) * sizeof *list->items);
}

void
lun_pg_positions_forget(struct lun_pg_positions *list, struct lun_position upto)
{
	size_t count = find_index(list, upto);

	if (count < list->count &&
	    lun_position_compare(list->items[count], upto) == 0)
		count++;
	if (count > 0)
		remove_lowest(list, count);
}

/* ---- skips ------------------------------------------------------------- */

static bool
reserve_skip(struct lun_pg_state *state)
{
	size_t capacity = state->skip_capacity * 2 + 16;
	void *skips;

	if (state->skip_count < state->skip_capacity)
		return true;
	skips = realloc(state->skips, capacity * sizeof *state->skips);
	if (skips == NULL) {
		state->failed = true;
		return false;
	}
	state->skips = skips;
	state->skip_capacity = capacity;
	return true;
}

static void
put_skip(struct lun_pg_state *state, struct lun_pg_skip skip)
{
	if (!reserve_skip(state))
		return;
	if (state->skip_count == LUN_PG_SKIPPED) {
		state->skip_count--;
		memmove(state->skips, state->skips + 1,
		    state->skip_count * sizeof *state->skips);
	}
	state->skips[state->skip_count++] = skip;
}

void
lun_pg_state_add_skip(
    struct lun_pg_state *state, uint64_t from, uint64_t to, int64_t at)
{
	put_skip(state, (struct lun_pg_skip){from, to, at});
	state->skipped += to - from + 1;
}

bool
lun_pg_state_lists_skip(const struct lun_pg_state *state, uint64_t number)
{
	for (size_t i = 0; i < state->skip_count; i++)
		if (number >= state->skips[i].from &&
		    number <= state->skips[i].to)
			return true;
	return false;
}

bool
lun_pg_state_may_have_skipped(const struct lun_pg_state *state, uint64_t number)
{
	return lun_pg_state_lists_skip(state, number) ||
	       (state->skip_count == LUN_PG_SKIPPED &&
		   number < state->skips[0].from);
}

void
lun_pg_state_remove_skip(struct lun_pg_state *state, uint64_t number)
{
	for (size_t i = 0; i < state->skip_count; i++) {
		struct lun_pg_skip *skip = &state->skips[i];
		struct lun_pg_skip rest = *skip;

		if (number < skip->from || number > skip->to)
			continue;
		state->skipped--;
		rest.from = number + 1;
		skip->to = number - 1;
		if (skip->from > skip->to) {
			*skip = rest;
			if (rest.from > rest.to)
				memmove(skip, skip + 1,
				    (--state->skip_count - i) * sizeof *skip);
		} else if (rest.from <= rest.to) {
			put_skip(state, rest);
		}
		return;
	}
}

void
lun_pg_state_trim(struct lun_pg_state *state)
{
	struct lun_pg_positions *delivered = &state->delivered;

	if (delivered->count <= LUN_PG_DELIVERED)
		return;
	state->floor =
	    delivered->items[delivered->count - LUN_PG_DELIVERED - 1];
	lun_pg_positions_forget(delivered, state->floor);
}

/* ---- to text ----------------------------------------------------------- */

static void
write_position(struct lun_buffer *out, struct lun_position position)
{
	char hex[LUN_POSITION_HEX_SIZE];

	lun_position_to_hex(position, hex);
	lun_buffer_printf(out, "\"%s\"", hex);
}

static void
write_positions(struct lun_buffer *out, const char *key,
    const struct lun_pg_positions *list)
{
	if (list->count == 0)
		return;
	lun_buffer_printf(out, ",\"%s\":[", key);
	for (size_t i = 0; i < list->count; i++) {
		if (i > 0)
			lun_buffer_add_byte(out, ',');
		write_position(out, list->items[i]);
	}
	lun_buffer_add_byte(out, ']');
}

static void
write_skip(struct lun_buffer *out, const struct lun_pg_skip *skip)
{
	lun_buffer_printf(out, "[%" PRIu64 ",%" PRIu64 ",%" PRId64 "]",
	    skip->from, skip->to, skip->at);
}

static void
write_skips(struct lun_buffer *out, const struct lun_pg_state *state)
{
	if (state->open_gap.from > 0) {
		lun_buffer_add_text(out, LUN_TEXT(",\"held\":"));
		write_skip(out, &state->open_gap);
	}
	if (state->skipped > 0)
		lun_buffer_printf(out, ",\"skipped\":%" PRIu64, state->skipped);
	if (state->skip_count == 0)
		return;
	lun_buffer_add_text(out, LUN_TEXT(",\"skips\":["));
	for (size_t i = 0; i < state->skip_count; i++) {
		if (i > 0)
			lun_buffer_add_byte(out, ',');
		write_skip(out, &state->skips[i]);
	}
	lun_buffer_add_byte(out, ']');
}

static void
write_watermarks(struct lun_buffer *out, const struct lun_pg_state *state)
{
	if (state->watermark_count == 0)
		return;
	lun_buffer_add_text(out, LUN_TEXT(",\"marks\":["));
	for (size_t i = 0; i < state->watermark_count; i++) {
		const struct lun_pg_watermark *watermark =
		    &state->watermarks[i];

		lun_buffer_add_text(
		    out, i > 0 ? LUN_TEXT(",[") : LUN_TEXT("["));
		write_position(out, watermark->position);
		lun_buffer_printf(out, ",%" PRId64 ",", watermark->at);
		lun_json_write_string(
		    out, lun_buffer_text(&watermark->writers));
		lun_buffer_add_byte(out, ']');
	}
	lun_buffer_add_byte(out, ']');
}

/* Most readers need nothing but the anchor, which then stands for itself. */
static bool
is_anchor_only(const struct lun_pg_state *state)
{
	return lun_position_compare(state->ceiling, LUN_POSITION_START) == 0 &&
	       lun_position_compare(state->floor, LUN_POSITION_START) == 0 &&
	       state->watermark_count == 0 && state->skipped == 0 &&
	       state->open_gap.from == 0 && state->delivered.count == 0 &&
	       state->delivered_early.count == 0 &&
	       (state->anchor.length == 0 || state->anchor.bytes[0] != '{');
}

void
lun_pg_state_encode(const struct lun_pg_state *state, struct lun_buffer *out)
{
	lun_buffer_clear(out);
	out->failed = out->failed || state->failed || state->anchor.failed;
	if (is_anchor_only(state)) {
		lun_buffer_add_text(out, lun_buffer_text(&state->anchor));
		return;
	}
	lun_buffer_add_text(out, LUN_TEXT("{\"anchor\":"));
	lun_json_write_string(out, lun_buffer_text(&state->anchor));
	if (lun_position_compare(state->ceiling, LUN_POSITION_START) > 0) {
		lun_buffer_add_text(out, LUN_TEXT(",\"ceiling\":"));
		write_position(out, state->ceiling);
	}
	if (lun_position_compare(state->floor, LUN_POSITION_START) > 0) {
		lun_buffer_add_text(out, LUN_TEXT(",\"floor\":"));
		write_position(out, state->floor);
	}
	write_watermarks(out, state);
	write_skips(out, state);
	write_positions(out, "seen", &state->delivered);
	write_positions(out, "ahead", &state->delivered_early);
	lun_buffer_add_byte(out, '}');
}

/* ---- from text --------------------------------------------------------- */

static bool
read_position(struct lun_text text, enum lun_json_kind kind,
    struct lun_position *position)
{
	return kind == LUN_JSON_STRING &&
	       lun_position_from_hex(
		   (struct lun_text){text.bytes + 1, text.length - 2},
		   position);
}

static bool
next_position(struct lun_text *rest, struct lun_position *position)
{
	struct lun_text text;
	enum lun_json_kind kind;

	return lun_json_next_element(rest, &text, &kind) &&
	       read_position(text, kind, position);
}

static bool
next_integer(struct lun_text *rest, int64_t *value)
{
	struct lun_text text;
	enum lun_json_kind kind;

	if (!lun_json_next_element(rest, &text, &kind) ||
	    kind != LUN_JSON_INTEGER)
		return false;
	*value = lun_json_integer(text);
	return true;
}

static bool
next_moment(struct lun_text *rest, int64_t *us)
{
	return next_integer(rest, us) && lun_timestamp_is_moment(*us);
}

static bool
read_count(struct lun_text number, uint64_t *count)
{
	int64_t value = lun_json_integer(number);

	*count = (uint64_t)value;
	return value >= 0;
}

static bool
read_positions(struct lun_pg_positions *list, struct lun_text array)
{
	struct lun_position position;
	struct lun_text text;
	enum lun_json_kind kind;

	while (lun_json_next_element(&array, &text, &kind))
		if (!read_position(text, kind, &position) ||
		    !lun_pg_positions_add(list, position))
			return false;
	return true;
}

static bool
read_skip(struct lun_text array, struct lun_pg_skip *skip)
{
	int64_t from, to;

	if (!next_integer(&array, &from) || !next_integer(&array, &to) ||
	    !next_moment(&array, &skip->at) || from < 0 || to < from)
		return false;
	skip->from = (uint64_t)from;
	skip->to = (uint64_t)to;
	return true;
}

static bool
read_skips(struct lun_pg_state *state, struct lun_text array)
{
	struct lun_text text;
	enum lun_json_kind kind;
	struct lun_pg_skip skip;

	while (lun_json_next_element(&array, &text, &kind)) {
		if (kind != LUN_JSON_ARRAY || !read_skip(text, &skip))
			return false;
		put_skip(state, skip);
	}
	return true;
}

static bool
read_watermark(struct lun_text array, struct lun_pg_watermark *watermark)
{
	struct lun_text writers;
	enum lun_json_kind kind;

	lun_buffer_clear(&watermark->writers);
	if (!next_position(&array, &watermark->position) ||
	    !next_moment(&array, &watermark->at) ||
	    !lun_json_next_element(&array, &writers, &kind) ||
	    kind != LUN_JSON_STRING)
		return false;
	lun_json_unescape(writers, &watermark->writers);
	return true;
}

static bool
read_watermarks(struct lun_pg_state *state, struct lun_text array)
{
	struct lun_text text;
	enum lun_json_kind kind;

	while (state->watermark_count < LUN_PG_WATERMARKS &&
	       lun_json_next_element(&array, &text, &kind))
		if (kind != LUN_JSON_ARRAY ||
		    !read_watermark(
			text, &state->watermarks[state->watermark_count++]))
			return false;
	return true;
}

static bool
read_state_member(
    struct lun_pg_state *state, const struct lun_json_member *member)
{
	struct lun_text key = member->key;

	if (lun_text_equal(key, LUN_TEXT("anchor"))) {
		if (member->kind == LUN_JSON_STRING)
			lun_json_unescape(member->value, &state->anchor);
		return member->kind == LUN_JSON_STRING;
	}
	if (lun_text_equal(key, LUN_TEXT("ceiling")))
		return read_position(
		    member->value, member->kind, &state->ceiling);
	if (lun_text_equal(key, LUN_TEXT("floor")))
		return read_position(
		    member->value, member->kind, &state->floor);
	if (lun_text_equal(key, LUN_TEXT("skipped"))) {
		return member->kind == LUN_JSON_INTEGER &&
		       read_count(member->value, &state->skipped);
	}
	if (member->kind != LUN_JSON_ARRAY)
		return false;
	if (lun_text_equal(key, LUN_TEXT("marks")))
		return read_watermarks(state, member->value);
	if (lun_text_equal(key, LUN_TEXT("held")))
		return read_skip(member->value, &state->open_gap);
	if (lun_text_equal(key, LUN_TEXT("skips")))
		return read_skips(state, member->value);
	if (lun_text_equal(key, LUN_TEXT("seen")))
		return read_positions(&state->delivered, member->value);
	if (lun_text_equal(key, LUN_TEXT("ahead")))
		return read_positions(&state->delivered_early, member->value);
	return false;
}

/* The numbers listed are among those counted. */
static bool
counts_its_skips(const struct lun_pg_state *state)
{
	uint64_t rest = state->skipped;

	for (size_t i = 0; i < state->skip_count; i++) {
		uint64_t numbers =
		    state->skips[i].to - state->skips[i].from + 1;

		if (numbers > rest)
			return false;
		rest -= numbers;
	}
	return true;
}

/* Its memory is kept. */
static void
clear_state(struct lun_pg_state *state)
{
	lun_buffer_clear(&state->anchor);
	state->known = false;
	state->ceiling = state->floor = LUN_POSITION_START;
	state->watermark_count = state->skip_count = 0;
	state->skipped = 0;
	state->open_gap = (struct lun_pg_skip){0};
	state->delivered.count = state->delivered_early.count = 0;
	state->failed = false;
}

bool
lun_pg_state_decode(struct lun_pg_state *state, struct lun_text text)
{
	struct lun_json_member members[MEMBERS_MAX];
	size_t count = MEMBERS_MAX;
	bool valid = true;

	clear_state(state);
	state->known = text.length > 0;
	if (text.length == 0 || text.bytes[0] != '{') {
		lun_buffer_add_text(&state->anchor, text);
		return true;
	}
	if (lun_json_members(text, members, &count, NULL) != LUN_OK)
		return false;
	for (size_t i = 0; i < count && valid; i++)
		valid = read_state_member(state, &members[i]);
	valid = valid && counts_its_skips(state);
	if (!valid)
		clear_state(state);
	return valid;
}

void
lun_pg_state_free(struct lun_pg_state *state)
{
	lun_buffer_free(&state->anchor);
	for (size_t i = 0; i < LUN_PG_WATERMARKS; i++)
		lun_buffer_free(&state->watermarks[i].writers);
	free(state->skips);
	free(state->delivered.items);
	free(state->delivered_early.items);
}
