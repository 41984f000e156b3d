/* model_store.c - the registry of model stores, and the way to call them. */

#include "store/model_store.h"

#include <assert.h>
#include <inttypes.h>

#include "base/error.h"
#include "store/driver.h"

/* ---- opening and closing ----------------------------------------------- */

enum lun_code
lun_model_store_open(const char *url, const struct lun_store_options *options,
    struct lun_model_store **out, struct lun_err *err)
{
	const char *rest;
	const struct lun_driver *driver = lun_driver_find(url, &rest);

	if (driver == NULL || driver->models == NULL)
		return lun_fail(err, LUN_CONFIG,
		    "model store \"%.*s\": no such kind of store; write "
		    "sqlite:PATH, postgres://... or memory:",
		    (int)strcspn(url, ": =/@"), url);
	assert(driver->models->abi == LUN_MODEL_STORE_ABI);
	return driver->models->open(rest, options, out, err);
}

enum lun_code
lun_model_store_connect(struct lun_model_store *store,
    struct lun_model_store **out, struct lun_err *err)
{
	return store->ops->connect(store, out, err);
}

enum lun_code
lun_model_store_connect_kept(struct lun_model_store *store,
    struct lun_model_store **out, struct lun_err *err)
{
	if (store->ops->connect_kept == NULL)
		return store->ops->connect(store, out, err);
	return store->ops->connect_kept(store, out, err);
}

void
lun_model_store_close(struct lun_model_store *store)
{
	if (store != NULL)
		store->ops->close(store);
}

/* ---- what drivers share ------------------------------------------------ */

void
lun_lease_compare(struct lun_lease *lease, int64_t stored_fence)
{
	bool stands = lease->fence > 0 && lease->fence == stored_fence;

	lease->renewal = stands ? LUN_RENEWAL_DONE : LUN_RENEWAL_PASSED_ON;
	lease->stored_fence = stored_fence;
}

enum lun_code
lun_lease_check(const struct lun_lease *lease, struct lun_err *err)
{
	const char *name = lease->key.projection;

	switch (lease->renewal) {
	case LUN_RENEWAL_DONE:
		return LUN_OK;
	case LUN_RENEWAL_LOCKED:
		return lun_fail(err, LUN_UNAVAILABLE,
		    "projection \"%s\": another connection holds a lock on "
		    "its ownership",
		    name);
	case LUN_RENEWAL_HANDED_BACK:
		return lun_fail(err, LUN_CONFLICT,
		    "projection \"%s\": its ownership was handed back", name);
	case LUN_RENEWAL_PASSED_ON:
		break;
	}
	return lun_fail(err, LUN_CONFLICT,
	    "projection \"%s\": its ownership has passed on (fence %" PRId64
	    ", stored %" PRId64 "); another engine runs it",
	    name, lease->fence, lease->stored_fence);
}

enum lun_code
lun_model_store_check_fence(
    const char *projection, int64_t fence, int64_t stored, struct lun_err *err)
{
	struct lun_lease lease = {
	    .key = lun_only_key(projection), .fence = fence};

	lun_lease_compare(&lease, stored);
	return lun_lease_check(&lease, err);
}

enum lun_code
lun_model_store_check_guard(const char *projection, struct lun_guard guard,
    int64_t revision, int64_t fence, struct lun_err *err)
{
	enum lun_code code;

	code = lun_model_store_check_fence(projection, guard.fence, fence, err);
	if (code != LUN_OK || guard.expected_revision == revision)
		return code;
	return lun_fail(err, LUN_CONFLICT,
	    "projection \"%s\": expected revision %" PRId64 ", stored %" PRId64
	    "; somebody else changed it",
	    projection, guard.expected_revision, revision);
}

enum lun_code
lun_model_store_no_projection(const char *projection, struct lun_err *err)
{
	return lun_fail(err, LUN_NOTFOUND,
	    "projection \"%s\" is not in the model store", projection);
}

