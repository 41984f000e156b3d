/* request.c - requests to whoever runs a projection. */

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "api/positions.h"
#include "base/clock.h"
#include "base/error.h"
#include "runtime/engine.h"

#define LOOK_NS 10000000L  /* between looks for the answer to a request */
#define LEFT_NS 500000000L /* and for its owner, who may be gone */

/* Requests are written, so no reader will do. */
static enum lun_code
connect_models(struct lun_engine *engine, struct lun_model_store **out,
    struct lun_err *err)
{
	enum lun_code code;

	pthread_mutex_lock(&engine->stores_lock);
	code = lun_model_store_connect(engine->models, out, err);
	pthread_mutex_unlock(&engine->stores_lock);
	return code;
}

static enum lun_code
post_request(struct lun_model_store *models, const char *projection,
    enum lun_request_kind kind, const char *argument, int64_t *number,
    struct lun_err *err)
{
	struct lun_key key = lun_only_key(projection);
	struct lun_request request = {
	    .kind = kind, .build = key.build, .shard = key.shard};

	if (argument != NULL && strlen(argument) > LUN_MODEL_ID_MAX)
		return lun_fail(err, LUN_INVALID,
		    "%s: argument too long: %.40s", projection, argument);
	snprintf(
	    request.projection, sizeof request.projection, "%s", projection);
	snprintf(request.argument, sizeof request.argument, "%s",
	    argument != NULL ? argument : "");
	return lun_model_store_request_post(models, &request, number, err);
}

static void
pause_a_little(void)
{
	const struct timespec pause = {0, LOOK_NS};

	nanosleep(&pause, NULL);
}

/* A request that somebody else is to execute. */
struct asked {
	struct lun_engine *engine;
	struct lun_model_store *models;
	const char *projection;
	int64_t number;
	int64_t deadline_ns;
	bool left; /* withdrawn, as nobody runs the projection any more */
};

/* Who owns it executes nothing meanwhile; what was done before has an outcome. */
static enum lun_code
withdraw_if_left(
    struct asked *asked, struct lun_err *outcome, struct lun_err *err)
{
	struct lun_key key = lun_only_key(asked->projection);
	char holder[LUN_OWNER_SIZE];
	int64_t fence;
	enum lun_code code =
	    lun_model_store_acquire(asked->models, key, asked->engine->owner,
		asked->engine->settings.lease_ms, &fence, holder, NULL);

	if (code != LUN_OK)
		return LUN_OK; /* somebody runs it, or it is asked again */
	code = lun_model_store_request_result(
	    asked->models, asked->number, true, outcome, err);
	asked->left = code == LUN_OK && outcome->code == LUN_AGAIN;
	lun_model_store_release(asked->models, key, fence);
	return code;
}

/* outcome: LUN_AGAIN where the time is up or it was left, and withdrawn. */
static enum lun_code
wait_for_result(
    struct asked *asked, struct lun_err *outcome, struct lun_err *err)
{
	int64_t left_ns = lun_clock_mono_ns() + LEFT_NS;

	for (;;) {
		int64_t now = lun_clock_mono_ns();
		enum lun_code code = lun_model_store_request_result(
		    asked->models, asked->number, false, outcome, err);

		if (code == LUN_OK && outcome->code == LUN_AGAIN &&
		    now >= left_ns) {
			code = withdraw_if_left(asked, outcome, err);
			left_ns = now + LEFT_NS;
		}
		if (code != LUN_OK && code != LUN_UNAVAILABLE)
			return code;
		if (code == LUN_OK &&
		    (asked->left || outcome->code != LUN_AGAIN))
			return code;
		if (now >= asked->deadline_ns)
			return lun_model_store_request_result(
			    asked->models, asked->number, true, outcome, err);
		pause_a_little();
	}
}

