/*
 * event.h - an event, and the batch that carries events to a projection.
 *
 * A batch owns every byte its events point at, but for those that were lent to
 * it. Clearing or freeing it ends the life of all of them at once; nobody frees
 * a single event.
 */

#ifndef LUN_DATA_EVENT_H
#define LUN_DATA_EVENT_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/text.h"
#include "data/position.h"
#include "lunette.h"

struct lun_event {
	struct lun_position position;
	int64_t version;     /* in its stream */
	int64_t recorded_at; /* microseconds since 1970 UTC, or a LUN_TIME_* */
	struct lun_text id;
	struct lun_text stream;
	struct lun_text type;
	struct lun_text data;     /* JSON, byte for byte as recorded */
	struct lun_text metadata; /* JSON; absent: bytes is NULL */
	struct lun_text tenant;   /* whose it is; absent: of none */
};

#define LUN_NO_EVENT SIZE_MAX

struct lun_batch_block;
struct lun_documents;

struct lun_batch {
	struct lun_event *events;
	size_t count;
	size_t bytes; /* held by the events, for limits */

	/*
	 * Set by the read that filled it: every event up to here was looked
	 * at, wanted or not; and what the event store must remember.
	 */
	struct lun_position reached;
	struct lun_buffer source_state;
	bool at_head; /* nothing more was there to read */
	bool at_gap;  /* more is there, behind one that may still appear */
	bool held;    /* more can be seen than is safe to read, gap or not */
	bool ripens;  /* … and nobody holds it back: only time has to pass */
	/* The event from which on the reader knows of two tenants, or none. */
	size_t tenants_from;

	/* Microseconds of the event store for the read. */
	int64_t look_us;

	/* What is known of the events' JSON: see documents.h. */
	struct lun_documents *documents;

	size_t capacity;
	struct lun_batch_block *blocks;
};

struct lun_batch *lun_batch_new(void);
/* NULL is allowed. */
void lun_batch_free(struct lun_batch *batch);
/* Empty it; some memory is kept for the next round. */
void lun_batch_clear(struct lun_batch *batch);
/* Free its events' memory too; what the read said of itself stays. */
void lun_batch_trim(struct lun_batch *batch);
/* Copy an event in. False when out of memory; the batch is then unchanged. */
bool lun_batch_add(
    struct lun_batch *batch, const struct lun_event *event) LUN_MUSTCHECK;
/* The same without copying: its bytes have to stay for as long. */
bool lun_batch_lend(
    struct lun_batch *batch, const struct lun_event *event) LUN_MUSTCHECK;
/* Free its events and their memory; what the read said of itself stays. */
void lun_batch_trim(struct lun_batch *batch);

/*
 * What an event counts in a batch: itself, its two documents, and as much as
 * its data again for the members that are found in it.
 */
size_t lun_event_bytes(const struct lun_event *event);

/* NULL, or what is wrong with an id, a stream or a type, but for its length. */
const char *lun_event_name_fault(struct lun_text name);

/*
 * Take {"Type": data} for that type with that data, and "Type" for one with
 * null; anything else stays as it is. The data must be valid JSON. name holds
 * a new type and has to live as long. NULL, or what the data does that holds no
 * type there can be.
 */
const char *lun_event_unwrap(struct lun_event *event, struct lun_buffer *name);

/* Which events a reader wants. Zero wants all of them. */
struct lun_event_filter {
	const struct lun_text *types; /* any of these; none: every type */
	size_t type_count;
	struct lun_text stream; /* exactly this one; absent: every stream */
};

bool lun_event_filter_wants(const struct lun_event_filter *filter,
    struct lun_text stream, struct lun_text type);

#endif
