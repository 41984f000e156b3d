/*
 * shared_event.h - one event object for all events of a type.
 *
 * A script that keeps nothing (stateless.h) has an event only as long as the
 * call that got it, so the next event may be shown by the same object. Such an
 * object learns what its script looks at. That stands ready in tables, in which
 * Lua finds it without a call, and everything else takes the way it takes with
 * other event objects.
 */

#ifndef LUN_SCRIPT_SHARED_EVENT_H
#define LUN_SCRIPT_SHARED_EVENT_H

#include <lua.h>
#include <stdint.h>

struct lun_script;

/*
 * Put on the stack, unless it was done in this run, what the object for events
 * of this kind needs: it stays below whatever the run's next call pushes. Of
 * kinds there may be any number. Raises.
 */
void lun_shared_event_place(
    lua_State *L, struct lun_script *script, size_t kind);

/*
 * Push (+1) the object, which was placed, and let it show this event of the batch
 * until the next call. Raises.
 */
void lun_shared_event_push(
    lua_State *L, struct lun_script *script, size_t kind, uint32_t number);

#endif
