/*
 * model_store.h - the contract of a model store, and how the engine calls it.
 *
 * A struct lun_model_store is a handle: cheap, and used by one thread at a time.
 * Those connected from one opened store share its connections, of which a store
 * has a bounded number: a call has one for as long as it takes. Callbacks must
 * not call the store over the same handle.
 * Ownership of a projection belongs to the handle that acquired it; the
 * fence it was given is what other handles of the same engine commit with.
 *
 * There is one call that moves a checkpoint, lun_model_store_commit(), and it
 * takes everything that moves with it. Every commit and every administrative
 * change is checked against the expected revision and the fence and raises the
 * revision by one. Each shard of a build has a revision and a fence of its own,
 * kept with its checkpoint, so shards never wait for each other; what concerns
 * the projection as a whole (set_paused) has the projection's revision.
 *
 * LUN_UNAVAILABLE means "locked or away, nothing was written, try again";
 * LUN_TIMEOUT "lost on the way, whether it was written is not known".
 */

#ifndef LUN_STORE_MODEL_STORE_H
#define LUN_STORE_MODEL_STORE_H

#include <stdatomic.h>

#include "base/text.h"
#include "data/event.h"
#include "data/model_id.h"
#include "data/position.h"
#include "data/row.h"
#include "data/schema.h"
#include "lunette.h"
#include "query/query.h"
#include "store/event_store.h"

#define LUN_MODEL_STORE_ABI  1
#define LUN_BUNDLE_HASH_SIZE 33 /* 32 hexadecimal digits */
#define LUN_OWNER_SIZE       128
#define LUN_WAITING_SIZE     400 /* of the words for what is waited for */

/*
 * What everything in a model store is kept by: one shard of one build of a
 * projection. Builds are counted from 1, shards from 0.
 */
struct lun_key {
	const char *projection; /* borrowed */
	int64_t build;
	int shard;
};

/* Until versions are built, a projection has one build, of one shard. */
static inline struct lun_key
lun_only_key(const char *projection)
{
	return (struct lun_key){projection, 1, 0};
}

/*
 * What the store knows of a shard of a build, of the build (version, schema,
 * script_count) and of the projection (paused, projection_revision).
 */
struct lun_checkpoint {
	int version; /* of the projection that the models belong to */
	struct lun_position position;
	int64_t revision;
	int64_t rows_revision; /* of the last commit that touched models */
	int64_t projection_revision;
	int64_t fence;
	bool paused;
	char identity[LUN_IDENTITY_SIZE]; /* event store; "" before the first */
	char bundle_hash[LUN_BUNDLE_HASH_SIZE]; /* of the last commit */
	int64_t script_count; /* bundles that built the models */
	int64_t committed_at; /* microseconds; 0: never */
	uint64_t parked_count;
	uint64_t skipped_count;
	struct lun_buffer
	    source_state;         /* owned; free with the function below */
	struct lun_buffer schema; /* as lun_schema_describe() gives it */
};

void lun_checkpoint_free(struct lun_checkpoint *checkpoint);

/* What belongs to the projection and none of its builds. */
struct lun_projection_info {
	int64_t live_build; /* the one that the public name shows */
	int64_t last_build; /* highest number ever given */
	bool paused;
	int64_t revision;
};

/* A build of a projection, as listed; texts are borrowed for the call. */
struct lun_build {
	int64_t number;
	int version;
	const char *state;       /* "live", "building" */
	const char *reason;      /* why it is in that state, or "" */
	int64_t made_at;         /* microseconds */
	int64_t kept_until;      /* microseconds; 0: no end is set */
	const char *bundle_hash; /* taken up last, or "" */
	struct lun_text schema;  /* as lun_schema_describe() gives it */
};

struct lun_model_write {
	struct lun_text id;
	struct lun_text row; /* packed; bytes NULL: delete the model */
	bool is_new;         /* a hint: the store has no model of this id */
};

/* An event set aside: parked to be retried, or skipped for good. */
struct lun_failed_event {
	int64_t number; /* given by the store; rises with every event parked */
	struct lun_text model_id; /* may be absent for a skipped event */
	struct lun_event event;
	struct lun_text error;
	int64_t at; /* microseconds since 1970 UTC */
};

