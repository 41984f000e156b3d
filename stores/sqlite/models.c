/* models.c - the model store in SQLite: connections, checkpoints, commits. */

#include "sqlite/models.h"

#include <stdlib.h>

#include "base/clock.h"
#include "sql/format.h"
#include "sqlite/url.h"

/* ---- opening and closing ----------------------------------------------- */

static void
sqlite_close(struct lun_model_store *store)
{
	struct sqlite_models *m = sqlite_models_of(store);

	while (m->owned != NULL) {
		struct lun_ownership *next = m->owned->next;

		lun_ownership_unlock(m->owned);
		m->owned = next;
	}
	lun_lines_give_up(&m->lines->base, &m->use);
	lun_sqlite_lines_release(m->lines);
	free(m);
}

/* Takes a share of the lines over, also on failure. */
static struct sqlite_models *
new_handle(struct sqlite_lines *lines, struct lun_err *err)
{
	struct sqlite_models *m = lines != NULL ? calloc(1, sizeof *m) : NULL;

	if (m == NULL) {
		if (lines != NULL)
			lun_sqlite_lines_release(lines);
		(void)lun_fail(err, LUN_NOMEM, "sqlite: out of memory");
		return NULL;
	}
	m->base.ops = &lun_sqlite_models;
	m->lines = lines;
	return m;
}

static enum lun_code
take_url(const char *rest, char **path, struct lun_err *err)
{
	struct lun_text query;
	enum lun_code code = lun_sqlite_url_split(rest, path, &query, err);

	if (code != LUN_OK || query.length == 0)
		return code;
	return lun_fail(err, LUN_CONFIG,
	    "sqlite: the URL of models has no parameters: write "
	    "sqlite:PATH, or %%3F for a \"?\" in the name of the file");
}

/* The first line, which the others are made from. */
static enum lun_code
open_first(struct sqlite_lines *lines, const char *path,
    const struct lun_store_options *options, struct lun_err *err)
{
	struct sqlite_line *first = &lines->at[0];
	enum lun_code code = lun_sqlite_open(&first->c, path, options, err);

	if (code == LUN_NOTFOUND)
		return lun_fail(err, LUN_CONFIG,
		    "no models yet: %s does not exist: check the name, or let "
		    "\"lunette run\" make it",
		    path);
	if (code == LUN_OK)
		code = lun_sqlite_add_functions(&first->c, err);
	if (code == LUN_OK)
		lines->base.name = lun_sqlite_path(&first->c);
	lun_pool_note(&lines->base.pool, &first->base, code == LUN_OK);
	return code;
}

static enum lun_code
check_tables(struct sqlite_models *m, struct lun_err *err)
{
	enum lun_code code = lun_sqlite_enter(&m->base, LUN_CALL_LOOKS, err);

	if (code != LUN_OK)
		return code;
	code = lun_sqlite_make_tables(m, err);
	lun_sqlite_leave(&m->base);
	return code;
}

static enum lun_code
sqlite_open(const char *rest, const struct lun_store_options *options,
    struct lun_model_store **out, struct lun_err *err)
{
	struct sqlite_models *m =
	    new_handle(lun_sqlite_lines_new(options), err);
	char *path = NULL;
	enum lun_code code;

	if (m == NULL)
		return LUN_NOMEM;
	code = take_url(rest, &path, err);
	if (code == LUN_OK)
		code = open_first(m->lines, path, options, err);
	free(path);
	if (code == LUN_OK)
		code = check_tables(m, err);
	if (code == LUN_OK)
		*out = &m->base;
	else
		sqlite_close(&m->base);
	return code;
}

static enum lun_code
connect_handle(struct lun_model_store *store, struct sqlite_models **out,
    struct lun_err *err)
{
	struct sqlite_lines *lines = sqlite_models_of(store)->lines;
	enum lun_code code = lun_sqlite_check_place(&lines->at[0].c, err);

	if (code != LUN_OK)
		return code;
	atomic_fetch_add(&lines->users, 1);
	*out = new_handle(lines, err);
	return *out != NULL ? LUN_OK : LUN_NOMEM;
}

