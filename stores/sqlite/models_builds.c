/* models_builds.c - projections as a whole, their builds and bundles in SQLite. */

#include "base/clock.h"
#include "sqlite/models.h"

/* ---- projections ------------------------------------------------------- */

static enum lun_code
check_projection_guard(struct sqlite_models *m, struct lun_key key,
    struct lun_guard guard, struct lun_err *err)
{
	struct sqlite_shard stored;
	sqlite3_stmt *q = NULL;
	enum lun_code code = lun_sqlite_read_shard(m, key, &stored, err);

	if (code == LUN_OK && !stored.defined)
		code = lun_model_store_no_projection(key.projection, err);
	if (code == LUN_OK)
		code = lun_sqlite_statement(m,
		    "SELECT revision FROM lunette_projections WHERE name = ?1",
		    &q, err);
	if (code != LUN_OK)
		return code;
	lun_sqlite_bind_text(m->c, q, 1, lun_text_of(key.projection));
	code = lun_sqlite_step(m->c, q, err);
	if (code == LUN_OK)
		code = lun_model_store_check_guard(key.projection, guard,
		    sqlite3_column_int64(q, 0), stored.fence, err);
	lun_sqlite_done(q);
	return code;
}

static enum lun_code
update_paused(struct sqlite_models *m, const char *projection, bool paused,
    struct lun_err *err)
{
	sqlite3_stmt *q = NULL;
	enum lun_code code;

	code = lun_sqlite_statement(m,
	    "UPDATE lunette_projections SET paused = ?2,"
	    " revision = revision + 1 WHERE name = ?1",
	    &q, err);
	if (code != LUN_OK)
		return code;
	lun_sqlite_bind_text(m->c, q, 1, lun_text_of(projection));
	lun_sqlite_bind_integer(m->c, q, 2, paused);
	code = lun_sqlite_run(m->c, q, err);
	lun_sqlite_done(q);
	return code;
}

enum lun_code
lun_sqlite_set_paused(struct lun_model_store *store, struct lun_key key,
    bool paused, struct lun_guard guard, struct lun_err *err)
{
	struct sqlite_models *m = sqlite_models_of(store);
	enum lun_code code = lun_sqlite_begin(m->c, err);

	if (code != LUN_OK)
		return code;
	code = check_projection_guard(m, key, guard, err);
	if (code == LUN_OK)
		code = update_paused(m, key.projection, paused, err);
	return lun_sqlite_end(m, code, err);
}

enum lun_code
lun_sqlite_list(struct lun_model_store *store, lun_name_fn *name, void *arg,
    struct lun_err *err)
{
	struct sqlite_models *m = sqlite_models_of(store);
	sqlite3_stmt *q = NULL;
	enum lun_code code;

	code = lun_sqlite_statement(m,
	    "SELECT DISTINCT projection FROM lunette_builds"
	    " ORDER BY projection",
	    &q, err);
	if (code != LUN_OK)
		return code;
	while (lun_sqlite_next(m, q, &code, err))
		code = name(arg, (const char *)sqlite3_column_text(q, 0), err);
	lun_sqlite_done(q);
	return code;
}

enum lun_code
lun_sqlite_projection(struct lun_model_store *store, const char *name,
    struct lun_projection_info *info, struct lun_err *err)
{
	struct sqlite_models *m = sqlite_models_of(store);
	sqlite3_stmt *q = NULL;
	enum lun_code code;

	code = lun_sqlite_statement(m,
	    "SELECT live_build, last_build, paused, revision"
	    " FROM lunette_projections WHERE name = ?1"
	    " AND EXISTS (SELECT 1 FROM lunette_builds WHERE projection = ?1)",
	    &q, err);
	if (code != LUN_OK)
		return code;
	lun_sqlite_bind_text(m->c, q, 1, lun_text_of(name));
	code = lun_sqlite_step(m->c, q, err);
	if (code == LUN_OK)
		*info = (struct lun_projection_info){
		    .live_build = sqlite3_column_int64(q, 0),
		    .last_build = sqlite3_column_int64(q, 1),
		    .paused = sqlite3_column_int(q, 2) != 0,
		    .revision = sqlite3_column_int64(q, 3),
		};
	else if (code == LUN_NOTFOUND)
		code = lun_model_store_no_projection(name, err);
	lun_sqlite_done(q);
	return code;
}