/* A parked event that failed again, and how. */
struct lun_new_error {
	int64_t number;
	struct lun_text error;
};

/* Everything that one commit changes. */
struct lun_write_set {
	struct lun_key key;
	const struct lun_schema *schema;
	const struct lun_model_write *models; /* each id at most once */
	size_t model_count;
	const struct lun_failed_event *parked;
	size_t parked_count;
	const struct lun_failed_event *skipped;
	size_t skipped_count;
	const int64_t *unparked; /* numbers of parked events to remove */
	size_t unparked_count;
	const struct lun_new_error *new_errors; /* of parked events that stay */
	size_t new_error_count;

	struct lun_position position;
	struct lun_text source_state;
	const char *identity;
	const char *bundle_hash;
	struct lun_text bundle; /* kept where the build has none of this hash */
	int64_t expected_revision;
	int64_t fence;
};

/* Says which version of a projection an administrative change expects. */
struct lun_guard {
	int64_t expected_revision;
	int64_t fence;
};

/* What came of the renewal of a lease. */
enum lun_renewal {
	LUN_RENEWAL_DONE,
	LUN_RENEWAL_LOCKED, /* its row is; try again soon */
	LUN_RENEWAL_HANDED_BACK,
	LUN_RENEWAL_PASSED_ON, /* the fence is another's now */
};

/* An ownership to be kept. */
struct lun_lease {
	struct lun_key key;
	int64_t fence;
	/* Set by a renewal. */
	enum lun_renewal renewal;
	int64_t stored_fence;
};

/* A message from another process to the engine that runs a projection. */
struct lun_request {
	int64_t number;
	char projection[LUN_NAME_MAX + 1];
	int64_t build;
	int shard;
	enum lun_request_kind kind;
	char argument[LUN_MODEL_ID_MAX + 1]; /* "" for none */
};

/* Whether whoever published a heartbeat owns the shard. */
enum lun_held {
	LUN_HELD_UNKNOWN, /* no lock tells: go by the age */
	LUN_HELD_YES,
	LUN_HELD_NO,
};

/* What a running engine publishes about a projection. */
struct lun_heartbeat {
	char projection[LUN_NAME_MAX + 1];
	int64_t build;
	int shard;
	char owner[LUN_OWNER_SIZE]; /* who runs it: host, process */
	char state[24];
	char waiting_for
	    [LUN_WAITING_SIZE]; /* "" or what it waits for, in words */
	char last_error[512];
	double events_per_second;
	/* Not published, but told by the store, which has a clock or a lock. */
	enum lun_held held;
	int64_t age_us; /* below 0 where the store's clock was set back */
};

/* The base every driver's own struct starts with. */
struct lun_model_store {
	const struct lun_model_store_ops *ops;
	bool made; /* by open: nothing was kept there before */
};

/* row is packed in the schema's order and borrowed for the call. */
typedef enum lun_code lun_model_fn(
    void *arg, struct lun_text id, struct lun_text row, struct lun_err *err);
/*
 * A row of a query: count values, one for each selected column (or id and
 * every field, in the order of their names). At a path inside json a value has the kind that it has there;
 * objects and arrays come as LUN_VALUE_JSON.
 */
typedef enum lun_code lun_result_fn(void *arg, const struct lun_value *values,
    size_t count, struct lun_err *err);
typedef enum lun_code lun_name_fn(
    void *arg, const char *projection, struct lun_err *err);
typedef enum lun_code lun_failed_event_fn(
    void *arg, const struct lun_failed_event *item, struct lun_err *err);
typedef enum lun_code lun_text_fn(
    void *arg, struct lun_text text, struct lun_err *err);
typedef enum lun_code lun_key_fn(
    void *arg, struct lun_key key, struct lun_err *err);
typedef enum lun_code lun_build_fn(
    void *arg, const struct lun_build *build, struct lun_err *err);

/* What a call does to the store. */
enum lun_call {
	LUN_CALL_LOOKS,
	LUN_CALL_WRITES,
	LUN_CALL_LONG, /* may take hours */
};