static enum lun_code
sqlite_connect(struct lun_model_store *store, struct lun_model_store **out,
    struct lun_err *err)
{
	struct sqlite_models *m;
	enum lun_code code = connect_handle(store, &m, err);

	if (code == LUN_OK)
		*out = &m->base;
	return code;
}

static enum lun_code
sqlite_connect_kept(struct lun_model_store *store, struct lun_model_store **out,
    struct lun_err *err)
{
	struct sqlite_models *m;
	enum lun_code code = connect_handle(store, &m, err);

	if (code != LUN_OK)
		return code;
	code = lun_lines_keep(&m->lines->base, &m->use, err);
	if (code == LUN_OK)
		*out = &m->base;
	else
		sqlite_close(&m->base);
	return code;
}

static void
sqlite_tend(struct lun_model_store *store)
{
	lun_sqlite_tend(sqlite_models_of(store)->c);
}

/* ---- ownership --------------------------------------------------------- */

/* Nothing is raised where the format is another by now, which is then said. */
static enum lun_code
raise_fence(struct sqlite_models *m, struct lun_key key, const char *owner,
    int64_t *fence, struct lun_err *err)
{
	sqlite3_stmt *q = NULL;
	enum lun_code code;

	code = lun_sqlite_statement(m,
	    "INSERT INTO lunette_owners SELECT ?1, ?2, ?3, 1, ?4, ?5"
	    " FROM lunette_store WHERE format = ?6"
	    " ON CONFLICT (projection, build, shard) DO UPDATE"
	    " SET fence = fence + 1, owner = excluded.owner,"
	    " acquired_at = excluded.acquired_at RETURNING fence",
	    &q, err);
	if (code != LUN_OK)
		return code;
	lun_sqlite_bind_key(m, q, key);
	lun_sqlite_bind_text(m->c, q, 4, lun_text_of(owner));
	lun_sqlite_bind_integer(m->c, q, 5, lun_clock_wall_us());
	lun_sqlite_bind_integer(m->c, q, 6, LUN_MODEL_FORMAT);
	code = lun_sqlite_step(m->c, q, err);
	if (code == LUN_OK)
		*fence = sqlite3_column_int64(q, 0);
	lun_sqlite_done(q);
	return code == LUN_NOTFOUND ? lun_sqlite_check_format(m, true, err)
				    : code;
}

static enum lun_code
take_fence(struct sqlite_models *m, struct lun_ownership *ownership,
    const char *owner, struct lun_err *err)
{
	enum lun_code code = lun_sqlite_begin(m->c, err);
	int64_t fence = 0;

	if (code != LUN_OK)
		return code;
	code = raise_fence(m, ownership->key, owner, &fence, err);
	code = lun_sqlite_end(m, code, err);
	if (code == LUN_OK)
		ownership->fence = fence;
	return code;
}

static enum lun_code
sqlite_acquire(struct lun_model_store *store, struct lun_key key,
    const char *owner, int64_t time_to_live_ms, int64_t *fence,
    char holder[LUN_OWNER_SIZE], struct lun_err *err)
{
	struct sqlite_models *m = sqlite_models_of(store);
	struct lun_ownership *mine = *lun_ownership_find(&m->owned, key);
	const char *database = sqlite3_db_filename(m->c->db, "main");
	bool is_new = mine == NULL;
	enum lun_code code = LUN_OK;

	(void)time_to_live_ms;
	if (is_new)
		code = lun_ownership_lock(
		    database, key, owner, &mine, holder, err);
	if (code != LUN_OK)
		return code;
	code = take_fence(m, mine, owner, err);
	if (code == LUN_OK)
		*fence = mine->fence;
	if (is_new && code == LUN_OK) {
		mine->next = m->owned;
		m->owned = mine;
	} else if (is_new) {
		lun_ownership_unlock(mine);
	}
	return code;
}

