/* requests.c - what an operator asks of a projection, at a batch edge. */

#include "base/clock.h"
#include "base/error.h"
#include "projection/projection.h"
#include "store/tenants.h"

#define REQUESTS_NS 100000000LL  /* between looks for requests */
#define AGAIN_NS    500000000LL  /* before one that could not be done */
#define SELDOM_NS   1000000000LL /* no more than that between them */
#define COST_FACTOR 100          /* a look takes that part of the time */
#define LONGEST_NS  5000000000LL /* the same while the store fails */

/* What a change of the shard, or of the whole projection, is to find there. */
struct stored {
	struct lun_guard shard;
	struct lun_guard whole;
	bool paused;
};

/* Loading, or a lock, may have taken longer than whoever asked would wait. */
static enum lun_code
check_awaited(struct lun_projection *p, struct lun_err *err)
{
	struct lun_err outcome;
	enum lun_code code = LUN_OK;

	if (p->request_number != 0)
		code = lun_model_store_request_result(
		    p->models, p->request_number, false, &outcome, err);
	if (code == LUN_NOTFOUND)
		return lun_fail(err, LUN_NOTFOUND,
		    "not done, as whoever asked for it has given up");
	return code;
}

/* A registered projection that has never run is made to exist. */
static enum lun_code
read_stored(
    struct lun_projection *p, struct stored *stored, struct lun_err *err)
{
	struct lun_checkpoint checkpoint = {0};
	enum lun_code code =
	    lun_model_store_checkpoint(p->models, p->key, &checkpoint, err);

	if (code == LUN_NOTFOUND && p->script != NULL) {
		code = lun_projection_prepare(p, err);
		if (code == LUN_OK)
			code = lun_model_store_checkpoint(
			    p->models, p->key, &checkpoint, err);
	}
	if (code == LUN_OK)
		code = check_awaited(p, err);
	if (code != LUN_OK) {
		lun_checkpoint_free(&checkpoint);
		return code;
	}
	stored->shard = (struct lun_guard){checkpoint.revision, p->fence};
	stored->whole =
	    (struct lun_guard){checkpoint.projection_revision, p->fence};
	stored->paused = checkpoint.paused;
	lun_checkpoint_free(&checkpoint);
	return LUN_OK;
}

static enum lun_code
set_paused(struct lun_projection *p, bool paused, struct lun_err *err)
{
	struct stored stored;
	enum lun_code code = read_stored(p, &stored, err);

	if (code == LUN_OK)
		code = lun_model_store_set_paused(
		    p->models, p->key, paused, stored.whole, err);
	return code;
}

static enum lun_code
pause_projection(
    struct lun_projection *p, const char *argument, struct lun_err *err)
{
	(void)argument;
	return set_paused(p, true, err);
}

static enum lun_code
resume_projection(
    struct lun_projection *p, const char *argument, struct lun_err *err)
{
	(void)argument;
	return set_paused(p, false, err);
}

/* ---- rebuilding -------------------------------------------------------- */

/* What is built is what stands in the file now; NULL: the script in force. */
static enum lun_code
load_next(
    struct lun_projection *p, struct lun_script **next, struct lun_err *err)
{
	const struct lun_surroundings *around = p->around;
	enum lun_code code = LUN_OK;

	*next = NULL;
	if (around->load != NULL)
		code = around->load(around->loader, p->name,
		    p->has_worker ? &p->stop_asked : NULL, next, err);
	if (code != LUN_OK || *next != NULL)
		return code;
	*next = p->next_script;
	p->next_script = NULL;
	return LUN_OK;
}

/* Whoever asked may look at another file than the engine that runs it. */
static enum lun_code
check_same_text(struct lun_projection *p, const struct lun_script *script,
    const char *hash, struct lun_err *err)
{
	if (hash == NULL || hash[0] == '\0' ||
	    strcmp(hash, lun_script_hash(script)) == 0)
		return LUN_OK;
	return lun_fail(err, LUN_CONFIG,
	    "%s: the engine that runs it (%s) has another text of its script: "
	    "rebuild from the file that it reads, or stop it first",
	    p->name, p->around->owner);
}

