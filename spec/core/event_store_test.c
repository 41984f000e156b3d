/*
 * event_store_test.c - event stores for specs: event_store_test.open(url).
 *
 * Expected failures are nil, message, code. Positions are their text form.
 */

#include "store/event_store.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/error.h"
#include "lua_test.h"

#define STORE "event_store_test.store"

struct handle {
	struct lun_event_store *store; /* NULL: closed */
	struct lun_batch *batch;
};

int luaopen_event_store_test(lua_State *L);

static int
push_failure(lua_State *L, const struct lun_err *err, enum lun_code code)
{
	lua_pushnil(L);
	lua_pushstring(L, err->message);
	lua_pushstring(L, lun_code_name(code));
	return 3;
}

static int
push_outcome(lua_State *L, const struct lun_err *err, enum lun_code code)
{
	if (code != LUN_OK)
		return push_failure(L, err, code);
	lua_pushboolean(L, 1);
	return 1;
}

static struct handle *
check_handle(lua_State *L)
{
	struct handle *handle = luaL_checkudata(L, 1, STORE);

	luaL_argcheck(L, handle->store != NULL, 1, "the store is closed");
	return handle;
}

static struct lun_event_store *
check_store(lua_State *L)
{
	return check_handle(L)->store;
}

static struct handle *
push_handle(lua_State *L)
{
	struct handle *handle = lua_newuserdatauv(L, sizeof *handle, 0);

	*handle = (struct handle){0};
	luaL_setmetatable(L, STORE);
	handle->batch = lun_batch_new();
	if (handle->batch == NULL)
		luaL_error(L, "out of memory");
	return handle;
}

static void
set_text(lua_State *L, const char *key, struct lun_text text)
{
	if (text.bytes == NULL)
		return;
	lua_pushlstring(L, text.bytes, text.length);
	lua_setfield(L, -2, key);
}

static void
set_integer(lua_State *L, const char *key, lua_Integer value)
{
	lua_pushinteger(L, value);
	lua_setfield(L, -2, key);
}

/* An unknown time is absent, an infinite one a word. */
static void
set_time(lua_State *L, const char *key, int64_t us)
{
	if (lun_timestamp_is_infinite(us)) {
		lua_pushstring(L, us > 0 ? "infinity" : "-infinity");
		lua_setfield(L, -2, key);
	} else if (us != LUN_TIME_UNKNOWN) {
		set_integer(L, key, us);
	}
}

static void
push_position(
    lua_State *L, struct lun_event_store *store, struct lun_position position)
{
	char text[LUN_POSITION_MAX];

	lun_event_store_format_position(store, position, text);
	lua_pushstring(L, text);
}

static struct lun_position
to_position(lua_State *L, struct lun_event_store *store, struct lun_text text)
{
	struct lun_position position = LUN_POSITION_START;

	if (text.bytes != NULL && lun_event_store_parse_position(
				      store, text, &position, NULL) != LUN_OK)
		luaL_error(L, "no position: %s", text.bytes);
	return position;
}

/* ---- opening and closing ----------------------------------------------- */

/*
 * open(url [, {busy_timeout_ms=, call_timeout_ms=, synchronous=,
 * wal_autocheckpoint=, must_exist=}])
 */
static int
test_open(lua_State *L)
{
	const char *url = luaL_checkstring(L, 1);
	struct lun_store_options options = {.cache_kib = 2000};
	struct handle *handle;
	struct lun_err err;
	enum lun_code code;

	lua_settop(L, 2);
	if (lua_isnil(L, 2)) {
		lua_newtable(L);
		lua_replace(L, 2);
	}
	options.busy_timeout_ms = integer_field(L, 2, "busy_timeout_ms", 5000);
	options.call_timeout_ms = integer_field(L, 2, "call_timeout_ms", 30000);
	options.wal_autocheckpoint_pages =
	    integer_field(L, 2, "wal_autocheckpoint", 1000);
	options.synchronous = text_field(L, 2, "synchronous").bytes;
	lua_getfield(L, 2, "must_exist");
	options.must_exist = lua_toboolean(L, -1);
	lua_pop(L, 1);
	handle = push_handle(L);
	code = lun_event_store_open(url, &options, &handle->store, &err);
	return code == LUN_OK ? 1 : push_failure(L, &err, code);
}

static int
store_connect(lua_State *L)
{
	struct lun_event_store *store = check_store(L);
	struct handle *handle = push_handle(L);
	struct lun_err err;
	enum lun_code code;

	code = lun_event_store_connect(store, &handle->store, &err);
	return code == LUN_OK ? 1 : push_failure(L, &err, code);
}

