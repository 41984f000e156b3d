/*
 * event_store.h - the contract of an event store, and how the engine calls it.
 *
 * A struct lun_event_store is one connection: used by one thread at a time.
 * lun_event_store_connect() makes another one to the same store, for another
 * thread. A store never calls the engine.
 *
 * LUN_UNAVAILABLE means "try again later, nothing was lost"; LUN_IO means that
 * trying again will not help; LUN_CONFIG that the operator has to act.
 */

#ifndef LUN_STORE_EVENT_STORE_H
#define LUN_STORE_EVENT_STORE_H

#include "base/text.h"
#include "data/event.h"
#include "data/position.h"
#include "lunette.h"

#define LUN_EVENT_STORE_ABI 1
#define LUN_IDENTITY_SIZE   128
#define LUN_NOTICE_SIZE     400
#define LUN_POSITION_MAX    LUN_POSITION_TEXT_MAX
#define LUN_EVENT_BYTES_MAX ((size_t)16 << 20) /* of data or metadata */
#define LUN_EVENT_NAME_MAX  1000 /* bytes of a stream, type or id */

struct lun_log;

struct lun_store_options {
	int64_t busy_timeout_ms; /* how long one call waits for a lock */
	int64_t call_timeout_ms; /* postgres: for an answer; 0: 30 s */
	const char *synchronous; /* sqlite: "off", "normal" or "full" */
	int64_t wal_autocheckpoint_pages;
	int64_t cache_kib;         /* of pages, each connection */
	int64_t connections;       /* most that are open for models; 0: 10 */
	const struct lun_log *log; /* of what is no failure; NULL: nobody's */
	bool must_exist; /* nothing is made: an absent store is LUN_CONFIG */
};

struct lun_read {
	struct lun_position after;
	struct lun_event_filter filter;
	struct lun_text source_state; /* from the checkpoint or the last read */
	size_t max_events;
	size_t max_bytes; /* a batch may pass it by one event */
	/*
	 * Not below `after`; START: as far as it goes. What stands above it is
	 * left for another read, but for what a store has to give out early.
	 */
	struct lun_position upto;
	/*
	 * The reader goes on to the head: the store may make ready for that,
	 * and give an empty batch that is held, and not at_head, until it has.
	 */
	bool to_head;
};

static inline bool
lun_read_is_bounded(const struct lun_read *request)
{
	return lun_position_compare(request->upto, LUN_POSITION_START) > 0;
}

struct lun_lag {
	uint64_t events;
	bool exact; /* else an estimate */
	/* Of the first event not applied, which there may not be: LUN_TIME_*. */
	int64_t oldest_recorded_at;
	/* By the clock that gives events their times; a store may leave it. */
	int64_t now;
};

struct lun_append {
	struct lun_event event; /* position and version are set by the store */
	int64_t expected_version; /* or LUN_ANY_VERSION */
};

struct lun_append_result {
	struct lun_position position;
	int64_t version;
	bool existed; /* the id was there before; nothing was written */
};

/* The base every driver's own struct starts with. */
struct lun_event_store {
	const struct lun_event_store_ops *ops;
	bool in_transaction;
	bool made; /* by open: nothing was kept there before */
	/*
	 * Set by open and connect: its events may be of tenants, each of which
	 * has streams of its own. Others refuse to append an event of one.
	 */
	bool has_tenants;
};

struct lun_event_store_ops {
	const char *scheme; /* as messages name it */
	unsigned abi;       /* the LUN_EVENT_STORE_ABI it was built for */

	/*
	 * rest is the URL without "scheme:". An absent store is created,
	 * unless the options say that it must exist. On failure *out is left
	 * alone and nothing needs closing.
	 */
	enum lun_code (*open)(const char *rest,
	    const struct lun_store_options *options,
	    struct lun_event_store **out, struct lun_err *err);
	/* Another connection to the same store. */
	enum lun_code (*connect)(struct lun_event_store *store,
	    struct lun_event_store **out, struct lun_err *err);
	/* Never fails; an open transaction is rolled back. */
	void (*close)(struct lun_event_store *store);

	/* Text that no other event store has; NUL-terminated. */
	enum lun_code (*identity)(struct lun_event_store *store,
	    char identity[LUN_IDENTITY_SIZE], struct lun_err *err);

