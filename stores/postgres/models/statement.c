/* statement.c - what every call of the model store is made of. */

#include "postgres/models/models.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "json/scan.h"

#define LEAST_IDLE_MS   100
#define DEFAULT_IDLE_MS 5000       /* where the lease is not known here */
#define MARK_CLASS      1819635301 /* "lune" */

/* ---- the SQL ----------------------------------------------------------- */

void
lun_pg_add_sql(struct pg_models *m, const char *sql)
{
	const char *at;

	while ((at = strchr(sql, '@')) != NULL) {
		lun_buffer_add(&m->sql, sql, (size_t)(at - sql));
		lun_sql_quote(&m->sql, m->schema);
		lun_buffer_add_byte(&m->sql, '.');
		sql = at + 1;
	}
	lun_buffer_add_text(&m->sql, lun_text_of(sql));
}

void
lun_pg_begin_sql(struct pg_models *m, const char *sql)
{
	lun_buffer_clear(&m->sql);
	lun_pg_add_sql(m, sql);
}

void
lun_pg_name_table(struct lun_key key, char name[LUN_PG_TABLE_NAME_SIZE])
{
	snprintf(name, LUN_PG_TABLE_NAME_SIZE, "%s__b%" PRId64, key.projection,
	    key.build);
}

void
lun_pg_add_table(struct pg_models *m, struct lun_key key)
{
	char name[LUN_PG_TABLE_NAME_SIZE];

	lun_pg_name_table(key, name);
	lun_pg_add_sql(m, "@");
	lun_sql_quote(&m->sql, name);
}

/* ---- parameters -------------------------------------------------------- */

void
lun_pg_add_name(struct pg_models *m, const char *name)
{
	lun_pg_add_text(&m->params, LUN_PG_TEXT, lun_text_of(name));
}

void
lun_pg_add_build(struct pg_models *m, struct lun_key key)
{
	lun_pg_add_name(m, key.projection);
	lun_pg_add_int8(&m->params, key.build);
}

void
lun_pg_add_key(struct pg_models *m, struct lun_key key)
{
	lun_pg_add_build(m, key);
	lun_pg_add_int8(&m->params, key.shard);
}

static bool
is_clean(struct lun_text words)
{
	return lun_utf8_valid(words) &&
	       (words.length == 0 ||
		   memchr(words.bytes, '\0', words.length) == NULL);
}

/* With the character in the place of each byte that is none. */
static size_t
clean_words(struct lun_text words, char instead, char *out)
{
	size_t length = 0;

	for (size_t i = 0; i < words.length;) {
		size_t size = 1;

		while (size < 4 && i + size < words.length &&
		       ((unsigned char)words.bytes[i + size] & 0xc0) == 0x80)
			size++;
		if (is_clean((struct lun_text){words.bytes + i, size})) {
			memcpy(out + length, words.bytes + i, size);
			length += size;
			i += size;
		} else {
			out[length++] = instead;
			i++;
		}
	}
	return length;
}

/* The clean form, to be freed; NULL when out of memory. */
static char *
make_clean(struct pg_models *m, struct lun_text *words, char instead)
{
	char *copy = malloc(words->length);

	if (copy == NULL)
		m->params.failed = true;
	else
		*words =
		    (struct lun_text){copy, clean_words(*words, instead, copy)};
	return copy;
}

static void
add_clean_element(struct pg_models *m, struct lun_text words, char instead)
{
	char *copy = NULL;

	if (!is_clean(words) && (copy = make_clean(m, &words, instead)) == NULL)
		return;
	lun_pg_element_text(&m->params, words);
	free(copy);
}

/* Messages may be cut in the middle of a character. */
void
lun_pg_element_words(struct pg_models *m, struct lun_text words)
{
	add_clean_element(m, words, '?');
}

/* "substitute", a control character, is allowed nowhere in JSON. */
void
lun_pg_element_json(struct pg_models *m, struct lun_text json)
{
	add_clean_element(m, json, '\x1a');
}

void
lun_pg_add_words(struct pg_models *m, struct lun_text words)
{
	char *copy = NULL;

	if (is_clean(words)) {
		lun_pg_add_text(&m->params, LUN_PG_TEXT, words);
		return;
	}
	copy = make_clean(m, &words, '?');
	if (copy != NULL)
		lun_pg_add_copy(&m->params, LUN_PG_TEXT, words);
	free(copy);
}

