/* models.c - the model store in PostgreSQL: handles. */

#include "postgres/models/models.h"

#include <inttypes.h>
#include <stdlib.h>
#include <uuid/uuid.h>

/* ---- handles ----------------------------------------------------------- */

static inline struct pg_models *
pg_models_of(struct lun_model_store *store)
{
	return (struct pg_models *)store;
}

struct pg_models *
lun_pg_models_enter(struct lun_model_store *store)
{
	struct pg_models *m = pg_models_of(store);

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
check_keys(const struct lun_pg *c, struct lun_err *err)
{
	const char *key = lun_pg_url_beside(c->url, "schema");

	if (key == NULL)
		return LUN_OK;
	return lun_fail(err, LUN_CONFIG,
	    "%s: %s= is for event stores; models have tables of their own",
	    lun_pg_name(c), key);
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
		code = check_keys(m->c, err);
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
    .checkpoint = lun_pg_checkpoint,
    .set_position = lun_pg_set_position,
    .adopt = lun_pg_adopt,
    .set_paused = lun_pg_set_paused,
    .list = lun_pg_list,
    .projection = lun_pg_projection,
    .builds = lun_pg_builds,
    .load = lun_pg_load,
    .query = lun_pg_query_models,
    .commit = lun_pg_commit_models,
    .parked = lun_pg_parked,
    .parked_ids = lun_pg_parked_ids,
    .skipped = lun_pg_skipped,
    .request_post = lun_pg_request_post,
    .requests_waiting = lun_pg_requests_waiting,
    .request_next = lun_pg_request_next,
    .request_finish = lun_pg_request_finish,
    .request_result = lun_pg_request_result,
    .publish = lun_pg_publish,
    .heartbeat = lun_pg_heartbeat,
};
