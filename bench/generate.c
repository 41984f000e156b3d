/*
 * generate.c - banking events, the same ones for the same numbers.
 *
 * usage: generate URL EVENTS ACCOUNTS
 *
 * Opens ACCOUNTS accounts, then moves money between all of them alike; each
 * event has about 200 bytes of JSON. Amounts are whole cents. Without events it
 * makes the store alone.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/event_store.h"

#define BATCH     1000
#define FIRST_DAY INT64_C(1767225600000000) /* 2026-01-01 */
#define STEP_US   INT64_C(250000)           /* between two events */

struct generator {
	uint64_t random;
	uint64_t accounts;
	uint64_t made;
};

/* The texts of one event; an append borrows them. */
struct sheet {
	char id[37];
	char stream[40];
	char data[400];
};

static const char *const first_names[] = {"Ada", "Alan", "Barbara", "Claude",
    "Dorothy", "Edsger", "Frances", "Grace", "Hedy", "Ivan", "Jean",
    "Katherine", "Leslie", "Margaret", "Niklaus", "Radia"};
static const char *const last_names[] = {"Lovelace", "Turing", "Liskov",
    "Shannon", "Vaughan", "Dijkstra", "Allen", "Hopper", "Lamarr", "Sutherland",
    "Bartik", "Johnson", "Lamport", "Hamilton", "Wirth", "Perlman"};
static const char *const channels[] = {
    "branch", "mobile", "web", "terminal", "standing order"};
static const char *const purposes[] = {"rent for the month, paid in advance",
    "salary, thank you for the good work", "groceries and household supplies",
    "savings plan, yearly contribution", "repair of the bicycle, second part"};

#define PICK(generator, list)                                                  \
	(list)[next_random(generator) % (sizeof(list) / sizeof *(list))]

