/* event_store.c - how the engine calls an event store. */

#include "store/event_store.h"

#include <assert.h>
#include <stdlib.h>
#include <uuid/uuid.h>

#include "base/clock.h"
#include "base/error.h"
#include "store/driver.h"
#include "store/tenants.h"
#include "json/scan.h"

#define UUID_SIZE 37 /* with its NUL */

/* ---- opening and closing ----------------------------------------------- */

enum lun_code
lun_event_store_open(const char *url, const struct lun_store_options *options,
    struct lun_event_store **out, struct lun_err *err)
{
	const char *rest;
	const struct lun_driver *driver = lun_driver_find(url, &rest);

	if (driver == NULL || driver->events == NULL)
		return lun_fail(err, LUN_CONFIG,
		    "event store \"%.*s\": no such kind of store; write "
		    "sqlite:PATH or memory:, or "
		    "postgres://USER@HOST/DATABASE",
		    (int)strcspn(url, ": =/@"), url);
	assert(driver->events->abi == LUN_EVENT_STORE_ABI);
	return driver->events->open(rest, options, out, err);
}

enum lun_code
lun_event_store_connect(struct lun_event_store *store,
    struct lun_event_store **out, struct lun_err *err)
{
	return store->ops->connect(store, out, err);
}

void
lun_event_store_close(struct lun_event_store *store)
{
	if (store == NULL)
		return;
	lun_event_store_rollback(store);
	store->ops->close(store);
}

/* ---- reading ----------------------------------------------------------- */

/* What no event can have need not reach a store, nor its server's messages. */
static enum lun_code
check_searched(const char *what, struct lun_text name, struct lun_err *err)
{
	if (lun_utf8_valid(name) &&
	    (name.length == 0 || memchr(name.bytes, '\0', name.length) == NULL))
		return LUN_OK;
	return lun_fail(err, LUN_INVALID,
	    "the %s that is looked for is no text: it is not UTF-8, or has a "
	    "NUL byte",
	    what);
}

static enum lun_code
check_filter(const struct lun_event_filter *filter, struct lun_err *err)
{
	enum lun_code code = check_searched("stream", filter->stream, err);

	for (size_t i = 0; i < filter->type_count && code == LUN_OK; i++)
		code = check_searched("type", filter->types[i], err);
	return code;
}

enum lun_code
lun_event_store_identity(struct lun_event_store *store,
    char identity[LUN_IDENTITY_SIZE], struct lun_err *err)
{
	return store->ops->identity(store, identity, err);
}

enum lun_code
lun_event_store_read(struct lun_event_store *store,
    const struct lun_read *request, struct lun_batch *batch,
    struct lun_err *err)
{
	struct lun_read inner = *request;
	struct lun_tenants tenants;
	int64_t began;
	enum lun_code code = lun_tenants_split(
	    request->source_state, &tenants, &inner.source_state, err);

	assert(request->max_events > 0);
	assert(!lun_read_is_bounded(request) ||
	       lun_position_compare(request->upto, request->after) >= 0);
	lun_batch_clear(batch);
	if (code == LUN_OK)
		code = check_filter(&request->filter, err);
	began = lun_clock_mono_ns();
	if (code == LUN_OK)
		code = store->ops->read(store, &inner, batch, err);
	if (code != LUN_OK)
		return code;
	if (batch->look_us == 0)
		batch->look_us = (lun_clock_mono_ns() - began) / 1000;
	if (store->has_tenants)
		lun_tenants_see(&tenants, batch);
	return lun_tenants_join(&tenants, &batch->source_state, err);
}

enum lun_code
lun_event_store_head(struct lun_event_store *store, struct lun_position *head,
    struct lun_err *err)
{
	return store->ops->head(store, head, err);
}

enum lun_code
lun_event_store_lag(struct lun_event_store *store, struct lun_position after,
    const struct lun_event_filter *filter, struct lun_lag *lag,
    struct lun_err *err)
{
	enum lun_code code = check_filter(filter, err);

	if (code == LUN_OK)
		code = store->ops->lag(store, after, filter, lag, err);
	if (code == LUN_OK && lag->now == 0)
		lag->now = lun_clock_wall_us();
	return code;
}

enum lun_code
lun_event_store_find(struct lun_event_store *store, struct lun_text id,
    struct lun_position *position, struct lun_err *err)
{
	enum lun_code code = check_searched("id", id, err);

	return code == LUN_OK ? store->ops->find(store, id, position, err)
			      : code;
}

int
lun_event_store_wake_fd(struct lun_event_store *store)
{
	return store->ops->wake_fd != NULL ? store->ops->wake_fd(store) : -1;
}

void
lun_event_store_drain(struct lun_event_store *store)
{
	if (store->ops->drain != NULL)
		store->ops->drain(store);
}

void
lun_event_store_format_position(struct lun_event_store *store,
    struct lun_position position, char text[LUN_POSITION_MAX])
{
	store->ops->format_position(store, position, text);
}

