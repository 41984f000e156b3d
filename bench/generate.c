/*
 * generate.c - makes a log of banking events, or a log of them longer.
 *
 * usage: generate URL EVENTS ACCOUNTS
 *
 * The engine makes the store; what is there already is taken for the beginning
 * of the same log. Without events it makes the store alone.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fill.h"
#include "store/event_store.h"

#define BATCH 1000

static const struct filler *const fillers[] = {&fill_sqlite, &fill_postgres};

_Noreturn void
fill_fail(const char *what, const char *why)
{
	fprintf(stderr, "generate: %s: %s\n", what, why);
	exit(1);
}

static const struct filler *
find_filler(const char *url)
{
	for (size_t i = 0; i < sizeof fillers / sizeof fillers[0]; i++)
		if (strncmp(url, fillers[i]->scheme,
			strlen(fillers[i]->scheme)) == 0)
			return fillers[i];
	fill_fail(url, "write sqlite:PATH or postgres://USER@HOST/DATABASE");
}

static void
make_store(const char *url)
{
	struct lun_event_store *store;
	struct lun_err err;

	if (lun_event_store_open(url, NULL, &store, &err) != LUN_OK)
		fill_fail("events", err.message);
	lun_event_store_close(store);
}

static void
fill_store(const char *url, uint64_t events, uint64_t accounts)
{
	const struct filler *filler = find_filler(url);
	static struct banking_event batch[BATCH];
	struct banking banking;
	uint64_t present;
	size_t count = 0;
	void *fill;

	if (!banking_init(&banking, accounts))
		fill_fail("accounts", "out of memory");
	fill = filler->open(url, &present);
	while (banking.made < events) {
		banking_next(&banking, &batch[count]);
		count += banking.made > present;
		if (count == BATCH || (count > 0 && banking.made == events)) {
			filler->put(fill, batch, count);
			count = 0;
		}
	}
	filler->close(fill);
	banking_fini(&banking);
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
	make_store(argv[1]);
	if (events > 0)
		fill_store(argv[1], events, accounts);
	return 0;
}
