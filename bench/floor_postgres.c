/*
 * floor_postgres.c - what the machine and the server can do without Lua,
 * without typed errors, without an engine: the account summary folded by hand
 * in one thread.
 *
 * usage: floor_postgres EVENTS-URL MODELS-URL BATCH [COLUMNS...]
 *
 * Reads the events of the table lunette_events page by page, the next page
 * asked for before this one is folded, and after every BATCH events, also within
 * a page, writes each touched account once in a transaction together with the checkpoint,
 * into a table like the engine's in the schema "floor", which is made anew.
 * The answers to a transaction are awaited when the next one begins. At the end
 * an index on each of the COLUMNS ("owner, balance") is made. Prints events,
 * seconds, and events a second.
 */

#include <arpa/inet.h>
#include <endian.h>
#include <inttypes.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "fold.h"

#define PAGE        5000 /* events of one statement */
#define CHUNK       5000 /* accounts of one statement */
#define EPOCH_US    INT64_C(946684800000000)
#define INT8        20
#define TEXT        25
#define XID8        5069
#define TEXTS       1009
#define INT8S       1016
#define TIMES       1185
#define FIELD_COUNT 5

/* Columns of a page. */
enum {
	TRANSACTION,
	POSITION,
	TYPE,
	DATA,
	RECORDED_AT,
	COLUMNS
};

/* Of an event, as the server has it. */
struct place {
	char transaction[8];
	char position[8];
};

struct floor {
	PGconn *events;
	PGconn *models;
	struct fold fold;
	struct place asked;  /* the last event that was */
	struct place folded; /* likewise */
	int pending;         /* statements of the transaction under way */
	struct lun_buffer arrays[FIELD_COUNT];
};

static void
fail(PGconn *conn, const PGresult *result)
{
	fprintf(stderr, "floor: %s",
	    result != NULL ? PQresultErrorMessage(result)
			   : PQerrorMessage(conn));
	exit(1);
}

static PGconn *
open_connection(const char *url)
{
	PGconn *conn = PQconnectdb(url);

	if (PQstatus(conn) != CONNECTION_OK)
		fail(conn, NULL);
	return conn;
}

static void
run(PGconn *conn, const char *sql)
{
	PGresult *result = PQexec(conn, sql);

	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		fail(conn, result);
	PQclear(result);
}

static void
open_floor(struct floor *floor, const char *events, const char *models)
{
	floor->events = open_connection(events);
	floor->models = open_connection(models);
	run(floor->models,
	    "SET client_min_messages = warning;"
	    "DROP SCHEMA IF EXISTS floor CASCADE;"
	    "CREATE SCHEMA floor;"
	    "CREATE TABLE floor.account_summary__b1 ("
	    " id text COLLATE \"C\" PRIMARY KEY, balance bigint,"
	    " last_activity timestamptz, owner text COLLATE \"C\","
	    " transaction_count bigint);"
	    "CREATE TABLE floor.checkpoint ("
	    " transaction_id xid8, position bigint);"
	    "INSERT INTO floor.checkpoint VALUES ('0', 0)");
	if (!PQenterPipelineMode(floor->models))
		fail(floor->models, NULL);
}

static void
close_floor(struct floor *floor)
{
	PQfinish(floor->events);
	PQfinish(floor->models);
	fold_free(&floor->fold);
	for (size_t i = 0; i < FIELD_COUNT; i++)
		lun_buffer_free(&floor->arrays[i]);
}

/* ---- reading ----------------------------------------------------------- */

static void
ask_for_page(struct floor *floor)
{
	static const Oid types[] = {XID8, INT8, INT8};
	static const int lengths[] = {8, 8, 8}, formats[] = {1, 1, 1};
	uint64_t limit = htobe64(PAGE);
	const char *values[] = {floor->asked.transaction, floor->asked.position,
	    (const char *)&limit};

	if (!PQsendQueryParams(floor->events,
		"SELECT transaction_id, position, type, data, recorded_at"
		" FROM lunette_events"
		" WHERE (transaction_id, position) > ($1, $2)"
		" AND transaction_id < pg_snapshot_xmin(pg_current_snapshot())"
		" ORDER BY transaction_id, position LIMIT $3",
		3, types, values, lengths, formats, 1))
		fail(floor->events, NULL);
}

static struct place
place_of(const PGresult *page, int row)
{
	struct place place;

	memcpy(place.transaction, PQgetvalue(page, row, TRANSACTION),
	    sizeof place.transaction);
	memcpy(place.position, PQgetvalue(page, row, POSITION),
	    sizeof place.position);
	return place;
}

