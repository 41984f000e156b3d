/*
 * same_reach.c - whether two readers at one position gave out the same events.
 *
 * Then one of them may go on with the other's state as if it were its own. What
 * counts is what was given out, and what of the rest will be. Up to their
 * position that is everything but what is late; so they have to agree on
 *
 *   - the anchor: the log is the same one up to there;
 *   - the numbers that were passed over (gaps), each of which may still be given
 *     out as late. Listed in other pieces and at other times they are the same,
 *     but of those that are no longer listed nobody knows which they were, so
 *     then the lists have to have been cut off alike;
 *   - the events above the floor that were given out (window): among them a late
 *     one is looked for;
 *   - the events beyond the position that were given out early.
 *
 * The floor rises with the time of reading. Below its own a reader looks for
 * nothing, and remembers nothing. So the state that is taken over may not have
 * the lower one: between the two stand events that the one reader will still
 * look for and the other may have given out long ago. The higher one loses
 * nothing, as the next read by itself would raise it as far.
 *
 * Nothing says of events up to the floor whether both gave them out: one may
 * have come later than the window, and to one of the readers in its place. The
 * second line (order.c) finds such an event where its stream is remembered.
 * That is `unproven`.
 *
 * The rest is knowledge: ceiling, watermarks and the open gap hold for every
 * reader of the log, and any of them is as good as another.
 */

#include "postgres/events/events.h"

#include <stdlib.h>

/* ---- skipped numbers --------------------------------------------------- */

static int
compare_skips(const void *a, const void *b)
{
	const struct lun_pg_skip *one = a, *other = b;

	return (one->from > other->from) - (one->from < other->from);
}

/* In order, and neighbours as one. */
static size_t
unite_skips(struct lun_pg_skip *skips, size_t count)
{
	size_t united = 0;

	if (count > 1)
		qsort(skips, count, sizeof *skips, compare_skips);
	for (size_t i = 0; i < count; i++) {
		if (united > 0 && skips[i].from <= skips[united - 1].to + 1) {
			if (skips[i].to > skips[united - 1].to)
				skips[united - 1].to = skips[i].to;
			continue;
		}
		skips[united++] = skips[i];
	}
	return united;
}

static bool
list_alike(struct lun_pg_state *a, struct lun_pg_state *b)
{
	a->skip_count = unite_skips(a->skips, a->skip_count);
	b->skip_count = unite_skips(b->skips, b->skip_count);
	if (a->skip_count != b->skip_count)
		return false;
	for (size_t i = 0; i < a->skip_count; i++)
		if (a->skips[i].from != b->skips[i].from ||
		    a->skips[i].to != b->skips[i].to)
			return false;
	return true;
}

/* Where the list begins, if there may be more before that. */
static uint64_t
first_listed(const struct lun_pg_state *state)
{
	return state->skip_count == LUN_PG_SKIPPED ? state->skips[0].from : 0;
}

static bool
skipped_alike(struct lun_pg_state *a, struct lun_pg_state *b)
{
	return a->skipped == b->skipped && first_listed(a) == first_listed(b) &&
	       list_alike(a, b);
}

/* ---- events ------------------------------------------------------------ */

static bool
have_same(const struct lun_pg_positions *a, const struct lun_pg_positions *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (lun_position_compare(a->items[i], b->items[i]) != 0)
			return false;
	return true;
}

static bool
delivered_alike(struct lun_pg_state *own, struct lun_pg_state *other)
{
	if (lun_position_compare(other->floor, own->floor) < 0)
		return false;
	lun_pg_positions_forget(&own->delivered, other->floor);
	lun_pg_positions_forget(&other->delivered, other->floor);
	return have_same(&own->delivered, &other->delivered) &&
	       have_same(&own->delivered_early, &other->delivered_early);
}

static bool
agree(struct lun_pg_state *own, struct lun_pg_state *other)
{
	return own->known == other->known &&
	       lun_text_equal(lun_buffer_text(&own->anchor),
		   lun_buffer_text(&other->anchor)) &&
	       skipped_alike(own, other) && delivered_alike(own, other);
}

bool
lun_pg_events_same_reach(struct lun_event_store *store, struct lun_text own,
    struct lun_text other, struct lun_position *unproven)
{
	struct lun_pg_state mine = {0}, theirs = {0};
	bool same = lun_pg_state_decode(&mine, own) &&
		    lun_pg_state_decode(&theirs, other) && !mine.failed &&
		    !theirs.failed && !mine.anchor.failed &&
		    !theirs.anchor.failed && agree(&mine, &theirs);

	(void)store;
	*unproven = theirs.floor;
	lun_pg_state_free(&mine);
	lun_pg_state_free(&theirs);
	return same;
}
