/* inspect.c - looking into checkpoints, events set aside, and the event store. */

#include <time.h>

#include "api/json_answer.h"
#include "api/positions.h"
#include "base/clock.h"
#include "base/error.h"
#include "runtime/engine.h"
#include "store/rows_as_json.h"
#include "json/scan.h"

#define EVENTS_AT_ONCE 1000
#define SKIPPED_MAX    1000
#define HELD_NS        INT64_C(1000000000) /* writers are given to end */
#define HELD_LOOK_NS   20000000

static const struct lun_reading reading_events = {
    .what = "events", .stores = LUN_READS_EVENTS};

/* A reader, and the checkpoint of the projection; LUN_NOTFOUND. */
static enum lun_code
look_at(struct lun_engine *engine, const char *what, const char *projection,
    unsigned stores, struct lun_reader **reader,
    struct lun_checkpoint *checkpoint, struct lun_err *err)
{
	const struct lun_reading reading = {
	    .what = what, .projection = projection, .stores = stores};
	enum lun_code code = lun_reader_take(engine, &reading, reader, err);

	if (code != LUN_OK)
		return code;
	code = lun_model_store_checkpoint(
	    (*reader)->models, lun_only_key(projection), checkpoint, err);
	if (code != LUN_OK)
		lun_reader_give_back(engine, *reader);
	return code;
}

enum lun_code
lun_engine_checkpoint(struct lun_engine *engine, const char *projection,
    char **json, struct lun_err *err)
{
	struct lun_checkpoint checkpoint = {0};
	char identity[LUN_IDENTITY_SIZE];
	struct lun_buffer out = {0};
	struct lun_reader *reader;
	enum lun_code code = look_at(engine, "checkpoint", projection,
	    LUN_READS_MODELS, &reader, &checkpoint, err);

	if (code != LUN_OK)
		return code;
	lun_reader_give_back(engine, reader);
	lun_position_identity(engine, &checkpoint, identity);
	lun_buffer_add_byte(&out, '{');
	lun_answer_words(&out, "projection", projection);
	lun_answer_integer(&out, "version", checkpoint.version);
	lun_answer_position(
	    &out, "position", engine->events, checkpoint.position);
	lun_answer_integer(&out, "revision", checkpoint.revision);
	lun_answer_integer(&out, "fence", checkpoint.fence);
	lun_answer_bool(&out, "paused", checkpoint.paused);
	lun_answer_words(&out, "event_store", checkpoint.identity);
	lun_answer_words(&out, "script_hash", checkpoint.bundle_hash);
	lun_answer_integer(&out, "scripts", checkpoint.script_count);
	lun_answer_commit_time(&out, checkpoint.committed_at);
	lun_answer_token(&out, "token", identity, checkpoint.position);
	lun_answer_integer(&out, "parked", (int64_t)checkpoint.parked_count);
	lun_answer_integer(&out, "skipped", (int64_t)checkpoint.skipped_count);
	lun_buffer_add_byte(&out, '}');
	lun_checkpoint_free(&checkpoint);
	return lun_answer_give(&out, json, projection, err);
}

/* The position's token, where the gap has it. */
static void
add_gap_token(struct lun_engine *engine, const char *identity,
    const struct lun_json_member *member, const char *key,
    struct lun_buffer *out)
{
	struct lun_buffer text = {0};
	struct lun_position position;

	if (member->kind == LUN_JSON_STRING)
		lun_json_unescape(member->value, &text);
	if (lun_event_store_parse_position(engine->events,
		lun_buffer_text(&text), &position, NULL) == LUN_OK)
		lun_answer_token(out, key, identity, position);
	else
		lun_answer_words(out, key, "");
	out->failed |= text.failed;
	lun_buffer_free(&text);
}

/* The gaps that the event store lists, with the tokens of both ends. */
static void
write_gaps(struct lun_engine *engine, const char *identity,
    struct lun_text gaps, struct lun_buffer *out)
{
	struct lun_text gap;
	enum lun_json_kind kind;

	lun_buffer_add_byte(out, '[');
	while (lun_json_next_element(&gaps, &gap, &kind)) {
		struct lun_text rest = gap;
		struct lun_json_member member;
		struct lun_json_member from = {0}, to = {0};

		while (lun_json_next_member(&rest, &member)) {
			if (lun_json_find(&member, 1, "from") != NULL)
				from = member;
			else if (lun_json_find(&member, 1, "to") != NULL)
				to = member;
		}
		if (out->length > 1)
			lun_buffer_add_byte(out, ',');
		lun_buffer_add(out, gap.bytes, gap.length - 1);
		add_gap_token(engine, identity, &from, "from_token", out);
		add_gap_token(engine, identity, &to, "to_token", out);
		lun_buffer_add_byte(out, '}');
	}
	lun_buffer_add_byte(out, ']');
}

