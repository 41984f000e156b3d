/*
 * models.h - the insides of the PostgreSQL model store, shared by its files.
 *
 * What people read, in a schema of its own: a table <projection>__b<build>
 * with a column for every field, and over that of the live build the views
 * <projection> and <projection>__v<version>. What the engine keeps: the tables
 * lunette_*, see make.c.
 *
 * In SQL handed to the functions below "@" stands for that schema, quoted and
 * with its dot.
 */

#ifndef LUN_POSTGRES_MODELS_MODELS_H
#define LUN_POSTGRES_MODELS_MODELS_H

#include <stdatomic.h>

#include "base/error.h"
#include "base/lines.h"
#include "postgres/client/connection.h"
#include "sql/format.h"
#include "sql/names.h"
#include "store/model_store.h"

#define LUN_PG_DEFAULT_SCHEMA "lunette"
#define LUN_PG_SESSION_SIZE   37 /* a UUID */

/*
 * A condition: the lease that ends then has not run out. One that ends later
 * than the longest can (settings.c) is of a clock that was set back since.
 */
#define LUN_PG_LEASE_RUNS(expires_at)                                          \
	"(" expires_at " > clock_timestamp() AND " expires_at                  \
	" <= clock_timestamp() + interval '11 minutes')"

/* A connection to the server. */
struct pg_line {
	struct lun_pool_line base; /* stays first */
	struct lun_pg c;
};

/* What the handles made from one opened store share. */
struct pg_lines {
	struct lun_lines base; /* stays first */
	atomic_uint users;
	atomic_llong lease_ms; /* of what was acquired last; 0: nothing yet */
	atomic_bool told_of_fewer;
	atomic_bool is_away; /* the last that was heard: it does not answer */
	struct pg_line at[];
};

/* Of the last commit over a handle: revision 0 before it. */
struct pg_last_commit {
	char projection[LUN_NAME_MAX + 1];
	int64_t build;
	int shard;
	int64_t revision; /* the one it has made */
	int64_t fence;
	char bundle_hash[LUN_BUNDLE_HASH_SIZE];
};

/* A handle. */
struct pg_models {
	struct lun_model_store base; /* stays first */
	struct pg_lines *lines;
	struct lun_line_use use;
	enum lun_call call; /* the one under way */
	struct lun_pg *c;   /* of the line of the call under way */
	const char *schema;
	char session[LUN_PG_SESSION_SIZE]; /* whose ownerships are this one's */
	bool owns;                         /* has acquired something */
	struct pg_last_commit last_commit;
	struct lun_pg_params params; /* of the next statement */
	struct lun_buffer sql;
};

static inline struct pg_models *
pg_models_of(struct lun_model_store *store)
{
	return (struct pg_models *)store;
}

/* ---- lines.c ----------------------------------------------------------- */

/* They have one user and no connection. NULL when out of memory. */
struct pg_lines *lun_pg_lines_new(const struct lun_store_options *options);
void lun_pg_lines_release(struct pg_lines *lines);
/* As the contract has them. */
enum lun_code lun_pg_enter(struct lun_model_store *store, enum lun_call call,
    struct lun_err *err) LUN_MUSTCHECK;
void lun_pg_leave(struct lun_model_store *store);
bool lun_pg_is_away(struct lun_model_store *store);

/* ---- tables.c ---------------------------------------------------------- */

/* The table of a build and, of the live one, its views. */
enum lun_code lun_pg_make_models(struct pg_models *m, struct lun_key key,
    const struct lun_schema *schema, bool is_live,
    struct lun_err *err) LUN_MUSTCHECK;
/* The same empty, in place of those that are there, if they are. */
enum lun_code lun_pg_replace_models(struct pg_models *m, struct lun_key key,
    const struct lun_schema *schema, bool is_live,
    struct lun_err *err) LUN_MUSTCHECK;
