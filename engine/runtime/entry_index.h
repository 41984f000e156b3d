/*
 * entry_index.h - the projections of an engine by name and by path.
 *
 * Each chain hangs on a bucket of its own kind, through the entries, so that
 * nothing here can run out of memory. Used under the engine's lock.
 */

#ifndef LUN_RUNTIME_ENTRY_INDEX_H
#define LUN_RUNTIME_ENTRY_INDEX_H

#include "lunette.h"

#define LUN_ENTRY_BUCKETS 1024

struct lun_entry;

struct lun_entry_index {
	struct lun_entry *by_name[LUN_ENTRY_BUCKETS];
	struct lun_entry *by_path[LUN_ENTRY_BUCKETS];
};

/* By its name and its path; it must not be there. */
void lun_entry_index_add(
    struct lun_entry_index *index, struct lun_entry *entry);
/* Give it another path, which is copied; "" is found by nobody. */
void lun_entry_index_move(
    struct lun_entry_index *index, struct lun_entry *entry, const char *path);

/* Or NULL. */
struct lun_entry *lun_entry_index_name(
    const struct lun_entry_index *index, const char *name);
struct lun_entry *lun_entry_index_path(
    const struct lun_entry_index *index, const char *path);

#endif
