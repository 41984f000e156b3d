/* status.c - what is known about each projection, from wherever. */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/json_answer.h"
#include "api/positions.h"
#include "base/error.h"
#include "runtime/engine.h"
#include "json/scan.h"
#include "json/write.h"

#define US_PER_S 1000000

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
		return lun_fail(
		    err, LUN_NOMEM, "listing projections: out of memory");
	names->names = grown;
	snprintf(grown[names->count++], LUN_NAME_MAX + 1, "%s", name);
	return LUN_OK;
}

static enum lun_code
list_names(struct lun_engine *engine, struct lun_reader *reader,
    struct names *names, struct lun_err *err)
{
	struct lun_entry *entry;
	enum lun_code code =
	    lun_model_store_list(reader->models, add_name, names, err);

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
	struct lun_heartbeat heartbeat; /* zero: none */
};

/* An engine may have it and not own it: in these states it need not. */
static bool
is_of_an_owner(const struct lun_heartbeat *heartbeat)
{
	return strcmp(heartbeat->state, "failed") != 0 &&
	       strcmp(heartbeat->state, "detached") != 0;
}

/*
 * A lock or a lease knows better than any clock whether somebody lives. An age
 * below 0 is one of a clock that was set back meanwhile.
 */
static bool
is_fresh(const struct lun_engine *engine, const struct lun_heartbeat *heartbeat)
{
	int64_t limit_us = (3 * engine->settings.heartbeat_ms + 2000) * 1000;

	if (heartbeat->owner[0] == '\0')
		return false;
	if (heartbeat->held == LUN_HELD_YES)
		return true;
	if (heartbeat->held == LUN_HELD_NO && is_of_an_owner(heartbeat))
		return false;
	return heartbeat->age_us < limit_us && heartbeat->age_us > -limit_us;
}

/* Whether nobody knows better than this engine's own report. */
static bool
is_ours(const struct known *known)
{
	return known->report.owned ||
	       (known->running_here &&
		   known->report.state != LUN_STATE_STANDBY);
}

static const char *
state_of_known(const struct lun_engine *engine, const struct known *known)
{
	enum lun_state here = known->report.state;

	if (known->running_here && is_ours(known))
		return lun_state_name(here);
	if (is_fresh(engine, &known->heartbeat))
		return known->checkpoint.paused ? "paused"
						: known->heartbeat.state;
	if (known->running_here)
		return lun_state_name(here);
	if (known->stored && known->checkpoint.paused)
		return "paused";
	if (here == LUN_STATE_FAILED)
		return "failed";
	if (!is_ours(known) && strcmp(known->heartbeat.state, "failed") == 0)
		return "failed";
	return known->stored ? "stopped" : "new";
}

static void
write_tenths(struct lun_buffer *out, double value)
{
	lun_json_write_number(out, nearbyint(value * 10) / 10);
}

static void
write_lag(const struct lun_lag *lag, struct lun_buffer *out)
{
	bool known = lun_timestamp_is_moment(lag->oldest_recorded_at);
	int64_t behind_us = known ? lag->now - lag->oldest_recorded_at : 0;

	if (behind_us < 0)
		behind_us = 0;
	lun_answer_integer(out, "lag_events", (int64_t)lag->events);
	lun_answer_bool(out, "lag_exact", lag->exact);
	if (lag->events > 0 && !known) {
		lun_answer_json(out, "lag_seconds", LUN_TEXT_NONE);
		return;
	}
	lun_answer_key(out, "lag_seconds");
	write_tenths(out, (double)behind_us / US_PER_S);
}

/* Of the events that the projection handles, as its schema says. */
static void
add_lag(struct lun_reader *reader, const struct known *known,
    struct lun_buffer *out)
{
	const struct lun_checkpoint *checkpoint = &known->checkpoint;
	struct lun_event_filter filter = {0};
	struct lun_schema *schema = NULL;
	struct lun_lag lag = {0};

	if (known->stored && lun_schema_parse(known->name, checkpoint->version,
				 lun_buffer_text(&checkpoint->schema), &schema,
				 NULL) == LUN_OK) {
		filter.types = schema->types;
		filter.type_count = schema->type_count;
	}
	if (lun_event_store_lag(reader->events, checkpoint->position, &filter,
		&lag, NULL) == LUN_OK) {
		write_lag(&lag, out);
	} else {
		lun_answer_json(out, "lag_events", LUN_TEXT_NONE);
		lun_answer_json(out, "lag_seconds", LUN_TEXT_NONE);
	}
	lun_schema_free(schema);
}

static void
add_activity(struct lun_engine *engine, const struct known *known,
    struct lun_buffer *out)
{
	bool here =
	    known->running_here && known->report.state != LUN_STATE_STANDBY;
	bool fresh = is_fresh(engine, &known->heartbeat);
	double rate = here    ? known->report.events_per_second
		      : fresh ? known->heartbeat.events_per_second
			      : 0.0;

	lun_answer_key(out, "events_per_second");
	write_tenths(out, rate);
	lun_answer_words(out, "owner",
	    here    ? engine->owner
	    : fresh ? known->heartbeat.owner
		    : "");
	lun_answer_words(out, "waiting_for",
	    here    ? known->report.waiting_for
	    : fresh ? known->heartbeat.waiting_for
		    : "");
	lun_answer_words(out, "last_error",
	    is_ours(known) || (!fresh && known->report.last_error[0] != '\0')
		? known->report.last_error
		: known->heartbeat.last_error);
}

