/*
 * latency.c - from an append to the models that show it, while an engine runs.
 *
 * usage: latency EVENTS-URL MODELS-URL RATE COUNT TABLE...
 *
 * Appends COUNT events, each opening an account of its own, at RATE a second,
 * and meanwhile looks into one TABLE after the other for the oldest account
 * that was not in all of them yet. Prints the 50th and 99th percentile and the
 * most, in ms, and how many a second it could append.
 */

#include <inttypes.h>
#include <libpq-fe.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/event_store.h"

#define LOOK_NS INT64_C(200000)      /* between two looks */
#define WAIT_NS INT64_C(20000000000) /* for the last one, then it failed */

struct run {
	struct lun_event_store *events;
	char **tables; /* up to a NULL */
	size_t table_count;
	sqlite3 *file; /* the models, in one of the two */
	sqlite3_stmt **looks;
	PGconn *server;
	int64_t *appended_ns; /* then: how long it took */
	long count;
	int64_t step_ns;
	int64_t took_ns;      /* to append them all */
	atomic_long appended; /* or about to be */
	long seen;            /* in all tables */
	size_t seen_in;       /* the next one too, in so many */
};

static void
fail(const char *what, const char *why)
{
	fprintf(stderr, "latency: %s: %s\n", what, why);
	exit(1);
}

static void *
allocate(size_t count, size_t size)
{
	void *memory = calloc(count, size);

	if (memory == NULL)
		fail("latency", "out of memory");
	return memory;
}

/* ---- the models, as anybody reads them --------------------------------- */

static void
open_file(struct run *run, const char *path)
{
	if (sqlite3_open_v2(path, &run->file, SQLITE_OPEN_READONLY, NULL) !=
		SQLITE_OK ||
	    sqlite3_busy_timeout(run->file, 10000) != SQLITE_OK)
		fail(path, sqlite3_errmsg(run->file));
	run->looks = allocate(run->table_count, sizeof(sqlite3_stmt *));
	for (size_t i = 0; i < run->table_count; i++) {
		char sql[200];

		snprintf(sql, sizeof sql, "SELECT 1 FROM %s WHERE id = ?",
		    run->tables[i]);
		if (sqlite3_prepare_v2(
			run->file, sql, -1, &run->looks[i], NULL) != SQLITE_OK)
			fail(path, sqlite3_errmsg(run->file));
	}
}

static void
open_server(struct run *run, const char *url)
{
	run->server = PQconnectdb(url);
	if (PQstatus(run->server) != CONNECTION_OK)
		fail("models", PQerrorMessage(run->server));
	for (size_t i = 0; i < run->table_count; i++) {
		char sql[200];
		PGresult *result;

		snprintf(sql, sizeof sql,
		    "SELECT 1 FROM lunette.%s WHERE id = $1", run->tables[i]);
		result = PQprepare(run->server, run->tables[i], sql, 1, NULL);
		if (PQresultStatus(result) != PGRES_COMMAND_OK)
			fail("models", PQresultErrorMessage(result));
		PQclear(result);
	}
}

static void
open_models(struct run *run, const char *url)
{
	if (strncmp(url, "sqlite:", 7) == 0)
		open_file(run, url + 7);
	else
		open_server(run, url);
}

static bool
file_has(struct run *run, size_t table, const char *id)
{
	sqlite3_stmt *look = run->looks[table];
	int result;

	sqlite3_bind_text(look, 1, id, -1, SQLITE_STATIC);
	result = sqlite3_step(look);
	sqlite3_reset(look);
	if (result != SQLITE_ROW && result != SQLITE_DONE)
		fail("look", sqlite3_errmsg(run->file));
	return result == SQLITE_ROW;
}

static bool
server_has(struct run *run, size_t table, const char *id)
{
	PGresult *result = PQexecPrepared(
	    run->server, run->tables[table], 1, &id, NULL, NULL, 0);
	bool found = PQntuples(result) > 0;

	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		fail("look", PQresultErrorMessage(result));
	PQclear(result);
	return found;
}

static void
close_models(struct run *run)
{
	for (size_t i = 0; run->looks != NULL && i < run->table_count; i++)
		sqlite3_finalize(run->looks[i]);
	free(run->looks);
	sqlite3_close(run->file);
	PQfinish(run->server);
}

/* ---- appending and looking --------------------------------------------- */

