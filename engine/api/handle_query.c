/* handle_query.c - a query answered by the script's handle_query. */

#include "api/handle_query.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/error.h"
#include "runtime/load.h"

#define LOST_LIMIT 3

/* ---- its state ---------------------------------------------------------- */

/* A copy of its text, unless that is another one by now. */
static enum lun_code
copy_source(struct lun_engine *engine, struct lun_entry *entry,
    const char *hash, struct lun_buffer *source, struct lun_err *err)
{
	const struct lun_script *script;
	bool same;

	pthread_mutex_lock(&engine->board.lock);
	script = entry->p->script;
	same = strcmp(lun_script_hash(script), hash) == 0;
	if (same)
		lun_buffer_add_text(source, lun_script_source(script));
	pthread_mutex_unlock(&engine->board.lock);
	if (!same)
		return lun_fail(err, LUN_UNAVAILABLE,
		    "%s: its script was replaced while it was asked",
		    entry->name);
	return source->failed
		   ? lun_fail(err, LUN_NOMEM, "%s: out of memory", entry->name)
		   : LUN_OK;
}

static enum lun_code
load_state(struct lun_engine *engine, struct lun_entry *entry, const char *hash,
    struct lun_script **out, struct lun_err *err)
{
	struct lun_loading loading = lun_engine_loading(engine);
	struct lun_buffer source = {0};
	char chunk[LUN_PATH_MAX];
	enum lun_code code = copy_source(engine, entry, hash, &source, err);

	pthread_mutex_lock(&engine->lock);
	snprintf(chunk, sizeof chunk, "%s",
	    entry->path[0] != '\0' ? entry->path : entry->name);
	pthread_mutex_unlock(&engine->lock);
	if (code == LUN_OK)
		code = lun_load_script(
		    chunk, lun_buffer_text(&source), &loading, out, err);
	lun_buffer_free(&source);
	return code;
}

/* The reader's thread, and in front of its states the one for this text. */
static enum lun_code
prepare_reader(struct lun_engine *engine, struct lun_entry *entry,
    const char *hash, struct lun_reader *reader, struct lun_err *err)
{
	struct lun_script *script;
	enum lun_code code;

	if (reader->thread == NULL)
		reader->thread = lun_background_new("lunette-query");
	if (reader->thread == NULL)
		return lun_fail(err, LUN_NOMEM,
		    "%s: there is no thread for its handle_query", entry->name);
	if (lun_reader_find_state(reader, entry->name, hash) != NULL)
		return LUN_OK;
	code = load_state(engine, entry, hash, &script, err);
	if (code == LUN_OK)
		lun_reader_keep_state(reader, script);
	return code;
}

/* ---- texts that cost readers ------------------------------------------- */

static enum lun_code
check_losses(struct lun_engine *engine, struct lun_entry *entry,
    const char *hash, struct lun_err *err)
{
	bool refused;

	pthread_mutex_lock(&engine->lock);
	refused = entry->lost_readers >= LOST_LIMIT &&
		  strcmp(entry->loser_hash, hash) == 0;
	pthread_mutex_unlock(&engine->lock);
	if (!refused)
		return LUN_OK;
	return lun_fail(err, LUN_BUDGET,
	    "%s: its handle_query is asked no more, as it was stuck in a "
	    "library call (a string pattern?) %d times; change the script",
	    entry->name, LOST_LIMIT);
}

static void
count_loss(struct lun_engine *engine, struct lun_entry *entry, const char *hash)
{
	pthread_mutex_lock(&engine->lock);
	if (strcmp(entry->loser_hash, hash) != 0) {
		snprintf(
		    entry->loser_hash, sizeof entry->loser_hash, "%s", hash);
		entry->lost_readers = 0;
	}
	entry->lost_readers++;
	pthread_mutex_unlock(&engine->lock);
}

/* ---- the call ---------------------------------------------------------- */

/* All that the reader's thread uses, so that it can be left behind. */
struct job {
	struct lun_reader *reader;
	struct lun_script *script;
	char projection[LUN_NAME_MAX + 1];
	struct lun_buffer bytes; /* of the terms */
	struct lun_text *terms;
	size_t count;
	uint64_t default_limit;
	uint64_t max_limit;
	struct lun_buffer out;
};

static void
free_job(struct job *job)
{
	lun_buffer_free(&job->bytes);
	lun_buffer_free(&job->out);
	free(job->terms);
	free(job);
}