/* What status says of it tells why. */
static enum lun_code
fail_in_vain(struct lun_model_store *models, const char *projection,
    int64_t timeout_ms, struct lun_err *err)
{
	struct lun_heartbeat heartbeat;

	if (lun_model_store_heartbeat(
		models, lun_only_key(projection), &heartbeat, NULL) == LUN_OK &&
	    heartbeat.waiting_for[0] != '\0')
		return lun_fail(err, LUN_TIMEOUT,
		    "%s: the engine that runs it could not do it within %lld "
		    "ms, and will not do it any more: %s",
		    projection, (long long)timeout_ms, heartbeat.waiting_for);
	return lun_fail(err, LUN_TIMEOUT,
	    "%s: the engine that runs it did not answer within %lld ms",
	    projection, (long long)timeout_ms);
}

/*
 * Leave the request for the engine that runs the projection, and wait. left:
 * that one is gone, and nothing was done.
 */
static enum lun_code
ask_owner(struct lun_engine *engine, const char *projection,
    enum lun_request_kind kind, const char *argument, int64_t timeout_ms,
    int64_t deadline_ns, bool *left, struct lun_err *err)
{
	struct asked asked = {.engine = engine,
	    .projection = projection,
	    .deadline_ns = deadline_ns};
	enum lun_code code = connect_models(engine, &asked.models, err);
	struct lun_err outcome = {0};

	if (code != LUN_OK)
		return code;
	code = post_request(
	    asked.models, projection, kind, argument, &asked.number, err);
	if (code == LUN_OK) {
		lun_engine_wake(engine);
		code = wait_for_result(&asked, &outcome, err);
	}
	*left = asked.left;
	if (code == LUN_OK && outcome.code == LUN_AGAIN && !asked.left)
		code = fail_in_vain(asked.models, projection, timeout_ms, err);
	else if (code == LUN_OK && outcome.code != LUN_OK && !asked.left)
		code = lun_fail(err, outcome.code, "%s", outcome.message);
	lun_model_store_close(asked.models);
	return code;
}

/* As long as something is locked or away, until the time is up. */
static enum lun_code
execute_patiently(struct lun_projection *p, enum lun_request_kind kind,
    const char *argument, int64_t deadline_ns, struct lun_err *err)
{
	enum lun_code code;

	for (;;) {
		code = lun_projection_own(p, err);
		if (code == LUN_OK)
			code = lun_projection_execute(p, kind, argument, err);
		if (code != LUN_UNAVAILABLE ||
		    lun_clock_mono_ns() >= deadline_ns)
			return code;
		pause_a_little();
	}
}

/* Execute it here, as nobody runs the projection. LUN_OWNED: somebody does. */
static enum lun_code
execute_here(struct lun_projection *p, enum lun_request_kind kind,
    const char *argument, int64_t deadline_ns, struct lun_err *err)
{
	bool owned = lun_projection_is_owned(p);
	enum lun_code code =
	    execute_patiently(p, kind, argument, deadline_ns, err);

	if (!owned)
		lun_projection_disown(p);
	return code;
}

static enum lun_code
check_known(struct lun_engine *engine, const char *projection,
    int64_t deadline_ns, struct lun_err *err)
{
	const struct lun_reading reading = {.what = "a request to",
	    .projection = projection,
	    .stores = LUN_READS_MODELS,
	    .deadline_ns = deadline_ns};
	struct lun_checkpoint checkpoint = {0};
	struct lun_reader *reader;
	enum lun_code code = lun_reader_take(engine, &reading, &reader, err);

	if (code != LUN_OK)
		return code;
	code = lun_model_store_checkpoint(
	    reader->models, lun_only_key(projection), &checkpoint, err);
	lun_reader_give_back(engine, reader);
	lun_checkpoint_free(&checkpoint);
	return code;
}

static enum lun_code
execute_unregistered(struct lun_engine *engine, const char *projection,
    enum lun_request_kind kind, const char *argument, int64_t deadline_ns,
    struct lun_err *err)
{
	struct lun_projection *p;
	enum lun_code code = check_known(engine, projection, deadline_ns, err);

	if (code == LUN_OK)
		code = lun_projection_new(
		    projection, NULL, &engine->around, &p, err);
	if (code != LUN_OK)
		return code;
	code = execute_here(p, kind, argument, deadline_ns, err);
	lun_projection_free(p);
	return code;
}

/* What a request carries to whoever executes it. */
union carried {
	char position[LUN_POSITION_MAX];
	char identity[LUN_IDENTITY_SIZE];
	char hash[LUN_BUNDLE_HASH_SIZE];
};

