/* versions.c - the last version given out of each stream. */

#include "postgres/events/versions.h"

#include <stdlib.h>
#include <xxhash.h>

#define SLOTS_FIRST  ((size_t)1 << 10)
#define STREAMS_MOST ((size_t)1 << 20)
#define TAG_BITS     16

/*
 * Streams are told apart by 80 bits of hash: a million of them collide once in
 * 10^12 logs. Zero: empty.
 */
struct slot {
	uint64_t hash;
	uint64_t rest; /* the version, and TAG_BITS more of the hash */
};

struct lun_pg_versions {
	struct slot *slots;
	size_t capacity; /* a power of two */
	size_t count;
};

struct lun_pg_versions *
lun_pg_versions_new(void)
{
	struct lun_pg_versions *versions = calloc(1, sizeof *versions);

	if (versions == NULL)
		return NULL;
	versions->slots = calloc(SLOTS_FIRST, sizeof(struct slot));
	versions->capacity = SLOTS_FIRST;
	if (versions->slots != NULL)
		return versions;
	free(versions);
	return NULL;
}

void
lun_pg_versions_free(struct lun_pg_versions *versions)
{
	if (versions == NULL)
		return;
	free(versions->slots);
	free(versions);
}

void
lun_pg_versions_clear(struct lun_pg_versions *versions)
{
	memset(versions->slots, 0, versions->capacity * sizeof(struct slot));
	versions->count = 0;
}

bool
lun_pg_versions_is_full(const struct lun_pg_versions *versions)
{
	return versions->count >= STREAMS_MOST;
}

struct lun_pg_stream_key
lun_pg_stream_key(struct lun_pg_stream stream)
{
	struct lun_text realm = stream.realm;
	XXH64_hash_t seed =
	    realm.length > 0 ? XXH3_64bits(realm.bytes, realm.length) : 0;
	XXH128_hash_t hash =
	    XXH3_128bits_withSeed(stream.name.bytes, stream.name.length, seed);

	return (struct lun_pg_stream_key){
	    hash.low64, hash.high64 >> (64 - TAG_BITS)};
}

static struct slot
make_slot(struct lun_pg_stream_key stream, int64_t version)
{
	return (struct slot){
	    stream.hash, (uint64_t)version << TAG_BITS | stream.rest};
}

static int64_t
version_in(struct slot slot)
{
	return (int64_t)slot.rest >> TAG_BITS;
}

static bool
is_empty(struct slot slot)
{
	return slot.hash == 0 && slot.rest == 0;
}

static bool
is_same_stream(struct slot a, struct slot b)
{
	return a.hash == b.hash && (a.rest ^ b.rest) << (64 - TAG_BITS) == 0;
}

/* The slot of a stream, or the empty one where it belongs. */
static struct slot *
find_slot(const struct lun_pg_versions *versions, struct slot wanted)
{
	size_t at = wanted.hash & (versions->capacity - 1);

	while (!is_empty(versions->slots[at]) &&
	       !is_same_stream(versions->slots[at], wanted))
		at = (at + 1) & (versions->capacity - 1);
	return &versions->slots[at];
}

bool
lun_pg_versions_get(const struct lun_pg_versions *versions,
    struct lun_pg_stream_key stream, int64_t *version)
{
	struct slot slot = *find_slot(versions, make_slot(stream, 0));

	*version = version_in(slot);
	return !is_empty(slot);
}

/* A quarter of the slots stays empty, so that searches are short. */
static bool
reserve_slot(struct lun_pg_versions *versions)
{
	struct lun_pg_versions grown = {.capacity = versions->capacity * 2};

	if (versions->count < versions->capacity / 4 * 3)
		return true;
	grown.slots = calloc(grown.capacity, sizeof(struct slot));
	if (grown.slots == NULL)
		return false;
	for (size_t i = 0; i < versions->capacity; i++)
		if (!is_empty(versions->slots[i]))
			*find_slot(&grown, versions->slots[i]) =
			    versions->slots[i];
	free(versions->slots);
	versions->slots = grown.slots;
	versions->capacity = grown.capacity;
	return true;
}

/* Where the slot was found. */
static bool
fill_slot(
    struct lun_pg_versions *versions, struct slot *found, struct slot slot)
{
	if (is_empty(*found)) {
		if (!reserve_slot(versions))
			return false;
		found = find_slot(versions, slot);
		versions->count++;
	}
	*found = slot;
	return true;
}

bool
lun_pg_versions_set(struct lun_pg_versions *versions,
    struct lun_pg_stream_key stream, int64_t version)
{
	struct slot slot = make_slot(stream, version);

	return fill_slot(versions, find_slot(versions, slot), slot);
}

bool
lun_pg_versions_raise(struct lun_pg_versions *versions,
    struct lun_pg_stream_key stream, int64_t version)
{
	struct slot slot = make_slot(stream, version);
	struct slot *found = find_slot(versions, slot);

	if (!is_empty(*found) && version_in(*found) >= version)
		return true;
	return fill_slot(versions, found, slot);
}
