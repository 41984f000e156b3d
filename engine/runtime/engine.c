/* engine.c - an engine: settings in, projections out. */

#include "runtime/engine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/descriptors.h"
#include "base/error.h"
#include "base/thread.h"

#define HOST_MAX 64

/* ---- opening and closing ----------------------------------------------- */

static void
name_owner(char owner[LUN_OWNER_SIZE])
{
	char host[HOST_MAX] = "";

	if (gethostname(host, sizeof host - 1) != 0)
		snprintf(host, sizeof host, "unknown host");
	snprintf(
	    owner, LUN_OWNER_SIZE, "process %ld on %s", (long)getpid(), host);
}

static enum lun_log_level
level_of(const char *word)
{
	static const char *const words[] = {
	    [LUN_LOG_ERROR] = "error",
	    [LUN_LOG_WARNING] = "warning",
	    [LUN_LOG_INFO] = "info",
	    [LUN_LOG_DEBUG] = "debug",
	};

	for (int i = LUN_LOG_ERROR; i < LUN_LOG_DEBUG; i++)
		if (strcmp(words[i], word) == 0)
			return (enum lun_log_level)i;
	return LUN_LOG_DEBUG;
}

static void
tell_made(const struct lun_engine *engine)
{
	if (engine->events->made)
		lun_log(&engine->log, LUN_LOG_WARNING,
		    "made the event store %s", engine->settings.events);
	if (engine->models->made)
		lun_log(&engine->log, LUN_LOG_INFO, "made the model store %s",
		    engine->settings.models);
}

static enum lun_code
open_stores(struct lun_engine *engine, bool must_exist, struct lun_err *err)
{
	const struct lun_settings *settings = &engine->settings;
	struct lun_store_options options = lun_settings_for_stores(settings);
	enum lun_code code;

	options.must_exist = must_exist;
	options.log = &engine->log;
	options.cache_kib = lun_memory_event_pages_kib(settings->memory_bytes);
	if (settings->events == NULL || settings->models == NULL)
		return lun_fail(err, LUN_CONFIG,
		    "opening an engine: the setting \"%s\" is missing: give "
		    "a URL such as sqlite:app.db",
		    settings->events == NULL ? "events" : "models");
	code = lun_event_store_open(
	    settings->events, &options, &engine->events, err);
	options.cache_kib = lun_memory_model_pages_kib(settings->memory_bytes);
	if (code == LUN_OK)
		code = lun_model_store_open(
		    settings->models, &options, &engine->models, err);
	if (code == LUN_OK)
		tell_made(engine);
	return code;
}

/* What an operator should know about the event store. */
static void
tell_remark(const struct lun_engine *engine)
{
	const char *remark = lun_event_store_remark(engine->events);

	if (remark != NULL)
		lun_log(&engine->log, LUN_LOG_INFO, "events: %s", remark);
}

/* A progress function is called with it held, and may call back. */
static void
init_run_lock(pthread_mutex_t *lock)
{
	pthread_mutexattr_t checking;

	pthread_mutexattr_init(&checking);
	pthread_mutexattr_settype(&checking, PTHREAD_MUTEX_ERRORCHECK);
	pthread_mutex_init(lock, &checking);
	pthread_mutexattr_destroy(&checking);
}

/* ---- hints of the event store ------------------------------------------ */

/* None while somebody connects: everybody looks now and then in any case. */
static int
find_hint(void *arg)
{
	struct lun_engine *engine = arg;
	char notice[LUN_NOTICE_SIZE];
	bool told;
	int fd;

	if (pthread_mutex_trylock(&engine->stores_lock) != 0)
		return -1;
	fd = lun_event_store_wake_fd(engine->events);
	told = fd >= 0 && lun_event_store_notice(engine->events, notice);
	pthread_mutex_unlock(&engine->stores_lock);
	if (told)
		lun_log(&engine->log, LUN_LOG_WARNING, "events: %s", notice);
	return fd;
}

