/*
 * events.c - an event store in memory: the smallest one, to be read first.
 *
 * Connections share a log: the events in the order of their positions, found
 * by id and by stream through two hash tables. One connection at a time may
 * write; what it appends lies at the end of the log and is invisible to the
 * others until it commits.
 */

#include "store/event_store.h"

#include <pthread.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <uuid/uuid.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fair_lock.h"

#define SMALLEST_CAPACITY 64
#define BUSY_TIMEOUT_MS   5000
#define LAG_ROWS          1000000

struct item {
	struct lun_event event;
	struct item *next_by_id;     /* in the same bucket */
	struct item *next_by_stream; /* the same; only each stream's latest */
	struct item *older;          /* the event of the stream before it */
	char bytes[];
};

struct log {
	pthread_mutex_t mutex; /* guards references and the events */
	size_t references;
	struct lun_fair_lock writer_lock; /* of the writers */
	int64_t busy_timeout_ms;
	char identity[LUN_IDENTITY_SIZE];

	struct item **items; /* the event at position n is items[n - 1] */
	size_t count;
	size_t visible;  /* committed ones; the rest is the writer's */
	size_t capacity; /* of items; as many buckets has each table */
	struct item **by_id;
	struct item **by_stream;
};

struct memory_store {
	struct lun_event_store base; /* stays first */
	struct log *log;
};

static struct memory_store *
memory_events_of(struct lun_event_store *store)
{
	return (struct memory_store *)store;
}

/* ---- the log ----------------------------------------------------------- */

static size_t
bucket_of(const struct log *log, struct lun_text key)
{
	return XXH3_64bits(key.bytes, key.length) & (log->capacity - 1);
}

/* Where the event is linked, or the NULL at the end of its bucket. */
static struct item **
find_id(struct log *log, struct lun_text id)
{
	struct item **at = &log->by_id[bucket_of(log, id)];

	while (*at != NULL && !lun_text_equal((*at)->event.id, id))
		at = &(*at)->next_by_id;
	return at;
}

static bool
is_of_stream(const struct item *item, const struct lun_event *event)
{
	return lun_text_equal(item->event.stream, event->stream) &&
	       lun_text_equal(item->event.tenant, event->tenant);
}

/* The stream that the event is of: each tenant has streams of its own. */
static struct item **
find_stream(struct log *log, const struct lun_event *event)
{
	struct item **at = &log->by_stream[bucket_of(log, event->stream)];

	while (*at != NULL && !is_of_stream(*at, event))
		at = &(*at)->next_by_stream;
	return at;
}

static void
link_item(struct log *log, struct item *item)
{
	struct item **id = &log->by_id[bucket_of(log, item->event.id)];
	struct item **stream = find_stream(log, &item->event);

	item->next_by_id = *id;
	*id = item;
	item->older = *stream;
	item->next_by_stream =
	    item->older != NULL ? item->older->next_by_stream : NULL;
	*stream = item;
}

/* Items leave in the opposite order, the newest first. */
static void
unlink_item(struct log *log, struct item *item)
{
	struct item **id = find_id(log, item->event.id);
	struct item **stream = find_stream(log, &item->event);

	*id = item->next_by_id;
	if (item->older != NULL) {
		item->older->next_by_stream = item->next_by_stream;
		*stream = item->older;
	} else {
		*stream = item->next_by_stream;
	}
}

static void
relink_all(struct log *log)
{
	memset(log->by_id, 0, log->capacity * sizeof *log->by_id);
	memset(log->by_stream, 0, log->capacity * sizeof *log->by_stream);
	for (size_t i = 0; i < log->count; i++)
		link_item(log, log->items[i]);
}

static bool
grow_log(struct log *log)
{
	size_t capacity =
	    log->capacity > 0 ? log->capacity * 2 : SMALLEST_CAPACITY;
	struct item **items = malloc(capacity * sizeof *items);
	struct item **by_id = malloc(capacity * sizeof *by_id);
	struct item **by_stream = malloc(capacity * sizeof *by_stream);

	if (items == NULL || by_id == NULL || by_stream == NULL) {
		free(items);
		free(by_id);
		free(by_stream);
		return false;
	}
	if (log->count > 0)
		memcpy(items, log->items, log->count * sizeof *items);
	free(log->items);
	free(log->by_id);
	free(log->by_stream);
	log->items = items;
	log->by_id = by_id;
	log->by_stream = by_stream;
	log->capacity = capacity;
	relink_all(log);
	return true;
}

static void
cut_to(struct log *log, size_t count)
{
	while (log->count > count) {
		struct item *last = log->items[--log->count];

		unlink_item(log, last);
		free(last);
	}
}

