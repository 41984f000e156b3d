/* models.c - the model store in PostgreSQL: handles and checkpoints. */

#include "postgres/models/models.h"

#include <inttypes.h>
#include <stdlib.h>
#include <uuid/uuid.h>

/* ---- handles ----------------------------------------------------------- */

static inline struct pg_models *
models_of(struct lun_model_store *store)
{
	return (struct pg_models *)store;
}

struct pg_models *
lun_pg_models_enter(struct lun_model_store *store)
{
	struct pg_models *m = models_of(store);

	pthread_mutex_lock(&m->line->lock);
	return m;
}

enum lun_code
lun_pg_models_leave(struct pg_models *m, enum lun_code code)
{
	pthread_mutex_unlock(&m->line->lock);
	return code;
}

static struct pg_line *
new_line(void)
{
	struct pg_line *line = calloc(1, sizeof *line);

	if (line != NULL) {
		pthread_mutex_init(&line->lock, NULL);
		line->users = 1;
	}
	return line;
}

static void
release_line(struct pg_line *line)
{
	bool last;

	pthread_mutex_lock(&line->lock);
	last = --line->users == 0;
	pthread_mutex_unlock(&line->lock);
	if (!last)
		return;
	lun_pg_close(&line->c);
	pthread_mutex_destroy(&line->lock);
	free(line);
}

/* Takes the line over, also on failure; a NULL line is a failure. */
static struct pg_models *
new_handle(struct pg_line *line, struct lun_err *err)
{
	struct pg_models *m = line != NULL ? calloc(1, sizeof *m) : NULL;
	uuid_t random;

	if (m == NULL) {
		if (line != NULL)
			release_line(line);
		(void)lun_fail(err, LUN_NOMEM, "postgres: out of memory");
		return NULL;
	}
	m->base.ops = &lun_postgres_models;
	m->line = line;
	m->c = &line->c;
	uuid_generate_random(random);
	uuid_unparse_lower(random, m->session);
	return m;
}

static void
postgres_close(struct lun_model_store *store)
{
	struct pg_models *m = lun_pg_models_enter(store);

	lun_pg_release_all(m);
	(void)lun_pg_models_leave(m, LUN_OK);
	lun_pg_params_free(&m->params);
	lun_buffer_free(&m->sql);
	release_line(m->line);
	free(m);
}

static void
find_schema(struct pg_models *m)
{
	m->schema = lun_pg_url_value(m->c->url, "schema");
	if (m->schema == NULL)
		m->schema = LUN_PG_DEFAULT_SCHEMA;
}

/* Text of other encodings has no room for every character, or no order. */
static enum lun_code
check_encoding(const struct lun_pg *c, struct lun_err *err)
{
	const char *encoding = PQparameterStatus(c->conn, "server_encoding");

	if (encoding == NULL || strcmp(encoding, "UTF8") == 0)
		return LUN_OK;
	return lun_fail(err, LUN_CONFIG,
	    "%s: the encoding of the database is %s; models need one made "
	    "with ENCODING 'UTF8'",
	    lun_pg_name(c), encoding);
}

static enum lun_code
check_layout(const struct lun_pg *c, struct lun_err *err)
{
	const char *layout = lun_pg_url_value(c->url, "layout");

	if (layout == NULL)
		return LUN_OK;
	return lun_fail(err, LUN_CONFIG,
	    "%s: layout=%s is for event stores; models have tables of their "
	    "own",
	    lun_pg_name(c), layout);
}

static enum lun_code
postgres_open(const char *rest, const struct lun_store_options *options,
    struct lun_model_store **out, struct lun_err *err)
{
	struct pg_models *m = new_handle(new_line(), err);
	enum lun_code code;

	if (m == NULL)
		return LUN_NOMEM;
	code = lun_pg_open(m->c, rest, options, err);
	if (code == LUN_OK)
		code = check_layout(m->c, err);
	if (code == LUN_OK)
		code = check_encoding(m->c, err);
	if (code == LUN_OK) {
		find_schema(m);
		code = lun_pg_make_tables(m, err);
	}
	m->is_first = true;
	if (code == LUN_OK)
		*out = &m->base;
	else
		postgres_close(&m->base);
	return code;
}

