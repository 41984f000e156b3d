/* request.c - appending, and requests to whoever runs a projection. */

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/error.h"
#include "runtime/engine.h"

#define LOOK_NS   10000000L /* between looks for the answer to a request */
#define NS_PER_MS 1000000LL

/* ---- appending --------------------------------------------------------- */

static void
fill_append(const struct lun_new_event *event, struct lun_append *append)
{
	*append = (struct lun_append){
	    .event =
		{
		    .id = lun_text_of(event->id),
		    .stream = lun_text_of(event->stream),
		    .type = lun_text_of(event->type),
		    .data = lun_text_of(event->data),
		    .metadata = lun_text_of(event->metadata),
		    .recorded_at = event->recorded_at,
		},
	    .expected_version = event->expected_version,
	};
}

static void
wake_workers(struct lun_engine *engine)
{
	pthread_mutex_lock(&engine->lock);
	for (size_t i = 0; i < engine->entry_count; i++)
		if (engine->entries[i]->worker != NULL)
			lun_worker_wake(engine->entries[i]->worker);
	pthread_mutex_unlock(&engine->lock);
}

static enum lun_code
append(struct lun_engine *engine, const struct lun_append *appends,
    size_t count, struct lun_append_result *results, struct lun_err *err)
{
	enum lun_code code = LUN_OK;

	pthread_mutex_lock(&engine->append_lock);
	if (engine->appender == NULL) {
		pthread_mutex_lock(&engine->stores_lock);
		code = lun_event_store_connect(
		    engine->events, &engine->appender, err);
		pthread_mutex_unlock(&engine->stores_lock);
	}
	if (code == LUN_OK)
		code = lun_event_store_append(
		    engine->appender, appends, count, results, err);
	pthread_mutex_unlock(&engine->append_lock);
	return code;
}

enum lun_code
lun_engine_append(struct lun_engine *engine, const struct lun_new_event *events,
    size_t count, struct lun_appended *appended, struct lun_err *err)
{
	struct lun_append *appends = calloc(count + 1, sizeof *appends);
	struct lun_append_result *results = calloc(count + 1, sizeof *results);
	enum lun_code code;

	if (appends == NULL || results == NULL) {
		code = lun_fail(err, LUN_NOMEM, "appending: out of memory");
		goto done;
	}
	for (size_t i = 0; i < count; i++)
		fill_append(&events[i], &appends[i]);
	code = append(engine, appends, count, results, err);
	if (code != LUN_OK)
		goto done;
	for (size_t i = 0; appended != NULL && i < count; i++) {
		lun_event_store_format_position(engine->event_reader,
		    results[i].position, appended[i].position);
		appended[i].version = results[i].version;
		appended[i].existed = results[i].existed;
	}
	wake_workers(engine);

done:
	free(appends);
	free(results);
	return code;
}

/* ---- requests ---------------------------------------------------------- */

static enum lun_code
post(struct lun_engine *engine, const char *projection,
    enum lun_request_kind kind, const char *argument, int64_t *number,
    struct lun_err *err)
{
	struct lun_key key = lun_only_key(projection);
	struct lun_request request = {
	    .kind = kind, .build = key.build, .shard = key.shard};
	enum lun_code code;

	if (argument != NULL && strlen(argument) > LUN_MODEL_ID_MAX)
		return lun_fail(err, LUN_INVALID,
		    "%s: argument too long: %.40s", projection, argument);
	snprintf(
	    request.projection, sizeof request.projection, "%s", projection);
	snprintf(request.argument, sizeof request.argument, "%s",
	    argument != NULL ? argument : "");
	pthread_mutex_lock(&engine->answer_lock);
	code = lun_model_store_request_post(
	    engine->model_reader, &request, number, err);
	pthread_mutex_unlock(&engine->answer_lock);
	return code;
}

static enum lun_code
look_for_result(struct lun_engine *engine, int64_t number, bool withdraw,
    struct lun_err *err)
{
	enum lun_code code;

