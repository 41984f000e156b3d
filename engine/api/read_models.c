/* read_models.c - models of an engine: get and query. */

#include <stdio.h>
#include <stdlib.h>

#include "api/json_answer.h"
#include "base/error.h"
#include "runtime/engine.h"
#include "store/rows_as_json.h"

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
	char chunk[LUN_PATH_MAX];
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
	pthread_mutex_lock(&engine->lock);
	snprintf(chunk, sizeof chunk, "%s",
	    entry->path[0] != '\0' ? entry->path : entry->name);
	pthread_mutex_unlock(&engine->lock);
	code = source.failed
		   ? lun_fail(err, LUN_NOMEM, "%s: out of memory", entry->name)
		   : lun_script_load(
			 chunk, lun_buffer_text(&source), &limits, &fresh, err);
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
	       lun_text_equal(lun_schema_essence(lun_buffer_text(&text)),
		   lun_schema_essence(lun_buffer_text(&stored->schema)));
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
	    engine->model_reader, lun_only_key(name), &stored, err);
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
	lun_rows_write_model(answer->out, answer->schema, id, row);
	return LUN_OK;
}

static enum lun_code
get_model(struct lun_engine *engine, const struct answer *answer,
    struct lun_text id, struct lun_buffer *out, struct lun_err *err)
{
	struct model_answer model = {out, schema_of(answer), false};
	enum lun_code code = LUN_OK;

	if (!answer->empty)
		code = lun_model_store_load(engine->model_reader,
		    lun_only_key(model.schema->projection), model.schema, &id,
		    1, write_model, &model, err);
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
		return lun_answer_give(&out, json, projection, err);
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
		code = lun_rows_write_query(engine->model_reader,
		    lun_only_key(schema_of(answer)->projection),
		    schema_of(answer), query, out, err);
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
	code = lun_script_query(answer->script, engine->model_reader,
	    lun_only_key(schema_of(answer)->projection), terms, count,
	    (uint64_t)engine->settings.query_limit,
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
		return lun_answer_give(&out, json, projection, err);
	lun_buffer_free(&out);
	return code;
}
