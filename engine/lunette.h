/*
 * lunette.h - the public interface of the Lunette engine.
 *
 * An engine reads events from one event store, runs projections (Lua scripts)
 * over them and keeps their models in one model store.
 *
 * Ownership: what a function returns through an out-parameter named *json or
 * *text is a NUL-terminated string that the caller frees with lun_free().
 * Everything handed in is borrowed for the length of the call only; a pointer
 * is NULL only where its comment allows that.
 * Threads: every function may be called from any thread; an engine must not
 * be closed while another call on it is under way.
 * Failure: a function that can fail returns a code and describes the failure
 * in *err, which may be NULL. On failure out-parameters are untouched.
 * The library never exits, aborts, prints or installs a signal handler. The
 * locale of the host is left as it is, and nothing depends on it.
 * Signals are blocked in its threads; a host with a limit of the size of files
 * that ignores SIGXFSZ gets an error in place of the signal.
 */

#ifndef LUNETTE_H
#define LUNETTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LUN_MUSTCHECK    __attribute__((warn_unused_result))
#define LUN_PRINTF(f, a) __attribute__((format(printf, f, a)))

/* What went wrong, told apart by what the caller does next. */
enum lun_code {
	LUN_OK = 0,
	LUN_AGAIN,       /* nothing to do now */
	LUN_NOTFOUND,    /* the thing asked for does not exist */
	LUN_CONFLICT,    /* somebody else was first: do not retry blindly */
	LUN_OWNED,       /* another engine runs this projection */
	LUN_UNAVAILABLE, /* a store is away or busy: worth retrying */
	LUN_TIMEOUT,     /* the time limit of a wait has passed */
	LUN_IO,          /* a store refused: retrying will not help */
	LUN_INVALID,     /* the data or query handed in is wrong */
	LUN_SCRIPT,      /* the projection script is wrong or raised an error */
	LUN_BUDGET,      /* the script used too much time or memory */
	LUN_CONFIG,      /* the operator asked for something impossible */
	LUN_NOMEM,
};

/* The code as a word for machines: "conflict", "script" ... */
const char *lun_code_name(enum lun_code code);

/*
 * Where a failure is described. It holds no pointers: reporting an error
 * never allocates, and a copy is an assignment.
 */
struct lun_err {
	enum lun_code code;
	char message[512]; /* one line */
	char detail[1536]; /* more lines, such as a traceback; may be empty */
};

/* "1.0.0" */
const char *lun_version(void);

/* NULL is allowed. */
void lun_free(void *text);

/* ---- an engine --------------------------------------------------------- */

enum lun_log_level {
	LUN_LOG_ERROR,
	LUN_LOG_WARNING,
	LUN_LOG_INFO,
	LUN_LOG_DEBUG
};

/* Called from any thread; message is one line. It must not call the engine. */
typedef void lun_log_fn(
    void *arg, enum lun_log_level level, const char *message);

/* One setting; the names, defaults and limits are in docs/settings.md. */
struct lun_setting {
	const char *name;
	const char *value;
};

struct lun_engine_options {
	const struct lun_setting *settings;
	size_t setting_count;
	lun_log_fn *log; /* NULL: no log */
	void *log_arg;
	bool must_exist; /* false: a store that is absent is made, and logged */
};

struct lun_engine;

/*
 * Open both stores. Required settings: "events" and "models" (URLs).
 * LUN_CONFIG for an unknown setting, a bad value, an unknown URL scheme or a
 * store that must exist and does not.
 */
enum lun_code lun_engine_open(const struct lun_engine_options *options,
    struct lun_engine **out, struct lun_err *err) LUN_MUSTCHECK;

/*
 * Stop and free. NULL is allowed. Waits for the batches under way; a script
 * stuck inside one library call is left behind with its thread (leaked) after
 * the setting stop_ms, so this never hangs. An error in a progress function:
 * there it stops the run as lun_engine_stop() does, and frees nothing.
 */
void lun_engine_close(struct lun_engine *engine);

