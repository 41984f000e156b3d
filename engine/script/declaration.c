/* declaration.c - what a script's table says, checked. */

#include "script/declaration.h"

#include <lauxlib.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/suggest.h"
#include "json/decode.h"

#define RETRIES_MAX 100
#define TYPES_MAX   1000

struct reader {
	lua_State *L;
	int table;
	const char *chunk;
	struct lun_declaration *out;
	struct lun_err *err;
	bool has_id; /* among the fields */
};

/* Of the function on top; 0 if that is none, or one of C. */
static int
line_of_top(lua_State *L)
{
	lua_Debug about;

	if (!lua_isfunction(L, -1) || lua_iscfunction(L, -1))
		return 0;
	lua_pushvalue(L, -1);
	lua_getinfo(L, ">S", &about);
	return about.linedefined;
}

/* Always false, so that a check can return it. */
static bool LUN_PRINTF(2, 3) complain(struct reader *r, const char *fmt, ...)
{
	char what[sizeof r->err->message];
	int line = line_of_top(r->L);
	va_list args;

	va_start(args, fmt);
	vsnprintf(what, sizeof what, fmt, args);
	va_end(args);
	if (line > 0)
		lun_fail(r->err, LUN_SCRIPT, "%s:%d: %s", r->chunk, line, what);
	else
		lun_fail(r->err, LUN_SCRIPT, "%s: %s", r->chunk, what);
	return false;
}

static bool
complain_memory(struct reader *r)
{
	lun_fail(r->err, LUN_NOMEM, "%s: out of memory", r->chunk);
	return false;
}

/* "got a number", "got text", "got nothing" */
static const char *
describe_got(lua_State *L, int index)
{
	switch (lua_type(L, index)) {
	case LUA_TNIL:
		return "got nothing";
	case LUA_TSTRING:
		return "got text";
	case LUA_TLIGHTUSERDATA:
		return "got null";
	default:
		return lua_pushfstring(L, "got a %s", luaL_typename(L, index));
	}
}

/* The value of a key of the description, raw (+1). */
static int
push_described(struct reader *r, const char *key)
{
	lua_pushstring(r->L, key);
	return lua_rawget(r->L, r->table);
}

static struct lun_text
text_at(lua_State *L, int index)
{
	struct lun_text text;

	text.bytes = lua_tolstring(L, index, &text.length);
	return text;
}

/* Length of the list at index; -1 if it is no plain list. */
static lua_Integer
list_length(lua_State *L, int index)
{
	lua_Integer length, count = 0;

	if (!lun_json_is_plain(L, index))
		return -1;
	index = lua_absindex(L, index);
	length = (lua_Integer)lua_rawlen(L, index);
	for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1))
		count++;
	return count == length ? length : -1;
}

/* ---- name, version, policy; the value is on top ------------------------ */

static bool
read_projection_name(struct reader *r)
{
	struct lun_schema *schema = r->out->schema;
	struct lun_err why;
	struct lun_text name;

	if (lua_type(r->L, -1) != LUA_TSTRING)
		return complain(
		    r, "name: expected text, %s", describe_got(r->L, -1));
	name = text_at(r->L, -1);
	if (lun_schema_check_projection_name(name, &why) != LUN_OK)
		return complain(r, "name: %s", why.message);
	memcpy(schema->projection, name.bytes, name.length + 1);
	return true;
}

/* A whole number within limits. */
static bool
read_whole_number(
    struct reader *r, const char *key, int least, int most, int *out)
{
	int whole;
	lua_Integer number = lua_tointegerx(r->L, -1, &whole);

	if (lua_type(r->L, -1) != LUA_TNUMBER)
		return complain(r, "%s: expected a whole number, %s", key,
		    describe_got(r->L, -1));
	if (!whole || number < least || number > most)
		return complain(r,
		    "%s: expected a whole number from %d to %d, got %s", key,
		    least, most, luaL_tolstring(r->L, -1, NULL));
	*out = (int)number;
	return true;
}

