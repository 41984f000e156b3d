/* append.c - events into the event store. */

#include <stdlib.h>

#include "api/positions.h"
#include "base/clock.h"
#include "base/error.h"
#include "data/token.h"
#include "runtime/engine.h"

/* What no event can have is refused by the store, also where 0 means now. */
static int64_t
recorded_at(const struct lun_new_event *event)
{
	if (event->recorded_at == 0 && !event->at_epoch)
		return LUN_TIME_UNKNOWN;
	return event->recorded_at == LUN_TIME_UNKNOWN ? LUN_TIME_INFINITY
						      : event->recorded_at;
}

static void
fill_append(
    const struct lun_new_event *event, struct lun_append *append_to_store)
{
	*append_to_store = (struct lun_append){
	    .event =
		{
		    .id = lun_text_of(event->id),
		    .tenant = lun_text_of(event->tenant),
		    .stream = lun_text_of(event->stream),
		    .type = lun_text_of(event->type),
		    .data = lun_text_of(event->data),
		    .metadata = lun_text_of(event->metadata),
		    .recorded_at = recorded_at(event),
		},
	    .expected_version = event->expected_version,
	};
}

static enum lun_code
append_to_store(struct lun_engine *engine, const struct lun_append *appends,
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

static void
describe_results(struct lun_engine *engine,
    const struct lun_append_result *results, size_t count,
    struct lun_appended *appended)
{
	char identity[LUN_IDENTITY_SIZE];

	lun_position_identity(engine, NULL, identity);
	for (size_t i = 0; i < count; i++) {
		struct lun_appended *to = &appended[i];

		to->version = results[i].version;
		to->existed = results[i].existed;
		lun_event_store_format_position(
		    engine->events, results[i].position, to->position);
		to->token[0] = '\0';
		if (identity[0] != '\0')
			lun_token_format(
			    identity, results[i].position, to->token);
	}
}

enum lun_code
lun_engine_append(struct lun_engine *engine, const struct lun_new_event *events,
    size_t count, struct lun_appended *appended, struct lun_err *err)
{
	size_t room = count > 0 ? count : 1;
	struct lun_append *appends = calloc(room, sizeof *appends);
	struct lun_append_result *results = calloc(room, sizeof *results);
	enum lun_code code;

	if (appends == NULL || results == NULL) {
		code = lun_fail(err, LUN_NOMEM, "appending: out of memory");
		goto done;
	}
	for (size_t i = 0; i < count; i++)
		fill_append(&events[i], &appends[i]);
	code = append_to_store(engine, appends, count, results, err);
	if (code != LUN_OK)
		goto done;
	if (appended != NULL)
		describe_results(engine, results, count, appended);
	lun_engine_wake_readers(engine);

done:
	free(appends);
	free(results);
	return code;
}
