/*
 * floor_sqlite.c - what the machine can do without Lua, without typed errors,
 * without an engine: the account summary folded by hand in one thread.
 *
 * usage: floor_sqlite EVENTS MODELS BATCH
 *
 * Reads the needed columns of the events in FILE EVENTS batch by batch, folds
 * them into a hash of all accounts, and writes each touched account once in a
 * transaction together with the checkpoint, into a table like the engine's.
 * Prints events, seconds, and events a second.
 */

#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xxhash.h>

#include "clock.h"
#include "text.h"

#define ID_SIZE    32
#define OWNER_SIZE 64

struct account {
	char id[ID_SIZE];
	unsigned char id_length; /* 0: a free place */
	unsigned char owner_length;
	bool touched;
	char owner[OWNER_SIZE];
	int64_t balance;
	int64_t transaction_count;
	int64_t last_activity;
};

struct floor {
	sqlite3 *events;
	sqlite3 *models;
	sqlite3_stmt *read;
	sqlite3_stmt *put;
	sqlite3_stmt *mark;
	struct account *places; /* open addressing; never more than half full */
	size_t place_count;
	size_t used;
	uint32_t *touched;
	size_t touched_count;
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

static void *
check_memory(void *memory)
{
	if (memory == NULL) {
		fprintf(stderr, "floor: out of memory\n");
		exit(1);
	}
	return memory;
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
		"CREATE TABLE account_summary__v1 ("
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
	    "INSERT INTO account_summary__v1 VALUES (?, ?, ?, ?, ?)"
	    " ON CONFLICT (id) DO UPDATE SET balance = excluded.balance,"
	    " last_activity = excluded.last_activity, owner = excluded.owner,"
	    " transaction_count = excluded.transaction_count");
	floor->mark =
	    prepare(floor->models, "UPDATE checkpoint SET position = ?");
}

/* ---- the hash ---------------------------------------------------------- */

static struct account *
find_place(const struct floor *floor, struct lun_text id)
{
	size_t mask = floor->place_count - 1;
	size_t place = XXH3_64bits(id.bytes, id.length) & mask;

	for (;;) {
		struct account *account = &floor->places[place];

		if (account->id_length == 0 ||
		    (account->id_length == id.length &&
			memcmp(account->id, id.bytes, id.length) == 0))
			return account;
		place = (place + 1) & mask;
	}
}

/* Only between batches: places move. */
static void
make_room(struct floor *floor, size_t more)
{
	struct floor old = *floor;

	if ((floor->used + more) * 2 <= floor->place_count)
		return;
	while ((floor->used + more) * 2 > floor->place_count)
		floor->place_count =
		    floor->place_count == 0 ? 4096 : floor->place_count * 2;
	floor->places =
	    check_memory(calloc(floor->place_count, sizeof *floor->places));
	for (size_t i = 0; i < old.place_count; i++) {
		struct account *account = &old.places[i];

		if (account->id_length > 0)
			*find_place(floor, (struct lun_text){account->id,
					       account->id_length}) = *account;
	}
	free(old.places);
	floor->touched = check_memory(realloc(
	    floor->touched, floor->place_count / 2 * sizeof *floor->touched));
}

static struct account *
touch(struct floor *floor, struct lun_text id, int64_t at)
{
	struct account *account = find_place(floor, id);

	if (account->id_length == 0) {
		if (id.length == 0 || id.length > sizeof account->id) {
			fprintf(stderr, "floor: an id that does not fit\n");
			exit(1);
		}
		memcpy(account->id, id.bytes, id.length);
		account->id_length = (unsigned char)id.length;
		floor->used++;
	}
	if (!account->touched) {
		account->touched = true;
		floor->touched[floor->touched_count++] =
		    (uint32_t)(account - floor->places);
	}
	account->last_activity = at;
	return account;
}

/* ---- the fold ---------------------------------------------------------- */