/* splitmix64 */
static uint64_t
next_random(struct generator *generator)
{
	uint64_t z = (generator->random += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static void
fill_id(struct generator *generator, struct sheet *sheet)
{
	uint64_t a = next_random(generator), b = next_random(generator);

	snprintf(sheet->id, sizeof sheet->id,
	    "%08" PRIx32 "-%04x-4%03x-%04x-%012" PRIx64, (uint32_t)(a >> 32),
	    (unsigned)(a >> 16) & 0xffff, (unsigned)a & 0xfff,
	    0x8000 | ((unsigned)(b >> 48) & 0x3fff), b & 0xffffffffffff);
}

static const char *
fill_opening(struct generator *generator, struct sheet *sheet, uint64_t account)
{
	snprintf(sheet->data, sizeof sheet->data,
	    "{\"account_id\":\"acc-%07" PRIu64 "\",\"owner\":\"%s %s\","
	    "\"currency\":\"EUR\",\"channel\":\"%s\",\"branch\":%u,"
	    "\"reference\":\"R-%016" PRIx64 "\",\"purpose\":\"%s\","
	    "\"confirmed\":true}",
	    account, PICK(generator, first_names), PICK(generator, last_names),
	    PICK(generator, channels), (unsigned)(account % 97),
	    next_random(generator), PICK(generator, purposes));
	return "AccountOpened";
}

static const char *
fill_movement(
    struct generator *generator, struct sheet *sheet, uint64_t account)
{
	bool in = next_random(generator) % 9 < 5;
	unsigned amount = 1 + (unsigned)(next_random(generator) % 100000);

	snprintf(sheet->data, sizeof sheet->data,
	    "{\"account_id\":\"acc-%07" PRIu64 "\",\"amount\":%u,"
	    "\"currency\":\"EUR\",\"channel\":\"%s\",\"branch\":%u,"
	    "\"reference\":\"R-%016" PRIx64 "\",\"purpose\":\"%s\","
	    "\"confirmed\":%s}",
	    account, amount, PICK(generator, channels),
	    (unsigned)(account % 97), next_random(generator),
	    PICK(generator, purposes), amount % 3 == 0 ? "false" : "true");
	return in ? "MoneyDeposited" : "MoneyWithdrawn";
}

static const char *
fill_transfer(
    struct generator *generator, struct sheet *sheet, uint64_t account)
{
	uint64_t other = next_random(generator) % generator->accounts;
	unsigned amount = 1 + (unsigned)(next_random(generator) % 50000);

	snprintf(sheet->data, sizeof sheet->data,
	    "{\"from_account\":\"acc-%07" PRIu64
	    "\",\"to_account\":\"acc-%07" PRIu64 "\",\"amount\":%u,"
	    "\"currency\":\"EUR\",\"channel\":\"%s\",\"branch\":%u,"
	    "\"reference\":\"R-%016" PRIx64 "\",\"purpose\":\"%s\"}",
	    account, other, amount, PICK(generator, channels),
	    (unsigned)(account % 97), next_random(generator),
	    PICK(generator, purposes));
	return "TransferCompleted";
}

static void
make_event(
    struct generator *generator, struct sheet *sheet, struct lun_append *append)
{
	bool opening = generator->made < generator->accounts;
	uint64_t account = opening
			       ? generator->made
			       : next_random(generator) % generator->accounts;
	const char *type;

	fill_id(generator, sheet);
	if (opening)
		type = fill_opening(generator, sheet, account);
	else if (next_random(generator) % 5 == 0)
		type = fill_transfer(generator, sheet, account);
	else
		type = fill_movement(generator, sheet, account);
	snprintf(sheet->stream, sizeof sheet->stream, "account:acc-%07" PRIu64,
	    account);
	*append = (struct lun_append){
	    .event.id = lun_text_of(sheet->id),
	    .event.stream = lun_text_of(sheet->stream),
	    .event.type = lun_text_of(type),
	    .event.data = lun_text_of(sheet->data),
	    .event.recorded_at = FIRST_DAY + (int64_t)generator->made * STEP_US,
	    .expected_version = LUN_ANY_VERSION,
	};
	generator->made++;
}

static enum lun_code
append_events(struct lun_event_store *store, uint64_t events, uint64_t accounts,
    struct lun_err *err)
{
	static struct sheet sheets[BATCH];
	static struct lun_append appends[BATCH];
	struct generator generator = {.accounts = accounts};

	while (generator.made < events) {
		size_t count = 0;
		enum lun_code code;

		while (count < BATCH && generator.made < events) {
			make_event(&generator, &sheets[count], &appends[count]);
			count++;
		}
		code = lun_event_store_append(store, appends, count, NULL, err);
		if (code != LUN_OK)
			return code;
	}
	return LUN_OK;
}

static uint64_t
whole_number(const char *text)
{
	char *end;
	uint64_t number = strtoull(text, &end, 10);

	if (end == text || *end != '\0') {
		fprintf(stderr, "generate: not a number: %s\n", text);
		exit(2);
	}
	return number;
}

int
main(int argc, char **argv)
{
	static const struct lun_store_options options = {
	    .busy_timeout_ms = 10000,
	    .synchronous = "off", /* a broken log is generated again */
	    .wal_autocheckpoint_pages = 10000,
	    .cache_kib = 1 << 20, /* the indexes of a long log */
	};
	struct lun_event_store *store;
	struct lun_err err;
	enum lun_code code;
	uint64_t events, accounts;

	if (argc != 4) {
		fprintf(stderr, "usage: generate URL EVENTS ACCOUNTS\n");
		return 2;
	}
	events = whole_number(argv[2]);
	accounts = whole_number(argv[3]);
	if (accounts == 0 && events > 0) {
		fprintf(stderr, "generate: events need an account\n");
		return 2;
	}
	code = lun_event_store_open(argv[1], &options, &store, &err);
	if (code == LUN_OK) {
		code = append_events(store, events, accounts, &err);
		lun_event_store_close(store);
	}
	if (code != LUN_OK) {
		fprintf(stderr, "generate: %s\n", err.message);
		return 1;
	}
	return 0;
}
