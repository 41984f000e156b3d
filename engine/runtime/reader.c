/* reader.c - a bounded pool of readers, which serve everything that only looks.
 */

#include "runtime/reader.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/thread.h"
#include "runtime/engine.h"

#define NS_PER_S     INT64_C(1000000000)
#define NS_PER_TENTH (NS_PER_S / 10)
#define USERS_SIZE   300 /* of the list of those who have the readers */

/* ---- the pool ---------------------------------------------------------- */

void
lun_readers_init(struct lun_readers *readers)
{
	pthread_mutex_init(&readers->lock, NULL);
	lun_cond_init(&readers->returned);
}

void
lun_reader_free(struct lun_reader *reader)
{
	lun_background_free(reader->thread);
	for (size_t i = 0; i < LUN_READER_STATES; i++)
		lun_script_free(reader->states[i]);
	for (size_t i = 0; i < LUN_READER_STATES; i++) {
		lun_schema_free(reader->schemas[i].schema);
		lun_buffer_free(&reader->schemas[i].text);
	}
	lun_model_store_close(reader->models);
	lun_event_store_close(reader->events);
	free(reader);
}

void
lun_readers_fini(struct lun_readers *readers)
{
	while (readers->first != NULL) {
		struct lun_reader *reader = readers->first;

		readers->first = reader->next;
		lun_reader_free(reader);
	}
	pthread_cond_destroy(&readers->returned);
	pthread_mutex_destroy(&readers->lock);
}

/* ---- who has them ------------------------------------------------------ */

static void
note_user(struct lun_reader *reader, const struct lun_reading *reading)
{
	reader->taken = true;
	reader->answers = reading->answers;
	reader->taken_ns = lun_clock_mono_ns();
	snprintf(reader->user, sizeof reader->user, "%s%s%.*s", reading->what,
	    reading->projection != NULL ? " " : "", LUN_NAME_MAX,
	    reading->projection != NULL ? reading->projection : "");
}

static void
list_users(const struct lun_readers *readers, char list[USERS_SIZE])
{
	int64_t now = lun_clock_mono_ns();
	size_t used = 0;

	list[0] = '\0';
	for (const struct lun_reader *r = readers->first;
	     r != NULL && used < USERS_SIZE; r = r->next)
		if (r->taken)
			used += (size_t)snprintf(list + used, USERS_SIZE - used,
			    "%s%s for %lld.%lld s", used > 0 ? ", " : "",
			    r->user,
			    (long long)((now - r->taken_ns) / NS_PER_S),
			    (long long)((now - r->taken_ns) / NS_PER_TENTH %
					10));
}

static enum lun_code
say_busy(const struct lun_engine *engine, const struct lun_reading *reading,
    struct lun_err *err)
{
	char users[USERS_SIZE];

	list_users(&engine->readers, users);
	return lun_fail(err, LUN_TIMEOUT,
	    "%s%s%.*s: no reader became free in time; of the %zu that the "
	    "settings readers and connections allow these are busy: %s",
	    reading->what, reading->projection != NULL ? " " : "", LUN_NAME_MAX,
	    reading->projection != NULL ? reading->projection : "",
	    engine->connections.readers, users);
}

/* ---- taking and giving back -------------------------------------------- */

static bool
may_take(const struct lun_engine *engine, const struct lun_reading *reading)
{
	size_t most = engine->connections.readers;

	return !reading->answers || most == 1 ||
	       engine->readers.answering < most - 1;
}

static struct lun_reader *
find_idle(const struct lun_readers *readers)
{
	struct lun_reader *reader = readers->first;

	while (reader != NULL && reader->taken)
		reader = reader->next;
	return reader;
}

static struct lun_reader *
make_reader(struct lun_readers *readers)
{
	struct lun_reader *reader = calloc(1, sizeof *reader);

	if (reader == NULL)
		return NULL;
	reader->next = readers->first;
	readers->first = reader;
	readers->count++;
	return reader;
}

/* With the pool's lock held. */
static enum lun_code
wait_for_reader(struct lun_engine *engine, const struct lun_reading *reading,
    int64_t deadline_ns, struct lun_reader **out, struct lun_err *err)
{
	struct lun_readers *readers = &engine->readers;
	size_t most = engine->connections.readers;

	for (;;) {
		bool may = may_take(engine, reading);

		*out = may ? find_idle(readers) : NULL;
		if (*out != NULL)
			return LUN_OK;
		if (may && readers->count < most) {
			*out = make_reader(readers);
			return *out != NULL
				   ? LUN_OK
				   : lun_fail(err, LUN_NOMEM,
					 "%s: out of memory", reading->what);
		}
		if (lun_clock_mono_ns() >= deadline_ns)
			return say_busy(engine, reading, err);
		lun_cond_wait_until(
		    &readers->returned, &readers->lock, deadline_ns);
	}
}

static enum lun_code
connect_reader(struct lun_engine *engine, struct lun_reader *reader,
    unsigned stores, struct lun_err *err)
{
	bool events = (stores & LUN_READS_EVENTS) && reader->events == NULL;
	bool models = (stores & LUN_READS_MODELS) && reader->models == NULL;
	enum lun_code code = LUN_OK;

	if (!events && !models)
		return LUN_OK;
	pthread_mutex_lock(&engine->stores_lock);
	if (events)
		code = lun_event_store_connect(
		    engine->events, &reader->events, err);
	if (code == LUN_OK && models)
		code = lun_model_store_connect(
		    engine->models, &reader->models, err);
	pthread_mutex_unlock(&engine->stores_lock);
	return code;
}

