/*
 * model_object.h - models as scripts hold them: plain tables.
 *
 * A packed row becomes a table for one call of a handler; what the handler
 * returns is checked, brought into the one form of its fields' types, and
 * packed. No table lives on to the next event: making one from its row costs
 * less than the collector's work for thousands of living ones, and what a
 * handler sees cannot depend on where a batch began.
 */

#ifndef LUN_SCRIPT_MODEL_OBJECT_H
#define LUN_SCRIPT_MODEL_OBJECT_H

#include <lua.h>

#include "base/buffer.h"
#include "base/text.h"
#include "script/script_state.h"

/*
 * Push the field names (field_count values): unpack and pack want them at
 * `names` on the stack. Raises.
 */
void lun_model_object_push_names(lua_State *L, struct lun_script *script);

/* Push (+1) the table of a packed row. Raises. */
void lun_model_object_unpack(lua_State *L, const struct lun_script *script,
    int names, struct lun_text row);

/*
 * Check, normalise and pack the table at index, the model with this id, into
 * script->row. The table may say the id too, as extract_model_id would. Raises
 * with a message that names the field. False when the engine's memory ran out.
 */
bool lun_model_object_pack(lua_State *L, struct lun_script *script, int names,
    int index, struct lun_text id) LUN_MUSTCHECK;

#endif
