/*
 * events.c - an event store in a SQLite file.
 *
 * Any program may append to the table with plain SQL. SQLite lets one writer
 * in at a time, so positions become visible in their order and everything
 * that is visible is safe to read.
 */

#include "sqlite/events.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <uuid/uuid.h>

#include "base/error.h"
#include "sql/format.h"

#define LAG_ROWS 100000 /* counted one by one; estimated above */

#define COLUMNS                                                                \
	"position, version, recorded_at, id, stream, type, data, metadata"

static const char *const statements[STATEMENTS] = {
    [FIND_ANCHOR] = "SELECT id FROM events WHERE position = ?1",
    [FIND_HEAD] = "SELECT max(position) FROM events",
    [FIND_ID] = "SELECT position, version FROM events WHERE id = ?1",
    [FIND_VERSION] = "SELECT max(version) FROM events WHERE stream = ?1",
    [READ_ALL] =
	"SELECT " COLUMNS LUN_SQLITE_TENANT " FROM events WHERE position > ?1 "
	"ORDER BY position",
    /* The inner query needs nothing but the index on (stream, version). */
    [READ_STREAM] =
	"SELECT " COLUMNS LUN_SQLITE_TENANT " FROM events WHERE position IN "
	"(SELECT position FROM events WHERE stream = ?2 "
	"AND position > ?1 AND position <= ?3 "
	"ORDER BY position LIMIT ?4) ORDER BY position",
    [COUNT_ALL] = "SELECT position, recorded_at, stream, type FROM events "
		  "WHERE position > ?1 ORDER BY position",
    [INSERT] = "INSERT INTO events (id, stream, version, type, data, "
	       "metadata, recorded_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
};

/* The defaults: a random UUID (version 4), and the time now. */
static const char schema[] =
    "CREATE TABLE IF NOT EXISTS events (\n"
    "  position INTEGER PRIMARY KEY AUTOINCREMENT,\n"
    "  id TEXT NOT NULL UNIQUE DEFAULT (\n"
    "    lower(hex(randomblob(4))) || '-' || lower(hex(randomblob(2)))\n"
    "    || '-4' || substr(lower(hex(randomblob(2))), 2)\n"
    "    || '-' || substr('89ab', 1 + (random() & 3), 1)\n"
    "    || substr(lower(hex(randomblob(2))), 2)\n"
    "    || '-' || lower(hex(randomblob(6)))),\n"
    "  stream TEXT NOT NULL,\n"
    "  version INTEGER NOT NULL,\n"
    "  type TEXT NOT NULL,\n"
    "  data TEXT NOT NULL CHECK (json_valid(data)),\n"
    "  metadata TEXT CHECK (metadata IS NULL OR json_valid(metadata)),\n"
    "  recorded_at INTEGER NOT NULL DEFAULT (\n"
    "    CAST(strftime('%s', 'now') AS INTEGER) * 1000000\n"
    "    + CAST(substr(strftime('%f', 'now'), 4) AS INTEGER) * 1000),\n"
    "  UNIQUE (stream, version)\n"
    ");\n"
    "CREATE TABLE IF NOT EXISTS lunette_event_store (\n"
    "  identity TEXT NOT NULL,\n"
    "  format INTEGER NOT NULL, -- of both tables\n"
    "  made_by TEXT NOT NULL -- version of Lunette\n"
    ");\n";

enum lun_code
lun_sqlite_events_no_memory(struct lun_sqlite_events *s, struct lun_err *err)
{
	return lun_fail(
	    err, LUN_NOMEM, "%s: out of memory", lun_sqlite_path(&s->c));
}

/* ---- opening and closing ----------------------------------------------- */

static enum lun_code
check_format(struct lun_sqlite_events *s, int64_t number,
    struct lun_text made_by, struct lun_err *err)
{
	struct lun_sql_format format = {.number = number};

	snprintf(format.made_by, sizeof format.made_by, "%.*s",
	    LUN_TEXT_ARG(made_by));
	return lun_sql_check_format(
	    &lun_sql_events_form, lun_sqlite_path(&s->c), &format, err);
}

