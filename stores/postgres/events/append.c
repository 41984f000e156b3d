/*
 * append.c - appending to Lunette's own table.
 *
 * A call looks up ids and versions in one statement and writes all its events
 * in another. Nobody is locked out meanwhile: where somebody else was first,
 * UNIQUE (id) or UNIQUE (stream, version) refuses the write, and the call
 * looks again. The log has the order of the transactions, so one that took its
 * id before the last event of a stream was written may not append to it: only
 * another transaction can.
 */

#include "postgres/events/events.h"

#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/error.h"
#include "sql/names.h"

#define NS_IN_MS 1000000
#define PAUSE_MS 10 /* between two questions how a commit ended */
#define SAVE     "SAVEPOINT lunette_append"
#define UNSAVE   "ROLLBACK TO SAVEPOINT lunette_append"
#define FORGET   "RELEASE SAVEPOINT lunette_append"

/* What is known of an id or a stream of the call, found by its name. */
struct known {
	struct lun_text name;
	bool stored;     /* an id: the event was there before */
	bool written;    /* an id: this call writes it */
	size_t writer;   /* by the event of this number */
	int64_t version; /* a stream: after the events so far */
	bool crossed;    /* a stream: a later transaction wrote the last one */
	struct lun_append_result result;
};

struct appending {
	struct lun_pg_events *s;
	const struct lun_append *events;
	size_t count;
	struct lun_append_result *results;
	struct known *ids;     /* sorted by name, each once */
	struct known *streams; /* the same */
	size_t id_count;
	size_t stream_count;
	size_t *written; /* numbers of the events to be written, in order */
	size_t written_count;
	bool crossed; /* by a later transaction */
};

/* ---- what is known ----------------------------------------------------- */

static int
compare_known(const void *a, const void *b)
{
	return lun_text_compare(
	    ((const struct known *)a)->name, ((const struct known *)b)->name);
}

static size_t
sort_known(struct known *known, size_t count)
{
	size_t kept = 0;

	qsort(known, count, sizeof *known, compare_known);
	for (size_t i = 0; i < count; i++)
		if (kept == 0 ||
		    !lun_text_equal(known[kept - 1].name, known[i].name))
			known[kept++] = known[i];
	return kept;
}

static struct known *
find_known(struct known *known, size_t count, struct lun_text name)
{
	struct known wanted = {.name = name};

	return bsearch(&wanted, known, count, sizeof *known, compare_known);
}

static void
free_appending(struct appending *a)
{
	free(a->ids);
	free(a->streams);
	free(a->written);
}

static bool
make_appending(struct appending *a)
{
	a->ids = calloc(a->count, sizeof *a->ids);
	a->streams = calloc(a->count, sizeof *a->streams);
	a->written = calloc(a->count, sizeof *a->written);
	if (a->ids == NULL || a->streams == NULL || a->written == NULL)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		a->ids[i].name = a->events[i].event.id;
		a->streams[i].name = a->events[i].event.stream;
	}
	a->id_count = sort_known(a->ids, a->count);
	a->stream_count = sort_known(a->streams, a->count);
	return true;
}

/* ---- looking up -------------------------------------------------------- */

static void
add_names(struct lun_pg_params *params, const struct known *known, size_t count)
{
	lun_pg_begin_array(params, LUN_PG_TEXT_ARRAY, count);
	for (size_t i = 0; i < count; i++)
		lun_pg_element_text(params, known[i].name);
	lun_pg_end_array(params);
}

static void
clear_known(struct appending *a)
{
	for (size_t i = 0; i < a->id_count; i++)
		a->ids[i] = (struct known){.name = a->ids[i].name};
	for (size_t i = 0; i < a->stream_count; i++)
		a->streams[i] = (struct known){.name = a->streams[i].name};
	a->written_count = 0;
	a->crossed = false;
}

static void
read_known(struct appending *a, const PGresult *result)
{
	for (int i = 0; i < PQntuples(result); i++) {
		struct lun_text name = lun_pg_bytes(result, i, 1);
		int64_t version = lun_pg_int8(result, i, 4);
		struct known *k;

		if (lun_pg_bool(result, i, 0)) {
			k = find_known(a->streams, a->stream_count, name);
			if (k == NULL)
				continue;
			k->version = version;
			k->crossed = lun_pg_bool(result, i, 5);
			continue;
		}
		k = find_known(a->ids, a->id_count, name);
		if (k == NULL)
			continue;
		k->stored = true;
		k->result = (struct lun_append_result){
		    .position = {(uint64_t)lun_pg_int8(result, i, 2),
			(uint64_t)lun_pg_int8(result, i, 3)},
		    .version = version,
		    .existed = true,
		};
	}
}

