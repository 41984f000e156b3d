/*
 * nested_object.h - the arrays and objects inside the data of events.
 *
 * Each is a userdata around the table that was decoded. It reads as the table
 * does, and so do those inside it; it cannot be changed, and raises when used
 * after its batch.
 */

#ifndef LUN_SCRIPT_NESTED_OBJECT_H
#define LUN_SCRIPT_NESTED_OBJECT_H

#include <lua.h>
#include <stdbool.h>

struct lun_script_functions;

/* Make the metatable and note it; once for each state. Raises. */
void lun_nested_object_setup(
    lua_State *L, struct lun_script_functions *functions);

/* Put one around the table on top, which is decoded JSON. Raises. */
void lun_nested_object_wrap(lua_State *L);

bool lun_nested_object_is(lua_State *L, int index);

/*
 * Push (+1) the table inside the one at index; tables in it that a script has
 * looked at are such objects too. It must not be changed. Raises.
 */
void lun_nested_object_push_table(lua_State *L, int index);

/* Lua's next(), of such an object and a key. */
int lun_nested_object_next(lua_State *L);

#endif
