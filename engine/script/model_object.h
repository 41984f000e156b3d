/*
 * model_object.h - models as scripts hold them: plain tables.
 *
 * A packed row becomes a table for a call of a handler; what the handler
 * returns is checked, brought into the one form of its fields' types, and
 * packed.
 *
 * The table of a model with declared fields is closed: it has a metatable, which
 * scripts do not see, that watches for other keys. With the first of them it is
 * taken off, so a table that is still closed has no keys but its fields. A
 * script that may keep the table (stateless.h) gets a plain one: wherever it has
 * put it later, in its result too, nobody is to find that metatable.
 */

#ifndef LUN_SCRIPT_MODEL_OBJECT_H
#define LUN_SCRIPT_MODEL_OBJECT_H

#include <lua.h>

#include "base/buffer.h"
#include "base/text.h"
#include "script/script_state.h"

/* Make the metatable and note it; once for each state. Raises. */
void lun_model_object_setup(
    lua_State *L, struct lun_script_functions *functions);

/*
 * Push the field names (field_count values): what is below wants them at
 * `names` on the stack. Raises.
 */
void lun_model_object_push_names(lua_State *L, struct lun_script *script);

/* Push (+1) the table of a packed row. Raises. */
void lun_model_object_unpack(lua_State *L, const struct lun_script *script,
    int names, struct lun_text row);
/* Make the closed table on top that of a packed row. Raises. */
void lun_model_object_fill(lua_State *L, int names, struct lun_text row);

/*
 * Check, normalise and pack the table at index, the model with this id, into
 * script->row. The table may say the id too, as extract_model_id would. Raises
 * with a message that names the field. False when the engine's memory ran out.
 */
bool lun_model_object_pack(lua_State *L, struct lun_script *script, int names,
    int index, struct lun_text id) LUN_MUSTCHECK;
/*
 * The same for a closed table at an index from the bottom, which has only its
 * fields and was made from the row. There is room on the stack for as many
 * values. *same: it is what unpacking gives, but for the values of json fields.
 */
bool lun_model_object_pack_closed(lua_State *L, struct lun_script *script,
    int names, int index, struct lun_text row, bool *same) LUN_MUSTCHECK;

/* Whether the tables that this script gets are. */
bool lun_model_object_closes(const struct lun_script *script);
bool lun_model_object_is_closed(lua_State *L, int index);
/*
 * Of a closed table: take off what watches it, and note that in the script. For
 * whatever gives a table of the script another metatable, or a key unseen.
 */
void lun_model_object_open(lua_State *L, int index);

#endif
