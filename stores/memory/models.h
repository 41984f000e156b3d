/*
 * models.h - the insides of the memory model store, shared by its files.
 *
 * A place holds the data; every connection made from one opened store points
 * at the same place and has its turn there for the length of a call. Callbacks
 * run within that turn: they must not call the store.
 */

#ifndef LUN_MEMORY_MODELS_H
#define LUN_MEMORY_MODELS_H

#include "base/fair_lock.h"
#include "store/model_store.h"

#define LUN_MEMORY_SKIPPED_MAX 1000 /* kept for each projection */

struct memory_row {
	struct lun_text id;
	struct lun_text values; /* packed */
	char bytes[];
};

/* The models of a projection, in the order of their ids. */
struct memory_rows {
	struct memory_row **at;
	size_t count;
};

struct memory_item {
	struct lun_failed_event set_aside;
	bool removed;
	char bytes[];
};

/* Parked or skipped events, in the order of their numbers. */
struct memory_items {
	struct memory_item **at;
	size_t count;
};

/* Exists from the first acquire on; defined: it also has models. */
struct memory_projection {
	struct memory_projection *next; /* by name */
	char name[LUN_NAME_MAX + 1];
	struct memory_models *owner; /* NULL: nobody */
	char holder[LUN_OWNER_SIZE];
	bool defined;
	struct lun_checkpoint checkpoint; /* the fence counts even undefined */
	struct memory_rows rows;
	struct memory_items parked;
	struct memory_items skipped;
	bool has_heartbeat;
	struct lun_heartbeat heartbeat;
};

struct memory_request {
	struct memory_request *next; /* the oldest first */
	struct lun_request request;
	bool finished;
	enum lun_code outcome;
	char message[512];
};

struct memory_place {
	struct lun_fair_lock turn;
	size_t connections;
	struct memory_projection *projections;
	struct memory_request *requests;
	int64_t last_number; /* of a request or an event set aside */
};

/* A connection. */
struct memory_models {
	struct lun_model_store base; /* stays first */
	struct memory_place *place;
};

struct memory_place *lun_memory_lock(struct lun_model_store *store);
void lun_memory_unlock(struct memory_place *place);

/* Find or make one, not defined yet; NULL when out of memory. */
struct memory_projection *lun_memory_add(
    struct memory_place *place, const char *name);

/* LUN_NOTFOUND unless the projection is defined. */
enum lun_code lun_memory_find(struct memory_place *place, const char *name,
    struct memory_projection **out, struct lun_err *err) LUN_MUSTCHECK;

/* The same; LUN_CONFIG if its rows were packed for another schema. */
enum lun_code lun_memory_find_models(struct memory_place *place,
    const struct lun_schema *schema, struct memory_projection **out,
    struct lun_err *err) LUN_MUSTCHECK;

/* LUN_NOTFOUND; LUN_CONFLICT if it has another revision or fence. */
enum lun_code lun_memory_guard(struct memory_place *place, const char *name,
    struct lun_guard guard, struct memory_projection **out,
    struct lun_err *err) LUN_MUSTCHECK;

/* models_commit.c */
void lun_memory_clear(struct memory_projection *projection);
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

/* models_admin.c */
enum lun_code lun_memory_parked(struct lun_model_store *store,
    struct lun_key key, struct lun_text model_id, int64_t after, size_t limit,
    lun_failed_event_fn *item, void *arg, struct lun_err *err);
enum lun_code lun_memory_parked_ids(struct lun_model_store *store,
    struct lun_key key, lun_text_fn *id, void *arg, struct lun_err *err);
enum lun_code lun_memory_skipped(struct lun_model_store *store,
    struct lun_key key, size_t limit, lun_failed_event_fn *item, void *arg,
    struct lun_err *err);
enum lun_code lun_memory_request_post(struct lun_model_store *store,
    const struct lun_request *request, int64_t *number, struct lun_err *err);
enum lun_code lun_memory_request_next(struct lun_model_store *store,
    struct lun_key key, struct lun_request *request, struct lun_err *err);
enum lun_code lun_memory_request_finish(struct lun_model_store *store,
    int64_t number, enum lun_code outcome, const char *message,
    struct lun_err *err);
enum lun_code lun_memory_request_result(struct lun_model_store *store,
    int64_t number, bool withdraw, struct lun_err *err);
enum lun_code lun_memory_publish(struct lun_model_store *store,
    const struct lun_heartbeat *heartbeats, size_t count, struct lun_err *err);
enum lun_code lun_memory_heartbeat(struct lun_model_store *store,
    struct lun_key key, struct lun_heartbeat *heartbeat, struct lun_err *err);

#endif
