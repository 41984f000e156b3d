/*
 * floor_sqlite.c - what the machine can do without Lua, without typed errors,
 * without an engine: the account summary folded by hand in one thread.
 *
 * usage: floor_sqlite EVENTS MODELS BATCH [COLUMNS...]
 *
 * Reads the needed columns of the events in FILE EVENTS batch by batch, folds
 * them into a hash of all accounts, and writes each touched account once in a
 * transaction together with the checkpoint, into a table like the engine's,
 * with an index on each of the COLUMNS ("owner, balance"), made with the table.
 * Prints events, seconds, and events a second.
 */

#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "fold.h"

struct floor {
	sqlite3 *events;
	sqlite3 *models;
	sqlite3_stmt *read;
	sqlite3_stmt *put;
	sqlite3_stmt *mark;
	struct fold fold;
	int64_t position;
};

static void
check(sqlite3 *db, int result, int wanted)
{
	if (result == wanted)
		return;
	fprintf(stderr, "floor: %s\n", sqlite3_errmsg(db));
	exit(1);
}

static sqlite3 *
open_file(const char *path)
{
	sqlite3 *db;
	int result = sqlite3_open(path, &db);

	check(db, result, SQLITE_OK);
	result = sqlite3_exec(db,
	    "PRAGMA journal_mode = wal;"
	    "PRAGMA synchronous = normal;"
	    "PRAGMA wal_autocheckpoint = 10000;"
	    "PRAGMA cache_size = -65536",
	    NULL, NULL, NULL);
	check(db, result, SQLITE_OK);
	return db;
}

static sqlite3_stmt *
prepare(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *statement;

	check(db,
	    sqlite3_prepare_v3(
		db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL),
	    SQLITE_OK);
	return statement;
}

static void
open_floor(struct floor *floor, const char *events, const char *models)
{
	floor->events = open_file(events);
	floor->models = open_file(models);
	check(floor->models,
	    sqlite3_exec(floor->models,
		"CREATE TABLE account_summary__b1 ("
		" id TEXT PRIMARY KEY NOT NULL, balance INTEGER,"
		" last_activity TEXT, owner TEXT, transaction_count INTEGER);"
		"CREATE TABLE checkpoint (position INTEGER);"
		"INSERT INTO checkpoint VALUES (0)",
		NULL, NULL, NULL),
	    SQLITE_OK);
	floor->read = prepare(floor->events,
	    "SELECT position, type, data, recorded_at FROM events"
	    " WHERE position > ? ORDER BY position LIMIT ?");
	floor->put = prepare(floor->models,
	    "INSERT INTO account_summary__b1 VALUES (?, ?, ?, ?, ?)"
	    " ON CONFLICT (id) DO UPDATE SET balance = excluded.balance,"
	    " last_activity = excluded.last_activity, owner = excluded.owner,"
	    " transaction_count = excluded.transaction_count");
	floor->mark =
	    prepare(floor->models, "UPDATE checkpoint SET position = ?");
}

static void
make_indexes(struct floor *floor, char **columns)
{
	for (; *columns != NULL; columns++) {
		char *sql = sqlite3_mprintf("CREATE INDEX \"on %w\""
					    " ON account_summary__b1 (%s)",
		    *columns, *columns);

		fold_check_memory(sql);
		check(floor->models,
		    sqlite3_exec(floor->models, sql, NULL, NULL, NULL),
		    SQLITE_OK);
		sqlite3_free(sql);
	}
}

/* ---- a batch ----------------------------------------------------------- */

static struct lun_text
column_text(sqlite3_stmt *statement, int column)
{
	const char *bytes =
	    (const char *)sqlite3_column_text(statement, column);

	return (struct lun_text){
	    bytes, (size_t)sqlite3_column_bytes(statement, column)};
}

static size_t
read_batch(struct floor *floor, size_t limit)
{
	sqlite3_stmt *read = floor->read;
	size_t count = 0;
	int result;

	sqlite3_bind_int64(read, 1, floor->position);
	sqlite3_bind_int64(read, 2, (sqlite3_int64)limit);
	while ((result = sqlite3_step(read)) == SQLITE_ROW) {
		floor->position = sqlite3_column_int64(read, 0);
		fold_event(&floor->fold, column_text(read, 1),
		    column_text(read, 2), sqlite3_column_int64(read, 3));
		count++;
	}
	check(floor->events, result, SQLITE_DONE);
	sqlite3_reset(read);
	return count;
}

static void
put(struct floor *floor, const struct account *account)
{
	char when[LUN_TIMESTAMP_LENGTH + 1];
	sqlite3_stmt *q = floor->put;

	lun_timestamp_format(account->last_activity, when);
	sqlite3_bind_text(q, 1, account->id, account->id_length, SQLITE_STATIC);
	sqlite3_bind_int64(q, 2, account->balance);
	sqlite3_bind_text(q, 3, when, LUN_TIMESTAMP_LENGTH, SQLITE_STATIC);
	sqlite3_bind_text(
	    q, 4, account->owner, account->owner_length, SQLITE_STATIC);
	sqlite3_bind_int64(q, 5, account->transaction_count);
	check(floor->models, sqlite3_step(q), SQLITE_DONE);
	sqlite3_reset(q);
}

static void
write_batch(struct floor *floor)
{
	check(floor->models,
	    sqlite3_exec(floor->models, "BEGIN IMMEDIATE", NULL, NULL, NULL),
	    SQLITE_OK);
	for (size_t i = 0; i < floor->fold.touched_count; i++)
		put(floor, fold_touched(&floor->fold, i));
	fold_forget_touched(&floor->fold);
	sqlite3_bind_int64(floor->mark, 1, floor->position);
	check(floor->models, sqlite3_step(floor->mark), SQLITE_DONE);
	sqlite3_reset(floor->mark);
	check(floor->models,
	    sqlite3_exec(floor->models, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
}

static void
close_floor(struct floor *floor)
{
	sqlite3_finalize(floor->read);
	sqlite3_finalize(floor->put);
	sqlite3_finalize(floor->mark);
	sqlite3_close(floor->events);
	sqlite3_close(floor->models);
	fold_free(&floor->fold);
}

int
main(int argc, char **argv)
{
	struct floor floor = {0};
	size_t batch, count, total = 0;
	int64_t start;
	double seconds;

	if (argc < 4 || (batch = strtoul(argv[3], NULL, 10)) == 0) {
		fprintf(stderr, "usage: floor_sqlite EVENTS MODELS BATCH "
				"[COLUMNS...]\n");
		return 2;
	}
	start = lun_clock_mono_ns();
	open_floor(&floor, argv[1], argv[2]);
	make_indexes(&floor, argv + 4);
	do {
		fold_make_room(&floor.fold, batch);
		count = read_batch(&floor, batch);
		if (count > 0)
			write_batch(&floor);
		total += count;
	} while (count == batch);
	close_floor(&floor);
	seconds = (double)(lun_clock_mono_ns() - start) / 1e9;
	printf("%zu %.3f %.0f\n", total, seconds, (double)total / seconds);
	return 0;
}