static void
take_hint(void *arg)
{
	struct lun_engine *engine = arg;

	if (pthread_mutex_trylock(&engine->stores_lock) != 0)
		return;
	lun_event_store_drain(engine->events);
	pthread_mutex_unlock(&engine->stores_lock);
}

/* ---- opening ----------------------------------------------------------- */

/* Those who catch up keep the cores busy; two serve the others. */
static void
init_crew(struct lun_engine *engine)
{
	const struct lun_hints hints = {
	    .fd = find_hint, .take = take_hint, .arg = engine};
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	if (cores < 1)
		cores = 1;
	lun_slots_init(&engine->slots, 0);
	lun_crew_init(&engine->crew, (unsigned)cores + 2, &hints);
}

static void
init_locks(struct lun_engine *engine)
{
	init_run_lock(&engine->run_lock);
	pthread_mutex_init(&engine->register_lock, NULL);
	pthread_mutex_init(&engine->lock, NULL);
	pthread_mutex_init(&engine->stores_lock, NULL);
	pthread_mutex_init(&engine->append_lock, NULL);
	pthread_mutex_init(&engine->board.lock, NULL);
	lun_cond_init(&engine->board.changed);
	pthread_mutex_init(&engine->losses.lock, NULL);
	lun_readers_init(&engine->readers);
	init_crew(engine);
	lun_files_init(&engine->files, &engine->log);
}

/* One reading of the tail for all that are live. */
static enum lun_code
make_subscription(struct lun_engine *engine, struct lun_err *err)
{
	const struct lun_settings *settings = &engine->settings;
	const struct lun_subscription_options options = {
	    .events = engine->events,
	    .connect_lock = &engine->stores_lock,
	    .log = &engine->log,
	    .live_events = (size_t)settings->live_events,
	    .batch_events = (size_t)settings->batch_events,
	    .kept_bytes = lun_memory_share(&engine->memory).tail,
	    .poll_ms = settings->poll_ms,
	};

	return lun_subscription_new(&options, &engine->subscription, err);
}

static void
free_engine(struct lun_engine *engine)
{
	for (size_t i = 0; i < engine->entry_count; i++)
		lun_entry_free(engine->entries[i]);
	free(engine->entries);
	lun_subscription_free(engine->subscription);
	lun_files_fini(&engine->files);
	lun_readers_fini(&engine->readers);
	lun_crew_fini(&engine->crew);
	lun_slots_fini(&engine->slots);
	lun_event_store_close(engine->appender);
	lun_model_store_close(engine->models);
	lun_event_store_close(engine->events);
	pthread_mutex_destroy(&engine->losses.lock);
	pthread_cond_destroy(&engine->board.changed);
	pthread_mutex_destroy(&engine->board.lock);
	pthread_mutex_destroy(&engine->append_lock);
	pthread_mutex_destroy(&engine->stores_lock);
	pthread_mutex_destroy(&engine->lock);
	pthread_mutex_destroy(&engine->register_lock);
	pthread_mutex_destroy(&engine->run_lock);
	lun_settings_free(&engine->settings);
	free(engine);
}

enum lun_code
lun_engine_open(const struct lun_engine_options *options,
    struct lun_engine **out, struct lun_err *err)
{
	struct lun_engine *engine = calloc(1, sizeof *engine);
	enum lun_code code;

	if (engine == NULL)
		return lun_fail(err, LUN_NOMEM, "opening an engine: no memory");
	lun_descriptors_fill();
	init_locks(engine);
	name_owner(engine->owner);
	code = lun_settings_make(
	    options->settings, options->setting_count, &engine->settings, err);
	if (code == LUN_OK) {
		engine->log = (struct lun_log){options->log, options->log_arg,
		    level_of(engine->settings.log_level)};
		code = lun_connections_share(
		    &engine->settings, &engine->connections, err);
	}
	if (code == LUN_OK) {
		engine->slots.most = engine->connections.slots;
		lun_memory_init(&engine->memory, engine->settings.memory_bytes,
		    engine->connections.slots);
		code = open_stores(engine, options->must_exist, err);
	}
	if (code == LUN_OK)
		code = make_subscription(engine, err);
	if (code != LUN_OK) {
		free_engine(engine);
		return code;
	}
	engine->around = (struct lun_surroundings){
	    .settings = &engine->settings,
	    .memory = &engine->memory,
	    .log = &engine->log,
	    .board = &engine->board,
	    .events = engine->events,
	    .models = engine->models,
	    .stores_lock = &engine->stores_lock,
	    .subscription = engine->subscription,
	    .owner = engine->owner,
	    .load = lun_engine_load,
	    .loader = engine,
	};
	*out = engine;
	return LUN_OK;
}