static int
store_close(lua_State *L)
{
	struct handle *handle = luaL_checkudata(L, 1, STORE);

	lun_event_store_close(handle->store);
	lun_batch_free(handle->batch);
	*handle = (struct handle){0};
	return 0;
}

static int
store_identity(lua_State *L)
{
	char identity[LUN_IDENTITY_SIZE];
	struct lun_err err;
	enum lun_code code;

	code = lun_event_store_identity(check_store(L), identity, &err);
	if (code != LUN_OK)
		return push_failure(L, &err, code);
	lua_pushstring(L, identity);
	return 1;
}

/* ---- reading ----------------------------------------------------------- */

/* The filter's types live in a userdata that is left on the stack. */
static struct lun_event_filter
check_filter(lua_State *L, int table)
{
	struct lun_event_filter filter = {0};
	struct lun_text *types;

	filter.stream = text_field(L, table, "stream");
	if (lua_getfield(L, table, "types") == LUA_TNIL)
		return filter;
	filter.type_count = (size_t)luaL_len(L, -1);
	types = lua_newuserdatauv(L, sizeof *types * filter.type_count + 1, 0);
	for (size_t i = 0; i < filter.type_count; i++) {
		lua_geti(L, -2, (lua_Integer)i + 1);
		types[i].bytes = luaL_checklstring(L, -1, &types[i].length);
		lua_pop(L, 1);
	}
	filter.types = types;
	return filter;
}

static void
push_event(
    lua_State *L, struct lun_event_store *store, const struct lun_event *event)
{
	lua_newtable(L);
	push_position(L, store, event->position);
	lua_setfield(L, -2, "position");
	set_integer(L, "version", event->version);
	set_time(L, "recorded_at", event->recorded_at);
	set_text(L, "id", event->id);
	set_text(L, "stream", event->stream);
	set_text(L, "type", event->type);
	set_text(L, "data", event->data);
	set_text(L, "metadata", event->metadata);
	set_text(L, "tenant", event->tenant);
}

static void
push_batch(
    lua_State *L, struct lun_event_store *store, const struct lun_batch *batch)
{
	lua_newtable(L);
	for (size_t i = 0; i < batch->count; i++) {
		push_event(L, store, &batch->events[i]);
		lua_seti(L, -2, (lua_Integer)i + 1);
	}
	push_position(L, store, batch->reached);
	lua_setfield(L, -2, "reached");
	lua_pushlstring(
	    L, batch->source_state.bytes, batch->source_state.length);
	lua_setfield(L, -2, "state");
	lua_pushboolean(L, batch->at_head);
	lua_setfield(L, -2, "at_head");
	if (batch->held) {
		lua_pushboolean(L, true);
		lua_setfield(L, -2, "held");
	}
	if (batch->tenants_from != LUN_NO_EVENT)
		set_integer(
		    L, "tenants_from", (lua_Integer)batch->tenants_from + 1);
}

/*
 * read{after=, upto=, state=, types=, stream=, max=, max_bytes=, to_head=}
 */
static int
store_read(lua_State *L)
{
	struct handle *handle = check_handle(L);
	struct lun_read request = {0};
	struct lun_err err;
	enum lun_code code;

	luaL_checktype(L, 2, LUA_TTABLE);
	request.after =
	    to_position(L, handle->store, text_field(L, 2, "after"));
	request.source_state = text_field(L, 2, "state");
	request.max_events = (size_t)integer_field(L, 2, "max", 1000);
	request.max_bytes = (size_t)integer_field(L, 2, "max_bytes", 1 << 30);
	request.upto = to_position(L, handle->store, text_field(L, 2, "upto"));
	lua_getfield(L, 2, "to_head");
	request.to_head = lua_toboolean(L, -1);
	lua_pop(L, 1);
	request.filter = check_filter(L, 2);
	code =
	    lun_event_store_read(handle->store, &request, handle->batch, &err);
	if (code != LUN_OK)
		return push_failure(L, &err, code);
	push_batch(L, handle->store, handle->batch);
	return 1;
}