/*
 * Columns: is a stream, name, transaction and position of an id, version, was
 * written by a later transaction than this one.
 */
static enum lun_code
find_known_in_store(struct appending *a, struct lun_err *err)
{
	struct lun_pg_events *s = a->s;
	const char *from = s->source->mapping->from;
	PGresult *result = NULL;
	enum lun_code code;

	clear_known(a);
	lun_buffer_clear(&s->sql);
	lun_pg_params_clear(&s->params);
	lun_buffer_printf(&s->sql,
	    "SELECT false, e.id, e.transaction_id, e.position, e.version, "
	    "false FROM %s WHERE e.id = ANY ($1) "
	    "UNION ALL SELECT true, n, NULL, NULL, coalesce(l.version, 0), "
	    "coalesce(l.transaction_id > "
	    "pg_catalog.pg_current_xact_id_if_assigned(), false) "
	    "FROM unnest($2) n LEFT JOIN LATERAL (SELECT e.version, "
	    "e.transaction_id FROM %s WHERE e.stream = n "
	    "ORDER BY e.version DESC LIMIT 1) l ON true",
	    from, from);
	add_names(&s->params, a->ids, a->id_count);
	add_names(&s->params, a->streams, a->stream_count);
	code = lun_pg_events_run(s, &result, err);
	if (code == LUN_OK)
		read_known(a, result);
	PQclear(result);
	return code;
}

/* ---- deciding ---------------------------------------------------------- */

static enum lun_code
check_version(
    const struct lun_append *append, int64_t version, struct lun_err *err)
{
	if (append->expected_version != LUN_ANY_VERSION &&
	    append->expected_version != version)
		return lun_fail(err, LUN_CONFLICT,
		    "stream %.*s is at version %" PRId64 ", expected %" PRId64,
		    LUN_TEXT_ARG(append->event.stream), version,
		    append->expected_version);
	if (version == INT64_MAX)
		return lun_fail(err, LUN_INVALID,
		    "stream %.*s is at the highest version there can be",
		    LUN_TEXT_ARG(append->event.stream));
	return LUN_OK;
}

static enum lun_code
fail_crossed(
    struct appending *a, const struct lun_append *append, struct lun_err *err)
{
	a->crossed = true;
	return lun_fail(err, LUN_AGAIN,
	    "%s: stream %.*s: a later transaction was first, another event "
	    "would break the order of the stream: run the whole transaction "
	    "again",
	    lun_pg_name(&a->s->c), LUN_TEXT_ARG(append->event.stream));
}

static enum lun_code
choose_written(struct appending *a, struct lun_err *err)
{
	for (size_t i = 0; i < a->count; i++) {
		const struct lun_append *append = &a->events[i];
		struct known *id =
		    find_known(a->ids, a->id_count, append->event.id);
		struct known *stream = find_known(
		    a->streams, a->stream_count, append->event.stream);
		enum lun_code code;

		if (id->stored || id->written)
			continue;
		code = check_version(append, stream->version, err);
		if (code != LUN_OK)
			return code;
		if (stream->crossed)
			return fail_crossed(a, append, err);
		id->written = true;
		id->writer = i;
		id->result.version = ++stream->version;
		a->written[a->written_count++] = i;
	}
	return LUN_OK;
}

/* ---- writing ----------------------------------------------------------- */

static const struct lun_append *
written_event(const struct appending *a, size_t i, struct known **id)
{
	const struct lun_append *append = &a->events[a->written[i]];

	*id = find_known(a->ids, a->id_count, append->event.id);
	return append;
}

/* A column of the events to be written, as an array. */
static void
add_column(
    struct appending *a, enum lun_pg_column column, enum lun_pg_type type)
{
	struct lun_pg_params *params = &a->s->params;

	lun_pg_begin_array(params, type, a->written_count);
	for (size_t i = 0; i < a->written_count; i++) {
		struct known *id;
		const struct lun_event *event =
		    &written_event(a, i, &id)->event;

		switch (column) {
		case LUN_PG_C_ID:
			lun_pg_element_text(params, event->id);
			break;
		case LUN_PG_C_STREAM:
			lun_pg_element_text(params, event->stream);
			break;
		case LUN_PG_C_VERSION:
			lun_pg_element_int8(params, id->result.version);
			break;
		case LUN_PG_C_TYPE:
			lun_pg_element_text(params, event->type);
			break;
		case LUN_PG_C_DATA:
			lun_pg_element_text(params, event->data);
			break;
		case LUN_PG_C_METADATA:
			lun_pg_element_text(params, event->metadata);
			break;
		default:
			lun_pg_element_time(params, event->recorded_at);
		}
	}
	lun_pg_end_array(params);
}

