/* connection.c - one SQLite connection, and what several of them share. */

#include "sqlite/connection.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fair_lock.h"
#include "sqlite/place.h"

#define NS_IN_MS    1000000LL
#define NS_IN_S     1000000000LL
#define SHORT_PAUSE (1 * NS_IN_MS)
#define LONG_PAUSE  (5 * NS_IN_MS)

#define TENDED_EARLY 8 /* at this part of the length at which commits do it */

#define OPEN_FLAGS                                                             \
	(SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE)

struct lun_sqlite_file {
	atomic_size_t references;
	atomic_int log_pages; /* of the write-ahead log, after a commit here */
	int tended_pages;     /* of them copied back; for who tends alone */
	struct lun_fair_lock writer_lock; /* of the writers */
	struct lun_sqlite_place place;
	struct lun_store_options options;
	char path[];
};

static const struct lun_store_options default_options = {
    .busy_timeout_ms = 5000,
    .synchronous = "normal",
    .wal_autocheckpoint_pages = 10000,
    .cache_kib = 16384,
};

/* ---- the file ---------------------------------------------------------- */

/* Our own copy of the word, which need not outlive the call to open. */
static const char *
synchronous_word(const char *word)
{
	static const char *const words[] = {"off", "normal", "full", NULL};

	if (word == NULL)
		return default_options.synchronous;
	for (size_t i = 0; words[i] != NULL; i++)
		if (strcmp(words[i], word) == 0)
			return words[i];
	return NULL;
}

static enum lun_code
new_file(const char *path, const struct lun_store_options *options,
    struct lun_sqlite_file **out, struct lun_err *err)
{
	struct lun_sqlite_file *file;
	size_t size = strlen(path) + 1;

	file = calloc(1, sizeof *file + size);
	if (file == NULL || !lun_fair_lock_init(&file->writer_lock)) {
		free(file);
		return lun_fail(err, LUN_NOMEM, "%s: out of memory", path);
	}
	atomic_init(&file->references, 1);
	file->options = options != NULL ? *options : default_options;
	file->options.synchronous = synchronous_word(file->options.synchronous);
	memcpy(file->path, path, size);
	*out = file;
	return LUN_OK;
}

static void
release_file(struct lun_sqlite_file *file)
{
	if (atomic_fetch_sub(&file->references, 1) > 1)
		return;
	lun_fair_lock_fini(&file->writer_lock);
	lun_sqlite_place_free(&file->place);
	free(file);
}

/* ---- failures ---------------------------------------------------------- */

/* A file in WAL mode is also read by way of one beside it. */
#define UNREADABLE                                                             \
	"cannot be read: the -wal and -shm files beside it have to be made "   \
	"or mended, and the file or its folder is read-only; open it once "    \
	"where they may be, or change its permissions"

/*
 * What a result code means to us, the first one that is it or its primary code;
 * words follow the path.
 */
static const struct meaning {
	int result;
	enum lun_code code;
	const char *words;
} meanings[] = {
    {SQLITE_BUSY, LUN_UNAVAILABLE, "is locked by another process"},
    {SQLITE_LOCKED, LUN_UNAVAILABLE, "is locked by another connection"},
    {SQLITE_PROTOCOL, LUN_UNAVAILABLE, "is locked by another process"},
    {SQLITE_NOMEM, LUN_NOMEM, "cannot be used: out of memory"},
    {SQLITE_FULL, LUN_IO,
	"cannot be written: disk full; free some space and start again"},
    {SQLITE_READONLY_RECOVERY, LUN_IO, UNREADABLE},
    {SQLITE_READONLY_CANTINIT, LUN_IO, UNREADABLE},
    {SQLITE_READONLY_CANTLOCK, LUN_IO, UNREADABLE},
    {SQLITE_READONLY_DBMOVED, LUN_IO,
	"was moved, deleted or replaced while it was open: put it back and "
	"start again"},
    {SQLITE_READONLY, LUN_IO,
	"cannot be written: the file, the -wal or -shm file beside it or "
	"its folder is read-only; change its permissions or name another "
	"file"},
    {SQLITE_CORRUPT, LUN_IO,
	"is damaged: restore it from a backup, or recover what can be "
	"recovered with the sqlite3 shell's .recover"},
    {SQLITE_NOTADB, LUN_CONFIG,
	"is not a SQLite database (or is encrypted): name another file"},
    {SQLITE_CANTOPEN, LUN_IO,
	"cannot be opened: check the permissions of the file, of the -wal "
	"and -shm files beside it, and of its folder"},
};