/* LUN_NOTFOUND: it has none yet; LUN_CONFIG: it is of another format. */
static enum lun_code
read_identity(struct lun_sqlite_events *s, struct lun_err *err)
{
	sqlite3_stmt *q;
	struct lun_text identity;
	enum lun_code code;

	code = lun_sqlite_prepare(&s->c,
	    "SELECT identity, format, made_by FROM lunette_event_store", &q,
	    err);
	if (code != LUN_OK)
		return code;
	code = lun_sqlite_step(&s->c, q, err);
	if (code == LUN_OK) {
		identity = lun_sqlite_column_text(q, 0);
		snprintf(s->identity, sizeof s->identity, "%.*s",
		    LUN_TEXT_ARG(identity));
		code = check_format(s, sqlite3_column_int64(q, 1),
		    lun_sqlite_column_text(q, 2), err);
	}
	sqlite3_finalize(q);
	return code;
}

/* The table that says so is there, and does not. */
static enum lun_code
check_says_format(struct lun_sqlite_events *s, struct lun_err *err)
{
	sqlite3_stmt *q;
	enum lun_code code;
	bool silent;

	code = lun_sqlite_prepare(&s->c,
	    "SELECT count(*) > 0 AND NOT max(name = 'format')"
	    " FROM pragma_table_info('lunette_event_store')",
	    &q, err);
	if (code != LUN_OK)
		return code;
	code = lun_sqlite_step(&s->c, q, err);
	silent = code == LUN_OK && sqlite3_column_int(q, 0) != 0;
	sqlite3_finalize(q);
	return silent ? check_format(s, 0, LUN_TEXT(""), err) : code;
}

static enum lun_code
write_identity(struct lun_sqlite_events *s, struct lun_err *err)
{
	char sql[160], text[37];
	uuid_t uuid;

	uuid_generate_random(uuid);
	uuid_unparse_lower(uuid, text);
	snprintf(sql, sizeof sql,
	    "INSERT INTO lunette_event_store VALUES ('%s', %d, '%s')", text,
	    LUN_EVENTS_FORMAT, lun_version());
	return lun_sqlite_exec(&s->c, sql, err);
}

static enum lun_code
create_tables(struct lun_sqlite_events *s, struct lun_err *err)
{
	enum lun_code code = lun_sqlite_begin(&s->c, err);

	if (code != LUN_OK)
		return code;
	code = lun_sqlite_mark(&s->c, err);
	if (code == LUN_OK)
		code = lun_sqlite_exec(&s->c, schema, err);
	if (code == LUN_OK)
		code = read_identity(s, err);
	if (code == LUN_NOTFOUND) {
		code = write_identity(s, err);
		s->base.made = true;
	}
	if (code == LUN_OK)
		return lun_sqlite_commit(&s->c, err);
	lun_sqlite_rollback(&s->c);
	return code;
}

static enum lun_code
prepare_all(struct lun_sqlite_events *s, struct lun_err *err)
{
	for (int i = 0; i < STATEMENTS; i++) {
		enum lun_code code;

		if (s->layout != NULL && i == INSERT)
			continue;
		code = lun_sqlite_events_prepare(s, statements[i],
		    i == FIND_ANCHOR || i == FIND_HEAD, &s->q[i], err);
		if (code != LUN_OK)
			return code;
	}
	return LUN_OK;
}

static enum lun_code
prepare_layout(struct lun_sqlite_events *s, struct lun_err *err)
{
	enum lun_code code = prepare_all(s, err);

	lun_sqlite_events_identify(s);
	if (code == LUN_OK)
		code = lun_sqlite_events_check_table(s, err);
	if (code == LUN_IO && sqlite3_errcode(s->c.db) == SQLITE_ERROR)
		return lun_fail(err, LUN_CONFIG,
		    "%s does not have the tables of layout=%s",
		    lun_sqlite_path(&s->c), s->layout->name);
	return code;
}