enum lun_code
lun_event_store_parse_position(struct lun_event_store *store,
    struct lun_text text, struct lun_position *position, struct lun_err *err)
{
	if (text.bytes != NULL &&
	    store->ops->parse_position(store, text, position))
		return LUN_OK;
	return lun_fail(err, LUN_INVALID,
	    "\"%.*s\" is not a position of a %s event store",
	    LUN_TEXT_ARG(text), store->ops->scheme);
}

double
lun_event_store_place(
    struct lun_event_store *store, struct lun_position position)
{
	if (store->ops->place == NULL)
		return (double)position.lo;
	return store->ops->place(store, position);
}

const char *
lun_event_store_remark(struct lun_event_store *store)
{
	return store->ops->remark != NULL ? store->ops->remark(store) : NULL;
}

bool
lun_event_store_notice(
    struct lun_event_store *store, char text[LUN_NOTICE_SIZE])
{
	return store->ops->notice != NULL && store->ops->notice(store, text);
}

enum lun_code
lun_event_store_gaps(struct lun_event_store *store,
    struct lun_text source_state, struct lun_buffer *json, struct lun_err *err)
{
	struct lun_tenants tenants;
	struct lun_text state;
	enum lun_code code =
	    lun_tenants_split(source_state, &tenants, &state, err);

	if (code != LUN_OK)
		return code;
	if (store->ops->gaps != NULL)
		return store->ops->gaps(store, state, json, err);
	lun_buffer_add_text(json, LUN_TEXT("[]"));
	return LUN_OK;
}

enum lun_code
lun_event_store_held_by(struct lun_event_store *store,
    struct lun_text source_state, struct lun_buffer *words, struct lun_err *err)
{
	struct lun_tenants tenants;
	struct lun_text state;
	enum lun_code code =
	    lun_tenants_split(source_state, &tenants, &state, err);

	if (code != LUN_OK || store->ops->held_by == NULL)
		return code;
	return store->ops->held_by(store, state, words, err);
}

enum lun_code
lun_event_store_index_sql(
    struct lun_event_store *store, struct lun_buffer *sql, struct lun_err *err)
{
	if (store->ops->index_sql != NULL)
		return store->ops->index_sql(store, sql, err);
	lun_buffer_printf(sql,
	    "-- No index is missing: %s keeps its events in their order.\n",
	    store->ops->scheme);
	return LUN_OK;
}

/* What readers have seen of tenants is each one's own. */
bool
lun_event_store_same_reach(struct lun_event_store *store, struct lun_text own,
    struct lun_text other, struct lun_position *unproven)
{
	struct lun_tenants tenants;
	struct lun_text mine, theirs;

	*unproven = LUN_POSITION_START;
	if (lun_tenants_split(own, &tenants, &mine, NULL) != LUN_OK ||
	    lun_tenants_split(other, &tenants, &theirs, NULL) != LUN_OK)
		return false;
	if (store->ops->same_reach != NULL)
		return store->ops->same_reach(store, mine, theirs, unproven);
	return lun_text_equal(mine, theirs);
}

/* ---- appending --------------------------------------------------------- */

static enum lun_code
check_name(const char *what, struct lun_text name, struct lun_err *err)
{
	if (name.length == 0)
		return lun_fail(err, LUN_INVALID, "%s is empty", what);
	if (name.length > LUN_EVENT_NAME_MAX)
		return lun_fail(err, LUN_INVALID, "%s is longer than %d bytes",
		    what, LUN_EVENT_NAME_MAX);
	if (memchr(name.bytes, '\0', name.length) != NULL)
		return lun_fail(
		    err, LUN_INVALID, "%s contains a NUL byte", what);
	if (!lun_utf8_valid(name))
		return lun_fail(err, LUN_INVALID, "%s is not UTF-8", what);
	return LUN_OK;
}

static enum lun_code
check_json(const char *what, struct lun_text json, struct lun_err *err)
{
	if (json.length > LUN_EVENT_BYTES_MAX)
		return lun_fail(err, LUN_INVALID, "%s is longer than %zu bytes",
		    what, LUN_EVENT_BYTES_MAX);
	if (lun_json_check(json, err) != LUN_OK)
		return lun_wrap(err, LUN_INVALID, "%s", what);
	return LUN_OK;
}

/* A log without tenants would make one stream of two of theirs. */
static enum lun_code
check_tenant(const struct lun_event_store *store, struct lun_text tenant,
    struct lun_err *err)
{
	if (tenant.bytes == NULL)
		return LUN_OK;
	if (store->has_tenants)
		return check_name("tenant", tenant, err);
	return lun_fail(err, LUN_INVALID,
	    "it is of the tenant \"%.*s\", and a %s event store keeps none",
	    tenant.length > 200 ? 200 : (int)tenant.length, tenant.bytes,
	    store->ops->scheme);
}

