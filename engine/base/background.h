/*
 * background.h - a thread that does one job at a time beside its owner.
 *
 * A projection fetches its next batch and commits its last one on lanes while
 * it applies the present one.
 */

#ifndef LUN_BASE_BACKGROUND_H
#define LUN_BASE_BACKGROUND_H

#include "lunette.h"

typedef enum lun_code lun_lane_fn(void *arg, struct lun_err *err);

struct lun_lane;

/* NULL when no thread can be had: the caller then works without. */
struct lun_lane *lun_lane_new(const char *name);
/* Waits for the job under way. NULL is allowed. */
void lun_lane_free(struct lun_lane *lane);

/* Begin a job; there must be none. */
void lun_lane_submit(struct lun_lane *lane, lun_lane_fn *job, void *arg);
/* Wait for the job and take its outcome. There must be one. */
enum lun_code lun_lane_wait(
    struct lun_lane *lane, struct lun_err *err) LUN_MUSTCHECK;
/* The job under way is over: waiting for it takes no time. */
bool lun_lane_done(struct lun_lane *lane);

#endif
