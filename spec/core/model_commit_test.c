/*
 * model_commit_test.c - committing to a model store for specs, and the events
 * that commits set aside.
 *
 * Loading it adds methods to the stores of model_store_test.
 */

#include "model_test.h"

/* ---- values ------------------------------------------------------------ */

/* The value on top, which stays there. */
static struct lun_value
to_value(lua_State *L)
{
	struct lun_value value = {.kind = LUN_VALUE_NULL};

	switch (lua_type(L, -1)) {
	case LUA_TSTRING:
		value.kind = LUN_VALUE_TEXT;
		value.text = check_text(L, -1);
		break;
	case LUA_TBOOLEAN:
		value.kind = LUN_VALUE_BOOLEAN;
		value.integer = lua_toboolean(L, -1);
		break;
	case LUA_TNUMBER:
		if (lua_isinteger(L, -1)) {
			value.kind = LUN_VALUE_INTEGER;
			value.integer = lua_tointeger(L, -1);
		} else {
			value.kind = LUN_VALUE_NUMBER;
			value.number = lua_tonumber(L, -1);
		}
		break;
	case LUA_TTABLE:
		if (lua_getfield(L, -1, "timestamp") == LUA_TNUMBER) {
			value.kind = LUN_VALUE_TIMESTAMP;
			value.integer = lua_tointeger(L, -1);
		} else {
			lua_getfield(L, -2, "json");
			value.kind = LUN_VALUE_JSON;
			value.text = check_text(L, -1);
			lua_pop(L, 1);
		}
		lua_pop(L, 1);
		break;
	default:
		break;
	}
	return value;
}

/* Push the packed form of the row at index, as a string. */
static void
push_packed(lua_State *L, const struct lun_schema *schema, int index)
{
	struct lun_buffer row = {0};

	for (size_t i = 0; i < schema->field_count; i++) {
		struct lun_value value;

		lua_getfield(L, index, schema->fields[i].name);
		value = to_value(L);
		lun_row_add(&row, &value);
		lua_pop(L, 1);
	}
	lua_pushlstring(L, row.bytes != NULL ? row.bytes : "", row.length);
	lun_buffer_free(&row);
}

/* ---- commits ----------------------------------------------------------- */

/* The write at the top of the stack; its packed row is put into anchors. */
static struct lun_model_write
to_write(lua_State *L, const struct lun_schema *schema, int anchors)
{
	struct lun_model_write write = {
	    .id = field_text(L, lua_gettop(L), "id")};

	lua_getfield(L, -1, "is_new");
	write.is_new = lua_toboolean(L, -1);
	lua_pop(L, 1);
	if (lua_getfield(L, -1, "row") == LUA_TTABLE) {
		push_packed(L, schema, lua_gettop(L));
		write.row = check_text(L, -1);
		lua_rawseti(
		    L, anchors, (lua_Integer)lua_rawlen(L, anchors) + 1);
	}
	lua_pop(L, 1);
	return write;
}

/* Read set.models; what it needs stays on the stack. */
static void
read_models(lua_State *L, struct lun_write_set *set)
{
	struct lun_model_write *writes;
	int anchors;

	lua_newtable(L);
	anchors = lua_gettop(L);
	if (lua_getfield(L, 2, "models") != LUA_TTABLE)
		return;
	set->model_count = lua_rawlen(L, -1);
	writes =
	    lua_newuserdatauv(L, (set->model_count + 1) * sizeof *writes, 0);
	for (size_t i = 0; i < set->model_count; i++) {
		lua_rawgeti(L, -2, (lua_Integer)i + 1);
		writes[i] = to_write(L, set->schema, anchors);
		lua_pop(L, 1);
	}
	set->models = writes;
}

/* The item at the top of the stack. */
static struct lun_failed_event
to_item(lua_State *L)
{
	int top = lua_gettop(L);
	struct lun_failed_event item = {
	    .model_id = field_text(L, top, "model_id"),
	    .error = field_text(L, top, "error"),
	    .at = field_integer(L, top, "at"),
	};

	item.event = (struct lun_event){
	    .position = field_position(L, top, "position"),
	    .version = field_integer(L, top, "version"),
	    .recorded_at = field_integer(L, top, "recorded_at"),
	    .id = field_text(L, top, "id"),
	    .stream = field_text(L, top, "stream"),
	    .type = field_text(L, top, "type"),
	    .data = field_text(L, top, "data"),
	    .metadata = field_text(L, top, "metadata"),
	    .tenant = field_text(L, top, "tenant"),
	};
	return item;
}

static const struct lun_failed_event *
read_items(lua_State *L, const char *key, size_t *count)
{
	struct lun_failed_event *items;

	if (lua_getfield(L, 2, key) != LUA_TTABLE)
		return NULL;
	*count = lua_rawlen(L, -1);
	items = lua_newuserdatauv(L, (*count + 1) * sizeof *items, 0);
	for (size_t i = 0; i < *count; i++) {
		lua_rawgeti(L, -2, (lua_Integer)i + 1);
		items[i] = to_item(L);
		lua_pop(L, 1);
	}
	return items;
}

static const int64_t *
read_numbers(lua_State *L, const char *key, size_t *count)
{
	int64_t *numbers;

	if (lua_getfield(L, 2, key) != LUA_TTABLE)
		return NULL;
	*count = lua_rawlen(L, -1);
	numbers = lua_newuserdatauv(L, (*count + 1) * sizeof *numbers, 0);
	for (size_t i = 0; i < *count; i++) {
		lua_rawgeti(L, -2, (lua_Integer)i + 1);
		numbers[i] = luaL_checkinteger(L, -1);
		lua_pop(L, 1);
	}
	return numbers;
}