enum lun_code
lun_model_store_no_request(int64_t number, struct lun_err *err)
{
	return lun_fail(err, LUN_NOTFOUND,
	    "request %" PRId64 " is not in the model store", number);
}

enum lun_code
lun_model_store_no_waiting(const char *projection, struct lun_err *err)
{
	return lun_fail(err, LUN_NOTFOUND,
	    "no request waits for projection \"%s\"", projection);
}

/* The line about the key, where there may be none. */
static struct lun_text
take_key(struct lun_text *rest)
{
	const struct lun_text head = LUN_TEXT("key ");

	if (rest->length < head.length ||
	    memcmp(rest->bytes, head.bytes, head.length) != 0)
		return LUN_TEXT("key text");
	return lun_schema_next_line(rest);
}

/* The first line of one that the other one lacks; "": there is none. */
static struct lun_text
first_missing(struct lun_text lines, struct lun_text other)
{
	while (lines.length > 0) {
		struct lun_text line = lun_schema_next_line(&lines);
		struct lun_text rest = other;
		bool found = line.length == 0;

		while (rest.length > 0 && !found)
			found =
			    lun_text_equal(lun_schema_next_line(&rest), line);
		if (!found)
			return line;
	}
	return LUN_TEXT("");
}

static enum lun_code
describe_difference(const struct lun_schema *schema, struct lun_text stored,
    struct lun_text wanted, struct lun_err *err)
{
	struct lun_text was = take_key(&stored), is = take_key(&wanted);

	if (lun_text_equal(was, is)) {
		was = first_missing(stored, wanted);
		is = first_missing(wanted, stored);
	}
	return lun_fail(err, LUN_CONFIG,
	    "projection \"%s\" version %d: the models were built with "
	    "another declaration: %.*s%s%.*s; raise the version in the script "
	    "and run \"lunette rebuild %s\"",
	    schema->projection, schema->version, LUN_TEXT_ARG(was),
	    was.length == 0  ? "there was no "
	    : is.length == 0 ? " is gone"
			     : " is now ",
	    LUN_TEXT_ARG(is), schema->projection);
}

static enum lun_code
compare_descriptions(const struct lun_schema *schema, struct lun_text stored,
    struct lun_text wanted, struct lun_err *err)
{
	return lun_schema_texts_agree(stored, wanted)
		   ? LUN_OK
		   : describe_difference(schema, stored, wanted, err);
}

enum lun_code
lun_model_store_check_schema(const struct lun_schema *schema, int version,
    struct lun_text described, struct lun_err *err)
{
	struct lun_buffer wanted = {0};
	enum lun_code code = LUN_OK;

	if (version != schema->version)
		return lun_fail(err, LUN_CONFIG,
		    "projection \"%s\": the models are of version %d, the "
		    "script says %d; run \"lunette rebuild %s\"",
		    schema->projection, version, schema->version,
		    schema->projection);
	lun_schema_describe(schema, &wanted);
	if (wanted.failed)
		code = lun_fail(err, LUN_NOMEM, "define \"%s\": out of memory",
		    schema->projection);
	else
		code = compare_descriptions(
		    schema, described, lun_buffer_text(&wanted), err);
	lun_buffer_free(&wanted);
	return code;
}

/* ---- calls ------------------------------------------------------------- */

static enum lun_code
begin_call(
    struct lun_model_store *store, enum lun_call call, struct lun_err *err)
{
	if (store->ops->enter == NULL)
		return LUN_OK;
	return store->ops->enter(store, call, err);
}

static enum lun_code
end_call(struct lun_model_store *store, enum lun_code code)
{
	if (store->ops->leave != NULL)
		store->ops->leave(store);
	return code;
}

/* ---- ownership --------------------------------------------------------- */

