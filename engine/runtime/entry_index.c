/* entry_index.c - the projections of an engine by name and by path. */

#include "runtime/entry_index.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "runtime/engine.h"

/* FNV-1a. */
static size_t
bucket_of(const char *text)
{
	uint64_t hash = UINT64_C(14695981039346656037);

	for (; *text != '\0'; text++)
		hash = (hash ^ (unsigned char)*text) * UINT64_C(1099511628211);
	return (size_t)(hash % LUN_ENTRY_BUCKETS);
}

static void
hang_by_path(struct lun_entry_index *index, struct lun_entry *entry)
{
	struct lun_entry **bucket = &index->by_path[bucket_of(entry->path)];

	if (entry->path[0] == '\0')
		return;
	entry->next_of_path = *bucket;
	*bucket = entry;
}

static void
take_off_path(struct lun_entry_index *index, struct lun_entry *entry)
{
	struct lun_entry **link = &index->by_path[bucket_of(entry->path)];

	if (entry->path[0] == '\0')
		return;
	while (*link != entry)
		link = &(*link)->next_of_path;
	*link = entry->next_of_path;
}

void
lun_entry_index_add(struct lun_entry_index *index, struct lun_entry *entry)
{
	struct lun_entry **bucket = &index->by_name[bucket_of(entry->name)];

	entry->next_of_name = *bucket;
	*bucket = entry;
	hang_by_path(index, entry);
}

void
lun_entry_index_move(
    struct lun_entry_index *index, struct lun_entry *entry, const char *path)
{
	take_off_path(index, entry);
	snprintf(entry->path, sizeof entry->path, "%s", path);
	hang_by_path(index, entry);
}

struct lun_entry *
lun_entry_index_name(const struct lun_entry_index *index, const char *name)
{
	struct lun_entry *entry = index->by_name[bucket_of(name)];

	while (entry != NULL && strcmp(entry->name, name) != 0)
		entry = entry->next_of_name;
	return entry;
}

struct lun_entry *
lun_entry_index_path(const struct lun_entry_index *index, const char *path)
{
	struct lun_entry *entry = index->by_path[bucket_of(path)];

	while (entry != NULL && strcmp(entry->path, path) != 0)
		entry = entry->next_of_path;
	return entry;
}