/* SQLite tells ENOSPC apart but not EFBIG, and often loses the cause. */
static bool
is_out_of_room(int result, int cause)
{
	return (result == SQLITE_IOERR_WRITE ||
		   result == SQLITE_IOERR_SHMSIZE) &&
	       cause != EIO;
}

static enum lun_code
describe_io_error(const char *path, int result, int cause, struct lun_err *err)
{
	if (is_out_of_room(result, cause))
		return lun_fail(err, LUN_IO,
		    "%s cannot be %s: disk full or file size limit reached; "
		    "free some space or raise the limit, and start again",
		    path,
		    result == SQLITE_IOERR_SHMSIZE
			? "opened, as its -shm file finds no room"
			: "written");
	return lun_fail(err, LUN_IO,
	    "%s cannot be read or written: disk I/O error %d (%s); check the "
	    "disk",
	    path, result, lun_errno_words(cause));
}

static enum lun_code
describe_result(const char *path, int result, int cause, const char *words,
    struct lun_err *err)
{
	size_t count = sizeof meanings / sizeof meanings[0];

	if ((result & 0xff) == SQLITE_CANTOPEN &&
	    (cause == EMFILE || cause == ENFILE))
		return lun_fail(err, LUN_IO, "%s cannot be opened: %s", path,
		    lun_errno_words(cause));
	if ((result & 0xff) == SQLITE_IOERR && result != SQLITE_IOERR_NOMEM)
		return describe_io_error(path, result, cause, err);
	if (result == SQLITE_IOERR_NOMEM)
		result = SQLITE_NOMEM;
	for (size_t i = 0; i < count; i++)
		if (meanings[i].result == result ||
		    meanings[i].result == (result & 0xff))
			return lun_fail(err, meanings[i].code, "%s %s", path,
			    meanings[i].words);
	return lun_fail(
	    err, LUN_IO, "%s: %s (SQLite error %d)", path, words, result);
}

/* SQLite does not note the cause when it is COMMIT itself that fails. */
static int
cause_of(sqlite3 *db)
{
	int cause = sqlite3_system_errno(db);
	sqlite3_file *wal = NULL;

	if (cause != 0)
		return cause;
	sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal);
	if (wal != NULL && wal->pMethods != NULL)
		wal->pMethods->xFileControl(
		    wal, SQLITE_FCNTL_LAST_ERRNO, &cause);
	return cause;
}

enum lun_code
lun_sqlite_fail(struct lun_sqlite *c, struct lun_err *err)
{
	return describe_result(c->file->path, sqlite3_extended_errcode(c->db),
	    cause_of(c->db), sqlite3_errmsg(c->db), err);
}

/* ---- opening ----------------------------------------------------------- */

/* What it cannot copy now is copied by the next one. */
static void
copy_log_back(sqlite3 *db)
{
	sqlite3_wal_checkpoint_v2(
	    db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}

/* After every commit of the connection. */
static int
record_log_pages(void *arg, sqlite3 *db, const char *schema, int pages)
{
	struct lun_sqlite_file *file = arg;
	int64_t limit = file->options.wal_autocheckpoint_pages;

	(void)schema;
	atomic_store(&file->log_pages, pages);
	if (limit > 0 && pages >= limit)
		copy_log_back(db);
	return SQLITE_OK;
}

static void
sleep_ns(int64_t ns)
{
	struct timespec time = {
	    .tv_sec = ns / NS_IN_S, .tv_nsec = ns % NS_IN_S};

	nanosleep(&time, NULL);
}

static int64_t
deadline_of(const struct lun_sqlite *c)
{
	return lun_clock_mono_ns() +
	       c->file->options.busy_timeout_ms * NS_IN_MS;
}

/* SQLite's own pauses grow to 100 ms: too long beside a busy writer. */
static int
wait_for_lock(void *arg, int count)
{
	struct lun_sqlite *c = arg;

	if (count == 0)
		c->deadline_ns =
		    c->begin_by_ns != 0 ? c->begin_by_ns : deadline_of(c);
	if (lun_clock_mono_ns() >= c->deadline_ns)
		return 0;
	sleep_ns(count < 20 ? SHORT_PAUSE : LONG_PAUSE);
	return 1;
}

/* "." for a name without a folder. */
static void
folder_of(const char *path, char *folder, size_t size)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		snprintf(folder, size, ".");
	else if (slash == path)
		snprintf(folder, size, "/");
	else
		snprintf(folder, size, "%.*s", (int)(slash - path), path);
}