static bool
copy_terms(struct job *job, const struct lun_text *terms, size_t count)
{
	size_t start = 0;

	job->terms = calloc(count + 1, sizeof *job->terms);
	job->count = count;
	for (size_t i = 0; i < count; i++)
		lun_buffer_add_text(&job->bytes, terms[i]);
	if (job->terms == NULL || job->bytes.failed)
		return false;
	for (size_t i = 0; i < count; start += terms[i++].length)
		job->terms[i] = (struct lun_text){
		    job->bytes.bytes != NULL ? job->bytes.bytes + start : "",
		    terms[i].length};
	return true;
}

static struct job *
make_job(struct lun_engine *engine, const char *projection,
    struct lun_reader *reader, const struct lun_text *terms, size_t count)
{
	struct job *job = calloc(1, sizeof *job);

	if (job == NULL)
		return NULL;
	job->reader = reader;
	job->script = reader->states[0];
	job->default_limit = (uint64_t)engine->settings.query_limit;
	job->max_limit = (uint64_t)engine->settings.query_limit_max;
	snprintf(job->projection, sizeof job->projection, "%s", projection);
	if (copy_terms(job, terms, count))
		return job;
	free_job(job);
	return NULL;
}

static enum lun_code
run_job(void *arg, struct lun_err *err)
{
	struct job *job = arg;

	return lun_script_query(job->script, job->reader->models,
	    lun_only_key(job->projection), job->terms, job->count,
	    job->default_limit, job->max_limit, &job->out, err);
}

/* On the thread that was left behind, after all. */
static void
end_lost(void *arg)
{
	struct job *job = arg;

	lun_reader_free(job->reader);
	free_job(job);
}

/* False: it is stuck. *late: its time was over. */
static bool
watch_job(struct lun_engine *engine, struct job *job, bool *late)
{
	const struct lun_settings *settings = &engine->settings;
	const struct lun_patience patience = {.stuck_ms = settings->stuck_ms,
	    .deadline_ns = lun_clock_deadline_ns(settings->call_timeout_ms)};

	return lun_stuck_watch(job->reader->thread,
	    lun_script_pulse(job->script), &patience, late);
}

static enum lun_code
lose_reader(struct lun_engine *engine, struct lun_entry *entry,
    const char *hash, struct job *job, struct lun_err *err)
{
	struct lun_background *thread = job->reader->thread;

	count_loss(engine, entry, hash);
	lun_reader_lose(engine, job->reader);
	job->reader->thread = NULL;
	lun_background_abandon(thread, end_lost);
	lun_log(&engine->log, LUN_LOG_ERROR,
	    "%s: its handle_query is stuck in a library call; its thread is "
	    "left behind",
	    entry->name);
	return lun_fail(err, LUN_BUDGET,
	    "%s: its handle_query is stuck in a library call (a string "
	    "pattern?), where no budget reaches it; it was given up",
	    entry->name);
}

/* A state that was interrupted, or has spent its budget, is of no more use. */
static bool
is_used_up(enum lun_code code, bool late)
{
	return late || code == LUN_BUDGET || code == LUN_UNAVAILABLE ||
	       code == LUN_NOMEM;
}

static enum lun_code
end_job(struct lun_engine *engine, struct job *job, bool late,
    struct lun_buffer *out, struct lun_err *err)
{
	struct lun_reader *reader = job->reader;
	enum lun_code code = lun_background_wait(reader->thread, err);

	if (code == LUN_OK)
		lun_buffer_add_text(out, lun_buffer_text(&job->out));
	if (is_used_up(code, late))
		lun_reader_drop_state(reader);
	if (code == LUN_UNAVAILABLE && late)
		code = lun_fail(err, LUN_TIMEOUT,
		    "%s: its handle_query took longer than %lld ms",
		    job->projection,
		    (long long)engine->settings.call_timeout_ms);
	free_job(job);
	return code;
}

enum lun_code
lun_handle_query(struct lun_engine *engine, struct lun_entry *entry,
    const char *hash, struct lun_reader **reader, const struct lun_text *terms,
    size_t count, struct lun_buffer *out, struct lun_err *err)
{
	enum lun_code code = check_losses(engine, entry, hash, err);
	struct job *job;
	bool late;

	if (code == LUN_OK)
		code = prepare_reader(engine, entry, hash, *reader, err);
	if (code != LUN_OK)
		return code;
	job = make_job(engine, entry->name, *reader, terms, count);
	if (job == NULL)
		return lun_fail(
		    err, LUN_NOMEM, "%s: out of memory", entry->name);
	lun_background_submit((*reader)->thread, run_job, job);
	if (watch_job(engine, job, &late))
		return end_job(engine, job, late, out, err);
	*reader = NULL;
	return lose_reader(engine, entry, hash, job, err);
}
