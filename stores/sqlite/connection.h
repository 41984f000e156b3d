/*
 * connection.h - one SQLite connection, and what connections to a file share.
 *
 * A connection is used by one thread at a time and must not move in memory
 * while it is open. Connections made from one another share a struct for the
 * file: its path, the options, and a lock that writers get in the order in
 * which they asked, so a writer of long transactions cannot starve one of
 * short ones.
 *
 * Messages begin with the path of the file.
 */

#ifndef LUN_SQLITE_CONNECTION_H
#define LUN_SQLITE_CONNECTION_H

#include <sqlite3.h>

#include "base/error.h"
#include "base/text.h"
#include "lunette.h"
#include "store/event_store.h"

struct lun_sqlite_file;

/* Zero is the closed state. */
struct lun_sqlite {
	sqlite3 *db;
	struct lun_sqlite_file *file;
	bool read_only;      /* the file can be read but not written */
	bool must_exist;     /* no table is made that is not there */
	bool in_transaction; /* between begin and commit or rollback */
	bool has_turn;       /* to write, and keeps it after a transaction */
	int bind_result;     /* of the first bind that failed since a step */
	int64_t begin_by_ns; /* deadline of the next begin; 0: none yet */
	int64_t deadline_ns; /* of the wait for a lock under way */
};

/*
 * Open or create the database in WAL mode. LUN_CONFIG for a missing folder or
 * a file that is no database. A file that cannot be written opens read-only.
 * LUN_NOTFOUND (err untouched): the options say that the file must exist, and
 * it does not.
 */
enum lun_code lun_sqlite_open(struct lun_sqlite *c, const char *path,
    const struct lun_store_options *options, struct lun_err *err) LUN_MUSTCHECK;
/* Another connection to the same file; LUN_CONFIG if it has moved. */
enum lun_code lun_sqlite_connect(struct lun_sqlite *c,
    const struct lun_sqlite *from, struct lun_err *err) LUN_MUSTCHECK;
/* Rolls back. Statements must be finalized before. Closed is allowed. */
void lun_sqlite_close(struct lun_sqlite *c);

const char *lun_sqlite_path(const struct lun_sqlite *c);

/*
 * LUN_CONFIG if the file that was opened is not the one under the path any
 * more, or its log and the index of that are not theirs (place.h). look: only
 * if that was not looked at for a second.
 */
enum lun_code lun_sqlite_check_place(
    struct lun_sqlite *c, struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_sqlite_look_at_place(
    struct lun_sqlite *c, struct lun_err *err) LUN_MUSTCHECK;

/*
 * Describe what SQLite just refused and return its code: LUN_UNAVAILABLE if
 * the file is locked, LUN_IO or LUN_NOMEM.
 */
enum lun_code lun_sqlite_fail(struct lun_sqlite *c, struct lun_err *err);

/*
 * Copy the write-ahead log back into the file if it has grown long, but not as
 * long as a commit waits with it: so commits need not do it. One thread alone
 * may tend a file.
 */
void lun_sqlite_tend(struct lun_sqlite *c);

/*
 * The turn to write of this process, before a connection is had for it: then
 * that has_turn, until it is passed on. Its first begin has until *begin_by_ns.
 */
enum lun_code lun_sqlite_take_turn(const struct lun_sqlite *c,
    int64_t *begin_by_ns, struct lun_err *err) LUN_MUSTCHECK;
void lun_sqlite_pass_turn(const struct lun_sqlite *c);

/*
 * A writing transaction: wait for the lock and for other processes, together
 * at most busy_timeout_ms. A commit that fails is rolled back, except where it
 * is LUN_CONFIG: then it went into a file that nobody else will find.
 */
enum lun_code lun_sqlite_begin(
    struct lun_sqlite *c, struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_sqlite_commit(
    struct lun_sqlite *c, struct lun_err *err) LUN_MUSTCHECK;
/* Outside a transaction it does nothing. */
void lun_sqlite_rollback(struct lun_sqlite *c);

/*
 * In a writing transaction that makes tables: a database that holds nothing yet
 * is marked as Lunette's by its application_id, unless it has one.
 */
#define LUN_SQLITE_APPLICATION_ID 1282764389 /* "Lune" */
enum lun_code lun_sqlite_mark(
    struct lun_sqlite *c, struct lun_err *err) LUN_MUSTCHECK;

/* Run statements that give no rows. */
enum lun_code lun_sqlite_exec(
    struct lun_sqlite *c, const char *sql, struct lun_err *err) LUN_MUSTCHECK;

/* To be finalized with sqlite3_finalize(), which takes NULL. */
enum lun_code lun_sqlite_prepare(struct lun_sqlite *c, const char *sql,
    sqlite3_stmt **out, struct lun_err *err) LUN_MUSTCHECK;

/*
 * Parameters count from 1. Text is borrowed until the statement is reset;
 * absent text binds a null. A bind that fails is reported by the next step.
 */
void lun_sqlite_bind_text(
    struct lun_sqlite *c, sqlite3_stmt *q, int index, struct lun_text text);
void lun_sqlite_bind_integer(
    struct lun_sqlite *c, sqlite3_stmt *q, int index, int64_t value);
void lun_sqlite_bind_number(
    struct lun_sqlite *c, sqlite3_stmt *q, int index, double value);
void lun_sqlite_bind_null(struct lun_sqlite *c, sqlite3_stmt *q, int index);

/* LUN_OK: there is a row; LUN_NOTFOUND (err untouched): no more rows. */
enum lun_code lun_sqlite_step(
    struct lun_sqlite *c, sqlite3_stmt *q, struct lun_err *err) LUN_MUSTCHECK;
/* Step a statement that gives no rows, and reset it. */
enum lun_code lun_sqlite_run(
    struct lun_sqlite *c, sqlite3_stmt *q, struct lun_err *err) LUN_MUSTCHECK;

/*
 * Borrowed until the next step or reset; absent for a null. A connection is used
 * by one thread at a time, so its values need no protection.
 */
static inline struct lun_text
lun_sqlite_value_text(sqlite3_value *value)
{
	const char *bytes = (const char *)sqlite3_value_text(value);

	if (bytes == NULL)
		return LUN_TEXT_NONE;
	return (struct lun_text){bytes, (size_t)sqlite3_value_bytes(value)};
}

static inline struct lun_text
lun_sqlite_column_text(sqlite3_stmt *q, int column)
{
	return lun_sqlite_value_text(sqlite3_column_value(q, column));
}

#endif
