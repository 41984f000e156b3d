/*
 * event_table.h - a table in front of an event object.
 *
 * Lua finds what a table has faster than what an object gives. Such a table reads
 * like its object, in everything: it cannot be changed, whatever it has not it
 * asks the object for, and type() says the same of both. It keeps that only as
 * long as nobody assigns to a name that it has: see stateless.h.
 */

#ifndef LUN_SCRIPT_EVENT_TABLE_H
#define LUN_SCRIPT_EVENT_TABLE_H

#include <lua.h>
#include <stdbool.h>

/*
 * Push (+1) one for the object on top, whose metatable is ready: a method with
 * upvalues gets the table, the others their object. Raises.
 */
void lun_event_table_push(lua_State *L);

/* Push (+1) the object if the value at index is such a table. */
bool lun_event_table_push_object(lua_State *L, int index);

#endif
