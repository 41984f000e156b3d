/*
 * banking.h - banking events, the same ones for the same numbers.
 *
 * Opens each account, then moves money between all of them alike; an event has
 * about 200 bytes of JSON. Amounts are whole cents. Ids are UUIDs of version 7,
 * as most writers make them today: they rise with the time, so the index on
 * them is appended to.
 */

#ifndef BENCH_BANKING_H
#define BENCH_BANKING_H

#include <stdint.h>

#include "base/text.h"

struct banking {
	uint64_t random;
	uint64_t accounts;
	uint64_t made;
	uint32_t *versions; /* of the streams, one an account */
};

struct banking_event {
	struct lun_text id;
	struct lun_text stream;
	struct lun_text type;
	struct lun_text data;
	int64_t version;
	int64_t recorded_at;
	char id_bytes[40];
	char stream_bytes[40];
	char data_bytes[400];
};

/* False when out of memory. */
bool banking_init(struct banking *banking, uint64_t accounts);
void banking_fini(struct banking *banking);

/* The texts are good until the event is filled again, or copied. */
void banking_next(struct banking *banking, struct banking_event *event);

#endif