/* ---- events ------------------------------------------------------------ */

#define LUN_ANY_VERSION (-1)

struct lun_new_event {
	const char *id; /* NULL: a new UUID; a stored one is not stored again */
	/* NULL: of none. LUN_INVALID if the event store keeps no tenants. */
	const char *tenant;
	const char *stream;
	const char *type;
	const char *data;     /* JSON */
	const char *metadata; /* JSON or NULL */
	/*
	 * Microseconds since 1970 UTC, in the years 1 to 9999; 0 is now, unless
	 * at_epoch says that it is 1970-01-01T00:00:00Z itself.
	 */
	int64_t recorded_at;
	bool at_epoch;
	/*
	 * Version the stream must be at before this event (0: a new stream),
	 * or LUN_ANY_VERSION. A mismatch is LUN_CONFLICT.
	 */
	int64_t expected_version;
};

/*
 * Where an event stands: the text that its event store writes, such as "42",
 * or a token, which says of which event store it is too and is refused by any
 * other. Whatever takes a position takes either.
 */
#define LUN_POSITION_TEXT_MAX 64
#define LUN_TOKEN_SIZE        43

struct lun_appended {
	char position[LUN_POSITION_TEXT_MAX];
	int64_t version;
	bool existed;               /* an event with this id was there before */
	char token[LUN_TOKEN_SIZE]; /* "" if the store is not known */
};

/*
 * All or nothing. appended may be NULL, else it has room for count.
 * LUN_INVALID for an event without stream, type or data, or data that is not
 * JSON; LUN_CONFLICT for a version that was expected and is not there.
 */
enum lun_code lun_engine_append(struct lun_engine *engine,
    const struct lun_new_event *events, size_t count,
    struct lun_appended *appended, struct lun_err *err) LUN_MUSTCHECK;

/* ---- projections ------------------------------------------------------- */

/*
 * Register a script file. The projection's name is written to name if that is
 * not NULL (room for 41 bytes). A script that is registered already is
 * reloaded. LUN_SCRIPT names the file and the line or the field; LUN_CONFIG if
 * it is no regular file; LUN_BUDGET if loading it took too much, or got stuck
 * inside one library call for the setting stuck_ms: its thread is then left
 * behind (leaked), the text not tried again, and after eight of these nothing
 * is loaded any more.
 */
enum lun_code lun_engine_register(struct lun_engine *engine, const char *path,
    char *name, struct lun_err *err) LUN_MUSTCHECK;

/*
 * Register it if it is the script of this projection; LUN_NOTFOUND if it is
 * another one's, which is then not registered.
 */
enum lun_code lun_engine_register_as(struct lun_engine *engine,
    const char *path, const char *projection,
    struct lun_err *err) LUN_MUSTCHECK;

/* Register one from memory; chunk is what errors call the source. */
enum lun_code lun_engine_register_source(struct lun_engine *engine,
    const char *chunk, const char *source, size_t length, char *name,
    struct lun_err *err) LUN_MUSTCHECK;

/* Register every *.lua (but not *_spec.lua) of a folder. */
enum lun_code lun_engine_register_folder(struct lun_engine *engine,
    const char *folder, struct lun_err *err) LUN_MUSTCHECK;

/*
 * Load and validate a script and touch nothing. *json describes it. Each call
 * on one that gets stuck inside a library call leaves a thread behind.
 */
enum lun_code lun_script_check(
    const char *path, char **json, struct lun_err *err) LUN_MUSTCHECK;

/*
 * One batch of a projection on the calling thread: read, apply, commit.
 * LUN_AGAIN, and why, when there is nothing to do. applied (may be NULL) gets
 * the number of events read.
 * projection NULL: one of each that is registered, and the sum of them.
 * LUN_AGAIN if there was nothing to do for any. After a failure the others
 * still have their turn, then the first failure is told.
 */
enum lun_code lun_projection_step(struct lun_engine *engine,
    const char *projection, size_t *applied, struct lun_err *err) LUN_MUSTCHECK;

