/* monitor.c - what is done for all projections at once, every now and then. */

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/thread.h"
#include "runtime/engine.h"

#define NS_PER_MS 1000000LL
#define NS_PER_S  1e9
#define TICK_MS   100

#define COST_FACTOR 100          /* a look takes that part of the time */
#define SELDOM_NS   1000000000LL /* no more than that between two */

struct lun_monitor {
	struct lun_engine *engine;
	struct lun_model_store *store;
	pthread_t thread;
	int bell;
	atomic_bool stop;
	int64_t published_ns;
	int64_t counted_ns;
	int64_t renew_at_ns;
	int64_t requests_at_ns;
	bool renewal_fails; /* of all, and the log knows */
};

/* ---- what is published ------------------------------------------------- */

enum extent {
	ALL,
	NEWS,
	LAST, /* all, as the engine ends */
};

/* What is said of a projection when its engine ends. */
static void
mark_stopped(struct lun_heartbeat *heartbeat)
{
	if (strcmp(heartbeat->state, lun_state_name(LUN_STATE_FAILED)) != 0)
		snprintf(heartbeat->state, sizeof heartbeat->state, "stopped");
	heartbeat->events_per_second = 0;
	heartbeat->owner[0] = '\0';
	heartbeat->waiting_for[0] = '\0';
}

/* Only what this engine runs; what another one holds is its to publish. */
static bool
runs_here(struct lun_entry *entry)
{
	struct lun_report report = lun_projection_report(entry->p);

	return !report.lost && report.state != LUN_STATE_STANDBY &&
	       report.state != LUN_STATE_NEW;
}

/* Whether its state is another than the one published last, which it is now. */
static bool
take_news(struct lun_entry *entry)
{
	enum lun_state state = lun_projection_state(entry->p);
	bool news = state != entry->published_state;

	entry->published_state = state;
	return news;
}

static size_t
collect_heartbeats(struct lun_engine *engine, enum extent extent,
    struct lun_heartbeat *heartbeats, size_t room)
{
	struct lun_entry *entry;
	size_t count = 0;

	for (size_t i = 0;
	     i < room && (entry = lun_engine_at(engine, i)) != NULL; i++) {
		if ((!take_news(entry) && extent == NEWS) || !runs_here(entry))
			continue;
		lun_projection_fill_heartbeat(entry->p, &heartbeats[count]);
		if (extent == LAST)
			mark_stopped(&heartbeats[count]);
		count++;
	}
	return count;
}

static void
publish_status(struct lun_monitor *monitor, enum extent extent)
{
	struct lun_engine *engine = monitor->engine;
	struct lun_heartbeat *heartbeats;
	struct lun_err err;
	size_t count, room = lun_engine_count(engine);

	heartbeats = calloc(room + 1, sizeof *heartbeats);
	if (heartbeats == NULL)
		return;
	count = collect_heartbeats(engine, extent, heartbeats, room);
	if (count > 0 && lun_model_store_publish(
			     monitor->store, heartbeats, count, &err) != LUN_OK)
		lun_log(&engine->log, LUN_LOG_DEBUG,
		    "publishing the status: %s", err.message);
	free(heartbeats);
}

static bool
has_news(struct lun_engine *engine)
{
	struct lun_entry *entry;

	for (size_t i = 0; (entry = lun_engine_at(engine, i)) != NULL; i++)
		if (lun_projection_state(entry->p) != entry->published_state)
			return true;
	return false;
}

/* All now and then, so that none grows old; meanwhile who changes. */
static void
publish_what_is_due(struct lun_monitor *monitor, int64_t now)
{
	struct lun_engine *engine = monitor->engine;
	int64_t heartbeat_ns = engine->settings.heartbeat_ms * NS_PER_MS;

	if (now - monitor->published_ns >= heartbeat_ns) {
		publish_status(monitor, ALL);
		monitor->published_ns = now;
	} else if (has_news(engine)) {
		publish_status(monitor, NEWS);
	}
}

/* ---- rates and the watchdog -------------------------------------------- */

static void
measure_rates(struct lun_monitor *monitor, int64_t now)
{
	struct lun_engine *engine = monitor->engine;
	double seconds = (double)(now - monitor->counted_ns) / NS_PER_S;
	struct lun_entry *entry;

	for (size_t i = 0; (entry = lun_engine_at(engine, i)) != NULL; i++) {
		struct lun_report *report = &entry->p->report;

		pthread_mutex_lock(&engine->board.lock);
		report->events_per_second =
		    (double)(report->events_read - entry->counted_events) /
		    seconds;
		entry->counted_events = report->events_read;
		pthread_mutex_unlock(&engine->board.lock);
	}
	monitor->counted_ns = now;
}

