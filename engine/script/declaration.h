/*
 * declaration.h - what a script's table says, checked.
 */

#ifndef LUN_SCRIPT_DECLARATION_H
#define LUN_SCRIPT_DECLARATION_H

#include <lua.h>

#include "script/script.h"

/* Zero is the empty state. */
struct lun_declaration {
	struct lun_schema *schema;
	struct lun_event_filter filter; /* borrowed from the schema */
	enum lun_on_error on_error;
	int retries;
	bool by_type; /* has `on` in place of apply_to_model */
	bool has_query;
};

/*
 * Read the table at index, which the chunk returned. LUN_SCRIPT with
 * "chunk: field: what is wrong", "chunk:line: ..." where it is about a function.
 * May raise for want of memory; what was read until then is in out and freed
 * with it.
 */
enum lun_code lun_declaration_read(lua_State *L, int index, const char *chunk,
    struct lun_declaration *out, struct lun_err *err) LUN_MUSTCHECK;
void lun_declaration_free(struct lun_declaration *description);

#endif