/* ---- running it -------------------------------------------------------- */

static enum lun_code
no_memory(struct pg_models *m, struct lun_err *err)
{
	return lun_fail(err, LUN_NOMEM, "%s: out of memory", lun_pg_name(m->c));
}

enum lun_code
lun_pg_run_sql(struct pg_models *m, PGresult **out, struct lun_err *err)
{
	enum lun_code code;

	lun_buffer_add_byte(&m->sql, '\0');
	if (m->sql.failed)
		code = no_memory(m, err);
	else
		code = lun_pg_query(m->c, m->sql.bytes, &m->params, out, err);
	lun_pg_params_clear(&m->params);
	return code;
}

enum lun_code
lun_pg_stream_sql(
    struct pg_models *m, lun_pg_row_fn *row, void *arg, struct lun_err *err)
{
	enum lun_code code;

	lun_buffer_add_byte(&m->sql, '\0');
	if (m->sql.failed)
		code = no_memory(m, err);
	else
		code = lun_pg_stream(
		    m->c, m->sql.bytes, &m->params, row, arg, err);
	lun_pg_params_clear(&m->params);
	return code;
}

enum lun_code
lun_pg_run(
    struct pg_models *m, const char *sql, PGresult **out, struct lun_err *err)
{
	lun_pg_begin_sql(m, sql);
	return lun_pg_run_sql(m, out, err);
}

enum lun_code
lun_pg_pipeline_sql(struct pg_models *m, struct lun_err *err)
{
	enum lun_code code;

	lun_buffer_add_byte(&m->sql, '\0');
	if (m->sql.failed)
		code = no_memory(m, err);
	else
		code =
		    lun_pg_pipeline_send(m->c, m->sql.bytes, &m->params, err);
	lun_pg_params_clear(&m->params);
	return code;
}

uint64_t
lun_pg_changed(const PGresult *result)
{
	return strtoull(PQcmdTuples((PGresult *)result), NULL, 10);
}

void
lun_pg_copy_text(
    const PGresult *result, int row, int column, char *copy, size_t size)
{
	struct lun_text text = lun_pg_bytes(result, row, column);

	snprintf(copy, size, "%.*s", LUN_TEXT_ARG(text));
}

/* ---- transactions ------------------------------------------------------ */

static uint32_t
models_mark(const struct pg_models *m, struct lun_key key)
{
	char shard[48];

	snprintf(shard, sizeof shard, "/%" PRId64 "/%d", key.build, key.shard);
	return XXH32(shard, strlen(shard),
	    XXH32(key.projection, strlen(key.projection),
		XXH32(m->schema, strlen(m->schema), 0)));
}

void
lun_pg_add_mark(struct pg_models *m, struct lun_key key)
{
	lun_pg_add_int8(&m->params, MARK_CLASS);
	lun_pg_add_int8(&m->params, models_mark(m, key));
}

/* Below the lease, whatever one call may take. */
static int64_t
idle_limit_ms(const struct pg_models *m)
{
	int64_t lease_ms = atomic_load(&m->lines->lease_ms);
	int64_t limit = lease_ms > 0 ? lease_ms / 2 : DEFAULT_IDLE_MS;

	return limit > LEAST_IDLE_MS ? limit : LEAST_IDLE_MS;
}

enum lun_code
lun_pg_models_begin(struct pg_models *m, struct lun_key key,
    const char *settings, struct lun_err *err)
{
	char more[300];

	snprintf(more, sizeof more,
	    "%sSET LOCAL idle_in_transaction_session_timeout = %" PRId64 "; "
	    "SELECT pg_catalog.pg_advisory_xact_lock_shared(%d, %" PRId32 ")",
	    settings, idle_limit_ms(m), MARK_CLASS,
	    (int32_t)models_mark(m, key));
	return lun_pg_begin(m->c, more, err);
}

enum lun_code
lun_pg_outcome_unknown(struct pg_models *m, struct lun_err *err)
{
	return lun_fail(err, LUN_TIMEOUT,
	    "%s: the connection was lost while the server committed; whether "
	    "it did is not known",
	    lun_pg_name(m->c));
}

enum lun_code
lun_pg_models_end(struct pg_models *m, struct lun_key key, enum lun_code code,
    struct lun_err *err)
{
	bool asked = m->c->conn != NULL;

