/*
 * script.h - a projection script: load, validate, describe, call.
 *
 * A script owns a Lua state of its own, used by one thread at a time. No
 * function here lets a Lua error out. After LUN_BUDGET or an interrupt the
 * state is spent; lun_script_renew(), or the next call that needs a state,
 * builds a new one from the same source.
 */

#ifndef LUN_SCRIPT_SCRIPT_H
#define LUN_SCRIPT_SCRIPT_H

#include "base/text.h"
#include "data/event.h"
#include "data/schema.h"
#include "lunette.h"
#include "script/pulse.h"
#include "store/model_store.h"
#include "store/unit_of_work.h"

/*
 * Extraction and application take the fewest steps for so many events in turn:
 * application then finds the event objects that extraction made.
 */
#define LUN_SCRIPT_SLICE 256

struct lun_script_limits {
	int64_t instructions; /* for one call of a handler */
	int64_t cpu_ms;       /* thread CPU time of one call */
	size_t memory_bytes;  /* of the whole state */
};

enum lun_on_error {
	LUN_ON_ERROR_STOP,
	LUN_ON_ERROR_SKIP,
	LUN_ON_ERROR_PARK
};

struct lun_script;

/*
 * A script that is not loaded yet: all it has is its source, bundle, hash and
 * pulse. chunk is the name errors use (a path). LUN_SCRIPT if it is no text.
 */
enum lun_code lun_script_new(const char *chunk, struct lun_text source,
    const struct lun_script_limits *limits, struct lun_script **out,
    struct lun_err *err) LUN_MUSTCHECK;
/* NULL is allowed. */
void lun_script_free(struct lun_script *script);
/*
 * Build its Lua state: compile, run and validate. The one that is there is
 * thrown away. LUN_SCRIPT with "path:line: ..." for syntax and run-time errors
 * and "path: field: what is wrong" for a bad table. runtime/load.h has this for
 * texts that nobody has run before.
 */
enum lun_code lun_script_renew(
    struct lun_script *script, struct lun_err *err) LUN_MUSTCHECK;

/* What the script's table says. Borrowed from the script. */
const struct lun_schema *lun_script_schema(const struct lun_script *script);
struct lun_text lun_script_source(const struct lun_script *script);
/*
 * Everything that the text loaded, as one JSON document, and its hash. Models
 * are kept with the bundles that built them.
 */
struct lun_text lun_script_bundle(const struct lun_script *script);
const char *lun_script_hash(const struct lun_script *script);
/* handles, or the keys of `on` in order; no types: every type. */
const struct lun_event_filter *lun_script_filter(
    const struct lun_script *script);
enum lun_on_error lun_script_on_error(const struct lun_script *script);
int lun_script_retries(const struct lun_script *script);
bool lun_script_has_query(const struct lun_script *script);

/*
 * Let event.position read as this event store writes positions; it must
 * outlive its use here. Without one it is 32 hexadecimal digits.
 */
void lun_script_use_positions_of(
    struct lun_script *script, struct lun_event_store *events);

/*
 * Call extract_model_id for the batch's events from *at on, up to the one at
 * `end`, noting touches in the unit of work. On LUN_SCRIPT or LUN_BUDGET *at is
 * the event that failed (none of its touches are noted); call again with
 * *at + 1 to pass over it. The message begins with the script's line, the
 * detail is a traceback. LUN_CONFIG: events of several tenants were read, and
 * it gave ids for the event at *at without a look at event.tenant.
 */
enum lun_code lun_script_extract(struct lun_script *script,
    const struct lun_batch *batch, struct lun_unit_of_work *uow, size_t *at,
    size_t end, struct lun_err *err) LUN_MUSTCHECK;

/*
 * Call apply_to_model for the touches from *at on, of the events before the one
 * at `end`, and put each resulting row; *at is behind them then.
 * Stops with LUN_AGAIN at a touch of a model that is parked. On LUN_SCRIPT or
 * LUN_BUDGET *at is the touch that failed and its model still has its last
 * good row; call again with *at + 1 to go on. LUN_NOMEM: the engine's memory.
 */
enum lun_code lun_script_apply(struct lun_script *script,
    const struct lun_batch *batch, struct lun_unit_of_work *uow, size_t *at,
    size_t end, struct lun_err *err) LUN_MUSTCHECK;

/* True if the last LUN_BUDGET of extract or apply was for want of memory. */
bool lun_script_starved(const struct lun_script *script);

/* Let go of the batch: its events and their data stop being usable. */
void lun_script_end_batch(struct lun_script *script);

/*
 * Answer a query: handle_query(store, query) if the script has one, else the
 * plain query. terms as in lun_query_parse(). The JSON array is appended to
 * out. models is used on the calling thread for the length of the call.
 */
enum lun_code lun_script_query(struct lun_script *script,
    struct lun_model_store *models, struct lun_key key,
    const struct lun_text *terms, size_t count, uint64_t default_limit,
    uint64_t max_limit, struct lun_buffer *out,
    struct lun_err *err) LUN_MUSTCHECK;

/* For a watchdog on another thread. Lives as long as the script. */
struct lun_pulse *lun_script_pulse(struct lun_script *script);

#endif