static void
add_insert(struct appending *a)
{
	const struct lun_pg_mapping *mapping = a->s->source->mapping;
	struct lun_buffer *sql = &a->s->sql;

	lun_buffer_clear(sql);
	lun_buffer_add_text(sql, LUN_TEXT("INSERT INTO "));
	lun_sql_quote(sql, mapping->schema);
	lun_buffer_add_byte(sql, '.');
	lun_sql_quote(sql, mapping->table);
	lun_buffer_add_text(
	    sql, LUN_TEXT(" (id, stream, version, type, data, metadata, "
			  "recorded_at) SELECT * FROM "
			  "unnest($1, $2, $3, $4, $5, $6, $7) "
			  "RETURNING transaction_id, position"));
	lun_pg_params_clear(&a->s->params);
	add_column(a, LUN_PG_C_ID, LUN_PG_TEXT_ARRAY);
	add_column(a, LUN_PG_C_STREAM, LUN_PG_TEXT_ARRAY);
	add_column(a, LUN_PG_C_VERSION, LUN_PG_INT8_ARRAY);
	add_column(a, LUN_PG_C_TYPE, LUN_PG_TEXT_ARRAY);
	add_column(a, LUN_PG_C_DATA, LUN_PG_JSON_ARRAY);
	add_column(a, LUN_PG_C_METADATA, LUN_PG_JSON_ARRAY);
	add_column(a, LUN_PG_C_RECORDED_AT, LUN_PG_TIMESTAMPTZ_ARRAY);
}

/* What the table itself refuses is wrong with the data, not with the store. */
static enum lun_code
check_refusal(struct appending *a, enum lun_code code, struct lun_err *err)
{
	if (lun_pg_failed_with(&a->s->c, "23505"))
		return LUN_AGAIN;
	if (lun_pg_failed_with(&a->s->c, "22") ||
	    lun_pg_failed_with(&a->s->c, "23"))
		return lun_wrap(err, LUN_INVALID, "append");
	return code;
}

static enum lun_code
write_events(struct appending *a, struct lun_err *err)
{
	PGresult *result = NULL;
	enum lun_code code;

	if (a->written_count == 0)
		return LUN_OK;
	add_insert(a);
	code = lun_pg_events_run(a->s, &result, err);
	if (code != LUN_OK)
		return check_refusal(a, code, err);
	for (size_t i = 0; i < a->written_count; i++) {
		struct known *id;

		written_event(a, i, &id);
		id->result.position = (struct lun_position){
		    (uint64_t)lun_pg_int8(result, (int)i, 0),
		    (uint64_t)lun_pg_int8(result, (int)i, 1)};
		a->s->transaction = id->result.position.hi;
	}
	PQclear(result);
	return LUN_OK;
}

static void
set_results(struct appending *a)
{
	for (size_t i = 0; i < a->count; i++) {
		const struct known *id =
		    find_known(a->ids, a->id_count, a->events[i].event.id);

		a->results[i] = id->result;
		a->results[i].existed = !id->written || id->writer != i;
	}
}

/* LUN_AGAIN: somebody else was first, and with crossed, too late for this. */
static enum lun_code
try_append(struct appending *a, struct lun_err *err)
{
	enum lun_code code = find_known_in_store(a, err);

	if (code == LUN_OK)
		code = choose_written(a, err);
	if (code == LUN_OK)
		code = write_events(a, err);
	if (code == LUN_OK)
		set_results(a);
	return code;
}

/* ---- transactions ------------------------------------------------------ */

enum lun_code
lun_pg_events_begin(struct lun_event_store *store, struct lun_err *err)
{
	struct lun_pg_events *s = lun_pg_events_of(store);

	if (!lun_pg_mapping_is_own(s->source->mapping))
		return lun_fail(err, LUN_CONFIG,
		    "%s: the tables of somebody else are only read",
		    lun_pg_name(&s->c));
	lun_pg_pass_close(s);
	s->transaction = 0;
	return lun_pg_begin(&s->c, "NOTIFY lunette_events", err);
}

void
lun_pg_events_rollback(struct lun_event_store *store)
{
	lun_pg_rollback(&lun_pg_events_of(store)->c);
}