/* Other models need another version: see docs/operations.md. */
static enum lun_code
check_version(struct lun_projection *p, const struct lun_checkpoint *stored,
    const struct lun_schema *schema, struct lun_err *err)
{
	if (schema->version > stored->version)
		return LUN_OK;
	if (schema->version < stored->version)
		return lun_fail(err, LUN_CONFIG,
		    "%s: its script has version %d, and version %d is built: "
		    "raise the version to %lld",
		    p->name, schema->version, stored->version,
		    stored->version + 1LL);
	return lun_model_store_check_schema(
	    schema, stored->version, lun_buffer_text(&stored->schema), err);
}

/* A projection that was never defined has nothing to differ from. */
static enum lun_code
check_rebuild(struct lun_projection *p, const struct lun_script *script,
    const char *hash, struct lun_err *err)
{
	struct lun_checkpoint stored = {0};
	enum lun_code code = check_same_text(p, script, hash, err);

	if (code == LUN_OK)
		code =
		    lun_model_store_checkpoint(p->models, p->key, &stored, err);
	if (code == LUN_NOTFOUND)
		return LUN_OK;
	if (code == LUN_OK)
		code =
		    check_version(p, &stored, lun_script_schema(script), err);
	lun_checkpoint_free(&stored);
	return code;
}

static enum lun_code
reset_models(struct lun_projection *p, const struct lun_script *script,
    struct lun_err *err)
{
	struct stored stored;
	enum lun_code code = read_stored(p, &stored, err);

	if (code == LUN_OK)
		code = lun_model_store_reset(p->models, p->key,
		    lun_script_schema(script), stored.shard, err);
	return code;
}

/* argument: the hash of the text that whoever asks means, if it knows one. */
static enum lun_code
rebuild_projection(
    struct lun_projection *p, const char *argument, struct lun_err *err)
{
	struct lun_script *next;
	enum lun_code code = load_next(p, &next, err);
	const struct lun_script *script = next != NULL ? next : p->script;

	if (code == LUN_OK)
		code = check_rebuild(p, script, argument, err);
	if (code == LUN_OK)
		code = reset_models(p, script, err);
	if (code != LUN_OK) {
		lun_script_free(next);
		return code;
	}
	p->schema_is_stored = true;
	if (next != NULL) {
		lun_script_free(p->next_script);
		p->next_script = NULL;
		lun_projection_put_script(p, next);
	}
	return LUN_OK;
}

/* ---- the checkpoint ---------------------------------------------------- */

/* The guard of a change to the checkpoint, which nobody may be moving. */
static enum lun_code
read_guard_at_rest(
    struct lun_projection *p, struct lun_guard *guard, struct lun_err *err)
{
	struct stored stored = {0};
	enum lun_code code = read_stored(p, &stored, err);

	*guard = stored.shard;
	if (code != LUN_OK || !p->has_worker || stored.paused)
		return code;
	return lun_fail(err, LUN_CONFIG,
	    "%s is running: pause it before its checkpoint is changed",
	    p->name);
}

/* A position that no event has had yet could never be read from. */
static enum lun_code
check_not_beyond(
    struct lun_projection *p, struct lun_position position, struct lun_err *err)
{
	char wanted[LUN_POSITION_MAX], last[LUN_POSITION_MAX];
	struct lun_position head;
	enum lun_code code = lun_event_store_head(p->events, &head, err);

	if (code != LUN_OK || lun_position_compare(position, head) <= 0)
		return code;
	lun_event_store_format_position(p->events, position, wanted);
	lun_event_store_format_position(p->events, head, last);
	return lun_fail(err, LUN_INVALID,
	    "%s: position %s lies beyond the head of the event store, which "
	    "is %s",
	    p->name, wanted, last);
}

/* A position set by hand has no state, but the tenants were seen. */
static enum lun_code
set_position(struct lun_projection *p, struct lun_position position,
    struct lun_guard guard, struct lun_err *err)
{
	struct lun_checkpoint checkpoint = {0};
	struct lun_buffer state = {0};
	struct lun_tenants tenants;
	struct lun_text rest;
	enum lun_code code =
	    lun_model_store_checkpoint(p->models, p->key, &checkpoint, err);

