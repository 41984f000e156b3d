/*
 * bounded.h - can a call of a script's functions never take many instructions?
 *
 * Then nothing has to count them, which costs every one of them.
 */

#ifndef LUN_SCRIPT_BOUNDED_H
#define LUN_SCRIPT_BOUNDED_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"

/*
 * Whether no call of a function of the list at index `functions`, of a script
 * that keeps nothing (stateless.h), can run more than `most` instructions of Lua.
 * What functions in C do is not among them. room is memory for it. Raises.
 */
bool lun_bounded_check(
    lua_State *L, int functions, int64_t most, struct lun_buffer *room);

#endif
