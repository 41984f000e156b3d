/*
 * apply.c - a batch through the script, and what becomes of failures.
 *
 * Why no event is lost or applied twice here. Every event that reaches a
 * model ends in exactly one way: its row is put, it is parked, it is skipped,
 * or the pass ends before the batch is committed. The first three wait in the
 * unit of work and in two lists, which one commit writes with the position.
 * A pass that ends early throws all of that away (cut_batch() here, the step
 * after a failure) and moves no position, so the same events are read again.
 * An event is blamed only when nothing else can be: it is alone in its batch
 * if it spent a budget, and the first of it if it stops the projection or is
 * tried again, so what came before it is committed and what follows has not
 * begun. Later events of a model with a parked one are parked too, which keeps
 * their order. Parked events that are tried again take the same way; they stay
 * stored until the commit that has their models.
 */

#include "base/clock.h"
#include "base/error.h"
#include "projection/projection.h"

#define QUEUED "waits behind an earlier parked event of this model"

/* One batch on its way through the script. */
struct pass {
	struct lun_projection *p;
	const struct lun_batch *batch;
	struct lun_retrial *retrial;           /* NULL: events of the log */
	const struct lun_failed_event *parked; /* its items */
	struct lun_step *step; /* not LUN_STEP_APPLIED: it ends here */
	size_t room;  /* bytes of models, and of events that are set aside */
	bool crammed; /* rows were left out, as they are too many bytes */
	size_t ready; /* events whose models are known */
	bool strange; /* many models of the last slice were not known */
};

/* Nothing of the batch remains; it is read again, cut to `events`. */
static enum lun_code
cut_batch(struct pass *pass, size_t events, enum lun_step_outcome outcome,
    struct lun_err *err)
{
	enum lun_code code = lun_projection_settle(pass->p, err);

	if (code != LUN_OK)
		return code;
	lun_projection_abandon_batch(pass->p);
	pass->step->outcome = outcome;
	pass->step->cut = events > 0 ? events : 1;
	return LUN_OK;
}

/* How often an event may be tried again; parked ones have had their tries. */
static int
count_retries(const struct pass *pass)
{
	return pass->retrial != NULL ? 0 : lun_script_retries(pass->p->script);
}

/* Whether the failed event is to be tried again later, and when. */
static bool
schedule_retry(const struct pass *pass, const struct lun_event *event,
    const struct lun_err *err)
{
	struct lun_projection *p = pass->p;
	const struct lun_settings *settings = p->around->settings;
	int64_t pause_ms = settings->retry_ms;

	if (count_retries(pass) == 0)
		return false;
	if (lun_position_compare(p->suspect, event->position) != 0) {
		p->suspect = event->position;
		p->attempts = 0;
	}
	if (p->attempts >= count_retries(pass))
		return false;
	for (int i = 0; i < p->attempts && pause_ms < settings->retry_max_ms;
	     i++)
		pause_ms *= 2;
	if (pause_ms > settings->retry_max_ms)
		pause_ms = settings->retry_max_ms;
	p->attempts++;
	p->retry_at_ns = lun_clock_deadline_ns(pause_ms);
	lun_projection_wait_for(p, "the next try of an event that failed");
	lun_log(p->around->log, LUN_LOG_WARNING,
	    "%s; try %d of %d again in %lld ms", err->message, p->attempts,
	    lun_script_retries(p->script), (long long)pause_ms);
	return true;
}

static enum lun_code
add_failure(struct lun_projection *p, struct lun_failed_events *list,
    const struct lun_event *event, struct lun_text model_id,
    const char *message, struct lun_err *err)
{
	if (!lun_failed_events_add(list, model_id, event, lun_text_of(message)))
		return lun_fail(err, LUN_NOMEM, "%s: out of memory", p->name);
	return LUN_OK;
}

/* A parked event that stays so, now for this reason. */
static enum lun_code
keep_parked(
    struct pass *pass, size_t at, const char *message, struct lun_err *err)
{
	pass->retrial->fates[at] = LUN_FATE_FAILED;
	if (!lun_failed_events_set_error(
		pass->retrial->list, at, lun_text_of(message)))
		return lun_fail(
		    err, LUN_NOMEM, "%s: out of memory", pass->p->name);
	return LUN_OK;
}

