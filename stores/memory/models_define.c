/* models_define.c - projections and their builds in memory. */

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/error.h"
#include "memory/models.h"

static enum lun_code
fail_for_no_memory(struct lun_err *err)
{
	return lun_fail(err, LUN_NOMEM, "memory: out of memory");
}

/* ---- making ------------------------------------------------------------ */

static struct memory_projection *
add_projection(struct memory_data *data, const char *name)
{
	struct memory_projection **link = &data->projections;
	struct memory_projection *p = lun_memory_projection(data, name);

	if (p != NULL)
		return p;
	p = calloc(1, sizeof *p);
	if (p == NULL)
		return NULL;
	while (*link != NULL && strcmp((*link)->name, name) < 0)
		link = &(*link)->next;
	snprintf(p->name, sizeof p->name, "%s", name);
	p->info.revision = 1;
	p->next = *link;
	*link = p;
	return p;
}

/* The first build of a projection is its live one. */
static struct memory_build *
add_build(struct memory_projection *p, int64_t number)
{
	struct memory_build **link = &p->builds;
	struct memory_build *build = calloc(1, sizeof *build);

	if (build == NULL)
		return NULL;
	while (*link != NULL && (*link)->number < number)
		link = &(*link)->next;
	build->projection = p;
	build->number = number;
	build->next = *link;
	*link = build;
	if (p->info.live_build == 0)
		p->info.live_build = number;
	if (p->info.last_build < number)
		p->info.last_build = number;
	return build;
}

/* Empty, and of this schema. */
static void
begin_build(struct memory_build *build, const struct lun_schema *schema,
    struct lun_buffer *described)
{
	lun_memory_clear_build(build);
	build->bundle_hash[0] = '\0';
	build->version = schema->version;
	build->made_at = lun_clock_wall_us();
	build->schema = *described;
	*described = (struct lun_buffer){0};
}

static struct memory_build *
make_build(struct memory_data *data, struct lun_key key)
{
	struct memory_build *build = lun_memory_build(data, key);
	struct memory_projection *p;

	if (build != NULL)
		return build;
	p = add_projection(data, key.projection);
	return p != NULL ? add_build(p, key.build) : NULL;
}

/* Also begins it anew where it is there. */
static enum lun_code
start_build(struct memory_data *data, struct lun_key key,
    const struct lun_schema *schema, struct memory_build **out,
    struct lun_err *err)
{
	struct lun_buffer described = {0};

	lun_schema_describe(schema, &described);
	*out = described.failed ? NULL : make_build(data, key);
	if (*out != NULL)
		begin_build(*out, schema, &described);
	lun_buffer_free(&described);
	return *out != NULL ? LUN_OK : fail_for_no_memory(err);
}

/* The fence goes on counting. Models that it had are touched. */
static void
start_shard(
    struct memory_shard *shard, struct memory_build *build, int64_t revision)
{
	int64_t fence = shard->checkpoint.fence;

	lun_memory_clear_shard(shard);
	shard->checkpoint = (struct lun_checkpoint){
	    .fence = fence,
	    .revision = revision,
	    .rows_revision = shard->build != NULL ? revision : 0,
	};
	shard->build = build;
}

static enum lun_code
define_build(struct memory_data *data, struct memory_shard *shard,
    const struct lun_schema *schema, struct lun_err *err)
{
	struct memory_build *build = lun_memory_build(data, shard->key);
	enum lun_code code;

	if (build != NULL)
		code = lun_model_store_check_schema(schema, build->version,
		    lun_buffer_text(&build->schema), err);
	else
		code = start_build(data, shard->key, schema, &build, err);
	if (code == LUN_OK && shard->build == NULL)
		start_shard(shard, build, 1);
	return code;
}

enum lun_code
lun_memory_define(struct lun_model_store *store, struct lun_key key,
    const struct lun_schema *schema, int64_t fence, struct lun_err *err)
{
	struct memory_data *data = lun_memory_lock(store);
	struct memory_shard *shard = lun_memory_add(data, key);
	enum lun_code code;

	if (shard == NULL)
		code = fail_for_no_memory(err);
	else
		code = lun_model_store_check_fence(
		    key.projection, fence, shard->checkpoint.fence, err);
	if (code == LUN_OK)
		code = define_build(data, shard, schema, err);
	lun_memory_unlock(data);
	return code;
}

/* ---- beginning anew and forgetting ------------------------------------- */

static void
end_pause(struct memory_projection *p)
{
	p->info.revision += p->info.paused;
	p->info.paused = false;
}

/* The other shards' owners lose what they have under way. */
static void
restart_shards(struct memory_data *data, struct memory_build *build,
    const struct memory_shard *mine)
{
	for (struct memory_shard *s = data->shards; s != NULL; s = s->next) {
		if (s->build != build || s == mine)
			continue;
		s->checkpoint.fence++;
		start_shard(s, build, s->checkpoint.revision + 1);
	}
}