/* ---- running ----------------------------------------------------------- */

bool
lun_engine_is_running(struct lun_engine *engine)
{
	bool running;

	pthread_mutex_lock(&engine->lock);
	running = engine->running;
	pthread_mutex_unlock(&engine->lock);
	return running;
}

enum lun_code
lun_entry_take(
    struct lun_engine *engine, struct lun_entry *entry, struct lun_err *err)
{
	bool working;

	pthread_mutex_lock(&entry->step_lock);
	pthread_mutex_lock(&engine->lock);
	working = entry->worker != NULL;
	pthread_mutex_unlock(&engine->lock);
	if (!working && !lun_projection_is(entry->p, LUN_PHASE_ABANDONED))
		return LUN_OK;
	pthread_mutex_unlock(&entry->step_lock);
	if (working)
		return lun_fail(err, LUN_CONFIG,
		    "%s: the engine is running and steps by itself",
		    entry->name);
	return lun_fail(err, LUN_BUDGET, LUN_STUCK, entry->name);
}

void
lun_entry_give_back(struct lun_entry *entry)
{
	pthread_mutex_unlock(&entry->step_lock);
}

enum lun_code
lun_entry_start(struct lun_engine *engine, struct lun_entry *entry,
    const struct lun_position *until, struct lun_err *err)
{
	struct lun_worker *worker = NULL;
	enum lun_code code = lun_entry_take(engine, entry, err);

	if (code != LUN_OK)
		return code;
	if (lun_engine_is_running(engine))
		code = lun_worker_start(entry->p, until, &engine->crew,
		    &engine->slots, &worker, err);
	if (worker != NULL) {
		pthread_mutex_lock(&engine->lock);
		entry->worker = worker;
		pthread_mutex_unlock(&engine->lock);
	}
	lun_entry_give_back(entry);
	return code;
}

/* False if it is stuck and was left behind, now or before. */
static bool
stop_entry(
    struct lun_engine *engine, struct lun_entry *entry, int64_t deadline_ns)
{
	struct lun_worker *worker;
	bool ended = true;

	pthread_mutex_lock(&entry->step_lock);
	pthread_mutex_lock(&engine->lock);
	worker = entry->worker;
	entry->worker = NULL;
	pthread_mutex_unlock(&engine->lock);
	if (worker != NULL)
		ended = lun_worker_free(worker, deadline_ns);
	pthread_mutex_unlock(&entry->step_lock);
	return ended && !lun_projection_is(entry->p, LUN_PHASE_ABANDONED);
}

static void
set_running(struct lun_engine *engine, bool running)
{
	pthread_mutex_lock(&engine->lock);
	engine->running = running;
	pthread_mutex_unlock(&engine->lock);
}

/* On SQLite, which takes the most: docs/operations.md has the figures. */
#define FILES_OF_AN_ENGINE    30
#define FILES_OF_A_CONNECTION 2
#define FILES_OF_A_PROJECTION 3

static void
tell_descriptors(struct lun_engine *engine)
{
	size_t projections = lun_engine_count(engine);
	size_t connections = (size_t)engine->settings.connections;
	size_t needed = FILES_OF_AN_ENGINE +
			connections * FILES_OF_A_CONNECTION * 2 +
			projections * FILES_OF_A_PROJECTION;
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < needed)
		lun_log(&engine->log, LUN_LOG_WARNING,
		    "%zu projections may need %zu file descriptors, and the "
		    "limit is %llu: raise it (ulimit -n)",
		    projections, needed, (unsigned long long)files.rlim_cur);
}