enum lun_code
lun_reader_take(struct lun_engine *engine, const struct lun_reading *reading,
    struct lun_reader **out, struct lun_err *err)
{
	struct lun_readers *readers = &engine->readers;
	int64_t deadline_ns = reading->deadline_ns;
	struct lun_reader *reader;
	enum lun_code code;

	if (deadline_ns == 0)
		deadline_ns =
		    lun_clock_deadline_ns(engine->settings.call_timeout_ms);
	pthread_mutex_lock(&readers->lock);
	code = wait_for_reader(engine, reading, deadline_ns, &reader, err);
	if (code == LUN_OK) {
		note_user(reader, reading);
		readers->answering += reading->answers;
	}
	pthread_mutex_unlock(&readers->lock);
	if (code != LUN_OK)
		return code;
	code = connect_reader(engine, reader, reading->stores, err);
	if (code != LUN_OK) {
		lun_reader_give_back(engine, reader);
		return code;
	}
	*out = reader;
	return LUN_OK;
}

/* With the pool's lock held. */
static void
end_use(struct lun_readers *readers, struct lun_reader *reader)
{
	readers->answering -= reader->answers;
	reader->taken = false;
	reader->answers = false;
	pthread_cond_broadcast(&readers->returned);
}

void
lun_reader_give_back(struct lun_engine *engine, struct lun_reader *reader)
{
	pthread_mutex_lock(&engine->readers.lock);
	end_use(&engine->readers, reader);
	pthread_mutex_unlock(&engine->readers.lock);
}

enum lun_code
lun_reader_find_head(struct lun_engine *engine, const char *what,
    struct lun_position *head, struct lun_err *err)
{
	const struct lun_reading reading = {
	    .what = what, .stores = LUN_READS_EVENTS};
	struct lun_reader *reader;
	enum lun_code code = lun_reader_take(engine, &reading, &reader, err);

	if (code != LUN_OK)
		return code;
	code = lun_event_store_head(reader->events, head, err);
	lun_reader_give_back(engine, reader);
	return code;
}

void
lun_reader_lose(struct lun_engine *engine, struct lun_reader *reader)
{
	struct lun_readers *readers = &engine->readers;
	struct lun_reader **link = &readers->first;

	pthread_mutex_lock(&readers->lock);
	while (*link != reader)
		link = &(*link)->next;
	*link = reader->next;
	readers->count--;
	end_use(readers, reader);
	pthread_mutex_unlock(&readers->lock);
}

/* ---- schemas ----------------------------------------------------------- */

static bool
is_schema_of(const struct lun_reader_schema *known, const char *projection,
    const struct lun_checkpoint *stored)
{
	return known->schema != NULL &&
	       known->schema->version == stored->version &&
	       strcmp(known->schema->projection, projection) == 0 &&
	       lun_text_equal(lun_buffer_text(&known->text),
		   lun_buffer_text(&stored->schema));
}

enum lun_code
lun_reader_schema(struct lun_reader *reader, const char *projection,
    const struct lun_checkpoint *stored, const struct lun_schema **out,
    struct lun_err *err)
{
	struct lun_reader_schema *known = reader->schemas;
	struct lun_schema *schema;
	enum lun_code code;

	for (size_t i = 0; i < LUN_READER_STATES; i++, known++)
		if (is_schema_of(known, projection, stored)) {
			*out = known->schema;
			return LUN_OK;
		}
	code = lun_schema_parse(projection, stored->version,
	    lun_buffer_text(&stored->schema), &schema, err);
	if (code != LUN_OK)
		return code;
	known = &reader->schemas[reader->oldest_schema];
	reader->oldest_schema = (reader->oldest_schema + 1) % LUN_READER_STATES;
	lun_schema_free(known->schema);
	lun_buffer_free(&known->text);
	known->schema = schema;
	lun_buffer_add_text(&known->text, lun_buffer_text(&stored->schema));
	*out = schema;
	return LUN_OK;
}

/* ---- Lua states -------------------------------------------------------- */

static void
move_to_front(struct lun_reader *reader, size_t index)
{
	struct lun_script *script = reader->states[index];

	for (; index > 0; index--)
		reader->states[index] = reader->states[index - 1];
	reader->states[0] = script;
}

struct lun_script *
lun_reader_find_state(
    struct lun_reader *reader, const char *projection, const char *hash)
{
	for (size_t i = 0; i < LUN_READER_STATES; i++) {
		const struct lun_script *script = reader->states[i];

		if (script == NULL ||
		    strcmp(lun_script_schema(script)->projection, projection) !=
			0 ||
		    strcmp(lun_script_hash(script), hash) != 0)
			continue;
		move_to_front(reader, i);
		return reader->states[0];
	}
	return NULL;
}

void
lun_reader_keep_state(struct lun_reader *reader, struct lun_script *script)
{
	lun_script_free(reader->states[LUN_READER_STATES - 1]);
	reader->states[LUN_READER_STATES - 1] = script;
	move_to_front(reader, LUN_READER_STATES - 1);
}

void
lun_reader_drop_state(struct lun_reader *reader)
{
	lun_script_free(reader->states[0]);
	for (size_t i = 1; i < LUN_READER_STATES; i++)
		reader->states[i - 1] = reader->states[i];
	reader->states[LUN_READER_STATES - 1] = NULL;
}