static bool
read_version(struct reader *r)
{
	return read_whole_number(
	    r, "version", 1, INT_MAX, &r->out->schema->version);
}

static bool
read_retries(struct reader *r)
{
	return lua_isnil(r->L, -1) || read_whole_number(r, "retries", 0,
					  RETRIES_MAX, &r->out->retries);
}

static bool
read_on_error(struct reader *r)
{
	static const char *const words[] = {
	    [LUN_ON_ERROR_STOP] = "stop",
	    [LUN_ON_ERROR_SKIP] = "skip",
	    [LUN_ON_ERROR_PARK] = "park",
	};
	const char *expected = "expected \"stop\", \"skip\" or \"park\"";

	if (lua_isnil(r->L, -1))
		return true;
	if (lua_type(r->L, -1) != LUA_TSTRING)
		return complain(
		    r, "on_error: %s, %s", expected, describe_got(r->L, -1));
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		if (!lun_text_equal(text_at(r->L, -1), lun_text_of(words[i])))
			continue;
		r->out->on_error = (enum lun_on_error)i;
		return true;
	}
	return complain(r, "on_error: %s, got \"%.*s\"", expected,
	    LUN_TEXT_ARG(text_at(r->L, -1)));
}

/* ---- functions --------------------------------------------------------- */

static bool
read_function(struct reader *r, const char *key, bool required)
{
	int type = lua_type(r->L, -1);

	if (type == LUA_TFUNCTION || (type == LUA_TNIL && !required))
		return true;
	return complain(
	    r, "%s: expected a function, %s", key, describe_got(r->L, -1));
}

static bool
read_extract(struct reader *r)
{
	return read_function(r, "extract_model_id", true);
}

static bool
read_apply(struct reader *r)
{
	bool by_type = push_described(r, "on") != LUA_TNIL;

	lua_pop(r->L, 1);
	if (by_type && !lua_isnil(r->L, -1))
		return complain(r,
		    "apply_to_model: leave it out, or leave out \"on\": one "
		    "of the two applies events");
	if (!by_type && lua_isnil(r->L, -1))
		return complain(r,
		    "apply_to_model: expected a function (or a table \"on\" "
		    "of functions by event type), got nothing");
	return read_function(r, "apply_to_model", !by_type);
}

static bool
read_query(struct reader *r)
{
	r->out->has_query = !lua_isnil(r->L, -1);
	return read_function(r, "handle_query", false);
}

static bool
read_migrate(struct reader *r)
{
	return read_function(r, "migrate", false);
}

/* ---- event types ------------------------------------------------------- */

static bool
add_type(struct reader *r, struct lun_text type)
{
	return lun_schema_add_type(r->out->schema, type) || complain_memory(r);
}

static bool
has_type(struct reader *r, struct lun_text type)
{
	const struct lun_schema *schema = r->out->schema;

	for (size_t i = 0; i < schema->type_count; i++)
		if (lun_text_equal(schema->types[i], type))
			return true;
	return false;
}

static bool
read_handled(struct reader *r, int i)
{
	const char *wrong;
	struct lun_text type;

	lua_rawgeti(r->L, -1, i);
	if (lua_type(r->L, -1) != LUA_TSTRING)
		return complain(r, "handles[%d]: expected text, %s", i,
		    describe_got(r->L, -1));
	type = text_at(r->L, -1);
	wrong = lun_event_name_fault(type);
	if (wrong != NULL)
		return complain(r, "handles[%d]: %s", i, wrong);
	if (has_type(r, type))
		return complain(r, "handles[%d]: \"%.*s\" is there twice", i,
		    LUN_TEXT_ARG(type));
	if (!add_type(r, type))
		return false;
	lua_pop(r->L, 1);
	return true;
}

