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
 * Read the table at index, which the chunk of this source returned. LUN_SCRIPT
 * with "chunk:line: field: what is wrong", without the line where the source
 * does not tell it for certain. May raise for want of memory; what was read
 * until then is in out and freed with it.
 */
enum lun_code lun_declaration_read(lua_State *L, int index, const char *chunk,
    struct lun_text source, struct lun_declaration *out,
    struct lun_err *err) LUN_MUSTCHECK;
void lun_declaration_free(struct lun_declaration *description);

#endif