static struct lun_text
copy_into_item(char **at, struct lun_text text)
{
	struct lun_text copy = {*at, text.length};

	if (text.bytes == NULL)
		return text;
	memcpy(*at, text.bytes, text.length);
	*at += text.length;
	return copy;
}

static struct item *
new_log_item(const struct lun_event *event)
{
	size_t length = event->id.length + event->stream.length +
			event->type.length + event->data.length +
			event->metadata.length + event->tenant.length;
	struct item *item = malloc(sizeof *item + length + 1);
	char *at;

	if (item == NULL)
		return NULL;
	at = item->bytes;
	item->event = *event;
	item->event.id = copy_into_item(&at, event->id);
	item->event.stream = copy_into_item(&at, event->stream);
	item->event.type = copy_into_item(&at, event->type);
	item->event.data = copy_into_item(&at, event->data);
	item->event.metadata = copy_into_item(&at, event->metadata);
	item->event.tenant = copy_into_item(&at, event->tenant);
	return item;
}

static void
free_log(struct log *log)
{
	cut_to(log, 0);
	free(log->items);
	free(log->by_id);
	free(log->by_stream);
	lun_fair_lock_fini(&log->writer_lock);
	pthread_mutex_destroy(&log->mutex);
	free(log);
}

static struct log *
new_log(void)
{
	struct log *log = calloc(1, sizeof *log);
	uuid_t uuid;

	if (log == NULL || !lun_fair_lock_init(&log->writer_lock)) {
		free(log);
		return NULL;
	}
	if (pthread_mutex_init(&log->mutex, NULL) != 0 || !grow_log(log)) {
		lun_fair_lock_fini(&log->writer_lock);
		free(log);
		return NULL;
	}
	log->references = 1;
	uuid_generate_random(uuid);
	uuid_unparse_lower(uuid, log->identity);
	return log;
}

/* ---- opening and closing ----------------------------------------------- */

static enum lun_code
new_memory_events(
    struct log *log, struct lun_event_store **out, struct lun_err *err)
{
	struct memory_store *s = calloc(1, sizeof *s);

	if (s == NULL)
		return lun_fail(err, LUN_NOMEM, "memory: out of memory");
	s->base.ops = &lun_memory_events;
	s->base.has_tenants = true;
	s->log = log;
	*out = &s->base;
	return LUN_OK;
}

static enum lun_code
memory_open(const char *rest, const struct lun_store_options *options,
    struct lun_event_store **out, struct lun_err *err)
{
	struct log *log;
	enum lun_code code;

	if (rest[0] != '\0')
		return lun_fail(err, LUN_CONFIG,
		    "memory:%s: a memory store has no name; write memory:",
		    rest);
	log = new_log();
	if (log == NULL)
		return lun_fail(err, LUN_NOMEM, "memory: out of memory");
	log->busy_timeout_ms =
	    options != NULL ? options->busy_timeout_ms : BUSY_TIMEOUT_MS;
	code = new_memory_events(log, out, err);
	if (code != LUN_OK)
		free_log(log);
	return code;
}

static enum lun_code
memory_connect(struct lun_event_store *store, struct lun_event_store **out,
    struct lun_err *err)
{
	struct log *log = memory_events_of(store)->log;
	enum lun_code code = new_memory_events(log, out, err);

	if (code != LUN_OK)
		return code;
	pthread_mutex_lock(&log->mutex);
	log->references++;
	pthread_mutex_unlock(&log->mutex);
	return LUN_OK;
}

static void
memory_close(struct lun_event_store *store)
{
	struct log *log = memory_events_of(store)->log;
	size_t left;

	pthread_mutex_lock(&log->mutex);
	left = --log->references;
	pthread_mutex_unlock(&log->mutex);
	if (left == 0)
		free_log(log);
	free(store);
}

static enum lun_code
memory_identity(struct lun_event_store *store, char identity[LUN_IDENTITY_SIZE],
    struct lun_err *err)
{
	(void)err;
	memcpy(identity, memory_events_of(store)->log->identity,
	    LUN_IDENTITY_SIZE);
	return LUN_OK;
}

/* ---- reading ----------------------------------------------------------- */