static void
open_run(struct run *run, const char *events, const char *models)
{
	static const struct lun_store_options options = {
	    .busy_timeout_ms = 10000,
	    .synchronous = "normal",
	    .wal_autocheckpoint_pages = 10000,
	    .cache_kib = 8192,
	};
	struct lun_err err;

	if (lun_event_store_open(events, &options, &run->events, &err) !=
	    LUN_OK)
		fail("events", err.message);
	open_models(run, models);
	run->appended_ns = allocate((size_t)run->count, sizeof(int64_t));
}

static void
fill_id(char id[32], long number)
{
	snprintf(id, 32, "live-%d-%07ld", (int)getpid(), number);
}

static void
append_one(struct run *run, long number)
{
	char id[32], data[160];
	struct lun_append append = {.expected_version = LUN_ANY_VERSION};
	struct lun_err err;

	fill_id(id, number);
	snprintf(data, sizeof data,
	    "{\"account_id\":\"%s\",\"owner\":\"Ada Lovelace\","
	    "\"currency\":\"EUR\",\"channel\":\"web\"}",
	    id);
	append.event.stream = lun_text_of(id);
	append.event.type = LUN_TEXT("AccountOpened");
	append.event.data = lun_text_of(data);
	run->appended_ns[number] = lun_clock_mono_ns();
	atomic_store(&run->appended, number + 1); /* it may be seen early */
	if (lun_event_store_append(run->events, &append, 1, NULL, &err) !=
	    LUN_OK)
		fail("append", err.message);
}

/* The oldest that was not everywhere yet; false if it still is not. */
static bool
see_one(struct run *run)
{
	char id[32];

	if (run->seen == atomic_load(&run->appended))
		return false;
	fill_id(id, run->seen);
	for (; run->seen_in < run->table_count; run->seen_in++)
		if (!(run->file != NULL ? file_has(run, run->seen_in, id)
					: server_has(run, run->seen_in, id)))
			return false;
	run->seen_in = 0;
	run->appended_ns[run->seen] =
	    lun_clock_mono_ns() - run->appended_ns[run->seen];
	run->seen++;
	return true;
}

static void
pause_ns(int64_t ns)
{
	struct timespec time = {.tv_nsec = ns};

	nanosleep(&time, NULL);
}

/* The thread that appends, at the pace asked for as far as the store can. */
static void *
append_all(void *arg)
{
	struct run *run = arg;
	int64_t start = lun_clock_mono_ns();

	for (long i = 0; i < run->count; i++) {
		int64_t early = start + i * run->step_ns - lun_clock_mono_ns();

		if (early > 0)
			pause_ns(early);
		append_one(run, i);
	}
	run->took_ns = lun_clock_mono_ns() - start;
	return NULL;
}

static void
measure(struct run *run)
{
	pthread_t appender;
	int64_t end = lun_clock_mono_ns() + WAIT_NS;

	if (pthread_create(&appender, NULL, append_all, run) != 0)
		fail("append", "no thread");
	while (run->seen < run->count) {
		if (see_one(run))
			end = lun_clock_mono_ns() + WAIT_NS;
		else if (lun_clock_mono_ns() > end)
			fail("look", "an event is still not in all its models");
		else
			pause_ns(LOOK_NS);
	}
	pthread_join(appender, NULL);
}

static int
compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static double
percentile(const struct run *run, long percent)
{
	long place = (run->count * percent + 99) / 100 - 1;

	return (double)run->appended_ns[place < 0 ? 0 : place] / 1e6;
}

int
main(int argc, char **argv)
{
	struct run run = {0};
	long rate;

	if (argc < 6 || (rate = atol(argv[3])) <= 0 ||
	    (run.count = atol(argv[4])) <= 0) {
		fprintf(stderr, "usage: latency EVENTS-URL MODELS-URL "
				"RATE COUNT TABLE...\n");
		return 2;
	}
	run.tables = argv + 5;
	run.table_count = (size_t)argc - 5;
	open_run(&run, argv[1], argv[2]);
	run.step_ns = 1000000000 / rate;
	measure(&run);
	qsort(run.appended_ns, (size_t)run.count, sizeof(int64_t), compare);
	printf("%.1f %.1f %.1f %.0f\n", percentile(&run, 50),
	    percentile(&run, 99), percentile(&run, 100),
	    (double)run.count * 1e9 / (double)run.took_ns);
	close_models(&run);
	lun_event_store_close(run.events);
	free(run.appended_ns);
	return 0;
}