static enum lun_code
check_table(struct lun_sqlite_events *s, struct lun_err *err)
{
	sqlite3_stmt *q;
	enum lun_code code;

	code = lun_sqlite_prepare(&s->c,
	    "SELECT 1 FROM sqlite_schema WHERE name = 'events' COLLATE NOCASE",
	    &q, err);
	if (code != LUN_OK)
		return code;
	code = lun_sqlite_step(&s->c, q, err);
	sqlite3_finalize(q);
	if (code != LUN_NOTFOUND)
		return code;
	return lun_fail(err, LUN_CONFIG,
	    "%s holds no events, as it has no table \"events\": check the "
	    "name, or append an event, which makes it",
	    lun_sqlite_path(&s->c));
}

/* What is missing is made, if it can be. */
static enum lun_code
obtain_identity(struct lun_sqlite_events *s, struct lun_err *err)
{
	struct lun_err failure;
	enum lun_code code = read_identity(s, &failure);

	if (code != LUN_IO && code != LUN_NOTFOUND) {
		if (code != LUN_OK && err != NULL)
			*err = failure;
		return code;
	}
	code = check_says_format(s, err);
	if (code == LUN_OK && !s->c.read_only)
		code = create_tables(s, err);
	return code == LUN_OK ? read_identity(s, err) : code;
}

static enum lun_code
prepare_store(struct lun_sqlite_events *s, struct lun_err *err)
{
	enum lun_code code = LUN_OK;

	if (s->layout != NULL)
		return prepare_layout(s, err);
	if (s->c.must_exist)
		code = check_table(s, err);
	if (code == LUN_OK)
		code = obtain_identity(s, err);
	if (code == LUN_OK)
		code = prepare_all(s, err);
	if (code == LUN_OK)
		code = lun_sqlite_events_check_table(s, err);
	if (code == LUN_NOTFOUND ||
	    (code == LUN_IO && sqlite3_errcode(s->c.db) == SQLITE_ERROR))
		return lun_fail(err, LUN_CONFIG,
		    "%s is no event store of lunette: its table \"events\" is "
		    "missing or has another layout%s",
		    lun_sqlite_path(&s->c),
		    s->c.read_only ? ", and the file is read-only" : "");
	return code;
}

static void
sqlite_close(struct lun_event_store *store)
{
	struct lun_sqlite_events *s = lun_sqlite_events_of(store);

	for (int i = 0; i < STATEMENTS; i++)
		sqlite3_finalize(s->q[i]);
	lun_sqlite_close(&s->c);
	if (s->notify_fd >= 0)
		close(s->notify_fd);
	lun_buffer_free(&s->anchor);
	free(s->tenant);
	free(s);
}

static struct lun_sqlite_events *
new_events_handle(void)
{
	struct lun_sqlite_events *s = calloc(1, sizeof *s);

	if (s == NULL)
		return NULL;
	s->base.ops = &lun_sqlite_events;
	s->notify_fd = -1;
	return s;
}

static enum lun_code
sqlite_open(const char *rest, const struct lun_store_options *options,
    struct lun_event_store **out, struct lun_err *err)
{
	struct lun_sqlite_events *s = new_events_handle();
	char *path = NULL;
	enum lun_code code;

	if (s == NULL)
		return lun_fail(err, LUN_NOMEM, "%s: out of memory", rest);
	code = lun_sqlite_events_take_url(s, rest, &path, err);
	s->base.has_tenants = s->layout != NULL && s->layout->has_tenants;
	if (code == LUN_OK)
		code = lun_sqlite_open(&s->c, path, options, err);
	if (code == LUN_NOTFOUND)
		code = lun_fail(err, LUN_CONFIG,
		    "%s does not exist: check the name, or append an event, "
		    "which makes it",
		    path);
	free(path);
	if (code == LUN_OK)
		code = prepare_store(s, err);
	if (code == LUN_OK)
		*out = &s->base;
	else
		sqlite_close(&s->base);
	return code;
}

static enum lun_code
sqlite_connect(struct lun_event_store *store, struct lun_event_store **out,
    struct lun_err *err)
{
	struct lun_sqlite_events *s = new_events_handle();
	enum lun_code code;

