/*
 * versions.h - the last version given out of each stream, as far as remembered.
 *
 * A table in memory, 21 to 43 bytes a stream, 34 MB for a million of them:
 * whoever fills it clears it when it is full.
 */

#ifndef LUN_POSTGRES_EVENTS_VERSIONS_H
#define LUN_POSTGRES_EVENTS_VERSIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

/* What can be remembered lies between minus this and this. */
#define LUN_PG_VERSION_MOST ((int64_t)1 << 46)

struct lun_pg_versions;

/* NULL when out of memory. */
struct lun_pg_versions *lun_pg_versions_new(void);
/* NULL is allowed. */
void lun_pg_versions_free(struct lun_pg_versions *versions);
void lun_pg_versions_clear(struct lun_pg_versions *versions);
/* As many as one should hold between two reads. */
bool lun_pg_versions_is_full(const struct lun_pg_versions *versions);

/* A realm may have streams of the same names as another. */
struct lun_pg_stream {
	struct lun_text realm;
	struct lun_text name;
};

/* What a stream is found by: 80 bits of hash. */
struct lun_pg_stream_key {
	uint64_t hash;
	uint64_t rest;
};

struct lun_pg_stream_key lun_pg_stream_key(struct lun_pg_stream stream);

/* False if nothing is known of the stream. */
bool lun_pg_versions_get(const struct lun_pg_versions *versions,
    struct lun_pg_stream_key stream, int64_t *version);
/* False when out of memory: a new stream stays unknown. */
bool lun_pg_versions_set(struct lun_pg_versions *versions,
    struct lun_pg_stream_key stream, int64_t version);
/* The same, unless the one that is known is higher. */
bool lun_pg_versions_raise(struct lun_pg_versions *versions,
    struct lun_pg_stream_key stream, int64_t version);

#endif