/* LUN_AGAIN while the server has not ended it. */
static enum lun_code
find_outcome(struct lun_pg_events *s, struct lun_err *err)
{
	PGresult *result = NULL;
	struct lun_text status;
	enum lun_code code;

	lun_pg_params_clear(&s->params);
	lun_pg_add_xid8(&s->params, s->transaction);
	code = lun_pg_query(&s->c, "SELECT pg_catalog.pg_xact_status($1)",
	    &s->params, &result, err);
	if (code != LUN_OK)
		return code;
	status = lun_pg_bytes(result, 0, 0);
	if (lun_text_equal(status, LUN_TEXT("in progress")))
		code = LUN_AGAIN;
	else if (!lun_text_equal(status, LUN_TEXT("committed")))
		code = lun_fail(err, LUN_UNAVAILABLE,
		    "%s: the connection was lost and nothing was written",
		    lun_pg_name(&s->c));
	PQclear(result);
	return code;
}

/* A connection that is lost in a commit does not tell whether it was done. */
enum lun_code
lun_pg_events_commit(struct lun_event_store *store, struct lun_err *err)
{
	struct lun_pg_events *s = lun_pg_events_of(store);
	struct lun_err second;
	enum lun_code code = lun_pg_commit(&s->c, err);
	enum lun_code asked;
	int64_t deadline =
	    lun_clock_mono_ns() + s->c.url->options.call_timeout_ms * NS_IN_MS;

	if (code != LUN_UNAVAILABLE || s->c.conn != NULL || s->transaction == 0)
		return code;
	asked = find_outcome(s, &second);
	while (asked == LUN_AGAIN && lun_clock_mono_ns() < deadline) {
		poll(NULL, 0, PAUSE_MS);
		asked = find_outcome(s, &second);
	}
	if (asked == LUN_OK)
		return LUN_OK;
	return lun_wrap(err, code,
	    asked == LUN_UNAVAILABLE && s->c.conn != NULL
		? "nothing was written"
		: "it is not known whether the events were written");
}

/* Until it succeeds, or others were first for too long. */
static enum lun_code
append_alone(struct appending *a, int64_t deadline, struct lun_err *err)
{
	struct lun_event_store *store = &a->s->base;
	enum lun_code code;

	do {
		code = lun_pg_events_begin(store, err);
		if (code != LUN_OK)
			return code;
		code = try_append(a, err);
		if (code == LUN_OK)
			return lun_pg_events_commit(store, err);
		lun_pg_events_rollback(store);
	} while (code == LUN_AGAIN && lun_clock_mono_ns() < deadline);
	return code;
}

/* Inside a transaction a refused append must not take the rest with it. */
static enum lun_code
append_nested(struct appending *a, int64_t deadline, struct lun_err *err)
{
	struct lun_pg *c = &a->s->c;
	enum lun_code code = lun_pg_exec(c, SAVE, err);
	enum lun_code undone = LUN_OK;

	while (code == LUN_OK) {
		code = try_append(a, err);
		if (code == LUN_OK)
			return lun_pg_exec(c, FORGET, err);
		if (code == LUN_AGAIN || code == LUN_CONFLICT ||
		    code == LUN_INVALID)
			undone = lun_pg_exec(c, UNSAVE, NULL);
		if (undone != LUN_OK || code != LUN_AGAIN || a->crossed ||
		    lun_clock_mono_ns() >= deadline)
			break;
		code = LUN_OK;
	}
	if (undone != LUN_OK)
		return lun_fail(err, undone, "%s: the transaction was lost",
		    lun_pg_name(c));
	return code;
}

enum lun_code
lun_pg_events_append(struct lun_event_store *store,
    const struct lun_append *events, size_t count,
    struct lun_append_result *results, struct lun_err *err)
{
	struct appending a = {
	    .s = lun_pg_events_of(store),
	    .events = events,
	    .count = count,
	    .results = results,
	};
	int64_t patience = a.s->c.url->options.busy_timeout_ms * NS_IN_MS;
	int64_t deadline = lun_clock_mono_ns() + patience;
	enum lun_code code;

	lun_pg_pass_close(a.s);

	if (!make_appending(&a))
		code = lun_pg_events_no_memory(a.s, err);
	else if (store->in_transaction)
		code = append_nested(&a, deadline, err);
	else
		code = append_alone(&a, deadline, err);
	free_appending(&a);
	if (code == LUN_AGAIN && !(a.crossed && store->in_transaction))
		code = lun_fail(err, LUN_UNAVAILABLE,
		    "%s: other connections append to the same streams all the "
		    "time",
		    lun_pg_name(&a.s->c));
	if (store->in_transaction && code != LUN_OK && code != LUN_CONFLICT &&
	    code != LUN_INVALID)
		lun_pg_events_rollback(store);
	return code;
}