/*
 * The first handle is often only there to connect from: another one gets the
 * connection that was made for it, and it makes itself a new one if need be.
 */
static enum lun_code
postgres_connect(struct lun_model_store *store, struct lun_model_store **out,
    struct lun_err *err)
{
	struct pg_models *m = new_handle(new_line(), err);
	struct pg_models *from;

	if (m == NULL)
		return LUN_NOMEM;
	from = lun_pg_models_enter(store);
	lun_pg_connect(m->c, from->c);
	if (from->is_first) {
		m->c->conn = from->c->conn;
		from->c->conn = NULL;
	}
	(void)lun_pg_models_leave(from, LUN_OK);
	find_schema(m);
	*out = &m->base;
	return LUN_OK;
}

static enum lun_code
postgres_connect_beside(struct lun_model_store *store,
    struct lun_model_store **out, struct lun_err *err)
{
	struct pg_models *first = lun_pg_models_enter(store);
	struct pg_line *line = first->line;
	struct pg_models *m;

	line->users++;
	(void)lun_pg_models_leave(first, LUN_OK);
	m = new_handle(line, err);
	if (m == NULL)
		return LUN_NOMEM;
	find_schema(m);
	*out = &m->base;
	return LUN_OK;
}

/* ---- the checkpoint ---------------------------------------------------- */

/* Row 0 of the SELECT below. */
static enum lun_code
read_checkpoint(struct pg_models *m, const PGresult *r,
    struct lun_checkpoint *c, struct lun_err *err)
{
	*c = (struct lun_checkpoint){
	    .version = (int)lun_pg_int8(r, 0, 0),
	    .revision = lun_pg_int8(r, 0, 2),
	    .fence = lun_pg_int8(r, 0, 3),
	    .paused = lun_pg_bool(r, 0, 4),
	    .script_count = lun_pg_int8(r, 0, 7),
	    .parked_count = (uint64_t)lun_pg_int8(r, 0, 9),
	    .skipped_count = (uint64_t)lun_pg_int8(r, 0, 10),
	};
	if (!lun_pg_is_null(r, 0, 8))
		c->committed_at = lun_pg_time(r, 0, 8);
	if (!lun_position_from_hex(lun_pg_bytes(r, 0, 1), &c->position))
		return lun_fail(err, LUN_IO,
		    "%s: lunette_projections holds a position that is none",
		    lun_pg_name(m->c));
	lun_pg_copy_text(r, 0, 5, c->identity, sizeof c->identity);
	lun_pg_copy_text(r, 0, 6, c->script_hash, sizeof c->script_hash);
	lun_buffer_add_text(&c->schema, lun_pg_bytes(r, 0, 11));
	lun_buffer_add_text(&c->source_state, lun_pg_bytes(r, 0, 12));
	if (!c->schema.failed && !c->source_state.failed)
		return LUN_OK;
	lun_checkpoint_free(c);
	return lun_fail(err, LUN_NOMEM, "%s: out of memory", lun_pg_name(m->c));
}

static enum lun_code
load_checkpoint(struct pg_models *m, const char *projection,
    struct lun_checkpoint *checkpoint, struct lun_err *err)
{
	struct lun_checkpoint read;
	PGresult *result = NULL;
	enum lun_code code;

	lun_pg_add_name(m, projection);
	code = lun_pg_run(m,
	    "SELECT version, position, revision,"
	    " (SELECT fence FROM @lunette_owners WHERE projection = $1),"
	    " paused, identity, script_hash, script_count, committed_at,"
	    " (SELECT count(*) FROM @lunette_parked WHERE projection = $1),"
	    " skipped_count, schema, source_state"
	    " FROM @lunette_projections WHERE name = $1",
	    &result, err);
	if (code != LUN_OK)
		return code;
	if (PQntuples(result) == 0)
		code = lun_fail(err, LUN_NOTFOUND,
		    "projection \"%s\" is not in the model store", projection);
	else
		code = read_checkpoint(m, result, &read, err);
	PQclear(result);
	if (code == LUN_OK)
		*checkpoint = read;
	return code;
}

static enum lun_code
postgres_checkpoint(struct lun_model_store *store, struct lun_key key,
    struct lun_checkpoint *checkpoint, struct lun_err *err)
{
	struct pg_models *m = lun_pg_models_enter(store);

