/*
 * script_state.h - the inside of a script, for the files of this folder.
 */

#ifndef LUN_SCRIPT_SCRIPT_STATE_H
#define LUN_SCRIPT_SCRIPT_STATE_H

#include <lua.h>

#include "base/buffer.h"
#include "data/documents.h"
#include "script/declaration.h"
#include "script/script.h"
#include "script/vm.h"

/* So many event objects that serve all events of some types. */
#define LUN_SHARED_EVENTS 32

/* A function of the script; belongs to one Lua state. */
struct lun_handler {
	int reference;
	int line;      /* where it is defined */
	int arguments; /* so many of ours it looks at */
};

/* The table of a model that waits for the next call: see live_models.h. */
struct lun_live_model {
	uint64_t stamp; /* of its batch */
	uint32_t model; /* its index there */
	bool filled;    /* the table in the list may be used */
	bool lent;      /* and it is the one of the call under way */
};

struct lun_live_models {
	struct lun_live_model *places; /* in Lua's memory */
	size_t count;
	int memory; /* what holds it; 0: not made yet */
	int tables; /* list of the tables, by place; 0: not made yet */
};

struct lun_shared_event;

/* What lives in the registry of the present Lua state. */
struct lun_script_functions {
	struct lun_handler extract;
	struct lun_handler apply;
	struct lun_handler *on; /* by index in the filter's types */
	struct lun_handler query;
	int event_metatable;
	int data_metatable;
	int nested_metatable;
	int closed_metatable; /* of models with fields */
	const void *closed_address;
	bool bounded;   /* nor run long: see bounded.h */
	bool stateless; /* the functions keep nothing: see stateless.h */
	int assigned;   /* table of names from there; LUA_REFNIL: any */
	struct lun_live_models live;
	struct lun_shared_event *shared[LUN_SHARED_EVENTS]; /* or NULL */
	int objects; /* list of the last event objects, by index */
	int names;   /* list of the field names, in the schema's order */
	const void *name_addresses[LUN_FIELDS_MAX]; /* of those strings */
};

/* A query being answered by handle_query. */
struct lun_query_run {
	struct lun_model_store *models;
	struct lun_key key;
	const struct lun_text *terms;
	size_t term_count;
	uint64_t default_limit;
	uint64_t max_limit;
	struct lun_err failure; /* of the store: stands whatever follows */
	bool failed;
};

struct lun_script {
	char *chunk;
	struct lun_buffer source;
	struct lun_buffer bundle;
	char hash[LUN_BUNDLE_HASH_SIZE];
	struct lun_script_limits limits;
	struct lun_pulse pulse;
	struct lun_declaration about;
	struct lun_event_store *events; /* whose positions; may be NULL */

	struct lun_vm *vm;
	struct lun_script_functions functions;
	bool opened;       /* so was a model's table, see model_object.h */
	uint64_t run;      /* number of the last protected loop */
	bool starved;      /* the last failure was for want of memory */
	bool knows_tenant; /* the handler under way has looked at it */

	/*
	 * The batch under way, NULL between batches. Event objects carry the
	 * stamp they were made under and are of no use under another.
	 */
	const struct lun_batch *batch;
	uint64_t stamp;
	uint32_t *listed; /* by index of model: the list that named it last */
	size_t listed_capacity;
	uint32_t list_number;

	struct lun_query_run *query; /* NULL outside of handle_query */

	/* Memory for steps that may raise: freed with the script. */
	struct lun_buffer row;
	struct lun_buffer json;
	struct lun_buffer text;
};

/* The script that a state belongs to. */
static inline struct lun_script *
lun_script_of(lua_State *L)
{
	return lun_vm_owner(L);
}

/*
 * Where a handler is, in front of a message about what it returned:
 * "path:line: what: message".
 */
enum lun_code lun_script_blame(const struct lun_script *script,
    const struct lun_handler *handler, const char *what, enum lun_code code,
    struct lun_err *err);

#endif