struct lun_model_store_ops {
	const char *scheme; /* as messages name it */
	unsigned abi;

	/* rest is the URL without "scheme:". An absent store is created. */
	enum lun_code (*open)(const char *rest,
	    const struct lun_store_options *options,
	    struct lun_model_store **out, struct lun_err *err);
	enum lun_code (*connect)(struct lun_model_store *store,
	    struct lun_model_store **out, struct lun_err *err);
	/*
	 * The same with a connection that is opened now and nobody else has:
	 * its calls never wait for those of others. NULL: as connect.
	 */
	enum lun_code (*connect_kept)(struct lun_model_store *store,
	    struct lun_model_store **out, struct lun_err *err);
	/* Never fails; releases what this handle owns. */
	void (*close)(struct lun_model_store *store);

	/*
	 * Before and after every call of a method below but release: a
	 * connection for its length. LUN_UNAVAILABLE: none is to be had; the
	 * method is not called then, nor is leave. For a long one LUN_AGAIN:
	 * there are as many as may be. NULL: nothing of that kind is needed.
	 */
	enum lun_code (*enter)(struct lun_model_store *store,
	    enum lun_call call, struct lun_err *err);
	void (*leave)(struct lun_model_store *store);

	/*
	 * Become the owner. LUN_OWNED if another connection is; holder then has
	 * its words. The fence is higher than any before. The projection need
	 * not exist yet. time_to_live_ms matters to stores with leases only.
	 */
	enum lun_code (*acquire)(struct lun_model_store *store,
	    struct lun_key key, const char *owner, int64_t time_to_live_ms,
	    int64_t *fence, char holder[LUN_OWNER_SIZE], struct lun_err *err);
	/* From any connection, each for itself; it never waits for a lock. */
	enum lun_code (*renew)(struct lun_model_store *store,
	    struct lun_lease *leases, size_t count, int64_t time_to_live_ms,
	    struct lun_err *err);
	void (*release)(
	    struct lun_model_store *store, struct lun_key key, int64_t fence);

	/*
	 * Make the shard exist, and before it what it is a part of: the build
	 * (table <projection>__b<build>, indexes (or see index below)) and the
	 * projection; then its checkpoint at the start. Called by the owner.
	 * Where the projection has no live build, this one becomes it and has
	 * the views <projection> and <projection>__v<version>; another one is
	 * "building" and has none.
	 * Does nothing if it is there with the same version and schema text.
	 * LUN_CONFIG if the build's version or schema differs; the message says
	 * which and to run "lunette rebuild NAME" (higher version) or to raise
	 * the version (same version, other schema; name the first difference).
	 */
	enum lun_code (*define)(struct lun_model_store *store,
	    struct lun_key key, const struct lun_schema *schema, int64_t fence,
	    struct lun_err *err);
	/*
	 * In one transaction drop the build's models, its parked and skipped
	 * events and its bundles, and define it anew with this schema, all its
	 * shards at the start; where it is the live one, its views follow. A
	 * projection that was paused goes on, at a higher revision of its own.
	 * The revisions of all shards rise by one, and the fences of the other
	 * shards too, so that nothing their owners have under way lands here.
	 */
	enum lun_code (*reset)(struct lun_model_store *store,
	    struct lun_key key, const struct lun_schema *schema,
	    struct lun_guard guard, struct lun_err *err);
	/*
	 * Make the declared indexes that are missing, drop those of its own
	 * that are not declared any more, and keep in the build's schema which
	 * there are; once the projection has caught up: beside its commits,
	 * from any thread, beside another call.
	 * That may take long; it ends with LUN_AGAIN soon after stop was set.
	 * stop NULL: it takes no longer than other calls may, or fails.
	 * Without this method there are none.
	 */
	enum lun_code (*index)(struct lun_model_store *store,
	    struct lun_key key, const struct lun_schema *schema,
	    const atomic_bool *stop, struct lun_err *err);
	/*
	 * Forget the projection, all its builds and shards; the guard is that
	 * of the key's. Fences and build numbers go on counting, and the fences
	 * of the other shards rise by one.
	 */
	enum lun_code (*drop)(struct lun_model_store *store, struct lun_key key,
	    struct lun_guard guard, struct lun_err *err);

