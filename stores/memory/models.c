/* models.c - a model store that lives in memory: the one to read first. */

#include "memory/models.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"

static struct memory_models *
memory_models_of(struct lun_model_store *store)
{
	return (struct memory_models *)store;
}

struct memory_data *
lun_memory_lock(struct lun_model_store *store)
{
	struct memory_data *data = memory_models_of(store)->data;

	while (!lun_fair_lock_take(&data->lock, INT64_MAX))
		continue;
	return data;
}

void
lun_memory_unlock(struct memory_data *data)
{
	lun_fair_lock_pass(&data->lock);
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
	models->data = lun_memory_lock(store);
	models->data->connections++;
	lun_memory_unlock(models->data);
	*out = &models->base;
	return LUN_OK;
}

static enum lun_code
memory_open(const char *rest, const struct lun_store_options *options,
    struct lun_model_store **out, struct lun_err *err)
{
	struct memory_models first = {.base.ops = &lun_memory_models};
	enum lun_code code;

	(void)options;
	if (rest[0] != '\0')
		return lun_fail(err, LUN_CONFIG,
		    "open models \"memory:%s\": memory has no path; say "
		    "memory:",
		    rest);
	first.data = calloc(1, sizeof *first.data);
	if (first.data == NULL || !lun_fair_lock_init(&first.data->lock)) {
		free(first.data);
		return lun_fail(err, LUN_NOMEM, "memory: out of memory");
	}
	code = memory_connect(&first.base, out, err);
	if (code != LUN_OK) {
		lun_fair_lock_fini(&first.data->lock);
		free(first.data);
	}
	return code;
}

static void
free_projections(struct memory_projection *p)
{
	while (p != NULL) {
		struct memory_projection *next = p->next;

		while (p->builds != NULL) {
			struct memory_build *build = p->builds;

			p->builds = build->next;
			lun_memory_clear_build(build);
			free(build);
		}
		free(p);
		p = next;
	}
}

static void
free_data(struct memory_data *data)
{
	free_projections(data->projections);
	while (data->shards != NULL) {
		struct memory_shard *next = data->shards->next;

		lun_memory_clear_shard(data->shards);
		free(data->shards);
		data->shards = next;
	}
	while (data->requests != NULL) {
		struct memory_request *next = data->requests->next;

		free(data->requests);
		data->requests = next;
	}
	lun_fair_lock_fini(&data->lock);
	free(data);
}

static void
memory_close(struct lun_model_store *store)
{
	struct memory_data *data = lun_memory_lock(store);
	struct memory_shard *shard;
	size_t left = --data->connections;

	for (shard = data->shards; shard != NULL; shard = shard->next)
		if (shard->owner == memory_models_of(store))
			shard->owner = NULL;
	lun_memory_unlock(data);
	free(store);
	if (left == 0)
		free_data(data);
}

/* ---- finding ----------------------------------------------------------- */

static int
compare_keys(struct lun_key a, struct lun_key b)
{
	int order = strcmp(a.projection, b.projection);

	if (order == 0)
		order = (a.build > b.build) - (a.build < b.build);
	return order != 0 ? order : (a.shard > b.shard) - (a.shard < b.shard);
}

/* Where the shard is linked in, or would be. */
static struct memory_shard **
find_link(struct memory_data *data, struct lun_key key)
{
	struct memory_shard **link = &data->shards;

	while (*link != NULL && compare_keys((*link)->key, key) < 0)
		link = &(*link)->next;
	return link;
}

struct memory_shard *
lun_memory_shard(struct memory_data *data, struct lun_key key)
{
	struct memory_shard *found = *find_link(data, key);

	return found != NULL && compare_keys(found->key, key) == 0 ? found
								   : NULL;
}

struct memory_shard *
lun_memory_add(struct memory_data *data, struct lun_key key)
{
	struct memory_shard **link = find_link(data, key);
	struct memory_shard *added = lun_memory_shard(data, key);

	if (added != NULL)
		return added;
	added = calloc(1, sizeof *added);
	if (added == NULL)
		return NULL;
	snprintf(
	    added->projection, sizeof added->projection, "%s", key.projection);
	added->key = key;
	added->key.projection = added->projection;
	added->next = *link;
	*link = added;
	return added;
}