/* The event up to which the reader came must still be the one it was. */
static enum lun_code
check_log_position(const struct log *log, struct lun_position after,
    struct lun_text anchor, struct lun_err *err)
{
	if (after.hi != 0 || after.lo > log->visible)
		return lun_fail(err, LUN_CONFIG,
		    "the memory event store has no position %llu, it ends at "
		    "%zu: it is not the one that was read before; lunette "
		    "rebuild NAME starts a projection anew",
		    (unsigned long long)after.lo, log->visible);
	if (after.lo == 0 || anchor.length == 0 ||
	    lun_text_equal(anchor, log->items[after.lo - 1]->event.id))
		return LUN_OK;
	return lun_fail(err, LUN_CONFIG,
	    "the memory event store has another event at position %llu than "
	    "the one read before; lunette rebuild NAME starts a projection "
	    "anew",
	    (unsigned long long)after.lo);
}

static bool
is_batch_filled(const struct lun_batch *batch, const struct lun_read *request)
{
	return batch->count >= request->max_events ||
	       (batch->count > 0 && batch->bytes >= request->max_bytes);
}

static enum lun_code
read_log(const struct log *log, const struct lun_read *request,
    struct lun_batch *batch, struct lun_err *err)
{
	size_t last = (size_t)request->after.lo;
	size_t end = log->visible;

	if (lun_read_is_bounded(request) && request->upto.lo < end)
		end = (size_t)request->upto.lo;
	while (last < end) {
		const struct lun_event *event = &log->items[last++]->event;

		if (!lun_event_filter_wants(
			&request->filter, event->stream, event->type))
			continue;
		if (!lun_batch_add(batch, event))
			return lun_fail(err, LUN_NOMEM,
			    "read at position %zu: out of memory", last);
		if (is_batch_filled(batch, request))
			break;
	}
	batch->reached = (struct lun_position){0, last};
	batch->at_head = last == log->visible;
	if (last > 0)
		lun_buffer_add_text(
		    &batch->source_state, log->items[last - 1]->event.id);
	if (batch->source_state.failed)
		return lun_fail(err, LUN_NOMEM, "read: out of memory");
	return LUN_OK;
}

static enum lun_code
memory_read(struct lun_event_store *store, const struct lun_read *request,
    struct lun_batch *batch, struct lun_err *err)
{
	struct log *log = memory_events_of(store)->log;
	enum lun_code code;

	pthread_mutex_lock(&log->mutex);
	code =
	    check_log_position(log, request->after, request->source_state, err);
	if (code == LUN_OK)
		code = read_log(log, request, batch, err);
	pthread_mutex_unlock(&log->mutex);
	return code;
}

static enum lun_code
memory_head(struct lun_event_store *store, struct lun_position *head,
    struct lun_err *err)
{
	struct log *log = memory_events_of(store)->log;

	(void)err;
	pthread_mutex_lock(&log->mutex);
	*head = (struct lun_position){0, log->visible};
	pthread_mutex_unlock(&log->mutex);
	return LUN_OK;
}

static enum lun_code
memory_lag(struct lun_event_store *store, struct lun_position after,
    const struct lun_event_filter *filter, struct lun_lag *lag,
    struct lun_err *err)
{
	struct log *log = memory_events_of(store)->log;
	struct lun_lag found = {
	    .exact = true, .oldest_recorded_at = LUN_TIME_UNKNOWN};
	size_t at = (size_t)after.lo;

	(void)err;
	pthread_mutex_lock(&log->mutex);
	for (; at < log->visible && at - after.lo < LAG_ROWS; at++) {
		const struct lun_event *event = &log->items[at]->event;

		if (!lun_event_filter_wants(filter, event->stream, event->type))
			continue;
		if (found.events++ == 0)
			found.oldest_recorded_at = event->recorded_at;
	}
	found.exact = at >= log->visible;
	pthread_mutex_unlock(&log->mutex);
	*lag = found;
	return LUN_OK;
}

static enum lun_code
memory_find(struct lun_event_store *store, struct lun_text id,
    struct lun_position *position, struct lun_err *err)
{
	struct log *log = memory_events_of(store)->log;
	const struct item *item;
	uint64_t found = 0;

	pthread_mutex_lock(&log->mutex);
	item = *find_id(log, id);
	if (item != NULL && item->event.position.lo <= log->visible)
		found = item->event.position.lo;
	pthread_mutex_unlock(&log->mutex);
	if (found == 0)
		return lun_fail(err, LUN_NOTFOUND, "there is no event %.*s",
		    LUN_TEXT_ARG(id));
	*position = (struct lun_position){0, found};
	return LUN_OK;
}

/* ---- appending --------------------------------------------------------- */

static enum lun_code
memory_begin(struct lun_event_store *store, struct lun_err *err)
{
	struct log *log = memory_events_of(store)->log;
	int64_t wait_ns = log->busy_timeout_ms * 1000000;

	if (lun_fair_lock_take(
		&log->writer_lock, lun_clock_mono_ns() + wait_ns))
		return LUN_OK;
	return lun_fail(err, LUN_UNAVAILABLE,
	    "the memory event store is being written to by another "
	    "connection");
}

