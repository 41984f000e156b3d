/*
 * models.h - the insides of the SQLite model store, shared by its files.
 *
 * What people read: the view <projection>, with a column for every field, over
 * the table <projection>__b<build> of the live build. What the engine keeps:
 * the tables lunette_*, see models_tables.c.
 */

#ifndef LUN_SQLITE_MODELS_H
#define LUN_SQLITE_MODELS_H

#include <stdatomic.h>

#include "base/lines.h"
#include "sql/names.h"
#include "sqlite/connection.h"
#include "sqlite/ownership.h"
#include "sqlite/statements.h"
#include "store/model_store.h"

/* A condition: the row is a shard's; for lun_sqlite_bind_key(). */
#define LUN_SQLITE_IS_KEY "projection = ?1 AND build = ?2 AND shard = ?3"

/* A connection. */
struct sqlite_line {
	struct lun_pool_line base; /* stays first */
	struct lun_sqlite c;
	struct lun_sqlite_statements statements;
};

/* What the handles made from one opened store share. */
struct sqlite_lines {
	struct lun_lines base; /* stays first */
	atomic_uint users;
	struct sqlite_line at[]; /* the first is always open */
};

/* A handle. */
struct sqlite_models {
	struct lun_model_store base; /* stays first */
	struct sqlite_lines *lines;
	struct lun_line_use use;
	struct lun_sqlite *c; /* of the line of the call under way */
	struct lun_ownership *owned;
};

static inline struct sqlite_models *
sqlite_models_of(struct lun_model_store *store)
{
	return (struct sqlite_models *)store;
}

/* Of the call under way. */
static inline struct sqlite_line *
sqlite_line_of(const struct sqlite_models *m)
{
	return (struct sqlite_line *)m->use.line;
}

/* models_lines.c */
/* They have one user; the first is not open yet. NULL when out of memory. */
struct sqlite_lines *lun_sqlite_lines_new(
    const struct lun_store_options *options);
void lun_sqlite_lines_release(struct sqlite_lines *lines);
/* As the contract has them. */
enum lun_code lun_sqlite_enter(struct lun_model_store *store,
    enum lun_call call, struct lun_err *err) LUN_MUSTCHECK;
void lun_sqlite_leave(struct lun_model_store *store);

/* models_statement.c */
/*
 * The prepared statement for this SQL, reset and without bindings; owned by
 * the line, to be given back with lun_sqlite_done().
 */
enum lun_code lun_sqlite_statement(struct sqlite_models *m, const char *sql,
    sqlite3_stmt **out, struct lun_err *err) LUN_MUSTCHECK;
/* NULL is allowed. */
void lun_sqlite_done(sqlite3_stmt *q);

/* Step on while *code is LUN_OK: true at a row; a failure goes to *code. */
bool lun_sqlite_next(struct sqlite_models *m, sqlite3_stmt *q,
    enum lun_code *code, struct lun_err *err) LUN_MUSTCHECK;

/* Commit if code is LUN_OK, else roll back; the code of it all. */
enum lun_code lun_sqlite_end(struct sqlite_models *m, enum lun_code code,
    struct lun_err *err) LUN_MUSTCHECK;

/* <projection>__b<build>, quoted. */
void lun_sqlite_add_table(struct lun_buffer *sql, struct lun_key key);

/* Its three parts as the first three parameters. */
void lun_sqlite_bind_key(
    struct sqlite_models *m, sqlite3_stmt *q, struct lun_key key);

/* What the store holds of a shard; zero for one that is not there. */
struct sqlite_shard {
	bool defined;
	int64_t revision;
	int64_t fence;
	char bundle_hash[LUN_BUNDLE_HASH_SIZE]; /* of its last commit */
};

enum lun_code lun_sqlite_read_shard(struct sqlite_models *m, struct lun_key key,
    struct sqlite_shard *stored, struct lun_err *err) LUN_MUSTCHECK;

/* LUN_NOTFOUND, or LUN_CONFLICT if revision or fence is another. */
enum lun_code lun_sqlite_check_guard(struct sqlite_models *m,
    struct lun_key key, struct lun_guard guard,
    struct lun_err *err) LUN_MUSTCHECK;

/* LUN_NOTFOUND unless the shard is defined. */
enum lun_code lun_sqlite_check_defined(struct sqlite_models *m,
    struct lun_key key, struct lun_err *err) LUN_MUSTCHECK;

/* LUN_NOTFOUND, or LUN_CONFIG if the build has another schema. */
enum lun_code lun_sqlite_check_schema(struct sqlite_models *m,
    struct lun_key key, const struct lun_schema *schema,
    struct lun_err *err) LUN_MUSTCHECK;

/*
 * A statement over the models ended with this code. If it failed because the
 * build is not there or has another schema, say so instead.
 */
enum lun_code lun_sqlite_explain(struct sqlite_models *m, struct lun_key key,
    const struct lun_schema *schema, enum lun_code code, struct lun_err *err);

/* The text of a column, cut to the size of what it is copied to. */
void lun_sqlite_copy_column(
    sqlite3_stmt *q, int column, char *copy, size_t size);

/* models_tables.c */
enum lun_code lun_sqlite_make_tables(
    struct sqlite_models *m, struct lun_err *err) LUN_MUSTCHECK;