static bool
read_handles(struct reader *r)
{
	lua_Integer count = list_length(r->L, -1);

	if (lua_isnil(r->L, -1))
		return true;
	if (push_described(r, "on") != LUA_TNIL)
		return complain(r,
		    "handles: leave it out: the keys of \"on\" say which "
		    "types are handled");
	lua_pop(r->L, 1);
	if (count < 0)
		return complain(r,
		    "handles: expected a list of event types%s%s",
		    lua_istable(r->L, -1) ? "" : ", ",
		    lua_istable(r->L, -1) ? "" : describe_got(r->L, -1));
	if (count == 0)
		return complain(
		    r, "handles: is empty; leave it out to handle every type");
	if (count > TYPES_MAX)
		return complain(
		    r, "handles: has more than %d types", TYPES_MAX);
	for (int i = 1; i <= count; i++)
		if (!read_handled(r, i))
			return false;
	return true;
}

/* One key and value of `on`, on top. */
static bool
read_on_entry(struct reader *r)
{
	const char *wrong;
	struct lun_text type;

	if (lua_type(r->L, -2) != LUA_TSTRING)
		return complain(r, "on: expected event types as keys, %s",
		    describe_got(r->L, -2));
	type = text_at(r->L, -2);
	wrong = lun_event_name_fault(type);
	if (wrong != NULL)
		return complain(r, "on: an event type %s", wrong);
	if (!lua_isfunction(r->L, -1))
		return complain(r, "on.%.*s: expected a function, %s",
		    LUN_TEXT_ARG(type), describe_got(r->L, -1));
	return add_type(r, type);
}

static bool
read_handlers_by_type(struct reader *r)
{
	int on = lua_gettop(r->L);
	lua_Integer count = 0;

	if (lua_isnil(r->L, on))
		return true;
	r->out->by_type = true;
	if (!lua_istable(r->L, on))
		return complain(r,
		    "on: expected a table of functions by event type, %s",
		    describe_got(r->L, on));
	for (lua_pushnil(r->L); lua_next(r->L, on) != 0; lua_pop(r->L, 1))
		count++;
	if (count == 0)
		return complain(r, "on: is empty: no event would be handled");
	if (count > TYPES_MAX)
		return complain(r, "on: has more than %d types", TYPES_MAX);
	for (lua_pushnil(r->L); lua_next(r->L, on) != 0; lua_pop(r->L, 1))
		if (!read_on_entry(r))
			return false;
	return true;
}

/* ---- fields and indexes ------------------------------------------------ */

static bool
set_whole_json(struct reader *r)
{
	struct lun_schema *schema = r->out->schema;

	schema->fields = calloc(1, sizeof *schema->fields);
	if (schema->fields == NULL)
		return complain_memory(r);
	schema->fields[0] = (struct lun_field){"model", LUN_FIELD_JSON};
	schema->field_count = 1;
	schema->whole_json = true;
	return true;
}

/* A list may name a field twice. */
static bool
has_field(const struct reader *r, struct lun_text name)
{
	const struct lun_schema *schema = r->out->schema;

	for (size_t i = 0; i < schema->field_count; i++)
		if (lun_text_equal(name, lun_text_of(schema->fields[i].name)))
			return true;
	return r->has_id && lun_text_equal(name, LUN_TEXT("id"));
}

/* The type of the id is on top. */
static bool
read_key(struct reader *r)
{
	enum lun_field_type *type = &r->out->schema->key_type;

	r->has_id = true;
	if (lun_field_type_parse(text_at(r->L, -1), type) &&
	    (*type == LUN_FIELD_TEXT || *type == LUN_FIELD_INTEGER))
		return true;
	return complain(r,
	    "fields.id: an id is of type text or integer, not \"%.*s\"",
	    LUN_TEXT_ARG(text_at(r->L, -1)));
}