static enum lun_code
memory_commit(struct lun_event_store *store, struct lun_err *err)
{
	struct log *log = memory_events_of(store)->log;

	(void)err;
	pthread_mutex_lock(&log->mutex);
	log->visible = log->count;
	pthread_mutex_unlock(&log->mutex);
	lun_fair_lock_pass(&log->writer_lock);
	return LUN_OK;
}

static void
memory_rollback(struct lun_event_store *store)
{
	struct log *log = memory_events_of(store)->log;

	pthread_mutex_lock(&log->mutex);
	cut_to(log, log->visible);
	pthread_mutex_unlock(&log->mutex);
	lun_fair_lock_pass(&log->writer_lock);
}

static enum lun_code
check_expected_version(
    const struct lun_append *append, int64_t version, struct lun_err *err)
{
	if (append->expected_version == LUN_ANY_VERSION ||
	    append->expected_version == version)
		return LUN_OK;
	return lun_fail(err, LUN_CONFLICT,
	    "stream %.*s is at version %lld, expected %lld",
	    LUN_TEXT_ARG(append->event.stream), (long long)version,
	    (long long)append->expected_version);
}

static enum lun_code
append_event(struct log *log, const struct lun_append *append,
    struct lun_append_result *result, struct lun_err *err)
{
	struct lun_event event = append->event;
	const struct item *same = *find_id(log, event.id);
	const struct item *last = *find_stream(log, &event);
	struct item *item;
	enum lun_code code;

	if (same != NULL) {
		*result = (struct lun_append_result){
		    same->event.position, same->event.version, true};
		return LUN_OK;
	}
	event.version = last != NULL ? last->event.version : 0;
	code = check_expected_version(append, event.version, err);
	if (code != LUN_OK)
		return code;
	event.version++;
	event.position = (struct lun_position){0, log->count + 1};
	item = new_log_item(&event);
	if (item == NULL || (log->count == log->capacity && !grow_log(log))) {
		free(item);
		return lun_fail(err, LUN_NOMEM, "append: out of memory");
	}
	log->items[log->count++] = item;
	link_item(log, item);
	*result =
	    (struct lun_append_result){event.position, event.version, false};
	return LUN_OK;
}

/* Only the writer changes the log, but others look at it meanwhile. */
static enum lun_code
append_events(struct log *log, const struct lun_append *events, size_t count,
    struct lun_append_result *results, struct lun_err *err)
{
	enum lun_code code = LUN_OK;
	size_t before;

	pthread_mutex_lock(&log->mutex);
	before = log->count;
	for (size_t i = 0; i < count && code == LUN_OK; i++)
		code = append_event(log, &events[i], &results[i], err);
	if (code != LUN_OK)
		cut_to(log, before);
	pthread_mutex_unlock(&log->mutex);
	return code;
}

static enum lun_code
memory_append(struct lun_event_store *store, const struct lun_append *events,
    size_t count, struct lun_append_result *results, struct lun_err *err)
{
	struct log *log = memory_events_of(store)->log;
	enum lun_code code;

	if (store->in_transaction) {
		code = append_events(log, events, count, results, err);
		if (code == LUN_NOMEM)
			memory_rollback(store);
		return code;
	}
	code = memory_begin(store, err);
	if (code != LUN_OK)
		return code;
	code = append_events(log, events, count, results, err);
	if (code == LUN_OK)
		return memory_commit(store, err);
	memory_rollback(store);
	return code;
}

/* ---- positions --------------------------------------------------------- */

static void
memory_format_position(struct lun_event_store *store,
    struct lun_position position, char text[LUN_POSITION_MAX])
{
	(void)store;
	lun_position_to_decimal(position, text);
}

static bool
memory_parse_position(struct lun_event_store *store, struct lun_text text,
    struct lun_position *position)
{
	(void)store;
	return lun_position_from_decimal(text, position);
}

const struct lun_event_store_ops lun_memory_events = {
    .scheme = "memory",
    .abi = LUN_EVENT_STORE_ABI,
    .open = memory_open,
    .connect = memory_connect,
    .close = memory_close,
    .identity = memory_identity,
    .read = memory_read,
    .head = memory_head,
    .lag = memory_lag,
    .append = memory_append,
    .begin = memory_begin,
    .commit = memory_commit,
    .rollback = memory_rollback,
    .find = memory_find,
    .wake_fd = NULL, /* polling is enough inside one process */
    .drain = NULL,
    .format_position = memory_format_position,
    .parse_position = memory_parse_position,
};
