/* fill_sqlite.c - filling the events of a SQLite file. */

#include <sqlite3.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "fill.h"

#define SCHEME "sqlite:"
#define ROWS   50 /* of one statement: beginning it costs as much as three */

struct fill {
	sqlite3 *db;
	sqlite3_stmt *insert_one;
	sqlite3_stmt *insert_many; /* ROWS */
};

static void
check(const struct fill *fill, int result, int wanted)
{
	if (result != wanted)
		fill_fail("events", sqlite3_errmsg(fill->db));
}

static void
run(const struct fill *fill, const char *sql)
{
	check(fill, sqlite3_exec(fill->db, sql, NULL, NULL, NULL), SQLITE_OK);
}

static sqlite3_stmt *
prepare(const struct fill *fill, const char *sql)
{
	sqlite3_stmt *statement;

	check(fill, sqlite3_prepare_v2(fill->db, sql, -1, &statement, NULL),
	    SQLITE_OK);
	return statement;
}

static uint64_t
count_events(const struct fill *fill)
{
	sqlite3_stmt *q =
	    prepare(fill, "SELECT coalesce(max(position), 0) FROM events");
	sqlite3_int64 count;

	check(fill, sqlite3_step(q), SQLITE_ROW);
	count = sqlite3_column_int64(q, 0);
	sqlite3_finalize(q);
	return (uint64_t)count;
}

static sqlite3_stmt *
prepare_insert(const struct fill *fill, int rows)
{
	struct lun_buffer sql = {0};
	sqlite3_stmt *insert;

	lun_buffer_printf(&sql,
	    "INSERT INTO events (id, stream, version, type, data, recorded_at)"
	    " VALUES ");
	for (int i = 0; i < rows; i++)
		lun_buffer_printf(
		    &sql, "%s(?, ?, ?, ?, ?, ?)", i > 0 ? ", " : "");
	lun_buffer_add_byte(&sql, '\0');
	if (sql.failed)
		fill_fail("events", "out of memory");
	insert = prepare(fill, sql.bytes);
	lun_buffer_free(&sql);
	return insert;
}

/* The cache has room for where the streams end in the index on them. */
static void *
open_fill(const char *url, uint64_t *present)
{
	struct fill *fill = calloc(1, sizeof *fill);

	if (fill == NULL)
		fill_fail(url, "out of memory");
	check(fill,
	    sqlite3_open_v2(url + strlen(SCHEME), &fill->db,
		SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL),
	    SQLITE_OK);
	run(fill, "PRAGMA locking_mode = exclusive;"
		  "PRAGMA journal_mode = off;"
		  "PRAGMA synchronous = off;"
		  "PRAGMA cache_size = -2000000;"
		  "PRAGMA ignore_check_constraints = on;"
		  "BEGIN");
	*present = count_events(fill);
	fill->insert_one = prepare_insert(fill, 1);
	fill->insert_many = prepare_insert(fill, ROWS);
	return fill;
}

static void
bind(sqlite3_stmt *insert, int place, struct lun_text text)
{
	sqlite3_bind_text(
	    insert, place, text.bytes, (int)text.length, SQLITE_STATIC);
}

static void
insert_rows(const struct fill *fill, sqlite3_stmt *insert,
    const struct banking_event *events, size_t count)
{
	int place = 1;

	for (size_t i = 0; i < count; i++) {
		bind(insert, place++, events[i].id);
		bind(insert, place++, events[i].stream);
		sqlite3_bind_int64(insert, place++, events[i].version);
		bind(insert, place++, events[i].type);
		bind(insert, place++, events[i].data);
		sqlite3_bind_int64(insert, place++, events[i].recorded_at);
	}
	check(fill, sqlite3_step(insert), SQLITE_DONE);
	sqlite3_reset(insert);
}

static void
put(void *arg, const struct banking_event *events, size_t count)
{
	struct fill *fill = arg;
	size_t i = 0;

	for (; count - i >= ROWS; i += ROWS)
		insert_rows(fill, fill->insert_many, &events[i], ROWS);
	for (; i < count; i++)
		insert_rows(fill, fill->insert_one, &events[i], 1);
}

static void
close_fill(void *arg)
{
	struct fill *fill = arg;

	sqlite3_finalize(fill->insert_one);
	sqlite3_finalize(fill->insert_many);
	run(fill, "COMMIT; PRAGMA journal_mode = wal");
	check(fill, sqlite3_close(fill->db), SQLITE_OK);
	free(fill);
}

const struct filler fill_sqlite = {
    .scheme = SCHEME,
    .open = open_fill,
    .put = put,
    .close = close_fill,
};