static void
mark_stuck(struct lun_engine *engine, struct lun_entry *entry, bool stuck)
{
	struct lun_report *report = &entry->p->report;
	bool changed;

	pthread_mutex_lock(&engine->board.lock);
	changed = report->stuck != stuck;
	report->stuck = stuck;
	if (changed)
		snprintf(report->waiting_for, sizeof report->waiting_for, "%s",
		    stuck ? "its script, stuck in a library call (a string "
			    "pattern?) where no budget reaches it"
			  : "");
	pthread_cond_broadcast(&engine->board.changed);
	pthread_mutex_unlock(&engine->board.lock);
	if (changed && stuck)
		lun_log(&engine->log, LUN_LOG_ERROR,
		    "%s: its script is stuck in a library call", entry->name);
}

static void
watch_scripts(struct lun_engine *engine)
{
	struct lun_entry *entry;

	for (size_t i = 0; (entry = lun_engine_at(engine, i)) != NULL; i++) {
		bool stuck = false;

		pthread_mutex_lock(&engine->lock);
		if (entry->worker != NULL)
			stuck = lun_worker_stuck(
			    entry->worker, engine->settings.stuck_ms);
		pthread_mutex_unlock(&engine->lock);
		mark_stuck(engine, entry, stuck);
	}
}

static void
wake_worker(struct lun_engine *engine, struct lun_entry *entry)
{
	pthread_mutex_lock(&engine->lock);
	if (entry->worker != NULL)
		lun_worker_wake(entry->worker);
	pthread_mutex_unlock(&engine->lock);
}

/* ---- requests ---------------------------------------------------------- */

/* Whoever owns the projection is to look at what it is asked for. */
static void
note_request(struct lun_engine *engine, struct lun_entry *entry)
{
	if (entry == NULL || !lun_projection_report(entry->p).owned)
		return;
	atomic_store(&entry->p->request_waits, true);
	wake_worker(engine, entry);
}

static enum lun_code
take_waiting(void *arg, struct lun_key key, struct lun_err *err)
{
	struct lun_engine *engine = arg;

	(void)err;
	note_request(engine, lun_engine_find(engine, key.projection));
	return LUN_OK;
}

/*
 * One look for all, which costs a store a hundredth of its time at most. Where
 * it fails each projection looks for itself, and says what is wrong.
 */
static void
look_for_requests(struct lun_monitor *monitor, int64_t now)
{
	struct lun_engine *engine = monitor->engine;
	struct lun_entry *entry;
	int64_t spacing;

	if (now < monitor->requests_at_ns)
		return;
	if (lun_model_store_requests_waiting(
		monitor->store, take_waiting, engine, NULL) != LUN_OK)
		for (size_t i = 0; (entry = lun_engine_at(engine, i)) != NULL;
		     i++)
			note_request(engine, entry);
	spacing = (lun_clock_mono_ns() - now) * COST_FACTOR;
	monitor->requests_at_ns =
	    now + (spacing < SELDOM_NS ? spacing : SELDOM_NS);
}

/* ---- leases ------------------------------------------------------------ */

/* Those to be renewed, and whose they are. */
struct leases {
	struct lun_lease *list;
	struct lun_entry **entries;
	size_t count;
};

/* A stuck script's lease is left to run out: somebody else may take over. */
static void
collect_leases(struct lun_engine *engine, size_t room, struct leases *leases)
{
	struct lun_entry *entry;

	for (size_t i = 0;
	     i < room && (entry = lun_engine_at(engine, i)) != NULL; i++) {
		struct lun_report report = lun_projection_report(entry->p);

		if (!report.owned || report.lost || report.stuck)
			continue;
		leases->entries[leases->count] = entry;
		leases->list[leases->count++] = (struct lun_lease){
		    .key = entry->p->key, .fence = report.fence};
	}
}

/* Its worker may have handed the ownership back since. */
static bool
is_owned(struct lun_projection *p)
{
	return lun_projection_report(p).owned;
}

/* A loss; else once, of a lock only if it is not over by the next time. */
static void
tell_renewal(const struct lun_engine *engine, struct lun_entry *entry,
    bool locked, const struct lun_err *err)
{
	bool first = !entry->renewal_fails;

	entry->renewal_fails = true;
	if (err->code != LUN_CONFLICT &&
	    (entry->renewal_told || (locked && first)))
		return;
	entry->renewal_told = true;
	lun_log(&engine->log, LUN_LOG_WARNING, "%s: renewing the ownership: %s",
	    entry->name, err->message);
}

static bool
end_renewal(struct lun_entry *entry)
{
	entry->renewal_fails = entry->renewal_told = false;
	return true;
}

/* False if it is to be tried again soon. */
static bool
note_renewal(struct lun_engine *engine, struct lun_entry *entry,
    const struct lun_lease *lease)
{
	struct lun_err err;
	enum lun_code code = lun_lease_check(lease, &err);

	if (code == LUN_OK || (code == LUN_CONFLICT && !is_owned(entry->p)))
		return end_renewal(entry);
	tell_renewal(engine, entry, lease->renewal == LUN_RENEWAL_LOCKED, &err);
	if (code != LUN_CONFLICT)
		return false;
	lun_projection_note_loss(entry->p, lease->fence);
	wake_worker(engine, entry);
	return end_renewal(entry);
}

