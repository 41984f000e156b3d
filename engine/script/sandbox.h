/*
 * sandbox.h - what a script sees: the tables of names in sandbox.c.
 *
 * It protects from mistakes and keeps results repeatable: no clock, no
 * randomness, no files, no addresses. It does not make scripts by an attacker
 * safe to run.
 */

#ifndef LUN_SCRIPT_SANDBOX_H
#define LUN_SCRIPT_SANDBOX_H

#include <lua.h>
#include <stdbool.h>

/*
 * Make the state's globals the sandbox and push nothing. `lunette` is the
 * table on top, popped; nil leaves it out. Raises.
 */
void lun_sandbox_open(lua_State *L);

/* Make reading a name that the table at index lacks raise `what "name"`. */
void lun_sandbox_make_strict(lua_State *L, int index, const char *what);
/* Was that done to the table at index? No script can. */
bool lun_sandbox_is_strict(lua_State *L, int index);

/* Push (+1) the table in which a method of strings is found in the end. */
void lun_sandbox_push_strings(lua_State *L);

#endif
