/* model_object.c - models as scripts hold them: plain tables. */

#include "script/model_object.h"

#include <lauxlib.h>
#include <math.h>

#include "base/clock.h"
#include "base/suggest.h"
#include "data/row.h"
#include "script/event_object.h"
#include "script/read_id.h"
#include "json/decode.h"
#include "json/scan.h"

/* A model being packed; `field` is the one under way, for messages. */
struct packing {
	lua_State *L;
	struct lun_script *script;
	const struct lun_schema *schema;
	const struct lun_field *field;
	int type; /* the Lua type of its value */
	int names;
	int table;
	struct lun_text id;
	struct lun_value *values; /* one for each field */
};

void
lun_model_object_push_names(lua_State *L, struct lun_script *script)
{
	int count = (int)script->about.schema->field_count, list;

	luaL_checkstack(L, count + LUA_MINSTACK, NULL);
	lua_rawgeti(L, LUA_REGISTRYINDEX, script->functions.names);
	list = lua_gettop(L);
	for (int i = 1; i <= count; i++)
		lua_rawgeti(L, list, i);
	lua_remove(L, list);
}

/* ---- closed tables ----------------------------------------------------- */

/*
 * Short strings are unique in a Lua state, so a declared name is found by its
 * address. Names come mostly in the same order: the search starts behind the
 * last hit.
 */
static size_t
find_name(const struct lun_script *script, const void *name, size_t start)
{
	const void *const *names = script->functions.name_addresses;
	size_t count = script->about.schema->field_count;

	for (size_t i = start; i < count; i++)
		if (names[i] == name)
			return i;
	for (size_t i = 0; i < start; i++)
		if (names[i] == name)
			return i;
	return count;
}

bool
lun_model_object_is_closed(lua_State *L, int index)
{
	bool closed;

	if (!lua_istable(L, index) || !lua_getmetatable(L, index))
		return false;
	closed =
	    lua_topointer(L, -1) == lun_script_of(L)->functions.closed_address;
	lua_pop(L, 1);
	return closed;
}

bool
lun_model_object_closes(const struct lun_script *script)
{
	return script->functions.stateless && !script->about.schema->whole_json;
}

void
lun_model_object_open(lua_State *L, int index)
{
	if (!lun_model_object_is_closed(L, index))
		return;
	index = lua_absindex(L, index);
	lua_pushnil(L);
	lua_setmetatable(L, index);
	lun_script_of(L)->opened = true;
}

/* As Lua says it, with the line of the script. */
static void
check_key(lua_State *L)
{
	if (lua_isnil(L, 2))
		luaL_error(L, "table index is nil");
	if (!lua_rawequal(L, 2, 2))
		luaL_error(L, "table index is NaN");
}

/* __newindex: a field that was nil, or another key */
static int
closed_newindex(lua_State *L)
{
	const struct lun_script *script = lun_script_of(L);

	check_key(L);
	if (find_name(script, lua_topointer(L, 2), 0) ==
	    script->about.schema->field_count)
		lun_model_object_open(L, 1);
	lua_rawset(L, 1);
	return 0;
}

void
lun_model_object_setup(lua_State *L, struct lun_script_functions *functions)
{
	lua_createtable(L, 0, 1);
	lua_pushcfunction(L, closed_newindex);
	lua_setfield(L, -2, "__newindex");
	functions->closed_address = lua_topointer(L, -1);
	functions->closed_metatable = luaL_ref(L, LUA_REGISTRYINDEX);
}

/* ---- from a row -------------------------------------------------------- */

static void
push_model_value(lua_State *L, const struct lun_value *value)
{
	switch (value->kind) {
	case LUN_VALUE_NULL:
		lua_pushnil(L);
		return;
	case LUN_VALUE_TEXT:
		lua_pushlstring(L,
		    value->text.length > 0 ? value->text.bytes : "",
		    value->text.length);
		return;
	case LUN_VALUE_INTEGER:
	case LUN_VALUE_TIMESTAMP:
		lua_pushinteger(L, value->integer);
		return;
	case LUN_VALUE_NUMBER:
		lua_pushnumber(L, value->number);
		return;
	case LUN_VALUE_BOOLEAN:
		lua_pushboolean(L, value->integer != 0);
		return;
	case LUN_VALUE_JSON:
		lun_json_push(L, value->text);
		return;
	}
}

