/*
 * stateless.h - can the functions of a script keep anything for their next call?
 *
 * Where they cannot, nobody holds what a call was given once it is over, and
 * the same objects serve all calls. Where that cannot be told for sure they may.
 */

#ifndef LUN_SCRIPT_STATELESS_H
#define LUN_SCRIPT_STATELESS_H

#include <lua.h>
#include <stdbool.h>

#include "base/buffer.h"

/*
 * Whether those of the list at index `functions`, and all that they can reach,
 * keep nothing. Push (+1) a table with the names that they assign to in tables,
 * each a key; nil if they keep something, or assign to what they compute. room
 * is memory for it. Raises.
 */
bool lun_stateless_check(lua_State *L, int functions, struct lun_buffer *room);

#endif