static enum lun_code
sqlite_renew(struct lun_model_store *store, struct lun_lease *leases,
    size_t count, int64_t time_to_live_ms, struct lun_err *err)
{
	struct sqlite_models *m = sqlite_models_of(store);
	enum lun_code code = LUN_OK;

	(void)time_to_live_ms;
	for (size_t i = 0; i < count && code == LUN_OK; i++) {
		struct sqlite_shard stored;

		code = lun_sqlite_read_shard(m, leases[i].key, &stored, err);
		if (code == LUN_OK)
			lun_lease_compare(&leases[i], stored.fence);
	}
	return code;
}

static void
sqlite_release(struct lun_model_store *store, struct lun_key key, int64_t fence)
{
	struct lun_ownership **link =
	    lun_ownership_find(&sqlite_models_of(store)->owned, key);
	struct lun_ownership *mine = *link;

	if (mine == NULL || mine->fence != fence)
		return;
	*link = mine->next;
	lun_ownership_unlock(mine);
}

/* ---- the checkpoint ---------------------------------------------------- */

static void
bind_state(
    struct sqlite_models *m, sqlite3_stmt *q, int index, struct lun_text state)
{
	if (state.length == 0)
		lun_sqlite_bind_null(m->c, q, index);
	else if (sqlite3_bind_blob64(q, index, state.bytes, state.length,
		     SQLITE_STATIC) != SQLITE_OK)
		m->c->bind_result = SQLITE_NOMEM;
}

static enum lun_code
read_checkpoint(struct sqlite_models *m, sqlite3_stmt *q,
    struct lun_checkpoint *c, struct lun_err *err)
{
	const char *path = lun_sqlite_path(m->c);

	*c = (struct lun_checkpoint){
	    .version = sqlite3_column_int(q, 0),
	    .revision = sqlite3_column_int64(q, 2),
	    .fence = sqlite3_column_int64(q, 3),
	    .paused = sqlite3_column_int(q, 4) != 0,
	    .script_count = sqlite3_column_int64(q, 7),
	    .committed_at = sqlite3_column_int64(q, 8),
	    .parked_count = (uint64_t)sqlite3_column_int64(q, 9),
	    .skipped_count = (uint64_t)sqlite3_column_int64(q, 10),
	    .projection_revision = sqlite3_column_int64(q, 13),
	    .rows_revision = sqlite3_column_int64(q, 14),
	};
	if (!lun_position_from_hex(lun_sqlite_column_text(q, 1), &c->position))
		return lun_fail(err, LUN_IO,
		    "%s: lunette_checkpoints holds a position that is none",
		    path);
	lun_sqlite_copy_column(q, 5, c->identity, sizeof c->identity);
	lun_sqlite_copy_column(q, 6, c->bundle_hash, sizeof c->bundle_hash);
	lun_buffer_add_text(&c->schema, lun_sqlite_column_text(q, 11));
	lun_buffer_add(&c->source_state, sqlite3_column_blob(q, 12),
	    (size_t)sqlite3_column_bytes(q, 12));
	if (!c->schema.failed && !c->source_state.failed)
		return LUN_OK;
	lun_checkpoint_free(c);
	return lun_fail(err, LUN_NOMEM, "%s: out of memory", path);
}

static enum lun_code
sqlite_checkpoint(struct lun_model_store *store, struct lun_key key,
    struct lun_checkpoint *checkpoint, struct lun_err *err)
{
	struct sqlite_models *m = sqlite_models_of(store);
	struct lun_checkpoint read;
	sqlite3_stmt *q = NULL;
	enum lun_code code;

	code = lun_sqlite_statement(m,
	    "SELECT version, position, c.revision,"
	    " (SELECT fence FROM lunette_owners WHERE " LUN_SQLITE_IS_KEY "),"
	    " paused, identity, c.bundle_hash,"
	    " (SELECT count(*) FROM lunette_scripts"
	    "  WHERE projection = ?1 AND build = ?2), committed_at,"
	    " (SELECT count(*) FROM lunette_parked WHERE " LUN_SQLITE_IS_KEY
	    "), skipped_count, schema, source_state, p.revision,"
	    " rows_revision"
	    " FROM lunette_checkpoints c"
	    " JOIN lunette_builds USING (projection, build)"
	    " JOIN lunette_projections p ON name = projection"
	    " WHERE " LUN_SQLITE_IS_KEY,
	    &q, err);
	if (code != LUN_OK)
		return code;
	lun_sqlite_bind_key(m, q, key);
	code = lun_sqlite_step(m->c, q, err);
	if (code == LUN_NOTFOUND)
		code = lun_model_store_no_projection(key.projection, err);
	else if (code == LUN_OK)
		code = read_checkpoint(m, q, &read, err);
	lun_sqlite_done(q);
	if (code == LUN_OK)
		*checkpoint = read;
	return code;
}

