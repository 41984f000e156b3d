/*
 * event_object.h - events and their data as scripts hold them.
 *
 * Both are userdata that borrow from the batch and read like tables: a field
 * is decoded when it is touched. They cannot be changed, and raise when used
 * after their batch. next() does not know them; pairs() does. What lies inside
 * is in nested_object.h.
 *
 * A JSON null reads as lunette.null, which is not nil and counts as true:
 * compare with it, or ask event.data.x ~= lunette.null.
 */

#ifndef LUN_SCRIPT_EVENT_OBJECT_H
#define LUN_SCRIPT_EVENT_OBJECT_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

#include "data/documents.h"
#include "data/event.h"

struct lun_script;
struct lun_script_functions;

/* Make the metatables and note them; once for each state. Raises. */
void lun_event_object_setup(
    lua_State *L, struct lun_script_functions *functions);

/* Push (+1) an event of the script's batch by its index. Raises. */
void lun_event_object_push(lua_State *L, uint32_t number);

/*
 * Is the value at index the object of this event, as good as new? Else there is
 * none, or a handler may have changed a table that hangs on it.
 */
bool lun_event_object_is_clean(lua_State *L, int index, uint32_t number);

/* Is the value at index an event, the data of one, or a part of that? */
bool lun_event_object_is(lua_State *L, int index);
/* The name of its type: what reads like a table is one. */
const char *lun_event_object_typename(lua_State *L, int index);

/*
 * Push (+1) a copy of the value at index made of plain tables. Raises, also
 * for tables nested deeper than LUN_JSON_DEPTH_MAX.
 */
void lun_event_object_push_plain(lua_State *L, int index);

/* ---- for what hangs on an event, and for shared_event.c ---------------- */

/* User values: the data and the metadata, once they were asked for. */
struct lun_event_object {
	uint64_t stamp;
	uint32_t number; /* of the event, in the batch */
	bool has_parts;  /* there are user values */
};

/* User value: a table of the nested values that were decoded, by key. */
struct lun_event_object_data {
	uint64_t stamp;
	uint32_t document; /* twice the event's index, one more for metadata */
	bool has_nested;   /* there is a user value */
};

enum lun_event_object_field {
	LUN_EVENT_DATA,
	LUN_EVENT_ID,
	LUN_EVENT_METADATA,
	LUN_EVENT_POSITION,
	LUN_EVENT_RECORDED_AT,
	LUN_EVENT_STREAM,
	LUN_EVENT_TYPE,
	LUN_EVENT_VERSION,
	LUN_EVENT_TENANT,
	LUN_EVENT_FIELD_COUNT
};

extern const char *const lun_event_object_field_names[LUN_EVENT_FIELD_COUNT];

/* Push (+1) a metatable of events or of their data. Raises. */
void lun_event_object_push_metatable(lua_State *L, bool data);
/* __index of both, and what it gives of a member that is not nested. Raise. */
int lun_event_object_index(lua_State *L);
/* __pairs of events. Raises. */
int lun_event_object_pairs(lua_State *L);
int lun_event_object_data_index(lua_State *L);
void lun_event_object_push_value(lua_State *L, struct lun_script *script,
    const struct lun_member *member, struct lun_text value);
/* Push (+1) a field that is neither data nor metadata. */
void lun_event_object_push_simple(lua_State *L, struct lun_script *script,
    const struct lun_event *event, enum lun_event_object_field field);
/* The count if there is no such field. */
enum lun_event_object_field lun_event_object_find_field(const char *name);
/*
 * Push (+1) a metatable of what the key stands for. value gives JSON: see
 * lun_json_value_key().
 */
void lun_event_object_push_methods(lua_State *L, const char *key,
    const char *name, const luaL_Reg *methods, lua_CFunction value);
/* Also of a table, see event_table.h. */
bool lun_event_object_has_metatable(lua_State *L, int index, const char *key);
/* Raise unless the batch of an object with this stamp is under way. */
void lun_event_object_check_stamp(lua_State *L, uint64_t stamp);
/* __tostring: its JSON */
int lun_event_object_tostring(lua_State *L);

#endif