struct memory_projection *
lun_memory_projection(struct memory_data *data, const char *name)
{
	struct memory_projection *p = data->projections;

	while (p != NULL && strcmp(p->name, name) != 0)
		p = p->next;
	return p;
}

struct memory_build *
lun_memory_build(struct memory_data *data, struct lun_key key)
{
	struct memory_projection *p =
	    lun_memory_projection(data, key.projection);
	struct memory_build *build = p != NULL ? p->builds : NULL;

	while (build != NULL && build->number != key.build)
		build = build->next;
	return build;
}

enum lun_code
lun_memory_find(struct memory_data *data, struct lun_key key,
    struct memory_shard **out, struct lun_err *err)
{
	struct memory_shard *found = lun_memory_shard(data, key);

	if (found == NULL || found->build == NULL)
		return lun_model_store_no_projection(key.projection, err);
	*out = found;
	return LUN_OK;
}

enum lun_code
lun_memory_find_models(struct memory_data *data, struct lun_key key,
    const struct lun_schema *schema, struct memory_build **out,
    struct lun_err *err)
{
	*out = lun_memory_build(data, key);
	if (*out == NULL)
		return lun_model_store_no_projection(key.projection, err);
	return lun_model_store_check_schema(
	    schema, (*out)->version, lun_buffer_text(&(*out)->schema), err);
}

enum lun_code
lun_memory_guard(struct memory_data *data, struct lun_key key,
    struct lun_guard guard, struct memory_shard **out, struct lun_err *err)
{
	enum lun_code code = lun_memory_find(data, key, out, err);

	if (code != LUN_OK)
		return code;
	return lun_model_store_check_guard(key.projection, guard,
	    (*out)->checkpoint.revision, (*out)->checkpoint.fence, err);
}

/* ---- ownership --------------------------------------------------------- */

static enum lun_code
memory_acquire(struct lun_model_store *store, struct lun_key key,
    const char *owner, int64_t time_to_live_ms, int64_t *fence,
    char holder[LUN_OWNER_SIZE], struct lun_err *err)
{
	struct memory_data *data = lun_memory_lock(store);
	struct memory_shard *p = lun_memory_add(data, key);
	enum lun_code code = LUN_OK;

	(void)time_to_live_ms;
	if (p == NULL) {
		code = lun_fail(err, LUN_NOMEM, "memory: out of memory");
	} else if (p->owner != NULL && p->owner != memory_models_of(store)) {
		snprintf(holder, LUN_OWNER_SIZE, "%s", p->holder);
		code =
		    lun_fail(err, LUN_OWNED, "projection \"%s\" is run by %s",
			key.projection, p->holder);
	} else {
		p->owner = memory_models_of(store);
		snprintf(p->holder, sizeof p->holder, "%s", owner);
		*fence = ++p->checkpoint.fence;
	}
	lun_memory_unlock(data);
	return code;
}

static bool
is_owner(struct memory_data *data, struct lun_model_store *store,
    struct lun_key key, int64_t fence, struct memory_shard **out)
{
	*out = lun_memory_shard(data, key);
	return *out != NULL && (*out)->owner == memory_models_of(store) &&
	       (*out)->checkpoint.fence == fence;
}

static enum lun_code
memory_renew(struct lun_model_store *store, struct lun_lease *leases,
    size_t count, int64_t time_to_live_ms, struct lun_err *err)
{
	struct memory_data *data = lun_memory_lock(store);

	(void)time_to_live_ms;
	(void)err;
	for (size_t i = 0; i < count; i++) {
		const struct memory_shard *p =
		    lun_memory_shard(data, leases[i].key);

		lun_lease_compare(
		    &leases[i], p != NULL ? p->checkpoint.fence : 0);
	}
	lun_memory_unlock(data);
	return LUN_OK;
}

