/*
 * live_models.h - tables of models that stay for the next call on the model.
 *
 * For scripts that keep nothing (stateless.h) and models without json fields: a
 * table that went into a call and came back as the result is in nobody else's
 * hands then, and equal to what its packed row would give. It serves the next
 * call on the model, until the batch ends or another model takes its place,
 * which is given the table, filled anew. How many there are depends on the
 * batch and on the memory that the state may hold.
 */

#ifndef LUN_SCRIPT_LIVE_MODELS_H
#define LUN_SCRIPT_LIVE_MODELS_H

#include <lua.h>

#include "script/script_state.h"

/* Whether the script's models can have any, in its present state. */
bool lun_live_models_wanted(const struct lun_script *script);

/* Push (+1) the list of the tables, fit for the batch under way. Raises. */
void lun_live_models_push_list(lua_State *L, struct lun_script *script);

/*
 * Push (+1) the table of a model of the batch, by its index and its row, with
 * the list and the field names at their places on the stack. It is out of the
 * list's hands until it is kept again. Raises.
 */
void lun_live_models_push(lua_State *L, struct lun_script *script, int list,
    int names, uint32_t model, struct lun_text row);
/* Its table, at index, is closed and equal to its row, which has this length. */
void lun_live_models_keep(lua_State *L, struct lun_script *script, int list,
    int index, uint32_t model, size_t row_length);

#endif