static enum lun_code
update_position(struct sqlite_models *m, struct lun_key key,
    struct lun_position position, struct lun_text source_state,
    struct lun_err *err)
{
	char hex[LUN_POSITION_HEX_SIZE];
	sqlite3_stmt *q = NULL;
	enum lun_code code;

	code = lun_sqlite_statement(m,
	    "UPDATE lunette_checkpoints SET position = ?4, source_state = ?5,"
	    " revision = revision + 1 WHERE " LUN_SQLITE_IS_KEY,
	    &q, err);
	if (code != LUN_OK)
		return code;
	lun_position_to_hex(position, hex);
	lun_sqlite_bind_key(m, q, key);
	lun_sqlite_bind_text(m->c, q, 4, lun_text_of(hex));
	bind_state(m, q, 5, source_state);
	code = lun_sqlite_run(m->c, q, err);
	lun_sqlite_done(q);
	return code;
}

static enum lun_code
sqlite_set_position(struct lun_model_store *store, struct lun_key key,
    struct lun_position position, struct lun_text source_state,
    struct lun_guard guard, struct lun_err *err)
{
	struct sqlite_models *m = sqlite_models_of(store);
	enum lun_code code = lun_sqlite_begin(m->c, err);

	if (code != LUN_OK)
		return code;
	code = lun_sqlite_check_guard(m, key, guard, err);
	if (code == LUN_OK)
		code = update_position(m, key, position, source_state, err);
	return lun_sqlite_end(m, code, err);
}

static enum lun_code
update_identity(struct sqlite_models *m, struct lun_key key,
    const char *identity, struct lun_err *err)
{
	sqlite3_stmt *q = NULL;
	enum lun_code code;

	code = lun_sqlite_statement(m,
	    "UPDATE lunette_checkpoints SET identity = ?4,"
	    " revision = revision + 1 WHERE " LUN_SQLITE_IS_KEY,
	    &q, err);
	if (code != LUN_OK)
		return code;
	lun_sqlite_bind_key(m, q, key);
	lun_sqlite_bind_text(m->c, q, 4, lun_text_of(identity));
	code = lun_sqlite_run(m->c, q, err);
	lun_sqlite_done(q);
	return code;
}

static enum lun_code
sqlite_adopt(struct lun_model_store *store, struct lun_key key,
    const char *identity, struct lun_guard guard, struct lun_err *err)
{
	struct sqlite_models *m = sqlite_models_of(store);
	enum lun_code code = lun_sqlite_begin(m->c, err);

	if (code != LUN_OK)
		return code;
	code = lun_sqlite_check_guard(m, key, guard, err);
	if (code == LUN_OK)
		code = update_identity(m, key, identity, err);
	return lun_sqlite_end(m, code, err);
}

/* ---- the commit -------------------------------------------------------- */

static enum lun_code
move_checkpoint(struct sqlite_models *m, const struct lun_write_set *set,
    struct lun_err *err)
{
	char hex[LUN_POSITION_HEX_SIZE];
	sqlite3_stmt *q = NULL;
	enum lun_code code;

