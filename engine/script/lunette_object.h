/*
 * lunette_object.h - the table `lunette` that scripts have.
 */

#ifndef LUN_SCRIPT_LUNETTE_OBJECT_H
#define LUN_SCRIPT_LUNETTE_OBJECT_H

#include <lua.h>

/* Push it (+1). Raises. */
void lun_lunette_object_push(lua_State *L);

#endif
