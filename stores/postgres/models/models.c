/* models.c - the model store in PostgreSQL: handles. */

#include "postgres/models/models.h"

#include <inttypes.h>
#include <stdlib.h>
#include <uuid/uuid.h>

/* ---- handles ----------------------------------------------------------- */

/* Takes a share of the lines over, also on failure. */
static struct pg_models *
new_handle(struct pg_lines *lines, struct lun_err *err)
{
	struct pg_models *m = lines != NULL ? calloc(1, sizeof *m) : NULL;
	uuid_t random;

	if (m == NULL) {
		if (lines != NULL)
			lun_pg_lines_release(lines);
		(void)lun_fail(err, LUN_NOMEM, "postgres: out of memory");
		return NULL;
	}
	m->base.ops = &lun_postgres_models;
	m->lines = lines;
	uuid_generate_random(random);
	uuid_unparse_lower(random, m->session);
	return m;
}

static void
postgres_close(struct lun_model_store *store)
{
	struct pg_models *m = pg_models_of(store);

	lun_pg_release_all(m);
	lun_lines_give_up(&m->lines->base, &m->use);
	lun_pg_params_free(&m->params);
	lun_buffer_free(&m->sql);
	lun_pg_lines_release(m->lines);
	free(m);
}

static void
find_schema(struct pg_models *m)
{
	m->schema = lun_pg_url_value(m->lines->at[0].c.url, "schema");
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

/* With a line, which is open. */
static enum lun_code
check_store(struct pg_models *m, struct lun_err *err)
{
	enum lun_code code = check_keys(m->c, err);

	if (code == LUN_OK)
		code = check_encoding(m->c, err);
	if (code != LUN_OK)
		return code;
	find_schema(m);
	return lun_pg_make_tables(m, err);
}

static enum lun_code
open_lines(struct pg_lines *lines, const char *rest,
    const struct lun_store_options *options, struct lun_err *err)
{
	enum lun_code code = lun_pg_open(&lines->at[0].c, rest, options, err);

	if (code != LUN_OK)
		return code;
	lines->base.name = lun_pg_name(&lines->at[0].c);
	lines->base.wait_ms = lines->at[0].c.url->options.call_timeout_ms;
	for (size_t i = 1; i < lines->base.count; i++)
		lun_pg_connect(&lines->at[i].c, &lines->at[0].c);
	return LUN_OK;
}

static enum lun_code
postgres_open(const char *rest, const struct lun_store_options *options,
    struct lun_model_store **out, struct lun_err *err)
{
	struct pg_models *m = new_handle(lun_pg_lines_new(options), err);
	enum lun_code code;

	if (m == NULL)
		return LUN_NOMEM;
	code = open_lines(m->lines, rest, options, err);
	if (code == LUN_OK)
		code = lun_pg_enter(&m->base, LUN_CALL_WRITES, err);
	if (code == LUN_OK) {
		code = check_store(m, err);
		lun_pg_leave(&m->base);
	}
	if (code == LUN_OK)
		*out = &m->base;
	else
		postgres_close(&m->base);
	return code;
}

static enum lun_code
connect_handle(
    struct lun_model_store *store, struct pg_models **out, struct lun_err *err)
{
	struct pg_lines *lines = pg_models_of(store)->lines;
	struct pg_models *m;

	atomic_fetch_add(&lines->users, 1);
	m = new_handle(lines, err);
	if (m == NULL)
		return LUN_NOMEM;
	find_schema(m);
	*out = m;
	return LUN_OK;
}

static enum lun_code
postgres_connect(struct lun_model_store *store, struct lun_model_store **out,
    struct lun_err *err)
{
	struct pg_models *m;
	enum lun_code code = connect_handle(store, &m, err);

	if (code == LUN_OK)
		*out = &m->base;
	return code;
}

static enum lun_code
postgres_connect_kept(struct lun_model_store *store,
    struct lun_model_store **out, struct lun_err *err)
{
	struct pg_models *m;
	enum lun_code code = connect_handle(store, &m, err);

	if (code != LUN_OK)
		return code;
	code = lun_lines_keep(&m->lines->base, &m->use, err);
	if (code == LUN_OK)
		*out = &m->base;
	else
		postgres_close(&m->base);
	return code;
}

const struct lun_model_store_ops lun_postgres_models = {
    .scheme = "postgres",
    .abi = LUN_MODEL_STORE_ABI,
    .open = postgres_open,
    .connect = postgres_connect,
    .connect_kept = postgres_connect_kept,
    .close = postgres_close,
    .enter = lun_pg_enter,
    .leave = lun_pg_leave,
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
    .is_away = lun_pg_is_away,
};