enum lun_code
lun_engine_gaps(struct lun_engine *engine, const char *projection, char **json,
    struct lun_err *err)
{
	struct lun_checkpoint checkpoint = {0};
	char identity[LUN_IDENTITY_SIZE];
	struct lun_buffer gaps = {0}, out = {0};
	struct lun_reader *reader;
	enum lun_code code = look_at(engine, "gaps", projection,
	    LUN_READS_EVENTS | LUN_READS_MODELS, &reader, &checkpoint, err);

	if (code != LUN_OK)
		return code;
	code = lun_event_store_gaps(reader->events,
	    lun_buffer_text(&checkpoint.source_state), &gaps, err);
	lun_reader_give_back(engine, reader);
	lun_position_identity(engine, &checkpoint, identity);
	if (code == LUN_OK)
		write_gaps(engine, identity, lun_buffer_text(&gaps), &out);
	lun_checkpoint_free(&checkpoint);
	lun_buffer_free(&gaps);
	return code == LUN_OK ? lun_answer_give(&out, json, projection, err)
			      : code;
}

/* ---- parked and skipped events ----------------------------------------- */

struct item_list {
	struct lun_event_store *events;
	struct lun_schema *schema; /* whose ids they are; owned */
	struct lun_buffer *out;
	bool any;
	char identity[LUN_IDENTITY_SIZE];
};

/* null where extract_model_id failed. */
static void
write_model_id(const struct item_list *list, struct lun_text id)
{
	struct lun_value value = {.kind = LUN_VALUE_NULL};

	if (id.bytes != NULL)
		value = lun_model_id_value(list->schema, id);
	lun_answer_key(list->out, "model_id");
	lun_rows_write_value(list->out, &value);
}

static enum lun_code
write_item(void *arg, const struct lun_failed_event *item, struct lun_err *err)
{
	struct item_list *list = arg;
	struct lun_buffer *out = list->out;

	(void)err;
	if (list->any)
		lun_buffer_add_byte(out, ',');
	list->any = true;
	lun_buffer_add_byte(out, '{');
	lun_answer_integer(out, "number", item->number);
	write_model_id(list, item->model_id);
	lun_answer_text(out, "error", item->error);
	lun_answer_time(out, "at", item->at);
	lun_answer_event(out, list->events, &item->event);
	lun_answer_token(out, "token", list->identity, item->event.position);
	lun_buffer_add_byte(out, '}');
	return LUN_OK;
}

static enum lun_code
list_items(struct lun_reader *reader, const char *projection, bool parked,
    struct lun_text model_id, struct item_list *list, struct lun_err *err)
{
	struct lun_key key = lun_only_key(projection);

	if (parked)
		return lun_model_store_parked(reader->models, key, model_id, 0,
		    SIZE_MAX, write_item, list, err);
	return lun_model_store_skipped(
	    reader->models, key, SKIPPED_MAX, write_item, list, err);
}

static enum lun_code
give_items(struct lun_engine *engine, const char *projection, bool parked,
    struct lun_text model_id, char **json, struct lun_err *err)
{
	struct lun_checkpoint checkpoint = {0};
	struct lun_buffer out = {0};
	struct item_list list = {.events = engine->events, .out = &out};
	struct lun_reader *reader;
	enum lun_code code = look_at(engine, parked ? "parked" : "skipped",
	    projection, LUN_READS_MODELS, &reader, &checkpoint, err);

	if (code != LUN_OK)
		return code;
	lun_position_identity(engine, &checkpoint, list.identity);
	lun_buffer_add_byte(&out, '[');
	code = lun_schema_parse(projection, checkpoint.version,
	    lun_buffer_text(&checkpoint.schema), &list.schema, err);
	if (code == LUN_OK)
		code = list_items(
		    reader, projection, parked, model_id, &list, err);
	lun_buffer_add_byte(&out, ']');
	lun_reader_give_back(engine, reader);
	lun_schema_free(list.schema);
	lun_checkpoint_free(&checkpoint);
	if (code == LUN_OK)
		return lun_answer_give(&out, json, projection, err);
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

/* ---- the event store --------------------------------------------------- */

/* Events on their way to the caller. */
struct event_list {
	struct lun_engine *engine;
	lun_event_fn *event;
	void *arg;
	uint64_t left;
	bool tokens;
	char identity[LUN_IDENTITY_SIZE];
	struct lun_buffer out;   /* one event */
	struct lun_buffer state; /* what the store left at the last batch */
	/* When events were held back first: what could be seen, and how long
	 * writers are given from then on. 0: none were. */
	struct lun_position head;
	int64_t until_ns;
	bool told;
};

static bool
pass_event(struct event_list *list, const struct lun_event *event)
{
	struct lun_buffer *out = &list->out;

	lun_buffer_clear(out);
	lun_buffer_add_byte(out, '{');
	lun_answer_event(out, list->engine->events, event);
	if (list->tokens)
		lun_answer_token(out, "token", list->identity, event->position);
	lun_buffer_add_byte(out, '}');
	lun_buffer_add_byte(out, '\0');
	return !out->failed &&
	       list->event(list->arg, out->bytes, out->length - 1);
}

/* Give the batch's events to the caller; false when it wants no more. */
static bool
pass_events(struct event_list *list, const struct lun_batch *batch)
{
	for (size_t i = 0; i < batch->count; i++)
		if (list->left-- == 0 || !pass_event(list, &batch->events[i]))
			return false;
	return list->left > 0;
}

/* Nobody has a reader while the caller looks at the events. */
static enum lun_code
read_batch(struct lun_engine *engine, const struct lun_read *request,
    struct lun_batch *batch, struct lun_err *err)
{
	struct lun_reader *reader;
	enum lun_code code =
	    lun_reader_take(engine, &reading_events, &reader, err);