/* count{types=, stream=, max=}: how many events a reader gets, in pages. */
static int
store_count(lua_State *L)
{
	struct handle *handle = check_handle(L);
	struct lun_read request = {.max_bytes = SIZE_MAX};
	struct lun_buffer state = {0};
	lua_Integer count = 0;
	struct lun_err err;
	enum lun_code code;

	luaL_checktype(L, 2, LUA_TTABLE);
	request.max_events = (size_t)integer_field(L, 2, "max", 1000);
	request.filter = check_filter(L, 2);
	do {
		code = lun_event_store_read(
		    handle->store, &request, handle->batch, &err);
		count += (lua_Integer)handle->batch->count;
		request.after = handle->batch->reached;
		lun_buffer_clear(&state);
		lun_buffer_add_text(
		    &state, lun_buffer_text(&handle->batch->source_state));
		request.source_state = lun_buffer_text(&state);
	} while (code == LUN_OK && !handle->batch->at_head);
	lun_buffer_free(&state);
	if (code != LUN_OK)
		return push_failure(L, &err, code);
	lua_pushinteger(L, count);
	return 1;
}

/* held_by(state): who holds back what can be seen, in words */
static int
store_held_by(lua_State *L)
{
	struct lun_event_store *store = check_store(L);
	struct lun_text state = {0};
	struct lun_buffer words = {0};
	struct lun_err err;
	enum lun_code code;

	state.bytes = luaL_checklstring(L, 2, &state.length);
	code = lun_event_store_held_by(store, state, &words, &err);
	if (code == LUN_OK)
		lua_pushlstring(L, words.bytes, words.length);
	lun_buffer_free(&words);
	return code == LUN_OK ? 1 : push_failure(L, &err, code);
}

/* same_reach(own, other): whether it is, and up to where nothing proves it */
static int
store_same_reach(lua_State *L)
{
	struct lun_event_store *store = check_store(L);
	struct lun_text own, other;
	struct lun_position unproven;

	own.bytes = luaL_checklstring(L, 2, &own.length);
	other.bytes = luaL_checklstring(L, 3, &other.length);
	lua_pushboolean(
	    L, lun_event_store_same_reach(store, own, other, &unproven));
	push_position(L, store, unproven);
	return 2;
}

static int
store_head(lua_State *L)
{
	struct lun_event_store *store = check_store(L);
	struct lun_position head;
	struct lun_err err;
	enum lun_code code = lun_event_store_head(store, &head, &err);

	if (code != LUN_OK)
		return push_failure(L, &err, code);
	push_position(L, store, head);
	return 1;
}

/* lag{after=, types=, stream=} */
static int
store_lag(lua_State *L)
{
	struct lun_event_store *store = check_store(L);
	struct lun_event_filter filter;
	struct lun_position after;
	struct lun_lag lag;
	struct lun_err err;
	enum lun_code code;

	luaL_checktype(L, 2, LUA_TTABLE);
	after = to_position(L, store, text_field(L, 2, "after"));
	filter = check_filter(L, 2);
	code = lun_event_store_lag(store, after, &filter, &lag, &err);
	if (code != LUN_OK)
		return push_failure(L, &err, code);
	lua_newtable(L);
	set_integer(L, "events", (lua_Integer)lag.events);
	set_time(L, "oldest_recorded_at", lag.oldest_recorded_at);
	lua_pushboolean(L, lag.exact);
	lua_setfield(L, -2, "exact");
	return 1;
}

static int
store_place(lua_State *L)
{
	struct lun_event_store *store = check_store(L);
	struct lun_text text = lun_text_of(luaL_checkstring(L, 2));

	lua_pushnumber(
	    L, lun_event_store_place(store, to_position(L, store, text)));
	return 1;
}

static int
store_find(lua_State *L)
{
	struct lun_event_store *store = check_store(L);
	struct lun_position position;
	struct lun_text id;
	struct lun_err err;
	enum lun_code code;

	id.bytes = luaL_checklstring(L, 2, &id.length);
	code = lun_event_store_find(store, id, &position, &err);
	if (code != LUN_OK)
		return push_failure(L, &err, code);
	push_position(L, store, position);
	return 1;
}

/* ---- appending --------------------------------------------------------- */

static struct lun_append
check_event(lua_State *L, int table)
{
	struct lun_append append = {0};

	append.event.id = text_field(L, table, "id");
	append.event.stream = text_field(L, table, "stream");
	append.event.type = text_field(L, table, "type");
	append.event.data = text_field(L, table, "data");
	append.event.metadata = text_field(L, table, "metadata");
	append.event.tenant = text_field(L, table, "tenant");
	append.event.recorded_at =
	    integer_field(L, table, "recorded_at", LUN_TIME_UNKNOWN);
	append.expected_version =
	    integer_field(L, table, "expect", LUN_ANY_VERSION);
	return append;
}

