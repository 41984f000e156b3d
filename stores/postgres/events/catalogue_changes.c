/*
 * catalogue_changes.c - looking at the catalogue again while events are read.
 *
 * The mark is read in one statement with the safe head: whatever rows that one
 * saw were written under the sequences and defaults of the mark. What
 * the mark does not tell of (a trigger more, an index less, a column that may
 * be null by now) is looked at every second, by one of the connections.
 */

#include "base/clock.h"
#include "base/error.h"
#include "postgres/events/catalogue.h"
#include "postgres/events/events.h"

#define SPACING_NS  INT64_C(1000000000)
#define COST_FACTOR 100 /* a look takes that part of the time, at most */

/* Whether it is this connection's turn to look. */
static bool
takes_turn(struct lun_pg_source *source, int64_t now)
{
	long long due = atomic_load(&source->look_at_ns);

	return now >= due && atomic_compare_exchange_strong(
				 &source->look_at_ns, &due, INT64_MAX);
}

static void
schedule_look(struct lun_pg_source *source, int64_t began)
{
	int64_t now = lun_clock_mono_ns();
	int64_t spacing = (now - began) * COST_FACTOR;

	atomic_store(&source->look_at_ns,
	    now + (spacing > SPACING_NS ? spacing : SPACING_NS));
}

enum lun_code
lun_pg_events_check_catalogue(
    struct lun_pg_events *s, const struct lun_buffer *mark, struct lun_err *err)
{
	struct lun_pg_source *source = s->source;
	int64_t now = lun_clock_mono_ns();
	bool changed =
	    !lun_text_equal(lun_buffer_text(mark), lun_buffer_text(&s->mark));
	bool turn = takes_turn(source, now);
	enum lun_code code;

	if (!changed && !turn && !atomic_load(&source->in_doubt))
		return LUN_OK;
	code = lun_pg_catalogue_check(
	    &s->c, source->mapping, &s->numbers, NULL, err);
	if (turn)
		schedule_look(source, now);
	if (code == LUN_OK || code == LUN_CONFIG)
		atomic_store(&source->in_doubt, code != LUN_OK);
	if (code != LUN_OK)
		return code;
	lun_buffer_clear(&s->mark);
	lun_buffer_add_text(&s->mark, lun_buffer_text(mark));
	return s->mark.failed || s->numbers.failed
		   ? lun_pg_events_no_memory(s, err)
		   : LUN_OK;
}
