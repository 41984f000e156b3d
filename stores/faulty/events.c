/*
 * events.c - a shim around any event store that makes the n-th call fail.
 */

#include "store/event_store.h"

#include <stdlib.h>

#include "base/error.h"
#include "faulty/fault.h"

struct faulty_store {
	struct lun_event_store base; /* stays first */
	struct lun_event_store *inner;
	struct lun_fault *fault;
};

static const char *const kinds[] = {"open", "connect", "identity", "read",
    "head", "lag", "append", "begin", "commit", "find", NULL};

static struct faulty_store *
faulty_events_of(struct lun_event_store *store)
{
	return (struct faulty_store *)store;
}

/* ---- opening and closing ----------------------------------------------- */

static void
faulty_close(struct lun_event_store *store)
{
	lun_event_store_close(faulty_events_of(store)->inner);
	lun_fault_free(faulty_events_of(store)->fault);
	free(store);
}

/* Takes the fault over, also when it fails. */
static struct faulty_store *
new_faulty_events(struct lun_fault *fault, struct lun_err *err)
{
	struct faulty_store *s = calloc(1, sizeof *s);

	if (s == NULL) {
		lun_fault_free(fault);
		(void)lun_fail(err, LUN_NOMEM, "faulty: out of memory");
		return NULL;
	}
	s->base.ops = &lun_faulty_events;
	s->fault = fault;
	return s;
}

static enum lun_code
open_inner_events(struct lun_fault *fault, const char *url,
    const struct lun_store_options *options, struct lun_event_store **out,
    struct lun_err *err)
{
	struct faulty_store *s = new_faulty_events(fault, err);
	enum lun_code code;

	if (s == NULL)
		return LUN_NOMEM;
	code = lun_fault_strikes(fault, "open")
		   ? lun_fault_report(fault, "open", err)
		   : lun_event_store_open(url, options, &s->inner, err);
	if (code != LUN_OK) {
		faulty_close(&s->base);
		return code;
	}
	s->base.has_tenants = s->inner->has_tenants;
	s->base.made = s->inner->made;
	*out = &s->base;
	return LUN_OK;
}

static enum lun_code
faulty_open(const char *rest, const struct lun_store_options *options,
    struct lun_event_store **out, struct lun_err *err)
{
	struct lun_fault *fault;
	enum lun_code code;
	char *url;

	code = lun_fault_new(rest, kinds, &fault, &url, err);
	if (code != LUN_OK)
		return code;
	code = open_inner_events(fault, url, options, out, err);
	lun_free(url);
	return code;
}

static enum lun_code
faulty_connect(struct lun_event_store *store, struct lun_event_store **out,
    struct lun_err *err)
{
	struct faulty_store *from = faulty_events_of(store);
	struct faulty_store *s;
	enum lun_code code;

	if (lun_fault_strikes(from->fault, "connect"))
		return lun_fault_report(from->fault, "connect", err);
	s = new_faulty_events(lun_fault_share(from->fault), err);
	if (s == NULL)
		return LUN_NOMEM;
	code = lun_event_store_connect(from->inner, &s->inner, err);
	if (code != LUN_OK) {
		faulty_close(&s->base);
		return code;
	}
	s->base.has_tenants = s->inner->has_tenants;
	*out = &s->base;
	return LUN_OK;
}

/* ---- reading ----------------------------------------------------------- */

static enum lun_code
faulty_identity(struct lun_event_store *store, char identity[LUN_IDENTITY_SIZE],
    struct lun_err *err)
{
	if (lun_fault_strikes(faulty_events_of(store)->fault, "identity"))
		return lun_fault_report(
		    faulty_events_of(store)->fault, "identity", err);
	return lun_event_store_identity(
	    faulty_events_of(store)->inner, identity, err);
}

/* Its caller has dealt with the format of the source state already. */
static enum lun_code
faulty_read(struct lun_event_store *store, const struct lun_read *request,
    struct lun_batch *batch, struct lun_err *err)
{
	struct lun_event_store *inner = faulty_events_of(store)->inner;

	if (lun_fault_strikes(faulty_events_of(store)->fault, "read"))
		return lun_fault_report(
		    faulty_events_of(store)->fault, "read", err);
	return inner->ops->read(inner, request, batch, err);
}

static enum lun_code
faulty_head(struct lun_event_store *store, struct lun_position *head,
    struct lun_err *err)
{
	if (lun_fault_strikes(faulty_events_of(store)->fault, "head"))
		return lun_fault_report(
		    faulty_events_of(store)->fault, "head", err);
	return lun_event_store_head(faulty_events_of(store)->inner, head, err);
}

static enum lun_code
faulty_lag(struct lun_event_store *store, struct lun_position after,
    const struct lun_event_filter *filter, struct lun_lag *lag,
    struct lun_err *err)
{
	if (lun_fault_strikes(faulty_events_of(store)->fault, "lag"))
		return lun_fault_report(
		    faulty_events_of(store)->fault, "lag", err);
	return lun_event_store_lag(
	    faulty_events_of(store)->inner, after, filter, lag, err);
}

