/* models.c - a shim around any model store that makes the n-th call fail. */

#include "store/model_store.h"

#include <stdlib.h>

#include "base/error.h"
#include "faulty/fault.h"

struct faulty_models {
	struct lun_model_store base; /* stays first */
	struct lun_model_store *inner;
	struct lun_fault *fault;
};

static const char *const kinds[] = {"open", "connect", "acquire", "renew",
    "define", "reset", "index", "drop", "checkpoint", "set_position", "adopt",
    "set_paused", "list", "projection", "builds", "load", "query", "commit",
    "parked", "parked_ids", "skipped", "request_post", "requests_waiting",
    "request_next", "request_finish", "request_result", "publish", "heartbeat",
    NULL};

static struct faulty_models *
faulty_models_of(struct lun_model_store *store)
{
	return (struct faulty_models *)store;
}

static struct lun_model_store *
inner_of(struct lun_model_store *store)
{
	return faulty_models_of(store)->inner;
}

static bool
fault_strikes(struct lun_model_store *store, const char *kind)
{
	return lun_fault_strikes(faulty_models_of(store)->fault, kind);
}

static enum lun_code
report_fault(
    struct lun_model_store *store, const char *kind, struct lun_err *err)
{
	return lun_fault_report(faulty_models_of(store)->fault, kind, err);
}

/* ---- opening and closing ----------------------------------------------- */

static void
faulty_close(struct lun_model_store *store)
{
	lun_model_store_close(inner_of(store));
	lun_fault_free(faulty_models_of(store)->fault);
	free(store);
}

/* Takes the fault over, also when it fails. */
static struct faulty_models *
new_faulty_models(struct lun_fault *fault, struct lun_err *err)
{
	struct faulty_models *made = calloc(1, sizeof *made);

	if (made == NULL) {
		lun_fault_free(fault);
		(void)lun_fail(err, LUN_NOMEM, "faulty: out of memory");
		return NULL;
	}
	made->base.ops = &lun_faulty_models;
	made->fault = fault;
	return made;
}

static enum lun_code
open_inner_models(struct lun_fault *fault, const char *url,
    const struct lun_store_options *options, struct lun_model_store **out,
    struct lun_err *err)
{
	struct faulty_models *made = new_faulty_models(fault, err);
	enum lun_code code;

	if (made == NULL)
		return LUN_NOMEM;
	if (fault_strikes(&made->base, "open"))
		code = report_fault(&made->base, "open", err);
	else
		code = lun_model_store_open(url, options, &made->inner, err);
	if (code == LUN_OK) {
		made->base.made = made->inner->made;
		*out = &made->base;
	} else {
		faulty_close(&made->base);
	}
	return code;
}

static enum lun_code
faulty_open(const char *rest, const struct lun_store_options *options,
    struct lun_model_store **out, struct lun_err *err)
{
	struct lun_fault *fault;
	enum lun_code code;
	char *url;

	code = lun_fault_new(rest, kinds, &fault, &url, err);
	if (code != LUN_OK)
		return code;
	code = open_inner_models(fault, url, options, out, err);
	lun_free(url);
	return code;
}

typedef enum lun_code connect_fn(struct lun_model_store *store,
    struct lun_model_store **out, struct lun_err *err);

static enum lun_code
connect_inner(struct lun_model_store *store, connect_fn *connect,
    struct lun_model_store **out, struct lun_err *err)
{
	struct faulty_models *made;
	enum lun_code code;

	if (fault_strikes(store, "connect"))
		return report_fault(store, "connect", err);
	made = new_faulty_models(
	    lun_fault_share(faulty_models_of(store)->fault), err);
	if (made == NULL)
		return LUN_NOMEM;
	code = connect(inner_of(store), &made->inner, err);
	if (code == LUN_OK)
		*out = &made->base;
	else
		faulty_close(&made->base);
	return code;
}

