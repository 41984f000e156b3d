/*
 * tenants.h - which tenants a reader has seen, and where it keeps that.
 *
 * Streams of two tenants may have one name, so whoever makes ids of the names
 * has to know once there are two. That must outlive a restart, so it stands
 * before the event store's own source state, behind a letter for the format:
 *
 *   A STATE          no event was of a tenant, as far as it is known
 *   T LENGTH:NAME STATE   all of them were of this one ("": of none)
 *   M STATE          they were of several
 */

#ifndef LUN_STORE_TENANTS_H
#define LUN_STORE_TENANTS_H

#include "data/event.h"

struct lun_tenants {
	bool any;
	bool several;
	struct lun_text only; /* if there was one; borrowed */
};

/*
 * Take what is kept apart. An empty state is one whose position was set by
 * hand. LUN_CONFIG for any other format.
 */
enum lun_code lun_tenants_split(struct lun_text kept,
    struct lun_tenants *tenants, struct lun_text *state,
    struct lun_err *err) LUN_MUSTCHECK;

/* See the tenants of these events, and set the batch's tenants_from. */
void lun_tenants_see(struct lun_tenants *tenants, struct lun_batch *batch);

/* Put them before the state; before an empty one if there were any. */
enum lun_code lun_tenants_join(const struct lun_tenants *tenants,
    struct lun_buffer *state, struct lun_err *err) LUN_MUSTCHECK;

#endif
