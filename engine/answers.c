/* answers.c - what an engine knows: models, status, events, as JSON. */

#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "engine.h"
#include "error.h"
#include "json_scan.h"
#include "result.h"

#define US_PER_S       1000000
#define EVENTS_AT_ONCE 1000
#define SKIPPED_MAX    1000

/* Hand a finished JSON text to the caller. */
static enum lun_code
give(struct lun_buffer *out, char **json, const char *what, struct lun_err *err)
{
	char *text = lun_buffer_take(out);

	if (text == NULL)
		return lun_fail(err, LUN_NOMEM, "%s: out of memory", what);
	*json = text;
	return LUN_OK;
}

/* ---- members of an object ---------------------------------------------- */

static void
add_key(struct lun_buffer *out, const char *key)
{
	if (out->length > 0 && out->bytes[out->length - 1] != '{')
		lun_buffer_add_byte(out, ',');
	lun_buffer_printf(out, "\"%s\":", key);
}

static void
add_text(struct lun_buffer *out, const char *key, struct lun_text value)
{
	add_key(out, key);
	if (value.bytes == NULL)
		lun_buffer_add_text(out, LUN_TEXT("null"));
	else
		lun_json_write_string(out, value);
}

/* "" means that there is nothing to say. */
static void
add_words(struct lun_buffer *out, const char *key, const char *value)
{
	add_text(
	    out, key, value[0] != '\0' ? lun_text_of(value) : LUN_TEXT_NONE);
}

static void
add_integer(struct lun_buffer *out, const char *key, int64_t value)
{
	add_key(out, key);
	lun_json_write_integer(out, value);
}

static void
add_bool(struct lun_buffer *out, const char *key, bool value)
{
	add_key(out, key);
	lun_buffer_add_text(out, value ? LUN_TEXT("true") : LUN_TEXT("false"));
}

/* 0 stands for never. */
static void
add_time(struct lun_buffer *out, const char *key, int64_t us)
{
	char text[LUN_TIMESTAMP_LENGTH + 1] = "";

	if (us != 0 && us >= LUN_TIMESTAMP_MIN && us <= LUN_TIMESTAMP_MAX)
		lun_timestamp_format(us, text);
	add_words(out, key, text);
}

static void
add_position(struct lun_buffer *out, const char *key,
    struct lun_event_store *events, struct lun_position position)
{
	char text[LUN_POSITION_MAX];

	lun_event_store_format_position(events, position, text);
	add_words(out, key, text);
}

static void
add_json(struct lun_buffer *out, const char *key, struct lun_text json)
{
	add_key(out, key);
	lun_buffer_add_text(out, json.bytes != NULL ? json : LUN_TEXT("null"));
}

static void
add_event(struct lun_buffer *out, struct lun_event_store *events,
    const struct lun_event *event)
{
	add_position(out, "position", events, event->position);
	add_text(out, "id", event->id);
	add_text(out, "stream", event->stream);
	add_integer(out, "version", event->version);
	add_text(out, "type", event->type);
	add_time(out, "recorded_at", event->recorded_at);
	add_json(out, "data", event->data);
	add_json(out, "metadata", event->metadata);
}

/* ---- models ------------------------------------------------------------ */

/*
 * The twin of the script that is in force now, for answering on this thread;
 * NULL in *out if the projection is not registered here or its script is not
 * the one that built the models.
 */
static enum lun_code
find_answerer(struct lun_engine *engine, struct lun_entry *entry,
    struct lun_script **out, struct lun_err *err)
{
	struct lun_script_limits limits = {
	    .instructions = engine->settings.script_instructions,
	    .cpu_ms = engine->settings.script_cpu_ms,
	    .memory_bytes = (size_t)engine->settings.script_memory_bytes,
	};
	struct lun_buffer source = {0};
	struct lun_script *fresh;
	enum lun_code code;
	bool same;