static enum lun_code
faulty_connect(struct lun_model_store *store, struct lun_model_store **out,
    struct lun_err *err)
{
	return connect_inner(store, lun_model_store_connect, out, err);
}

static enum lun_code
faulty_connect_kept(struct lun_model_store *store, struct lun_model_store **out,
    struct lun_err *err)
{
	return connect_inner(store, lun_model_store_connect_kept, out, err);
}

/* ---- ownership --------------------------------------------------------- */

static enum lun_code
faulty_acquire(struct lun_model_store *store, struct lun_key key,
    const char *owner, int64_t time_to_live_ms, int64_t *fence,
    char holder[LUN_OWNER_SIZE], struct lun_err *err)
{
	if (fault_strikes(store, "acquire"))
		return report_fault(store, "acquire", err);
	return lun_model_store_acquire(
	    inner_of(store), key, owner, time_to_live_ms, fence, holder, err);
}

static enum lun_code
faulty_renew(struct lun_model_store *store, struct lun_lease *leases,
    size_t count, int64_t time_to_live_ms, struct lun_err *err)
{
	if (fault_strikes(store, "renew"))
		return report_fault(store, "renew", err);
	return lun_model_store_renew(
	    inner_of(store), leases, count, time_to_live_ms, err);
}

static void
faulty_release(struct lun_model_store *store, struct lun_key key, int64_t fence)
{
	lun_model_store_release(inner_of(store), key, fence);
}

/* ---- projections ------------------------------------------------------- */

static enum lun_code
faulty_define(struct lun_model_store *store, struct lun_key key,
    const struct lun_schema *schema, int64_t fence, struct lun_err *err)
{
	if (fault_strikes(store, "define"))
		return report_fault(store, "define", err);
	return lun_model_store_define(inner_of(store), key, schema, fence, err);
}

static enum lun_code
faulty_reset(struct lun_model_store *store, struct lun_key key,
    const struct lun_schema *schema, struct lun_guard guard,
    struct lun_err *err)
{
	if (fault_strikes(store, "reset"))
		return report_fault(store, "reset", err);
	return lun_model_store_reset(inner_of(store), key, schema, guard, err);
}

static enum lun_code
faulty_index(struct lun_model_store *store, struct lun_key key,
    const struct lun_schema *schema, const atomic_bool *stop,
    struct lun_err *err)
{
	if (fault_strikes(store, "index"))
		return report_fault(store, "index", err);
	return lun_model_store_index(inner_of(store), key, schema, stop, err);
}

static enum lun_code
faulty_drop(struct lun_model_store *store, struct lun_key key,
    struct lun_guard guard, struct lun_err *err)
{
	if (fault_strikes(store, "drop"))
		return report_fault(store, "drop", err);
	return lun_model_store_drop(inner_of(store), key, guard, err);
}

static enum lun_code
faulty_checkpoint(struct lun_model_store *store, struct lun_key key,
    struct lun_checkpoint *checkpoint, struct lun_err *err)
{
	if (fault_strikes(store, "checkpoint"))
		return report_fault(store, "checkpoint", err);
	return lun_model_store_checkpoint(
	    inner_of(store), key, checkpoint, err);
}

static enum lun_code
faulty_set_position(struct lun_model_store *store, struct lun_key key,
    struct lun_position position, struct lun_text source_state,
    struct lun_guard guard, struct lun_err *err)
{
	if (fault_strikes(store, "set_position"))
		return report_fault(store, "set_position", err);
	return lun_model_store_set_position(
	    inner_of(store), key, position, source_state, guard, err);
}

static enum lun_code
faulty_adopt(struct lun_model_store *store, struct lun_key key,
    const char *identity, struct lun_guard guard, struct lun_err *err)
{
	if (fault_strikes(store, "adopt"))
		return report_fault(store, "adopt", err);
	return lun_model_store_adopt(
	    inner_of(store), key, identity, guard, err);
}