/* SQLite says "unable to open database file" to all of these. */
static enum lun_code
check_database_path(const char *path, struct lun_err *err)
{
	char folder[4096];
	struct stat st;

	if (path[0] == '\0')
		return lun_fail(err, LUN_CONFIG,
		    "sqlite: no file named; write sqlite:PATH");
	if (path[0] == ':')
		return lun_fail(err, LUN_CONFIG,
		    "sqlite:%s: not a file; for a store that lives in memory "
		    "write memory:",
		    path);
	/* SQLite would read its own parameters there: another file, or none. */
	if (strncmp(path, "file:", 5) == 0)
		return lun_fail(err, LUN_CONFIG,
		    "sqlite:%s: a URI of SQLite's own; write sqlite:%s, or "
		    "sqlite:./%s for a file of that name",
		    path, path + 5, path);
	if (strlen(path) >= sizeof folder)
		return lun_fail(
		    err, LUN_CONFIG, "sqlite: the path is too long");
	folder_of(path, folder, sizeof folder);
	if (stat(folder, &st) != 0)
		return lun_fail(err, LUN_CONFIG,
		    "%s cannot be opened: folder %s: %s", path, folder,
		    lun_errno_words(errno));
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return lun_fail(err, LUN_CONFIG,
		    "%s cannot be opened: it is not a regular file", path);
	return LUN_OK;
}

/* The change to WAL mode does not ask the busy handler every time. */
static enum lun_code
exec_patiently(struct lun_sqlite *c, const char *sql, struct lun_err *err)
{
	int64_t deadline = deadline_of(c);
	int result = sqlite3_exec(c->db, sql, NULL, NULL, NULL);

	while (
	    (result & 0xff) == SQLITE_BUSY && lun_clock_mono_ns() < deadline) {
		sleep_ns(SHORT_PAUSE);
		result = sqlite3_exec(c->db, sql, NULL, NULL, NULL);
	}
	return result == SQLITE_OK ? LUN_OK : lun_sqlite_fail(c, err);
}

static enum lun_code
apply_options(struct lun_sqlite *c, struct lun_err *err)
{
	const struct lun_store_options *o = &c->file->options;
	char sql[256];

	snprintf(sql, sizeof sql,
	    "PRAGMA synchronous = %s;"
	    "PRAGMA cache_size = -%lld",
	    o->synchronous, (long long)o->cache_kib);
	sqlite3_wal_hook(c->db, record_log_pages, c->file);
	return exec_patiently(c, sql, err);
}

/* In a file that cannot be written WAL mode cannot be switched on either. */
static enum lun_code
use_wal(struct lun_sqlite *c, struct lun_err *err)
{
	sqlite3_stmt *q;
	enum lun_code code;

	code = exec_patiently(c, "PRAGMA journal_mode = WAL", err);
	if (code != LUN_OK)
		return code;
	code = lun_sqlite_prepare(c, "PRAGMA journal_mode", &q, err);
	if (code != LUN_OK)
		return code;
	code = lun_sqlite_step(c, q, err);
	if (code == LUN_OK &&
	    strcmp((const char *)sqlite3_column_text(q, 0), "wal") != 0)
		code = lun_fail(err, LUN_CONFIG,
		    "%s cannot be used in WAL mode: put it on a local file "
		    "system",
		    c->file->path);
	sqlite3_finalize(q);
	return code;
}