/* A name and its type, on top. */
static bool
read_field(struct reader *r)
{
	struct lun_schema *schema = r->out->schema;
	struct lun_field *field = &schema->fields[schema->field_count];
	struct lun_text name = text_at(r->L, -2);
	bool is_id = lun_text_equal(name, LUN_TEXT("id"));
	struct lun_err why;

	if (!is_id && lun_schema_check_field_name(name, &why) != LUN_OK)
		return complain(r, "fields: %s", why.message);
	if (has_field(r, name))
		return complain(
		    r, "fields: \"%.*s\" is there twice", LUN_TEXT_ARG(name));
	if (lua_type(r->L, -1) != LUA_TSTRING)
		return complain(r, "fields.%.*s: expected a type, %s",
		    LUN_TEXT_ARG(name), describe_got(r->L, -1));
	if (is_id)
		return read_key(r);
	if (!lun_field_type_parse(text_at(r->L, -1), &field->type))
		return complain(r,
		    "fields.%.*s: unknown type \"%.*s\"; there are text, "
		    "integer, number, boolean, timestamp and json",
		    LUN_TEXT_ARG(name), LUN_TEXT_ARG(text_at(r->L, -1)));
	memcpy(field->name, name.bytes, name.length + 1);
	schema->field_count++;
	return true;
}

static bool
read_fields_by_name(struct reader *r, int fields)
{
	for (lua_pushnil(r->L); lua_next(r->L, fields) != 0; lua_pop(r->L, 1)) {
		if (lua_type(r->L, -2) != LUA_TSTRING)
			return complain(r,
			    "fields: expected a table of types by field name, "
			    "such as { balance = \"integer\" }");
		if (!read_field(r))
			return false;
	}
	return true;
}

/* The pair on top. */
static bool
read_pair(struct reader *r, int number)
{
	if (list_length(r->L, -1) != 2)
		return complain(r,
		    "fields[%d]: expected a name and a type, such as "
		    "{ \"balance\", \"integer\" }, %s",
		    number, describe_got(r->L, -1));
	lua_rawgeti(r->L, -1, 1);
	lua_rawgeti(r->L, -2, 2);
	if (lua_type(r->L, -2) != LUA_TSTRING)
		return complain(r, "fields[%d]: expected a field name, %s",
		    number, describe_got(r->L, -2));
	return read_field(r);
}

static bool
read_fields_in_order(struct reader *r, int fields)
{
	lua_Integer count = list_length(r->L, fields);

	if (count < 0)
		return complain(r,
		    "fields: write all of them as name = \"type\", or all in a "
		    "list as { \"name\", \"type\" }");
	for (int i = 1; i <= count; i++) {
		lua_rawgeti(r->L, fields, i);
		if (!read_pair(r, i))
			return false;
		lua_settop(r->L, fields);
	}
	return true;
}

/* Where the fields of the list are, now that they stand by name. */
static bool
note_order(struct reader *r, int fields)
{
	struct lun_schema *schema = r->out->schema;
	size_t *columns = calloc(schema->field_count + 1, sizeof *columns);
	bool chosen = false;
	size_t count = 0;

	if (columns == NULL)
		return complain_memory(r);
	for (lua_Integer i = 1; lua_rawgeti(r->L, fields, i) != LUA_TNIL; i++) {
		int field;

		lua_rawgeti(r->L, -1, 1);
		field = lun_schema_find(schema, text_at(r->L, -1));
		lua_settop(r->L, fields);
		if (field < 0)
			continue; /* the id */
		chosen = chosen || (size_t)field != count;
		columns[count++] = (size_t)field;
	}
	if (chosen)
		schema->columns = columns;
	else
		free(columns);
	return true;
}

static int
compare_fields(const void *a, const void *b)
{
	return strcmp(((const struct lun_field *)a)->name,
	    ((const struct lun_field *)b)->name);
}

static bool
read_fields(struct reader *r)
{
	struct lun_schema *schema = r->out->schema;
	int fields = lua_gettop(r->L);
	struct lun_err why;
	size_t count = 0;
	bool is_list;

	if (lua_isnil(r->L, fields))
		return set_whole_json(r);
	if (!lua_istable(r->L, fields))
		return complain(r, "fields: expected a table, %s",
		    describe_got(r->L, fields));
	for (lua_pushnil(r->L); lua_next(r->L, fields) != 0; lua_pop(r->L, 1))
		count++;
	if (count == 0)
		return complain(r,
		    "fields: there are no fields; leave them out altogether to "
		    "keep each model as one json value");
	schema->fields = calloc(count + 1, sizeof *schema->fields);
	if (schema->fields == NULL)
		return complain_memory(r);
	is_list = lua_rawlen(r->L, fields) > 0;
	if (!(is_list ? read_fields_in_order(r, fields)
		      : read_fields_by_name(r, fields)))
		return false;
	qsort(schema->fields, schema->field_count, sizeof *schema->fields,
	    compare_fields);
	if (lun_schema_check(schema, &why) != LUN_OK)
		return complain(r, "fields: %s", why.message);
	return !is_list || note_order(r, fields);
}