	pthread_mutex_lock(&engine->board.lock);
	same = entry->answerer != NULL &&
	       strcmp(lun_script_hash(entry->answerer),
		   lun_script_hash(entry->p->script)) == 0;
	if (!same)
		lun_buffer_add_text(
		    &source, lun_script_source(entry->p->script));
	pthread_mutex_unlock(&engine->board.lock);
	*out = entry->answerer;
	if (same)
		return LUN_OK;
	code = source.failed
		   ? lun_fail(err, LUN_NOMEM, "%s: out of memory", entry->name)
		   : lun_script_load(
			 entry->path[0] != '\0' ? entry->path : entry->name,
			 lun_buffer_text(&source), &limits, &fresh, err);
	lun_buffer_free(&source);
	if (code != LUN_OK)
		return code;
	lun_script_free(entry->answerer);
	*out = entry->answerer = fresh;
	return LUN_OK;
}

static bool
describes(const struct lun_schema *schema, const struct lun_checkpoint *stored)
{
	struct lun_buffer text = {0};
	bool same;

	lun_schema_describe(schema, &text);
	same = schema->version == stored->version &&
	       lun_text_equal(
		   lun_buffer_text(&text), lun_buffer_text(&stored->schema));
	lun_buffer_free(&text);
	return same;
}

/* Who answers for a projection, and what its models look like. */
struct answer {
	struct lun_script *script; /* NULL: nobody but the store */
	struct lun_schema *stored; /* owned; NULL: use the script's */
	bool empty;                /* never run: there are no models yet */
};

static const struct lun_schema *
schema_of(const struct answer *answer)
{
	return answer->stored != NULL ? answer->stored
				      : lun_script_schema(answer->script);
}

static enum lun_code
prepare_answer(struct lun_engine *engine, const char *name,
    struct answer *answer, struct lun_err *err)
{
	struct lun_entry *entry = lun_engine_find(engine, name);
	struct lun_checkpoint stored = {0};
	enum lun_code code = LUN_OK;
	enum lun_code found;

	*answer = (struct answer){0};
	found = lun_model_store_checkpoint(
	    engine->model_reader, name, &stored, err);
	if (found != LUN_OK && (found != LUN_NOTFOUND || entry == NULL))
		return found;
	if (entry != NULL)
		code = find_answerer(engine, entry, &answer->script, err);
	answer->empty = found == LUN_NOTFOUND;
	if (code == LUN_OK && !answer->empty &&
	    (answer->script == NULL ||
		!describes(lun_script_schema(answer->script), &stored))) {
		answer->script = NULL;
		code = lun_schema_parse(name, stored.version,
		    lun_buffer_text(&stored.schema), &answer->stored, err);
	}
	lun_checkpoint_free(&stored);
	return code;
}

struct model_answer {
	struct lun_buffer *out;
	const struct lun_schema *schema;
	bool found;
};

static enum lun_code
write_model(
    void *arg, struct lun_text id, struct lun_text row, struct lun_err *err)
{
	struct model_answer *answer = arg;

	(void)err;
	answer->found = true;
	lun_result_model(answer->out, answer->schema, id, row);
	return LUN_OK;
}

static enum lun_code
get_model(struct lun_engine *engine, const struct answer *answer,
    struct lun_text id, struct lun_buffer *out, struct lun_err *err)
{
	struct model_answer model = {out, schema_of(answer), false};
	enum lun_code code = LUN_OK;

	if (!answer->empty)
		code = lun_model_store_load(engine->model_reader, model.schema,
		    &id, 1, write_model, &model, err);
	if (code == LUN_OK && !model.found)
		return lun_fail(err, LUN_NOTFOUND, "%s has no model %.*s",
		    model.schema->projection, LUN_TEXT_ARG(id));
	return code;
}

enum lun_code
lun_engine_get(struct lun_engine *engine, const char *projection,
    const char *id, char **json, struct lun_err *err)
{
	struct lun_buffer out = {0};
	struct answer answer;
	enum lun_code code;

	pthread_mutex_lock(&engine->answer_lock);
	code = prepare_answer(engine, projection, &answer, err);
	if (code == LUN_OK)
		code = get_model(engine, &answer, lun_text_of(id), &out, err);
	pthread_mutex_unlock(&engine->answer_lock);
	lun_schema_free(answer.stored);
	if (code == LUN_OK)
		return give(&out, json, projection, err);
	lun_buffer_free(&out);
	return code;
}