	/*
	 * Add the wanted events after request->after to the (cleared) batch,
	 * in order, never past the safe head or request->upto, and set
	 * reached, source_state and at_head, which a read that upto ends is
	 * not: there is more. reached lies below an upto that nobody can have
	 * come to, such as that of an event that is gone. Versions that a store counts without holes ascend in
	 * each stream, also where positions then do not; what was read ahead
	 * or behind is in the source state, which belongs to the position.
	 * held says that events can be seen which are not safe to read yet,
	 * ripens that they will be without anybody doing anything;
	 * look_us what the read cost the store, where that is less than the
	 * time it took. LUN_CONFIG if the store was replaced or cut back behind
	 * request->after; the message says what to do. The engine keeps more
	 * before a source state than methods see (tenants.h).
	 */
	enum lun_code (*read)(struct lun_event_store *store,
	    const struct lun_read *request, struct lun_batch *batch,
	    struct lun_err *err);

	/*
	 * The position of the last event there is. Where writers hold it back,
	 * reading comes to it once they have ended.
	 */
	enum lun_code (*head)(struct lun_event_store *store,
	    struct lun_position *head, struct lun_err *err);

	/* What a reader at `after` has not seen; looks at 10^6 rows at most. */
	enum lun_code (*lag)(struct lun_event_store *store,
	    struct lun_position after, const struct lun_event_filter *filter,
	    struct lun_lag *lag, struct lun_err *err);

	/*
	 * Append all or nothing; NULL if the store is read-only. Outside
	 * begin it is a transaction of its own. results has room for count.
	 * LUN_CONFLICT names stream, expected and actual version.
	 */
	enum lun_code (*append)(struct lun_event_store *store,
	    const struct lun_append *events, size_t count,
	    struct lun_append_result *results, struct lun_err *err);
	/*
	 * A transaction over several appends, for imports. An append that
	 * fails with LUN_CONFLICT or LUN_INVALID leaves it as it was before;
	 * after any other failure, also of commit, it is rolled back. LUN_AGAIN
	 * from an append: all of it has to be done anew, another writer's
	 * transaction came between.
	 */
	enum lun_code (*begin)(
	    struct lun_event_store *store, struct lun_err *err);
	enum lun_code (*commit)(
	    struct lun_event_store *store, struct lun_err *err);
	void (*rollback)(struct lun_event_store *store);

	/* LUN_NOTFOUND. */
	enum lun_code (*find)(struct lun_event_store *store, struct lun_text id,
	    struct lun_position *position, struct lun_err *err);

	/*
	 * A descriptor that becomes readable when there may be news, or -1.
	 * Only a hint: polling must carry everything alone. drain empties it.
	 * Optional.
	 */
	int (*wake_fd)(struct lun_event_store *store);
	void (*drain)(struct lun_event_store *store);

	/* The text form of a position. */
	void (*format_position)(struct lun_event_store *store,
	    struct lun_position position, char text[LUN_POSITION_MAX]);
	bool (*parse_position)(struct lun_event_store *store,
	    struct lun_text text, struct lun_position *position);

	/*
	 * Where a position lies on a scale that says how far apart two are:
	 * in events where positions number them, else in time. It asks nobody,
	 * and any thread may ask it. Optional: positions are numbers.
	 */
	double (*place)(
	    struct lun_event_store *store, struct lun_position position);

	/*
	 * One sentence an operator should know about how this store is read,
	 * or NULL; constant. Optional.
	 */
	const char *(*remark)(struct lun_event_store *store);

	/*
	 * What an operator should be told that came up since the last call on
	 * any connection of the store; false: nothing. Optional.
	 */
	bool (*notice)(
	    struct lun_event_store *store, char text[LUN_NOTICE_SIZE]);

	/*
	 * What a source state says of positions without an event: a JSON array
	 * of objects with state ("open": reading stops there, or "skipped"),
	 * from, to, numbers, at and reason. Events that can be seen and are not
	 * safe to read yet are "held". Optional.
	 */
	enum lun_code (*gaps)(struct lun_event_store *store,
	    struct lun_text source_state, struct lun_buffer *json,
	    struct lun_err *err);

	/*
	 * Of two readers at one position: whether the one with the state `own`
	 * may go on with `other`, as both gave out the same events. Of events
	 * up to *unproven the states say nothing (START: they say it of all).
	 * Looks at nothing of the store that ever changes: from any thread.
	 * Optional: without it the states have to be the same text.
	 */
	bool (*same_reach)(struct lun_event_store *store, struct lun_text own,
	    struct lun_text other, struct lun_position *unproven);