enum lun_code
lun_model_store_acquire(struct lun_model_store *store, struct lun_key key,
    const char *owner, int64_t time_to_live_ms, int64_t *fence,
    char holder[LUN_OWNER_SIZE], struct lun_err *err)
{
	enum lun_code code;

	code =
	    lun_schema_check_projection_name(lun_text_of(key.projection), err);
	if (code != LUN_OK)
		return code;
	code = begin_call(store, LUN_CALL_WRITES, err);
	if (code == LUN_OK)
		code =
		    end_call(store, store->ops->acquire(store, key, owner,
					time_to_live_ms, fence, holder, err));
	return code;
}

enum lun_code
lun_model_store_renew(struct lun_model_store *store, struct lun_lease *leases,
    size_t count, int64_t time_to_live_ms, struct lun_err *err)
{
	enum lun_code code;

	if (count == 0)
		return LUN_OK;
	code = begin_call(store, LUN_CALL_LOOKS, err);
	if (code == LUN_OK)
		code = end_call(store, store->ops->renew(store, leases, count,
					   time_to_live_ms, err));
	return code;
}

enum lun_code
lun_model_store_renew_one(struct lun_model_store *store, struct lun_key key,
    int64_t fence, int64_t time_to_live_ms, struct lun_err *err)
{
	struct lun_lease lease = {.key = key, .fence = fence};
	enum lun_code code =
	    lun_model_store_renew(store, &lease, 1, time_to_live_ms, err);

	return code == LUN_OK ? lun_lease_check(&lease, err) : code;
}

void
lun_model_store_release(
    struct lun_model_store *store, struct lun_key key, int64_t fence)
{
	store->ops->release(store, key, fence);
}

/* ---- projections ------------------------------------------------------- */

/* Its names become part of SQL. */
static enum lun_code
check_schema_names(const struct lun_schema *schema, struct lun_err *err)
{
	enum lun_code code;

	code = lun_schema_check_projection_name(
	    lun_text_of(schema->projection), err);
	if (code == LUN_OK)
		code = lun_schema_check(schema, err);
	if (code != LUN_OK)
		return lun_wrap(err, code, "define \"%s\"", schema->projection);
	return LUN_OK;
}

enum lun_code
lun_model_store_define(struct lun_model_store *store, struct lun_key key,
    const struct lun_schema *schema, int64_t fence, struct lun_err *err)
{
	enum lun_code code = check_schema_names(schema, err);

	if (code != LUN_OK)
		return code;
	code = begin_call(store, LUN_CALL_WRITES, err);
	if (code == LUN_OK)
		code = end_call(
		    store, store->ops->define(store, key, schema, fence, err));
	return code;
}

void
lun_checkpoint_free(struct lun_checkpoint *checkpoint)
{
	lun_buffer_free(&checkpoint->source_state);
	lun_buffer_free(&checkpoint->schema);
}

/* Every commit adds one; no number of commits comes near this one. */
#define MOST_REVISION (INT64_MAX / 2)

static bool
may_be_raised(int64_t number)
{
	return number >= 0 && number <= MOST_REVISION;
}

/* *checkpoint is left as it was on failure. */
static enum lun_code
read_checkpoint(struct lun_model_store *store, struct lun_key key,
    struct lun_checkpoint *checkpoint, struct lun_err *err)
{
	struct lun_checkpoint read = {0};
	enum lun_code code = store->ops->checkpoint(store, key, &read, err);

	if (code != LUN_OK)
		return code;
	if (may_be_raised(read.revision) && may_be_raised(read.fence)) {
		*checkpoint = read;
		return LUN_OK;
	}
	code = lun_fail(err, LUN_CONFIG,
	    "%s: its checkpoint has revision %lld and fence %lld, which no "
	    "Lunette writes: restore the models, or drop them and build anew",
	    key.projection, (long long)read.revision, (long long)read.fence);
	lun_checkpoint_free(&read);
	return code;
}

enum lun_code
lun_model_store_take_up(struct lun_model_store *store, struct lun_key key,
    const struct lun_schema *schema, int64_t fence,
    struct lun_checkpoint *checkpoint, struct lun_err *err)
{
	enum lun_code code = check_schema_names(schema, err);