static enum lun_code
park_event(struct pass *pass, size_t at, struct lun_model *model,
    const char *message, struct lun_err *err)
{
	struct lun_projection *p = pass->p;

	lun_uow_park(p->uow, model);
	if (pass->retrial != NULL)
		return keep_parked(pass, at, message, err);
	return add_failure(
	    p, &p->parked, &pass->batch->events[at], model->id, message, err);
}

/* Say in err which event it was. */
static void
name_event(struct lun_projection *p, const struct lun_event *event,
    struct lun_err *err)
{
	char position[LUN_POSITION_MAX];

	lun_event_store_format_position(
	    p->around->events, event->position, position);
	(void)lun_wrap(err, err->code, "%s: event %s (%.*s on %.*s)", p->name,
	    position, LUN_TEXT_ARG(event->type), LUN_TEXT_ARG(event->stream));
}

/* What the script wishes, as far as that can be. */
static enum lun_on_error
find_policy(const struct pass *pass, const struct lun_model *model)
{
	enum lun_on_error policy = lun_script_on_error(pass->p->script);

	if (pass->retrial != NULL)
		return LUN_ON_ERROR_PARK;
	/* Then there is nothing to park it under. */
	if (policy == LUN_ON_ERROR_PARK && model == NULL)
		return LUN_ON_ERROR_STOP;
	return policy;
}

/*
 * Whether the batch has to be cut and read again before the event is judged:
 * one that stops the projection or is tried again later comes first in its
 * batch, and one that spent a budget is alone in it, because the others may
 * have filled the memory.
 */
static bool
must_cut(const struct pass *pass, size_t at, enum lun_on_error policy,
    enum lun_code code)
{
	if (code == LUN_BUDGET)
		return pass->batch->count > 1;
	return at > 0 &&
	       (policy == LUN_ON_ERROR_STOP || count_retries(pass) > 0);
}

/*
 * An event that failed is not tried again: what becomes of it. err says which
 * event it was; an event that is set aside says that itself, so message is
 * what is kept with it.
 */
static enum lun_code
settle_event(struct pass *pass, size_t at, struct lun_model *model,
    enum lun_on_error policy, const char *message, struct lun_err *err)
{
	struct lun_projection *p = pass->p;

	lun_projection_note_error(p, err);
	if (policy == LUN_ON_ERROR_STOP) {
		p->attempts = 0; /* whoever starts it again has them all */
		return err->code;
	}
	if (policy == LUN_ON_ERROR_PARK)
		return park_event(pass, at, model, message, err);
	return add_failure(p, &p->skipped, &pass->batch->events[at],
	    model != NULL ? model->id : LUN_TEXT_NONE, message, err);
}

/*
 * What becomes of an event that failed, now or once it was isolated. model is
 * NULL if it failed in extract_model_id.
 */
static enum lun_code
judge_event(
    struct pass *pass, size_t at, struct lun_model *model, struct lun_err *err)
{
	struct lun_projection *p = pass->p;
	const struct lun_event *event = &pass->batch->events[at];
	enum lun_on_error policy = find_policy(pass, model);
	struct lun_err unnamed = *err;

	name_event(p, event, err);
	if (unnamed.code == LUN_BUDGET &&
	    lun_script_renew(p->script, err) != LUN_OK)
		return err->code;
	if (must_cut(pass, at, policy, unnamed.code))
		return cut_batch(pass, at, LUN_STEP_REPEAT, err);
	if (schedule_retry(pass, event, err))
		return cut_batch(pass, 1, LUN_STEP_WAITING, err);
	if (pass->retrial != NULL && pass->retrial->first.code == LUN_OK)
		pass->retrial->first = unnamed;
	return settle_event(pass, at, model, policy, unnamed.message, err);
}

static bool
is_script_failure(enum lun_code code)
{
	return code == LUN_SCRIPT || code == LUN_BUDGET;
}

