/* models.c - a model store that lives in memory: the one to read first. */

#include "memory/models.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"

static struct memory_models *
models_of(struct lun_model_store *store)
{
	return (struct memory_models *)store;
}

struct memory_place *
lun_memory_lock(struct lun_model_store *store)
{
	struct memory_place *place = models_of(store)->place;

	while (!lun_fair_lock_take(&place->turn, INT64_MAX))
		continue;
	return place;
}

void
lun_memory_unlock(struct memory_place *place)
{
	lun_fair_lock_pass(&place->turn);
}

/* ---- opening and closing ----------------------------------------------- */

static enum lun_code
memory_connect(struct lun_model_store *store, struct lun_model_store **out,
    struct lun_err *err)
{
	struct memory_models *models = calloc(1, sizeof *models);

	if (models == NULL)
		return lun_fail(err, LUN_NOMEM, "memory: out of memory");
	models->base = *store;
	models->place = lun_memory_lock(store);
	models->place->connections++;
	lun_memory_unlock(models->place);
	*out = &models->base;
	return LUN_OK;
}

static enum lun_code
memory_open(const char *rest, const struct lun_store_options *options,
    struct lun_model_store **out, struct lun_err *err)
{
	struct memory_models first = {{&lun_memory_models}, NULL};
	enum lun_code code;

	(void)options;
	if (rest[0] != '\0')
		return lun_fail(err, LUN_CONFIG,
		    "open models \"memory:%s\": memory has no path; say "
		    "memory:",
		    rest);
	first.place = calloc(1, sizeof *first.place);
	if (first.place == NULL || !lun_fair_lock_init(&first.place->turn)) {
		free(first.place);
		return lun_fail(err, LUN_NOMEM, "memory: out of memory");
	}
	code = memory_connect(&first.base, out, err);
	if (code != LUN_OK) {
		lun_fair_lock_fini(&first.place->turn);
		free(first.place);
	}
	return code;
}

static void
free_place(struct memory_place *place)
{
	while (place->projections != NULL) {
		struct memory_projection *next = place->projections->next;

		lun_memory_clear(place->projections);
		free(place->projections);
		place->projections = next;
	}
	while (place->requests != NULL) {
		struct memory_request *next = place->requests->next;

		free(place->requests);
		place->requests = next;
	}
	lun_fair_lock_fini(&place->turn);
	free(place);
}

static void
memory_close(struct lun_model_store *store)
{
	struct memory_place *place = lun_memory_lock(store);
	struct memory_projection *p;
	size_t left = --place->connections;

	for (p = place->projections; p != NULL; p = p->next)
		if (p->owner == models_of(store))
			p->owner = NULL;
	lun_memory_unlock(place);
	free(store);
	if (left == 0)
		free_place(place);
}

/* ---- finding a projection ---------------------------------------------- */

/* Where the projection is linked in, or would be. */
static struct memory_projection **
find_link(struct memory_place *place, const char *name)
{
	struct memory_projection **link = &place->projections;

	while (*link != NULL && strcmp((*link)->name, name) < 0)
		link = &(*link)->next;
	return link;
}

static struct memory_projection *
find_any(struct memory_place *place, const char *name)
{
	struct memory_projection *found = *find_link(place, name);

	return found != NULL && strcmp(found->name, name) == 0 ? found : NULL;
}

struct memory_projection *
lun_memory_add(struct memory_place *place, const char *name)
{
	struct memory_projection **link = find_link(place, name);
	struct memory_projection *added;

	if (*link != NULL && strcmp((*link)->name, name) == 0)
		return *link;
	added = calloc(1, sizeof *added);
	if (added == NULL)
		return NULL;
	snprintf(added->name, sizeof added->name, "%s", name);
	added->next = *link;
	*link = added;
	return added;
}

enum lun_code
lun_memory_find(struct memory_place *place, const char *name,
    struct memory_projection **out, struct lun_err *err)
{
	struct memory_projection *found = find_any(place, name);

	if (found == NULL || !found->defined)
		return lun_fail(err, LUN_NOTFOUND,
		    "projection \"%s\" is not in the model store", name);
	*out = found;
	return LUN_OK;
}

static enum lun_code
check_schema(const struct memory_projection *p, const struct lun_schema *schema,
    struct lun_err *err)
{
	return lun_model_store_check_schema(schema, p->checkpoint.version,
	    lun_buffer_text(&p->checkpoint.schema), err);
}

enum lun_code
lun_memory_find_models(struct memory_place *place,
    const struct lun_schema *schema, struct memory_projection **out,
    struct lun_err *err)
{
	enum lun_code code =
	    lun_memory_find(place, schema->projection, out, err);

	return code == LUN_OK ? check_schema(*out, schema, err) : code;
}

