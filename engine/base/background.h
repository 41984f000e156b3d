/*
 * background.h - a thread that does one job at a time beside its owner.
 *
 * A projection fetches its next batch and commits its last one on such threads
 * while it applies the present one.
 */

#ifndef LUN_BASE_BACKGROUND_H
#define LUN_BASE_BACKGROUND_H

#include <time.h>

#include "lunette.h"

typedef enum lun_code lun_background_fn(void *arg, struct lun_err *err);

struct lun_background;

/* NULL when no thread can be had: the caller then works without. */
struct lun_background *lun_background_new(const char *name);
/* Waits for the job under way. NULL is allowed. */
void lun_background_free(struct lun_background *background);

/* Begin a job; there must be none. */
void lun_background_submit(
    struct lun_background *background, lun_background_fn *job, void *arg);
/* Wait for the job and take its outcome. There must be one. */
enum lun_code lun_background_wait(
    struct lun_background *background, struct lun_err *err) LUN_MUSTCHECK;
/* The job under way is over: waiting for it takes no time. */
bool lun_background_done(struct lun_background *background);
/* The same at some moment until `until_ns` of the monotonic clock. */
bool lun_background_done_until(
    struct lun_background *background, int64_t until_ns);

/* The CPU clock of its thread. */
clockid_t lun_background_cpu_clock(const struct lun_background *background);
/*
 * Give up waiting for the job under way, for good: its thread is left to
 * itself and to the processor's idle time. Should the job end after all, `ended` is called on that thread with
 * the job's argument and everything is freed.
 */
void lun_background_abandon(
    struct lun_background *background, void (*ended)(void *arg));

#endif
