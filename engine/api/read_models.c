/* read_models.c - models of an engine: get and query. */

#include <stdlib.h>

#include "api/handle_query.h"
#include "api/json_answer.h"
#include "base/error.h"
#include "runtime/engine.h"
#include "store/rows_as_json.h"

/* The models of a projection as one call sees them. */
struct models {
	struct lun_engine *engine;
	const char *name;
	struct lun_entry *entry; /* NULL: not registered here */
	struct lun_reader *reader;
	const struct lun_schema *schema;
	struct lun_schema *declared;     /* owned; of those not there yet */
	bool empty;                      /* never run: there are none yet */
	bool has_query;                  /* and they are the script's */
	char hash[LUN_BUNDLE_HASH_SIZE]; /* of that script */
};

static bool
has_same_schema(
    const struct lun_schema *schema, const struct lun_checkpoint *stored)
{
	struct lun_buffer text = {0};
	bool same;

	lun_schema_describe(schema, &text);
	same = schema->version == stored->version &&
	       lun_schema_texts_agree(
		   lun_buffer_text(&text), lun_buffer_text(&stored->schema));
	lun_buffer_free(&text);
	return same;
}

/* What the script in force is to build, as nothing is there yet. */
static enum lun_code
copy_declared(struct models *models, struct lun_err *err)
{
	enum lun_code code = lun_projection_copy_schema(
	    models->entry->p, &models->declared, err);

	models->schema = models->declared;
	return code;
}

/* Whether the script in force built them and answers queries. */
static void
look_at_script(struct models *models, const struct lun_checkpoint *stored)
{
	pthread_mutex_t *lock = &models->engine->board.lock;
	const struct lun_script *script;

	if (models->entry == NULL)
		return;
	pthread_mutex_lock(lock);
	script = models->entry->p->script;
	models->has_query = lun_script_has_query(script) &&
			    has_same_schema(lun_script_schema(script), stored);
	if (models->has_query)
		memcpy(
		    models->hash, lun_script_hash(script), sizeof models->hash);
	pthread_mutex_unlock(lock);
}

/* What is built keeps the order of columns that it was built with. */
static enum lun_code
learn_models(struct models *models, bool answers, struct lun_err *err)
{
	struct lun_checkpoint stored = {0};
	enum lun_code code = lun_model_store_checkpoint(
	    models->reader->models, lun_only_key(models->name), &stored, err);

	models->empty = code == LUN_NOTFOUND && models->entry != NULL;
	if (code == LUN_OK && answers)
		look_at_script(models, &stored);
	if (code == LUN_OK)
		code = lun_reader_schema(models->reader, models->name, &stored,
		    &models->schema, err);
	else if (models->empty)
		code = copy_declared(models, err);
	lun_checkpoint_free(&stored);
	return code;
}

/* Whether a query will run the script, as far as can be told beforehand. */
static bool
has_query(const struct models *models)
{
	pthread_mutex_t *lock = &models->engine->board.lock;
	bool has;

	if (models->entry == NULL)
		return false;
	pthread_mutex_lock(lock);
	has = lun_script_has_query(models->entry->p->script);
	pthread_mutex_unlock(lock);
	return has;
}

typedef enum lun_code use_fn(struct models *models, void *arg,
    struct lun_buffer *out, struct lun_err *err);

/* Have the models used with a reader at hand; give out what that wrote. */
static enum lun_code
use_models(struct models *models, const struct lun_reading *reading,
    use_fn *use, void *arg, char **json, struct lun_err *err)
{
	struct lun_engine *engine = models->engine;
	struct lun_buffer out = {0};
	enum lun_code code =
	    lun_reader_take(engine, reading, &models->reader, err);

	if (code != LUN_OK)
		return code;
	code = learn_models(models, reading->answers, err);
	if (code == LUN_OK)
		code = use(models, arg, &out, err);
	if (models->reader != NULL)
		lun_reader_give_back(engine, models->reader);
	lun_schema_free(models->declared);
	if (code == LUN_OK)
		return lun_answer_give(&out, json, models->name, err);
	lun_buffer_free(&out);
	return code;
}