static enum lun_code
faulty_set_paused(struct lun_model_store *store, struct lun_key key,
    bool paused, struct lun_guard guard, struct lun_err *err)
{
	if (fault_strikes(store, "set_paused"))
		return report_fault(store, "set_paused", err);
	return lun_model_store_set_paused(
	    inner_of(store), key, paused, guard, err);
}

static enum lun_code
faulty_list(struct lun_model_store *store, lun_name_fn *name, void *arg,
    struct lun_err *err)
{
	if (fault_strikes(store, "list"))
		return report_fault(store, "list", err);
	return lun_model_store_list(inner_of(store), name, arg, err);
}

static enum lun_code
faulty_projection(struct lun_model_store *store, const char *name,
    struct lun_projection_info *info, struct lun_err *err)
{
	if (fault_strikes(store, "projection"))
		return report_fault(store, "projection", err);
	return lun_model_store_projection(inner_of(store), name, info, err);
}

static enum lun_code
faulty_builds(struct lun_model_store *store, const char *name,
    lun_build_fn *build, void *arg, struct lun_err *err)
{
	if (fault_strikes(store, "builds"))
		return report_fault(store, "builds", err);
	return lun_model_store_builds(inner_of(store), name, build, arg, err);
}

/* ---- models ------------------------------------------------------------ */

static enum lun_code
faulty_load(struct lun_model_store *store, struct lun_key key,
    const struct lun_schema *schema, const struct lun_text *ids, size_t count,
    lun_model_fn *model, void *arg, struct lun_err *err)
{
	if (fault_strikes(store, "load"))
		return report_fault(store, "load", err);
	return lun_model_store_load(
	    inner_of(store), key, schema, ids, count, model, arg, err);
}

static enum lun_code
faulty_query(struct lun_model_store *store, struct lun_key key,
    const struct lun_schema *schema, const struct lun_query *query,
    lun_result_fn *result, void *arg, struct lun_err *err)
{
	if (fault_strikes(store, "query"))
		return report_fault(store, "query", err);
	return lun_model_store_query(
	    inner_of(store), key, schema, query, result, arg, err);
}

/* The one whose answer may get lost. */
static enum lun_code
faulty_commit(struct lun_model_store *store, const struct lun_write_set *set,
    struct lun_err *err)
{
	enum lun_strike strike =
	    lun_fault_strike(faulty_models_of(store)->fault, "commit");
	enum lun_code code;

	if (strike == LUN_STRIKE_BEFORE)
		return report_fault(store, "commit", err);
	code = lun_model_store_commit(inner_of(store), set, err);
	if (code == LUN_OK && strike == LUN_STRIKE_AFTER)
		code = report_fault(store, "commit", err);
	return code;
}

static enum lun_code
faulty_parked(struct lun_model_store *store, struct lun_key key,
    struct lun_text model_id, int64_t after, size_t limit,
    lun_failed_event_fn *item, void *arg, struct lun_err *err)
{
	if (fault_strikes(store, "parked"))
		return report_fault(store, "parked", err);
	return lun_model_store_parked(
	    inner_of(store), key, model_id, after, limit, item, arg, err);
}

static enum lun_code
faulty_parked_ids(struct lun_model_store *store, struct lun_key key,
    lun_text_fn *id, void *arg, struct lun_err *err)
{
	if (fault_strikes(store, "parked_ids"))
		return report_fault(store, "parked_ids", err);
	return lun_model_store_parked_ids(inner_of(store), key, id, arg, err);
}

static enum lun_code
faulty_skipped(struct lun_model_store *store, struct lun_key key, size_t limit,
    lun_failed_event_fn *item, void *arg, struct lun_err *err)
{
	if (fault_strikes(store, "skipped"))
		return report_fault(store, "skipped", err);
	return lun_model_store_skipped(
	    inner_of(store), key, limit, item, arg, err);
}

/* ---- administration ---------------------------------------------------- */