	if (code == LUN_OK)
		code =
		    lun_tenants_split(lun_buffer_text(&checkpoint.source_state),
			&tenants, &rest, err);
	if (code == LUN_OK)
		code = lun_tenants_join(&tenants, &state, err);
	if (code == LUN_OK)
		code = lun_model_store_set_position(p->models, p->key, position,
		    lun_buffer_text(&state), guard, err);
	lun_checkpoint_free(&checkpoint);
	lun_buffer_free(&state);
	return code;
}

static enum lun_code
set_checkpoint(
    struct lun_projection *p, const char *argument, struct lun_err *err)
{
	struct lun_position position;
	struct lun_guard guard;
	enum lun_code code = lun_projection_connect_events(p, err);

	if (code == LUN_OK)
		code = lun_event_store_parse_position(
		    p->events, lun_text_of(argument), &position, err);
	if (code == LUN_OK)
		code = check_not_beyond(p, position, err);
	if (code == LUN_OK)
		code = read_guard_at_rest(p, &guard, err);
	if (code == LUN_OK)
		code = set_position(p, position, guard, err);
	return code;
}

static enum lun_code
delete_checkpoint(
    struct lun_projection *p, const char *argument, struct lun_err *err)
{
	struct lun_guard guard;
	enum lun_code code = read_guard_at_rest(p, &guard, err);

	(void)argument;
	if (code == LUN_OK)
		code = lun_model_store_drop(p->models, p->key, guard, err);
	if (code == LUN_OK)
		p->schema_is_stored = false;
	return code;
}

/* What was read last has to be there, and nothing else in its place. */
static enum lun_code
check_goes_on(struct lun_projection *p, const struct lun_checkpoint *checkpoint,
    struct lun_err *err)
{
	struct lun_read request = {.after = checkpoint->position,
	    .source_state = lun_buffer_text(&checkpoint->source_state),
	    .max_events = 1,
	    .max_bytes = 1};
	struct lun_batch *batch = lun_batch_new();
	enum lun_code code;

	if (batch == NULL)
		return lun_fail(err, LUN_NOMEM, "%s: out of memory", p->name);
	code = lun_event_store_read(p->events, &request, batch, err);
	lun_batch_free(batch);
	return code;
}

/* Whoever asked may have another event store than the engine here. */
static enum lun_code
check_same_store(
    struct lun_projection *p, const char *identity, struct lun_err *err)
{
	char own[LUN_IDENTITY_SIZE];
	enum lun_code code = lun_projection_connect_events(p, err);

	if (code == LUN_OK)
		code = lun_event_store_identity(p->events, own, err);
	if (code != LUN_OK || strcmp(own, identity) == 0)
		return code;
	return lun_fail(err, LUN_CONFIG,
	    "%s: the engine that runs it has event store %s, and is asked to "
	    "take it over to %s: stop it, and start it with that one",
	    p->name, own, identity);
}

static enum lun_code
adopt_event_store(struct lun_projection *p,
    const struct lun_checkpoint *checkpoint, const char *identity,
    struct lun_err *err)
{
	struct lun_guard guard = {checkpoint->revision, p->fence};
	enum lun_code code = check_same_store(p, identity, err);

	if (code == LUN_OK && strcmp(identity, checkpoint->identity) == 0)
		return LUN_OK;
	if (code == LUN_OK)
		code = check_goes_on(p, checkpoint, err);
	if (code == LUN_OK)
		code = lun_model_store_adopt(
		    p->models, p->key, identity, guard, err);
	if (code == LUN_OK && checkpoint->identity[0] != '\0')
		lun_log(p->around->log, LUN_LOG_INFO,
		    "%s: was built from event store %s, which is now %s",
		    p->name, checkpoint->identity, identity);
	return code;
}

/* What has another identity cannot be running, so nobody has to pause it. */
static enum lun_code
adopt_checkpoint(
    struct lun_projection *p, const char *argument, struct lun_err *err)
{
	struct lun_checkpoint checkpoint = {0};
	enum lun_code code =
	    lun_model_store_checkpoint(p->models, p->key, &checkpoint, err);

	if (code == LUN_OK)
		code = adopt_event_store(
		    p, &checkpoint, argument != NULL ? argument : "", err);
	lun_checkpoint_free(&checkpoint);
	return code;
}

