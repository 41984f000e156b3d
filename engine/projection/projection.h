/*
 * projection.h - one projection: its states and its step().
 *
 * A projection is used by one thread at a time, its worker or whoever steps
 * it, except for the report, which is guarded by the lock it is created with.
 * It owns its connections, its script and its unit of work. Connections and
 * memory are made when they are needed first: the models' to own or administer
 * it, the rest to run it.
 */

#ifndef LUN_PROJECTION_PROJECTION_H
#define LUN_PROJECTION_PROJECTION_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/background.h"
#include "base/log.h"
#include "projection/parked.h"
#include "script/script.h"
#include "settings/memory.h"
#include "settings/settings.h"
#include "store/event_store.h"
#include "store/model_store.h"
#include "store/subscription.h"
#include "store/unit_of_work.h"

enum lun_state {
	LUN_STATE_NEW,
	LUN_STATE_CATCHING_UP,
	LUN_STATE_LIVE,
	LUN_STATE_PAUSED,
	LUN_STATE_STANDBY, /* another engine runs it */
	LUN_STATE_FAILED,
	LUN_STATE_DETACHED, /* its script file is gone */
};

const char *lun_state_name(enum lun_state state);

/* What it is doing; phase.c says what may follow what. */
enum lun_phase {
	LUN_PHASE_RELEASED,       /* not owned by this engine */
	LUN_PHASE_STANDBY,        /* another engine owns it, as far as known */
	LUN_PHASE_FAILED_UNOWNED, /* whoever comes next may try again */
	LUN_PHASE_OWNED,          /* the checkpoint is to be read, or anew */
	LUN_PHASE_PREPARED,       /* it is read; nothing else is known yet */
	LUN_PHASE_CATCHING_UP,
	LUN_PHASE_LIVE,
	LUN_PHASE_PAUSED,
	LUN_PHASE_FAILED,    /* owned: until a reload, a resume, a rebuild */
	LUN_PHASE_DETACHED,  /* its script file is gone */
	LUN_PHASE_ABANDONED, /* stuck and left behind: it touches nothing */
	LUN_PHASE_COUNT
};

const char *lun_phase_name(enum lun_phase phase);
bool lun_phase_may_follow(enum lun_phase now, enum lun_phase next);

/* What a step came to, if it did not fail. */
enum lun_step_outcome {
	LUN_STEP_APPLIED, /* a batch, or only its position, as nobody wants it */
	LUN_STEP_IDLE,    /* there is nothing to read */
	LUN_STEP_PAUSED,
	LUN_STEP_WAITING, /* until an event that failed is tried again */
	LUN_STEP_REPEAT,  /* the batch is read again at once, cut shorter */
};

struct lun_step {
	enum lun_step_outcome outcome;
	size_t applied; /* events */
	size_t cut;     /* to be repeated, at once or later: so many events */
	bool too_large; /* it was cut as its models take too much memory */
};

/* Whether the next step may follow at once. */
static inline bool
lun_step_has_moved(enum lun_code code, struct lun_step step)
{
	return code == LUN_OK && (step.outcome == LUN_STEP_APPLIED ||
				     step.outcome == LUN_STEP_REPEAT);
}

/* What may become of an event that the script fails on, but a stop. */
enum lun_set_aside_kind {
	LUN_SET_ASIDE_PARKED,
	LUN_SET_ASIDE_SKIPPED,
	LUN_SET_ASIDE_KINDS,
};

/* Events of a kind: what the log has not said yet, and when it said the last. */
struct lun_set_aside {
	uint64_t unsaid;
	int64_t said_ns; /* 0: never */
};

/* What other threads may see of a projection. */
struct lun_report {
	enum lun_state state;
	int version; /* of the script in force */
	bool owned;
	bool lost;       /* the store says that it belongs to another engine */
	int64_t fence;   /* of the ownership */
	bool stuck;      /* its script does not come back from a library call */
	bool text_waits; /* handed to its worker and not yet in force */
	bool has_position;
	struct lun_position position;            /* applied and durable */
	uint64_t events_read;                    /* by this process */
	uint64_t set_aside[LUN_SET_ASIDE_KINDS]; /* likewise; durable */
	double events_per_second;
	char waiting_for[LUN_WAITING_SIZE];
	char request_waits[LUN_WAITING_SIZE]; /* what a request waits for */
	char held_by[LUN_WAITING_SIZE];       /* who holds back the safe head */
	char last_error[512];
};