static void
tell_connections(const struct lun_engine *engine)
{
	const struct lun_connections *connections = &engine->connections;

	if (connections->are_few)
		lun_log(&engine->log, LUN_LOG_INFO,
		    "connections is %lld, so at most %zu projections catch up "
		    "and %zu calls look at the same time",
		    (long long)engine->settings.connections, connections->slots,
		    connections->readers);
}

static enum lun_code
start_follower(struct lun_engine *engine, struct lun_err *err)
{
	struct lun_follower *follower;
	enum lun_code code = lun_follower_start(engine, &follower, err);

	if (code != LUN_OK)
		return code;
	pthread_mutex_lock(&engine->lock);
	engine->follower = follower;
	pthread_mutex_unlock(&engine->lock);
	return LUN_OK;
}

static void
stop_follower(struct lun_engine *engine)
{
	struct lun_follower *follower;

	pthread_mutex_lock(&engine->lock);
	follower = engine->follower;
	engine->follower = NULL;
	pthread_mutex_unlock(&engine->lock);
	lun_follower_stop(follower);
}

/*
 * What was left behind by an earlier run stays there; the others start. What is
 * being registered meanwhile is started here or by its registration, not twice.
 */
enum lun_code
lun_engine_start_all(struct lun_engine *engine,
    const struct lun_position *until, struct lun_err *err)
{
	enum lun_code code = LUN_OK;
	struct lun_entry *entry;

	tell_descriptors(engine);
	tell_connections(engine);
	pthread_mutex_lock(&engine->register_lock);
	set_running(engine, true);
	for (size_t i = 0;
	     code == LUN_OK && (entry = lun_engine_at(engine, i)) != NULL; i++)
		if (!lun_projection_is(entry->p, LUN_PHASE_ABANDONED))
			code = lun_entry_start(engine, entry, until, err);
	pthread_mutex_unlock(&engine->register_lock);
	if (code == LUN_OK)
		code = lun_monitor_start(engine, &engine->monitor, err);
	if (code == LUN_OK)
		code = start_follower(engine, err);
	return code;
}

/* Takes run_lock. */
enum lun_code
lun_engine_begin_running(struct lun_engine *engine, struct lun_err *err)
{
	bool busy = pthread_mutex_trylock(&engine->run_lock) != 0;

	if (!busy && lun_engine_is_running(engine)) {
		pthread_mutex_unlock(&engine->run_lock);
		busy = true;
	}
	if (busy)
		return lun_fail(
		    err, LUN_CONFIG, "starting the engine: it is running");
	return LUN_OK;
}

/* With run_lock held. */
enum lun_code
lun_engine_stop_all(struct lun_engine *engine, struct lun_err *err)
{
	int64_t deadline_ns = lun_clock_deadline_ns(engine->settings.stop_ms);
	enum lun_code code = LUN_OK;
	struct lun_entry *entry;

	set_running(engine, false);
	stop_follower(engine);
	lun_monitor_halt(engine->monitor);
	pthread_mutex_lock(&engine->lock);
	for (size_t i = 0; i < engine->entry_count; i++)
		if (engine->entries[i]->worker != NULL)
			lun_worker_stop(engine->entries[i]->worker);
	pthread_mutex_unlock(&engine->lock);
	for (size_t i = 0; (entry = lun_engine_at(engine, i)) != NULL; i++)
		if (!stop_entry(engine, entry, deadline_ns))
			code = lun_fail(err, LUN_TIMEOUT,
			    "stopping: %s is stuck in a library call; its "
			    "thread is left behind",
			    entry->name);
	lun_crew_end(&engine->crew);
	lun_subscription_stop(engine->subscription);
	lun_monitor_free(engine->monitor);
	engine->monitor = NULL;
	atomic_store(&engine->stopping, false);
	return code;
}

enum lun_code
lun_engine_start(struct lun_engine *engine, struct lun_err *err)
{
	enum lun_code code = lun_engine_begin_running(engine, err);

	if (code != LUN_OK)
		return code;
	lun_descriptors_fill();
	tell_remark(engine);
	code = lun_engine_start_all(engine, NULL, err);
	if (code != LUN_OK)
		(void)!lun_engine_stop_all(engine, NULL);
	pthread_mutex_unlock(&engine->run_lock);
	return code;
}