	if (code != LUN_OK)
		return code;
	code = begin_call(store, LUN_CALL_WRITES, err);
	if (code != LUN_OK)
		return code;
	code = store->ops->define(store, key, schema, fence, err);
	if (code == LUN_OK)
		code = read_checkpoint(store, key, checkpoint, err);
	return end_call(store, code);
}

enum lun_code
lun_model_store_reset(struct lun_model_store *store, struct lun_key key,
    const struct lun_schema *schema, struct lun_guard guard,
    struct lun_err *err)
{
	enum lun_code code = check_schema_names(schema, err);

	if (code != LUN_OK)
		return code;
	code = begin_call(store, LUN_CALL_WRITES, err);
	if (code == LUN_OK)
		code = end_call(
		    store, store->ops->reset(store, key, schema, guard, err));
	return code;
}

enum lun_code
lun_model_store_index(struct lun_model_store *store, struct lun_key key,
    const struct lun_schema *schema, const atomic_bool *stop,
    struct lun_err *err)
{
	struct lun_model_store *own = NULL;
	enum lun_code code;

	if (store->ops->index == NULL)
		return LUN_OK;
	code = lun_model_store_connect(store, &own, err);
	if (code == LUN_OK)
		code = begin_call(own, LUN_CALL_LONG, err);
	if (code == LUN_OK)
		code =
		    end_call(own, own->ops->index(own, key, schema, stop, err));
	lun_model_store_close(own);
	return code;
}

enum lun_code
lun_model_store_drop(struct lun_model_store *store, struct lun_key key,
    struct lun_guard guard, struct lun_err *err)
{
	enum lun_code code = begin_call(store, LUN_CALL_WRITES, err);

	if (code == LUN_OK)
		code =
		    end_call(store, store->ops->drop(store, key, guard, err));
	return code;
}

enum lun_code
lun_model_store_checkpoint(struct lun_model_store *store, struct lun_key key,
    struct lun_checkpoint *checkpoint, struct lun_err *err)
{
	enum lun_code code = begin_call(store, LUN_CALL_LOOKS, err);

	if (code == LUN_OK)
		code = end_call(
		    store, read_checkpoint(store, key, checkpoint, err));
	return code;
}

enum lun_code
lun_model_store_set_position(struct lun_model_store *store, struct lun_key key,
    struct lun_position position, struct lun_text source_state,
    struct lun_guard guard, struct lun_err *err)
{
	enum lun_code code = begin_call(store, LUN_CALL_WRITES, err);

	if (code == LUN_OK)
		code = end_call(store, store->ops->set_position(store, key,
					   position, source_state, guard, err));
	return code;
}

static enum lun_code
check_identity(const char *identity, struct lun_err *err)
{
	if (strlen(identity) < LUN_IDENTITY_SIZE)
		return LUN_OK;
	return lun_fail(
	    err, LUN_INVALID, "the identity of the event store is too long");
}

enum lun_code
lun_model_store_adopt(struct lun_model_store *store, struct lun_key key,
    const char *identity, struct lun_guard guard, struct lun_err *err)
{
	enum lun_code code = check_identity(identity, err);

	if (code != LUN_OK)
		return lun_wrap(err, code, "adopt \"%s\"", key.projection);
	code = begin_call(store, LUN_CALL_WRITES, err);
	if (code == LUN_OK)
		code = end_call(
		    store, store->ops->adopt(store, key, identity, guard, err));
	return code;
}

enum lun_code
lun_model_store_set_paused(struct lun_model_store *store, struct lun_key key,
    bool paused, struct lun_guard guard, struct lun_err *err)
{
	enum lun_code code = begin_call(store, LUN_CALL_WRITES, err);

	if (code == LUN_OK)
		code = end_call(store,
		    store->ops->set_paused(store, key, paused, guard, err));
	return code;
}