	/*
	 * Add in words for an operator who it is that holds back what a reader
	 * with this source state waits for; nothing if nobody does. Optional.
	 */
	enum lun_code (*held_by)(struct lun_event_store *store,
	    struct lun_text source_state, struct lun_buffer *words,
	    struct lun_err *err);

	/*
	 * Add the SQL that makes an index missing which would lead through the
	 * events in their order, with comments for whoever runs it; a comment
	 * alone where none is missing. Optional.
	 */
	enum lun_code (*index_sql)(struct lun_event_store *store,
	    struct lun_buffer *sql, struct lun_err *err);

	/*
	 * Add, each with a comma behind it, a JSON object for every layout of
	 * tables that can be read: layout, store, table, order. Optional.
	 */
	void (*layouts)(struct lun_buffer *json);
};

/* The drivers there are. */
extern const struct lun_event_store_ops lun_memory_events;
extern const struct lun_event_store_ops lun_sqlite_events;
extern const struct lun_event_store_ops lun_postgres_events;

/*
 * The engine calls drivers only through these; each does what the method of
 * its name promises, checks the order of calls and the limits above, and says
 * "not supported" for an absent optional method.
 */
/* options may be NULL: those of the driver. */
enum lun_code lun_event_store_open(const char *url,
    const struct lun_store_options *options, struct lun_event_store **out,
    struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_event_store_connect(struct lun_event_store *store,
    struct lun_event_store **out, struct lun_err *err) LUN_MUSTCHECK;
/* NULL is allowed. */
void lun_event_store_close(struct lun_event_store *store);
enum lun_code lun_event_store_identity(struct lun_event_store *store,
    char identity[LUN_IDENTITY_SIZE], struct lun_err *err) LUN_MUSTCHECK;
/* LUN_INVALID for a stream, type or id that is no text, here and below. */
enum lun_code lun_event_store_read(struct lun_event_store *store,
    const struct lun_read *request, struct lun_batch *batch,
    struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_event_store_head(struct lun_event_store *store,
    struct lun_position *head, struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_event_store_lag(struct lun_event_store *store,
    struct lun_position after, const struct lun_event_filter *filter,
    struct lun_lag *lag, struct lun_err *err) LUN_MUSTCHECK;
/*
 * Events without an id get a new UUID (version 4), those whose recorded_at is
 * LUN_TIME_UNKNOWN the time now; any other must lie in the years 1 to 9999. Data and metadata must be valid JSON (LUN_INVALID). results may be
 * NULL.
 */
enum lun_code lun_event_store_append(struct lun_event_store *store,
    const struct lun_append *events, size_t count,
    struct lun_append_result *results, struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_event_store_begin(
    struct lun_event_store *store, struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_event_store_commit(
    struct lun_event_store *store, struct lun_err *err) LUN_MUSTCHECK;
void lun_event_store_rollback(struct lun_event_store *store);
enum lun_code lun_event_store_find(struct lun_event_store *store,
    struct lun_text id, struct lun_position *position,
    struct lun_err *err) LUN_MUSTCHECK;
int lun_event_store_wake_fd(struct lun_event_store *store);
void lun_event_store_drain(struct lun_event_store *store);
void lun_event_store_format_position(struct lun_event_store *store,
    struct lun_position position, char text[LUN_POSITION_MAX]);
/* LUN_INVALID quotes the text. */
enum lun_code lun_event_store_parse_position(struct lun_event_store *store,
    struct lun_text text, struct lun_position *position,
    struct lun_err *err) LUN_MUSTCHECK;
double lun_event_store_place(
    struct lun_event_store *store, struct lun_position position);
const char *lun_event_store_remark(struct lun_event_store *store);
bool lun_event_store_notice(
    struct lun_event_store *store, char text[LUN_NOTICE_SIZE]);
enum lun_code lun_event_store_gaps(struct lun_event_store *store,
    struct lun_text source_state, struct lun_buffer *json,
    struct lun_err *err) LUN_MUSTCHECK;
/* From any thread, whoever uses the store meanwhile. */
bool lun_event_store_same_reach(struct lun_event_store *store,
    struct lun_text own, struct lun_text other, struct lun_position *unproven);
enum lun_code lun_event_store_held_by(struct lun_event_store *store,
    struct lun_text source_state, struct lun_buffer *words,
    struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_event_store_index_sql(struct lun_event_store *store,
    struct lun_buffer *sql, struct lun_err *err) LUN_MUSTCHECK;

#endif