/* Whether the pass goes on after an event that failed. */
static bool
goes_on(const struct pass *pass, enum lun_code code)
{
	return code == LUN_OK && pass->step->outcome == LUN_STEP_APPLIED;
}

/* No policy helps: it is an operator's decision, made before the event. */
static enum lun_code
refuse_event(struct pass *pass, size_t at, struct lun_err *err)
{
	if (at > 0)
		return cut_batch(pass, at, LUN_STEP_REPEAT, err);
	name_event(pass->p, &pass->batch->events[at], err);
	return err->code;
}

static enum lun_code
extract_models(struct pass *pass, size_t at, size_t end, struct lun_err *err)
{
	struct lun_projection *p = pass->p;

	for (;; at++) {
		enum lun_code code = lun_script_extract(
		    p->script, pass->batch, p->uow, &at, end, err);

		if (code == LUN_CONFIG)
			return refuse_event(pass, at, err);
		if (!is_script_failure(code) ||
		    lun_projection_is(p, LUN_PHASE_ABANDONED))
			return code;
		code = judge_event(pass, at, NULL, err);
		if (!goes_on(pass, code))
			return code;
	}
}

/* Touch the models of parked events as if none were parked. */
static enum lun_code
touch_parked(struct pass *pass, size_t at, size_t end, struct lun_err *err)
{
	struct lun_projection *p = pass->p;

	for (; at < end; at++) {
		pass->retrial->fates[at] = LUN_FATE_APPLIED;
		if (!lun_uow_touch(
			p->uow, (uint32_t)at, pass->parked[at].model_id))
			return lun_fail(
			    err, LUN_NOMEM, "%s: out of memory", p->name);
	}
	return LUN_OK;
}

static size_t
bytes_of_failed(const struct lun_failed_events *list)
{
	return list->events != NULL ? list->events->bytes : 0;
}

static bool
is_too_large(const struct pass *pass)
{
	const struct lun_projection *p = pass->p;

	return lun_uow_touched_bytes(p->uow) + bytes_of_failed(&p->parked) +
		   bytes_of_failed(&p->skipped) >
	       pass->room;
}

/* The events from `at` to `end` are too many for the batch. */
static enum lun_code
cut_too_large(struct pass *pass, size_t at, size_t end, struct lun_err *err)
{
	bool is_slice = end - at <= LUN_SCRIPT_SLICE;

	pass->step->too_large = true;
	return cut_batch(pass, at > 0 && is_slice ? at : at + (end - at) / 2,
	    LUN_STEP_REPEAT, err);
}

static enum lun_code
keep_loaded(
    void *arg, struct lun_text id, struct lun_text row, struct lun_err *err)
{
	struct pass *pass = arg;

	pass->crammed =
	    pass->crammed || (pass->batch->count > 1 && is_too_large(pass));
	if (pass->crammed)
		return LUN_OK; /* it is read again with fewer events */
	if (!lun_uow_loaded(pass->p->uow, id, row))
		return lun_fail(err, LUN_NOMEM, "out of memory");
	return LUN_OK;
}

/* Ask the store for the rows of the batch's models that are not known. */
static enum lun_code
load_models(struct pass *pass, size_t at, size_t end, struct lun_err *err)
{
	struct lun_projection *p = pass->p;
	const struct lun_text *ids;
	size_t count;
	enum lun_code code = lun_uow_missing(p->uow, &ids, &count, err);

	pass->strange = count > (end - at) / 8;
	if (code == LUN_OK && count > 0)
		code = lun_model_store_load(p->models, p->key,
		    lun_script_schema(p->script), ids, count, keep_loaded, pass,
		    err);
	if (code == LUN_OK && pass->crammed)
		return cut_too_large(pass, at, end, err);
	if (code == LUN_OK)
		lun_uow_missing_done(p->uow);
	return code;
}

/* What a touch is about: an event of the batch, and a model. */
static struct lun_touch
find_touch(const struct pass *pass, size_t at, struct lun_model **model)
{
	size_t count;
	struct lun_touch touch = lun_uow_touches(pass->p->uow, &count)[at];

	*model = lun_uow_model(pass->p->uow, touch.model);
	return touch;
}

