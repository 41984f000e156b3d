/*
 * fold.h - the account summary by hand: what the floors do with an event.
 *
 * Knows how generate.c writes its JSON and nothing else. Any trouble ends the
 * program.
 */

#ifndef BENCH_FOLD_H
#define BENCH_FOLD_H

#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

#define FOLD_ID_SIZE    32
#define FOLD_OWNER_SIZE 64

struct account {
	char id[FOLD_ID_SIZE];
	unsigned char id_length; /* 0: a free place */
	unsigned char owner_length;
	bool touched;
	char owner[FOLD_OWNER_SIZE];
	int64_t balance;
	int64_t transaction_count;
	int64_t last_activity;
};

/* All accounts, and which of them changed. Zero is the empty one. */
struct fold {
	struct account *places; /* open addressing; never more than half full */
	size_t place_count;
	size_t used;
	uint32_t *touched;
	size_t touched_count;
};

/* For as many more events; places move, so only while nothing is touched. */
void fold_make_room(struct fold *fold, size_t events);
void fold_event(
    struct fold *fold, struct lun_text type, struct lun_text data, int64_t at);
/* By id, as an index has them. */
void fold_sort_touched(struct fold *fold);
/* The i-th account that was touched. */
struct account *fold_touched(const struct fold *fold, size_t i);
/* All of them were written. */
void fold_forget_touched(struct fold *fold);
void fold_free(struct fold *fold);

/* memory, or the end of the program. */
void *fold_check_memory(void *memory);

#endif