/* The page that was asked for, and a demand for the next one. */
static PGresult *
take_page(struct floor *floor)
{
	PGresult *page = PQgetResult(floor->events);
	int last = PQntuples(page) - 1;

	if (PQresultStatus(page) != PGRES_TUPLES_OK)
		fail(floor->events, page);
	PQclear(PQgetResult(floor->events)); /* none: the end of it */
	if (last >= 0) {
		floor->asked = place_of(page, last);
		ask_for_page(floor);
	}
	return page;
}

static int64_t
read_int8(const PGresult *page, int row, int column)
{
	uint64_t number;

	memcpy(&number, PQgetvalue(page, row, column), sizeof number);
	return (int64_t)be64toh(number);
}

static void
fold_rows(struct floor *floor, const PGresult *page, int first, int end)
{
	/* jsonb has its version before the text */
	size_t skip = PQftype(page, DATA) == 3802 ? 1 : 0;

	for (int i = first; i < end; i++) {
		struct lun_text type = {PQgetvalue(page, i, TYPE),
		    (size_t)PQgetlength(page, i, TYPE)};
		struct lun_text data = {PQgetvalue(page, i, DATA) + skip,
		    (size_t)PQgetlength(page, i, DATA) - skip};

		fold_event(&floor->fold, type, data,
		    read_int8(page, i, RECORDED_AT) + EPOCH_US);
	}
	floor->folded = place_of(page, end - 1);
}

/* ---- writing ----------------------------------------------------------- */

static void
send_statement(struct floor *floor, const char *sql, int count,
    const Oid *types, const char *const *values, const int *lengths)
{
	static const int formats[FIELD_COUNT] = {1, 1, 1, 1, 1};

	if (!PQsendQueryParams(
		floor->models, sql, count, types, values, lengths, formats, 1))
		fail(floor->models, NULL);
	floor->pending++;
}

static void
add_int4(struct lun_buffer *array, size_t number)
{
	uint32_t bytes = htonl((uint32_t)number);

	lun_buffer_add(array, (const char *)&bytes, sizeof bytes);
}

static void
add_int8(struct lun_buffer *array, int64_t number)
{
	uint64_t bytes = htobe64((uint64_t)number);

	add_int4(array, sizeof bytes);
	lun_buffer_add(array, (const char *)&bytes, sizeof bytes);
}

static void
add_text(struct lun_buffer *array, const char *bytes, size_t length)
{
	add_int4(array, length);
	lun_buffer_add(array, bytes, length);
}

/* An array of one dimension without nulls, counted from 1. */
static void
begin_array(struct lun_buffer *array, Oid element, size_t count)
{
	lun_buffer_clear(array);
	add_int4(array, 1);
	add_int4(array, 0);
	add_int4(array, element);
	add_int4(array, count);
	add_int4(array, 1);
}

static void
fill_arrays(struct floor *floor, size_t first, size_t count)
{
	static const Oid elements[FIELD_COUNT] = {TEXT, INT8, 1184, TEXT, INT8};
	struct lun_buffer *a = floor->arrays;

	for (size_t i = 0; i < FIELD_COUNT; i++)
		begin_array(&a[i], elements[i], count);
	for (size_t i = first; i < first + count; i++) {
		const struct account *account = fold_touched(&floor->fold, i);

		add_text(&a[0], account->id, account->id_length);
		add_int8(&a[1], account->balance);
		add_int8(&a[2], account->last_activity - EPOCH_US);
		add_text(&a[3], account->owner, account->owner_length);
		add_int8(&a[4], account->transaction_count);
	}
}

static void
put(struct floor *floor, size_t first, size_t count)
{
	static const Oid types[FIELD_COUNT] = {
	    TEXTS, INT8S, TIMES, TEXTS, INT8S};
	const char *values[FIELD_COUNT];
	int lengths[FIELD_COUNT];

	fill_arrays(floor, first, count);
	for (size_t i = 0; i < FIELD_COUNT; i++) {
		if (floor->arrays[i].failed)
			fold_check_memory(NULL);
		values[i] = floor->arrays[i].bytes;
		lengths[i] = (int)floor->arrays[i].length;
	}
	send_statement(floor,
	    "INSERT INTO floor.account_summary__b1"
	    " SELECT * FROM unnest($1, $2, $3, $4, $5)"
	    " ON CONFLICT (id) DO UPDATE SET balance = excluded.balance,"
	    " last_activity = excluded.last_activity, owner = excluded.owner,"
	    " transaction_count = excluded.transaction_count",
	    FIELD_COUNT, types, values, lengths);
}