/* A touch the script host stopped at: its model has parked events. */
static enum lun_code
queue_touch(struct pass *pass, size_t at, struct lun_err *err)
{
	struct lun_model *model;
	struct lun_touch touch = find_touch(pass, at, &model);

	if (pass->retrial == NULL)
		return park_event(pass, touch.event, model, QUEUED, err);
	pass->retrial->fates[touch.event] = LUN_FATE_QUEUED;
	return LUN_OK;
}

static enum lun_code
judge_touch(struct pass *pass, size_t at, struct lun_err *err)
{
	struct lun_model *model;
	struct lun_touch touch = find_touch(pass, at, &model);

	return judge_event(pass, touch.event, model, err);
}

/* Of the events before `end`, from the touch at `at` on. */
static enum lun_code
apply_touches(struct pass *pass, size_t *at, size_t end, struct lun_err *err)
{
	struct lun_projection *p = pass->p;

	for (;; ++*at) {
		enum lun_code code = lun_script_apply(
		    p->script, pass->batch, p->uow, at, end, err);

		if (lun_projection_is(p, LUN_PHASE_ABANDONED))
			return code;
		if (code == LUN_AGAIN)
			code = queue_touch(pass, *at, err);
		else if (is_script_failure(code))
			code = judge_touch(pass, *at, err);
		else
			return code;
		if (!goes_on(pass, code))
			return code;
	}
}

static size_t
end_of_slice(const struct pass *pass, size_t at)
{
	return pass->batch->count - at > LUN_SCRIPT_SLICE
		   ? at + LUN_SCRIPT_SLICE
		   : pass->batch->count;
}

/* Find out which models the events are about, and what these are. */
static enum lun_code
get_ready(struct pass *pass, size_t at, size_t end, struct lun_err *err)
{
	enum lun_code code = LUN_OK;

	for (size_t from = at; goes_on(pass, code) && from < end;
	     from = pass->ready) {
		if (from > at && is_too_large(pass))
			return cut_too_large(pass, at, from, err);
		pass->ready = end_of_slice(pass, from);
		code = pass->retrial != NULL
			   ? touch_parked(pass, from, pass->ready, err)
			   : extract_models(pass, from, pass->ready, err);
	}
	return goes_on(pass, code) ? load_models(pass, at, end, err) : code;
}

/*
 * In slices, so that an event is applied while it is still in the cache. Where
 * the models of one were strange, those of all others are loaded at once: in
 * their order that takes a fraction of the time.
 */
static enum lun_code
apply_all(struct pass *pass, struct lun_err *err)
{
	enum lun_code code = LUN_OK;
	size_t touch = 0;

	for (size_t at = 0, end; goes_on(pass, code) && at < pass->batch->count;
	     at = end) {
		end = end_of_slice(pass, at);
		if (at > 0 && is_too_large(pass))
			return cut_too_large(pass, at, end, err);
		if (at == pass->ready)
			code = get_ready(pass, at,
			    pass->strange ? pass->batch->count : end, err);
		if (goes_on(pass, code))
			code = apply_touches(pass, &touch, end, err);
	}
	return code;
}

enum lun_code
lun_projection_apply(struct lun_projection *p, const struct lun_batch *batch,
    struct lun_retrial *retrial, struct lun_step *step, struct lun_err *err)
{
	struct lun_shares shares = lun_memory_share(p->around->memory);
	struct pass pass = {
	    p, batch, retrial, NULL, step, .room = shares.touched};
	enum lun_code code;

	step->outcome = LUN_STEP_APPLIED;
	if (retrial != NULL)
		pass.parked = lun_failed_events_items(retrial->list);
	lun_uow_limit(
	    p->uow, batch->at_head ? shares.idle_models : shares.models);
	lun_uow_begin(p->uow);
	code = apply_all(&pass, err);
	if (!lun_projection_is(p, LUN_PHASE_ABANDONED))
		lun_script_end_batch(p->script);
	return code;
}
