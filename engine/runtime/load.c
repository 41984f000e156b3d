/* load.c - loading what somebody wrote: scripts and settings files. */

#include "runtime/load.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "script/source.h"

/* All that the thread uses, so that it can be left behind. */
struct job {
	void *loaded;
	enum lun_code (*run)(void *loaded, struct lun_err *err);
	void (*discard)(void *loaded);
	struct lun_pulse *pulse; /* part of what is loaded */
};

/* ---- texts that were given up on --------------------------------------- */

static bool
is_lost(struct lun_load_losses *losses, const char *hash)
{
	for (size_t i = 0; i < losses->count; i++)
		if (strcmp(losses->hashes[i], hash) == 0)
			return true;
	return false;
}

static enum lun_code
check_losses(struct lun_load_losses *losses, const char *path, const char *hash,
    struct lun_err *err)
{
	bool lost, full;

	if (losses == NULL)
		return LUN_OK;
	pthread_mutex_lock(&losses->lock);
	lost = is_lost(losses, hash);
	full = losses->count == LUN_LOAD_LOSSES_MAX;
	pthread_mutex_unlock(&losses->lock);
	if (lost)
		return lun_fail(err, LUN_BUDGET,
		    "%s: was stuck in a library call (a string pattern?) when "
		    "it was loaded, and is not tried again until it changes",
		    path);
	if (full)
		return lun_fail(err, LUN_BUDGET,
		    "%s: is not loaded, as %d others got stuck while they were "
		    "loaded and may still be: mend them and restart the "
		    "process",
		    path, LUN_LOAD_LOSSES_MAX);
	return LUN_OK;
}

static void
note_loss(struct lun_load_losses *losses, const char *hash)
{
	if (losses == NULL)
		return;
	pthread_mutex_lock(&losses->lock);
	if (losses->count < LUN_LOAD_LOSSES_MAX)
		snprintf(losses->hashes[losses->count++], LUN_BUNDLE_HASH_SIZE,
		    "%s", hash);
	pthread_mutex_unlock(&losses->lock);
}

/* ---- the thread -------------------------------------------------------- */

static enum lun_code
run_job(void *arg, struct lun_err *err)
{
	struct job *job = arg;

	return job->run(job->loaded, err);
}

/* On the thread that was left behind, after all. */
static void
end_lost(void *arg)
{
	struct job *job = arg;

	job->discard(job->loaded);
	free(job);
}

/* Takes the job over. What is loaded is the caller's on LUN_OK. */
static enum lun_code
run_watched(struct job *job, const char *path,
    const struct lun_patience *patience, bool *lost, struct lun_err *err)
{
	struct lun_background *thread = lun_background_new("lunette-load");
	enum lun_code code;
	bool interrupted;

	if (thread == NULL) {
		end_lost(job);
		return lun_fail(err, LUN_NOMEM,
		    "%s: there is no thread to load it on", path);
	}
	lun_background_submit(thread, run_job, job);
	*lost = !lun_stuck_watch(thread, job->pulse, patience, &interrupted);
	if (*lost) {
		lun_background_abandon(thread, end_lost);
		return lun_fail(err, interrupted ? LUN_UNAVAILABLE : LUN_BUDGET,
		    "%s: is stuck in a library call (a string pattern?) while "
		    "it is loaded, where no budget reaches it; its thread is "
		    "left behind",
		    path);
	}
	code = lun_background_wait(thread, err);
	lun_background_free(thread);
	atomic_store(&job->pulse->interrupt, false); /* that came too late */
	if (code != LUN_OK)
		job->discard(job->loaded);
	free(job);
	return code;
}

static struct job *
make_job(struct job job)
{
	struct job *made = malloc(sizeof *made);

	if (made != NULL)
		*made = job;
	else
		job.discard(job.loaded);
	return made;
}

struct lun_loading
lun_loading_from(const struct lun_settings *settings)
{
	return (struct lun_loading){
	    .limits =
		{
		    .instructions = settings->script_instructions,
		    .cpu_ms = settings->script_cpu_ms,
		    .memory_bytes = (size_t)settings->script_memory_bytes,
		},
	    .stuck_ms = settings->stuck_ms,
	};
}

/* ---- scripts ----------------------------------------------------------- */

static enum lun_code
renew_script(void *loaded, struct lun_err *err)
{
	return lun_script_renew(loaded, err);
}

static void
discard_script(void *loaded)
{
	lun_script_free(loaded);
}

enum lun_code
lun_load_script(const char *chunk, struct lun_text source,
    const struct lun_loading *loading, struct lun_script **out,
    struct lun_err *err)
{
	const struct lun_patience patience = {
	    .stuck_ms = loading->stuck_ms, .stop = loading->stop};
	char hash[LUN_BUNDLE_HASH_SIZE];
	struct lun_script *script;
	struct job *job;
	bool lost = false;
	enum lun_code code =
	    lun_script_new(chunk, source, &loading->limits, &script, err);

	if (code != LUN_OK)
		return code;
	snprintf(hash, sizeof hash, "%s", lun_script_hash(script));
	code = check_losses(loading->losses, chunk, hash, err);
	if (code != LUN_OK) {
		lun_script_free(script);
		return code;
	}
	job = make_job((struct job){.loaded = script,
	    .run = renew_script,
	    .discard = discard_script,
	    .pulse = lun_script_pulse(script)});
	if (job == NULL)
		return lun_fail(err, LUN_NOMEM, "%s: out of memory", chunk);
	code = run_watched(job, chunk, &patience, &lost, err);
	if (code == LUN_BUDGET && lost)
		note_loss(loading->losses, hash);
	if (code == LUN_OK)
		*out = script;
	return code;
}

enum lun_code
lun_load_script_file(const char *path, const struct lun_loading *loading,
    struct lun_script **out, struct lun_err *err)
{
	struct lun_buffer source = {0};
	enum lun_code code = lun_source_read(path, &source, err);

	if (code == LUN_OK)
		code = lun_load_script(
		    path, lun_buffer_text(&source), loading, out, err);
	lun_buffer_free(&source);
	return code;
}

/* ---- settings ---------------------------------------------------------- */

static enum lun_code
run_settings(void *loaded, struct lun_err *err)
{
	return lun_settings_file_run(loaded, err);
}

static void
discard_settings(void *loaded)
{
	lun_settings_file_free(loaded);
}

enum lun_code
lun_load_settings(
    const char *path, struct lun_settings_file **out, struct lun_err *err)
{
	const struct lun_patience patience = {
	    .stuck_ms = LUN_SETTINGS_FILE_CPU_MS};
	struct lun_buffer source = {0};
	struct lun_settings_file *file;
	struct job *job;
	bool lost = false;
	enum lun_code code = lun_source_read(path, &source, err);

	if (code == LUN_OK)
		code = lun_settings_file_new(
		    path, lun_buffer_text(&source), &file, err);
	lun_buffer_free(&source);
	if (code != LUN_OK)
		return code;
	job = make_job((struct job){.loaded = file,
	    .run = run_settings,
	    .discard = discard_settings,
	    .pulse = &file->pulse});
	if (job == NULL)
		return lun_fail(err, LUN_NOMEM, "%s: out of memory", path);
	code = run_watched(job, path, &patience, &lost, err);
	if (code == LUN_OK)
		*out = file;
	return code;
}