enum lun_code
lun_model_store_list(struct lun_model_store *store, lun_name_fn *name,
    void *arg, struct lun_err *err)
{
	enum lun_code code = begin_call(store, LUN_CALL_LOOKS, err);

	if (code == LUN_OK)
		code = end_call(store, store->ops->list(store, name, arg, err));
	return code;
}

enum lun_code
lun_model_store_projection(struct lun_model_store *store, const char *name,
    struct lun_projection_info *info, struct lun_err *err)
{
	enum lun_code code = begin_call(store, LUN_CALL_LOOKS, err);

	if (code == LUN_OK)
		code = end_call(
		    store, store->ops->projection(store, name, info, err));
	return code;
}

enum lun_code
lun_model_store_builds(struct lun_model_store *store, const char *name,
    lun_build_fn *build, void *arg, struct lun_err *err)
{
	enum lun_code code = begin_call(store, LUN_CALL_LOOKS, err);

	if (code == LUN_OK)
		code = end_call(
		    store, store->ops->builds(store, name, build, arg, err));
	return code;
}

/* ---- models ------------------------------------------------------------ */

enum lun_code
lun_model_store_load(struct lun_model_store *store, struct lun_key key,
    const struct lun_schema *schema, const struct lun_text *ids, size_t count,
    lun_model_fn *model, void *arg, struct lun_err *err)
{
	enum lun_code code;

	for (size_t i = 0; i < count; i++) {
		code = lun_model_id_check(schema, ids[i], err);
		if (code != LUN_OK)
			return lun_wrap(
			    err, code, "load \"%s\"", schema->projection);
	}
	if (count == 0)
		return LUN_OK;
	code = begin_call(store, LUN_CALL_LOOKS, err);
	if (code == LUN_OK)
		code = end_call(store, store->ops->load(store, key, schema, ids,
					   count, model, arg, err));
	return code;
}

enum lun_code
lun_model_store_query(struct lun_model_store *store, struct lun_key key,
    const struct lun_schema *schema, const struct lun_query *query,
    lun_result_fn *result, void *arg, struct lun_err *err)
{
	enum lun_code code = begin_call(store, LUN_CALL_LOOKS, err);

	if (code == LUN_OK)
		code = end_call(store, store->ops->query(store, key, schema,
					   query, result, arg, err));
	return code;
}

static enum lun_code
check_write_set(const struct lun_write_set *set, struct lun_err *err)
{
	const struct lun_schema *schema = set->schema;
	enum lun_code code = LUN_OK;

	for (size_t i = 0; code == LUN_OK && i < set->model_count; i++)
		code = lun_model_id_check(schema, set->models[i].id, err);
	for (size_t i = 0; code == LUN_OK && i < set->parked_count; i++)
		code = lun_model_id_check(schema, set->parked[i].model_id, err);
	if (code == LUN_OK)
		code = check_identity(set->identity, err);
	if (code == LUN_OK && strlen(set->bundle_hash) >= LUN_BUNDLE_HASH_SIZE)
		code =
		    lun_fail(err, LUN_INVALID, "the bundle's hash is too long");
	return code;
}

enum lun_code
lun_model_store_commit(struct lun_model_store *store,
    const struct lun_write_set *write_set, struct lun_err *err)
{
	enum lun_code code = check_write_set(write_set, err);

	if (code != LUN_OK)
		return lun_wrap(
		    err, code, "commit \"%s\"", write_set->schema->projection);
	code = begin_call(store, LUN_CALL_WRITES, err);
	if (code == LUN_OK)
		code =
		    end_call(store, store->ops->commit(store, write_set, err));
	return code;
}

enum lun_code
lun_model_store_parked(struct lun_model_store *store, struct lun_key key,
    struct lun_text model_id, int64_t after, size_t limit,
    lun_failed_event_fn *item, void *arg, struct lun_err *err)
{
	enum lun_code code = begin_call(store, LUN_CALL_LOOKS, err);

	if (code == LUN_OK)
		code = end_call(store, store->ops->parked(store, key, model_id,
					   after, limit, item, arg, err));
	return code;
}