struct lun_progress {
	const char *projection;
	/*
	 * Of the way to the head, from 0 to 1: told by the positions passed (by
	 * their times where they are no numbers), not by counting events. It is
	 * right whatever the projection handles, and leaps where positions do.
	 */
	double fraction;
	uint64_t events_done;   /* since this run began */
	uint64_t events_parked; /* of those done, as on_error has it */
	uint64_t events_skipped;
	double seconds; /* that it has run; no more once it has ended */
};

/*
 * Called about ten times a second from the calling thread. It may use the
 * engine, but not close it; lun_engine_stop() in it is as false.
 */
typedef bool lun_progress_fn(void *arg, const struct lun_progress *progress,
    size_t count); /* false: stop early */

/*
 * Bring every registered projection to the head seen now. LUN_OK only if all
 * of them got there; else the first failure (the others still run on).
 */
enum lun_code lun_engine_run_once(struct lun_engine *engine,
    lun_progress_fn *progress, void *arg, struct lun_err *err) LUN_MUSTCHECK;

/* Run every projection on threads of its own until stopped. */
enum lun_code lun_engine_start(
    struct lun_engine *engine, struct lun_err *err) LUN_MUSTCHECK;

/*
 * Finish the batches under way. LUN_TIMEOUT if a stuck script was left. In a
 * progress function it returns at once: the run ends after that.
 */
enum lun_code lun_engine_stop(struct lun_engine *engine, struct lun_err *err);

/*
 * Follow the files and folders registered from: whatever comes to be there (an
 * edit, a link that leads elsewhere, another folder) is taken up within some
 * seconds, at once where the system gives hints (inotify).
 */
enum lun_code lun_engine_watch(
    struct lun_engine *engine, struct lun_err *err) LUN_MUSTCHECK;

/*
 * ---- reading models -----------------------------------------------------
 *
 * What only looks, here and below, is served by a pool of readers (the setting
 * "readers"), so that a slow query delays nobody. A call that gets none within
 * the setting call_timeout_ms, or within its own time limit, ends with
 * LUN_TIMEOUT and says who has them.
 */

/*
 * One model as a JSON object; an id that is an integer is asked for by its
 * decimal text. LUN_NOTFOUND.
 */
enum lun_code lun_engine_get(struct lun_engine *engine, const char *projection,
    const char *id, char **json, struct lun_err *err) LUN_MUSTCHECK;

/*
 * Models as a JSON array. filters are PostgREST terms such as
 * "balance=gte.1000", "order=balance.desc,id", "limit=10"; see docs/query.md.
 */
enum lun_code lun_engine_query(struct lun_engine *engine,
    const char *projection, const char *const *filters, size_t count,
    char **json, struct lun_err *err) LUN_MUSTCHECK;

/*
 * Wait until the projection has applied everything up to a token or position
 * (those lun_engine_append returned) or, if after is NULL, up to the head now.
 * LUN_INVALID for a token of an event store that is not the projection's.
 * Without running workers it steps by itself. LUN_TIMEOUT.
 */
enum lun_code lun_engine_wait(struct lun_engine *engine, const char *projection,
    const char *after, int64_t timeout_ms, struct lun_err *err) LUN_MUSTCHECK;

/* ---- operation --------------------------------------------------------- */

/* Every projection known to the engine or the model store: a JSON array. */
enum lun_code lun_engine_status(
    struct lun_engine *engine, char **json, struct lun_err *err) LUN_MUSTCHECK;

/* The same of one, a JSON object. LUN_NOTFOUND. */
enum lun_code lun_projection_status(struct lun_engine *engine,
    const char *projection, char **json, struct lun_err *err) LUN_MUSTCHECK;

/* The names alone, a JSON array; that costs no counting of events. */
enum lun_code lun_engine_projections(
    struct lun_engine *engine, char **json, struct lun_err *err) LUN_MUSTCHECK;