/* Shared by an engine's projections: the lock and bell of their reports. */
struct lun_board {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint64_t
	    endings; /* how often something ended, which is not in a report */
	atomic_uint lookers;  /* workers that look for news by themselves */
	atomic_uint indexing; /* that make indexes, each on a thread */
};

void lun_board_ring(struct lun_board *board);

/* What a projection needs from its engine; outlives the projection. */
struct lun_surroundings {
	const struct lun_settings *settings;
	const struct lun_memory *memory;
	const struct lun_log *log;
	struct lun_board *board;
	struct lun_event_store *events; /* connect from these only; positions */
	struct lun_model_store *models;
	pthread_mutex_t *stores_lock;          /* held while connecting */
	struct lun_subscription *subscription; /* to the tail of the events */
	const char *owner;                     /* host and process, in words */
	/*
	 * What stands in the script file of a projection now, from whatever
	 * thread runs that, soon after stop was set not; *out is NULL where
	 * the script came from no file.
	 */
	enum lun_code (*load)(void *loader, const char *projection,
	    const atomic_bool *stop, struct lun_script **out,
	    struct lun_err *err);
	void *loader;
};

/* What became of a parked event that was tried again. */
enum lun_fate {
	LUN_FATE_APPLIED,
	LUN_FATE_FAILED, /* its list has the new error */
	LUN_FATE_QUEUED, /* behind one of its model that failed */
};

/* A batch of parked events that are tried again. */
struct lun_retrial {
	struct lun_failed_events *list; /* the events, each under its model */
	enum lun_fate *fates;           /* one each */
	struct lun_err first;           /* failure; code LUN_OK: none */
};

/* What became of parked events that were tried again, for a commit. */
struct lun_retried {
	const int64_t *done; /* numbers of those to remove */
	size_t done_count;
	const struct lun_new_error *failed;
	size_t failed_count;
};

/* A commit on its way: what the write set points at. */
struct lun_pending_commit {
	struct lun_write_set write_set;
	struct lun_collected collected;
	struct lun_failed_events parked;
	struct lun_failed_events skipped;
	struct lun_buffer source_state;
	bool under_way;
	int64_t took_ns; /* in the store */
};

/* The making of indexes, beside everything else. */
struct lun_indexing {
	struct lun_background *beside;
	struct lun_schema *schema; /* of the one under way */
	bool under_way;
	bool done;
	bool told;        /* why it failed */
	int64_t retry_ns; /* not before */
	atomic_bool stop; /* apart: compilers read neighbours in one go */
};

/* Events that can be seen, but not be read yet: when to look for whom. */
struct lun_held_back {
	int64_t look_ns; /* 0: none are */
	int64_t said_ns; /* in the log; 0: not yet */
};

struct lun_projection {
	char name[LUN_NAME_MAX + 1];
	struct lun_key key;
	const struct lun_surroundings *around;
	/* NULL: not needed yet, or not while it shares the reading. */
	struct lun_event_store *events;
	/* NULL: not needed yet; so the next. */
	struct lun_model_store *models; /* loads, owns, administers */
	struct lun_model_store *writer; /* commits */
	struct lun_script *script;      /* changes under around->board->lock */
	struct lun_script *next_script; /* raised version: waits for rebuild */
	struct lun_unit_of_work *uow;

	/* lun_projection_enter() alone changes it, under around->board->lock. */
	_Atomic(enum lun_phase) phase;

	/* Whatever the phase: */
	bool has_worker;       /* which is patient with locked stores */
	bool warned_of_large;  /* one of its models */
	bool schema_is_stored; /* the stored models have the script's */
	bool fetches;          /* the next batch ahead, if there is a fetcher */
	bool fetch_under_way;

	int64_t fence;
	int64_t renewed_ns;
	int64_t revision; /* as it will be once the commit under way is done */
	char identity[LUN_IDENTITY_SIZE];

