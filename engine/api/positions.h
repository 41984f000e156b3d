/*
 * positions.h - positions as callers write them: tokens, or the event store's
 * own text.
 */

#ifndef LUN_API_POSITIONS_H
#define LUN_API_POSITIONS_H

#include "runtime/engine.h"

/*
 * The identity that tokens of a projection are made with: the one in its
 * checkpoint or, without one (checkpoint NULL too), the event store's own. ""
 * if that is not known.
 */
void lun_position_identity(struct lun_engine *engine,
    const struct lun_checkpoint *checkpoint, char identity[LUN_IDENTITY_SIZE]);

/*
 * Read a token or a position. projection NULL: of the event store itself. A
 * token that is not of its event store is LUN_INVALID.
 */
enum lun_code lun_position_read(struct lun_engine *engine,
    const char *projection, struct lun_text text, int64_t deadline_ns,
    struct lun_position *position, struct lun_err *err) LUN_MUSTCHECK;

#endif