static void
push_results(lua_State *L, struct lun_event_store *store,
    const struct lun_append_result *results, size_t count)
{
	lua_createtable(L, (int)count, 0);
	for (size_t i = 0; i < count; i++) {
		lua_newtable(L);
		push_position(L, store, results[i].position);
		lua_setfield(L, -2, "position");
		set_integer(L, "version", results[i].version);
		lua_pushboolean(L, results[i].existed);
		lua_setfield(L, -2, "existed");
		lua_seti(L, -2, (lua_Integer)i + 1);
	}
}

/* append{{stream=, type=, data=, metadata=, id=, recorded_at=, expect=}...} */
static int
store_append(lua_State *L)
{
	struct lun_event_store *store = check_store(L);
	struct lun_append_result *results;
	struct lun_append *events;
	struct lun_err err;
	enum lun_code code;
	size_t count;

	luaL_checktype(L, 2, LUA_TTABLE);
	count = (size_t)luaL_len(L, 2);
	events = lua_newuserdatauv(L, sizeof *events * count + 1, 0);
	results = lua_newuserdatauv(L, sizeof *results * count + 1, 0);
	for (size_t i = 0; i < count; i++) {
		lua_geti(L, 2, (lua_Integer)i + 1);
		events[i] = check_event(L, lua_gettop(L));
		lua_pop(L, 1);
	}
	code = lun_event_store_append(store, events, count, results, &err);
	if (code != LUN_OK)
		return push_failure(L, &err, code);
	push_results(L, store, results, count);
	return 1;
}

static int
store_begin(lua_State *L)
{
	struct lun_err err;
	enum lun_code code = lun_event_store_begin(check_store(L), &err);

	return push_outcome(L, &err, code);
}

static int
store_commit(lua_State *L)
{
	struct lun_err err;
	enum lun_code code = lun_event_store_commit(check_store(L), &err);

	return push_outcome(L, &err, code);
}

static int
store_rollback(lua_State *L)
{
	lun_event_store_rollback(check_store(L));
	return 0;
}

/* ---- positions and waking ---------------------------------------------- */

/* The position read from a text, as text again. */
static int
store_parse(lua_State *L)
{
	struct lun_event_store *store = check_store(L);
	struct lun_position position;
	struct lun_text text;
	struct lun_err err;
	enum lun_code code;

	text.bytes = luaL_checklstring(L, 2, &text.length);
	code = lun_event_store_parse_position(store, text, &position, &err);
	if (code != LUN_OK)
		return push_failure(L, &err, code);
	push_position(L, store, position);
	return 1;
}

/* is_before(a, b): whether a stands before b */
static int
store_is_before(lua_State *L)
{
	struct lun_event_store *store = check_store(L);
	struct lun_text a, b;

	a.bytes = luaL_checklstring(L, 2, &a.length);
	b.bytes = luaL_checklstring(L, 3, &b.length);
	lua_pushboolean(L, lun_position_compare(to_position(L, store, a),
			       to_position(L, store, b)) < 0);
	return 1;
}

/* A sentence or nil. */
static int
store_remark(lua_State *L)
{
	lua_pushstring(L, lun_event_store_remark(check_store(L)));
	return 1;
}

static int
store_wake_fd(lua_State *L)
{
	lua_pushinteger(L, lun_event_store_wake_fd(check_store(L)));
	return 1;
}

/* Whether there may be news, within ms. */
static int
store_wait(lua_State *L)
{
	struct pollfd fd = {
	    .fd = lun_event_store_wake_fd(check_store(L)),
	    .events = POLLIN,
	};

	lua_pushboolean(L, poll(&fd, 1, (int)luaL_checkinteger(L, 2)) > 0);
	return 1;
}

static int
store_drain(lua_State *L)
{
	lun_event_store_drain(check_store(L));
	return 0;
}

/* ---- threads ----------------------------------------------------------- */

#define MOST_THREADS 16
#define HOG_EVENTS   300

struct appender {
	pthread_t thread;
	struct lun_event_store *store; /* its own connection */
	lua_Integer count;
	lua_Integer failed;
	atomic_long commits;
	atomic_bool stop;
};

static bool
append_one(struct lun_event_store *store, struct lun_text stream)
{
	struct lun_append append = {
	    .event = {.stream = stream,
		.type = LUN_TEXT("Raced"),
		.data = LUN_TEXT("{}")},
	    .expected_version = LUN_ANY_VERSION,
	};

	return lun_event_store_append(store, &append, 1, NULL, NULL) == LUN_OK;
}

static void *
run_appender(void *arg)
{
	struct appender *appender = arg;

	for (lua_Integer i = 0; i < appender->count; i++)
		if (!append_one(appender->store, LUN_TEXT("shared")))
			appender->failed++;
	return NULL;
}