/* A shard that is not there has revision 0. */
enum lun_code
lun_memory_reset(struct lun_model_store *store, struct lun_key key,
    const struct lun_schema *schema, struct lun_guard guard,
    struct lun_err *err)
{
	struct memory_data *data = lun_memory_lock(store);
	struct memory_shard *shard = lun_memory_add(data, key);
	struct memory_build *build;
	enum lun_code code;

	if (shard == NULL)
		code = fail_for_no_memory(err);
	else
		code = lun_model_store_check_guard(key.projection, guard,
		    shard->checkpoint.revision, shard->checkpoint.fence, err);
	if (code == LUN_OK)
		code = start_build(data, key, schema, &build, err);
	if (code == LUN_OK) {
		start_shard(shard, build, guard.expected_revision + 1);
		restart_shards(data, build, shard);
		end_pause(build->projection);
	}
	lun_memory_unlock(data);
	return code;
}

static void
forget_shards(struct memory_data *data, const char *projection,
    const struct memory_shard *mine)
{
	for (struct memory_shard *s = data->shards; s != NULL; s = s->next) {
		if (strcmp(s->projection, projection) != 0)
			continue;
		s->checkpoint.fence += s != mine;
		start_shard(s, NULL, 0);
		s->has_heartbeat = false;
	}
}

static void
forget_builds(struct memory_projection *p)
{
	while (p->builds != NULL) {
		struct memory_build *gone = p->builds;

		p->builds = gone->next;
		lun_memory_clear_build(gone);
		free(gone);
	}
	p->info.live_build = 0;
	p->info.paused = false;
	p->info.revision++;
}

enum lun_code
lun_memory_drop(struct lun_model_store *store, struct lun_key key,
    struct lun_guard guard, struct lun_err *err)
{
	struct memory_data *data = lun_memory_lock(store);
	struct memory_shard *shard;
	enum lun_code code = lun_memory_guard(data, key, guard, &shard, err);

	if (code == LUN_OK) {
		forget_builds(shard->build->projection);
		forget_shards(data, key.projection, shard);
	}
	lun_memory_unlock(data);
	return code;
}

/* ---- the projection as a whole ----------------------------------------- */

enum lun_code
lun_memory_set_paused(struct lun_model_store *store, struct lun_key key,
    bool paused, struct lun_guard guard, struct lun_err *err)
{
	struct memory_data *data = lun_memory_lock(store);
	struct lun_projection_info *info;
	struct memory_shard *shard;
	enum lun_code code = lun_memory_find(data, key, &shard, err);

	if (code == LUN_OK) {
		info = &shard->build->projection->info;
		code = lun_model_store_check_guard(key.projection, guard,
		    info->revision, shard->checkpoint.fence, err);
	}
	if (code == LUN_OK) {
		info->paused = paused;
		info->revision++;
	}
	lun_memory_unlock(data);
	return code;
}

enum lun_code
lun_memory_list(struct lun_model_store *store, lun_name_fn *name, void *arg,
    struct lun_err *err)
{
	struct memory_data *data = lun_memory_lock(store);
	struct memory_projection *p = data->projections;
	enum lun_code code = LUN_OK;

	for (; code == LUN_OK && p != NULL; p = p->next)
		if (p->builds != NULL)
			code = name(arg, p->name, err);
	lun_memory_unlock(data);
	return code;
}

enum lun_code
lun_memory_describe(struct lun_model_store *store, const char *name,
    struct lun_projection_info *info, struct lun_err *err)
{
	struct memory_data *data = lun_memory_lock(store);
	struct memory_projection *p = lun_memory_projection(data, name);
	bool found = p != NULL && p->builds != NULL;

	if (found)
		*info = p->info;
	lun_memory_unlock(data);
	if (found)
		return LUN_OK;
	return lun_model_store_no_projection(name, err);
}

static struct lun_build
build_of(const struct memory_build *build)
{
	bool live = build->projection->info.live_build == build->number;

	return (struct lun_build){
	    .number = build->number,
	    .version = build->version,
	    .state = live ? "live" : "building",
	    .reason = "",
	    .made_at = build->made_at,
	    .bundle_hash = build->bundle_hash,
	    .schema = lun_buffer_text(&build->schema),
	};
}

enum lun_code
lun_memory_builds(struct lun_model_store *store, const char *name,
    lun_build_fn *build, void *arg, struct lun_err *err)
{
	struct memory_data *data = lun_memory_lock(store);
	struct memory_projection *p = lun_memory_projection(data, name);
	struct memory_build *at = p != NULL ? p->builds : NULL;
	enum lun_code code = LUN_OK;

	for (; code == LUN_OK && at != NULL; at = at->next) {
		struct lun_build described = build_of(at);

		code = build(arg, &described, err);
	}
	lun_memory_unlock(data);
	return code;
}