static enum lun_code
ask_store(struct lun_engine *engine, const struct answer *answer,
    const struct lun_text *terms, size_t count, struct lun_buffer *out,
    struct lun_err *err)
{
	struct lun_query *query;
	enum lun_code code = lun_query_parse(schema_of(answer), terms, count,
	    (uint64_t)engine->settings.query_limit,
	    (uint64_t)engine->settings.query_limit_max, &query, err);

	if (code != LUN_OK)
		return code;
	if (answer->empty)
		lun_buffer_add_text(out, LUN_TEXT("[]"));
	else
		code = lun_result_query(
		    engine->model_reader, schema_of(answer), query, out, err);
	lun_query_free(query);
	return code;
}

static enum lun_code
ask(struct lun_engine *engine, const struct answer *answer,
    const struct lun_text *terms, size_t count, struct lun_buffer *out,
    struct lun_err *err)
{
	enum lun_code code;

	if (answer->empty || answer->script == NULL ||
	    !lun_script_has_query(answer->script))
		return ask_store(engine, answer, terms, count, out, err);
	code = lun_script_query(answer->script, engine->model_reader, terms,
	    count, (uint64_t)engine->settings.query_limit,
	    (uint64_t)engine->settings.query_limit_max, out, err);
	if (code == LUN_BUDGET &&
	    lun_script_renew(answer->script, NULL) != LUN_OK)
		return lun_wrap(err, code, "%s", schema_of(answer)->projection);
	return code;
}

enum lun_code
lun_engine_query(struct lun_engine *engine, const char *projection,
    const char *const *filters, size_t count, char **json, struct lun_err *err)
{
	struct lun_text *terms = calloc(count + 1, sizeof *terms);
	struct lun_buffer out = {0};
	struct answer answer = {0};
	enum lun_code code;

	if (terms == NULL)
		return lun_fail(
		    err, LUN_NOMEM, "%s: out of memory", projection);
	for (size_t i = 0; i < count; i++)
		terms[i] = lun_text_of(filters[i]);
	pthread_mutex_lock(&engine->answer_lock);
	code = prepare_answer(engine, projection, &answer, err);
	if (code == LUN_OK)
		code = ask(engine, &answer, terms, count, &out, err);
	pthread_mutex_unlock(&engine->answer_lock);
	lun_schema_free(answer.stored);
	free(terms);
	if (code == LUN_OK)
		return give(&out, json, projection, err);
	lun_buffer_free(&out);
	return code;
}

/* ---- status ------------------------------------------------------------ */

/* A list of names that a store calls back with. */
struct names {
	char (*names)[LUN_NAME_MAX + 1];
	size_t count;
};

static enum lun_code
add_name(void *arg, const char *name, struct lun_err *err)
{
	struct names *names = arg;
	char(*grown)[LUN_NAME_MAX + 1];

	for (size_t i = 0; i < names->count; i++)
		if (strcmp(names->names[i], name) == 0)
			return LUN_OK;
	grown = realloc(names->names, (names->count + 1) * sizeof *grown);
	if (grown == NULL)
		return lun_fail(err, LUN_NOMEM, "status: out of memory");
	names->names = grown;
	snprintf(grown[names->count++], LUN_NAME_MAX + 1, "%s", name);
	return LUN_OK;
}

static enum lun_code
list_names(struct lun_engine *engine, struct names *names, struct lun_err *err)
{
	struct lun_entry *entry;
	enum lun_code code =
	    lun_model_store_list(engine->model_reader, add_name, names, err);

	for (size_t i = 0;
	     code == LUN_OK && (entry = lun_engine_at(engine, i)) != NULL; i++)
		code = add_name(names, entry->name, err);
	return code;
}

/* Everything that is known about one projection, from wherever. */
struct known {
	const char *name;
	struct lun_entry *entry; /* NULL: not registered here */
	bool running_here;
	struct lun_report report;
	bool stored;
	struct lun_checkpoint checkpoint;
	struct lun_heartbeat heartbeat; /* at is 0: none */
};

static bool
is_fresh(const struct lun_engine *engine, const struct lun_heartbeat *heartbeat)
{
	int64_t age_us = lun_clock_wall_us() - heartbeat->at;

	return heartbeat->owner[0] != '\0' &&
	       age_us < (3 * engine->settings.heartbeat_ms + 2000) * 1000;
}