enum lun_code
lun_memory_guard(struct memory_place *place, const char *name,
    struct lun_guard guard, struct memory_projection **out, struct lun_err *err)
{
	enum lun_code code = lun_memory_find(place, name, out, err);

	if (code != LUN_OK)
		return code;
	return lun_model_store_check_guard(name, guard,
	    (*out)->checkpoint.revision, (*out)->checkpoint.fence, err);
}

/* ---- ownership --------------------------------------------------------- */

static enum lun_code
memory_acquire(struct lun_model_store *store, struct lun_key key,
    const char *owner, int64_t time_to_live_ms, int64_t *fence,
    char holder[LUN_OWNER_SIZE], struct lun_err *err)
{
	struct memory_place *place = lun_memory_lock(store);
	struct memory_projection *p = lun_memory_add(place, key.projection);
	enum lun_code code = LUN_OK;

	(void)time_to_live_ms;
	if (p == NULL) {
		code = lun_fail(err, LUN_NOMEM, "memory: out of memory");
	} else if (p->owner != NULL && p->owner != models_of(store)) {
		snprintf(holder, LUN_OWNER_SIZE, "%s", p->holder);
		code = lun_fail(err, LUN_HELD, "projection \"%s\" is run by %s",
		    key.projection, p->holder);
	} else {
		p->owner = models_of(store);
		snprintf(p->holder, sizeof p->holder, "%s", owner);
		*fence = ++p->checkpoint.fence;
	}
	lun_memory_unlock(place);
	return code;
}

static bool
owns(struct memory_place *place, struct lun_model_store *store,
    struct lun_key key, int64_t fence, struct memory_projection **out)
{
	*out = find_any(place, key.projection);
	return *out != NULL && (*out)->owner == models_of(store) &&
	       (*out)->checkpoint.fence == fence;
}

static enum lun_code
memory_renew(struct lun_model_store *store, struct lun_key key, int64_t fence,
    int64_t time_to_live_ms, struct lun_err *err)
{
	struct memory_place *place = lun_memory_lock(store);
	struct memory_projection *p = find_any(place, key.projection);
	bool current = p != NULL && p->checkpoint.fence == fence;

	(void)time_to_live_ms;
	lun_memory_unlock(place);
	if (current)
		return LUN_OK;
	return lun_fail(err, LUN_CONFLICT,
	    "projection \"%s\" has another owner by now", key.projection);
}

static void
memory_release(struct lun_model_store *store, struct lun_key key, int64_t fence)
{
	struct memory_place *place = lun_memory_lock(store);
	struct memory_projection *p;

	if (owns(place, store, key, fence, &p))
		p->owner = NULL;
	lun_memory_unlock(place);
}

/* ---- a projection's life ----------------------------------------------- */

/* Models, events set aside and checkpoint go; the fence goes on counting. */
static void
forget(struct memory_projection *p)
{
	int64_t fence = p->checkpoint.fence;

	lun_memory_clear(p);
	p->checkpoint = (struct lun_checkpoint){.fence = fence};
	p->defined = false;
}

static enum lun_code
start(struct memory_projection *p, const struct lun_schema *schema,
    int64_t revision, struct lun_err *err)
{
	struct lun_buffer text = {0};

	lun_schema_describe(schema, &text);
	if (text.failed) {
		lun_buffer_free(&text);
		return lun_fail(err, LUN_NOMEM, "memory: out of memory");
	}
	forget(p);
	p->defined = true;
	p->checkpoint.version = schema->version;
	p->checkpoint.revision = revision;
	p->checkpoint.schema = text;
	return LUN_OK;
}

static enum lun_code
memory_define(struct lun_model_store *store, struct lun_key key,
    const struct lun_schema *schema, int64_t fence, struct lun_err *err)
{
	(void)key;
	struct memory_place *place = lun_memory_lock(store);
	struct memory_projection *p = lun_memory_add(place, schema->projection);
	enum lun_code code;

	if (p == NULL)
		code = lun_fail(err, LUN_NOMEM, "memory: out of memory");
	else
		code = lun_model_store_check_fence(
		    p->name, fence, p->checkpoint.fence, err);
	if (code == LUN_OK && p->defined)
		code =
		    lun_model_store_check_schema(schema, p->checkpoint.version,
			lun_buffer_text(&p->checkpoint.schema), err);
	else if (code == LUN_OK)
		code = start(p, schema, 1, err);
	lun_memory_unlock(place);
	return code;
}

/* A projection that is not there has revision 0. */
static enum lun_code
memory_reset(struct lun_model_store *store, struct lun_key key,
    const struct lun_schema *schema, struct lun_guard guard,
    struct lun_err *err)
{
	(void)key;
	struct memory_place *place = lun_memory_lock(store);
	struct memory_projection *p = lun_memory_add(place, schema->projection);
	enum lun_code code;