	/* Reading. cursor is applied, though perhaps not committed yet. */
	struct lun_position cursor;
	struct lun_buffer cursor_state;
	struct lun_position committed;
	int64_t committed_ns;
	int64_t commit_took_ns;  /* the last one */
	struct lun_batch *batch; /* the one being applied */
	struct lun_batch *ahead; /* the one being fetched */
	struct lun_read ahead_request;
	struct lun_subscriber *subscriber; /* NULL: it reads by itself only */
	struct lun_position upto; /* of the last read; START: any. It may join
				     the shared reading there */
	bool looks_inside;  /* the script does, at the data of most events */
	bool ahead_skimmed; /* so the next batch's data is skimmed ahead ... */
	atomic_bool ahead_awaited; /* ... until somebody waits for it */
	size_t batch_size;
	size_t touched_each; /* bytes of models for each event, of late */
	size_t only; /* events in the next batch, to isolate one; 0: free */

	atomic_bool request_waits; /* so its owner is to look for it */
	int64_t requests_ns;       /* no look for requests before that */
	int64_t requests_pause_ns; /* before that, where looking failed */
	int64_t request_number;    /* of the one under way; 0: none, or asked
				      on this thread */
	bool requests_refused;     /* for good, and that was said */

	/* The event that failed last, and how often. */
	struct lun_position suspect;
	int attempts;
	int64_t retry_at_ns;

	struct lun_failed_events parked; /* by the batch being applied */
	struct lun_failed_events skipped;
	struct lun_pending_commit commit;
	struct lun_set_aside set_aside[LUN_SET_ASIDE_KINDS];
	struct lun_held_back held;
	struct lun_background *fetcher; /* NULL: everything on one thread */
	struct lun_background *committer;
	struct lun_indexing indexing;

	atomic_bool stop_asked; /* give up waiting for a locked store */

	struct lun_report report; /* guarded by around->board->lock */
	bool wait_is_told;        /* to the log, of this cause; like it */
	int64_t wait_told_ns;     /* of any cause last; like it */
};

/* script is taken over, also on failure; NULL: only for administration. */
enum lun_code lun_projection_new(const char *name, struct lun_script *script,
    const struct lun_surroundings *around, struct lun_projection **out,
    struct lun_err *err) LUN_MUSTCHECK;
/* Release ownership and free. NULL is allowed. */
void lun_projection_free(struct lun_projection *p);

/* Fetch and commit beside applying from now on, if threads can be had. */
void lun_projection_overlap(struct lun_projection *p);
/* No longer; what that took is freed. */
void lun_projection_end_overlap(struct lun_projection *p);
/* There is nothing to do: the memory of the last batch is freed. */
void lun_projection_rest(struct lun_projection *p);

/*
 * Once it is live it may share the reading of the tail from now on, and has
 * nothing to do until wake is called; from any thread. Without memory for that
 * it reads by itself.
 */
void lun_projection_share(
    struct lun_projection *p, void (*wake)(void *arg), void *arg);
/* No longer; wake is not called any more. */
void lun_projection_end_sharing(struct lun_projection *p);
/* From any thread, while it may share: whether it does. */
bool lun_projection_shares(const struct lun_projection *p);

/* Become the owner, if that has not been done. LUN_OWNED names who is. */
enum lun_code lun_projection_own(
    struct lun_projection *p, struct lun_err *err) LUN_MUSTCHECK;
/*
 * Nobody knows whether the last change was made: the next one acquires it anew,
 * under a fence that keeps older changes from landing late.
 */
void lun_projection_doubt_ownership(struct lun_projection *p);
/* What is in memory may not go on from what is stored: read it anew. */
void lun_projection_doubt_checkpoint(struct lun_projection *p);
/* After a refused commit: whether somebody else owns it; then it is let go. */
bool lun_projection_has_lost(struct lun_projection *p);
/* From any thread: the ownership with this fence has passed on. */
void lun_projection_note_loss(struct lun_projection *p, int64_t fence);
/* For those who need the event store without running the projection. */
enum lun_code lun_projection_connect_events(
    struct lun_projection *p, struct lun_err *err) LUN_MUSTCHECK;
