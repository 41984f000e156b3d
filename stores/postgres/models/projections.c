/* projections.c - what belongs to a projection and to its builds. */

#include "postgres/models/models.h"

/* ---- pausing ----------------------------------------------------------- */

/* Why nothing was changed. */
static enum lun_code
explain_pause(struct pg_models *m, struct lun_key key, struct lun_guard guard,
    struct lun_err *err)
{
	PGresult *result = NULL;
	enum lun_code code;

	lun_pg_add_key(m, key);
	code = lun_pg_run(m,
	    "SELECT (SELECT revision FROM @lunette_projections"
	    "  WHERE name = $1 AND live_build IS NOT NULL),"
	    " (SELECT fence FROM @lunette_owners WHERE " LUN_PG_KEY ")",
	    &result, err);
	if (code != LUN_OK)
		return code;
	if (lun_pg_is_null(result, 0, 0))
		code = lun_model_store_no_projection(key.projection, err);
	else
		code = lun_model_store_check_guard(key.projection, guard,
		    lun_pg_int8(result, 0, 0), lun_pg_int8(result, 0, 1), err);
	PQclear(result);
	return code;
}

/* The lease is held as it is, so that a later owner waits for the end. */
static enum lun_code
set_paused(struct pg_models *m, struct lun_key key, bool paused,
    struct lun_guard guard, struct lun_err *err)
{
	PGresult *result = NULL;
	enum lun_code code;
	bool changed;

	lun_pg_add_key(m, key);
	lun_pg_add_bool(&m->params, paused);
	lun_pg_add_int8(&m->params, guard.expected_revision);
	lun_pg_add_int8(&m->params, guard.fence);
	code = lun_pg_run(m,
	    "WITH held AS (SELECT fence FROM @lunette_owners"
	    "  WHERE " LUN_PG_KEY " FOR SHARE)"
	    " UPDATE @lunette_projections SET paused = $4,"
	    " revision = revision + 1 FROM held"
	    " WHERE name = $1 AND revision = $5 AND held.fence = $6"
	    " AND live_build IS NOT NULL",
	    &result, err);
	if (code != LUN_OK)
		return code;
	changed = lun_pg_changed(result) > 0;
	PQclear(result);
	return changed ? LUN_OK : explain_pause(m, key, guard, err);
}

enum lun_code
lun_pg_set_paused(struct lun_model_store *store, struct lun_key key,
    bool paused, struct lun_guard guard, struct lun_err *err)
{
	struct pg_models *m = pg_models_of(store);
	enum lun_code code = lun_pg_models_begin(m, key, "", err);

	if (code == LUN_OK)
		code = lun_pg_models_end(
		    m, key, set_paused(m, key, paused, guard, err), err);
	return code;
}

/* ---- looking ----------------------------------------------------------- */

static enum lun_code
list_projections(
    struct pg_models *m, lun_name_fn *name, void *arg, struct lun_err *err)
{
	PGresult *result = NULL;
	enum lun_code code;

	code = lun_pg_run(m,
	    "SELECT name FROM @lunette_projections"
	    " WHERE live_build IS NOT NULL ORDER BY name",
	    &result, err);
	for (int i = 0; code == LUN_OK && i < PQntuples(result); i++)
		code = name(arg, PQgetvalue(result, i, 0), err);
	PQclear(result);
	return code;
}

enum lun_code
lun_pg_list(struct lun_model_store *store, lun_name_fn *name, void *arg,
    struct lun_err *err)
{
	struct pg_models *m = pg_models_of(store);

	return list_projections(m, name, arg, err);
}

static enum lun_code
load_projection(struct pg_models *m, const char *name,
    struct lun_projection_info *info, struct lun_err *err)
{
	PGresult *result = NULL;
	enum lun_code code;

	lun_pg_add_name(m, name);
	code = lun_pg_run(m,
	    "SELECT live_build, last_build, paused, revision"
	    " FROM @lunette_projections"
	    " WHERE name = $1 AND live_build IS NOT NULL",
	    &result, err);
	if (code == LUN_OK && PQntuples(result) == 0)
		code = lun_model_store_no_projection(name, err);
	else if (code == LUN_OK)
		*info = (struct lun_projection_info){
		    .live_build = lun_pg_int8(result, 0, 0),
		    .last_build = lun_pg_int8(result, 0, 1),
		    .paused = lun_pg_bool(result, 0, 2),
		    .revision = lun_pg_int8(result, 0, 3)};
	PQclear(result);
	return code;
}

enum lun_code
lun_pg_projection(struct lun_model_store *store, const char *name,
    struct lun_projection_info *info, struct lun_err *err)
{
	struct pg_models *m = pg_models_of(store);

	return load_projection(m, name, info, err);
}

static enum lun_code
give_build(const PGresult *r, int row, lun_build_fn *build, void *arg,
    struct lun_err *err)
{
	struct lun_build read = {
	    .number = lun_pg_int8(r, row, 0),
	    .version = (int)lun_pg_int8(r, row, 1),
	    .state = PQgetvalue(r, row, 2),
	    .reason = PQgetvalue(r, row, 3),
	    .made_at = lun_pg_time(r, row, 4),
	    .bundle_hash = PQgetvalue(r, row, 6),
	    .schema = lun_pg_bytes(r, row, 7),
	};

	if (!lun_pg_is_null(r, row, 5))
		read.kept_until = lun_pg_time(r, row, 5);
	return build(arg, &read, err);
}

static enum lun_code
list_builds(struct pg_models *m, const char *name, lun_build_fn *build,
    void *arg, struct lun_err *err)
{
	PGresult *result = NULL;
	enum lun_code code;

	lun_pg_add_name(m, name);
	code = lun_pg_run(m,
	    "SELECT build, version, state, reason, made_at, kept_until,"
	    " bundle_hash, schema FROM @lunette_builds WHERE projection = $1"
	    " ORDER BY build",
	    &result, err);
	for (int i = 0; code == LUN_OK && i < PQntuples(result); i++)
		code = give_build(result, i, build, arg, err);
	PQclear(result);
	return code;
}

enum lun_code
lun_pg_builds(struct lun_model_store *store, const char *name,
    lun_build_fn *build, void *arg, struct lun_err *err)
{
	struct pg_models *m = pg_models_of(store);

	return list_builds(m, name, build, arg, err);
}
