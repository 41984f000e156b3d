/*
 * latency.c - from an append to the model that shows it, while an engine runs.
 *
 * usage: latency EVENTS-URL MODELS-FILE RATE COUNT
 *
 * Appends COUNT events, each opening an account of its own, at RATE a second,
 * and between them looks into the table account_summary for the accounts that
 * are not there yet. Prints the 50th and 99th percentile and the most, in ms.
 */

#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "event_store.h"

#define LOOK_NS INT64_C(200000)      /* between two looks */
#define WAIT_NS INT64_C(20000000000) /* for the last one, then it failed */

struct run {
	struct lun_event_store *events;
	sqlite3 *models;
	sqlite3_stmt *look;
	int64_t *appended_ns; /* then: how long it took */
	long count;
	long appended;
	long seen;
};

static void
fail(const char *what, const char *why)
{
	fprintf(stderr, "latency: %s: %s\n", what, why);
	exit(1);
}

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
		fail(events, err.message);
	if (sqlite3_open_v2(models, &run->models, SQLITE_OPEN_READONLY, NULL) !=
		SQLITE_OK ||
	    sqlite3_busy_timeout(run->models, 10000) != SQLITE_OK ||
	    sqlite3_prepare_v2(run->models,
		"SELECT 1 FROM account_summary WHERE id = ?", -1, &run->look,
		NULL) != SQLITE_OK)
		fail(models, sqlite3_errmsg(run->models));
	run->appended_ns = calloc((size_t)run->count, sizeof(int64_t));
	if (run->appended_ns == NULL)
		fail(models, "out of memory");
}

static void
fill_id(char id[32], long number)
{
	snprintf(id, 32, "live-%d-%07ld", (int)getpid(), number);
}

static void
append_one(struct run *run)
{
	char id[32], data[160];
	struct lun_append append = {.expected_version = LUN_ANY_VERSION};
	struct lun_err err;

	fill_id(id, run->appended);
	snprintf(data, sizeof data,
	    "{\"account_id\":\"%s\",\"owner\":\"Ada Lovelace\","
	    "\"currency\":\"EUR\",\"channel\":\"web\"}",
	    id);
	append.event.stream = lun_text_of(id);
	append.event.type = LUN_TEXT("AccountOpened");
	append.event.data = lun_text_of(data);
	run->appended_ns[run->appended] = lun_clock_mono_ns();
	if (lun_event_store_append(run->events, &append, 1, NULL, &err) !=
	    LUN_OK)
		fail("append", err.message);
	run->appended++;
}

/* The oldest that was not there yet; false if it still is not. */
static bool
see_one(struct run *run)
{
	char id[32];
	int result;

	if (run->seen == run->appended)
		return false;
	fill_id(id, run->seen);
	sqlite3_bind_text(run->look, 1, id, -1, SQLITE_STATIC);
	result = sqlite3_step(run->look);
	sqlite3_reset(run->look);
	if (result != SQLITE_ROW && result != SQLITE_DONE)
		fail("look", sqlite3_errmsg(run->models));
	if (result == SQLITE_DONE)
		return false;
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

static void
measure(struct run *run, long rate)
{
	int64_t start = lun_clock_mono_ns();
	int64_t step = 1000000000 / rate;
	int64_t end = start + run->count * step + WAIT_NS;

	while (run->seen < run->count) {
		int64_t now = lun_clock_mono_ns();

		if (now > end)
			fail("look", "an event is still not in its model");
		if (run->appended < run->count &&
		    now >= start + run->appended * step)
			append_one(run);
		else if (!see_one(run))
			pause_ns(LOOK_NS);
	}
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

	if (argc != 5 || (rate = atol(argv[3])) <= 0 ||
	    (run.count = atol(argv[4])) <= 0) {
		fprintf(stderr, "usage: latency EVENTS-URL MODELS-FILE "
				"RATE COUNT\n");
		return 2;
	}
	open_run(&run, argv[1], argv[2]);
	measure(&run, rate);
	qsort(run.appended_ns, (size_t)run.count, sizeof(int64_t), compare);
	printf("%.1f %.1f %.1f\n", percentile(&run, 50), percentile(&run, 99),
	    percentile(&run, 100));
	sqlite3_finalize(run.look);
	sqlite3_close(run.models);
	lun_event_store_close(run.events);
	free(run.appended_ns);
	return 0;
}
