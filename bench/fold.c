/* fold.c - the account summary by hand: what the floors do with an event. */

#include "fold.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

void *
fold_check_memory(void *memory)
{
	if (memory == NULL) {
		fprintf(stderr, "floor: out of memory\n");
		exit(1);
	}
	return memory;
}

/* ---- the hash ---------------------------------------------------------- */

static struct account *
find_slot(const struct fold *fold, struct lun_text id)
{
	size_t mask = fold->place_count - 1;
	size_t place = XXH3_64bits(id.bytes, id.length) & mask;

	for (;;) {
		struct account *account = &fold->places[place];

		if (account->id_length == 0 ||
		    (account->id_length == id.length &&
			memcmp(account->id, id.bytes, id.length) == 0))
			return account;
		place = (place + 1) & mask;
	}
}

void
fold_make_room(struct fold *fold, size_t events)
{
	struct fold old = *fold;
	size_t more = 2 * events; /* a transfer touches two */

	if ((fold->used + more) * 2 <= fold->place_count)
		return;
	while ((fold->used + more) * 2 > fold->place_count)
		fold->place_count =
		    fold->place_count == 0 ? 4096 : fold->place_count * 2;
	fold->places =
	    fold_check_memory(calloc(fold->place_count, sizeof *fold->places));
	for (size_t i = 0; i < old.place_count; i++) {
		struct account *account = &old.places[i];

		if (account->id_length > 0)
			*find_slot(fold, (struct lun_text){account->id,
					     account->id_length}) = *account;
	}
	free(old.places);
	fold->touched = fold_check_memory(realloc(
	    fold->touched, fold->place_count / 2 * sizeof *fold->touched));
}

static struct account *
touch(struct fold *fold, struct lun_text id, int64_t at)
{
	struct account *account = find_slot(fold, id);

	if (account->id_length == 0) {
		if (id.length == 0 || id.length > sizeof account->id) {
			fprintf(stderr, "floor: an id that does not fit\n");
			exit(1);
		}
		memcpy(account->id, id.bytes, id.length);
		account->id_length = (unsigned char)id.length;
		fold->used++;
	}
	if (!account->touched) {
		account->touched = true;
		fold->touched[fold->touched_count++] =
		    (uint32_t)(account - fold->places);
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
	if (at < end && *at == ' ')
		at++; /* jsonb */
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
fold_opening(struct fold *fold, struct lun_text data, int64_t at)
{
	struct account *account = touch(fold, FIELD(data, "account_id"), at);
	struct lun_text owner = FIELD(data, "owner");

	if (owner.length > sizeof account->owner)
		owner.length = sizeof account->owner;
	memcpy(account->owner, owner.bytes, owner.length);
	account->owner_length = (unsigned char)owner.length;
}

static void
fold_transfer(struct fold *fold, struct lun_text data, int64_t at)
{
	struct lun_text from = FIELD(data, "from_account");
	struct lun_text to = FIELD(data, "to_account");
	int64_t cents = scan_amount(data);

	if (lun_text_equal(from, to)) {
		move(touch(fold, from, at), 0);
		return;
	}
	move(touch(fold, from, at), -cents);
	move(touch(fold, to, at), cents);
}

void
fold_event(
    struct fold *fold, struct lun_text type, struct lun_text data, int64_t at)
{
	if (lun_text_equal(type, LUN_TEXT("MoneyDeposited")))
		move(touch(fold, FIELD(data, "account_id"), at),
		    scan_amount(data));
	else if (lun_text_equal(type, LUN_TEXT("MoneyWithdrawn")))
		move(touch(fold, FIELD(data, "account_id"), at),
		    -scan_amount(data));
	else if (lun_text_equal(type, LUN_TEXT("TransferCompleted")))
		fold_transfer(fold, data, at);
	else if (lun_text_equal(type, LUN_TEXT("AccountOpened")))
		fold_opening(fold, data, at);
}

/* ---- what was touched -------------------------------------------------- */

static int
compare_places(const void *a, const void *b, void *arg)
{
	const struct fold *fold = arg;
	const struct account *x = &fold->places[*(const uint32_t *)a];
	const struct account *y = &fold->places[*(const uint32_t *)b];

	return lun_text_compare((struct lun_text){x->id, x->id_length},
	    (struct lun_text){y->id, y->id_length});
}

void
fold_sort_touched(struct fold *fold)
{
	qsort_r(fold->touched, fold->touched_count, sizeof *fold->touched,
	    compare_places, fold);
}

struct account *
fold_touched(const struct fold *fold, size_t i)
{
	return &fold->places[fold->touched[i]];
}

void
fold_forget_touched(struct fold *fold)
{
	for (size_t i = 0; i < fold->touched_count; i++)
		fold_touched(fold, i)->touched = false;
	fold->touched_count = 0;
}

void
fold_free(struct fold *fold)
{
	free(fold->places);
	free(fold->touched);
}