/* The text after `"name":`, up to the end of the value; escapes stay. */
static struct lun_text
scan_field(struct lun_text data, const char *pattern, size_t length)
{
	const char *at = memmem(data.bytes, data.length, pattern, length);
	const char *end = data.bytes + data.length;
	const char *stop;

	if (at == NULL)
		return LUN_TEXT_NONE;
	at += length;
	if (*at == '"') {
		at++;
		stop = memchr(at, '"', (size_t)(end - at));
	} else {
		stop = at;
		while (stop < end && *stop != ',' && *stop != '}')
			stop++;
	}
	return (struct lun_text){at, (size_t)(stop - at)};
}

#define FIELD(data, name)                                                      \
	scan_field(data, "\"" name "\":", sizeof("\"" name "\":") - 1)

static int64_t
scan_amount(struct lun_text data)
{
	struct lun_text digits = FIELD(data, "amount");
	int64_t amount = 0;

	for (size_t i = 0; i < digits.length; i++)
		amount = amount * 10 + (digits.bytes[i] - '0');
	return amount;
}

static void
move(struct account *account, int64_t cents)
{
	account->balance += cents;
	account->transaction_count++;
}

static void
fold_opening(struct floor *floor, struct lun_text data, int64_t at)
{
	struct account *account = touch(floor, FIELD(data, "account_id"), at);
	struct lun_text owner = FIELD(data, "owner");

	if (owner.length > sizeof account->owner)
		owner.length = sizeof account->owner;
	memcpy(account->owner, owner.bytes, owner.length);
	account->owner_length = (unsigned char)owner.length;
}

static void
fold_transfer(struct floor *floor, struct lun_text data, int64_t at)
{
	struct lun_text from = FIELD(data, "from_account");
	struct lun_text to = FIELD(data, "to_account");
	int64_t cents = scan_amount(data);

	if (lun_text_equal(from, to)) {
		move(touch(floor, from, at), 0);
		return;
	}
	move(touch(floor, from, at), -cents);
	move(touch(floor, to, at), cents);
}

static void
fold(
    struct floor *floor, struct lun_text type, struct lun_text data, int64_t at)
{
	if (lun_text_equal(type, LUN_TEXT("MoneyDeposited")))
		move(touch(floor, FIELD(data, "account_id"), at),
		    scan_amount(data));
	else if (lun_text_equal(type, LUN_TEXT("MoneyWithdrawn")))
		move(touch(floor, FIELD(data, "account_id"), at),
		    -scan_amount(data));
	else if (lun_text_equal(type, LUN_TEXT("TransferCompleted")))
		fold_transfer(floor, data, at);
	else if (lun_text_equal(type, LUN_TEXT("AccountOpened")))
		fold_opening(floor, data, at);
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
		fold(floor, column_text(read, 1), column_text(read, 2),
		    sqlite3_column_int64(read, 3));
		count++;
	}
	check(floor->events, result, SQLITE_DONE);
	sqlite3_reset(read);
	return count;
}

static void
put(struct floor *floor, struct account *account)
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
	account->touched = false;
}

static void
write_batch(struct floor *floor)
{
	check(floor->models,
	    sqlite3_exec(floor->models, "BEGIN IMMEDIATE", NULL, NULL, NULL),
	    SQLITE_OK);
	for (size_t i = 0; i < floor->touched_count; i++)
		put(floor, &floor->places[floor->touched[i]]);
	floor->touched_count = 0;
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
	free(floor->places);
	free(floor->touched);
}

int
main(int argc, char **argv)
{
	struct floor floor = {0};
	size_t batch, count, total = 0;
	int64_t start;
	double seconds;

	if (argc != 4 || (batch = strtoul(argv[3], NULL, 10)) == 0) {
		fprintf(stderr, "usage: floor_sqlite EVENTS MODELS BATCH\n");
		return 2;
	}
	start = lun_clock_mono_ns();
	open_floor(&floor, argv[1], argv[2]);
	do {
		make_room(&floor, 2 * batch);
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
