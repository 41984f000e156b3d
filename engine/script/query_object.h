/*
 * query_object.h - the query builder, in scripts and in the host's Lua.
 *
 *   lunette.query("account_summary")
 *     :filter("balance", "gte", 1000)
 *     :any{ { "owner", "like", "A*" }, { "owner", "is", lunette.null } }
 *     :order_by("balance", "desc"):limit(10):offset(20)
 *     :select("id", "balance")
 *
 * A builder is a table: its list part holds the terms in the text form that
 * lun_query_parse() checks, `projection` the name it was made with. Every
 * method but terms() changes the builder and returns it. Nothing here needs a
 * lun_vm: it works in any Lua state.
 */

#ifndef LUN_SCRIPT_QUERY_OBJECT_H
#define LUN_SCRIPT_QUERY_OBJECT_H

#include <lua.h>
#include <stdbool.h>

/* Push (+1) the function that makes a builder. Raises. */
void lun_query_object_push(lua_State *L);

/* Push (+1) an empty builder, once the function above was made. Raises. */
void lun_query_object_push_builder(lua_State *L);

/* Is the value at index a builder? */
bool lun_query_object_is(lua_State *L, int index);

#endif