void
lun_model_object_unpack(lua_State *L, const struct lun_script *script,
    int names, struct lun_text row)
{
	const struct lun_schema *schema = script->about.schema;
	struct lun_value value;

	if (schema->whole_json) {
		if (lun_row_next(&row, &value))
			push_model_value(L, &value);
		else
			lua_pushnil(L);
		return;
	}
	lua_createtable(L, 0, (int)schema->field_count);
	lun_model_object_fill(L, names, row);
	if (!lun_model_object_closes(script))
		return;
	lua_rawgeti(L, LUA_REGISTRYINDEX, script->functions.closed_metatable);
	lua_setmetatable(L, -2);
}

void
lun_model_object_fill(lua_State *L, int names, struct lun_text row)
{
	struct lun_value value;

	for (; lun_row_next(&row, &value); names++) {
		lua_pushvalue(L, names);
		push_model_value(L, &value);
		lua_rawset(L, -3);
	}
}

/* ---- what is wrong with a model ---------------------------------------- */

static void
refuse_field(struct packing *p, const char *what)
{
	luaL_error(p->L, "field \"%s\": %s", p->field->name, what);
}

static const char *
describe_value(lua_State *L, int index)
{
	switch (lua_type(L, index)) {
	case LUA_TSTRING:
		return "text";
	case LUA_TNUMBER:
		return lua_tostring(L, index);
	case LUA_TBOOLEAN:
		return lua_toboolean(L, index) ? "true" : "false";
	default:
		if (lun_event_object_is(L, index))
			return "a table";
		return lua_pushfstring(L, "a %s", luaL_typename(L, index));
	}
}

/* The value is on top; a copy is described, as lua_tostring changes it. */
static void
refuse_field_type(struct packing *p)
{
	lua_pushvalue(p->L, -1);
	luaL_error(p->L, "field \"%s\": expected %s, got %s", p->field->name,
	    lun_field_type_name(p->field->type), describe_value(p->L, -1));
}

/* The key is below the value on top. */
static void
refuse_key(struct packing *p)
{
	struct lun_suggestion suggestion = {0};
	struct lun_text key;
	struct lun_err err;

	if (lua_type(p->L, -2) != LUA_TSTRING)
		luaL_error(p->L,
		    "a model's keys must be its field names, and one is a %s",
		    luaL_typename(p->L, -2));
	key.bytes = lua_tolstring(p->L, -2, &key.length);
	/* "Declare it" would be bad advice. */
	if (lun_schema_check_field_name(key, &err) != LUN_OK)
		luaL_error(p->L, "undeclared field: %s", err.message);
	for (size_t i = 0; i < p->schema->field_count; i++)
		lun_suggestion_consider(
		    &suggestion, key, lun_text_of(p->schema->fields[i].name));
	if (suggestion.word.bytes != NULL)
		luaL_error(p->L,
		    "undeclared field \"%s\" (did you mean \"%s\"?): declare "
		    "it in fields or remove it",
		    key.bytes, suggestion.word.bytes);
	luaL_error(p->L,
	    "undeclared field \"%s\": declare it in fields or remove it",
	    key.bytes);
}

/* The value on top is what the model says its id is. */
static void
check_own_id(struct packing *p)
{
	struct lun_text id;

	if (lua_isnil(p->L, -1) || lun_json_is_null(p->L, -1))
		return;
	id = lun_script_read_id(p->L, p->script, -1);
	if (lun_text_equal(id, p->id))
		return;
	lua_pushlstring(p->L, p->id.bytes, p->id.length);
	luaL_error(p->L,
	    "field \"id\": expected the id of this model, %s, or none, got %s",
	    lua_tostring(p->L, -1), lua_tostring(p->L, -2));
}

/* The key below the value on top is none of the fields. */
static void
take_other_key(struct packing *p)
{
	static const char id[] = "id";

	if (lua_type(p->L, -2) != LUA_TSTRING ||
	    strcmp(lua_tostring(p->L, -2), id) != 0)
		refuse_key(p);
	check_own_id(p);
}

/* ---- one value, on top of the stack ------------------------------------ */

