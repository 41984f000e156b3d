/*
 * place.h - whether a database is where it was when it was opened.
 *
 * A file that was removed or replaced is written to like any other, and nobody
 * will ever find what was written.
 */

#ifndef LUN_SQLITE_PLACE_H
#define LUN_SQLITE_PLACE_H

#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "base/error.h"

#define LUN_SQLITE_PLACES 3 /* the database, its -wal, its -shm */

struct lun_sqlite_place {
	char *paths[LUN_SQLITE_PLACES]; /* from the root; links stay links */
	struct {
		dev_t device;
		ino_t inode; /* 0: not known, and not compared */
	} opened[LUN_SQLITE_PLACES];
	atomic_llong looked_ns; /* when it was compared last, by the clock */
};

/* Of what was just opened by this path. LUN_NOMEM leaves nothing to free. */
enum lun_code lun_sqlite_place_note(struct lun_sqlite_place *place, sqlite3 *db,
    const char *path, struct lun_err *err) LUN_MUSTCHECK;
void lun_sqlite_place_free(struct lun_sqlite_place *place);

/*
 * LUN_CONFIG if a path does not lead any more to what was opened; name is how
 * messages call the database. May be called by several threads.
 */
enum lun_code lun_sqlite_place_check(const struct lun_sqlite_place *place,
    const char *name, struct lun_err *err) LUN_MUSTCHECK;
/* The same, if nobody has asked so within the last second. */
enum lun_code lun_sqlite_place_look(struct lun_sqlite_place *place,
    const char *name, struct lun_err *err) LUN_MUSTCHECK;

#endif
