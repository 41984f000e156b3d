/* versions.c - the last version read of each stream, as far as remembered. */

#include "versions.h"

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

bool
lun_pg_versions_get(const struct lun_pg_versions *versions,
    struct lun_text stream, int64_t *version)
{
	XXH128_hash_t hash = XXH3_128bits(stream.bytes, stream.length);
	const struct slot *slot = &versions->slots[hash.low64 % SLOTS];

	if (!XXH128_isEqual(slot->stream, hash))
		return false;
	*version = slot->version;
	return true;
}

void
lun_pg_versions_set(
    struct lun_pg_versions *versions, struct lun_text stream, int64_t version)
{
	XXH128_hash_t hash = XXH3_128bits(stream.bytes, stream.length);

	versions->slots[hash.low64 % SLOTS] = (struct slot){hash, version};
}
