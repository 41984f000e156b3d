/*
 * versions.h - the last version read of each stream, as far as remembered.
 *
 * The second line of defence: versions have no holes, so an event that the
 * order of positions has lost is noticed at the next one of its stream. A
 * table of fixed size in memory; a stream pushes out another one now and then.
 */

#ifndef LUN_POSTGRES_EVENTS_VERSIONS_H
#define LUN_POSTGRES_EVENTS_VERSIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

struct lun_pg_versions;

/* NULL when out of memory. */
struct lun_pg_versions *lun_pg_versions_new(void);
/* NULL is allowed. */
void lun_pg_versions_free(struct lun_pg_versions *versions);
void lun_pg_versions_clear(struct lun_pg_versions *versions);

/* A realm may have streams of the same names as another. */
struct lun_pg_stream {
	struct lun_text realm;
	struct lun_text name;
};

/* False if nothing is known of the stream. */
bool lun_pg_versions_get(const struct lun_pg_versions *versions,
    struct lun_pg_stream stream, int64_t *version);
void lun_pg_versions_set(struct lun_pg_versions *versions,
    struct lun_pg_stream stream, int64_t version);

#endif
