/* wait.c - waiting until a projection has applied a position. */

#include <stdio.h>
#include <time.h>

#include "api/positions.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/thread.h"
#include "runtime/engine.h"

#define LOOK_NS 5000000L /* between looks at another engine's checkpoint */

struct wait {
	struct lun_engine *engine;
	const char *projection;
	struct lun_entry *entry; /* NULL: another engine's */
	struct lun_position target;
	int64_t deadline_ns;
	bool has_worker; /* when this thread was to step it last */
	bool looked;     /* so seen says something */
	struct lun_position seen;
};

/* A reader for one look; none is held while this sleeps. */
static enum lun_code
take_reader(struct wait *wait, unsigned stores, struct lun_reader **reader,
    struct lun_err *err)
{
	const struct lun_reading reading = {.what = "wait for",
	    .projection = wait->projection,
	    .stores = stores,
	    .deadline_ns = wait->deadline_ns};

	return lun_reader_take(wait->engine, &reading, reader, err);
}

static enum lun_code
find_head(struct wait *wait, struct lun_err *err)
{
	struct lun_reader *reader;
	enum lun_code code = take_reader(wait, LUN_READS_EVENTS, &reader, err);

	if (code != LUN_OK)
		return code;
	code = lun_event_store_head(reader->events, &wait->target, err);
	lun_reader_give_back(wait->engine, reader);
	return code;
}

static enum lun_code
find_target(struct wait *wait, const char *after, struct lun_err *err)
{
	if (after == NULL)
		return find_head(wait, err);
	return lun_position_read(wait->engine, wait->projection,
	    lun_text_of(after), wait->deadline_ns, &wait->target, err);
}

static bool
is_over(const struct wait *wait)
{
	return lun_clock_mono_ns() >= wait->deadline_ns;
}

static bool
has_arrived(const struct wait *wait)
{
	return lun_position_compare(wait->seen, wait->target) >= 0;
}

/*
 * A worker of this engine: its report says how far it is. LUN_OWNED: another
 * engine runs it, or may. LUN_AGAIN, here and below: not there when the time
 * was over.
 */
static enum lun_code
follow_worker(struct wait *wait, struct lun_err *err)
{
	struct lun_board *board = &wait->engine->board;
	struct lun_report *report = &wait->entry->p->report;
	enum lun_code code = LUN_AGAIN;

	lun_engine_wake_readers(wait->engine); /* it may look seldom */
	pthread_mutex_lock(&board->lock);
	while (code == LUN_AGAIN) {
		if (report->has_position)
			wait->seen = report->position;
		if (has_arrived(wait))
			code = LUN_OK;
		else if (report->state == LUN_STATE_FAILED &&
			 !report->text_waits)
			code = lun_fail(err, LUN_SCRIPT, "%s has failed: %s",
			    wait->projection, report->last_error);
		else if (report->state == LUN_STATE_STANDBY ||
			 report->state == LUN_STATE_DETACHED)
			code = LUN_OWNED;
		else if (is_over(wait))
			break;
		else
			lun_cond_wait_until(
			    &board->changed, &board->lock, wait->deadline_ns);
	}
	pthread_mutex_unlock(&board->lock);
	return code;
}

static enum lun_code
step_once(struct wait *wait, struct lun_step *step, struct lun_err *err)
{
	struct lun_projection *p = wait->entry->p;
	enum lun_code code = lun_entry_take(wait->engine, wait->entry, err);

	wait->has_worker = code == LUN_CONFIG;
	if (code != LUN_OK)
		return code;
	lun_projection_serve_requests(p, NULL, NULL);
	code = lun_projection_one_step(p, step, err);
	if (code == LUN_OK)
		wait->seen = p->cursor;
	lun_entry_give_back(wait->entry);
	return code;
}