static bool
complain_unknown_field(struct reader *r, int number, struct lun_text name)
{
	const struct lun_schema *schema = r->out->schema;
	struct lun_suggestion suggestion = {0};

	for (size_t i = 0; i < schema->field_count; i++)
		lun_suggestion_consider(
		    &suggestion, name, lun_text_of(schema->fields[i].name));
	if (lun_text_equal(name, LUN_TEXT("id")))
		return complain(
		    r, "indexes[%d]: \"id\" has an index of its own", number);
	if (suggestion.word.bytes == NULL)
		return complain(r, "indexes[%d]: unknown field \"%.*s\"",
		    number, LUN_TEXT_ARG(name));
	return complain(r,
	    "indexes[%d]: unknown field \"%.*s\"; did you mean \"%.*s\"?",
	    number, LUN_TEXT_ARG(name), LUN_TEXT_ARG(suggestion.word));
}

/* The field name on top goes into an index. */
static bool
read_index_field(struct reader *r, struct lun_index *index, int number)
{
	const struct lun_schema *schema = r->out->schema;
	struct lun_text name;
	int field;

	if (lua_type(r->L, -1) != LUA_TSTRING)
		return complain(r,
		    "indexes[%d]: expected a field name or a list of them, %s",
		    number, describe_got(r->L, -1));
	name = text_at(r->L, -1);
	field = lun_schema_find(schema, name);
	if (field < 0)
		return complain_unknown_field(r, number, name);
	if (schema->fields[field].type == LUN_FIELD_JSON)
		return complain(r,
		    "indexes[%d]: field \"%.*s\" is of type json and cannot "
		    "be indexed",
		    number, LUN_TEXT_ARG(name));
	if (index->count == LUN_INDEX_FIELDS_MAX)
		return complain(r, "indexes[%d]: has more than %d fields",
		    number, LUN_INDEX_FIELDS_MAX);
	index->fields[index->count++] = (size_t)field;
	return true;
}

/* The index on top: a name or a list of names. */
static bool
read_index(struct reader *r, struct lun_index *index, int number)
{
	int list = lua_gettop(r->L);
	lua_Integer count;

	if (!lua_istable(r->L, list))
		return read_index_field(r, index, number);
	count = list_length(r->L, list);
	if (count < 1)
		return complain(r,
		    "indexes[%d]: expected a field name or a list of them",
		    number);
	for (lua_Integer i = 1; i <= count; i++) {
		lua_rawgeti(r->L, list, i);
		if (!read_index_field(r, index, number))
			return false;
		lua_pop(r->L, 1);
	}
	return true;
}

static bool
read_indexes(struct reader *r)
{
	struct lun_schema *schema = r->out->schema;
	lua_Integer count = list_length(r->L, -1);
	struct lun_err why;

	if (lua_isnil(r->L, -1))
		return true;
	if (count < 0)
		return complain(r, "indexes: expected a list of field names");
	if (schema->whole_json)
		return complain(r,
		    "indexes: declare the fields they are for in \"fields\"");
	if (count > LUN_INDEXES_MAX)
		return complain(r, "indexes: more than %d", LUN_INDEXES_MAX);
	schema->indexes = calloc((size_t)count + 1, sizeof *schema->indexes);
	if (schema->indexes == NULL)
		return complain_memory(r);
	for (int i = 1; i <= count; i++) {
		lua_rawgeti(r->L, -1, i);
		if (!read_index(r, &schema->indexes[schema->index_count], i))
			return false;
		schema->index_count++;
		lua_pop(r->L, 1);
	}
	return lun_schema_check(schema, &why) == LUN_OK ||
	       complain(r, "indexes: %s", why.message);
}