	pthread_mutex_lock(&engine->answer_lock);
	code = lun_model_store_request_result(
	    engine->model_reader, number, withdraw, err);
	pthread_mutex_unlock(&engine->answer_lock);
	return code;
}

/* Leave the request for the engine that runs the projection, and wait. */
static enum lun_code
ask_owner(struct lun_engine *engine, const char *projection,
    enum lun_request_kind kind, const char *argument, int64_t timeout_ms,
    struct lun_err *err)
{
	const struct timespec pause = {0, LOOK_NS};
	int64_t deadline = lun_clock_mono_ns() + timeout_ms * NS_PER_MS;
	int64_t number;
	enum lun_code code =
	    post(engine, projection, kind, argument, &number, err);

	if (code != LUN_OK)
		return code;
	wake_workers(engine);
	for (;;) {
		code = look_for_result(engine, number, false, err);
		if (code != LUN_AGAIN && code != LUN_UNAVAILABLE)
			return code;
		if (lun_clock_mono_ns() >= deadline)
			break;
		nanosleep(&pause, NULL);
	}
	code = look_for_result(engine, number, true, err);
	if (code != LUN_AGAIN)
		return code;
	return lun_fail(err, LUN_TIMEOUT,
	    "%s: the engine that runs it did not answer within %lld ms",
	    projection, (long long)timeout_ms);
}

/* Execute it here, as nobody runs the projection. LUN_HELD: somebody does. */
static enum lun_code
execute(struct lun_projection *p, enum lun_request_kind kind,
    const char *argument, struct lun_err *err)
{
	bool owned = p->owned;
	enum lun_code code = lun_projection_own(p, err);

	if (code != LUN_OK)
		return code;
	code = lun_projection_execute(p, kind, argument, err);
	if (!owned)
		lun_projection_disown(p);
	return code;
}

static enum lun_code
check_known(
    struct lun_engine *engine, const char *projection, struct lun_err *err)
{
	struct lun_checkpoint checkpoint = {0};
	enum lun_code code;

	pthread_mutex_lock(&engine->answer_lock);
	code = lun_model_store_checkpoint(
	    engine->model_reader, lun_only_key(projection), &checkpoint, err);
	pthread_mutex_unlock(&engine->answer_lock);
	lun_checkpoint_free(&checkpoint);
	return code;
}

static enum lun_code
execute_unregistered(struct lun_engine *engine, const char *projection,
    enum lun_request_kind kind, const char *argument, struct lun_err *err)
{
	struct lun_projection *p;
	enum lun_code code = check_known(engine, projection, err);

	if (code == LUN_OK)
		code = lun_projection_new(
		    projection, NULL, &engine->around, &p, err);
	if (code != LUN_OK)
		return code;
	code = execute(p, kind, argument, err);
	lun_projection_free(p);
	return code;
}

/* LUN_HELD if a worker or another engine has it. */
static enum lun_code
execute_registered(struct lun_engine *engine, struct lun_entry *entry,
    enum lun_request_kind kind, const char *argument, struct lun_err *err)
{
	enum lun_code code = lun_entry_take(engine, entry, err);

	if (code != LUN_OK)
		return code == LUN_CONFIG ? LUN_HELD : code;
	code = execute(entry->p, kind, argument, err);
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

enum lun_code
lun_engine_request(struct lun_engine *engine, const char *projection,
    enum lun_request_kind kind, const char *argument, int64_t timeout_ms,
    struct lun_err *err)
{
	struct lun_entry *entry = lun_engine_find(engine, projection);
	enum lun_code code;

	if (kind == LUN_REQUEST_SET_CHECKPOINT && argument == NULL)
		return lun_fail(err, LUN_INVALID,
		    "%s: setting the checkpoint needs a position", projection);
	if (entry == NULL || is_detached(entry))
		code = execute_unregistered(
		    engine, projection, kind, argument, err);
	else
		code = execute_registered(engine, entry, kind, argument, err);
	if (code != LUN_HELD)
		return code;
	return ask_owner(engine, projection, kind, argument, timeout_ms, err);
}