static bool
renew_collected(struct lun_monitor *monitor, struct leases *leases)
{
	struct lun_engine *engine = monitor->engine;
	struct lun_err err;
	bool renewed = true;

	if (leases->count == 0)
		return true;
	if (lun_model_store_renew(monitor->store, leases->list, leases->count,
		engine->settings.lease_ms, &err) != LUN_OK) {
		if (!monitor->renewal_fails)
			lun_log(&engine->log, LUN_LOG_WARNING,
			    "renewing the ownership of %zu projections: %s",
			    leases->count, err.message);
		monitor->renewal_fails = true;
		return false;
	}
	monitor->renewal_fails = false;
	for (size_t i = 0; i < leases->count; i++)
		renewed = note_renewal(
			      engine, leases->entries[i], &leases->list[i]) &&
			  renewed;
	return renewed;
}

/* Where that failed it is tried again soon. */
static void
renew_leases(struct lun_monitor *monitor, int64_t now)
{
	struct lun_engine *engine = monitor->engine;
	int64_t third_ns = engine->settings.lease_ms * NS_PER_MS / 3;
	size_t room = lun_engine_count(engine);
	struct leases leases = {
	    .list = calloc(room + 1, sizeof *leases.list),
	    .entries = calloc(room + 1, sizeof(struct lun_entry *)),
	};
	bool renewed = false;

	if (leases.list != NULL && leases.entries != NULL) {
		collect_leases(engine, room, &leases);
		renewed = renew_collected(monitor, &leases);
	}
	free(leases.list);
	free(leases.entries);
	monitor->renew_at_ns = now + (renewed ? third_ns : third_ns / 4);
}

/* ---- the store --------------------------------------------------------- */

/* Those who catch up commit so much that a little less is no help. */
static void
tend_store(struct lun_monitor *monitor)
{
	struct lun_entry *entry;

	for (size_t i = 0; (entry = lun_engine_at(monitor->engine, i)) != NULL;
	     i++)
		if (lun_projection_state(entry->p) == LUN_STATE_CATCHING_UP)
			return;
	lun_model_store_tend(monitor->store);
}

/* ---- the loop ---------------------------------------------------------- */

/* False: it is to stop. */
static bool
wait_for_tick(const struct lun_monitor *monitor)
{
	struct pollfd bell = {.fd = monitor->bell, .events = POLLIN};

	poll(&bell, 1, TICK_MS);
	return !atomic_load(&monitor->stop);
}

static void *
run_monitor(void *arg)
{
	struct lun_monitor *monitor = arg;
	struct lun_engine *engine = monitor->engine;
	int64_t heartbeat_ns = engine->settings.heartbeat_ms * NS_PER_MS;

	while (wait_for_tick(monitor)) {
		int64_t now = lun_clock_mono_ns();

		watch_scripts(engine);
		lun_crew_look(&engine->crew);
		lun_slots_look(&engine->slots);
		look_for_requests(monitor, now);
		if (now >= monitor->renew_at_ns)
			renew_leases(monitor, now);
		tend_store(monitor);
		if (now - monitor->counted_ns >= heartbeat_ns)
			measure_rates(monitor, now);
		publish_what_is_due(monitor, now);
	}
	return NULL;
}

/* ---- life -------------------------------------------------------------- */

static void
free_monitor(struct lun_monitor *monitor)
{
	if (monitor->bell >= 0)
		close(monitor->bell);
	lun_model_store_close(monitor->store);
	free(monitor);
}

enum lun_code
lun_monitor_start(
    struct lun_engine *engine, struct lun_monitor **out, struct lun_err *err)
{
	struct lun_monitor *monitor = calloc(1, sizeof *monitor);
	enum lun_code code;

	if (monitor == NULL)
		return lun_fail(err, LUN_NOMEM, "monitor: out of memory");
	monitor->engine = engine;
	monitor->counted_ns = lun_clock_mono_ns();
	monitor->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_lock(&engine->stores_lock);
	code =
	    lun_model_store_connect_kept(engine->models, &monitor->store, err);
	pthread_mutex_unlock(&engine->stores_lock);
	if (code == LUN_OK && monitor->bell < 0)
		code = lun_fail(
		    err, LUN_IO, "monitor: %s", lun_errno_words(errno));
	if (code == LUN_OK)
		code = lun_thread_start(&monitor->thread, "lunette-monitor",
		    run_monitor, monitor, err);
	if (code != LUN_OK) {
		free_monitor(monitor);
		return code;
	}
	*out = monitor;
	return LUN_OK;
}

void
lun_monitor_halt(struct lun_monitor *monitor)
{
	uint64_t one = 1;

	if (monitor == NULL)
		return;
	atomic_store(&monitor->stop, true);
	(void)!write(monitor->bell, &one, sizeof one);
	pthread_join(monitor->thread, NULL);
}

void
lun_monitor_free(struct lun_monitor *monitor)
{
	if (monitor == NULL)
		return;
	publish_status(monitor, LAST);
	free_monitor(monitor);
}