enum lun_code
lun_model_store_parked_ids(struct lun_model_store *store, struct lun_key key,
    lun_text_fn *id, void *arg, struct lun_err *err)
{
	enum lun_code code = begin_call(store, LUN_CALL_LOOKS, err);

	if (code == LUN_OK)
		code = end_call(
		    store, store->ops->parked_ids(store, key, id, arg, err));
	return code;
}

enum lun_code
lun_model_store_skipped(struct lun_model_store *store, struct lun_key key,
    size_t limit, lun_failed_event_fn *item, void *arg, struct lun_err *err)
{
	enum lun_code code = begin_call(store, LUN_CALL_LOOKS, err);

	if (code == LUN_OK)
		code = end_call(store,
		    store->ops->skipped(store, key, limit, item, arg, err));
	return code;
}

/* ---- administration ---------------------------------------------------- */

enum lun_code
lun_model_store_request_post(struct lun_model_store *store,
    const struct lun_request *request, int64_t *number, struct lun_err *err)
{
	enum lun_code code = begin_call(store, LUN_CALL_WRITES, err);

	if (code == LUN_OK)
		code = end_call(store,
		    store->ops->request_post(store, request, number, err));
	return code;
}

enum lun_code
lun_model_store_requests_waiting(struct lun_model_store *store, lun_key_fn *key,
    void *arg, struct lun_err *err)
{
	enum lun_code code = begin_call(store, LUN_CALL_LOOKS, err);

	if (code == LUN_OK)
		code = end_call(
		    store, store->ops->requests_waiting(store, key, arg, err));
	return code;
}

enum lun_code
lun_model_store_request_next(struct lun_model_store *store, struct lun_key key,
    struct lun_request *request, struct lun_err *err)
{
	enum lun_code code = begin_call(store, LUN_CALL_LOOKS, err);

	if (code == LUN_OK)
		code = end_call(
		    store, store->ops->request_next(store, key, request, err));
	return code;
}

enum lun_code
lun_model_store_request_finish(struct lun_model_store *store, int64_t number,
    enum lun_code outcome, const char *message, struct lun_err *err)
{
	enum lun_code code = begin_call(store, LUN_CALL_WRITES, err);

	if (code == LUN_OK)
		code = end_call(store, store->ops->request_finish(store, number,
					   outcome, message, err));
	return code;
}

enum lun_code
lun_model_store_request_result(struct lun_model_store *store, int64_t number,
    bool withdraw, struct lun_err *outcome, struct lun_err *err)
{
	enum lun_code code = begin_call(store, LUN_CALL_LOOKS, err);

	*outcome = (struct lun_err){.code = LUN_OK};
	if (code == LUN_OK)
		code = end_call(store, store->ops->request_result(store, number,
					   withdraw, outcome, err));
	return code;
}

enum lun_code
lun_model_store_publish(struct lun_model_store *store,
    const struct lun_heartbeat *heartbeats, size_t count, struct lun_err *err)
{
	enum lun_code code = begin_call(store, LUN_CALL_WRITES, err);

	if (code == LUN_OK)
		code = end_call(
		    store, store->ops->publish(store, heartbeats, count, err));
	return code;
}

enum lun_code
lun_model_store_heartbeat(struct lun_model_store *store, struct lun_key key,
    struct lun_heartbeat *heartbeat, struct lun_err *err)
{
	enum lun_code code = begin_call(store, LUN_CALL_LOOKS, err);

	if (code == LUN_OK)
		code = end_call(
		    store, store->ops->heartbeat(store, key, heartbeat, err));
	return code;
}

void
lun_model_store_tend(struct lun_model_store *store)
{
	if (store->ops->tend == NULL ||
	    begin_call(store, LUN_CALL_LOOKS, NULL) != LUN_OK)
		return;
	store->ops->tend(store);
	(void)end_call(store, LUN_OK);
}

bool
lun_model_store_is_away(struct lun_model_store *store)
{
	return store->ops->is_away != NULL && store->ops->is_away(store);
}