	return lun_pg_models_leave(
	    m, load_checkpoint(m, key.projection, checkpoint, err));
}

/*
 * One statement that changes the row of a projection, where it has the
 * revision and the fence of the guard: the last two parameters.
 */
static enum lun_code
change_guarded(struct pg_models *m, const char *projection, const char *sql,
    struct lun_guard guard, struct lun_err *err)
{
	PGresult *result = NULL;
	enum lun_code code;
	bool changed;

	lun_pg_add_int8(&m->params, guard.expected_revision);
	lun_pg_add_int8(&m->params, guard.fence);
	code = lun_pg_models_begin(m, projection, err);
	if (code != LUN_OK) {
		lun_pg_params_clear(&m->params);
		return code;
	}
	code = lun_pg_run(m, sql, &result, err);
	if (code == LUN_OK) {
		changed = lun_pg_changed(result) > 0;
		PQclear(result);
		if (!changed)
			code = lun_pg_check_guard(m, projection, guard, err);
	}
	return lun_pg_models_end(m, code, err);
}

static enum lun_code
postgres_set_position(struct lun_model_store *store, struct lun_key key,
    struct lun_position position, struct lun_text source_state,
    struct lun_guard guard, struct lun_err *err)
{
	struct pg_models *m = lun_pg_models_enter(store);

	lun_pg_add_name(m, key.projection);
	lun_pg_add_position(m, position);
	lun_pg_add_state(m, source_state);
	return lun_pg_models_leave(
	    m, change_guarded(m, key.projection,
		   "UPDATE @lunette_projections SET position = $2,"
		   " source_state = $3, revision = revision + 1"
		   " WHERE name = $1 AND revision = $4 AND fence = $5",
		   guard, err));
}

static enum lun_code
postgres_set_paused(struct lun_model_store *store, struct lun_key key,
    bool paused, struct lun_guard guard, struct lun_err *err)
{
	struct pg_models *m = lun_pg_models_enter(store);

	lun_pg_add_name(m, key.projection);
	lun_pg_add_bool(&m->params, paused);
	return lun_pg_models_leave(
	    m, change_guarded(m, key.projection,
		   "UPDATE @lunette_projections SET paused = $2,"
		   " revision = revision + 1"
		   " WHERE name = $1 AND revision = $3 AND fence = $4",
		   guard, err));
}

static enum lun_code
list(struct pg_models *m, lun_name_fn *name, void *arg, struct lun_err *err)
{
	PGresult *result = NULL;
	enum lun_code code;

	code =
	    lun_pg_run(m, "SELECT name FROM @lunette_projections ORDER BY name",
		&result, err);
	for (int i = 0; code == LUN_OK && i < PQntuples(result); i++)
		code = name(arg, PQgetvalue(result, i, 0), err);
	PQclear(result);
	return code;
}

static enum lun_code
postgres_list(struct lun_model_store *store, lun_name_fn *name, void *arg,
    struct lun_err *err)
{
	struct pg_models *m = lun_pg_models_enter(store);

	return lun_pg_models_leave(m, list(m, name, arg, err));
}

const struct lun_model_store_ops lun_postgres_models = {
    .scheme = "postgres",
    .abi = LUN_MODEL_STORE_ABI,
    .open = postgres_open,
    .connect = postgres_connect,
    .connect_beside = postgres_connect_beside,
    .close = postgres_close,
    .acquire = lun_pg_acquire,
    .renew = lun_pg_renew,
    .release = lun_pg_release,
    .define = lun_pg_define,
    .reset = lun_pg_reset,
    .index = lun_pg_index,
    .drop = lun_pg_drop,
    .checkpoint = postgres_checkpoint,
    .set_position = postgres_set_position,
    .set_paused = postgres_set_paused,
    .list = postgres_list,
    .load = lun_pg_load,
    .query = lun_pg_query_models,
    .commit = lun_pg_commit_models,
    .parked = lun_pg_parked,
    .parked_ids = lun_pg_parked_ids,
    .skipped = lun_pg_skipped,
    .request_post = lun_pg_request_post,
    .request_next = lun_pg_request_next,
    .request_finish = lun_pg_request_finish,
    .request_result = lun_pg_request_result,
    .publish = lun_pg_publish,
    .heartbeat = lun_pg_heartbeat,
};