/* An index has no room for more, in every store alike. */
static void
check_index_share(struct packing *p, size_t length)
{
	size_t field = (size_t)(p->field - p->schema->fields);
	size_t share = lun_schema_index_share(p->schema, field);

	if (share > 0 && length > share)
		luaL_error(p->L,
		    "field \"%s\": %I bytes; as it is in an index it may have "
		    "%I: store less, or take it out of `indexes`",
		    p->field->name, (lua_Integer)length, (lua_Integer)share);
}

static void
take_text(struct packing *p, struct lun_value *value)
{
	if (p->type != LUA_TSTRING)
		refuse_field_type(p);
	value->kind = LUN_VALUE_TEXT;
	value->text.bytes = lua_tolstring(p->L, -1, &value->text.length);
	if (memchr(value->text.bytes, '\0', value->text.length) != NULL)
		refuse_field(p, "a text must not hold a NUL byte");
	if (!lun_utf8_valid(value->text))
		refuse_field(p, "a text must be UTF-8");
	if (value->text.length > LUN_INDEX_BYTES_MAX / LUN_INDEX_FIELDS_MAX)
		check_index_share(p, value->text.length);
}

/* A float without fraction may be beyond 64 bits. */
static void
refuse_float(struct packing *p)
{
	double number = lua_tonumber(p->L, -1);
	bool whole = isfinite(number) && number == floor(number);

	luaL_error(p->L, "field \"%s\": %s %s%s", p->field->name,
	    lua_tostring(p->L, -1),
	    whole ? "does not fit the 64 bits of an integer"
		  : "is not a whole number",
	    whole && p->field->type == LUN_FIELD_INTEGER
		? "; declare the field as number"
		: "");
}

/* An integer, or a float that is a whole number; else it is refused. */
static void
take_integer(struct packing *p, struct lun_value *value)
{
	int whole;

	if (p->type != LUA_TNUMBER)
		refuse_field_type(p);
	value->kind = LUN_VALUE_INTEGER;
	value->integer = lua_tointegerx(p->L, -1, &whole);
	/* As a float the least integer may stand for one that is less. */
	if (!whole || (value->integer == INT64_MIN && !lua_isinteger(p->L, -1)))
		refuse_float(p);
}

static void
take_number(struct packing *p, struct lun_value *value)
{
	if (p->type != LUA_TNUMBER)
		refuse_field_type(p);
	value->kind = LUN_VALUE_NUMBER;
	value->number = lua_tonumber(p->L, -1);
	if (!lua_isinteger(p->L, -1)) {
		if (!isfinite(value->number))
			luaL_error(p->L,
			    "field \"%s\": nan and infinity cannot be stored",
			    p->field->name);
		if (value->number == 0)
			value->number = 0; /* not -0: a store may drop that */
		return;
	}
	if (value->number >= 0x1p63 ||
	    (lua_Integer)value->number != lua_tointeger(p->L, -1))
		luaL_error(p->L,
		    "field \"%s\": %s has no exact floating-point form; "
		    "declare the field as integer",
		    p->field->name, lua_tostring(p->L, -1));
}

static void
take_boolean(struct packing *p, struct lun_value *value)
{
	if (p->type != LUA_TBOOLEAN)
		refuse_field_type(p);
	value->kind = LUN_VALUE_BOOLEAN;
	value->integer = lua_toboolean(p->L, -1);
}

static void
take_timestamp(struct packing *p, struct lun_value *value)
{
	struct lun_text text;

	if (p->type == LUA_TSTRING) {
		text.bytes = lua_tolstring(p->L, -1, &text.length);
		if (!lun_timestamp_parse(text, &value->integer))
			luaL_error(p->L,
			    "field \"%s\": \"%s\" is not an RFC 3339 time",
			    p->field->name, text.bytes);
	} else if (p->type == LUA_TNUMBER && isinf(lua_tonumber(p->L, -1))) {
		refuse_field(p, "infinity is no time that can be stored");
	} else {
		take_integer(p, value);
	}
	value->kind = LUN_VALUE_TIMESTAMP;
	if (!lun_timestamp_is_moment(value->integer))
		refuse_field(
		    p, "a time in microseconds outside the years 1 to 9999");
}