static enum lun_code
faulty_find(struct lun_event_store *store, struct lun_text id,
    struct lun_position *position, struct lun_err *err)
{
	if (lun_fault_strikes(faulty_events_of(store)->fault, "find"))
		return lun_fault_report(
		    faulty_events_of(store)->fault, "find", err);
	return lun_event_store_find(
	    faulty_events_of(store)->inner, id, position, err);
}

/* ---- writing ----------------------------------------------------------- */

/* A failure that is no refusal takes an open transaction with it. */
static enum lun_code
faulty_append(struct lun_event_store *store, const struct lun_append *events,
    size_t count, struct lun_append_result *results, struct lun_err *err)
{
	struct faulty_store *s = faulty_events_of(store);
	enum lun_strike strike = lun_fault_strike(s->fault, "append");
	enum lun_code code = LUN_OK;

	if (strike != LUN_STRIKE_BEFORE)
		code = lun_event_store_append(
		    s->inner, events, count, results, err);
	if (code != LUN_OK || strike == LUN_STRIKE_NONE)
		return code;
	lun_event_store_rollback(s->inner);
	return lun_fault_report(s->fault, "append", err);
}

static enum lun_code
faulty_begin(struct lun_event_store *store, struct lun_err *err)
{
	if (lun_fault_strikes(faulty_events_of(store)->fault, "begin"))
		return lun_fault_report(
		    faulty_events_of(store)->fault, "begin", err);
	return lun_event_store_begin(faulty_events_of(store)->inner, err);
}

static enum lun_code
faulty_commit(struct lun_event_store *store, struct lun_err *err)
{
	struct faulty_store *s = faulty_events_of(store);
	enum lun_strike strike = lun_fault_strike(s->fault, "commit");
	enum lun_code code = LUN_OK;

	if (strike == LUN_STRIKE_BEFORE)
		lun_event_store_rollback(s->inner);
	else
		code = lun_event_store_commit(s->inner, err);
	if (code != LUN_OK || strike == LUN_STRIKE_NONE)
		return code;
	return lun_fault_report(s->fault, "commit", err);
}

static void
faulty_rollback(struct lun_event_store *store)
{
	lun_event_store_rollback(faulty_events_of(store)->inner);
}

/* ---- passed on --------------------------------------------------------- */

static enum lun_code
faulty_gaps(struct lun_event_store *store, struct lun_text source_state,
    struct lun_buffer *json, struct lun_err *err)
{
	struct lun_event_store *inner = faulty_events_of(store)->inner;

	if (inner->ops->gaps != NULL)
		return inner->ops->gaps(inner, source_state, json, err);
	lun_buffer_add_text(json, LUN_TEXT("[]"));
	return LUN_OK;
}

static enum lun_code
faulty_held_by(struct lun_event_store *store, struct lun_text source_state,
    struct lun_buffer *words, struct lun_err *err)
{
	struct lun_event_store *inner = faulty_events_of(store)->inner;

	return inner->ops->held_by != NULL
		   ? inner->ops->held_by(inner, source_state, words, err)
		   : LUN_OK;
}

static bool
faulty_same_reach(struct lun_event_store *store, struct lun_text own,
    struct lun_text other, struct lun_position *unproven)
{
	struct lun_event_store *inner = faulty_events_of(store)->inner;

	return inner->ops->same_reach != NULL
		   ? inner->ops->same_reach(inner, own, other, unproven)
		   : lun_text_equal(own, other);
}

static bool
faulty_notice(struct lun_event_store *store, char text[LUN_NOTICE_SIZE])
{
	return lun_event_store_notice(faulty_events_of(store)->inner, text);
}

static int
faulty_wake_fd(struct lun_event_store *store)
{
	return lun_event_store_wake_fd(faulty_events_of(store)->inner);
}

static void
faulty_drain(struct lun_event_store *store)
{
	lun_event_store_drain(faulty_events_of(store)->inner);
}

static void
faulty_format_position(struct lun_event_store *store,
    struct lun_position position, char text[LUN_POSITION_MAX])
{
	lun_event_store_format_position(
	    faulty_events_of(store)->inner, position, text);
}

static bool
faulty_parse_position(struct lun_event_store *store, struct lun_text text,
    struct lun_position *position)
{
	return lun_event_store_parse_position(faulty_events_of(store)->inner,
		   text, position, NULL) == LUN_OK;
}

static double
faulty_place(struct lun_event_store *store, struct lun_position position)
{
	return lun_event_store_place(faulty_events_of(store)->inner, position);
}

const struct lun_event_store_ops lun_faulty_events = {
    .scheme = "faulty",
    .abi = LUN_EVENT_STORE_ABI,
    .open = faulty_open,
    .connect = faulty_connect,
    .close = faulty_close,
    .identity = faulty_identity,
    .read = faulty_read,
    .head = faulty_head,
    .lag = faulty_lag,
    .append = faulty_append,
    .begin = faulty_begin,
    .commit = faulty_commit,
    .rollback = faulty_rollback,
    .find = faulty_find,
    .wake_fd = faulty_wake_fd,
    .notice = faulty_notice,
    .gaps = faulty_gaps,
    .same_reach = faulty_same_reach,
    .held_by = faulty_held_by,
    .drain = faulty_drain,
    .format_position = faulty_format_position,
    .parse_position = faulty_parse_position,
    .place = faulty_place,
};