/* ---- builds ------------------------------------------------------------ */

static struct lun_build
read_build(sqlite3_stmt *q)
{
	return (struct lun_build){
	    .number = sqlite3_column_int64(q, 0),
	    .version = sqlite3_column_int(q, 1),
	    .state = (const char *)sqlite3_column_text(q, 2),
	    .reason = (const char *)sqlite3_column_text(q, 3),
	    .made_at = sqlite3_column_int64(q, 4),
	    .kept_until = sqlite3_column_int64(q, 5),
	    .bundle_hash = (const char *)sqlite3_column_text(q, 6),
	    .schema = lun_sqlite_column_text(q, 7),
	};
}

enum lun_code
lun_sqlite_builds(struct lun_model_store *store, const char *name,
    lun_build_fn *build, void *arg, struct lun_err *err)
{
	struct sqlite_models *m = sqlite_models_of(store);
	sqlite3_stmt *q = NULL;
	enum lun_code code;

	code = lun_sqlite_statement(m,
	    "SELECT build, version, state, reason, made_at, kept_until,"
	    " bundle_hash, schema FROM lunette_builds"
	    " WHERE projection = ?1 ORDER BY build",
	    &q, err);
	if (code != LUN_OK)
		return code;
	lun_sqlite_bind_text(m->c, q, 1, lun_text_of(name));
	while (lun_sqlite_next(m, q, &code, err)) {
		struct lun_build read = read_build(q);

		code = build(arg, &read, err);
	}
	lun_sqlite_done(q);
	return code;
}

/* ---- bundles ----------------------------------------------------------- */

static enum lun_code
insert_bundle(struct sqlite_models *m, const struct lun_write_set *set,
    struct lun_err *err)
{
	char hex[LUN_POSITION_HEX_SIZE];
	sqlite3_stmt *q = NULL;
	enum lun_code code;

	code = lun_sqlite_statement(m,
	    "INSERT INTO lunette_scripts (projection, build, hash, bundle,"
	    " first_position, first_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
	    " ON CONFLICT DO NOTHING",
	    &q, err);
	if (code != LUN_OK)
		return code;
	lun_position_to_hex(set->position, hex);
	lun_sqlite_bind_text(m->c, q, 1, lun_text_of(set->key.projection));
	lun_sqlite_bind_integer(m->c, q, 2, set->key.build);
	lun_sqlite_bind_text(m->c, q, 3, lun_text_of(set->bundle_hash));
	lun_sqlite_bind_text(m->c, q, 4, set->bundle);
	lun_sqlite_bind_text(m->c, q, 5, lun_text_of(hex));
	lun_sqlite_bind_integer(m->c, q, 6, lun_clock_wall_us());
	code = lun_sqlite_run(m->c, q, err);
	lun_sqlite_done(q);
	return code;
}

enum lun_code
lun_sqlite_keep_bundle(struct sqlite_models *m, const struct lun_write_set *set,
    struct lun_err *err)
{
	enum lun_code code = insert_bundle(m, set, err);
	sqlite3_stmt *q = NULL;

	if (code == LUN_OK)
		code = lun_sqlite_statement(m,
		    "UPDATE lunette_builds SET bundle_hash = ?3"
		    " WHERE projection = ?1 AND build = ?2",
		    &q, err);
	if (code != LUN_OK)
		return code;
	lun_sqlite_bind_text(m->c, q, 1, lun_text_of(set->key.projection));
	lun_sqlite_bind_integer(m->c, q, 2, set->key.build);
	lun_sqlite_bind_text(m->c, q, 3, lun_text_of(set->bundle_hash));
	code = lun_sqlite_run(m->c, q, err);
	lun_sqlite_done(q);
	return code;
}
