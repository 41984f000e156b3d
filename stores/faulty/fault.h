/*
 * fault.h - "the n-th call of this kind fails", for the shims around stores.
 *
 * A shim's URL is faulty+URL?fail=KIND:N[&code=CODE][&when=after][&times=M].
 * KIND is a method's name or "any", CODE "io" (the default), "unavailable",
 * "timeout" or "config".
 * The N-th call and the M - 1 after it (M is 1) fail, counted over all the
 * connections made from one another. With when=after a commit or an append is
 * carried out and reported as failed all the same, as if its answer was lost.
 */

#ifndef LUN_FAULTY_FAULT_H
#define LUN_FAULTY_FAULT_H

#include "store/event_store.h"
#include "store/model_store.h"

extern const struct lun_event_store_ops lun_faulty_events;
extern const struct lun_model_store_ops lun_faulty_models;

struct lun_fault;

enum lun_strike {
	LUN_STRIKE_NONE,
	LUN_STRIKE_BEFORE, /* do not make the call */
	LUN_STRIKE_AFTER,  /* make it and report a failure */
};

/*
 * Take a URL without its "faulty+" apart. kinds: what the shim can make fail,
 * ends with NULL, outlives the fault. *inner is the wrapped store's URL, to be
 * freed with lun_free(). Without a query nothing ever fails.
 */
enum lun_code lun_fault_new(const char *url, const char *const *kinds,
    struct lun_fault **out, char **inner, struct lun_err *err) LUN_MUSTCHECK;
/* For another connection; each is to be freed. */
struct lun_fault *lun_fault_share(struct lun_fault *fault);
/* NULL is allowed. */
void lun_fault_free(struct lun_fault *fault);

/* Count a call. After it, fail with lun_fault_report() or go on. */
enum lun_strike lun_fault_strike(struct lun_fault *fault, const char *kind);
/* The same for calls that are never made when they fail. */
bool lun_fault_strikes(struct lun_fault *fault, const char *kind);

enum lun_code lun_fault_report(
    const struct lun_fault *fault, const char *kind, struct lun_err *err);

#endif