/* models_format.c */
/* With a statement that takes this Lunette's format and version. */
enum lun_code lun_sqlite_write_format(struct sqlite_models *m, const char *sql,
    struct lun_err *err) LUN_MUSTCHECK;
/* What the store says of itself, if it does so at all. */
enum lun_code lun_sqlite_check_format(
    struct sqlite_models *m, bool says_one, struct lun_err *err) LUN_MUSTCHECK;
/* LUN_CONFIG if somebody else's table, view or index has that name. */
enum lun_code lun_sqlite_check_free(struct sqlite_models *m,
    const char *projection, const char *name, struct lun_err *err);

/* models_builds.c */
enum lun_code lun_sqlite_set_paused(struct lun_model_store *store,
    struct lun_key key, bool paused, struct lun_guard guard,
    struct lun_err *err);
enum lun_code lun_sqlite_list(struct lun_model_store *store, lun_name_fn *name,
    void *arg, struct lun_err *err);
enum lun_code lun_sqlite_projection(struct lun_model_store *store,
    const char *name, struct lun_projection_info *info, struct lun_err *err);
enum lun_code lun_sqlite_builds(struct lun_model_store *store, const char *name,
    lun_build_fn *build, void *arg, struct lun_err *err);
/* Keep the bundle of a commit, the first of its build by this bundle. */
enum lun_code lun_sqlite_keep_bundle(struct sqlite_models *m,
    const struct lun_write_set *set, struct lun_err *err) LUN_MUSTCHECK;

/* models_define.c */
enum lun_code lun_sqlite_define(struct lun_model_store *store,
    struct lun_key key, const struct lun_schema *schema, int64_t fence,
    struct lun_err *err);
enum lun_code lun_sqlite_reset(struct lun_model_store *store,
    struct lun_key key, const struct lun_schema *schema, struct lun_guard guard,
    struct lun_err *err);
enum lun_code lun_sqlite_drop(struct lun_model_store *store, struct lun_key key,
    struct lun_guard guard, struct lun_err *err);

/* The buffer's text, which is freed. */
enum lun_code lun_sqlite_exec_buffer(struct sqlite_models *m,
    struct lun_buffer *sql, struct lun_err *err) LUN_MUSTCHECK;

/* models_indexes.c */
enum lun_code lun_sqlite_make_index(struct sqlite_models *m, struct lun_key key,
    const struct lun_schema *schema, size_t number,
    struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_sqlite_index(struct lun_model_store *store,
    struct lun_key key, const struct lun_schema *schema,
    const atomic_bool *stop, struct lun_err *err);

/* models_rows.c */
/*
 * Read a column of a model; text is borrowed from the statement. LUN_IO names
 * table, id and column (the statement's first) if it holds something else.
 */
enum lun_code lun_sqlite_read_value(sqlite3_stmt *q, int column,
    struct lun_key key, const struct lun_schema *schema, int field,
    struct lun_value *value, struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_sqlite_load(struct lun_model_store *store, struct lun_key key,
    const struct lun_schema *schema, const struct lun_text *ids, size_t count,
    lun_model_fn *model, void *arg, struct lun_err *err);
enum lun_code lun_sqlite_write_models(struct sqlite_models *m,
    const struct lun_write_set *set, struct lun_err *err) LUN_MUSTCHECK;

/* models_query.c */
enum lun_code lun_sqlite_add_functions(
    struct lun_sqlite *c, struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_sqlite_query(struct lun_model_store *store,
    struct lun_key key, const struct lun_schema *schema,
    const struct lun_query *query, lun_result_fn *result, void *arg,
    struct lun_err *err);

/* models_parked.c */
enum lun_code lun_sqlite_write_failed_events(struct sqlite_models *m,
    const struct lun_write_set *set, struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_sqlite_parked(struct lun_model_store *store,
    struct lun_key key, struct lun_text model_id, int64_t after, size_t limit,
    lun_failed_event_fn *item, void *arg, struct lun_err *err);
enum lun_code lun_sqlite_parked_ids(struct lun_model_store *store,
    struct lun_key key, lun_text_fn *id, void *arg, struct lun_err *err);
enum lun_code lun_sqlite_skipped(struct lun_model_store *store,
    struct lun_key key, size_t limit, lun_failed_event_fn *item, void *arg,
    struct lun_err *err);

/* models_requests.c */
enum lun_code lun_sqlite_request_post(struct lun_model_store *store,
    const struct lun_request *request, int64_t *number, struct lun_err *err);
enum lun_code lun_sqlite_requests_waiting(struct lun_model_store *store,
    lun_key_fn *key, void *arg, struct lun_err *err);
enum lun_code lun_sqlite_request_next(struct lun_model_store *store,
    struct lun_key key, struct lun_request *request, struct lun_err *err);
enum lun_code lun_sqlite_request_finish(struct lun_model_store *store,
    int64_t number, enum lun_code outcome, const char *message,
    struct lun_err *err);
enum lun_code lun_sqlite_request_result(struct lun_model_store *store,
    int64_t number, bool withdraw, struct lun_err *outcome,
    struct lun_err *err);
enum lun_code lun_sqlite_publish(struct lun_model_store *store,
    const struct lun_heartbeat *heartbeats, size_t count, struct lun_err *err);
enum lun_code lun_sqlite_heartbeat(struct lun_model_store *store,
    struct lun_key key, struct lun_heartbeat *heartbeat, struct lun_err *err);

#endif