	if (s == NULL)
		return lun_fail(err, LUN_NOMEM, "%s: out of memory",
		    lun_sqlite_path(&lun_sqlite_events_of(store)->c));
	s->base.has_tenants = store->has_tenants;
	s->layout = lun_sqlite_events_of(store)->layout;
	s->unwrap = lun_sqlite_events_of(store)->unwrap;
	code = lun_sqlite_events_share_tenant(
	    s, lun_sqlite_events_of(store)->tenant, err);
	if (code == LUN_OK)
		code = lun_sqlite_connect(
		    &s->c, &lun_sqlite_events_of(store)->c, err);
	if (code == LUN_OK)
		code = prepare_store(s, err);
	if (code == LUN_OK)
		*out = &s->base;
	else
		sqlite_close(&s->base);
	return code;
}

static enum lun_code
sqlite_identity(struct lun_event_store *store, char identity[LUN_IDENTITY_SIZE],
    struct lun_err *err)
{
	(void)err;
	memcpy(
	    identity, lun_sqlite_events_of(store)->identity, LUN_IDENTITY_SIZE);
	return LUN_OK;
}

/* ---- looking things up ------------------------------------------------- */

enum lun_code
lun_sqlite_events_head(
    struct lun_sqlite_events *s, int64_t *head, struct lun_err *err)
{
	sqlite3_stmt *q = s->q[FIND_HEAD];
	enum lun_code code = lun_sqlite_step(&s->c, q, err);

	if (code == LUN_OK)
		*head = sqlite3_column_int64(q, 0);
	if (code == LUN_OK && *head < 0)
		*head = 0; /* somebody's rows before the first position */
	sqlite3_reset(q);
	return code;
}

static enum lun_code
sqlite_head(struct lun_event_store *store, struct lun_position *head,
    struct lun_err *err)
{
	int64_t found;
	enum lun_code code =
	    lun_sqlite_events_head(lun_sqlite_events_of(store), &found, err);

	if (code == LUN_OK)
		*head = (struct lun_position){0, (uint64_t)found};
	return code;
}

enum lun_code
lun_sqlite_events_find(struct lun_sqlite_events *s, struct lun_text id,
    struct lun_append_result *found, struct lun_err *err)
{
	sqlite3_stmt *q = s->q[FIND_ID];
	enum lun_code code;

	lun_sqlite_bind_text(&s->c, q, 1, id);
	code = lun_sqlite_step(&s->c, q, err);
	if (code == LUN_OK)
		*found = (struct lun_append_result){
		    .position = {0, (uint64_t)sqlite3_column_int64(q, 0)},
		    .version = sqlite3_column_int64(q, 1),
		    .existed = true,
		};
	sqlite3_reset(q);
	return code;
}

static enum lun_code
sqlite_find(struct lun_event_store *store, struct lun_text id,
    struct lun_position *position, struct lun_err *err)
{
	struct lun_append_result found;
	enum lun_code code = lun_sqlite_events_find(
	    lun_sqlite_events_of(store), id, &found, err);

	if (code == LUN_OK)
		*position = found.position;
	if (code == LUN_NOTFOUND)
		return lun_fail(err, code, "%s: there is no event %.*s",
		    lun_sqlite_path(&lun_sqlite_events_of(store)->c),
		    LUN_TEXT_ARG(id));
	return code;
}

/* ---- lag --------------------------------------------------------------- */

static enum lun_code
count_waiting(struct lun_sqlite_events *s,
    const struct lun_event_filter *filter, struct lun_lag *lag, int64_t *last,
    struct lun_err *err)
{
	sqlite3_stmt *q = s->q[COUNT_ALL];
	bool all = filter->type_count == 0 && filter->stream.bytes == NULL;
	enum lun_code code = LUN_OK;

	for (int rows = 0; rows < LAG_ROWS; rows++) {
		code = lun_sqlite_step(&s->c, q, err);
		if (code != LUN_OK)
			break;
		*last = sqlite3_column_int64(q, 0);
		if (!all && !lun_event_filter_wants(filter,
				lun_sqlite_column_text(q, 2),
				lun_sqlite_column_text(q, 3)))
			continue;
		if (lag->events++ == 0 && lun_sqlite_event_time(s, q, 1,
					      &lag->oldest_recorded_at) != NULL)
			lag->oldest_recorded_at = LUN_TIME_UNKNOWN;
	}
	sqlite3_reset(q);
	lag->exact = code == LUN_NOTFOUND;
	return lag->exact ? LUN_OK : code;
}