static enum lun_code
check_event(const struct lun_event_store *store,
    const struct lun_append *append, struct lun_err *err)
{
	const struct lun_event *event = &append->event;
	enum lun_code code = check_name("stream", event->stream, err);

	if (code == LUN_OK)
		code = check_tenant(store, event->tenant, err);

	if (code == LUN_OK)
		code = check_name("type", event->type, err);
	if (code == LUN_OK && event->id.bytes != NULL)
		code = check_name("id", event->id, err);
	if (code == LUN_OK && event->data.bytes == NULL)
		code = lun_fail(err, LUN_INVALID, "data is missing");
	if (code == LUN_OK)
		code = check_json("data", event->data, err);
	if (code == LUN_OK && event->metadata.bytes != NULL)
		code = check_json("metadata", event->metadata, err);
	if (code != LUN_OK)
		return code;
	if (append->expected_version < LUN_ANY_VERSION)
		return lun_fail(err, LUN_INVALID,
		    "the expected version is negative; 0 means a new stream");
	if (event->recorded_at != LUN_TIME_UNKNOWN &&
	    !lun_timestamp_is_moment(event->recorded_at))
		return lun_fail(
		    err, LUN_INVALID, "its time is not in the years 1 to 9999");
	return LUN_OK;
}

static enum lun_code
check_events(const struct lun_event_store *store,
    const struct lun_append *events, size_t count, struct lun_err *err)
{
	for (size_t i = 0; i < count; i++) {
		enum lun_code code = check_event(store, &events[i], err);

		if (code != LUN_OK && count == 1)
			return lun_wrap(err, code, "append");
		if (code != LUN_OK)
			return lun_wrap(
			    err, code, "append event %zu of %zu", i + 1, count);
	}
	return LUN_OK;
}

/* The events as the driver gets them, and what they need to live on. */
struct append_call {
	struct lun_append *events;
	struct lun_append_result *results;
	char (*ids)[UUID_SIZE];
};

static void
free_call(struct append_call *call)
{
	free(call->events);
	free(call->results);
	free(call->ids);
}

static bool
make_call(
    struct append_call *call, const struct lun_append *events, size_t count)
{
	call->events = calloc(count, sizeof *call->events);
	call->results = calloc(count, sizeof *call->results);
	call->ids = calloc(count, sizeof *call->ids);
	if (call->events == NULL || call->results == NULL || call->ids == NULL)
		return false;
	memcpy(call->events, events, count * sizeof *events);
	return true;
}

static void
fill_in(struct append_call *call, size_t count)
{
	int64_t now = lun_clock_wall_us();

	for (size_t i = 0; i < count; i++) {
		struct lun_event *event = &call->events[i].event;
		uuid_t uuid;

		if (event->recorded_at == LUN_TIME_UNKNOWN)
			event->recorded_at = now;
		if (event->id.length > 0)
			continue;
		uuid_generate_random(uuid);
		uuid_unparse_lower(uuid, call->ids[i]);
		event->id = (struct lun_text){call->ids[i], UUID_SIZE - 1};
	}
}

static enum lun_code
not_supported(struct lun_event_store *store, struct lun_err *err)
{
	return lun_fail(err, LUN_CONFIG,
	    "a %s event store cannot be appended to", store->ops->scheme);
}

enum lun_code
lun_event_store_append(struct lun_event_store *store,
    const struct lun_append *events, size_t count,
    struct lun_append_result *results, struct lun_err *err)
{
	struct append_call call = {0};
	enum lun_code code;

	if (store->ops->append == NULL)
		return not_supported(store, err);
	if (count == 0)
		return LUN_OK;
	code = check_events(store, events, count, err);
	if (code != LUN_OK)
		return code;
	if (make_call(&call, events, count)) {
		fill_in(&call, count);
		code = store->ops->append(
		    store, call.events, count, call.results, err);
	} else {
		code = lun_fail(
		    err, LUN_NOMEM, "append %zu events: out of memory", count);
		lun_event_store_rollback(store);
	}
	if (code == LUN_OK && results != NULL)
		memcpy(results, call.results, count * sizeof *results);
	free_call(&call);
	if (code != LUN_OK && code != LUN_CONFLICT && code != LUN_INVALID)
		store->in_transaction = false;
	return code;
}

enum lun_code
lun_event_store_begin(struct lun_event_store *store, struct lun_err *err)
{
	enum lun_code code;

	assert(!store->in_transaction);
	if (store->ops->begin == NULL)
		return not_supported(store, err);
	code = store->ops->begin(store, err);
	store->in_transaction = code == LUN_OK;
	return code;
}

enum lun_code
lun_event_store_commit(struct lun_event_store *store, struct lun_err *err)
{
	if (!store->in_transaction)
		return lun_fail(err, LUN_INVALID,
		    "commit: the transaction was rolled back before, by the "
		    "failure of an append");
	store->in_transaction = false;
	return store->ops->commit(store, err);
}

void
lun_event_store_rollback(struct lun_event_store *store)
{
	if (!store->in_transaction)
		return;
	store->in_transaction = false;
	store->ops->rollback(store);
}
