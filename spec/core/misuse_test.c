/*
 * misuse_test.c - the public interface, called from many threads in any order
 * and with values that make no sense: misuse.run(options).
 *
 * Every call has to end with a code of enum lun_code, and a failure with words.
 * Nothing is closed while a call is under way, and no pointer is NULL where the
 * header does not allow it: that is for the caller to keep.
 */

#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <lua.h>

#include "lunette.h"

#define ENGINES   2
#define THREADS   6
#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

static const char script[] =
    "return { name = 'misused', version = 1, on_error = 'park',"
    " fields = { n = 'integer' },"
    " extract_model_id = function(event) return event.stream end,"
    " apply_to_model = function(model, event)"
    "   if event.type == 'Bad' then error 'bad' end"
    "   return { n = (model and model.n or 0) + 1 } end }";

struct caller {
	pthread_t thread;
	unsigned seed;
	int calls;
	struct lun_engine **engines;
	lua_Integer seen[LUN_NOMEM + 1];
	bool wordless; /* a failure that said nothing, or a code that is none */
};

/* ---- odd values --------------------------------------------------------- */

static const char *const words[] = {"", "misused", "nobody", "a/b", "../x",
    "\xff\xfe", "s1", "42", "-1", "99999999999999999999",
    "1deadbeef-00000000000000000000000000000001", "{\"a\":1}", "[", "null",
    "misused__b1", "n=eq.1", "order=n", "limit=0", "n=in.(1,",
    "'; DROP TABLE x; --",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"};

static const int64_t numbers[] = {
    0, 1, -1, 5, 50, INT64_MIN, INT64_MAX, LUN_ANY_VERSION};

static unsigned
draw(struct caller *c, unsigned below)
{
	return (unsigned)rand_r(&c->seed) % below;
}

static const char *
word(struct caller *c)
{
	/* The projection that there is, half of the time. */
	return draw(c, 2) == 0 ? "misused" : words[draw(c, LENGTH(words))];
}

static const char *
word_or_null(struct caller *c)
{
	return draw(c, 3) == 0 ? NULL : word(c);
}

/* No wait of these calls may be long. */
static int64_t
short_ms(struct caller *c)
{
	int64_t ms = numbers[draw(c, LENGTH(numbers))];

	return ms == INT64_MAX ? 20 : ms;
}

/* ---- calls -------------------------------------------------------------- */

typedef enum lun_code call_fn(
    struct caller *c, struct lun_engine *e, struct lun_err *err);

static enum lun_code
call_append(struct caller *c, struct lun_engine *e, struct lun_err *err)
{
	static const char *const types[] = {"T", "Bad", "", "\xff"};
	struct lun_appended appended[3];
	struct lun_new_event events[3];
	size_t count = draw(c, 4);

	for (size_t i = 0; i < count; i++)
		events[i] = (struct lun_new_event){
		    .id = draw(c, 4) == 0 ? word(c) : NULL,
		    .stream = word(c),
		    .type = types[draw(c, LENGTH(types))],
		    .data = draw(c, 2) == 0 ? "{}" : word(c),
		    .metadata = draw(c, 2) == 0 ? NULL : word(c),
		    .recorded_at =
			draw(c, 2) == 0 ? 0 : numbers[draw(c, LENGTH(numbers))],
		    .expected_version = draw(c, 2) == 0
					    ? LUN_ANY_VERSION
					    : numbers[draw(c, LENGTH(numbers))],
		};
	return lun_engine_append(
	    e, events, count, draw(c, 2) == 0 ? NULL : appended, err);
}

static enum lun_code
call_register(struct caller *c, struct lun_engine *e, struct lun_err *err)
{
	char name[41];

	switch (draw(c, 4)) {
	case 0:
		return lun_engine_register(e, word(c), name, err);
	case 1:
		return lun_engine_register_as(e, word(c), word(c), err);
	case 2:
		return lun_engine_register_folder(e, "/no such folder", err);
	default:
		return lun_engine_register_source(e, word(c), script,
		    draw(c, 3) == 0 ? draw(c, sizeof script)
				    : sizeof script - 1,
		    draw(c, 2) == 0 ? NULL : name, err);
	}
}

static enum lun_code
call_run(struct caller *c, struct lun_engine *e, struct lun_err *err)
{
	size_t applied;

	switch (draw(c, 5)) {
	case 0:
		return lun_projection_step(e, word_or_null(c), &applied, err);
	case 1:
		return lun_engine_run_once(e, NULL, NULL, err);
	case 2:
		return lun_engine_stop(e, err);
	case 3:
		return lun_engine_watch(e, err);
	default:
		return lun_engine_start(e, err);
	}
}

static enum lun_code
call_request(struct caller *c, struct lun_engine *e, struct lun_err *err)
{
	static const int kinds[] = {LUN_REQUEST_PAUSE, LUN_REQUEST_RESUME,
	    LUN_REQUEST_REBUILD, LUN_REQUEST_RETRY, LUN_REQUEST_DISCARD,
	    LUN_REQUEST_SET_CHECKPOINT, LUN_REQUEST_DELETE_CHECKPOINT,
	    LUN_REQUEST_ADOPT_CHECKPOINT, 8, -1, INT_MAX, INT_MIN};

	return lun_engine_request(e, word(c),
	    (enum lun_request_kind)kinds[draw(c, LENGTH(kinds))],
	    word_or_null(c), short_ms(c), err);
}

static bool
take_event(void *arg, const char *json, size_t length)
{
	size_t *left = arg;

	return json[length] == '\0' && (*left)-- > 1;
}

static enum lun_code
call_events(struct caller *c, struct lun_engine *e, struct lun_err *err)
{
	struct lun_events_filter filter = {
	    .stream = word_or_null(c),
	    .type = word_or_null(c),
	    .after = word_or_null(c),
	    .limit = (uint64_t)numbers[draw(c, LENGTH(numbers))],
	    .tokens = draw(c, 2) == 0,
	};
	size_t most = 1 + draw(c, 20);

	return lun_engine_events(e, &filter, take_event, &most, err);
}

static enum lun_code
call_query(struct caller *c, struct lun_engine *e, struct lun_err *err)
{
	const char *filters[3] = {word(c), word(c), word(c)};
	char *json = NULL;
	enum lun_code code =
	    lun_engine_query(e, word(c), filters, draw(c, 4), &json, err);

	lun_free(json);
	return code;
}

/* What gives JSON and takes no more than a name. */
static enum lun_code
call_look(struct caller *c, struct lun_engine *e, struct lun_err *err)
{
	char *json = NULL;
	enum lun_code code;

	switch (draw(c, 9)) {
	case 0:
		code = lun_engine_status(e, &json, err);
		break;
	case 1:
		code = lun_projection_status(e, word(c), &json, err);
		break;
	case 2:
		code = lun_engine_projections(e, &json, err);
		break;
	case 3:
		code =
		    lun_engine_parked(e, word(c), word_or_null(c), &json, err);
		break;
	case 4:
		code = lun_engine_skipped(e, word(c), &json, err);
		break;
	case 5:
		code = lun_engine_gaps(e, word(c), &json, err);
		break;
	case 6:
		code = lun_engine_checkpoint(e, word(c), &json, err);
		break;
	case 7:
		code = lun_script_check(word(c), &json, err);
		break;
	default:
		code = lun_engine_get(e, word(c), word(c), &json, err);
	}
	lun_free(json);
	return code;
}

static enum lun_code
call_wait(struct caller *c, struct lun_engine *e, struct lun_err *err)
{
	return lun_engine_wait(e, word(c), word_or_null(c), short_ms(c), err);
}

static call_fn *const calls[] = {call_append, call_append, call_register,
    call_run, call_run, call_request, call_events, call_query, call_look,
    call_look, call_wait};

static void *
call_on(void *arg)
{
	struct caller *c = arg;

	for (int i = 0; i < c->calls; i++) {
		struct lun_err err = {0};
		bool mute = draw(c, 5) == 0;
		enum lun_code code = calls[draw(c, LENGTH(calls))](
		    c, c->engines[draw(c, ENGINES)], mute ? NULL : &err);

		if ((int)code < 0 || code > LUN_NOMEM) {
			c->wordless = true;
			continue;
		}
		c->seen[code]++;
		if (code != LUN_OK && !mute && err.message[0] == '\0')
			c->wordless = true;
	}
	return NULL;
}

/* ---- for Lua ------------------------------------------------------------ */

static void
open_engines(lua_State *L, struct lun_engine *engines[ENGINES])
{
	const struct lun_setting settings[] = {
	    {"events", luaL_checkstring(L, 1)},
	    {"models", luaL_checkstring(L, 2)},
	    {"synchronous", "off"},
	    {"stop_ms", "2000"},
	};
	const struct lun_engine_options options = {
	    .settings = settings, .setting_count = LENGTH(settings)};

	for (int i = 0; i < ENGINES; i++) {
		struct lun_err err = {0};

		if (lun_engine_open(&options, &engines[i], &err) != LUN_OK)
			luaL_error(L, "%s", err.message);
	}
}

/* run(events, models, seed, calls) -> how often each code came, by its name;
 * whether a failure said nothing */
static int
misuse_run(lua_State *L)
{
	struct lun_engine *engines[ENGINES];
	struct caller callers[THREADS] = {0};
	unsigned seed = (unsigned)luaL_checkinteger(L, 3);
	int count = (int)luaL_checkinteger(L, 4);
	bool wordless = false;

	open_engines(L, engines);
	for (unsigned i = 0; i < THREADS; i++) {
		callers[i].seed = seed * THREADS + i;
		callers[i].calls = count;
		callers[i].engines = engines;
		if (pthread_create(
			&callers[i].thread, NULL, call_on, &callers[i]) != 0)
			return luaL_error(L, "no thread");
	}
	lua_newtable(L);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(callers[i].thread, NULL);
		wordless |= callers[i].wordless;
		for (int code = 0; code <= LUN_NOMEM; code++) {
			const char *name = lun_code_name((enum lun_code)code);

			lua_getfield(L, -1, name);
			lua_pushinteger(L,
			    luaL_optinteger(L, -1, 0) + callers[i].seen[code]);
			lua_setfield(L, -3, name);
			lua_pop(L, 1);
		}
	}
	for (int i = 0; i < ENGINES; i++)
		lun_engine_close(engines[i]);
	lun_engine_close(NULL);
	lun_free(NULL);
	lua_pushboolean(L, wordless);
	return 2;
}

static const luaL_Reg functions[] = {
    {"run", misuse_run},
    {NULL, NULL},
};

int luaopen_misuse_test(lua_State *L);

int
luaopen_misuse_test(lua_State *L)
{
	luaL_newlib(L, functions);
	return 1;
}
