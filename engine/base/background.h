/*
 * background.h - a thread that does one job at a time beside its owner.
 *
 * A projection fetches its next batch and commits its last one on lanes while
 * it applies the present one.
 */

#ifndef LUN_BASE_BACKGROUND_H
#define LUN_BASE_BACKGROUND_H

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

#endif
