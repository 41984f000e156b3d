/*
 * engine.h - the inside of an engine, for the files of this folder and for
 * api/, which together make up its public face.
 *
 * Locks, in the order in which they may be taken: run_lock, register_lock,
 * entry->step_lock, append_lock, lock, stores_lock, board.lock; the readers',
 * the losses' and the files' own are taken last and alone, the slots' and then
 * the crew's after any but the board's.
 * entries only grow while the engine lives.
 */

#ifndef LUN_RUNTIME_ENGINE_H
#define LUN_RUNTIME_ENGINE_H

#include "projection/projection.h"
#include "runtime/connections.h"
#include "runtime/entry_index.h"
#include "runtime/files.h"
#include "runtime/load.h"
#include "runtime/reader.h"
#include "runtime/worker.h"

#define LUN_PATH_MAX 4096

/* A registered projection. */
struct lun_entry {
	char name[LUN_NAME_MAX + 1];
	char path[LUN_PATH_MAX]; /* "": from memory; changes under both the
				    register_lock and the lock */
	struct lun_entry *next_of_name; /* the index's */
	struct lun_entry *next_of_path;
	struct lun_projection *p;
	/*
	 * Whoever holds it while there is no worker may use the projection.
	 * The worker comes and goes under this lock and engine->lock.
	 */
	pthread_mutex_t step_lock;
	struct lun_worker *worker; /* NULL: not running */

	/* Under engine->lock: readers lost to the handle_query of a text. */
	char loser_hash[LUN_BUNDLE_HASH_SIZE];
	int lost_readers;

	uint64_t counted_events;        /* the monitor's, for rates */
	enum lun_state published_state; /* the monitor's */
	bool renewal_fails;             /* the monitor's */
	bool renewal_told;              /* the monitor's; the log knows */
	int64_t counted_ns;
};

struct lun_engine {
	struct lun_settings settings;
	struct lun_memory memory;
	struct lun_log log;
	struct lun_board board;
	struct lun_surroundings around;
	struct lun_connections connections;
	char owner[LUN_OWNER_SIZE];

	/* Only to connect from, and for the text of positions. */
	struct lun_event_store *events;
	struct lun_model_store *models;
	pthread_mutex_t stores_lock;
	struct lun_subscription *subscription; /* of those that are live */

	pthread_mutex_t run_lock;      /* for a start, a stop, a whole run */
	atomic_bool stopping;          /* a run to the head is to end early */
	pthread_mutex_t register_lock; /* one script at a time */

	pthread_mutex_t lock;
	struct lun_entry **entries;
	size_t entry_count;
	size_t entry_capacity;
	struct lun_entry_index index;
	bool running;

	struct lun_crew crew;
	struct lun_slots slots;

	struct lun_readers readers;
	struct lun_load_losses losses;

	/* Apart from those: an append waits as long as its store is locked. */
	pthread_mutex_t append_lock;
	struct lun_event_store *appender; /* NULL: nothing was appended yet */

	struct lun_monitor *monitor;   /* NULL: not running */
	struct lun_follower *follower; /* NULL: not running; under lock */
	struct lun_files files;        /* registered from */
	atomic_bool name_freed;        /* a projection has lost its file */
};

/* The entry of that name, or NULL. */
struct lun_entry *lun_engine_find(struct lun_engine *engine, const char *name);
/* The entry with this index, or NULL past the end. */
struct lun_entry *lun_engine_at(struct lun_engine *engine, size_t index);
size_t lun_engine_count(struct lun_engine *engine);
bool lun_engine_is_running(struct lun_engine *engine);
/* There may be news for the workers. */
void lun_engine_wake(struct lun_engine *engine);
/* There may be events: for those who read. */
void lun_engine_wake_readers(struct lun_engine *engine);
/* How scripts are loaded here; nobody stops it. */
struct lun_loading lun_engine_loading(struct lun_engine *engine);

/* Take run_lock, unless the engine runs already. */
enum lun_code lun_engine_begin_running(
    struct lun_engine *engine, struct lun_err *err) LUN_MUSTCHECK;
/* With run_lock held; `until` as in worker.h. */
enum lun_code lun_engine_start_all(struct lun_engine *engine,
    const struct lun_position *until, struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_engine_stop_all(
    struct lun_engine *engine, struct lun_err *err) LUN_MUSTCHECK;

/*
 * Start a worker for an entry, unless the engine has been stopped meanwhile;
 * `until` as in worker.h.
 */
enum lun_code lun_entry_start(struct lun_engine *engine,
    struct lun_entry *entry, const struct lun_position *until,
    struct lun_err *err) LUN_MUSTCHECK;
/*
 * Take the entry's projection for the calling thread. LUN_CONFIG if it has a
 * worker, LUN_BUDGET if it was left behind.
 */
enum lun_code lun_entry_take(struct lun_engine *engine, struct lun_entry *entry,
    struct lun_err *err) LUN_MUSTCHECK;
void lun_entry_give_back(struct lun_entry *entry);

void lun_entry_free(struct lun_entry *entry);

/* For lun_surroundings; loader is the engine. */
enum lun_code lun_engine_load(void *loader, const char *projection,
    const atomic_bool *stop, struct lun_script **out,
    struct lun_err *err) LUN_MUSTCHECK;

/* A script file changed, appeared or went away. */
void lun_engine_file_changed(
    struct lun_engine *engine, const char *path, const atomic_bool *stop);
/* Whether a projection comes from this file. */
bool lun_engine_has_path(struct lun_engine *engine, const char *path);

/* ---- follower.c: changed files ----------------------------------------- */

struct lun_follower;

enum lun_code lun_follower_start(struct lun_engine *engine,
    struct lun_follower **out, struct lun_err *err) LUN_MUSTCHECK;
/* Files are followed now. */
void lun_follower_ring(struct lun_follower *follower);
/* Stop and free. NULL is allowed. */
void lun_follower_stop(struct lun_follower *follower);

/* ---- monitor.c: heartbeats, rates, the watchdog ------------------------ */

struct lun_monitor;

enum lun_code lun_monitor_start(struct lun_engine *engine,
    struct lun_monitor **out, struct lun_err *err) LUN_MUSTCHECK;
/* From here on it changes nothing any more. NULL is allowed. */
void lun_monitor_halt(struct lun_monitor *monitor);
/* Publish how everything ended, and free. NULL is allowed. */
void lun_monitor_free(struct lun_monitor *monitor);

#endif