	if (p == NULL)
		code = lun_fail(err, LUN_NOMEM, "memory: out of memory");
	else
		code = lun_model_store_check_guard(p->name, guard,
		    p->checkpoint.revision, p->checkpoint.fence, err);
	if (code == LUN_OK)
		code = start(p, schema, guard.expected_revision + 1, err);
	lun_memory_unlock(place);
	return code;
}

static enum lun_code
memory_drop(struct lun_model_store *store, struct lun_key key,
    struct lun_guard guard, struct lun_err *err)
{
	struct memory_place *place = lun_memory_lock(store);
	struct memory_projection *p;
	enum lun_code code;

	code = lun_memory_guard(place, key.projection, guard, &p, err);
	if (code == LUN_OK) {
		forget(p);
		p->has_heartbeat = false;
	}
	lun_memory_unlock(place);
	return code;
}

/* ---- the checkpoint ---------------------------------------------------- */

static enum lun_code
memory_checkpoint(struct lun_model_store *store, struct lun_key key,
    struct lun_checkpoint *checkpoint, struct lun_err *err)
{
	struct memory_place *place = lun_memory_lock(store);
	struct memory_projection *p;
	enum lun_code code = lun_memory_find(place, key.projection, &p, err);

	if (code == LUN_OK) {
		struct lun_checkpoint copy = p->checkpoint;

		copy.parked_count = p->parked.count;
		copy.source_state = (struct lun_buffer){0};
		copy.schema = (struct lun_buffer){0};
		lun_buffer_add_text(&copy.source_state,
		    lun_buffer_text(&p->checkpoint.source_state));
		lun_buffer_add_text(
		    &copy.schema, lun_buffer_text(&p->checkpoint.schema));
		if (copy.source_state.failed || copy.schema.failed) {
			lun_checkpoint_free(&copy);
			code =
			    lun_fail(err, LUN_NOMEM, "memory: out of memory");
		} else {
			*checkpoint = copy;
		}
	}
	lun_memory_unlock(place);
	return code;
}

static enum lun_code
memory_set_position(struct lun_model_store *store, struct lun_key key,
    struct lun_position position, struct lun_text source_state,
    struct lun_guard guard, struct lun_err *err)
{
	struct memory_place *place = lun_memory_lock(store);
	struct lun_buffer state = {0};
	struct memory_projection *p;
	enum lun_code code;

	code = lun_memory_guard(place, key.projection, guard, &p, err);
	lun_buffer_add_text(&state, source_state);
	if (code == LUN_OK && state.failed)
		code = lun_fail(err, LUN_NOMEM, "memory: out of memory");
	if (code == LUN_OK) {
		lun_buffer_free(&p->checkpoint.source_state);
		p->checkpoint.source_state = state;
		p->checkpoint.position = position;
		p->checkpoint.revision++;
	} else {
		lun_buffer_free(&state);
	}
	lun_memory_unlock(place);
	return code;
}

static enum lun_code
memory_set_paused(struct lun_model_store *store, struct lun_key key,
    bool paused, struct lun_guard guard, struct lun_err *err)
{
	struct memory_place *place = lun_memory_lock(store);
	struct memory_projection *p;
	enum lun_code code;

	code = lun_memory_guard(place, key.projection, guard, &p, err);
	if (code == LUN_OK) {
		p->checkpoint.paused = paused;
		p->checkpoint.revision++;
	}
	lun_memory_unlock(place);
	return code;
}

static enum lun_code
memory_list(struct lun_model_store *store, lun_name_fn *name, void *arg,
    struct lun_err *err)
{
	struct memory_place *place = lun_memory_lock(store);
	struct memory_projection *p = place->projections;
	enum lun_code code = LUN_OK;

	for (; code == LUN_OK && p != NULL; p = p->next)
		if (p->defined)
			code = name(arg, p->name, err);
	lun_memory_unlock(place);
	return code;
}

const struct lun_model_store_ops lun_memory_models = {
    .scheme = "memory",
    .abi = LUN_MODEL_STORE_ABI,
    .open = memory_open,
    .connect = memory_connect,
    .close = memory_close,
    .acquire = memory_acquire,
    .renew = memory_renew,
    .release = memory_release,
    .define = memory_define,
    .reset = memory_reset,
    .drop = memory_drop,
    .checkpoint = memory_checkpoint,
    .set_position = memory_set_position,
    .set_paused = memory_set_paused,
    .list = memory_list,
    .load = lun_memory_load,
    .query = lun_memory_query,
    .commit = lun_memory_commit,
    .parked = lun_memory_parked,
    .parked_ids = lun_memory_parked_ids,
    .skipped = lun_memory_skipped,
    .request_post = lun_memory_request_post,
    .request_next = lun_memory_request_next,
    .request_finish = lun_memory_request_finish,
    .request_result = lun_memory_request_result,
    .publish = lun_memory_publish,
    .heartbeat = lun_memory_heartbeat,
};
