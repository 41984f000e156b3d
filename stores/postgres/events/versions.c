/* versions.c - the last version read of each stream, as far as remembered. */

#include "postgres/events/versions.h"

#include <stdlib.h>
#include <xxhash.h>

#define SLOTS ((size_t)1 << 14)

/* Streams are told apart by 128 bits of hash: they do not collide. */
struct slot {
	XXH128_hash_t stream; /* zero: empty */
	int64_t version;
};

struct lun_pg_versions {
	struct slot slots[SLOTS];
};

struct lun_pg_versions *
lun_pg_versions_new(void)
{
	return calloc(1, sizeof(struct lun_pg_versions));
}

void
lun_pg_versions_free(struct lun_pg_versions *versions)
{
	free(versions);
}

void
lun_pg_versions_clear(struct lun_pg_versions *versions)
{
	memset(versions, 0, sizeof *versions);
}

static XXH128_hash_t
hash_of(struct lun_pg_stream stream)
{
	return XXH3_128bits_withSeed(stream.name.bytes, stream.name.length,
	    XXH3_64bits(stream.realm.bytes, stream.realm.length));
}

bool
lun_pg_versions_get(const struct lun_pg_versions *versions,
    struct lun_pg_stream stream, int64_t *version)
{
	XXH128_hash_t hash = hash_of(stream);
	const struct slot *slot = &versions->slots[hash.low64 % SLOTS];

	if (!XXH128_isEqual(slot->stream, hash))
		return false;
	*version = slot->version;
	return true;
}

void
lun_pg_versions_set(struct lun_pg_versions *versions,
    struct lun_pg_stream stream, int64_t version)
{
	XXH128_hash_t hash = hash_of(stream);

	versions->slots[hash.low64 % SLOTS] = (struct slot){hash, version};
}