/* LUN_AGAIN in a progress function: the run ends after it. */
static enum lun_code
stop_run(struct lun_engine *engine, struct lun_err *err)
{
	enum lun_code code;

	atomic_store(&engine->stopping, true);
	lun_board_ring(&engine->board);
	if (pthread_mutex_lock(&engine->run_lock) == EDEADLK)
		return LUN_AGAIN;
	code = lun_engine_stop_all(engine, err);
	pthread_mutex_unlock(&engine->run_lock);
	return code;
}

enum lun_code
lun_engine_stop(struct lun_engine *engine, struct lun_err *err)
{
	enum lun_code code = stop_run(engine, err);

	return code == LUN_AGAIN ? LUN_OK : code;
}

/*
 * What a stuck thread may still look at is left behind with it: the engine,
 * its stores and that projection.
 */
void
lun_engine_close(struct lun_engine *engine)
{
	if (engine != NULL && stop_run(engine, NULL) == LUN_OK)
		free_engine(engine);
}

/* LUN_AGAIN, and why, if there was nothing to do. */
static enum lun_code
say_outcome(
    const char *projection, enum lun_step_outcome outcome, struct lun_err *err)
{
	static const char *const why[] = {
	    [LUN_STEP_APPLIED] = NULL,
	    [LUN_STEP_IDLE] = "has caught up",
	    [LUN_STEP_PAUSED] = "is paused",
	    [LUN_STEP_WAITING] = "waits before it tries again",
	    [LUN_STEP_REPEAT] = NULL,
	};

	if (why[outcome] == NULL)
		return LUN_OK;
	return lun_fail(err, LUN_AGAIN, "%s %s", projection, why[outcome]);
}

static enum lun_code
step_entry(struct lun_engine *engine, struct lun_entry *entry, size_t *applied,
    struct lun_err *err)
{
	enum lun_code code = lun_entry_take(engine, entry, err);
	struct lun_step step;

	if (code != LUN_OK)
		return code;
	lun_projection_serve_requests(entry->p, NULL, NULL);
	code = lun_projection_one_step(entry->p, &step, err);
	lun_entry_give_back(entry);
	if (code != LUN_OK)
		return code;
	*applied = step.applied;
	return say_outcome(entry->name, step.outcome, err);
}

/* After a failure the others still have their turn; the first is told. */
static enum lun_code
step_all(struct lun_engine *engine, size_t *applied, struct lun_err *err)
{
	struct lun_err first = {0};
	bool stepped = false;
	struct lun_entry *entry;

	*applied = 0;
	for (size_t i = 0; (entry = lun_engine_at(engine, i)) != NULL; i++) {
		struct lun_err failure;
		size_t count = 0;
		enum lun_code code =
		    step_entry(engine, entry, &count, &failure);

		*applied += count;
		stepped = stepped || code == LUN_OK;
		if (code != LUN_OK && code != LUN_AGAIN && first.code == LUN_OK)
			first = failure;
	}
	if (first.code != LUN_OK && err != NULL)
		*err = first;
	if (first.code != LUN_OK)
		return first.code;
	return stepped ? LUN_OK
		       : lun_fail(err, LUN_AGAIN, "there is nothing to do");
}

enum lun_code
lun_projection_step(struct lun_engine *engine, const char *projection,
    size_t *applied, struct lun_err *err)
{
	struct lun_entry *entry;
	enum lun_code code;
	size_t count;

	if (projection == NULL) {
		code = step_all(engine, &count, err);
	} else {
		entry = lun_engine_find(engine, projection);
		if (entry == NULL)
			return lun_fail(err, LUN_NOTFOUND,
			    "no projection %s is registered", projection);
		code = step_entry(engine, entry, &count, err);
	}
	if (applied != NULL && (code == LUN_OK || code == LUN_AGAIN))
		*applied = count;
	return code;
}