static enum lun_code
faulty_request_post(struct lun_model_store *store,
    const struct lun_request *request, int64_t *number, struct lun_err *err)
{
	if (fault_strikes(store, "request_post"))
		return report_fault(store, "request_post", err);
	return lun_model_store_request_post(
	    inner_of(store), request, number, err);
}

static enum lun_code
faulty_requests_waiting(struct lun_model_store *store, lun_key_fn *key,
    void *arg, struct lun_err *err)
{
	if (fault_strikes(store, "requests_waiting"))
		return report_fault(store, "requests_waiting", err);
	return lun_model_store_requests_waiting(inner_of(store), key, arg, err);
}

static enum lun_code
faulty_request_next(struct lun_model_store *store, struct lun_key key,
    struct lun_request *request, struct lun_err *err)
{
	if (fault_strikes(store, "request_next"))
		return report_fault(store, "request_next", err);
	return lun_model_store_request_next(inner_of(store), key, request, err);
}

static enum lun_code
faulty_request_finish(struct lun_model_store *store, int64_t number,
    enum lun_code outcome, const char *message, struct lun_err *err)
{
	if (fault_strikes(store, "request_finish"))
		return report_fault(store, "request_finish", err);
	return lun_model_store_request_finish(
	    inner_of(store), number, outcome, message, err);
}

static enum lun_code
faulty_request_result(struct lun_model_store *store, int64_t number,
    bool withdraw, struct lun_err *outcome, struct lun_err *err)
{
	if (fault_strikes(store, "request_result"))
		return report_fault(store, "request_result", err);
	return lun_model_store_request_result(
	    inner_of(store), number, withdraw, outcome, err);
}

static enum lun_code
faulty_publish(struct lun_model_store *store,
    const struct lun_heartbeat *heartbeats, size_t count, struct lun_err *err)
{
	if (fault_strikes(store, "publish"))
		return report_fault(store, "publish", err);
	return lun_model_store_publish(inner_of(store), heartbeats, count, err);
}

static enum lun_code
faulty_heartbeat(struct lun_model_store *store, struct lun_key key,
    struct lun_heartbeat *heartbeat, struct lun_err *err)
{
	if (fault_strikes(store, "heartbeat"))
		return report_fault(store, "heartbeat", err);
	return lun_model_store_heartbeat(inner_of(store), key, heartbeat, err);
}

static void
faulty_tend(struct lun_model_store *store)
{
	lun_model_store_tend(inner_of(store));
}

static bool
faulty_is_away(struct lun_model_store *store)
{
	return lun_model_store_is_away(inner_of(store));
}

const struct lun_model_store_ops lun_faulty_models = {
    .scheme = "faulty",
    .abi = LUN_MODEL_STORE_ABI,
    .open = faulty_open,
    .connect = faulty_connect,
    .connect_kept = faulty_connect_kept,
    .close = faulty_close,
    .acquire = faulty_acquire,
    .renew = faulty_renew,
    .release = faulty_release,
    .define = faulty_define,
    .reset = faulty_reset,
    .index = faulty_index,
    .drop = faulty_drop,
    .checkpoint = faulty_checkpoint,
    .set_position = faulty_set_position,
    .adopt = faulty_adopt,
    .set_paused = faulty_set_paused,
    .list = faulty_list,
    .projection = faulty_projection,
    .builds = faulty_builds,
    .load = faulty_load,
    .query = faulty_query,
    .commit = faulty_commit,
    .parked = faulty_parked,
    .parked_ids = faulty_parked_ids,
    .skipped = faulty_skipped,
    .request_post = faulty_request_post,
    .requests_waiting = faulty_requests_waiting,
    .request_next = faulty_request_next,
    .request_finish = faulty_request_finish,
    .request_result = faulty_request_result,
    .publish = faulty_publish,
    .heartbeat = faulty_heartbeat,
    .tend = faulty_tend,
    .is_away = faulty_is_away,
};