/* ---- one model --------------------------------------------------------- */

struct found_model {
	struct lun_buffer *out;
	const struct lun_schema *schema;
	bool found;
};

static enum lun_code
write_model(
    void *arg, struct lun_text id, struct lun_text row, struct lun_err *err)
{
	struct found_model *model = arg;

	(void)err;
	model->found = true;
	lun_rows_write_model(model->out, model->schema, id, row);
	return LUN_OK;
}

static enum lun_code
get_model(struct models *models, void *arg, struct lun_buffer *out,
    struct lun_err *err)
{
	struct lun_text id = lun_text_of(arg);
	struct found_model model = {out, models->schema, false};
	enum lun_code code = LUN_OK;

	if (!models->empty)
		code = lun_model_store_load(models->reader->models,
		    lun_only_key(models->name), models->schema, &id, 1,
		    write_model, &model, err);
	if (code == LUN_OK && !model.found)
		return lun_fail(err, LUN_NOTFOUND, "%s has no model %.*s",
		    models->name, LUN_TEXT_ARG(id));
	return code;
}

enum lun_code
lun_engine_get(struct lun_engine *engine, const char *projection,
    const char *id, char **json, struct lun_err *err)
{
	const struct lun_reading reading = {.what = "get",
	    .projection = projection,
	    .stores = LUN_READS_MODELS};
	struct models models = {.engine = engine,
	    .name = projection,
	    .entry = lun_engine_find(engine, projection)};

	return use_models(&models, &reading, get_model, (void *)id, json, err);
}

/* ---- models by query --------------------------------------------------- */

struct terms {
	struct lun_text *list;
	size_t count;
};

static enum lun_code
ask_store(struct models *models, const struct terms *terms,
    struct lun_buffer *out, struct lun_err *err)
{
	const struct lun_settings *settings = &models->engine->settings;
	struct lun_query *query;
	enum lun_code code = lun_query_parse(models->schema, terms->list,
	    terms->count, (uint64_t)settings->query_limit,
	    (uint64_t)settings->query_limit_max, &query, err);

	if (code != LUN_OK)
		return code;
	if (models->empty)
		lun_buffer_add_text(out, LUN_TEXT("[]"));
	else
		code = lun_rows_write_query(models->reader->models,
		    lun_only_key(models->name), models->schema, query, out,
		    err);
	lun_query_free(query);
	return code;
}

static enum lun_code
query_models(struct models *models, void *arg, struct lun_buffer *out,
    struct lun_err *err)
{
	const struct terms *terms = arg;

	if (!models->has_query)
		return ask_store(models, terms, out, err);
	return lun_handle_query(models->engine, models->entry, models->hash,
	    &models->reader, terms->list, terms->count, out, err);
}

enum lun_code
lun_engine_query(struct lun_engine *engine, const char *projection,
    const char *const *filters, size_t count, char **json, struct lun_err *err)
{
	struct models models = {.engine = engine,
	    .name = projection,
	    .entry = lun_engine_find(engine, projection)};
	bool answers = has_query(&models);
	const struct lun_reading reading = {
	    .what = answers ? "handle_query of" : "query",
	    .projection = projection,
	    .stores = LUN_READS_MODELS,
	    .answers = answers};
	size_t room = count > 0 ? count : 1;
	struct terms terms = {calloc(room, sizeof *terms.list), count};
	enum lun_code code;

	if (terms.list == NULL)
		return lun_fail(
		    err, LUN_NOMEM, "%s: out of memory", projection);
	for (size_t i = 0; i < count; i++)
		terms.list[i] = lun_text_of(filters[i]);
	code = use_models(&models, &reading, query_models, &terms, json, err);
	free(terms.list);
	return code;
}
