/*
 * decode.h - between JSON text and Lua values, without anything in between.
 *
 * What counts as JSON is in scan.h. Both functions may raise a Lua error
 * and must run inside a protected call. Lua values:
 *   null      lun_json_null(), a light userdata that scripts see as
 *             lunette.null; at the top as well as inside
 *   array     a table with the array metatable (so an empty one stays one)
 *   object    a plain table
 *   integer, number, string, boolean: as they are; 3.0 stays a float, and an
 *             integer beyond 64 bits becomes one
 */

#ifndef LUN_JSON_DECODE_H
#define LUN_JSON_DECODE_H

#include <lua.h>
#include <stdbool.h>

#include "base/buffer.h"
#include "base/text.h"
#include "lunette.h"

/* Bytes that one value may have as JSON; shared tables can multiply. */
#define LUN_JSON_SIZE_MAX ((size_t)16 << 20)

/*
 * Push the value of a JSON text (+1). Raises "invalid JSON at byte N: what",
 * also for a number beyond a double; the first byte is byte 1.
 */
void lun_json_push(lua_State *L, struct lun_text json);

/*
 * The same of an answer: values nested as deeply as may be, in the objects of
 * an array; a number that others recorded may be beyond a double, and is
 * infinite.
 */
void lun_json_push_answer(lua_State *L, struct lun_text json);

/*
 * Append the value at index as JSON, object keys sorted by bytes, so equal
 * values give equal bytes. Raises, at the line of the Lua code that calls the
 * running C function, if any does, and naming the path inside the value
 * ("items[2].price: a function cannot be stored"), for nil, NaN, infinities,
 * functions, threads, foreign userdata, strings that are not UTF-8, tables
 * that mix keys or have holes, keys that are not strings, nesting deeper than
 * LUN_JSON_DEPTH_MAX (which also ends cycles) and values larger than
 * LUN_JSON_SIZE_MAX.
 * A plain empty table is an object; a table with keys 1..n is an array and
 * gets the array metatable, if it has no metatable, so that it stays one.
 * Of a full userdata or a table whose metatable has the field named by
 * lun_json_value_key() what that C function gives for it is written in its
 * place: lazy event data uses this.
 * If the buffer runs out of memory, out->failed is set and nothing is raised.
 */
void lun_json_encode(lua_State *L, int index, struct lun_buffer *out);

/*
 * The same for what is stored: raises for a table with a metatable other
 * than that of arrays too, as it would read otherwise once it is stored. What
 * is raised names the field whose value it is, unless that is NULL.
 */
void lun_json_encode_plain(
    lua_State *L, int index, const char *field, struct lun_buffer *out);

/* The address that stands for null. */
void *lun_json_null(void);
bool lun_json_is_null(lua_State *L, int index);

/* A table without a metatable, or with that of arrays? */
bool lun_json_is_plain(lua_State *L, int index);

/* The address of the registry and metatable keys. */
const void *lun_json_array_key(void); /* registry: the array metatable */
const void *lun_json_value_key(void);

/* Make the registry entries a state needs; once for each state. Raises. */
void lun_json_setup(lua_State *L);

/* Mark the table at index as an array. Raises. */
void lun_json_mark_array(lua_State *L, int index);

#endif