static void
take_field_value(struct packing *p, struct lun_value *value)
{
	p->type = lua_type(p->L, -1);
	if (p->type == LUA_TLIGHTUSERDATA && lun_json_is_null(p->L, -1))
		return; /* as good as absent */
	switch (p->field->type) {
	case LUN_FIELD_TEXT:
		take_text(p, value);
		return;
	case LUN_FIELD_INTEGER:
		take_integer(p, value);
		return;
	case LUN_FIELD_NUMBER:
		take_number(p, value);
		return;
	case LUN_FIELD_BOOLEAN:
		take_boolean(p, value);
		return;
	case LUN_FIELD_TIMESTAMP:
		take_timestamp(p, value);
		return;
	case LUN_FIELD_JSON: /* its text is made when the row is */
		value->kind = LUN_VALUE_JSON;
		return;
	}
}

/* ---- to a row ---------------------------------------------------------- */

static void
take_fields(struct packing *p)
{
	lua_State *L = p->L;
	size_t next = 0;

	for (lua_pushnil(L); lua_next(L, p->table) != 0; lua_pop(L, 1)) {
		size_t index = find_name(p->script, lua_topointer(L, -2), next);

		if (index == p->schema->field_count) {
			take_other_key(p);
			continue;
		}
		p->field = &p->schema->fields[index];
		take_field_value(p, &p->values[index]);
		next = index + 1;
	}
}

/* An escape of NUL, and not a backslash with letters behind it. */
static bool
holds_nul(struct lun_text json)
{
	static const char nul[] = "\\u0000";
	const char *end = json.bytes + json.length, *at = json.bytes;

	while ((at = memmem(at, (size_t)(end - at), nul, sizeof nul - 1)) !=
	       NULL) {
		const char *first = at;

		while (first > json.bytes && first[-1] == '\\')
			first--;
		if ((at - first) % 2 == 0)
			return true;
		at++;
	}
	return false;
}

/* The value on top as JSON. */
static void
pack_json(struct packing *p)
{
	struct lun_buffer *json = &p->script->json;
	struct lun_value value = {.kind = LUN_VALUE_JSON};

	lun_buffer_clear(json);
	lun_json_encode_plain(
	    p->L, -1, p->field != NULL ? p->field->name : NULL, json);
	if (json->failed) {
		p->script->row.failed = true;
		return;
	}
	value.text = lun_buffer_text(json);
	if (holds_nul(value.text) && p->field == NULL)
		luaL_error(p->L, "a text must not hold a NUL byte");
	if (holds_nul(value.text))
		refuse_field(p, "a text in json must not hold a NUL byte");
	lun_row_add(&p->script->row, &value);
}

static void
add_values(struct packing *p)
{
	struct lun_buffer *row = &p->script->row;

	for (size_t i = 0; i < p->schema->field_count; i++) {
		if (p->values[i].kind != LUN_VALUE_JSON) {
			lun_row_add(row, &p->values[i]);
			continue;
		}
		p->field = &p->schema->fields[i];
		lua_pushvalue(p->L, p->names + (int)i);
		lua_rawget(p->L, p->table);
		pack_json(p);
		lua_pop(p->L, 1);
	}
}

/* Which a row has none of: see take_number(). */
static bool
is_minus_zero(double number)
{
	return number == 0 && signbit(number);
}

/* Whether unpacking gives the value on top again, of which value was made. */
static bool
is_same(lua_State *L, const struct lun_value *value)
{
	switch (value->kind) {
	case LUN_VALUE_NULL:
		return false;
	case LUN_VALUE_INTEGER:
	case LUN_VALUE_TIMESTAMP:
		return lua_isinteger(L, -1);
	case LUN_VALUE_NUMBER:
		return !lua_isinteger(L, -1) &&
		       !is_minus_zero(lua_tonumber(L, -1));
	case LUN_VALUE_TEXT:
	case LUN_VALUE_BOOLEAN:
	case LUN_VALUE_JSON:
		break;
	}
	return true;
}

