/*
 * models_tables.c - the engine's own tables in a model store.
 *
 * Their text is what people see in the sqlite3 shell, so it explains itself
 * there. Moments are whole microseconds since 1970 UTC, as in the table of
 * events; positions 32 hexadecimal digits, which sort as the positions do.
 * Fences and numbers of builds outlive what they were given to, so rows of
 * lunette_owners and lunette_projections stay.
 */

#include "sql/format.h"
#include "sqlite/models.h"

#define SHARD_COLUMNS                                                          \
	"  projection TEXT NOT NULL,\n"                                        \
	"  build INTEGER NOT NULL,\n"                                          \
	"  shard INTEGER NOT NULL,\n"

#define FAILED_EVENT_COLUMNS                                                   \
	"  number INTEGER PRIMARY KEY AUTOINCREMENT,\n" SHARD_COLUMNS          \
	"  model_id TEXT,\n"                                                   \
	"  error TEXT NOT NULL,\n"                                             \
	"  at INTEGER NOT NULL,\n"                                             \
	"  position TEXT NOT NULL,\n"                                          \
	"  event_id TEXT NOT NULL,\n"                                          \
	"  stream TEXT NOT NULL,\n"                                            \
	"  version INTEGER NOT NULL,\n"                                        \
	"  type TEXT NOT NULL,\n"                                              \
	"  recorded_at INTEGER NOT NULL,\n"                                    \
	"  data TEXT NOT NULL,\n"                                              \
	"  metadata TEXT,\n"                                                   \
	"  tenant TEXT"

static const char own_tables[] =
    "CREATE TABLE lunette_store (\n"
    "  format INTEGER NOT NULL, -- of the tables lunette_*\n"
    "  made_by TEXT NOT NULL -- version of Lunette\n"
    ");"

    "CREATE TABLE lunette_projections (\n"
    "  name TEXT PRIMARY KEY NOT NULL,\n"
    "  live_build INTEGER, -- what the view of this name shows\n"
    "  last_build INTEGER NOT NULL, -- numbers are not given again\n"
    "  paused INTEGER NOT NULL DEFAULT 0,\n"
    "  revision INTEGER NOT NULL\n"
    ");"

    "CREATE TABLE lunette_builds (\n"
    "  projection TEXT NOT NULL,\n"
    "  build INTEGER NOT NULL, -- its models: PROJECTION__bBUILD\n"
    "  version INTEGER NOT NULL, -- as the script says\n"
    "  state TEXT NOT NULL,\n"
    "  reason TEXT NOT NULL DEFAULT '', -- why it is in that state\n"
    "  made_at INTEGER NOT NULL, -- microseconds since 1970 UTC\n"
    "  target TEXT,\n"
    "  kept_until INTEGER,\n"
    "  bundle_hash TEXT NOT NULL DEFAULT '', -- in lunette_scripts\n"
    "  schema TEXT NOT NULL,\n"
    "  PRIMARY KEY (projection, build)\n"
    ");"

    "CREATE TABLE lunette_checkpoints (\n" SHARD_COLUMNS
    "  position TEXT NOT NULL, -- everything up to here is applied\n"
    "  revision INTEGER NOT NULL,\n"
    "  identity TEXT NOT NULL DEFAULT '', -- of the event store\n"
    "  bundle_hash TEXT NOT NULL DEFAULT '',\n"
    "  committed_at INTEGER NOT NULL DEFAULT 0,\n"
    "  skipped_count INTEGER NOT NULL DEFAULT 0,\n"
    "  source_state BLOB,\n"
    "  rows_revision INTEGER NOT NULL DEFAULT 0, -- last to touch models\n"
    "  PRIMARY KEY (projection, build, shard)\n"
    ") WITHOUT ROWID;"

    "CREATE TABLE lunette_scripts (\n"
    "  projection TEXT NOT NULL,\n"
    "  build INTEGER NOT NULL,\n"
    "  hash TEXT NOT NULL,\n"
    "  bundle TEXT NOT NULL, -- all that a text of the script loaded\n"
    "  first_position TEXT NOT NULL, -- of its first commit\n"
    "  first_at INTEGER NOT NULL,\n"
    "  PRIMARY KEY (projection, build, hash)\n"
    ");"

    "CREATE TABLE lunette_owners (\n" SHARD_COLUMNS
    "  fence INTEGER NOT NULL,\n"
    "  owner TEXT NOT NULL, -- the last one; it may be gone\n"
    "  acquired_at INTEGER NOT NULL,\n"
    "  PRIMARY KEY (projection, build, shard)\n"
    ") WITHOUT ROWID;"

    "CREATE TABLE lunette_parked (\n" FAILED_EVENT_COLUMNS "\n);"
    "CREATE INDEX lunette_parked_by_model ON lunette_parked"
    " (projection, build, shard, model_id, number);"

    "CREATE TABLE lunette_skipped (\n" FAILED_EVENT_COLUMNS "\n);"
    "CREATE INDEX lunette_skipped_by_shard ON lunette_skipped"
    " (projection, build, shard, number);"

    "CREATE TABLE lunette_requests (\n"
    "  number INTEGER PRIMARY KEY AUTOINCREMENT,\n" SHARD_COLUMNS
    "  kind TEXT NOT NULL,\n"
    "  argument TEXT NOT NULL,\n"
    "  posted_at INTEGER NOT NULL,\n"
    "  finished_at INTEGER, -- null: it waits\n"
    "  outcome TEXT,\n"
    "  message TEXT\n"
    ");"
    "CREATE INDEX lunette_requests_waiting ON lunette_requests"
    " (projection, build, shard, number) WHERE finished_at IS NULL;"

    "CREATE TABLE lunette_heartbeats (\n" SHARD_COLUMNS
    "  owner TEXT NOT NULL,\n"
    "  state TEXT NOT NULL,\n"
    "  waiting_for TEXT NOT NULL,\n"
    "  last_error TEXT NOT NULL,\n"
    "  events_per_second REAL NOT NULL,\n"
    "  at INTEGER NOT NULL,\n"
    "  PRIMARY KEY (projection, build, shard)\n"
    ")";