static void
memory_release(struct lun_model_store *store, struct lun_key key, int64_t fence)
{
	struct memory_data *data = lun_memory_lock(store);
	struct memory_shard *p;

	if (is_owner(data, store, key, fence, &p))
		p->owner = NULL;
	lun_memory_unlock(data);
}

/* ---- the checkpoint ---------------------------------------------------- */

/* With what belongs to the build and to the projection. */
static enum lun_code
copy_checkpoint(const struct memory_shard *shard,
    struct lun_checkpoint *checkpoint, struct lun_err *err)
{
	const struct memory_build *build = shard->build;
	struct lun_checkpoint copy = shard->checkpoint;

	copy.version = build->version;
	copy.paused = build->projection->info.paused;
	copy.projection_revision = build->projection->info.revision;
	for (struct memory_bundle *b = build->bundles; b != NULL; b = b->next)
		copy.script_count++;
	copy.parked_count = shard->parked.count;
	copy.source_state = (struct lun_buffer){0};
	copy.schema = (struct lun_buffer){0};
	lun_buffer_add_text(&copy.source_state,
	    lun_buffer_text(&shard->checkpoint.source_state));
	lun_buffer_add_text(&copy.schema, lun_buffer_text(&build->schema));
	if (copy.source_state.failed || copy.schema.failed) {
		lun_checkpoint_free(&copy);
		return lun_fail(err, LUN_NOMEM, "memory: out of memory");
	}
	*checkpoint = copy;
	return LUN_OK;
}

static enum lun_code
memory_checkpoint(struct lun_model_store *store, struct lun_key key,
    struct lun_checkpoint *checkpoint, struct lun_err *err)
{
	struct memory_data *data = lun_memory_lock(store);
	struct memory_shard *shard;
	enum lun_code code = lun_memory_find(data, key, &shard, err);

	if (code == LUN_OK)
		code = copy_checkpoint(shard, checkpoint, err);
	lun_memory_unlock(data);
	return code;
}

static enum lun_code
memory_set_position(struct lun_model_store *store, struct lun_key key,
    struct lun_position position, struct lun_text source_state,
    struct lun_guard guard, struct lun_err *err)
{
	struct memory_data *data = lun_memory_lock(store);
	struct lun_buffer state = {0};
	struct memory_shard *p;
	enum lun_code code;

	code = lun_memory_guard(data, key, guard, &p, err);
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
	lun_memory_unlock(data);
	return code;
}

static enum lun_code
memory_adopt(struct lun_model_store *store, struct lun_key key,
    const char *identity, struct lun_guard guard, struct lun_err *err)
{
	struct memory_data *data = lun_memory_lock(store);
	struct memory_shard *p;
	enum lun_code code = lun_memory_guard(data, key, guard, &p, err);

	if (code == LUN_OK) {
		snprintf(p->checkpoint.identity, sizeof p->checkpoint.identity,
		    "%s", identity);
		p->checkpoint.revision++;
	}
	lun_memory_unlock(data);
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
    .define = lun_memory_define,
    .reset = lun_memory_reset,
    .drop = lun_memory_drop,
    .checkpoint = memory_checkpoint,
    .set_position = memory_set_position,
    .adopt = memory_adopt,
    .set_paused = lun_memory_set_paused,
    .list = lun_memory_list,
    .projection = lun_memory_describe,
    .builds = lun_memory_builds,
    .load = lun_memory_load,
    .query = lun_memory_query,
    .commit = lun_memory_commit,
    .parked = lun_memory_parked,
    .parked_ids = lun_memory_parked_ids,
    .skipped = lun_memory_skipped,
    .request_post = lun_memory_request_post,
    .requests_waiting = lun_memory_requests_waiting,
    .request_next = lun_memory_request_next,
    .request_finish = lun_memory_request_finish,
    .request_result = lun_memory_request_result,
    .publish = lun_memory_publish,
    .heartbeat = lun_memory_heartbeat,
};
