/*
 * luaopen.h - what the files of the Lua binding share.
 *
 * The binding lives in the host's Lua state. Nothing in it holds C memory
 * across a call that may raise: buffers and results belong to userdata. The
 * engine's own threads never see the host's state.
 */

#ifndef LUN_LUA_LUAOPEN_H
#define LUN_LUA_LUAOPEN_H

#include <lauxlib.h>
#include <lua.h>

#include "base/buffer.h"
#include "base/text.h"
#include "lunette.h"

int luaopen_lunette_core(lua_State *L);

#define LUN_HOST_ENGINE "lunette.engine"

struct lun_host_engine {
	struct lun_engine *engine; /* NULL: closed */
	bool in_progress; /* inside the progress function of run_once */
};

/* The open engine at index 1. Raises. */
struct lun_engine *lun_host_check_engine(lua_State *L);

/* A string without NUL bytes at an argument or the top. Raises. */
const char *lun_host_check_text(lua_State *L, int arg);
/* The same, or NULL for none and nil. */
const char *lun_host_opt_text(lua_State *L, int arg);
/* A model id: such a string, or an integer by its digits. Raises. */
const char *lun_host_check_id(lua_State *L, int arg);
const char *lun_host_opt_id(lua_State *L, int arg);

/*
 * The field of the table at argument arg, pushed (+1): a string without NUL
 * bytes, or nil and NULL. Raises "NAME must be a string, got TYPE".
 */
const char *lun_host_text_field(lua_State *L, int arg, const char *name);

/* Raise unless every key of the table is one of the names (NULL at the end). */
void lun_host_check_keys(lua_State *L, int arg, const char *const *names);
/*
 * How long the list at arg is. Raises if it has a key that is no index, or a
 * metatable other than that of arrays.
 */
size_t lun_host_check_list(lua_State *L, int arg, const char *members);

/* Seconds at an argument, or at the top of the stack for arg -1, as ms. */
int64_t lun_host_check_seconds(lua_State *L, int arg, lua_Number otherwise);

/* nil, message, code and, if there is one, the detail: return this. */
int lun_host_fail(lua_State *L, enum lun_code code, const struct lun_err *err);
/* true, or the failure. */
int lun_host_done(lua_State *L, enum lun_code code, const struct lun_err *err);

/* Push (+1) the owner of a text that the engine will return. */
char **lun_host_push_owner(lua_State *L);
/* Replace the owner on the top by the value of its JSON. */
void lun_host_push_owned_json(lua_State *L, char **owner);

/* Push (+1) an empty buffer that the collector frees. */
struct lun_buffer *lun_host_push_buffer(lua_State *L);

/* Make the metatables of owners and buffers; once for each state. */
void lun_host_setup(lua_State *L);

/* Methods of an engine, by file. */
extern const luaL_Reg lun_host_event_methods[];
extern const luaL_Reg lun_host_run_methods[];
extern const luaL_Reg lun_host_model_methods[];

#endif