/* Nobody runs it here: step on this thread, also while it pauses. */
static enum lun_code
step_there(struct wait *wait, struct lun_err *err)
{
	const struct timespec pause = {0, LOOK_NS};

	for (;;) {
		struct lun_step step = {0};
		enum lun_code code = step_once(wait, &step, err);

		if (code == LUN_UNAVAILABLE && is_over(wait))
			return code;
		if (code != LUN_OK && code != LUN_UNAVAILABLE)
			return code;
		if (has_arrived(wait))
			return LUN_OK;
		if (is_over(wait))
			return LUN_AGAIN;
		if (!lun_step_has_moved(code, step))
			nanosleep(&pause, NULL);
	}
}

static enum lun_code
follow_here(struct wait *wait, struct lun_err *err)
{
	const struct timespec pause = {0, LOOK_NS};

	while (!lun_engine_is_running(wait->engine)) {
		enum lun_code code = step_there(wait, err);

		/* A worker has come meanwhile, or is not gone yet. */
		if (code != LUN_CONFIG || !wait->has_worker)
			return code;
		if (is_over(wait))
			return LUN_AGAIN;
		nanosleep(&pause, NULL);
	}
	return follow_worker(wait, err);
}

static enum lun_code
look_at_checkpoint(struct wait *wait, struct lun_err *err)
{
	struct lun_checkpoint checkpoint = {0};
	struct lun_reader *reader;
	enum lun_code code = take_reader(wait, LUN_READS_MODELS, &reader, err);

	if (code != LUN_OK)
		return code;
	code = lun_model_store_checkpoint(
	    reader->models, lun_only_key(wait->projection), &checkpoint, err);
	lun_reader_give_back(wait->engine, reader);
	if (code == LUN_OK) {
		wait->seen = checkpoint.position;
		wait->looked = true;
	}
	lun_checkpoint_free(&checkpoint);
	return code;
}

/* Another process runs it: look at its checkpoint now and then. */
static enum lun_code
follow_checkpoint(struct wait *wait, struct lun_err *err)
{
	const struct timespec pause = {0, LOOK_NS};

	for (;;) {
		enum lun_code code = look_at_checkpoint(wait, err);

		/* No turn for a last look. */
		if (code == LUN_TIMEOUT && wait->looked)
			return LUN_AGAIN;
		if (code != LUN_OK && code != LUN_UNAVAILABLE)
			return code;
		if (has_arrived(wait))
			return LUN_OK;
		if (is_over(wait))
			return LUN_AGAIN;
		nanosleep(&pause, NULL);
	}
}

static enum lun_code
say_timeout(const struct wait *wait, int64_t timeout_ms, struct lun_err *err)
{
	char target[LUN_POSITION_MAX], seen[LUN_POSITION_MAX];
	struct lun_event_store *events = wait->engine->events;
	struct lun_report report = {0};

	if (wait->entry != NULL)
		report = lun_projection_report(wait->entry->p);
	lun_event_store_format_position(events, wait->target, target);
	lun_event_store_format_position(events, wait->seen, seen);
	return lun_fail(err, LUN_TIMEOUT,
	    "%s is at position %s (%s%s%s) after waiting %lld ms for %s",
	    wait->projection, seen,
	    wait->entry != NULL ? lun_state_name(report.state)
				: "run elsewhere, if at all",
	    report.waiting_for[0] != '\0' ? ", waiting for " : "",
	    report.waiting_for, (long long)timeout_ms, target);
}

enum lun_code
lun_engine_wait(struct lun_engine *engine, const char *projection,
    const char *after, int64_t timeout_ms, struct lun_err *err)
{
	struct wait wait = {
	    .engine = engine,
	    .projection = projection,
	    .entry = lun_engine_find(engine, projection),
	    .deadline_ns = lun_clock_deadline_ns(timeout_ms),
	};
	enum lun_code code = find_target(&wait, after, err);

	if (code != LUN_OK)
		return code;
	code = LUN_OWNED;
	if (wait.entry != NULL)
		code = follow_here(&wait, err);
	if (code == LUN_OWNED)
		code = follow_checkpoint(&wait, err);
	return code == LUN_AGAIN ? say_timeout(&wait, timeout_ms, err) : code;
}