/* race(threads, count): appends of each thread; how many failed. */
static int
store_race(lua_State *L)
{
	struct lun_event_store *store = check_store(L);
	lua_Integer threads = luaL_checkinteger(L, 2);
	lua_Integer count = luaL_checkinteger(L, 3);
	struct appender appenders[MOST_THREADS] = {0};
	lua_Integer failed = 0;

	luaL_argcheck(L, threads >= 1 && threads <= MOST_THREADS, 2, "1 to 16");
	for (int i = 0; i < threads; i++) {
		struct appender *a = &appenders[i];

		a->count = count;
		if (lun_event_store_connect(store, &a->store, NULL) != LUN_OK ||
		    pthread_create(&a->thread, NULL, run_appender, a) != 0)
			return luaL_error(L, "cannot start thread %d", i);
	}
	for (int i = 0; i < threads; i++) {
		pthread_join(appenders[i].thread, NULL);
		failed += appenders[i].failed;
		lun_event_store_close(appenders[i].store);
	}
	lua_pushinteger(L, failed);
	return 1;
}

/* Long transactions without a pause between them. */
static void *
run_hog(void *arg)
{
	struct appender *hog = arg;

	while (!hog->stop) {
		if (lun_event_store_begin(hog->store, NULL) != LUN_OK)
			continue;
		for (int i = 0; i < HOG_EVENTS; i++)
			if (!append_one(hog->store, LUN_TEXT("hog")))
				hog->failed++;
		if (lun_event_store_commit(hog->store, NULL) != LUN_OK)
			hog->failed++;
		hog->commits++;
	}
	return NULL;
}

static void
wait_for_commit(struct appender *hog)
{
	long before = hog->commits;

	while (hog->commits == before)
		sched_yield();
}

/*
 * beside_hog(count): short appends beside another thread's long ones. How
 * many failed, and how many long ones went first.
 */
static int
store_beside_hog(lua_State *L)
{
	struct lun_event_store *store = check_store(L);
	lua_Integer count = luaL_checkinteger(L, 2);
	lua_Integer failed = 0;
	struct appender hog = {0};
	long passed = 0;

	if (lun_event_store_connect(store, &hog.store, NULL) != LUN_OK ||
	    pthread_create(&hog.thread, NULL, run_hog, &hog) != 0)
		return luaL_error(L, "cannot start a thread");
	for (lua_Integer i = 0; i < count; i++) {
		long before;

		wait_for_commit(&hog);
		before = hog.commits;
		if (!append_one(store, LUN_TEXT("short")))
			failed++;
		passed += hog.commits - before;
	}
	hog.stop = true;
	pthread_join(hog.thread, NULL);
	lun_event_store_close(hog.store);
	lua_pushinteger(L, failed + hog.failed);
	lua_pushinteger(L, passed);
	return 2;
}

/* become(user id): for specs that root would not notice anything in. */
static int
test_become(lua_State *L)
{
	uid_t user = (uid_t)luaL_checkinteger(L, 1);

	if (geteuid() == 0 && setresuid(user, user, user) != 0)
		return luaL_error(L, "cannot become another user");
	return 0;
}

static const luaL_Reg methods[] = {
    {"connect", store_connect},
    {"close", store_close},
    {"identity", store_identity},
    {"read", store_read},
    {"count", store_count},
    {"head", store_head},
    {"held_by", store_held_by},
    {"same_reach", store_same_reach},
    {"lag", store_lag},
    {"place", store_place},
    {"find", store_find},
    {"append", store_append},
    {"begin", store_begin},
    {"commit", store_commit},
    {"rollback", store_rollback},
    {"parse", store_parse},
    {"is_before", store_is_before},
    {"remark", store_remark},
    {"wake_fd", store_wake_fd},
    {"wait", store_wait},
    {"drain", store_drain},
    {"race", store_race},
    {"beside_hog", store_beside_hog},
    {"__gc", store_close},
    {NULL, NULL},
};

int
luaopen_event_store_test(lua_State *L)
{
	luaL_newmetatable(L, STORE);
	luaL_setfuncs(L, methods, 0);
	lua_pushvalue(L, -1);
	lua_setfield(L, -2, "__index");
	lua_pop(L, 1);
	lua_newtable(L);
	lua_pushcfunction(L, test_open);
	lua_setfield(L, -2, "open");
	lua_pushcfunction(L, test_become);
	lua_setfield(L, -2, "become");
	return 1;
}