/* c->file is set; it is released on failure. */
static enum lun_code
open_database(struct lun_sqlite *c, struct lun_err *err)
{
	bool must_exist = c->file->options.must_exist;
	int create = must_exist ? 0 : SQLITE_OPEN_CREATE;
	enum lun_code code;
	int result;

	c->must_exist = must_exist;
	result =
	    sqlite3_open_v2(c->file->path, &c->db, OPEN_FLAGS | create, NULL);
	if (c->db == NULL)
		code = describe_result(c->file->path, SQLITE_NOMEM, 0, "", err);
	else if (result != SQLITE_OK)
		code = lun_sqlite_fail(c, err);
	else
		code = LUN_OK;
	if (code != LUN_OK)
		goto fail;
	sqlite3_busy_handler(c->db, wait_for_lock, c);
	/* A quoted name of no column is an error, not a text. */
	sqlite3_db_config(c->db, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
	c->read_only = sqlite3_db_readonly(c->db, "main") == 1;
	code = apply_options(c, err);
	if (code == LUN_OK && !c->read_only)
		code = use_wal(c, err);
	if (code == LUN_OK)
		return LUN_OK;
fail:
	lun_sqlite_close(c);
	return code;
}

enum lun_code
lun_sqlite_open(struct lun_sqlite *c, const char *path,
    const struct lun_store_options *options, struct lun_err *err)
{
	enum lun_code code = check_database_path(path, err);

	*c = (struct lun_sqlite){0};
	if (code != LUN_OK)
		return code;
	if (options != NULL && options->must_exist && access(path, F_OK) != 0 &&
	    errno == ENOENT)
		return LUN_NOTFOUND;
	if (options != NULL && synchronous_word(options->synchronous) == NULL)
		return lun_fail(err, LUN_CONFIG,
		    "%s: synchronous is off, normal or full, not %s", path,
		    options->synchronous);
	code = new_file(path, options, &c->file, err);
	if (code != LUN_OK)
		return code;
	code = open_database(c, err);
	/* Of a new database the log is made by whoever reads first. */
	if (code == LUN_OK && !c->read_only)
		code = exec_patiently(c, "PRAGMA schema_version", err);
	if (code == LUN_OK)
		code = lun_sqlite_place_note(&c->file->place, c->db, path, err);
	if (code != LUN_OK)
		lun_sqlite_close(c);
	return code;
}

enum lun_code
lun_sqlite_connect(
    struct lun_sqlite *c, const struct lun_sqlite *from, struct lun_err *err)
{
	enum lun_code code =
	    lun_sqlite_place_check(&from->file->place, from->file->path, err);

	*c = (struct lun_sqlite){0};
	if (code != LUN_OK)
		return code;
	c->file = from->file;
	atomic_fetch_add(&c->file->references, 1);
	return open_database(c, err);
}

void
lun_sqlite_close(struct lun_sqlite *c)
{
	lun_sqlite_rollback(c);
	sqlite3_close_v2(c->db);
	if (c->file != NULL)
		release_file(c->file);
	*c = (struct lun_sqlite){0};
}

const char *
lun_sqlite_path(const struct lun_sqlite *c)
{
	return c->file->path;
}

enum lun_code
lun_sqlite_check_place(struct lun_sqlite *c, struct lun_err *err)
{
	return lun_sqlite_place_check(&c->file->place, c->file->path, err);
}

enum lun_code
lun_sqlite_look_at_place(struct lun_sqlite *c, struct lun_err *err)
{
	return lun_sqlite_place_look(&c->file->place, c->file->path, err);
}

/* ---- the log ----------------------------------------------------------- */

/*
 * The first round copies the most, beside other writers. In the second nobody
 * of this process writes, so that it can come to the end of the log, which is
 * then begun anew.
 */
void
lun_sqlite_tend(struct lun_sqlite *c)
{
	struct lun_sqlite_file *file = c->file;
	int64_t limit = file->options.wal_autocheckpoint_pages;
	int pages = atomic_load(&file->log_pages);

	if (pages < file->tended_pages)
		file->tended_pages = 0; /* it was begun anew */
	if (limit == 0 || pages == file->tended_pages ||
	    pages - file->tended_pages < limit / TENDED_EARLY)
		return;
	copy_log_back(c->db);
	if (!lun_fair_lock_take(&file->writer_lock, deadline_of(c)))
		return;
	copy_log_back(c->db);
	file->tended_pages = atomic_load(&file->log_pages);
	lun_fair_lock_pass(&file->writer_lock);
}

/* ---- transactions ------------------------------------------------------ */

enum lun_code
lun_sqlite_take_turn(
    const struct lun_sqlite *c, int64_t *begin_by_ns, struct lun_err *err)
{
	*begin_by_ns = deadline_of(c);
	if (lun_fair_lock_take(&c->file->writer_lock, *begin_by_ns))
		return LUN_OK;
	return lun_fail(err, LUN_UNAVAILABLE,
	    "%s is locked by another connection of this process",
	    c->file->path);
}

void
lun_sqlite_pass_turn(const struct lun_sqlite *c)
{
	lun_fair_lock_pass(&c->file->writer_lock);
}

enum lun_code
lun_sqlite_begin(struct lun_sqlite *c, struct lun_err *err)
{
	enum lun_code code = LUN_OK;

	assert(!c->in_transaction);
	if (!c->has_turn)
		code = lun_sqlite_take_turn(c, &c->begin_by_ns, err);
	if (code == LUN_OK) {
		code = lun_sqlite_exec(c, "BEGIN IMMEDIATE", err);
		if (code != LUN_OK && !c->has_turn)
			lun_sqlite_pass_turn(c);
		c->in_transaction = code == LUN_OK;
	}
	c->begin_by_ns = 0;
	return code;
}

static void
end_transaction(struct lun_sqlite *c)
{
	c->in_transaction = false;
	if (!c->has_turn)
		lun_sqlite_pass_turn(c);
}

enum lun_code
lun_sqlite_commit(struct lun_sqlite *c, struct lun_err *err)
{
	enum lun_code code;

	assert(c->in_transaction);
	code = lun_sqlite_exec(c, "COMMIT", err);
	if (code != LUN_OK) {
		lun_sqlite_rollback(c);
		return code;
	}
	end_transaction(c);
	return lun_sqlite_check_place(c, err);
}

/* SQLite has rolled back by itself after the graver failures. */
void
lun_sqlite_rollback(struct lun_sqlite *c)
{
	if (!c->in_transaction)
		return;
	if (!sqlite3_get_autocommit(c->db))
		sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
	end_transaction(c);
}

enum lun_code
lun_sqlite_mark(struct lun_sqlite *c, struct lun_err *err)
{
	sqlite3_stmt *q;
	enum lun_code code;
	char sql[64];
	bool unmarked;

	code = lun_sqlite_prepare(c,
	    "SELECT application_id = 0 AND NOT EXISTS"
	    " (SELECT 1 FROM sqlite_schema) FROM pragma_application_id",
	    &q, err);
	if (code != LUN_OK)
		return code;
	code = lun_sqlite_step(c, q, err);
	unmarked = code == LUN_OK && sqlite3_column_int(q, 0) != 0;
	sqlite3_finalize(q);
	if (!unmarked)
		return code;
	snprintf(sql, sizeof sql, "PRAGMA application_id = %d",
	    LUN_SQLITE_APPLICATION_ID);
	return lun_sqlite_exec(c, sql, err);
}

/* ---- statements -------------------------------------------------------- */

enum lun_code
lun_sqlite_exec(struct lun_sqlite *c, const char *sql, struct lun_err *err)
{
	if (sqlite3_exec(c->db, sql, NULL, NULL, NULL) != SQLITE_OK)
		return lun_sqlite_fail(c, err);
	return LUN_OK;
}

enum lun_code
lun_sqlite_prepare(struct lun_sqlite *c, const char *sql, sqlite3_stmt **out,
    struct lun_err *err)
{
	if (sqlite3_prepare_v3(c->db, sql, -1, SQLITE_PREPARE_PERSISTENT, out,
		NULL) != SQLITE_OK)
		return lun_sqlite_fail(c, err);
	return LUN_OK;
}

static void
record_bind_result(struct lun_sqlite *c, int result)
{
	if (c->bind_result == SQLITE_OK)
		c->bind_result = result;
}

void
lun_sqlite_bind_text(
    struct lun_sqlite *c, sqlite3_stmt *q, int index, struct lun_text text)
{
	record_bind_result(c, sqlite3_bind_text64(q, index, text.bytes,
				  text.length, SQLITE_STATIC, SQLITE_UTF8));
}

void
lun_sqlite_bind_integer(
    struct lun_sqlite *c, sqlite3_stmt *q, int index, int64_t value)
{
	record_bind_result(c, sqlite3_bind_int64(q, index, value));
}

void
lun_sqlite_bind_number(
    struct lun_sqlite *c, sqlite3_stmt *q, int index, double value)
{
	record_bind_result(c, sqlite3_bind_double(q, index, value));
}

void
lun_sqlite_bind_null(struct lun_sqlite *c, sqlite3_stmt *q, int index)
{
	record_bind_result(c, sqlite3_bind_null(q, index));
}

enum lun_code
lun_sqlite_step(struct lun_sqlite *c, sqlite3_stmt *q, struct lun_err *err)
{
	int result = c->bind_result;

	if (result != SQLITE_OK) {
		c->bind_result = SQLITE_OK;
		return describe_result(
		    c->file->path, result, 0, sqlite3_errstr(result), err);
	}
	result = sqlite3_step(q);
	if (result == SQLITE_ROW)
		return LUN_OK;
	return result == SQLITE_DONE ? LUN_NOTFOUND : lun_sqlite_fail(c, err);
}

enum lun_code
lun_sqlite_run(struct lun_sqlite *c, sqlite3_stmt *q, struct lun_err *err)
{
	enum lun_code code = lun_sqlite_step(c, q, err);

	sqlite3_reset(q);
	return code == LUN_NOTFOUND ? LUN_OK : code;
}