typedef enum lun_code request_fn(
    struct lun_projection *p, const char *argument, struct lun_err *err);

static const struct {
	const char *words;
	request_fn *execute;
	bool needs_script;
	bool needs_models; /* defined, and of this event store */
	bool starts_anew;  /* a failed projection goes on afterwards */
	bool goes_on;      /* … also where its script fails again */
	bool moves;        /* the position may be another one afterwards */
} requests[] = {
    [LUN_REQUEST_PAUSE] =
	{
	    .words = "pause",
	    .execute = pause_projection,
	},
    [LUN_REQUEST_RESUME] =
	{
	    .words = "resume",
	    .execute = resume_projection,
	    .starts_anew = true,
	},
    [LUN_REQUEST_REBUILD] =
	{
	    .words = "rebuild",
	    .execute = rebuild_projection,
	    .needs_script = true,
	    .starts_anew = true,
	    .moves = true,
	},
    [LUN_REQUEST_RETRY] =
	{
	    .words = "retry parked events",
	    .execute = lun_projection_retry_parked,
	    .needs_script = true,
	    .needs_models = true,
	    .starts_anew = true,
	    .goes_on = true,
	},
    [LUN_REQUEST_DISCARD] =
	{
	    .words = "discard parked events",
	    .execute = lun_projection_discard_parked,
	    .needs_script = true,
	    .needs_models = true,
	},
    [LUN_REQUEST_SET_CHECKPOINT] =
	{
	    .words = "set the checkpoint",
	    .execute = set_checkpoint,
	    .starts_anew = true,
	    .moves = true,
	},
    [LUN_REQUEST_DELETE_CHECKPOINT] =
	{
	    .words = "delete the checkpoint",
	    .execute = delete_checkpoint,
	    .starts_anew = true,
	    .moves = true,
	},
    [LUN_REQUEST_ADOPT_CHECKPOINT] =
	{
	    .words = "adopt the checkpoint",
	    .execute = adopt_checkpoint,
	    .starts_anew = true,
	},
};

static enum lun_code
prepare_request(
    struct lun_projection *p, enum lun_request_kind kind, struct lun_err *err)
{
	if (requests[kind].needs_script && p->script == NULL)
		return lun_fail(err, LUN_CONFIG,
		    "%s: cannot %s: its script is not registered: name it "
		    "among "
		    "the projections (-p FILE)",
		    p->name, requests[kind].words);
	if (requests[kind].needs_models) {
		enum lun_code code = lun_projection_prepare(p, err);

		if (code != LUN_OK)
			return code;
	}
	return lun_projection_flush(p, err);
}

enum lun_code
lun_projection_execute(struct lun_projection *p, enum lun_request_kind kind,
    const char *argument, struct lun_err *err)
{
	struct lun_err failure = {0};
	bool had_failed = lun_projection_is(p, LUN_PHASE_FAILED);
	enum lun_code code;

	lun_projection_abandon_batch(p);
	code = prepare_request(p, kind, &failure);
	if (requests[kind].moves)
		lun_projection_index_anew(p);
	if (code == LUN_OK)
		code = requests[kind].execute(p, argument, &failure);
	if (lun_projection_is(p, LUN_PHASE_ABANDONED))
		return code;
	if (code == LUN_TIMEOUT)
		lun_projection_doubt_ownership(p);
	if (requests[kind].moves)
		lun_projection_forget_position(p);
	if (requests[kind].starts_anew &&
	    (code == LUN_OK ||
		(code == LUN_SCRIPT && requests[kind].goes_on))) {
		lun_projection_doubt_checkpoint(p);
		lun_projection_begin_anew(p);
		if (code != LUN_OK)
			lun_projection_note_error(p, &failure);
	} else if (had_failed && lun_projection_is_owned(p)) {
		lun_projection_enter(p, LUN_PHASE_FAILED, NULL);
	} else {
		lun_projection_doubt_checkpoint(p);
	}
	if (code == LUN_UNAVAILABLE)
		(void)lun_wrap(&failure, code, "%s", requests[kind].words);
	lun_projection_request_waits(
	    p, code == LUN_UNAVAILABLE ? failure.message : "");
	if (code != LUN_UNAVAILABLE)
		lun_log(p->around->log, LUN_LOG_INFO, "%s: %s: %s", p->name,
		    requests[kind].words,
		    code == LUN_OK ? "done" : failure.message);
	if (code != LUN_OK && err != NULL)
		*err = failure;
	return code;
}