	/* LUN_NOTFOUND for a shard that was never defined. */
	enum lun_code (*checkpoint)(struct lun_model_store *store,
	    struct lun_key key, struct lun_checkpoint *checkpoint,
	    struct lun_err *err);
	enum lun_code (*set_position)(struct lun_model_store *store,
	    struct lun_key key, struct lun_position position,
	    struct lun_text source_state, struct lun_guard guard,
	    struct lun_err *err);
	/*
	 * The event store is the same under another identity: write that into
	 * the checkpoint, and nothing else.
	 */
	enum lun_code (*adopt)(struct lun_model_store *store,
	    struct lun_key key, const char *identity, struct lun_guard guard,
	    struct lun_err *err);
	/*
	 * Of the whole projection: the expected revision is the projection's,
	 * which alone is raised, the fence that of the key's lease.
	 */
	enum lun_code (*set_paused)(struct lun_model_store *store,
	    struct lun_key key, bool paused, struct lun_guard guard,
	    struct lun_err *err);
	/* Names of all projections, in order. */
	enum lun_code (*list)(struct lun_model_store *store, lun_name_fn *name,
	    void *arg, struct lun_err *err);
	/* LUN_NOTFOUND for a projection without builds. */
	enum lun_code (*projection)(struct lun_model_store *store,
	    const char *name, struct lun_projection_info *info,
	    struct lun_err *err);
	/* The builds of a projection by number; none is no failure. */
	enum lun_code (*builds)(struct lun_model_store *store, const char *name,
	    lun_build_fn *build, void *arg, struct lun_err *err);

	/* Calls back for each of the ids that has a model, in any order. */
	enum lun_code (*load)(struct lun_model_store *store, struct lun_key key,
	    const struct lun_schema *schema, const struct lun_text *ids,
	    size_t count, lun_model_fn *model, void *arg, struct lun_err *err);
	enum lun_code (*query)(struct lun_model_store *store,
	    struct lun_key key, const struct lun_schema *schema,
	    const struct lun_query *query, lun_result_fn *result, void *arg,
	    struct lun_err *err);

	/*
	 * Write all of it and the checkpoint, or nothing. LUN_CONFLICT if the
	 * stored revision or fence is another. The bundle is kept with the
	 * build, at this position, unless one of its hash is. LUN_TIMEOUT: the store was lost
	 * while it committed, and may even commit later; whoever acquires the
	 * projection anew puts an end to that, and the checkpoint then tells.
	 */
	enum lun_code (*commit)(struct lun_model_store *store,
	    const struct lun_write_set *write_set, struct lun_err *err);

	/* Parked events by number, above after; absent id: of all models. */
	enum lun_code (*parked)(struct lun_model_store *store,
	    struct lun_key key, struct lun_text model_id, int64_t after,
	    size_t limit, lun_failed_event_fn *item, void *arg,
	    struct lun_err *err);
	/* The model ids that have parked events, each once. */
	enum lun_code (*parked_ids)(struct lun_model_store *store,
	    struct lun_key key, lun_text_fn *id, void *arg,
	    struct lun_err *err);
	/* The latest skipped events, latest first. */
	enum lun_code (*skipped)(struct lun_model_store *store,
	    struct lun_key key, size_t limit, lun_failed_event_fn *item,
	    void *arg, struct lun_err *err);

	/* Leave a request for the owner. */
	enum lun_code (*request_post)(struct lun_model_store *store,
	    const struct lun_request *request, int64_t *number,
	    struct lun_err *err);
	/* Calls back for each shard that a request waits for, once. */
	enum lun_code (*requests_waiting)(struct lun_model_store *store,
	    lun_key_fn *key, void *arg, struct lun_err *err);
	/* The oldest waiting one for a shard. LUN_NOTFOUND. */
	enum lun_code (*request_next)(struct lun_model_store *store,
	    struct lun_key key, struct lun_request *request,
	    struct lun_err *err);
	/* Answer it; outcome LUN_OK or a failure with its message. */
	enum lun_code (*request_finish)(struct lun_model_store *store,
	    int64_t number, enum lun_code outcome, const char *message,
	    struct lun_err *err);
	/*
	 * What became of it, in *outcome: its code is LUN_AGAIN while it
	 * waits; else the request is forgotten. withdraw: forget it even while
	 * it waits. The code returned is about the look.
	 */
	enum lun_code (*request_result)(struct lun_model_store *store,
	    int64_t number, bool withdraw, struct lun_err *outcome,
	    struct lun_err *err);

