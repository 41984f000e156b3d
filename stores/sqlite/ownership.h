/*
 * ownership.h - who runs a projection, as locks on files.
 *
 * Every shard of a build has a file of its own beside the database, named
 * <database>.<projection>.b<build>.s<shard>.lock; its owner holds a lock on it
 * that belongs to the open file, so it conflicts between two connections of one
 * process as well as between processes, and dies with its holder. The file
 * holds the owner's words. It is never removed: somebody might be about to lock
 * it.
 */

#ifndef LUN_SQLITE_OWNERSHIP_H
#define LUN_SQLITE_OWNERSHIP_H

#include "base/error.h"
#include "store/model_store.h"

struct lun_ownership {
	struct lun_ownership *next;
	char projection[LUN_NAME_MAX + 1];
	struct lun_key key; /* its name is the one above */
	int64_t fence;      /* set by whoever locked it */
	int fd;
};

/*
 * LUN_OWNED if somebody else has the lock; holder then has its words. LUN_IO
 * if the file cannot be made or opened.
 */
enum lun_code lun_ownership_lock(const char *database, struct lun_key key,
    const char *owner, struct lun_ownership **out, char holder[LUN_OWNER_SIZE],
    struct lun_err *err) LUN_MUSTCHECK;
/* Whether somebody has it, without taking it; holder as above. */
enum lun_code lun_ownership_look(const char *database, struct lun_key key,
    bool *held, char holder[LUN_OWNER_SIZE], struct lun_err *err) LUN_MUSTCHECK;
/* Unlock and free. NULL is allowed. */
void lun_ownership_unlock(struct lun_ownership *ownership);

/* The link to the ownership of a shard, or to the end of the list. */
struct lun_ownership **lun_ownership_find(
    struct lun_ownership **list, struct lun_key key);

#endif