/*
 * Administration. Executed at a batch edge by whichever engine runs the
 * projection, else, or once that one is gone, by this call itself; returns when
 * it is done.
 */
enum lun_request_kind {
	LUN_REQUEST_PAUSE,
	LUN_REQUEST_RESUME,
	LUN_REQUEST_REBUILD,           /* clear, then replay; ends a pause */
	LUN_REQUEST_RETRY,             /* parked events; argument: model id */
	LUN_REQUEST_DISCARD,           /* parked events; argument: model id */
	LUN_REQUEST_SET_CHECKPOINT,    /* argument: token or position */
	LUN_REQUEST_DELETE_CHECKPOINT, /* forget projection and models */
	LUN_REQUEST_ADOPT_CHECKPOINT,  /* its event store is the one here */
};

/*
 * argument may be NULL. timeout_ms bounds the wait for another engine; so many
 * that the clock has no such moment are no bound. LUN_INVALID for a kind that
 * is none of these.
 * A rebuild builds what stands in the script's file now, as the engine that runs
 * the projection reads it; LUN_CONFIG, and nothing is changed, if fields, handles
 * or the key's type differ from what is built and the version is not higher, or
 * if another text of the script is registered here. It returns when the models
 * are cleared; if no engine runs the projection, lun_projection_step() or
 * lun_engine_run_once() replays it. LUN_TIMEOUT: it was not done, and will not
 * be; the message says what was in the way, if that is known.
 */
enum lun_code lun_engine_request(struct lun_engine *engine,
    const char *projection, enum lun_request_kind kind, const char *argument,
    int64_t timeout_ms, struct lun_err *err) LUN_MUSTCHECK;

/*
 * Parked events, a JSON array; model_id may be NULL for all. Of an event whose
 * data is not JSON as Lunette takes it (a key that is there twice, say) "data"
 * is the text as a string, and "data_error" says why; "metadata" likewise.
 */
enum lun_code lun_engine_parked(struct lun_engine *engine,
    const char *projection, const char *model_id, char **json,
    struct lun_err *err) LUN_MUSTCHECK;

/* Skipped events (on_error = "skip"), the latest first, a JSON array. */
enum lun_code lun_engine_skipped(struct lun_engine *engine,
    const char *projection, char **json, struct lun_err *err) LUN_MUSTCHECK;

/*
 * Positions without an event, where the event store has such: those that
 * reading waits for and those that were passed over; and, of events that can
 * be seen and are held back, the first and the last. A JSON array, with who is
 * waited for as the reason.
 */
enum lun_code lun_engine_gaps(struct lun_engine *engine, const char *projection,
    char **json, struct lun_err *err) LUN_MUSTCHECK;

/* One JSON object. LUN_NOTFOUND before the first commit. */
enum lun_code lun_engine_checkpoint(struct lun_engine *engine,
    const char *projection, char **json, struct lun_err *err) LUN_MUSTCHECK;

struct lun_events_filter {
	const char *stream; /* NULL: every stream */
	const char *type;   /* NULL: every type */
	const char *after;  /* token, position; NULL: from the beginning */
	uint64_t limit;     /* 0: no limit */
	bool tokens;        /* give the token of each event too */
};

/*
 * One event as a JSON object, as those parked are; false ends the reading. It
 * may use the engine, but not close it.
 */
typedef bool lun_event_fn(void *arg, const char *json, size_t length);

/*
 * Stored events in the order of their positions, those of a stream in that of
 * their versions, one call of event for each, from the calling thread. Those that can be seen and are not safe to read yet
 * are waited for: as long as it takes where only a grace time has to pass, else for a second; then the log says who holds
 * them back, and the list ends. LUN_INVALID for a position or token that is none of this event store.
 */
enum lun_code lun_engine_events(struct lun_engine *engine,
    const struct lun_events_filter *filter, lun_event_fn *event, void *arg,
    struct lun_err *err) LUN_MUSTCHECK;

#ifdef __cplusplus
}
#endif

#endif