/* Own it, make its tables exist and read the checkpoint, if need be. */
enum lun_code lun_projection_prepare(
    struct lun_projection *p, struct lun_err *err) LUN_MUSTCHECK;
/* Commit what is applied, hand the ownership back. */
void lun_projection_disown(struct lun_projection *p);

/*
 * One batch: read, apply, commit. LUN_UNAVAILABLE: a store is away, try again
 * later. Any other failure has made the projection failed: its owner waits for
 * a reload, a resume or a rebuild, others may try again. Only with LUN_OK does
 * *step say what the step came to.
 */
enum lun_code lun_projection_one_step(struct lun_projection *p,
    struct lun_step *step, struct lun_err *err) LUN_MUSTCHECK;

/* Wait for the commit under way and commit a position that moved alone. */
enum lun_code lun_projection_flush(
    struct lun_projection *p, struct lun_err *err) LUN_MUSTCHECK;

/*
 * Put a changed script in the old one's place; script is taken over. Refused
 * (LUN_CONFIG) if fields or handles differ under the same version, or if the
 * version is higher: the script then waits for a rebuild.
 */
enum lun_code lun_projection_swap(struct lun_projection *p,
    struct lun_script *script, struct lun_err *err) LUN_MUSTCHECK;

/*
 * Execute an administrative request; the projection must be owned. A failed
 * projection starts anew after a resume, a rebuild or a retry.
 */
enum lun_code lun_projection_execute(struct lun_projection *p,
    enum lun_request_kind kind, const char *argument,
    struct lun_err *err) LUN_MUSTCHECK;
/*
 * Execute the requests waiting in the model store; looks now and then or, if it
 * has a worker, once it was told that there are some (request_waits). before,
 * if not NULL, is called before each: whatever was handed over before the
 * request was made is taken up there.
 */
typedef void lun_before_request_fn(void *arg);
void lun_projection_serve_requests(
    struct lun_projection *p, lun_before_request_fn *before, void *arg);

/*
 * The only place where the phase changes, and with it the report. error, which
 * may be NULL, is why. What may not follow is refused, and said in the log.
 * From any thread for LUN_PHASE_ABANDONED, else from the projection's own.
 */
void lun_projection_enter(
    struct lun_projection *p, enum lun_phase next, const struct lun_err *error);
bool lun_projection_is(const struct lun_projection *p, enum lun_phase phase);
bool lun_projection_is_owned(const struct lun_projection *p);
/* May apply and commit. */
bool lun_projection_is_prepared(const struct lun_projection *p);
/* The ownership is gone; a failure stays one. */
void lun_projection_release_phase(struct lun_projection *p);
/* A failed projection has another go, with all its retries. */
void lun_projection_begin_anew(struct lun_projection *p);
/* In words for status; "" for nothing. */
void lun_projection_wait_for(struct lun_projection *p, const char *what);
/* After a step: say who holds back events, where somebody has for a second. */
void lun_projection_note_held(struct lun_projection *p);
/*
 * The same for a request that could not be done yet, while the projection goes
 * on; "" when none is left. The log says it once.
 */
void lun_projection_request_waits(struct lun_projection *p, const char *why);
/*
 * A store is away; the log says so, and again where the cause becomes another
 * one. From the projection's own thread or its committer.
 */
void lun_projection_wait_for_store(struct lun_projection *p, const char *why);
/* NULL forgets the last error. */
void lun_projection_note_error(
    struct lun_projection *p, const struct lun_err *error);
/* Everything up to here is applied and durable. */
void lun_projection_note_position(
    struct lun_projection *p, struct lun_position position);
/*
 * The same after a read. Where the head is reached, whoever waited for that
 * finds the projection live.
 */
void lun_projection_note_reached(
    struct lun_projection *p, struct lun_position position);
/* Until it is noted again, nobody's wait for a position is over. */
void lun_projection_forget_position(struct lun_projection *p);
struct lun_report lun_projection_report(struct lun_projection *p);
/* What of it costs no copy. */
enum lun_state lun_projection_state(struct lun_projection *p);
/* The report in the form in which other processes get it. */
void lun_projection_fill_heartbeat(
    struct lun_projection *p, struct lun_heartbeat *heartbeat);

