/* live_models.c - tables of models that stay for the next call on the model. */

#include "script/live_models.h"

#include <lauxlib.h>

#include "script/model_object.h"

#define PLACES_MAX   1024
#define PLACE_MEMORY ((size_t)64 << 10) /* of the state, for each place */
#define ROW_MAX      2048               /* bytes of a row worth a place */
#define TOO_MANY     4                  /* times as many as are wanted */

bool
lun_live_models_wanted(const struct lun_script *script)
{
	const struct lun_schema *schema = script->about.schema;

	if (!script->functions.stateless || schema->whole_json)
		return false;
	for (size_t i = 0; i < schema->field_count; i++)
		if (schema->fields[i].type == LUN_FIELD_JSON)
			return false;
	return true;
}

/* A power of two, and not many more than the batch can use. */
static size_t
count_wanted(const struct lun_script *script)
{
	size_t most = script->limits.memory_bytes / PLACE_MEMORY, count = 1;

	if (most > PLACES_MAX)
		most = PLACES_MAX;
	while (count < script->batch->count && count * 2 <= most)
		count *= 2;
	return count;
}

/* Set a value of the registry, which is on top and popped. */
static void
set_reference(lua_State *L, int *reference)
{
	if (*reference == 0)
		*reference = luaL_ref(L, LUA_REGISTRYINDEX);
	else
		lua_rawseti(L, LUA_REGISTRYINDEX, *reference);
}

static void
make_places(lua_State *L, struct lun_live_models *live, size_t count)
{
	struct lun_live_model *places;

	live->count = 0;
	lua_createtable(L, (int)count, 0);
	places = lua_newuserdatauv(L, count * sizeof *places, 0);
	memset(places, 0, count * sizeof *places);
	set_reference(L, &live->memory);
	set_reference(L, &live->tables);
	live->places = places;
	live->count = count;
}

void
lun_live_models_push_list(lua_State *L, struct lun_script *script)
{
	struct lun_live_models *live = &script->functions.live;
	size_t wanted = count_wanted(script);

	if (live->tables == 0 || live->count < wanted ||
	    live->count / TOO_MANY > wanted)
		make_places(L, live, wanted);
	lua_rawgeti(L, LUA_REGISTRYINDEX, live->tables);
}

static struct lun_live_model *
find_place(struct lun_script *script, uint32_t model)
{
	const struct lun_live_models *live = &script->functions.live;

	return live->count > 0 ? &live->places[model & (live->count - 1)]
			       : NULL;
}

static lua_Integer
number_of(const struct lun_script *script, const struct lun_live_model *place)
{
	return place - script->functions.live.places + 1;
}

void
lun_live_models_push(lua_State *L, struct lun_script *script, int list,
    int names, uint32_t model, struct lun_text row)
{
	struct lun_live_model *place = find_place(script, model);
	bool same;

	if (place == NULL || !place->filled) {
		if (place != NULL)
			place->lent = false;
		lun_model_object_unpack(L, script, names, row);
		return;
	}
	same = place->stamp == script->stamp && place->model == model;
	place->filled = false;
	place->lent = true;
	lua_rawgeti(L, list, number_of(script, place));
	if (!same)
		lun_model_object_fill(L, names, row);
}

void
lun_live_models_keep(lua_State *L, struct lun_script *script, int list,
    int index, uint32_t model, size_t row_length)
{
	struct lun_live_model *place = find_place(script, model);

	if (place == NULL || row_length > ROW_MAX)
		return;
	if (!place->lent) {
		lua_pushvalue(L, index);
		lua_rawseti(L, list, number_of(script, place));
	}
	place->filled = true;
	place->stamp = script->stamp;
	place->model = model;
}
