/*
 * models.h - the insides of the memory model store, shared by its files.
 *
 * A struct memory_data holds everything; the connections made from one opened
 * store point at the same one and lock it for the length of a call. Callbacks
 * run with that lock held: they must not call the store.
 */

#ifndef LUN_MEMORY_MODELS_H
#define LUN_MEMORY_MODELS_H

#include "base/fair_lock.h"
#include "store/model_store.h"

#define LUN_MEMORY_SKIPPED_MAX 1000 /* kept for each shard */

struct memory_row {
	struct lun_text id;
	struct lun_text values; /* packed */
	char bytes[];
};

/* The models of a build, in the order of their ids. */
struct memory_rows {
	struct memory_row **at;
	size_t count;
};

struct memory_item {
	struct lun_failed_event failed_event;
	bool removed;
	char bytes[];
};

/* Parked or skipped events, in the order of their numbers. */
struct memory_items {
	struct memory_item **at;
	size_t count;
};

/* Everything that a text of the script loaded, as kept with the models. */
struct memory_bundle {
	struct memory_bundle *next;
	char hash[LUN_BUNDLE_HASH_SIZE];
	struct lun_position first_position; /* of the first commit by it */
	int64_t first_at;
	size_t length;
	char text[];
};

struct memory_build {
	struct memory_build *next; /* by number */
	struct memory_projection *projection;
	int64_t number;
	int version;
	int64_t made_at;
	struct lun_buffer schema; /* as lun_schema_describe() gives it */
	struct memory_bundle *bundles;
	char bundle_hash[LUN_BUNDLE_HASH_SIZE]; /* taken up last */
	struct memory_rows rows;
};

/* Stays when it is dropped, without builds: its numbers go on counting. */
struct memory_projection {
	struct memory_projection *next; /* by name */
	char name[LUN_NAME_MAX + 1];
	struct lun_projection_info info;
	struct memory_build *builds;
};

/* Exists from the first acquire on; its fence goes on counting. */
struct memory_shard {
	struct memory_shard *next; /* by key */
	char projection[LUN_NAME_MAX + 1];
	struct lun_key key;          /* its name is the one above */
	struct memory_models *owner; /* NULL: nobody */
	char holder[LUN_OWNER_SIZE];
	struct memory_build *build; /* NULL: not defined */
	/* What follows from the build and the projection is not kept here. */
	struct lun_checkpoint checkpoint;
	struct memory_items parked;
	struct memory_items skipped;
	bool has_heartbeat;
	struct lun_heartbeat heartbeat;
	int64_t heartbeat_ns; /* when it was published */
};

struct memory_request {
	struct memory_request *next; /* the oldest first */
	struct lun_request request;
	bool finished;
	enum lun_code outcome;
	char message[512];
};

struct memory_data {
	struct lun_fair_lock lock;
	size_t connections;
	struct memory_projection *projections;
	struct memory_shard *shards;
	struct memory_request *requests;
	int64_t last_number; /* of a request, a parked or a skipped event */
};

/* A connection. */
struct memory_models {
	struct lun_model_store base; /* stays first */
	struct memory_data *data;
};

struct memory_data *lun_memory_lock(struct lun_model_store *store);
void lun_memory_unlock(struct memory_data *data);

/* Find or make one, not defined yet; NULL when out of memory. */
struct memory_shard *lun_memory_add(
    struct memory_data *data, struct lun_key key);
/* NULL: there is none. */
struct memory_shard *lun_memory_shard(
    struct memory_data *data, struct lun_key key);
struct memory_projection *lun_memory_projection(
    struct memory_data *data, const char *name);
struct memory_build *lun_memory_build(
    struct memory_data *data, struct lun_key key);

/* LUN_NOTFOUND unless the shard is defined. */
enum lun_code lun_memory_find(struct memory_data *data, struct lun_key key,
    struct memory_shard **out, struct lun_err *err) LUN_MUSTCHECK;

