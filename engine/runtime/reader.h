/*
 * reader.h - a bounded pool of readers, which serve everything that only looks.
 *
 * A reader is a connection to each store, made when it is first needed, what
 * the stored models look like, the Lua states that answer handle_query and a
 * thread for them. Whoever takes one has it alone and gives it back; nobody
 * holds a lock meanwhile. The setting `readers` says how many there are. All
 * but one of them may be busy with handle_query, so that a plain look never
 * waits for scripts alone.
 */

#ifndef LUN_RUNTIME_READER_H
#define LUN_RUNTIME_READER_H

#include <pthread.h>

#include "base/background.h"
#include "script/script.h"
#include "store/event_store.h"
#include "store/model_store.h"

#define LUN_READER_STATES    8
#define LUN_READER_USER_SIZE 64

/* Which stores somebody needs. */
#define LUN_READS_EVENTS 1U
#define LUN_READS_MODELS 2U

struct lun_engine;

/* What stored models look like, with the text that it was read from. */
struct lun_reader_schema {
	struct lun_schema *schema;
	struct lun_buffer text;
};

struct lun_reader {
	struct lun_event_store *events; /* NULL: not needed so far */
	struct lun_model_store *models;
	struct lun_background *thread;                /* runs handle_query */
	struct lun_script *states[LUN_READER_STATES]; /* the last used first */
	struct lun_reader_schema schemas[LUN_READER_STATES];
	size_t oldest_schema;

	/* The pool's, under its lock. */
	struct lun_reader *next;
	bool taken;
	bool answers;
	char user[LUN_READER_USER_SIZE]; /* what it was taken for */
	int64_t taken_ns;
};

struct lun_readers {
	pthread_mutex_t lock;
	pthread_cond_t returned;
	struct lun_reader *first;
	size_t count;
	size_t answering; /* so many are taken for handle_query */
};

/* What a reader is wanted for. */
struct lun_reading {
	const char *what;       /* "get": for those who wait to know */
	const char *projection; /* NULL: of none alone */
	unsigned stores;        /* LUN_READS_... */
	bool answers;           /* a handle_query will run */
	int64_t deadline_ns;    /* of the wait; 0: as call_timeout_ms says */
};

void lun_readers_init(struct lun_readers *readers);
/* None may be taken. Those that were lost are not waited for. */
void lun_readers_fini(struct lun_readers *readers);

/*
 * Wait for a reader. LUN_TIMEOUT says who has them; else what connecting to
 * the stores says.
 */
enum lun_code lun_reader_take(struct lun_engine *engine,
    const struct lun_reading *reading, struct lun_reader **out,
    struct lun_err *err) LUN_MUSTCHECK;
void lun_reader_give_back(struct lun_engine *engine, struct lun_reader *reader);
/* The last event that can be seen, by a reader taken for that. */
enum lun_code lun_reader_find_head(struct lun_engine *engine, const char *what,
    struct lun_position *head, struct lun_err *err) LUN_MUSTCHECK;
/*
 * Its thread does not come back: another reader may be made in its place. It
 * is the thread's now, to be freed should it ever end.
 */
void lun_reader_lose(struct lun_engine *engine, struct lun_reader *reader);
/* One that was lost, or was never in the pool. */
void lun_reader_free(struct lun_reader *reader);

/* The schema in a checkpoint, borrowed until the reader is given back. */
enum lun_code lun_reader_schema(struct lun_reader *reader,
    const char *projection, const struct lun_checkpoint *stored,
    const struct lun_schema **out, struct lun_err *err) LUN_MUSTCHECK;

/* The state of this text of the projection's script; NULL: there is none. */
struct lun_script *lun_reader_find_state(
    struct lun_reader *reader, const char *projection, const char *hash);
/* Takes over a state; the one not used for longest makes room. */
void lun_reader_keep_state(
    struct lun_reader *reader, struct lun_script *script);
/* Free the state used last. */
void lun_reader_drop_state(struct lun_reader *reader);

#endif