	/* Replace the heartbeats of these shards. */
	enum lun_code (*publish)(struct lun_model_store *store,
	    const struct lun_heartbeat *heartbeats, size_t count,
	    struct lun_err *err);
	/* LUN_NOTFOUND. */
	enum lun_code (*heartbeat)(struct lun_model_store *store,
	    struct lun_key key, struct lun_heartbeat *heartbeat,
	    struct lun_err *err);

	/*
	 * Do now what a commit would have to do for the store one day, so that
	 * none has to. Called ten times a second while nobody is catching up,
	 * over a connection of its own. NULL: there is nothing of that kind.
	 */
	void (*tend)(struct lun_model_store *store);
	/*
	 * From any thread: the last that was heard is that it does not answer,
	 * so a call that may be left out is, and costs nobody the time. NULL:
	 * that does not come.
	 */
	bool (*is_away)(struct lun_model_store *store);
};

/*
 * What every driver answers alike. A shard or a projection that is not there
 * has revision 0, a new one 1; a fence that was never handed out owns nothing.
 */
enum lun_code lun_model_store_check_guard(const char *projection,
    struct lun_guard guard, int64_t revision, int64_t fence,
    struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_model_store_check_fence(const char *projection, int64_t fence,
    int64_t stored, struct lun_err *err) LUN_MUSTCHECK;
/* For renew: done or passed on, as the stored fence says. */
void lun_lease_compare(struct lun_lease *lease, int64_t stored_fence);
/* After it: LUN_OK, LUN_CONFLICT or, where it was locked, LUN_UNAVAILABLE. */
enum lun_code lun_lease_check(
    const struct lun_lease *lease, struct lun_err *err) LUN_MUSTCHECK;
/* For define: the stored version and schema text against the wanted ones. */
enum lun_code lun_model_store_check_schema(const struct lun_schema *schema,
    int version, struct lun_text described, struct lun_err *err) LUN_MUSTCHECK;
/* LUN_NOTFOUND in words: the projection, the request, one that waits. */
enum lun_code lun_model_store_no_projection(
    const char *projection, struct lun_err *err);
enum lun_code lun_model_store_no_request(int64_t number, struct lun_err *err);
enum lun_code lun_model_store_no_waiting(
    const char *projection, struct lun_err *err);

/* The drivers there are. */
extern const struct lun_model_store_ops lun_memory_models;
extern const struct lun_model_store_ops lun_sqlite_models;
extern const struct lun_model_store_ops lun_postgres_models;

/*
 * The engine calls drivers only through these; each does what the method of
 * its name promises. They check what callers hand in: a model id is a key of
 * its schema (LUN_INVALID).
 */
enum lun_code lun_model_store_open(const char *url,
    const struct lun_store_options *options, struct lun_model_store **out,
    struct lun_err *err) LUN_MUSTCHECK;
/* NULL is allowed. */
enum lun_code lun_model_store_connect(struct lun_model_store *store,
    struct lun_model_store **out, struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_model_store_connect_kept(struct lun_model_store *store,
    struct lun_model_store **out, struct lun_err *err) LUN_MUSTCHECK;
void lun_model_store_close(struct lun_model_store *store);
enum lun_code lun_model_store_acquire(struct lun_model_store *store,
    struct lun_key key, const char *owner, int64_t time_to_live_ms,
    int64_t *fence, char holder[LUN_OWNER_SIZE],
    struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_model_store_renew(struct lun_model_store *store,
    struct lun_lease *leases, size_t count, int64_t time_to_live_ms,
    struct lun_err *err) LUN_MUSTCHECK;
/* One, and what lun_lease_check() says of it. */
enum lun_code lun_model_store_renew_one(struct lun_model_store *store,
    struct lun_key key, int64_t fence, int64_t time_to_live_ms,
    struct lun_err *err) LUN_MUSTCHECK;
void lun_model_store_release(
    struct lun_model_store *store, struct lun_key key, int64_t fence);
enum lun_code lun_model_store_define(struct lun_model_store *store,
    struct lun_key key, const struct lun_schema *schema, int64_t fence,
    struct lun_err *err) LUN_MUSTCHECK;
/*
 * Define, and the checkpoint, over the connection that may just have made the
 * tables: to another one they would be news.
 */
enum lun_code lun_model_store_take_up(struct lun_model_store *store,
    struct lun_key key, const struct lun_schema *schema, int64_t fence,
    struct lun_checkpoint *checkpoint, struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_model_store_reset(struct lun_model_store *store,
    struct lun_key key, const struct lun_schema *schema, struct lun_guard guard,
    struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_model_store_index(struct lun_model_store *store,
    struct lun_key key, const struct lun_schema *schema,
    const atomic_bool *stop, struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_model_store_drop(struct lun_model_store *store,
    struct lun_key key, struct lun_guard guard,
    struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_model_store_checkpoint(struct lun_model_store *store,
    struct lun_key key, struct lun_checkpoint *checkpoint,
    struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_model_store_set_position(struct lun_model_store *store,
    struct lun_key key, struct lun_position position,
    struct lun_text source_state, struct lun_guard guard,
    struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_model_store_set_paused(struct lun_model_store *store,
    struct lun_key key, bool paused, struct lun_guard guard,
    struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_model_store_adopt(struct lun_model_store *store,
    struct lun_key key, const char *identity, struct lun_guard guard,
    struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_model_store_list(struct lun_model_store *store,
    lun_name_fn *name, void *arg, struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_model_store_projection(struct lun_model_store *store,
    const char *name, struct lun_projection_info *info,
    struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_model_store_builds(struct lun_model_store *store,
    const char *name, lun_build_fn *build, void *arg,
    struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_model_store_load(struct lun_model_store *store,
    struct lun_key key, const struct lun_schema *schema,
    const struct lun_text *ids, size_t count, lun_model_fn *model, void *arg,
    struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_model_store_query(struct lun_model_store *store,
    struct lun_key key, const struct lun_schema *schema,
    const struct lun_query *query, lun_result_fn *result, void *arg,
    struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_model_store_commit(struct lun_model_store *store,
    const struct lun_write_set *write_set, struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_model_store_parked(struct lun_model_store *store,
    struct lun_key key, struct lun_text model_id, int64_t after, size_t limit,
    lun_failed_event_fn *item, void *arg, struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_model_store_parked_ids(struct lun_model_store *store,
    struct lun_key key, lun_text_fn *id, void *arg,
    struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_model_store_skipped(struct lun_model_store *store,
    struct lun_key key, size_t limit, lun_failed_event_fn *item, void *arg,
    struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_model_store_request_post(struct lun_model_store *store,
    const struct lun_request *request, int64_t *number,
    struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_model_store_requests_waiting(struct lun_model_store *store,
    lun_key_fn *key, void *arg, struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_model_store_request_next(struct lun_model_store *store,
    struct lun_key key, struct lun_request *request,
    struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_model_store_request_finish(struct lun_model_store *store,
    int64_t number, enum lun_code outcome, const char *message,
    struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_model_store_request_result(struct lun_model_store *store,
    int64_t number, bool withdraw, struct lun_err *outcome,
    struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_model_store_publish(struct lun_model_store *store,
    const struct lun_heartbeat *heartbeats, size_t count,
    struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_model_store_heartbeat(struct lun_model_store *store,
    struct lun_key key, struct lun_heartbeat *heartbeat,
    struct lun_err *err) LUN_MUSTCHECK;
void lun_model_store_tend(struct lun_model_store *store);
bool lun_model_store_is_away(struct lun_model_store *store);

#endif