/* Of a build; of every one of the projection for build 0. */
enum lun_code lun_pg_drop_models(
    struct pg_models *m, struct lun_key key, struct lun_err *err) LUN_MUSTCHECK;

/* ---- blockers.c -------------------------------------------------------- */

/*
 * Outside a transaction, after a call failed with this code: where it waited in
 * vain for a lock, the message names who holds one. The code is given back.
 */
enum lun_code lun_pg_explain_lock(struct pg_models *m, struct lun_key key,
    enum lun_code code, struct lun_err *err);

/* ---- statement.c ------------------------------------------------------- */

/* m->sql is emptied and begun anew; the text is added to it. */
void lun_pg_begin_sql(struct pg_models *m, const char *sql);
void lun_pg_add_sql(struct pg_models *m, const char *sql);
/* The table of a build's models. */
#define LUN_PG_TABLE_NAME_SIZE (LUN_NAME_MAX + 24)
void lun_pg_name_table(struct lun_key key, char name[LUN_PG_TABLE_NAME_SIZE]);
void lun_pg_add_table(struct pg_models *m, struct lun_key key);

/* The parameters $1 and $2; with the shard $3, as LUN_PG_KEY has them. */
#define LUN_PG_KEY "projection = $1 AND build = $2 AND shard = $3"
void lun_pg_add_build(struct pg_models *m, struct lun_key key);
void lun_pg_add_key(struct pg_models *m, struct lun_key key);

/* A text parameter. Words are for people: what is no UTF-8 in them is "?". */
void lun_pg_add_name(struct pg_models *m, const char *name);
void lun_pg_add_words(struct pg_models *m, struct lun_text words);
void lun_pg_element_words(struct pg_models *m, struct lun_text words);
/* What may be JSON: what is no UTF-8 in it leaves it as invalid as it was. */
void lun_pg_element_json(struct pg_models *m, struct lun_text json);

/*
 * Run m->sql, or the SQL given, with m->params, which are empty afterwards
 * whatever happens. out may be NULL; else it is for PQclear().
 */
