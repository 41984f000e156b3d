/*
 * set_aside.c - parked and skipped events: counted, and said in the log.
 *
 * The first of a kind is said with its error, then now and then how many came
 * since; an endless stream of failures must not fill the log.
 */

#include <inttypes.h>

#include "base/clock.h"
#include "base/error.h"
#include "projection/projection.h"

#define SAY_EVERY_NS 10000000000LL

static const char *const fates[LUN_SET_ASIDE_KINDS] = {
    [LUN_SET_ASIDE_PARKED] = "parked",
    [LUN_SET_ASIDE_SKIPPED] = "skipped",
};

static const char *const looks[LUN_SET_ASIDE_KINDS] = {
    [LUN_SET_ASIDE_PARKED] = "lunette parked list",
    [LUN_SET_ASIDE_SKIPPED] = "lunette parked list --skipped",
};

static void
say_first(struct lun_projection *p, enum lun_set_aside_kind kind,
    const struct lun_failed_event *failed)
{
	const struct lun_event *event = &failed->event;
	char position[LUN_POSITION_MAX];

	lun_event_store_format_position(
	    p->around->events, event->position, position);
	lun_log(p->around->log, LUN_LOG_WARNING,
	    "%s: event %s (%.*s on %.*s) was %s: %.*s; %s %s shows such events",
	    p->name, position, LUN_TEXT_ARG(event->type),
	    LUN_TEXT_ARG(event->stream), fates[kind],
	    LUN_TEXT_ARG(failed->error), looks[kind], p->name);
}

static void
say_rest(struct lun_projection *p, enum lun_set_aside_kind kind)
{
	struct lun_set_aside *aside = &p->set_aside[kind];

	if (aside->unsaid == 0)
		return;
	lun_log(p->around->log, LUN_LOG_WARNING,
	    "%s: %" PRIu64 " more event%s %s", p->name, aside->unsaid,
	    aside->unsaid == 1 ? " was" : "s were", fates[kind]);
	aside->unsaid = 0;
	aside->said_ns = lun_clock_mono_ns();
}

static void
note(struct lun_projection *p, enum lun_set_aside_kind kind,
    struct lun_failed_events *list)
{
	struct lun_set_aside *aside = &p->set_aside[kind];
	int64_t now;

	if (list->count == 0)
		return;
	now = lun_clock_mono_ns();
	aside->unsaid += list->count;
	if (aside->said_ns == 0) {
		say_first(p, kind, lun_failed_events_items(list));
		aside->unsaid--;
		aside->said_ns = now;
	}
	if (now - aside->said_ns >= SAY_EVERY_NS)
		say_rest(p, kind);
	pthread_mutex_lock(&p->around->board->lock);
	p->report.set_aside[kind] += list->count;
	pthread_mutex_unlock(&p->around->board->lock);
}

void
lun_projection_note_set_aside(struct lun_projection *p)
{
	note(p, LUN_SET_ASIDE_PARKED, &p->commit.parked);
	note(p, LUN_SET_ASIDE_SKIPPED, &p->commit.skipped);
}

void
lun_projection_say_set_aside(struct lun_projection *p)
{
	for (int kind = 0; kind < LUN_SET_ASIDE_KINDS; kind++)
		say_rest(p, (enum lun_set_aside_kind)kind);
}