/* ---- the table --------------------------------------------------------- */

/* Each reads the value on top; in an order in which one needs the others. */
static const struct {
	const char *key;
	bool (*read)(struct reader *r);
} keys[] = {
    {"name", read_projection_name},
    {"version", read_version},
    {"on", read_handlers_by_type},
    {"handles", read_handles},
    {"fields", read_fields},
    {"indexes", read_indexes},
    {"extract_model_id", read_extract},
    {"apply_to_model", read_apply},
    {"handle_query", read_query},
    {"migrate", read_migrate},
    {"on_error", read_on_error},
    {"retries", read_retries},
};

#define KEY_COUNT (sizeof keys / sizeof keys[0])

static bool
complain_unknown_key(struct reader *r, struct lun_text key)
{
	struct lun_suggestion suggestion = {0};

	for (size_t i = 0; i < KEY_COUNT; i++)
		lun_suggestion_consider(
		    &suggestion, key, lun_text_of(keys[i].key));
	if (suggestion.word.bytes == NULL)
		return complain(r, "%.*s: unknown field", LUN_TEXT_ARG(key));
	return complain(r, "%.*s: unknown field; did you mean \"%.*s\"?",
	    LUN_TEXT_ARG(key), LUN_TEXT_ARG(suggestion.word));
}

/* The key below the value on top. */
static bool
check_key(struct reader *r)
{
	struct lun_text key;

	if (lua_type(r->L, -2) != LUA_TSTRING)
		return complain(r,
		    "the script must return one table with named fields, such "
		    "as name and version");
	key = text_at(r->L, -2);
	for (size_t i = 0; i < KEY_COUNT; i++)
		if (lun_text_equal(key, lun_text_of(keys[i].key)))
			return true;
	return complain_unknown_key(r, key);
}

/* Only what stands in a table counts; with a metatable more would seem to. */
static bool
check_plain(struct reader *r, const char *what)
{
	return !lua_istable(r->L, -1) || lun_json_is_plain(r->L, -1) ||
	       complain(
		   r, "%s: must be a plain table without a metatable", what);
}

static bool
read_table(struct reader *r)
{
	int top = lua_gettop(r->L);

	lua_pushvalue(r->L, r->table);
	if (!check_plain(r, "the table that the script returns"))
		return false;
	lua_settop(r->L, top);
	for (lua_pushnil(r->L); lua_next(r->L, r->table) != 0; lua_pop(r->L, 1))
		if (!check_key(r))
			return false;
	for (size_t i = 0; i < KEY_COUNT; i++) {
		push_described(r, keys[i].key);
		if (!check_plain(r, keys[i].key) || !keys[i].read(r))
			return false;
		lua_settop(r->L, top);
	}
	return true;
}

enum lun_code
lun_declaration_read(lua_State *L, int index, const char *chunk,
    struct lun_declaration *out, struct lun_err *err)
{
	struct lun_err local;
	struct reader r = {.L = L,
	    .table = lua_absindex(L, index),
	    .chunk = chunk,
	    .out = out,
	    .err = err != NULL ? err : &local};
	int top = lua_gettop(L);
	bool well;

	luaL_checkstack(L, LUA_MINSTACK, NULL);
	out->schema = calloc(1, sizeof *out->schema);
	if (out->schema == NULL)
		well = complain_memory(&r);
	else if (!lua_istable(L, r.table))
		well = complain(&r,
		    "the script must return a table that describes the "
		    "projection, %s",
		    describe_got(L, r.table));
	else
		well = read_table(&r);
	lua_settop(L, top);
	if (well)
		out->filter = (struct lun_event_filter){
		    .types = out->schema->types,
		    .type_count = out->schema->type_count,
		};
	return well ? LUN_OK : r.err->code;
}

void
lun_declaration_free(struct lun_declaration *description)
{
	lun_schema_free(description->schema);
	*description = (struct lun_declaration){0};
}