/* Read set.new_errors: {{number=, error=}}. */
static const struct lun_new_error *
read_new_errors(lua_State *L, size_t *count)
{
	struct lun_new_error *errors;

	if (lua_getfield(L, 2, "new_errors") != LUA_TTABLE)
		return NULL;
	*count = lua_rawlen(L, -1);
	errors = lua_newuserdatauv(L, (*count + 1) * sizeof *errors, 0);
	for (size_t i = 0; i < *count; i++) {
		lua_rawgeti(L, -2, (lua_Integer)i + 1);
		errors[i] = (struct lun_new_error){
		    .number = field_integer(L, lua_gettop(L), "number"),
		    .error = field_text(L, lua_gettop(L), "error"),
		};
		lua_pop(L, 1);
	}
	return errors;
}

/*
 * commit{schema=, models={{id=, row=, is_new=}}, parked=, skipped=, unparked=,
 * new_errors=, ...}
 */
static int
store_commit(lua_State *L)
{
	struct lun_model_store *store = check_store(L, 1);
	struct lun_write_set set = {
	    .position = field_position(L, 2, "position"),
	    .source_state = field_text(L, 2, "source_state"),
	    .identity = field_string(L, 2, "identity", "a log"),
	    .bundle_hash = field_string(L, 2, "bundle_hash", "abc"),
	    .bundle = lun_text_of(field_string(L, 2, "bundle", "{}")),
	    .expected_revision = field_integer(L, 2, "revision"),
	    .fence = field_integer(L, 2, "fence"),
	};
	struct lun_err err;
	enum lun_code code;

	lua_getfield(L, 2, "schema");
	set.key = check_key(L, lua_gettop(L));
	set.schema = check_schema(L, lua_gettop(L));
	read_models(L, &set);
	set.parked = read_items(L, "parked", &set.parked_count);
	set.skipped = read_items(L, "skipped", &set.skipped_count);
	set.unparked = read_numbers(L, "unparked", &set.unparked_count);
	set.new_errors = read_new_errors(L, &set.new_error_count);
	code = lun_model_store_commit(store, &set, &err);
	return push_done(L, code, &err);
}

/* ---- events set aside -------------------------------------------------- */

static enum lun_code
append_item(void *arg, const struct lun_failed_event *item, struct lun_err *err)
{
	lua_State *L = arg;

	(void)err;
	lua_newtable(L);
	set_integer(L, "number", item->number);
	set_text(L, "model_id", item->model_id);
	set_text(L, "error", item->error);
	set_integer(L, "at", item->at);
	push_position(L, item->event.position);
	lua_setfield(L, -2, "position");
	set_integer(L, "version", item->event.version);
	set_integer(L, "recorded_at", item->event.recorded_at);
	set_text(L, "id", item->event.id);
	set_text(L, "stream", item->event.stream);
	set_text(L, "type", item->event.type);
	set_text(L, "data", item->event.data);
	set_text(L, "metadata", item->event.metadata);
	set_text(L, "tenant", item->event.tenant);
	append(L);
	return LUN_OK;
}

/* parked(projection, model id, after, limit) */
static int
store_parked(lua_State *L)
{
	struct lun_model_store *store = check_store(L, 1);
	struct lun_key key = check_key(L, 2);
	struct lun_text id = optional_text(L, 3);
	lua_Integer after = luaL_optinteger(L, 4, 0);
	size_t limit = (size_t)luaL_optinteger(L, 5, 1000);
	struct lun_err err;
	enum lun_code code;

	lua_newtable(L);
	code = lun_model_store_parked(
	    store, key, id, after, limit, append_item, L, &err);
	return code == LUN_OK ? 1 : push_failure(L, code, &err);
}

static enum lun_code
append_text(void *arg, struct lun_text text, struct lun_err *err)
{
	(void)err;
	push_text(arg, text);
	append(arg);
	return LUN_OK;
}

static int
store_parked_ids(lua_State *L)
{
	struct lun_model_store *store = check_store(L, 1);
	struct lun_key key = check_key(L, 2);
	struct lun_err err;
	enum lun_code code;

	lua_newtable(L);
	code = lun_model_store_parked_ids(store, key, append_text, L, &err);
	return code == LUN_OK ? 1 : push_failure(L, code, &err);
}

/* skipped(projection, limit) */
static int
store_skipped(lua_State *L)
{
	struct lun_model_store *store = check_store(L, 1);
	struct lun_key key = check_key(L, 2);
	size_t limit = (size_t)luaL_optinteger(L, 3, 10000);
	struct lun_err err;
	enum lun_code code;

	lua_newtable(L);
	code = lun_model_store_skipped(store, key, limit, append_item, L, &err);
	return code == LUN_OK ? 1 : push_failure(L, code, &err);
}

/* ---- the module -------------------------------------------------------- */

static const luaL_Reg store_methods[] = {
    {"commit", store_commit},
    {"parked", store_parked},
    {"parked_ids", store_parked_ids},
    {"skipped", store_skipped},
    {NULL, NULL},
};

int luaopen_model_commit_test(lua_State *L);

int
luaopen_model_commit_test(lua_State *L)
{
	luaL_getmetatable(L, STORE);
	luaL_setfuncs(L, store_methods, 0);
	lua_pushboolean(L, 1);
	return 1;
}