static const char *
state_of(const struct lun_engine *engine, const struct known *known)
{
	enum lun_state here = known->report.state;

	if (known->running_here && here != LUN_STATE_HELD)
		return lun_state_name(here);
	if (is_fresh(engine, &known->heartbeat))
		return known->heartbeat.state;
	if (known->running_here)
		return lun_state_name(here);
	if (known->stored && known->checkpoint.paused)
		return "paused";
	if (strcmp(known->heartbeat.state, "failed") == 0)
		return "failed";
	if (known->entry != NULL && here == LUN_STATE_FAILED)
		return "failed";
	return known->stored ? "stopped" : "new";
}

static void
add_lag(struct lun_engine *engine, const struct known *known,
    struct lun_buffer *out)
{
	struct lun_event_filter filter = {0};
	struct lun_lag lag = {0};
	int64_t behind_us = 0;

	if (known->entry != NULL)
		filter = *lun_script_filter(known->entry->p->script);
	if (lun_event_store_lag(engine->event_reader,
		known->checkpoint.position, &filter, &lag, NULL) != LUN_OK) {
		add_json(out, "lag_events", LUN_TEXT_NONE);
		add_json(out, "lag_seconds", LUN_TEXT_NONE);
		return;
	}
	if (lag.oldest_recorded_at != 0)
		behind_us = lun_clock_wall_us() - lag.oldest_recorded_at;
	add_integer(out, "lag_events", (int64_t)lag.events);
	add_bool(out, "lag_exact", lag.exact);
	add_key(out, "lag_seconds");
	lun_buffer_printf(
	    out, "%.1f", behind_us > 0 ? (double)behind_us / US_PER_S : 0.0);
}

static void
add_activity(struct lun_engine *engine, const struct known *known,
    struct lun_buffer *out)
{
	bool here =
	    known->running_here && known->report.state != LUN_STATE_HELD;
	bool fresh = is_fresh(engine, &known->heartbeat);
	double rate = here    ? known->report.events_per_second
		      : fresh ? known->heartbeat.events_per_second
			      : 0.0;

	add_key(out, "events_per_second");
	lun_buffer_printf(out, "%.1f", rate);
	add_words(out, "owner",
	    here    ? engine->owner
	    : fresh ? known->heartbeat.owner
		    : "");
	add_words(out, "waiting_for",
	    here    ? known->report.waiting_for
	    : fresh ? known->heartbeat.waiting_for
		    : "");
	add_words(out, "last_error",
	    known->report.last_error[0] != '\0' ? known->report.last_error
						: known->heartbeat.last_error);
}

static void
write_status(struct lun_engine *engine, const struct known *known,
    struct lun_buffer *out)
{
	const struct lun_checkpoint *checkpoint = &known->checkpoint;

	lun_buffer_add_byte(out, '{');
	add_words(out, "name", known->name);
	add_words(out, "state", state_of(engine, known));
	add_integer(out, "version",
	    known->stored
		? checkpoint->version
		: lun_script_schema(known->entry->p->script)->version);
	add_position(
	    out, "position", engine->event_reader, checkpoint->position);
	add_lag(engine, known, out);
	add_activity(engine, known, out);
	add_integer(out, "parked", (int64_t)checkpoint->parked_count);
	add_integer(out, "skipped", (int64_t)checkpoint->skipped_count);
	add_integer(out, "scripts", checkpoint->script_count);
	add_time(out, "committed_at", checkpoint->committed_at);
	lun_buffer_add_byte(out, '}');
}

static enum lun_code
learn(struct lun_engine *engine, const char *name, struct known *known,
    struct lun_err *err)
{
	enum lun_code code;

