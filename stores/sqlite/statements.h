/*
 * statements.h - prepared statements, kept for the next time.
 *
 * Found by their SQL; the least recently used one goes where there are many.
 */

#ifndef LUN_SQLITE_STATEMENTS_H
#define LUN_SQLITE_STATEMENTS_H

#include "sqlite/connection.h"

struct lun_sqlite_kept;

/* Zero is empty. */
struct lun_sqlite_statements {
	struct lun_sqlite_kept **buckets;
	struct lun_sqlite_kept *newest, *oldest; /* by their last use */
	size_t count;
};

/* Before the connection is closed. */
void lun_sqlite_statements_free(struct lun_sqlite_statements *statements);
/* It is there until a thousand others were asked for. */
enum lun_code lun_sqlite_statements_find(
    struct lun_sqlite_statements *statements, struct lun_sqlite *c,
    const char *sql, sqlite3_stmt **out, struct lun_err *err) LUN_MUSTCHECK;

#endif