	code = lun_sqlite_statement(m,
	    "UPDATE lunette_checkpoints SET position = ?4, source_state = ?5,"
	    " identity = ?6, bundle_hash = ?7, committed_at = ?8,"
	    " skipped_count = skipped_count + ?9, revision = revision + 1,"
	    " rows_revision = iif(?10, revision + 1, rows_revision)"
	    " WHERE " LUN_SQLITE_IS_KEY,
	    &q, err);
	if (code != LUN_OK)
		return code;
	lun_position_to_hex(set->position, hex);
	lun_sqlite_bind_key(m, q, set->key);
	lun_sqlite_bind_text(m->c, q, 4, lun_text_of(hex));
	bind_state(m, q, 5, set->source_state);
	lun_sqlite_bind_text(m->c, q, 6, lun_text_of(set->identity));
	lun_sqlite_bind_text(m->c, q, 7, lun_text_of(set->bundle_hash));
	lun_sqlite_bind_integer(m->c, q, 8, lun_clock_wall_us());
	lun_sqlite_bind_integer(m->c, q, 9, (int64_t)set->skipped_count);
	lun_sqlite_bind_integer(m->c, q, 10, set->model_count > 0);
	code = lun_sqlite_run(m->c, q, err);
	lun_sqlite_done(q);
	return code;
}

static enum lun_code
check_commit(struct sqlite_models *m, const struct lun_write_set *set,
    bool *new_bundle, struct lun_err *err)
{
	struct lun_guard guard = {set->expected_revision, set->fence};
	struct sqlite_shard stored;
	enum lun_code code = lun_sqlite_read_shard(m, set->key, &stored, err);

	if (code != LUN_OK)
		return code;
	if (!stored.defined)
		return lun_model_store_no_projection(set->key.projection, err);
	*new_bundle = strcmp(stored.bundle_hash, set->bundle_hash) != 0;
	return lun_model_store_check_guard(
	    set->key.projection, guard, stored.revision, stored.fence, err);
}

static enum lun_code
sqlite_commit(struct lun_model_store *store, const struct lun_write_set *set,
    struct lun_err *err)
{
	struct sqlite_models *m = sqlite_models_of(store);
	enum lun_code code = lun_sqlite_begin(m->c, err);
	bool new_bundle = false;

	if (code != LUN_OK)
		return code;
	code = check_commit(m, set, &new_bundle, err);
	if (code == LUN_OK)
		code = lun_sqlite_write_models(m, set, err);
	if (code == LUN_OK)
		code = lun_sqlite_write_failed_events(m, set, err);
	if (code == LUN_OK && new_bundle)
		code = lun_sqlite_keep_bundle(m, set, err);
	if (code == LUN_OK)
		code = move_checkpoint(m, set, err);
	return lun_sqlite_end(m, code, err);
}

const struct lun_model_store_ops lun_sqlite_models = {
    .scheme = "sqlite",
    .abi = LUN_MODEL_STORE_ABI,
    .open = sqlite_open,
    .connect = sqlite_connect,
    .connect_kept = sqlite_connect_kept,
    .close = sqlite_close,
    .enter = lun_sqlite_enter,
    .leave = lun_sqlite_leave,
    .tend = sqlite_tend,
    .acquire = sqlite_acquire,
    .renew = sqlite_renew,
    .release = sqlite_release,
    .define = lun_sqlite_define,
    .reset = lun_sqlite_reset,
    .index = lun_sqlite_index,
    .drop = lun_sqlite_drop,
    .checkpoint = sqlite_checkpoint,
    .set_position = sqlite_set_position,
    .adopt = sqlite_adopt,
    .set_paused = lun_sqlite_set_paused,
    .list = lun_sqlite_list,
    .projection = lun_sqlite_projection,
    .builds = lun_sqlite_builds,
    .load = lun_sqlite_load,
    .query = lun_sqlite_query,
    .commit = sqlite_commit,
    .parked = lun_sqlite_parked,
    .parked_ids = lun_sqlite_parked_ids,
    .skipped = lun_sqlite_skipped,
    .request_post = lun_sqlite_request_post,
    .requests_waiting = lun_sqlite_requests_waiting,
    .request_next = lun_sqlite_request_next,
    .request_finish = lun_sqlite_request_finish,
    .request_result = lun_sqlite_request_result,
    .publish = lun_sqlite_publish,
    .heartbeat = lun_sqlite_heartbeat,
};