	*known = (struct known){.name = name};
	known->entry = lun_engine_find(engine, name);
	if (known->entry != NULL) {
		known->report = lun_projection_report(known->entry->p);
		pthread_mutex_lock(&engine->lock);
		known->running_here = known->entry->worker != NULL;
		pthread_mutex_unlock(&engine->lock);
	}
	code = lun_model_store_checkpoint(
	    engine->model_reader, name, &known->checkpoint, err);
	known->stored = code == LUN_OK;
	if (code != LUN_OK && code != LUN_NOTFOUND)
		return code;
	code = lun_model_store_heartbeat(
	    engine->model_reader, name, &known->heartbeat, err);
	return code == LUN_NOTFOUND ? LUN_OK : code;
}

static enum lun_code
write_statuses(struct lun_engine *engine, const struct names *names,
    struct lun_buffer *out, struct lun_err *err)
{
	enum lun_code code = LUN_OK;

	lun_buffer_add_byte(out, '[');
	for (size_t i = 0; code == LUN_OK && i < names->count; i++) {
		struct known known;

		if (i > 0)
			lun_buffer_add_byte(out, ',');
		code = learn(engine, names->names[i], &known, err);
		if (code == LUN_OK && (known.stored || known.entry != NULL))
			write_status(engine, &known, out);
		lun_checkpoint_free(&known.checkpoint);
	}
	lun_buffer_add_byte(out, ']');
	return code;
}

enum lun_code
lun_engine_status(struct lun_engine *engine, char **json, struct lun_err *err)
{
	struct lun_buffer out = {0};
	struct names names = {0};
	enum lun_code code;

	pthread_mutex_lock(&engine->answer_lock);
	code = list_names(engine, &names, err);
	if (code == LUN_OK)
		code = write_statuses(engine, &names, &out, err);
	pthread_mutex_unlock(&engine->answer_lock);
	free(names.names);
	if (code == LUN_OK)
		return give(&out, json, "status", err);
	lun_buffer_free(&out);
	return code;
}

enum lun_code
lun_engine_checkpoint(struct lun_engine *engine, const char *projection,
    char **json, struct lun_err *err)
{
	struct lun_checkpoint checkpoint = {0};
	struct lun_buffer out = {0};
	enum lun_code code;

	pthread_mutex_lock(&engine->answer_lock);
	code = lun_model_store_checkpoint(
	    engine->model_reader, projection, &checkpoint, err);
	if (code == LUN_OK) {
		lun_buffer_add_byte(&out, '{');
		add_words(&out, "projection", projection);
		add_integer(&out, "version", checkpoint.version);
		add_position(&out, "position", engine->event_reader,
		    checkpoint.position);
		add_integer(&out, "revision", checkpoint.revision);
		add_integer(&out, "fence", checkpoint.fence);
		add_bool(&out, "paused", checkpoint.paused);
		add_words(&out, "event_store", checkpoint.identity);
		add_words(&out, "script_hash", checkpoint.script_hash);
		add_integer(&out, "scripts", checkpoint.script_count);
		add_time(&out, "committed_at", checkpoint.committed_at);
		lun_buffer_add_byte(&out, '}');
	}
	pthread_mutex_unlock(&engine->answer_lock);
	lun_checkpoint_free(&checkpoint);
	return code == LUN_OK ? give(&out, json, projection, err) : code;
}

/* ---- events ------------------------------------------------------------ */

struct item_list {
	struct lun_engine *engine;
	struct lun_buffer *out;
	bool any;
};

static enum lun_code
write_item(void *arg, const struct lun_set_aside *item, struct lun_err *err)
{
	struct item_list *list = arg;
	struct lun_buffer *out = list->out;

	(void)err;
	if (list->any)
		lun_buffer_add_byte(out, ',');
	list->any = true;
	lun_buffer_add_byte(out, '{');
	add_integer(out, "number", item->number);
	add_text(out, "model_id", item->model_id);
	add_text(out, "error", item->error);
	add_time(out, "at", item->at);
	add_event(out, list->engine->event_reader, &item->event);
	lun_buffer_add_byte(out, '}');
	return LUN_OK;
}

static enum lun_code
list_items(struct lun_engine *engine, const char *projection, bool parked,
    struct lun_text model_id, struct lun_buffer *out, struct lun_err *err)
{
	struct item_list list = {engine, out, false};
	enum lun_code code;