/* Whoever asked may look at the status next. */
static void
publish_status(struct lun_projection *p)
{
	struct lun_heartbeat heartbeat;

	if (!p->has_worker)
		return;
	lun_projection_fill_heartbeat(p, &heartbeat);
	(void)!lun_model_store_publish(p->models, &heartbeat, 1, NULL);
}

/* LUN_AGAIN: one could not be done yet, and is left there. */
static enum lun_code
serve_requests(struct lun_projection *p, lun_before_request_fn *before,
    void *arg, struct lun_err *err)
{
	struct lun_request request;
	enum lun_code code;

	while ((code = lun_model_store_request_next(
		    p->models, p->key, &request, err)) == LUN_OK) {
		struct lun_err outcome = {0};

		if (before != NULL)
			before(arg);
		p->request_number = request.number;
		code = lun_projection_execute(
		    p, request.kind, request.argument, &outcome);
		p->request_number = 0;
		if (lun_projection_is(p, LUN_PHASE_ABANDONED))
			return LUN_NOTFOUND;
		publish_status(p);
		if (code == LUN_UNAVAILABLE)
			return LUN_AGAIN;
		code = lun_model_store_request_finish(p->models, request.number,
		    outcome.code, outcome.message, err);
		if (code != LUN_OK)
			return code;
	}
	return code;
}

/* The store is not the one any more that was opened: that is said once. */
static void
fail_for_good(struct lun_projection *p, const struct lun_err *err)
{
	if (lun_projection_is(p, LUN_PHASE_FAILED))
		return;
	lun_projection_abandon_batch(p);
	lun_projection_enter(p, LUN_PHASE_FAILED, err);
	p->requests_refused = true;
}

static bool
is_look_due(struct lun_projection *p)
{
	if (!lun_projection_is_owned(p) || lun_clock_mono_ns() < p->requests_ns)
		return false;
	return !p->has_worker || atomic_exchange(&p->request_waits, false);
}

/* Looking costs a store a hundredth of its time at most. */
static int64_t
next_look(const struct lun_projection *p, int64_t began)
{
	int64_t now = lun_clock_mono_ns();
	int64_t spacing = (now - began) * COST_FACTOR;

	if (p->has_worker)
		return now;
	if (spacing < REQUESTS_NS)
		spacing = REQUESTS_NS;
	return now + (spacing < SELDOM_NS ? spacing : SELDOM_NS);
}

void
lun_projection_serve_requests(
    struct lun_projection *p, lun_before_request_fn *before, void *arg)
{
	int64_t now = lun_clock_mono_ns();
	struct lun_err err;
	enum lun_code code;

	if (!is_look_due(p))
		return;
	code = serve_requests(p, before, arg, &err);
	p->requests_ns = next_look(p, now);
	if (code == LUN_NOTFOUND || code == LUN_AGAIN)
		p->requests_pause_ns = 0;
	if (code == LUN_NOTFOUND)
		lun_projection_request_waits(p, "");
	if (code == LUN_AGAIN)
		p->requests_ns = lun_clock_mono_ns() + AGAIN_NS;
	if (code == LUN_NOTFOUND || code == LUN_AGAIN)
		return;
	if (code == LUN_CONFIG)
		fail_for_good(p, &err);
	if (p->requests_pause_ns == 0) {
		p->requests_pause_ns = REQUESTS_NS;
		if (!p->requests_refused)
			lun_log(p->around->log, LUN_LOG_WARNING,
			    "%s: looking for requests: %s", p->name,
			    err.message);
	}
	if (code == LUN_CONFIG)
		p->requests_refused = true;
	p->requests_pause_ns *= 2;
	if (p->requests_pause_ns > LONGEST_NS)
		p->requests_pause_ns = LONGEST_NS;
	p->requests_ns = lun_clock_mono_ns() + p->requests_pause_ns;
}
