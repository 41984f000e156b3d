/*
 * slab.h - the allocator of one Lua state, under a memory cap.
 *
 * Small requests come from free lists, one for every 16 bytes of size, carved
 * from blocks that live as long as the slab; larger ones from malloc. The
 * collector frees and asks for the same sizes again and again; what that is
 * worth stands in docs/dependencies.md.
 */

#ifndef LUN_SCRIPT_SLAB_H
#define LUN_SCRIPT_SLAB_H

#include <stdbool.h>
#include <stddef.h>

#define LUN_SLAB_GRAIN   16
#define LUN_SLAB_CLASSES 32 /* up to 512 bytes */

struct lun_slab_block;

struct lun_slab {
	size_t limit; /* for used; blocks may hold twice as much */
	size_t used;
	size_t block_bytes;
	/*
	 * The size last refused, until it is granted. After a refusal Lua
	 * collects garbage, which may take some memory too, and asks again: one
	 * alone means nothing, a second one that the script is starved.
	 */
	size_t refused;
	bool starved;
	bool out_of_memory; /* the same, but it was malloc that refused */
	bool exhausted;     /* malloc refused something in this call */
	char *bump;         /* unused rest of the newest block */
	char *bump_end;
	struct lun_slab_block *blocks;
	/*
	 * Bytes of large allocations that nobody has counted yet: making them
	 * took about as long as copying so many. From LUN_SLAB_HEAVY on every
	 * further one calls heavy(arg), which may not allocate.
	 */
	size_t uncounted;
	void (*heavy)(void *arg);
	void *arg;
	void *free[LUN_SLAB_CLASSES + 1];
};

#define LUN_SLAB_LARGE ((size_t)32 << 10)
#define LUN_SLAB_HEAVY ((size_t)1 << 20)

void lun_slab_init(struct lun_slab *slab, size_t limit);
/* Every large allocation must have been freed: lua_close() does that. */
void lun_slab_fini(struct lun_slab *slab);

/* A lua_Alloc; arg is the slab. */
void *lun_slab_alloc(void *arg, void *bytes, size_t old_size, size_t new_size);

#endif