/* Far behind, the rest is taken to be like the part that was counted. */
static enum lun_code
sqlite_lag(struct lun_event_store *store, struct lun_position after,
    const struct lun_event_filter *filter, struct lun_lag *lag,
    struct lun_err *err)
{
	struct lun_sqlite_events *s = lun_sqlite_events_of(store);
	int64_t start = (int64_t)after.lo, last = start, head;
	struct lun_lag found = {.oldest_recorded_at = LUN_TIME_UNKNOWN};
	enum lun_code code;

	lun_sqlite_bind_integer(&s->c, s->q[COUNT_ALL], 1, start);
	code = count_waiting(s, filter, &found, &last, err);
	if (code != LUN_OK)
		return code;
	if (!found.exact) {
		code = lun_sqlite_events_head(s, &head, err);
		if (code != LUN_OK)
			return code;
		found.events = (uint64_t)((double)found.events *
					  ((double)head - (double)start) /
					  ((double)last - (double)start));
	}
	*lag = found;
	return LUN_OK;
}

/* ---- transactions ------------------------------------------------------ */

static enum lun_code
sqlite_begin(struct lun_event_store *store, struct lun_err *err)
{
	enum lun_code code =
	    lun_sqlite_events_check_own(lun_sqlite_events_of(store), err);

	if (code != LUN_OK)
		return code;
	return lun_sqlite_begin(&lun_sqlite_events_of(store)->c, err);
}

static enum lun_code
sqlite_commit(struct lun_event_store *store, struct lun_err *err)
{
	return lun_sqlite_commit(&lun_sqlite_events_of(store)->c, err);
}

static void
sqlite_rollback(struct lun_event_store *store)
{
	lun_sqlite_rollback(&lun_sqlite_events_of(store)->c);
}

/* ---- waking ------------------------------------------------------------ */

/*
 * Every commit of any process is written to the WAL file, which exists as
 * long as a connection is open. inotify cannot see writes over a network.
 */
static void
watch_wal(struct lun_sqlite_events *s)
{
	const char *wal =
	    sqlite3_filename_wal(sqlite3_db_filename(s->c.db, "main"));

	inotify_add_watch(s->notify_fd, wal, IN_MODIFY);
}

static int
sqlite_wake_fd(struct lun_event_store *store)
{
	struct lun_sqlite_events *s = lun_sqlite_events_of(store);

	if (s->notify_fd >= 0)
		return s->notify_fd;
	s->notify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (s->notify_fd >= 0)
		watch_wal(s);
	return s->notify_fd;
}

/* Watching again does nothing unless the file has become another one. */
static void
sqlite_drain(struct lun_event_store *store)
{
	struct lun_sqlite_events *s = lun_sqlite_events_of(store);
	char news[4096];

	if (s->notify_fd < 0)
		return;
	while (read(s->notify_fd, news, sizeof news) > 0)
		continue;
	watch_wal(s);
}

/* ---- positions --------------------------------------------------------- */

static void
sqlite_format_position(struct lun_event_store *store,
    struct lun_position position, char text[LUN_POSITION_MAX])
{
	(void)store;
	lun_position_to_decimal(position, text);
}

static bool
sqlite_parse_position(struct lun_event_store *store, struct lun_text text,
    struct lun_position *position)
{
	(void)store;
	return lun_position_from_decimal(text, position);
}

const struct lun_event_store_ops lun_sqlite_events = {
    .scheme = "sqlite",
    .abi = LUN_EVENT_STORE_ABI,
    .open = sqlite_open,
    .connect = sqlite_connect,
    .close = sqlite_close,
    .identity = sqlite_identity,
    .read = lun_sqlite_events_read,
    .head = sqlite_head,
    .lag = sqlite_lag,
    .append = lun_sqlite_events_append,
    .begin = sqlite_begin,
    .commit = sqlite_commit,
    .rollback = sqlite_rollback,
    .find = sqlite_find,
    .wake_fd = sqlite_wake_fd,
    .drain = sqlite_drain,
    .format_position = sqlite_format_position,
    .parse_position = sqlite_parse_position,
    .layouts = lun_sqlite_events_layouts,
};