	if (code != LUN_OK)
		return code;
	code = lun_event_store_read(reader->events, request, batch, err);
	lun_reader_give_back(engine, reader);
	return code;
}

/* Why the list ends before the last event that can be seen, or waits there. */
static void
tell_held(struct event_list *list, struct lun_position reached)
{
	bool at_start = lun_position_compare(reached, LUN_POSITION_START) == 0;
	char text[LUN_POSITION_MAX];
	struct lun_buffer words = {0};
	struct lun_reader *reader;

	if (lun_reader_take(list->engine, &reading_events, &reader, NULL) ==
	    LUN_OK) {
		if (lun_event_store_held_by(reader->events,
			lun_buffer_text(&list->state), &words, NULL) != LUN_OK)
			lun_buffer_clear(&words);
		lun_reader_give_back(list->engine, reader);
	}
	lun_event_store_format_position(list->engine->events, reached, text);
	lun_log(&list->engine->log, LUN_LOG_WARNING,
	    "events: %s%s are held back%s%.*s",
	    at_start ? "all of them" : "those after position ",
	    at_start ? "" : text, words.length > 0 ? " by " : "",
	    LUN_TEXT_ARG(lun_buffer_text(&words)));
	lun_buffer_free(&words);
	list->told = true;
}

/* LUN_AGAIN as long as what could be seen at first is to be waited for. */
static enum lun_code
wait_for_held(
    struct event_list *list, const struct lun_batch *batch, struct lun_err *err)
{
	const struct timespec pause = {0, HELD_LOOK_NS};
	int64_t now = lun_clock_mono_ns();
	enum lun_code code = LUN_OK;

	if (!batch->held)
		return LUN_OK;
	if (list->until_ns == 0) {
		list->until_ns = now + HELD_NS;
		code = lun_reader_find_head(
		    list->engine, reading_events.what, &list->head, err);
	}
	if (code != LUN_OK ||
	    lun_position_compare(batch->reached, list->head) >= 0)
		return code;
	if (now >= list->until_ns && !list->told)
		tell_held(list, batch->reached);
	if (now >= list->until_ns && !batch->ripens)
		return LUN_OK;
	nanosleep(&pause, NULL);
	return LUN_AGAIN;
}

static enum lun_code
read_events(struct event_list *list, struct lun_read *request,
    struct lun_batch *batch, struct lun_err *err)
{
	enum lun_code code;

	do {
		lun_batch_clear(batch);
		code = read_batch(list->engine, request, batch, err);
		if (code != LUN_OK || !pass_events(list, batch))
			break;
		request->after = batch->reached;
		lun_buffer_clear(&list->state);
		lun_buffer_add_text(
		    &list->state, lun_buffer_text(&batch->source_state));
		if (list->state.failed)
			break;
		request->source_state = lun_buffer_text(&list->state);
		code = batch->at_head ? wait_for_held(list, batch, err)
				      : LUN_AGAIN;
	} while (code == LUN_AGAIN);
	if (code == LUN_OK && (list->out.failed || list->state.failed))
		code = lun_fail(err, LUN_NOMEM, "events: out of memory");
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
	    .max_bytes = lun_memory_share(&engine->memory).look,
	};
	struct event_list list = {.engine = engine,
	    .event = event,
	    .arg = arg,
	    .left = filter->limit > 0 ? filter->limit : UINT64_MAX,
	    .tokens = filter->tokens};
	struct lun_batch *batch;
	struct lun_position head;
	enum lun_code code = LUN_OK;

	if (filter->after != NULL)
		code = lun_position_read(engine, NULL,
		    lun_text_of(filter->after), 0, &request.after, err);
	if (code == LUN_OK && filter->after != NULL)
		code = lun_reader_find_head(
		    engine, reading_events.what, &head, err);
	/* A store refuses to read on from a position that is past its end. */
	if (code != LUN_OK ||
	    (filter->after != NULL &&
		lun_position_compare(request.after, head) > 0))
		return code;
	batch = lun_batch_new();
	if (batch == NULL)
		return lun_fail(err, LUN_NOMEM, "events: out of memory");
	if (filter->tokens)
		lun_position_identity(engine, NULL, list.identity);
	code = read_events(&list, &request, batch, err);
	lun_buffer_free(&list.out);
	lun_buffer_free(&list.state);
	lun_batch_free(batch);
	return code;
}
