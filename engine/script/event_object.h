/*
 * event_object.h - events and their data as scripts hold them.
 *
 * Both are userdata that borrow from the batch and read like tables: a field
 * is decoded when it is touched. They cannot be changed, and raise when used
 * after their batch. next() does not know them; pairs() does. What lies inside
 * is in nested_object.h.
 *
 * A JSON null reads as lunette.null, which is not nil and counts as true:
 * compare with it, or ask event.data.x ~= lunette.null.
 */

#ifndef LUN_SCRIPT_EVENT_OBJECT_H
#define LUN_SCRIPT_EVENT_OBJECT_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

struct lun_script_functions;

/* Make the metatables and note them; once for each state. Raises. */
void lun_event_object_setup(
    lua_State *L, struct lun_script_functions *functions);

/* Push (+1) an event of the script's batch by its index. Raises. */
void lun_event_object_push(lua_State *L, uint32_t number);

/*
 * Is the value at index the object of this event, as good as new? Else there is
 * none, or a handler may have changed a table that hangs on it.
 */
bool lun_event_object_is_clean(lua_State *L, int index, uint32_t number);

/* Is the value at index an event, the data of one, or a part of that? */
bool lun_event_object_is(lua_State *L, int index);

/*
 * Push (+1) a copy of the value at index made of plain tables. Raises, also
 * for tables nested deeper than LUN_JSON_DEPTH_MAX.
 */
void lun_event_object_push_plain(lua_State *L, int index);

/* ---- for what hangs on an event ---------------------------------------- */

/*
 * Make a metatable, note it in the registry under a key and give its index
 * there, which is found faster. value gives JSON: see lun_json_value_key().
 */
int lun_event_object_register(lua_State *L, const char *key, const char *name,
    const luaL_Reg *methods, lua_CFunction value);
bool lun_event_object_has_metatable(lua_State *L, int index, const char *key);
/* Raise unless the batch of an object with this stamp is under way. */
void lun_event_object_check_stamp(lua_State *L, uint64_t stamp);
/* __tostring: its JSON */
int lun_event_object_tostring(lua_State *L);

#endif