/* The build; LUN_CONFIG if its rows were packed for another schema. */
enum lun_code lun_memory_find_models(struct memory_data *data,
    struct lun_key key, const struct lun_schema *schema,
    struct memory_build **out, struct lun_err *err) LUN_MUSTCHECK;

/* LUN_NOTFOUND; LUN_CONFLICT if it has another revision or fence. */
enum lun_code lun_memory_guard(struct memory_data *data, struct lun_key key,
    struct lun_guard guard, struct memory_shard **out,
    struct lun_err *err) LUN_MUSTCHECK;

/* models_define.c */
enum lun_code lun_memory_define(struct lun_model_store *store,
    struct lun_key key, const struct lun_schema *schema, int64_t fence,
    struct lun_err *err);
enum lun_code lun_memory_reset(struct lun_model_store *store,
    struct lun_key key, const struct lun_schema *schema, struct lun_guard guard,
    struct lun_err *err);
enum lun_code lun_memory_drop(struct lun_model_store *store, struct lun_key key,
    struct lun_guard guard, struct lun_err *err);
enum lun_code lun_memory_set_paused(struct lun_model_store *store,
    struct lun_key key, bool paused, struct lun_guard guard,
    struct lun_err *err);
enum lun_code lun_memory_list(struct lun_model_store *store, lun_name_fn *name,
    void *arg, struct lun_err *err);
enum lun_code lun_memory_describe(struct lun_model_store *store,
    const char *name, struct lun_projection_info *info, struct lun_err *err);
enum lun_code lun_memory_builds(struct lun_model_store *store, const char *name,
    lun_build_fn *build, void *arg, struct lun_err *err);

/* models_commit.c */
/* Everything that a build or a shard holds is freed. */
void lun_memory_clear_build(struct memory_build *build);
void lun_memory_clear_shard(struct memory_shard *shard);
enum lun_code lun_memory_load(struct lun_model_store *store, struct lun_key key,
    const struct lun_schema *schema, const struct lun_text *ids, size_t count,
    lun_model_fn *model, void *arg, struct lun_err *err);
enum lun_code lun_memory_commit(struct lun_model_store *store,
    const struct lun_write_set *set, struct lun_err *err);

/* models_query.c */
enum lun_code lun_memory_query(struct lun_model_store *store,
    struct lun_key key, const struct lun_schema *schema,
    const struct lun_query *query, lun_result_fn *result, void *arg,
    struct lun_err *err);

/* models_parked.c */
enum lun_code lun_memory_parked(struct lun_model_store *store,
    struct lun_key key, struct lun_text model_id, int64_t after, size_t limit,
    lun_failed_event_fn *item, void *arg, struct lun_err *err);
enum lun_code lun_memory_parked_ids(struct lun_model_store *store,
    struct lun_key key, lun_text_fn *id, void *arg, struct lun_err *err);
enum lun_code lun_memory_skipped(struct lun_model_store *store,
    struct lun_key key, size_t limit, lun_failed_event_fn *item, void *arg,
    struct lun_err *err);

/* models_requests.c */
enum lun_code lun_memory_request_post(struct lun_model_store *store,
    const struct lun_request *request, int64_t *number, struct lun_err *err);
enum lun_code lun_memory_requests_waiting(struct lun_model_store *store,
    lun_key_fn *key, void *arg, struct lun_err *err);
enum lun_code lun_memory_request_next(struct lun_model_store *store,
    struct lun_key key, struct lun_request *request, struct lun_err *err);
enum lun_code lun_memory_request_finish(struct lun_model_store *store,
    int64_t number, enum lun_code outcome, const char *message,
    struct lun_err *err);
enum lun_code lun_memory_request_result(struct lun_model_store *store,
    int64_t number, bool withdraw, struct lun_err *outcome,
    struct lun_err *err);
enum lun_code lun_memory_publish(struct lun_model_store *store,
    const struct lun_heartbeat *heartbeats, size_t count, struct lun_err *err);
enum lun_code lun_memory_heartbeat(struct lun_model_store *store,
    struct lun_key key, struct lun_heartbeat *heartbeat, struct lun_err *err);

#endif