/*
 * LUN_OWNED if a worker or another engine has it. That one is to build the text
 * that was registered here.
 */
static enum lun_code
execute_registered(struct lun_engine *engine, struct lun_entry *entry,
    enum lun_request_kind kind, union carried *carried, const char **argument,
    int64_t deadline_ns, struct lun_err *err)
{
	enum lun_code code = lun_entry_take(engine, entry, err);

	if (code != LUN_OK)
		return code == LUN_CONFIG ? LUN_OWNED : code;
	code = execute_here(entry->p, kind, *argument, deadline_ns, err);
	if (code == LUN_OWNED && kind == LUN_REQUEST_REBUILD) {
		snprintf(carried->hash, sizeof carried->hash, "%s",
		    lun_script_hash(entry->p->script));
		*argument = carried->hash;
	}
	lun_entry_give_back(entry);
	return code;
}

/* Its worker has let go of it, as its script is gone. */
static bool
is_detached(struct lun_entry *entry)
{
	struct lun_report report = lun_projection_report(entry->p);

	return report.state == LUN_STATE_DETACHED && !report.owned;
}

/* The event store's own text. */
static enum lun_code
write_position(struct lun_engine *engine, const char *projection,
    const char *argument, int64_t deadline_ns, char text[LUN_POSITION_MAX],
    struct lun_err *err)
{
	struct lun_position position;
	enum lun_code code;

	if (argument == NULL)
		return lun_fail(err, LUN_INVALID,
		    "%s: setting the checkpoint needs a position", projection);
	code = lun_position_read(engine, projection, lun_text_of(argument),
	    deadline_ns, &position, err);
	if (code == LUN_OK)
		lun_event_store_format_position(engine->events, position, text);
	return code;
}

static enum lun_code
write_argument(struct lun_engine *engine, const char *projection,
    enum lun_request_kind kind, int64_t deadline_ns, union carried *carried,
    const char **argument, struct lun_err *err)
{
	enum lun_code code;

	if (kind == LUN_REQUEST_SET_CHECKPOINT) {
		code = write_position(engine, projection, *argument,
		    deadline_ns, carried->position, err);
		*argument = carried->position;
		return code;
	}
	if (kind == LUN_REQUEST_ADOPT_CHECKPOINT) {
		code = lun_event_store_identity(
		    engine->events, carried->identity, err);
		*argument = carried->identity;
		return code;
	}
	return LUN_OK;
}

/* left as above. */
static enum lun_code
execute_or_ask(struct lun_engine *engine, const char *projection,
    enum lun_request_kind kind, const char *argument, int64_t timeout_ms,
    int64_t deadline_ns, bool *left, struct lun_err *err)
{
	struct lun_entry *entry = lun_engine_find(engine, projection);
	union carried carried;
	enum lun_code code = write_argument(
	    engine, projection, kind, deadline_ns, &carried, &argument, err);

	if (code != LUN_OK)
		return code;
	if (entry == NULL || is_detached(entry))
		code = execute_unregistered(
		    engine, projection, kind, argument, deadline_ns, err);
	else
		code = execute_registered(
		    engine, entry, kind, &carried, &argument, deadline_ns, err);
	if (code == LUN_OWNED)
		code = ask_owner(engine, projection, kind, argument, timeout_ms,
		    deadline_ns, left, err);
	return code;
}

enum lun_code
lun_engine_request(struct lun_engine *engine, const char *projection,
    enum lun_request_kind kind, const char *argument, int64_t timeout_ms,
    struct lun_err *err)
{
	int64_t deadline_ns = lun_clock_deadline_ns(timeout_ms);
	enum lun_code code;
	bool left;

	/* A host may hand over any number. */
	if ((unsigned)kind > LUN_REQUEST_ADOPT_CHECKPOINT)
		return lun_fail(err, LUN_INVALID,
		    "%s: there is no request of kind %d", projection,
		    (int)kind);
	do {
		left = false;
		code = execute_or_ask(engine, projection, kind, argument,
		    timeout_ms, deadline_ns, &left, err);
	} while (code == LUN_OK && left);
	return code;
}
