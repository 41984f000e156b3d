/*
 * read_id.h - model ids as scripts hand them over, and as they get them.
 */

#ifndef LUN_SCRIPT_READ_ID_H
#define LUN_SCRIPT_READ_ID_H

#include <lua.h>

#include "base/text.h"
#include "script/script_state.h"

/*
 * The id at index as bytes. A key that is text: a text, or an integer for its
 * decimal text. One that is an integer: an integer, a float without fraction
 * or the text that tostring makes of the integer. Raises on anything else. The
 * value at index becomes the text that the bytes belong to.
 */
struct lun_text lun_script_read_id(
    lua_State *L, const struct lun_script *script, int index);

/* Push (+1) an id: a text or an integer, as the key is. */
void lun_script_push_id(
    lua_State *L, const struct lun_script *script, struct lun_text id);

#endif