	lun_buffer_add_byte(out, '[');
	if (parked)
		code = lun_model_store_parked(engine->model_reader, projection,
		    model_id, 0, SIZE_MAX, write_item, &list, err);
	else
		code = lun_model_store_skipped(engine->model_reader, projection,
		    SKIPPED_MAX, write_item, &list, err);
	lun_buffer_add_byte(out, ']');
	return code;
}

static enum lun_code
give_items(struct lun_engine *engine, const char *projection, bool parked,
    struct lun_text model_id, char **json, struct lun_err *err)
{
	struct lun_checkpoint checkpoint = {0};
	struct lun_buffer out = {0};
	enum lun_code code;

	pthread_mutex_lock(&engine->answer_lock);
	code = lun_model_store_checkpoint(
	    engine->model_reader, projection, &checkpoint, err);
	if (code == LUN_OK)
		code =
		    list_items(engine, projection, parked, model_id, &out, err);
	pthread_mutex_unlock(&engine->answer_lock);
	lun_checkpoint_free(&checkpoint);
	if (code == LUN_OK)
		return give(&out, json, projection, err);
	lun_buffer_free(&out);
	return code;
}

enum lun_code
lun_engine_parked(struct lun_engine *engine, const char *projection,
    const char *model_id, char **json, struct lun_err *err)
{
	return give_items(
	    engine, projection, true, lun_text_of(model_id), json, err);
}

enum lun_code
lun_engine_skipped(struct lun_engine *engine, const char *projection,
    char **json, struct lun_err *err)
{
	return give_items(engine, projection, false, LUN_TEXT_NONE, json, err);
}

/* Give the batch's events to the caller; false when it wants no more. */
static bool
pass_events(struct lun_engine *engine, const struct lun_batch *batch,
    uint64_t *left, struct lun_buffer *out, lun_event_fn *event, void *arg)
{
	for (size_t i = 0; i < batch->count; i++) {
		if ((*left)-- == 0)
			return false;
		lun_buffer_clear(out);
		lun_buffer_add_byte(out, '{');
		add_event(out, engine->event_reader, &batch->events[i]);
		lun_buffer_add_byte(out, '}');
		lun_buffer_add_byte(out, '\0');
		if (out->failed || !event(arg, out->bytes, out->length - 1))
			return false;
	}
	return *left > 0;
}

static enum lun_code
read_events(struct lun_engine *engine, struct lun_read *request,
    struct lun_batch *batch, uint64_t left, lun_event_fn *event, void *arg,
    struct lun_err *err)
{
	struct lun_buffer out = {0};
	enum lun_code code;

	for (;;) {
		lun_batch_clear(batch);
		pthread_mutex_lock(&engine->answer_lock);
		code = lun_event_store_read(
		    engine->event_reader, request, batch, err);
		pthread_mutex_unlock(&engine->answer_lock);
		if (code != LUN_OK ||
		    !pass_events(engine, batch, &left, &out, event, arg) ||
		    batch->at_head)
			break;
		request->after = batch->reached;
	}
	if (code == LUN_OK && out.failed)
		code = lun_fail(err, LUN_NOMEM, "events: out of memory");
	lun_buffer_free(&out);
	return code;
}

enum lun_code
lun_engine_events(struct lun_engine *engine,
    const struct lun_events_filter *filter, lun_event_fn *event, void *arg,
    struct lun_err *err)
{
	struct lun_text type = lun_text_of(filter->type);
	struct lun_read request = {
	    .filter = {.types = &type,
		.type_count = filter->type != NULL,
		.stream = lun_text_of(filter->stream)},
	    .max_events = EVENTS_AT_ONCE,
	    .max_bytes = (size_t)engine->settings.batch_bytes,
	};
	struct lun_batch *batch;
	enum lun_code code = LUN_OK;

	if (filter->after != NULL)
		code = lun_event_store_parse_position(engine->event_reader,
		    lun_text_of(filter->after), &request.after, err);
	if (code != LUN_OK)
		return code;
	batch = lun_batch_new();
	if (batch == NULL)
		return lun_fail(err, LUN_NOMEM, "events: out of memory");
	code = read_events(engine, &request, batch,
	    filter->limit > 0 ? filter->limit : UINT64_MAX, event, arg, err);
	lun_batch_free(batch);
	return code;
}