static void
mark(struct floor *floor)
{
	static const Oid types[] = {XID8, INT8};
	static const int lengths[] = {8, 8};
	const char *values[] = {
	    floor->folded.transaction, floor->folded.position};

	send_statement(floor,
	    "UPDATE floor.checkpoint SET transaction_id = $1, position = $2", 2,
	    types, values, lengths);
}

/* Until the transaction that was sent last is committed. */
static void
settle(struct floor *floor)
{
	PGresult *result;

	if (floor->pending == 0)
		return;
	for (; floor->pending > 0; floor->pending--) {
		result = PQgetResult(floor->models);
		if (PQresultStatus(result) != PGRES_COMMAND_OK)
			fail(floor->models, result);
		PQclear(result);
		PQclear(PQgetResult(floor->models));
	}
	result = PQgetResult(floor->models);
	if (PQresultStatus(result) != PGRES_PIPELINE_SYNC)
		fail(floor->models, result);
	PQclear(result);
}

static void
write_batch(struct floor *floor)
{
	size_t count = floor->fold.touched_count;

	fold_sort_touched(&floor->fold);
	settle(floor);
	send_statement(floor, "BEGIN", 0, NULL, NULL, NULL);
	for (size_t i = 0; i < count; i += CHUNK)
		put(floor, i, count - i < CHUNK ? count - i : CHUNK);
	mark(floor);
	send_statement(floor, "COMMIT", 0, NULL, NULL, NULL);
	if (!PQpipelineSync(floor->models) || PQflush(floor->models) < 0)
		fail(floor->models, NULL);
	fold_forget_touched(&floor->fold);
}

/* Fold a page, and write whenever a batch is full; how many are not written. */
static size_t
fold_page(
    struct floor *floor, const PGresult *page, size_t batch, size_t unwritten)
{
	int count = PQntuples(page), end;

	for (int first = 0; first < count; first = end) {
		size_t room = batch - unwritten;

		end =
		    room < (size_t)(count - first) ? first + (int)room : count;
		if (unwritten == 0)
			fold_make_room(&floor->fold, batch);
		fold_rows(floor, page, first, end);
		unwritten += (size_t)(end - first);
		if (unwritten < batch)
			continue;
		write_batch(floor);
		unwritten = 0;
	}
	return unwritten;
}

static size_t
fold_all(struct floor *floor, size_t batch)
{
	size_t total = 0, unwritten = 0;
	bool more = true;

	ask_for_page(floor);
	while (more) {
		PGresult *page = take_page(floor);

		unwritten = fold_page(floor, page, batch, unwritten);
		total += (size_t)PQntuples(page);
		more = PQntuples(page) > 0;
		PQclear(page);
	}
	if (unwritten > 0)
		write_batch(floor);
	settle(floor);
	return total;
}

static void
make_indexes(struct floor *floor, char **columns)
{
	if (!PQexitPipelineMode(floor->models))
		fail(floor->models, NULL);
	for (; *columns != NULL; columns++) {
		struct lun_buffer sql = {0};

		lun_buffer_printf(&sql,
		    "CREATE INDEX ON floor.account_summary__b1 (%s)", *columns);
		lun_buffer_add_byte(&sql, '\0');
		fold_check_memory(sql.failed ? NULL : sql.bytes);
		run(floor->models, sql.bytes);
		lun_buffer_free(&sql);
	}
}

int
main(int argc, char **argv)
{
	struct floor floor = {0};
	size_t batch, total;
	int64_t start;
	double seconds;

	if (argc < 4 || (batch = strtoul(argv[3], NULL, 10)) == 0) {
		fprintf(stderr, "usage: floor_postgres EVENTS-URL MODELS-URL "
				"BATCH [COLUMNS...]\n");
		return 2;
	}
	start = lun_clock_mono_ns();
	open_floor(&floor, argv[1], argv[2]);
	total = fold_all(&floor, batch);
	make_indexes(&floor, argv + 4);
	close_floor(&floor);
	seconds = (double)(lun_clock_mono_ns() - start) / 1e9;
	printf("%zu %.3f %.0f\n", total, seconds, (double)total / seconds);
	return 0;
}