/* A field, whose value is on top. */
static void
pack_field(struct packing *p, bool *same)
{
	struct lun_value value = {.kind = LUN_VALUE_NULL};

	if (lua_isnil(p->L, -1)) {
		lun_row_add(&p->script->row, &value);
		return;
	}
	take_field_value(p, &value);
	*same &= is_same(p->L, &value);
	if (value.kind == LUN_VALUE_JSON)
		pack_json(p);
	else
		lun_row_add(&p->script->row, &value);
}

/*
 * A number on top that unpacking gives again, for a field that had one. False:
 * it is to be looked at properly.
 */
static bool
take_same_kind(lua_State *L, struct lun_value *value)
{
	switch (value->kind) {
	case LUN_VALUE_INTEGER:
		value->integer = lua_tointeger(L, -1);
		return lua_isinteger(L, -1);
	case LUN_VALUE_TIMESTAMP:
		value->integer = lua_tointeger(L, -1);
		return lua_isinteger(L, -1) &&
		       lun_timestamp_is_moment(value->integer);
	case LUN_VALUE_NUMBER:
		value->number = lua_tonumber(L, -1);
		return lua_type(L, -1) == LUA_TNUMBER &&
		       !lua_isinteger(L, -1) && isfinite(value->number) &&
		       !is_minus_zero(value->number);
	case LUN_VALUE_BOOLEAN:
		value->integer = lua_toboolean(L, -1);
		return lua_isboolean(L, -1);
	default:
		return false;
	}
}

/* Whether the text on top is this one. */
static bool
is_text(lua_State *L, struct lun_text text)
{
	struct lun_text found;

	if (lua_type(L, -1) != LUA_TSTRING)
		return false;
	found.bytes = lua_tolstring(L, -1, &found.length);
	return lun_text_equal(found, text);
}

/*
 * What most calls do: some numbers are others now. False, with the stack as it
 * is: there is more to it.
 */
static bool
patch_row(lua_State *L, struct lun_script *script, int names, int index,
    struct lun_text row)
{
	struct lun_value value;

	lun_buffer_add_text(&script->row, row);
	if (script->row.failed)
		return false;
	row = lun_buffer_text(&script->row);
	for (; lun_row_next(&row, &value); names++) {
		lua_pushvalue(L, names);
		lua_rawget(L, index);
		if (value.kind == LUN_VALUE_NULL && lua_isnil(L, -1))
			continue;
		if (value.kind == LUN_VALUE_TEXT && is_text(L, value.text))
			continue;
		if (!take_same_kind(L, &value))
			return false;
		lun_row_replace(
		    script->row.bytes + (row.bytes - script->row.bytes),
		    &value);
	}
	return true;
}

bool
lun_model_object_pack_closed(lua_State *L, struct lun_script *script, int names,
    int index, struct lun_text row, bool *same)
{
	const struct lun_schema *schema = script->about.schema;
	struct packing p = {.L = L, .script = script, .schema = schema};
	int top = lua_gettop(L);

	lun_buffer_clear(&script->row);
	*same = true;
	if (patch_row(L, script, names, index, row)) {
		lua_settop(L, top);
		return true;
	}
	lua_settop(L, top);
	lun_buffer_clear(&script->row);
	for (size_t i = 0; i < schema->field_count; i++) {
		p.field = &schema->fields[i];
		lua_pushvalue(L, names + (int)i);
		lua_rawget(L, index);
		pack_field(&p, same);
		lua_pop(L, 1);
	}
	return !script->row.failed;
}

bool
lun_model_object_pack(lua_State *L, struct lun_script *script, int names,
    int index, struct lun_text id)
{
	struct lun_value values[LUN_FIELDS_MAX];
	struct packing p = {.L = L,
	    .script = script,
	    .schema = script->about.schema,
	    .names = names,
	    .table = lua_absindex(L, index),
	    .id = id,
	    .values = values};

	for (size_t i = 0; i < p.schema->field_count; i++)
		values[i].kind = LUN_VALUE_NULL;
	lun_buffer_clear(&script->row);
	if (p.schema->whole_json) {
		lua_pushliteral(L, "id");
		lua_rawget(L, p.table);
		check_own_id(&p);
		lua_pushvalue(L, p.table);
		pack_json(&p);
		lua_pop(L, 2);
	} else {
		take_fields(&p);
		add_values(&p);
	}
	return !script->row.failed;
}