static void
write_status(struct lun_engine *engine, struct lun_reader *reader,
    const struct known *known, struct lun_buffer *out)
{
	const struct lun_checkpoint *checkpoint = &known->checkpoint;
	char identity[LUN_IDENTITY_SIZE];

	lun_position_identity(engine, checkpoint, identity);
	lun_buffer_add_byte(out, '{');
	lun_answer_words(out, "name", known->name);
	lun_answer_words(out, "state", state_of_known(engine, known));
	lun_answer_integer(out, "version",
	    known->stored ? checkpoint->version : known->report.version);
	lun_answer_position(
	    out, "position", engine->events, checkpoint->position);
	add_lag(reader, known, out);
	add_activity(engine, known, out);
	lun_answer_integer(out, "parked", (int64_t)checkpoint->parked_count);
	lun_answer_integer(out, "skipped", (int64_t)checkpoint->skipped_count);
	lun_answer_integer(out, "scripts", checkpoint->script_count);
	lun_answer_commit_time(out, checkpoint->committed_at);
	lun_answer_token(out, "token", identity, checkpoint->position);
	lun_buffer_add_byte(out, '}');
}

static enum lun_code
read_known(struct lun_engine *engine, struct lun_reader *reader,
    const char *name, struct known *known, struct lun_err *err)
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
	    reader->models, lun_only_key(name), &known->checkpoint, err);
	known->stored = code == LUN_OK;
	if (code != LUN_OK && code != LUN_NOTFOUND)
		return code;
	code = lun_model_store_heartbeat(
	    reader->models, lun_only_key(name), &known->heartbeat, err);
	return code == LUN_NOTFOUND ? LUN_OK : code;
}

/* LUN_NOTFOUND: it is neither stored nor registered, or not any more. */
static enum lun_code
write_known(struct lun_engine *engine, struct lun_reader *reader,
    const char *name, struct lun_buffer *out, struct lun_err *err)
{
	struct known known;
	enum lun_code code = read_known(engine, reader, name, &known, err);

	if (code == LUN_OK && !known.stored && known.entry == NULL)
		code = lun_fail(
		    err, LUN_NOTFOUND, "there is no projection %s", name);
	if (code == LUN_OK) {
		if (out->length > 0 && out->bytes[out->length - 1] == '}')
			lun_buffer_add_byte(out, ',');
		write_status(engine, reader, &known, out);
	}
	lun_checkpoint_free(&known.checkpoint);
	return code;
}

static enum lun_code
write_statuses(struct lun_engine *engine, struct lun_reader *reader,
    struct lun_buffer *out, struct lun_err *err)
{
	struct names names = {0};
	enum lun_code code = list_names(engine, reader, &names, err);

	lun_buffer_add_byte(out, '[');
	for (size_t i = 0; code == LUN_OK && i < names.count; i++) {
		code = write_known(engine, reader, names.names[i], out, err);
		if (code == LUN_NOTFOUND)
			code = LUN_OK;
	}
	lun_buffer_add_byte(out, ']');
	free(names.names);
	return code;
}

static enum lun_code
write_names(struct lun_engine *engine, struct lun_reader *reader,
    struct lun_buffer *out, struct lun_err *err)
{
	struct names names = {0};
	enum lun_code code = list_names(engine, reader, &names, err);

	lun_buffer_add_byte(out, '[');
	for (size_t i = 0; i < names.count; i++) {
		if (i > 0)
			lun_buffer_add_byte(out, ',');
		lun_json_write_string(out, lun_text_of(names.names[i]));
	}
	lun_buffer_add_byte(out, ']');
	free(names.names);
	return code;
}

/* What write puts out, with a reader; projection NULL: of every one. */
static enum lun_code
give_status(struct lun_engine *engine, const char *projection, bool names,
    char **json, struct lun_err *err)
{
	const struct lun_reading reading = {
	    .what = names ? "projections" : "status",
	    .projection = projection,
	    .stores =
		names ? LUN_READS_MODELS : LUN_READS_EVENTS | LUN_READS_MODELS};
	struct lun_buffer out = {0};
	struct lun_reader *reader;
	enum lun_code code = lun_reader_take(engine, &reading, &reader, err);

	if (code != LUN_OK)
		return code;
	if (names)
		code = write_names(engine, reader, &out, err);
	else if (projection != NULL)
		code = write_known(engine, reader, projection, &out, err);
	else
		code = write_statuses(engine, reader, &out, err);
	lun_reader_give_back(engine, reader);
	if (code == LUN_OK)
		return lun_answer_give(&out, json, reading.what, err);
	lun_buffer_free(&out);
	return code;
}

enum lun_code
lun_engine_status(struct lun_engine *engine, char **json, struct lun_err *err)
{
	return give_status(engine, NULL, false, json, err);
}

enum lun_code
lun_projection_status(struct lun_engine *engine, const char *projection,
    char **json, struct lun_err *err)
{
	return give_status(engine, projection, false, json, err);
}

enum lun_code
lun_engine_projections(
    struct lun_engine *engine, char **json, struct lun_err *err)
{
	return give_status(engine, NULL, true, json, err);
}