/* LUN_OK, or LUN_NOTFOUND (err untouched). */
static enum lun_code
find_object(struct sqlite_models *m, const char *name, char kind[16],
    struct lun_err *err)
{
	sqlite3_stmt *q = NULL;
	enum lun_code code;

	code = lun_sqlite_statement(m,
	    "SELECT type FROM sqlite_schema"
	    " WHERE name = ?1 COLLATE NOCASE",
	    &q, err);
	if (code != LUN_OK)
		return code;
	lun_sqlite_bind_text(m->c, q, 1, lun_text_of(name));
	code = lun_sqlite_step(m->c, q, err);
	if (code == LUN_OK)
		lun_sqlite_copy_column(q, 0, kind, 16);
	lun_sqlite_done(q);
	return code;
}

enum lun_code
lun_sqlite_check_free(struct sqlite_models *m, const char *projection,
    const char *name, struct lun_err *err)
{
	char kind[16];
	enum lun_code code = find_object(m, name, kind, err);

	if (code == LUN_NOTFOUND)
		return LUN_OK;
	if (code != LUN_OK)
		return code;
	return lun_fail(err, LUN_CONFIG,
	    "define \"%s\": %s has a %s \"%s\" already that is not this "
	    "projection's; rename it or the projection",
	    projection, lun_sqlite_path(m->c), kind, name);
}

/* ---- making ------------------------------------------------------------ */

struct found {
	bool store;  /* lunette_store: then all of them are there */
	bool tables; /* of models, with or without it */
};

static enum lun_code
find_tables(struct sqlite_models *m, struct found *found, struct lun_err *err)
{
	sqlite3_stmt *q = NULL;
	enum lun_code code;

	code = lun_sqlite_statement(m,
	    "SELECT max(name = 'lunette_store'), count(*) FROM sqlite_schema"
	    " WHERE name IN ('lunette_store', 'lunette_heartbeats')",
	    &q, err);
	if (code != LUN_OK)
		return code;
	code = lun_sqlite_step(m->c, q, err);
	if (code == LUN_OK) {
		found->store = sqlite3_column_int(q, 0) != 0;
		found->tables = sqlite3_column_int(q, 1) != 0;
	}
	lun_sqlite_done(q);
	return code;
}

static enum lun_code
create_tables(struct sqlite_models *m, struct lun_err *err)
{
	enum lun_code code = lun_sqlite_mark(m->c, err);

	if (code == LUN_OK)
		code = lun_sqlite_exec(m->c, own_tables, err);
	if (code == LUN_OK)
		code = lun_sqlite_write_format(
		    m, "INSERT INTO lunette_store VALUES (?1, ?2)", err);
	return code;
}

/* Somebody else may have been first, and with tables of another format. */
static enum lun_code
make_tables(struct sqlite_models *m, struct found *found, struct lun_err *err)
{
	enum lun_code code = lun_sqlite_begin(m->c, err);

	if (code != LUN_OK)
		return code;
	code = find_tables(m, found, err);
	if (code == LUN_OK && !found->tables) {
		code = create_tables(m, err);
		m->base.made = true;
	}
	return lun_sqlite_end(m, code, err);
}

enum lun_code
lun_sqlite_make_tables(struct sqlite_models *m, struct lun_err *err)
{
	struct found found;
	enum lun_code code = find_tables(m, &found, err);

	if (code != LUN_OK)
		return code;
	if (!found.tables && m->c->must_exist)
		return lun_fail(err, LUN_CONFIG,
		    "no models yet: %s holds none: \"lunette run\" makes them",
		    lun_sqlite_path(m->c));
	if (!found.tables)
		code = make_tables(m, &found, err);
	if (code != LUN_OK || !found.tables)
		return code;
	return lun_sqlite_check_format(m, found.store, err);
}