	if (code != LUN_OK) {
		lun_pg_rollback(m->c);
		return lun_pg_explain_lock(m, key, code, err);
	}
	code = lun_pg_commit(m->c, err);
	if (code != LUN_OK && asked && m->c->conn == NULL)
		return lun_pg_outcome_unknown(m, err);
	return code;
}

enum lun_code
lun_pg_change(
    struct pg_models *m, const char *sql, PGresult **out, struct lun_err *err)
{
	PGresult *result = NULL;
	enum lun_code code;

	if (m->c->in_transaction)
		return lun_pg_run(m, sql, out, err);
	code = lun_pg_begin(m->c, NULL, err);
	if (code != LUN_OK) {
		lun_pg_params_clear(&m->params);
		return code;
	}
	code = lun_pg_run(m, sql, &result, err);
	code =
	    lun_pg_models_end(m, (struct lun_key){.projection = ""}, code, err);
	if (code == LUN_OK && out != NULL)
		*out = result;
	else
		PQclear(result);
	return code;
}

/* ---- what a call is about ---------------------------------------------- */

enum lun_code
lun_pg_read_guard(struct pg_models *m, struct lun_key key,
    struct lun_guard *stored, bool *defined, struct lun_err *err)
{
	PGresult *result = NULL;
	enum lun_code code;

	lun_pg_add_key(m, key);
	code = lun_pg_run(m,
	    "SELECT (SELECT fence FROM @lunette_owners WHERE " LUN_PG_KEY "),"
	    " (SELECT revision FROM @lunette_checkpoints WHERE " LUN_PG_KEY ")",
	    &result, err);
	if (code != LUN_OK)
		return code;
	stored->fence = lun_pg_int8(result, 0, 0);
	stored->expected_revision = lun_pg_int8(result, 0, 1);
	*defined = !lun_pg_is_null(result, 0, 1);
	PQclear(result);
	return LUN_OK;
}

enum lun_code
lun_pg_check_guard(struct pg_models *m, struct lun_key key,
    struct lun_guard guard, struct lun_err *err)
{
	struct lun_guard stored;
	enum lun_code code;
	bool defined;

	code = lun_pg_read_guard(m, key, &stored, &defined, err);
	if (code != LUN_OK)
		return code;
	if (!defined)
		return lun_model_store_no_projection(key.projection, err);
	return lun_model_store_check_guard(
	    key.projection, guard, stored.expected_revision, stored.fence, err);
}

enum lun_code
lun_pg_check_defined(
    struct pg_models *m, struct lun_key key, struct lun_err *err)
{
	struct lun_guard stored;
	enum lun_code code;
	bool defined;

	code = lun_pg_read_guard(m, key, &stored, &defined, err);
	if (code == LUN_OK && !defined)
		code = lun_model_store_no_projection(key.projection, err);
	return code;
}

enum lun_code
lun_pg_check_schema(struct pg_models *m, struct lun_key key,
    const struct lun_schema *schema, struct lun_err *err)
{
	PGresult *result = NULL;
	enum lun_code code;

	lun_pg_add_build(m, key);
	code = lun_pg_run(m,
	    "SELECT version, schema FROM @lunette_builds"
	    " WHERE projection = $1 AND build = $2",
	    &result, err);
	if (code != LUN_OK)
		return code;
	if (PQntuples(result) == 0)
		code = lun_model_store_no_projection(key.projection, err);
	else
		code = lun_model_store_check_schema(schema,
		    (int)lun_pg_int8(result, 0, 0), lun_pg_bytes(result, 0, 1),
		    err);
	PQclear(result);
	return code;
}

/* Only what can be a table or column that is not there. */
enum lun_code
lun_pg_explain(struct pg_models *m, struct lun_key key,
    const struct lun_schema *schema, enum lun_code code, struct lun_err *err)
{
	struct lun_err better;
	enum lun_code why;

	if ((code != LUN_IO && code != LUN_CONFIG) ||
	    !lun_pg_failed_with(m->c, "42"))
		return code;
	why = lun_pg_check_schema(m, key, schema, &better);
	if (why != LUN_NOTFOUND && why != LUN_CONFIG)
		return code;
	return lun_fail(err, why, "%s", better.message);
}
