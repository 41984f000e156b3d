/*
 * documents.h - the members of a batch's JSON documents, each found once.
 *
 * An event's data is skimmed when a script first touches it, or before that by
 * whoever fetched it; the offsets of its members are kept here as long as the
 * batch, so that every handler of the event finds them ready. Two documents
 * belong to event number n: its data is 2 n, its metadata 2 n + 1.
 */

#ifndef LUN_DATA_DOCUMENTS_H
#define LUN_DATA_DOCUMENTS_H

#include <stdint.h>

#include "json/scan.h"
#include "json/shape.h"

#define LUN_DOCUMENTS_SHAPES 16

enum lun_document_state {
	LUN_DOCUMENT_UNSEEN,
	LUN_DOCUMENT_OBJECT,
	LUN_DOCUMENT_OTHER, /* valid JSON, to be decoded as a whole */
};

struct lun_document {
	uint16_t state;
	bool lent; /* a part of it was decoded, and hangs on its event */
	uint32_t count;
	size_t first; /* among the members */
};

/* Zero is the empty state. */
struct lun_documents {
	struct lun_document *list;
	size_t count; /* 0: not begun */
	size_t capacity;
	size_t opened; /* other than unseen */
	struct lun_member *members;
	size_t member_count;
	size_t member_capacity;
	struct lun_json_member *found; /* by one skimming */
	size_t found_capacity;
	struct lun_json_shape *shapes; /* NULL: nothing was learnt */
};

/*
 * Make room for `count` unseen documents, unless that was done since the last
 * end. False when out of memory.
 */
bool lun_documents_begin(
    struct lun_documents *documents, size_t count) LUN_MUSTCHECK;
/* Forget all of them; some memory is kept. */
void lun_documents_end(struct lun_documents *documents);
void lun_documents_free(struct lun_documents *documents);

/*
 * Skim the document of this index unless that was done. LUN_INVALID, LUN_NOMEM.
 * type is that of the event: documents of one type have mostly one shape.
 */
enum lun_code lun_documents_open(struct lun_documents *documents, size_t index,
    struct lun_text type, struct lun_text json,
    struct lun_err *err) LUN_MUSTCHECK;

static inline const struct lun_document *
lun_documents_at(const struct lun_documents *documents, size_t index)
{
	return &documents->list[index];
}

/* The n-th member of a document that is an object. */
static inline const struct lun_member *
lun_documents_member(const struct lun_documents *documents,
    const struct lun_document *document, size_t n)
{
	return &documents->members[document->first + n];
}

/* The member with this (decoded) key, or NULL. */
const struct lun_member *lun_documents_find(
    const struct lun_documents *documents, size_t index, struct lun_text json,
    struct lun_text key);

#endif
