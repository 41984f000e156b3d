/* slab.c - the allocator of one Lua state, under a memory cap. */

#include "script/slab.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_SIZE ((size_t)64 << 10)
#define SMALL_MAX  ((size_t)LUN_SLAB_GRAIN * LUN_SLAB_CLASSES)

struct lun_slab_block {
	struct lun_slab_block *next;
	size_t padding; /* keeps chunks aligned to the grain */
	char chunks[];
};

static size_t
grains_of(size_t size)
{
	return (size + LUN_SLAB_GRAIN - 1) / LUN_SLAB_GRAIN;
}

/* What a request takes from the cap. */
static size_t
cost_of(size_t size)
{
	return size <= SMALL_MAX ? grains_of(size) * LUN_SLAB_GRAIN : size;
}

static bool
add_block(struct lun_slab *slab)
{
	struct lun_slab_block *block;

	if (slab->block_bytes / 2 > slab->limit)
		return false;
	block = malloc(BLOCK_SIZE);
	if (block == NULL) {
		slab->exhausted = true;
		return false;
	}
	block->next = slab->blocks;
	slab->blocks = block;
	slab->block_bytes += BLOCK_SIZE;
	slab->bump = block->chunks;
	slab->bump_end = (char *)block + BLOCK_SIZE;
	return true;
}

static void *
allocate_small(struct lun_slab *slab, size_t size)
{
	size_t grains = grains_of(size);
	size_t chunk = grains * LUN_SLAB_GRAIN;
	void *bytes = slab->free[grains];

	if (bytes != NULL) {
		memcpy(&slab->free[grains], bytes, sizeof(void *));
		return bytes;
	}
	if ((size_t)(slab->bump_end - slab->bump) < chunk && !add_block(slab))
		return NULL;
	bytes = slab->bump;
	slab->bump += chunk;
	return bytes;
}

static void *
allocate_chunk(struct lun_slab *slab, size_t size)
{
	void *bytes;

	if (size <= SMALL_MAX)
		return allocate_small(slab, size);
	bytes = malloc(size);
	if (bytes == NULL)
		slab->exhausted = true;
	return bytes;
}

static void
free_chunk(struct lun_slab *slab, void *bytes, size_t size)
{
	size_t grains = grains_of(size);

	slab->used -= cost_of(size);
	if (size > SMALL_MAX) {
		free(bytes);
		return;
	}
	memcpy(bytes, &slab->free[grains], sizeof(void *));
	slab->free[grains] = bytes;
}

static void *
refuse_size(struct lun_slab *slab, size_t size)
{
	if (slab->refused == size && slab->exhausted)
		slab->out_of_memory = true;
	else if (slab->refused == size)
		slab->starved = true;
	slab->refused = size;
	return NULL;
}

/* Lua relies on shrinking never to fail. */
static void *
shrink_chunk(
    struct lun_slab *slab, void *bytes, size_t old_size, size_t new_size)
{
	void *fresh = NULL;

	if (new_size > SMALL_MAX)
		fresh = realloc(bytes, new_size);
	else
		fresh = allocate_small(slab, new_size);
	if (new_size <= SMALL_MAX && fresh != NULL) {
		memcpy(fresh, bytes, new_size);
		slab->used += cost_of(new_size);
		free_chunk(slab, bytes, old_size);
		return fresh;
	}
	/*
	 * With no memory for a smaller chunk the old one becomes one: it is
	 * large enough, and at worst a few hundred bytes are lost at the end.
	 */
	slab->used -= cost_of(old_size) - cost_of(new_size);
	return fresh != NULL ? fresh : bytes;
}

static void
note_large(struct lun_slab *slab, size_t size)
{
	slab->uncounted += size;
	if (slab->uncounted >= LUN_SLAB_HEAVY && slab->heavy != NULL)
		slab->heavy(slab->arg);
}

static void *
grow_chunk(struct lun_slab *slab, void *bytes, size_t old_size, size_t new_size)
{
	size_t more = cost_of(new_size) - cost_of(old_size);
	void *fresh;

	if (more > slab->limit || slab->used > slab->limit - more)
		return refuse_size(slab, new_size);
	if (old_size > SMALL_MAX) {
		fresh = realloc(bytes, new_size);
		slab->exhausted |= fresh == NULL;
	} else {
		fresh = allocate_chunk(slab, new_size);
	}
	if (fresh == NULL)
		return refuse_size(slab, new_size);
	if (slab->refused == new_size)
		slab->refused = 0;
	slab->used += more;
	if (new_size >= LUN_SLAB_LARGE)
		note_large(slab, new_size);
	if (bytes != NULL && old_size <= SMALL_MAX) {
		memcpy(fresh, bytes, old_size);
		slab->used += cost_of(old_size);
		free_chunk(slab, bytes, old_size);
	}
	return fresh;
}

/* What nearly every request for a new object needs; NULL: ask properly. */
static void *
pop_free_chunk(struct lun_slab *slab, size_t size)
{
	size_t grains = grains_of(size);
	void *bytes;

	if (size > SMALL_MAX || slab->free[grains] == NULL ||
	    slab->used + SMALL_MAX > slab->limit || slab->refused != 0)
		return NULL;
	bytes = slab->free[grains];
	memcpy(&slab->free[grains], bytes, sizeof(void *));
	slab->used += grains * LUN_SLAB_GRAIN;
	return bytes;
}

void *
lun_slab_alloc(void *arg, void *bytes, size_t old_size, size_t new_size)
{
	struct lun_slab *slab = arg;

	if (bytes == NULL) {
		void *fresh = pop_free_chunk(slab, new_size);

		if (fresh != NULL)
			return fresh;
		old_size = 0; /* Lua passes the kind of the new object here */
	}
	if (new_size == 0) {
		if (bytes != NULL)
			free_chunk(slab, bytes, old_size);
		return NULL;
	}
	if (bytes != NULL && old_size <= SMALL_MAX && new_size <= SMALL_MAX &&
	    grains_of(old_size) == grains_of(new_size))
		return bytes;
	if (bytes != NULL && new_size < old_size)
		return shrink_chunk(slab, bytes, old_size, new_size);
	return grow_chunk(slab, bytes, old_size, new_size);
}

void
lun_slab_init(struct lun_slab *slab, size_t limit)
{
	*slab = (struct lun_slab){.limit = limit};
}

void
lun_slab_fini(struct lun_slab *slab)
{
	struct lun_slab_block *block = slab->blocks;

	while (block != NULL) {
		struct lun_slab_block *next = block->next;

		free(block);
		block = next;
	}
	lun_slab_init(slab, slab->limit);
}