/* From any thread: what the script in force declares. */
enum lun_code lun_projection_copy_schema(struct lun_projection *p,
    struct lun_schema **out, struct lun_err *err) LUN_MUSTCHECK;
/* Replace the script, under the lock: a watchdog may be looking at it. */
void lun_projection_put_script(
    struct lun_projection *p, struct lun_script *script);

/* ---- between the files of this folder ---------------------------------- */

/* Try parked events again, or discard them: of a model; NULL, "": of all. */
enum lun_code lun_projection_retry_parked(struct lun_projection *p,
    const char *argument, struct lun_err *err) LUN_MUSTCHECK;
enum lun_code lun_projection_discard_parked(struct lun_projection *p,
    const char *argument, struct lun_err *err) LUN_MUSTCHECK;

/*
 * Run the script over the batch, setting aside what fails as the script
 * wishes. With LUN_OK step->outcome is LUN_STEP_APPLIED, or else nothing of
 * the batch remains: it has to be read again, cut to step->cut events, at once
 * (LUN_STEP_REPEAT) or after a pause (LUN_STEP_WAITING). retrial is NULL for
 * events of the log; parked ones stay parked, whatever the script wishes, if
 * they fail the one time that they are tried.
 */
enum lun_code lun_projection_apply(struct lun_projection *p,
    const struct lun_batch *batch, struct lun_retrial *retrial,
    struct lun_step *step, struct lun_err *err) LUN_MUSTCHECK;

/*
 * Hand what the unit of work changed to a commit that moves to `position`.
 * retried: of parked events; NULL if none were tried again.
 */
enum lun_code lun_projection_commit(struct lun_projection *p,
    struct lun_position position, struct lun_text source_state,
    const struct lun_retried *retried, bool beside,
    struct lun_err *err) LUN_MUSTCHECK;
/*
 * Bring what comes next into p->batch. LUN_NOTFOUND: there is nothing, and it
 * will be woken; so it will if the event store is away (LUN_UNAVAILABLE).
 * LUN_AGAIN: it has to read by itself, up to p->upto.
 */
enum lun_code lun_projection_take_shared(
    struct lun_projection *p, struct lun_err *err) LUN_MUSTCHECK;
/*
 * It is live by its own reading: share the other one at once, if that is where
 * it is. False: it is not now.
 */
bool lun_projection_may_share(struct lun_projection *p);
/* It goes on by itself; the shared events are gone from the batch. */
void lun_projection_leave_shared(struct lun_projection *p);
/* LUN_CONFLICT if its models are not of this event store. */
enum lun_code lun_projection_check_identity(struct lun_projection *p,
    struct lun_event_store *events, const char *stored,
    struct lun_err *err) LUN_MUSTCHECK;

/* Wait for the commit under way, if any. */
enum lun_code lun_projection_settle(
    struct lun_projection *p, struct lun_err *err) LUN_MUSTCHECK;
/* The commit with these parked and skipped events is durable. */
void lun_projection_note_set_aside(struct lun_projection *p);
/* What the log has not said of them yet. */
void lun_projection_say_set_aside(struct lun_projection *p);
/* Wait for the fetch under way, if any, and drop what it brings. */
void lun_projection_end_fetching(struct lun_projection *p);
/* Drop everything not committed: go on from the checkpoint. */
void lun_projection_abandon_batch(struct lun_projection *p);
/*
 * Have the indexes made that are missing, or see what became of it; beside
 * everything else if it has a worker, once few others do so.
 */
void lun_projection_index(struct lun_projection *p);
/* The same here and now. */
void lun_projection_index_here(struct lun_projection *p);
/* Wait for those under way; give_up: the store goes on with them alone. */
void lun_projection_finish_indexing(struct lun_projection *p, bool give_up);
/* The tables may be others from here on. */
void lun_projection_index_anew(struct lun_projection *p);
void lun_projection_free_indexing(struct lun_projection *p);

#endif
