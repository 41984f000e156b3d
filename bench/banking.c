/* banking.c - banking events, the same ones for the same numbers. */

#include "banking.h"

#include <stdlib.h>

#define FIRST_DAY INT64_C(1767225600000000) /* 2026-01-01 */
#define STEP_US   INT64_C(250000)           /* between two events */

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

#define PICK(banking, list)                                                    \
	lun_text_of(                                                           \
	    (list)[next_random(banking) % (sizeof(list) / sizeof *(list))])

bool
banking_init(struct banking *banking, uint64_t accounts)
{
	*banking = (struct banking){.accounts = accounts};
	banking->versions = calloc(accounts, sizeof *banking->versions);
	return banking->versions != NULL || accounts == 0;
}

void
banking_fini(struct banking *banking)
{
	free(banking->versions);
}

/* splitmix64 */
static uint64_t
next_random(struct banking *banking)
{
	uint64_t z = (banking->random += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* ---- texts: printf would take more time than the store ----------------- */

static char *
put_text(char *at, struct lun_text text)
{
	memcpy(at, text.bytes, text.length);
	return at + text.length;
}

#define PUT(at, literal) put_text(at, LUN_TEXT(literal))

static char *
put_number(char *at, uint64_t number, int base, int digits)
{
	char reversed[24];
	int count = 0;

	do
		reversed[count++] = "0123456789abcdef"[number % base];
	while ((number /= base) > 0 || count < digits);
	while (count > 0)
		*at++ = reversed[--count];
	return at;
}

static char *
put_account(char *at, uint64_t account)
{
	return put_number(PUT(at, "acc-"), account, 10, 7);
}

/* What every event says of the account that it is recorded with. */
static char *
put_details(struct banking *banking, char *at, uint64_t account)
{
	at = put_text(PUT(at, ",\"currency\":\"EUR\",\"channel\":\""),
	    PICK(banking, channels));
	at = put_number(PUT(at, "\",\"branch\":"), account % 97, 10, 1);
	at = put_number(
	    PUT(at, ",\"reference\":\"R-"), next_random(banking), 16, 16);
	at = put_text(PUT(at, "\",\"purpose\":\""), PICK(banking, purposes));
	return PUT(at, "\"");
}

/* Milliseconds since 1970, then random bits. */
static void
fill_id(struct banking *banking, struct banking_event *event)
{
	uint64_t ms = (uint64_t)(event->recorded_at / 1000);
	uint64_t a = next_random(banking), b = next_random(banking);
	char *at = event->id_bytes;

	at = put_number(at, ms >> 16, 16, 8);
	at = put_number(PUT(at, "-"), ms & 0xffff, 16, 4);
	at = put_number(PUT(at, "-7"), a & 0xfff, 16, 3);
	at = put_number(PUT(at, "-"), 0x8000 | (b >> 48 & 0x3fff), 16, 4);
	at = put_number(PUT(at, "-"), b & 0xffffffffffff, 16, 12);
	event->id.bytes = event->id_bytes;
	event->id.length = (size_t)(at - event->id_bytes);
}

static void
fill_stream(struct banking_event *event, uint64_t account)
{
	char *at = event->stream_bytes;

	at = put_account(PUT(at, "account:"), account);
	event->stream.bytes = event->stream_bytes;
	event->stream.length = (size_t)(at - event->stream_bytes);
}

/* ---- kinds of events: each gives the end of its data ------------------- */

static char *
fill_opening(
    struct banking *banking, struct banking_event *event, uint64_t account)
{
	char *at = event->data_bytes;

	event->type = LUN_TEXT("AccountOpened");
	at = put_account(PUT(at, "{\"account_id\":\""), account);
	at = put_text(PUT(at, "\",\"owner\":\""), PICK(banking, first_names));
	at = put_text(PUT(at, " "), PICK(banking, last_names));
	at = put_details(banking, PUT(at, "\""), account);
	return PUT(at, ",\"confirmed\":true}");
}

static char *
fill_movement(
    struct banking *banking, struct banking_event *event, uint64_t account)
{
	bool in = next_random(banking) % 9 < 5;
	uint64_t amount = 1 + next_random(banking) % 100000;
	char *at = event->data_bytes;

	event->type =
	    in ? LUN_TEXT("MoneyDeposited") : LUN_TEXT("MoneyWithdrawn");
	at = put_account(PUT(at, "{\"account_id\":\""), account);
	at = put_number(PUT(at, "\",\"amount\":"), amount, 10, 1);
	at = put_details(banking, at, account);
	return amount % 3 == 0 ? PUT(at, ",\"confirmed\":false}")
			       : PUT(at, ",\"confirmed\":true}");
}

static char *
fill_transfer(
    struct banking *banking, struct banking_event *event, uint64_t account)
{
	uint64_t other = next_random(banking) % banking->accounts;
	uint64_t amount = 1 + next_random(banking) % 50000;
	char *at = event->data_bytes;

	event->type = LUN_TEXT("TransferCompleted");
	at = put_account(PUT(at, "{\"from_account\":\""), account);
	at = put_account(PUT(at, "\",\"to_account\":\""), other);
	at = put_number(PUT(at, "\",\"amount\":"), amount, 10, 1);
	at = put_details(banking, at, account);
	return PUT(at, "}");
}

void
banking_next(struct banking *banking, struct banking_event *event)
{
	bool opening = banking->made < banking->accounts;
	uint64_t account =
	    opening ? banking->made : next_random(banking) % banking->accounts;
	char *end;

	event->recorded_at = FIRST_DAY + (int64_t)banking->made * STEP_US;
	event->version = ++banking->versions[account];
	fill_id(banking, event);
	fill_stream(event, account);
	if (opening)
		end = fill_opening(banking, event, account);
	else if (next_random(banking) % 5 == 0)
		end = fill_transfer(banking, event, account);
	else
		end = fill_movement(banking, event, account);
	event->data.bytes = event->data_bytes;
	event->data.length = (size_t)(end - event->data_bytes);
	banking->made++;
}
