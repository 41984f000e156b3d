/* checkpoint.c - the checkpoint of a shard: reading it, changing it by hand. */

#include "postgres/models/models.h"

void
lun_pg_add_position(struct pg_models *m, struct lun_position position)
{
	char hex[LUN_POSITION_HEX_SIZE];

	lun_position_to_hex(position, hex);
	lun_pg_add_copy(&m->params, LUN_PG_TEXT, lun_text_of(hex));
}

void
lun_pg_add_state(struct pg_models *m, struct lun_text state)
{
	lun_pg_add_text(
	    &m->params, LUN_PG_BYTEA, state.length > 0 ? state : LUN_TEXT_NONE);
}

/* ---- reading ----------------------------------------------------------- */

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
	    .projection_revision = lun_pg_int8(r, 0, 5),
	    .script_count = lun_pg_int8(r, 0, 8),
	    .parked_count = (uint64_t)lun_pg_int8(r, 0, 10),
	    .skipped_count = (uint64_t)lun_pg_int8(r, 0, 11),
	    .rows_revision = lun_pg_int8(r, 0, 14),
	};
	if (!lun_pg_is_null(r, 0, 9))
		c->committed_at = lun_pg_time(r, 0, 9);
	if (!lun_position_from_hex(lun_pg_bytes(r, 0, 1), &c->position))
		return lun_fail(err, LUN_IO,
		    "%s: lunette_checkpoints holds a position that is none",
		    lun_pg_name(m->c));
	lun_pg_copy_text(r, 0, 6, c->identity, sizeof c->identity);
	lun_pg_copy_text(r, 0, 7, c->bundle_hash, sizeof c->bundle_hash);
	lun_buffer_add_text(&c->schema, lun_pg_bytes(r, 0, 12));
	lun_buffer_add_text(&c->source_state, lun_pg_bytes(r, 0, 13));
	if (!c->schema.failed && !c->source_state.failed)
		return LUN_OK;
	lun_checkpoint_free(c);
	return lun_fail(err, LUN_NOMEM, "%s: out of memory", lun_pg_name(m->c));
}

static const char checkpoint_sql[] =
    "SELECT b.version, c.position, c.revision,"
    " (SELECT fence FROM @lunette_owners WHERE " LUN_PG_KEY "),"
    " p.paused, p.revision, c.identity, c.bundle_hash,"
    " (SELECT count(*) FROM @lunette_scripts"
    "  WHERE projection = $1 AND build = $2), c.committed_at,"
    " (SELECT count(*) FROM @lunette_parked WHERE " LUN_PG_KEY "),"
    " c.skipped_count, b.schema, c.source_state, c.rows_revision"
    " FROM @lunette_checkpoints c JOIN @lunette_builds b"
    "  ON b.projection = c.projection AND b.build = c.build"
    " JOIN @lunette_projections p ON p.name = c.projection"
    " WHERE c.projection = $1 AND c.build = $2 AND c.shard = $3";

static enum lun_code
load_checkpoint(struct pg_models *m, struct lun_key key,
    struct lun_checkpoint *checkpoint, struct lun_err *err)
{
	struct lun_checkpoint read;
	PGresult *result = NULL;
	enum lun_code code;

	lun_pg_add_key(m, key);
	code = lun_pg_run(m, checkpoint_sql, &result, err);
	if (code != LUN_OK)
		return code;
	if (PQntuples(result) == 0)
		code = lun_model_store_no_projection(key.projection, err);
	else
		code = read_checkpoint(m, result, &read, err);
	PQclear(result);
	if (code == LUN_OK)
		*checkpoint = read;
	return code;
}

enum lun_code
lun_pg_checkpoint(struct lun_model_store *store, struct lun_key key,
    struct lun_checkpoint *checkpoint, struct lun_err *err)
{
	struct pg_models *m = pg_models_of(store);

	return load_checkpoint(m, key, checkpoint, err);
}

/* ---- changing ---------------------------------------------------------- */

/*
 * One statement that changes the row of a shard, where it has the revision and
 * the fence of the guard: the last two parameters.
 */
static enum lun_code
change_guarded(struct pg_models *m, struct lun_key key, const char *sql,
    struct lun_guard guard, struct lun_err *err)
{
	PGresult *result = NULL;
	enum lun_code code;
	bool changed;

	lun_pg_add_int8(&m->params, guard.expected_revision);
	lun_pg_add_int8(&m->params, guard.fence);
	code = lun_pg_models_begin(m, key, "", err);
	if (code != LUN_OK) {
		lun_pg_params_clear(&m->params);
		return code;
	}
	code = lun_pg_run(m, sql, &result, err);
	if (code == LUN_OK) {
		changed = lun_pg_changed(result) > 0;
		PQclear(result);
		if (!changed)
			code = lun_pg_check_guard(m, key, guard, err);
	}
	return lun_pg_models_end(m, key, code, err);
}

enum lun_code
lun_pg_set_position(struct lun_model_store *store, struct lun_key key,
    struct lun_position position, struct lun_text source_state,
    struct lun_guard guard, struct lun_err *err)
{
	struct pg_models *m = pg_models_of(store);

	lun_pg_add_key(m, key);
	lun_pg_add_position(m, position);
	lun_pg_add_state(m, source_state);
	return change_guarded(m, key,
	    "UPDATE @lunette_checkpoints SET position = $4,"
	    " source_state = $5, revision = revision + 1"
	    " WHERE " LUN_PG_KEY " AND revision = $6 AND fence = $7",
	    guard, err);
}

enum lun_code
lun_pg_adopt(struct lun_model_store *store, struct lun_key key,
    const char *identity, struct lun_guard guard, struct lun_err *err)
{
	struct pg_models *m = pg_models_of(store);

	lun_pg_add_key(m, key);
	lun_pg_add_words(m, lun_text_of(identity));
	return change_guarded(m, key,
	    "UPDATE @lunette_checkpoints SET identity = $4,"
	    " revision = revision + 1"
	    " WHERE " LUN_PG_KEY " AND revision = $5 AND fence = $6",
	    guard, err);
}
