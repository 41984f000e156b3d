/* documents.c - the members of a batch's JSON documents, each found once. */

#include "data/documents.h"

#include <stdlib.h>

#include "base/error.h"
#include "json/token.h"

#define FIRST_FOUND    64
#define FIRST_MEMBERS  64
#define KEPT_MEMBERS   ((size_t)1 << 20)
#define KEPT_FOUND     ((size_t)1 << 16)
#define KEPT_DOCUMENTS ((size_t)1 << 18)
#define LAZY_BYTES_MAX ((size_t)1 << 24) /* so that lengths fit their bits */
#define MANY_DOCUMENTS 64                /* fewer are not worth learning */
#define MISSES         8                 /* before a shape gives way */

bool
lun_documents_begin(struct lun_documents *documents, size_t count)
{
	if (documents->count == count)
		return true;
	lun_documents_end(documents);
	if (count > documents->capacity) {
		struct lun_document *list =
		    realloc(documents->list, count * sizeof *list);

		if (list == NULL)
			return false;
		documents->list = list;
		documents->capacity = count;
	}
	if (count > 0)
		memset(documents->list, 0, count * sizeof *documents->list);
	documents->count = count;
	return true;
}

void
lun_documents_end(struct lun_documents *documents)
{
	documents->count = 0;
	documents->opened = 0;
	documents->member_count = 0;
	if (documents->member_capacity > KEPT_MEMBERS) {
		free(documents->members);
		documents->members = NULL;
		documents->member_capacity = 0;
	}
	if (documents->found_capacity > KEPT_FOUND) {
		free(documents->found);
		documents->found = NULL;
		documents->found_capacity = 0;
	}
	if (documents->capacity > KEPT_DOCUMENTS) {
		free(documents->list);
		documents->list = NULL;
		documents->capacity = 0;
	}
}

void
lun_documents_free(struct lun_documents *documents)
{
	free(documents->list);
	free(documents->members);
	free(documents->found);
	free(documents->shapes);
	*documents = (struct lun_documents){0};
}

static bool
reserve_found(struct lun_documents *documents, size_t count)
{
	struct lun_json_member *found;

	if (count <= documents->found_capacity)
		return true;
	found = realloc(documents->found, count * sizeof *found);
	if (found == NULL)
		return false;
	documents->found = found;
	documents->found_capacity = count;
	return true;
}

static bool
reserve_members(struct lun_documents *documents, size_t more)
{
	size_t capacity = documents->member_capacity;
	struct lun_member *members;

	if (more <= capacity - documents->member_count)
		return true;
	if (capacity == 0)
		capacity = FIRST_MEMBERS;
	while (capacity - documents->member_count < more)
		capacity *= 2;
	members = realloc(documents->members, capacity * sizeof *members);
	if (members == NULL)
		return false;
	documents->members = members;
	documents->member_capacity = capacity;
	return true;
}

/* NULL: there is none, and none is needed. */
static struct lun_json_shape *
shape_of(struct lun_documents *documents, size_t index, struct lun_text type)
{
	unsigned slot = lun_json_key_mix(type) + 8 * (index % 2);

	if (documents->shapes == NULL && documents->count >= MANY_DOCUMENTS)
		documents->shapes =
		    calloc(LUN_DOCUMENTS_SHAPES, sizeof *documents->shapes);
	if (documents->shapes == NULL)
		return NULL;
	return &documents->shapes[slot % LUN_DOCUMENTS_SHAPES];
}

static enum lun_code
find_members(struct lun_documents *documents, struct lun_text json,
    size_t *count, struct lun_err *err)
{
	enum lun_code code;

	if (!reserve_found(documents, FIRST_FOUND))
		return lun_fail(err, LUN_NOMEM, "out of memory");
	*count = documents->found_capacity;
	code = lun_json_members(json, documents->found, count, err);
	if (code != LUN_NOMEM || *count <= documents->found_capacity)
		return code;
	if (!reserve_found(documents, *count))
		return lun_fail(err, LUN_NOMEM, "out of memory");
	return lun_json_members(json, documents->found, count, err);
}

static enum lun_code
list_members(struct lun_documents *documents, struct lun_text json,
    size_t *count, struct lun_err *err)
{
	struct lun_member *members;
	enum lun_code code = find_members(documents, json, count, err);

	if (code != LUN_OK)
		return code;
	if (!reserve_members(documents, *count))
		return lun_fail(err, LUN_NOMEM, "out of memory");
	members = documents->members + documents->member_count;
	for (size_t i = 0; i < *count; i++)
		members[i] = lun_member_of(&documents->found[i], json);
	return LUN_OK;
}

/* The members are behind those that there are. */
static enum lun_code
skim_document(struct lun_documents *documents, struct lun_json_shape *shape,
    struct lun_text json, size_t *count, struct lun_err *err)
{
	enum lun_code code;

	if (shape != NULL && shape->count > 0 &&
	    reserve_members(documents, shape->count) &&
	    lun_json_shape_members(
		shape, json, documents->members + documents->member_count)) {
		*count = shape->count;
		return LUN_OK;
	}
	code = list_members(documents, json, count, err);
	if (code == LUN_OK && shape != NULL && shape->misses++ % MISSES == 0)
		lun_json_shape_learn(shape, json,
		    documents->members + documents->member_count, *count);
	return code;
}

enum lun_code
lun_documents_open(struct lun_documents *documents, size_t index,
    struct lun_text type, struct lun_text json, struct lun_err *err)
{
	struct lun_document *document = &documents->list[index];
	enum lun_code code;
	size_t count;

	if (document->state != LUN_DOCUMENT_UNSEEN)
		return LUN_OK;
	if (json.length >= LAZY_BYTES_MAX)
		code = LUN_NOTFOUND;
	else
		code = skim_document(documents,
		    shape_of(documents, index, type), json, &count, err);
	if (code == LUN_NOTFOUND) {
		document->state = LUN_DOCUMENT_OTHER;
		documents->opened++;
		return LUN_OK;
	}
	if (code != LUN_OK)
		return code;
	document->state = LUN_DOCUMENT_OBJECT;
	documents->opened++;
	document->first = documents->member_count;
	document->count = (uint32_t)count;
	documents->member_count += count;
	return LUN_OK;
}

static bool
has_key(
    const struct lun_member *member, struct lun_text json, struct lun_text key)
{
	struct lun_json_member found = {
	    .key = lun_member_key(member, json), .key_escaped = true};

	return memchr(key.bytes, '\0', key.length) == NULL &&
	       lun_json_find(&found, 1, key.bytes) != NULL;
}

const struct lun_member *
lun_documents_find(const struct lun_documents *documents, size_t index,
    struct lun_text json, struct lun_text key)
{
	const struct lun_document *document = &documents->list[index];
	const struct lun_member *member = &documents->members[document->first];
	const struct lun_member *end = member + document->count;

	for (; member < end; member++) {
		if (member->key_escaped) {
			if (has_key(member, json, key))
				return member;
			continue;
		}
		if (member->key_length == key.length &&
		    memcmp(json.bytes + member->key_at, key.bytes,
			key.length) == 0)
			return member;
	}
	return NULL;
}