enum lun_code lun_pg_run_sql(
    struct pg_models *m, PGresult **out, struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_pg_run(struct pg_models *m, const char *sql, PGresult **out,
    struct lun_err *err) LUN_MUSTCHECK;
/* The same, row by row as they come (connection.h). */
enum lun_code lun_pg_stream_sql(struct pg_models *m, lun_pg_row_fn *row,
    void *arg, struct lun_err *err) LUN_MUSTCHECK;
/*
 * The same for a statement that writes: in a transaction of its own, unless
 * one is under way, as those that the server opens by itself may be read-only
 * for this role. LUN_TIMEOUT as with lun_pg_models_end().
 */
enum lun_code lun_pg_change(struct pg_models *m, const char *sql,
    PGresult **out, struct lun_err *err) LUN_MUSTCHECK;
/* As lun_pg_run_sql(), in a pipeline (connection.h). */
enum lun_code lun_pg_pipeline_sql(
    struct pg_models *m, struct lun_err *err) LUN_MUSTCHECK;

/* How many rows a statement has changed. */
uint64_t lun_pg_changed(const PGresult *result);
/* The text of a column, cut to the size of what it is copied to. */
void lun_pg_copy_text(
    const PGresult *result, int row, int column, char *copy, size_t size);

/*
 * A transaction that changes a shard: it is marked as the shard's, so that a
 * later owner finds it, and it ends by itself, well within the lease, if this
 * process says nothing more. settings: "SET LOCAL ...; ..." of it, or "".
 */
enum lun_code lun_pg_models_begin(struct pg_models *m, struct lun_key key,
    const char *settings, struct lun_err *err) LUN_MUSTCHECK;
/*
 * Commit if code is LUN_OK, else roll back; the code of it all. LUN_TIMEOUT:
 * the answer to the commit was lost.
 */
enum lun_code lun_pg_models_end(struct pg_models *m, struct lun_key key,
    enum lun_code code, struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_pg_outcome_unknown(struct pg_models *m, struct lun_err *err);
/* The class and the number in pg_locks that mark transactions of a shard. */
void lun_pg_add_mark(struct pg_models *m, struct lun_key key);

/* What is stored of a shard: 0 and 0 for one that is not there. */
enum lun_code lun_pg_read_guard(struct pg_models *m, struct lun_key key,
    struct lun_guard *stored, bool *defined, struct lun_err *err) LUN_MUSTCHECK;
/* LUN_NOTFOUND, or LUN_CONFLICT if revision or fence is another. */
enum lun_code lun_pg_check_guard(struct pg_models *m, struct lun_key key,
    struct lun_guard guard, struct lun_err *err) LUN_MUSTCHECK;
/* LUN_NOTFOUND unless the shard is defined. */
enum lun_code lun_pg_check_defined(
    struct pg_models *m, struct lun_key key, struct lun_err *err) LUN_MUSTCHECK;
/*
 * LUN_NOTFOUND if there is no such build, or LUN_CONFIG if its models were
 * built with another schema.
 */
enum lun_code lun_pg_check_schema(struct pg_models *m, struct lun_key key,
    const struct lun_schema *schema, struct lun_err *err) LUN_MUSTCHECK;
/*
 * A statement over the models ended with this code. If it failed because the
 * build is not there or has another schema, say so instead.
 */
enum lun_code lun_pg_explain(struct pg_models *m, struct lun_key key,
    const struct lun_schema *schema, enum lun_code code, struct lun_err *err);

/* ---- checkpoint.c ------------------------------------------------------ */

/* Two parameters; no state is null. */
void lun_pg_add_position(struct pg_models *m, struct lun_position position);
void lun_pg_add_state(struct pg_models *m, struct lun_text state);
enum lun_code lun_pg_checkpoint(struct lun_model_store *store,
    struct lun_key key, struct lun_checkpoint *checkpoint, struct lun_err *err);
enum lun_code lun_pg_set_position(struct lun_model_store *store,
    struct lun_key key, struct lun_position position,
    struct lun_text source_state, struct lun_guard guard, struct lun_err *err);
enum lun_code lun_pg_adopt(struct lun_model_store *store, struct lun_key key,
    const char *identity, struct lun_guard guard, struct lun_err *err);

/* ---- projections.c ----------------------------------------------------- */

enum lun_code lun_pg_set_paused(struct lun_model_store *store,
    struct lun_key key, bool paused, struct lun_guard guard,
    struct lun_err *err);
enum lun_code lun_pg_list(struct lun_model_store *store, lun_name_fn *name,
    void *arg, struct lun_err *err);
enum lun_code lun_pg_projection(struct lun_model_store *store, const char *name,
    struct lun_projection_info *info, struct lun_err *err);
enum lun_code lun_pg_builds(struct lun_model_store *store, const char *name,
    lun_build_fn *build, void *arg, struct lun_err *err);

/* ---- json.c ------------------------------------------------------------ */

/*
 * jsonb keeps numbers as decimals. What it would change is written so that it
 * comes back: the text to send, borrowed from json or from scratch.
 */
struct lun_text lun_pg_json_to_send(
    struct lun_text json, struct lun_buffer *scratch);
/* What jsonb gave, in the one form: sorted keys, no spaces. */
void lun_pg_json_received(struct lun_text json, struct lun_buffer *out);
/* A number as a decimal that compares as the stored ones do. */
void lun_pg_write_decimal(struct lun_buffer *out, double number);

/* ---- make.c, define.c -------------------------------------------------- */

/*
 * Whoever makes or changes the engine's own tables is alone: CREATE IF NOT
 * EXISTS is not safe in parallel. Who acquires something shares the lock.
 */
#define LUN_PG_LOCK_TABLES                                                     \
	"SELECT pg_catalog.pg_advisory_xact_lock(7235431960103)"
#define LUN_PG_SHARE_TABLES                                                    \
	"SELECT pg_catalog.pg_advisory_xact_lock_shared(7235431960103)"
enum lun_code lun_pg_make_tables(
    struct pg_models *m, struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_pg_define(struct lun_model_store *store, struct lun_key key,
    const struct lun_schema *schema, int64_t fence, struct lun_err *err);
enum lun_code lun_pg_reset(struct lun_model_store *store, struct lun_key key,
    const struct lun_schema *schema, struct lun_guard guard,
    struct lun_err *err);
enum lun_code lun_pg_drop(struct lun_model_store *store, struct lun_key key,
    struct lun_guard guard, struct lun_err *err);

/* ---- format.c ---------------------------------------------------------- */

/* LUN_OK or a failure in words; upgrades them where that may be. */
enum lun_code lun_pg_check_format(
    struct pg_models *m, bool says_one, struct lun_err *err) LUN_MUSTCHECK;
/* The first two columns of row 0, if there is one. */
void lun_pg_read_format(const PGresult *result, struct lun_sql_format *format);

/* ---- indexes.c --------------------------------------------------------- */

#define LUN_PG_INDEX_NAME_SIZE 512 /* until it is found too long */

void lun_pg_name_index(struct lun_key key, const struct lun_schema *schema,
    size_t number, char name[LUN_PG_INDEX_NAME_SIZE]);
enum lun_code lun_pg_index(struct lun_model_store *store, struct lun_key key,
    const struct lun_schema *schema, const atomic_bool *stop,
    struct lun_err *err);
/* Cancel what is being made of a build; build 0: of any. */
void lun_pg_end_indexing(struct pg_models *m, struct lun_key key);

/* ---- lease.c ----------------------------------------------------------- */

enum lun_code lun_pg_acquire(struct lun_model_store *store, struct lun_key key,
    const char *owner, int64_t time_to_live_ms, int64_t *fence,
    char holder[LUN_OWNER_SIZE], struct lun_err *err);
enum lun_code lun_pg_renew(struct lun_model_store *store,
    struct lun_lease *leases, size_t count, int64_t time_to_live_ms,
    struct lun_err *err);
void lun_pg_release(
    struct lun_model_store *store, struct lun_key key, int64_t fence);
/* Whatever this handle owns, if the server is there. */
void lun_pg_release_all(struct pg_models *m);

/* ---- load.c ------------------------------------------------------------ */

/*
 * Read a column of a model; text is borrowed from the result or, for json,
 * from scratch. False if it holds something else.
 */
bool lun_pg_read_value(const PGresult *result, int row, int column,
    enum lun_field_type type, struct lun_buffer *scratch,
    struct lun_value *value) LUN_MUSTCHECK;
/* For a false one: says which; the id is the result's first column. */
enum lun_code lun_pg_wrong_value(struct lun_key key,
    const struct lun_schema *schema, const PGresult *result, int row, int field,
    struct lun_err *err);
enum lun_code lun_pg_load(struct lun_model_store *store, struct lun_key key,
    const struct lun_schema *schema, const struct lun_text *ids, size_t count,
    lun_model_fn *model, void *arg, struct lun_err *err);

/* ---- write.c ----------------------------------------------------------- */

const char *lun_pg_column_type(enum lun_field_type type);
enum lun_pg_type lun_pg_array_type(enum lun_field_type type);
/* The id as an element of an array, or of a row for COPY. */
void lun_pg_element_id(struct lun_pg_params *params,
    const struct lun_schema *schema, struct lun_text id);

/* How a model is written. */
enum pg_way_to_write {
	PG_DELETE,
	PG_COPY,   /* it is new, as many others are */
	PG_UPDATE, /* it is stored, as many others are */
	PG_UPSERT,
	PG_WAYS_TO_WRITE
};

/* The models of a write set. */
struct pg_writes {
	struct pg_models *m;
	struct lun_key key;
	const struct lun_schema *schema;
	struct lun_model_write *sorted; /* way by way, and by id */
	size_t counts[PG_WAYS_TO_WRITE];
	bool copies;           /* what is new; else it is upserted */
	bool updates;          /* what is stored; likewise */
	struct lun_text *rows; /* what is left of each row of a statement */
	struct lun_buffer scratch;
};

/*
 * trust: what is said to be new may be copied in, and what is stored updated
 * before anything is deleted. Free it in any case.
 */
enum lun_code lun_pg_sort_writes(struct pg_models *m,
    const struct lun_write_set *set, bool trust, struct pg_writes *w,
    struct lun_err *err) LUN_MUSTCHECK;
void lun_pg_free_writes(struct pg_writes *w);
/* What their transaction begins with. */
const char *lun_pg_settings_to_write(const struct pg_writes *w);
/* Fails with SQLSTATE 23505 if one of the new ones is there after all. */
enum lun_code lun_pg_copy_fresh(
    struct pg_writes *w, struct lun_err *err) LUN_MUSTCHECK;
/* One that is not there after all is put in. */
enum lun_code lun_pg_update_stored(
    struct pg_writes *w, struct lun_err *err) LUN_MUSTCHECK;
/* The others, into the pipeline. */
enum lun_code lun_pg_write_models(
    struct pg_writes *w, struct lun_err *err) LUN_MUSTCHECK;

/* ---- commit.c ---------------------------------------------------------- */

enum lun_code lun_pg_commit_models(struct lun_model_store *store,
    const struct lun_write_set *set, struct lun_err *err);

/* ---- query.c ----------------------------------------------------------- */

enum lun_code lun_pg_query_models(struct lun_model_store *store,
    struct lun_key key, const struct lun_schema *schema,
    const struct lun_query *query, lun_result_fn *result, void *arg,
    struct lun_err *err);

/* ---- parked.c ---------------------------------------------------------- */

/* Into the pipeline. */
enum lun_code lun_pg_write_failed_events(struct pg_models *m,
    const struct lun_write_set *set, struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_pg_parked(struct lun_model_store *store, struct lun_key key,
    struct lun_text model_id, int64_t after, size_t limit,
    lun_failed_event_fn *item, void *arg, struct lun_err *err);
enum lun_code lun_pg_parked_ids(struct lun_model_store *store,
    struct lun_key key, lun_text_fn *id, void *arg, struct lun_err *err);
enum lun_code lun_pg_skipped(struct lun_model_store *store, struct lun_key key,
    size_t limit, lun_failed_event_fn *item, void *arg, struct lun_err *err);

/* ---- requests.c -------------------------------------------------------- */

enum lun_code lun_pg_request_post(struct lun_model_store *store,
    const struct lun_request *request, int64_t *number, struct lun_err *err);
enum lun_code lun_pg_requests_waiting(struct lun_model_store *store,
    lun_key_fn *key, void *arg, struct lun_err *err);
enum lun_code lun_pg_request_next(struct lun_model_store *store,
    struct lun_key key, struct lun_request *request, struct lun_err *err);
enum lun_code lun_pg_request_finish(struct lun_model_store *store,
    int64_t number, enum lun_code outcome, const char *message,
    struct lun_err *err);
enum lun_code lun_pg_request_result(struct lun_model_store *store,
    int64_t number, bool withdraw, struct lun_err *outcome,
    struct lun_err *err);
enum lun_code lun_pg_publish(struct lun_model_store *store,
    const struct lun_heartbeat *heartbeats, size_t count, struct lun_err *err);
enum lun_code lun_pg_heartbeat(struct lun_model_store *store,
    struct lun_key key, struct lun_heartbeat *heartbeat, struct lun_err *err);

#endif
