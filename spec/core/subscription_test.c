/*
 * subscription_test.c - shared readings for specs:
 * subscription_test.open(url, {live=, batch=, kept=, poll=}).
 *
 * Positions are their text form. What is not to be had is nil and a word.
 * tail:hold() keeps its first read waiting until tail:let_go(); tail:is_held()
 * says whether it has come so far. After tail:hold_back() whatever finds nothing
 * finds events that are held back, and says that it took 200 ms; tail:looks()
 * is how often.
 */

#include "store/subscription.h"

#include <sched.h>
#include <stdatomic.h>

#include "base/error.h"
#include "lua_test.h"

#define SHARING    "subscription_test.sharing"
#define SUBSCRIBER "subscription_test.subscriber"

struct sharing {
	struct lun_event_store *store; /* NULL: closed */
	pthread_mutex_t lock;
	struct lun_log log;
	struct lun_subscription *subscription;
};

/* What an event store does, some of it another way. */
struct shim {
	struct lun_event_store_ops ops;
	const struct lun_event_store_ops *own;
};

/* Before a connection to read from; of the one reading that is held. */
static struct {
	struct shim shim;
	atomic_bool shut;
	atomic_bool reached;
} gate;

static struct {
	struct shim shim;
	atomic_int looks;
} held_back;

struct handle {
	struct lun_subscriber *subscriber; /* NULL: gone */
	struct lun_event_store *store;     /* borrowed */
	struct lun_batch *view;
	atomic_int wakes;
};

int luaopen_subscription_test(lua_State *L);

static struct sharing *
check_sharing(lua_State *L)
{
	struct sharing *sharing = luaL_checkudata(L, 1, SHARING);

	luaL_argcheck(L, sharing->store != NULL, 1, "it is closed");
	return sharing;
}

static struct handle *
check_subscriber(lua_State *L)
{
	struct handle *handle = luaL_checkudata(L, 1, SUBSCRIBER);

	luaL_argcheck(L, handle->subscriber != NULL, 1, "it is gone");
	return handle;
}

static void
push_position(
    lua_State *L, struct lun_event_store *store, struct lun_position position)
{
	char text[LUN_POSITION_MAX];

	lun_event_store_format_position(store, position, text);
	lua_pushstring(L, text);
}

/* ---- the reading ------------------------------------------------------- */

static int
test_open(lua_State *L)
{
	const char *url = luaL_checkstring(L, 1);
	struct sharing *sharing = lua_newuserdatauv(L, sizeof *sharing, 0);
	struct lun_subscription_options options = {
	    .live_events = (size_t)integer_field(L, 2, "live", 1000),
	    .batch_events = (size_t)integer_field(L, 2, "batch", 1000),
	    .kept_bytes = (size_t)integer_field(L, 2, "kept", 1 << 20),
	    .poll_ms = integer_field(L, 2, "poll", 5),
	    .connect_lock = &sharing->lock,
	    .log = &sharing->log,
	};
	struct lun_err err;

	*sharing = (struct sharing){0};
	luaL_setmetatable(L, SHARING);
	pthread_mutex_init(&sharing->lock, NULL);
	if (lun_event_store_open(url, NULL, &sharing->store, &err) != LUN_OK)
		return luaL_error(L, "%s", err.message);
	options.events = sharing->store;
	if (lun_subscription_new(&options, &sharing->subscription, &err) !=
	    LUN_OK)
		return luaL_error(L, "%s", err.message);
	return 1;
}

static void
put_around(struct shim *shim, struct lun_event_store *store)
{
	shim->own = store->ops;
	shim->ops = *store->ops;
	store->ops = &shim->ops;
}

static enum lun_code
connect_behind_gate(struct lun_event_store *store, struct lun_event_store **out,
    struct lun_err *err)
{
	atomic_store(&gate.reached, true);
	while (atomic_load(&gate.shut))
		sched_yield();
	return gate.shim.own->connect(store, out, err);
}

static int
sharing_hold(lua_State *L)
{
	put_around(&gate.shim, check_sharing(L)->store);
	gate.shim.ops.connect = connect_behind_gate;
	atomic_store(&gate.reached, false);
	atomic_store(&gate.shut, true);
	return 0;
}

static int
sharing_is_held(lua_State *L)
{
	lua_pushboolean(L, atomic_load(&gate.reached));
	return 1;
}

static int
sharing_let_go(lua_State *L)
{
	(void)L;
	atomic_store(&gate.shut, false);
	return 0;
}

static enum lun_code
look_in_vain(struct lun_event_store *store, const struct lun_read *request,
    struct lun_batch *batch, struct lun_err *err)
{
	enum lun_code code =
	    held_back.shim.own->read(store, request, batch, err);

	if (code != LUN_OK || batch->count > 0)
		return code;
	batch->held = true;
	batch->look_us = 200000;
	atomic_fetch_add(&held_back.looks, 1);
	return LUN_OK;
}

static enum lun_code
connect_held_back(struct lun_event_store *store, struct lun_event_store **out,
    struct lun_err *err)
{
	enum lun_code code = held_back.shim.own->connect(store, out, err);

	if (code == LUN_OK)
		(*out)->ops = &held_back.shim.ops;
	return code;
}

static int
sharing_hold_back(lua_State *L)
{
	put_around(&held_back.shim, check_sharing(L)->store);
	held_back.shim.ops.connect = connect_held_back;
	held_back.shim.ops.read = look_in_vain;
	atomic_store(&held_back.looks, 0);
	return 0;
}

static int
sharing_looks(lua_State *L)
{
	lua_pushinteger(L, atomic_load(&held_back.looks));
	return 1;
}

static int
sharing_stop(lua_State *L)
{
	lun_subscription_stop(check_sharing(L)->subscription);
	return 0;
}

static int
sharing_close(lua_State *L)
{
	struct sharing *sharing = luaL_checkudata(L, 1, SHARING);

	if (sharing->store == NULL)
		return 0;
	atomic_store(&gate.shut, false);
	lun_subscription_free(sharing->subscription);
	lun_event_store_close(sharing->store);
	pthread_mutex_destroy(&sharing->lock);
	sharing->store = NULL;
	return 0;
}

/* append(stream, type, data [, tenant]): its position */
static int
sharing_append(lua_State *L)
{
	struct sharing *sharing = check_sharing(L);
	struct lun_append append = {
	    .event =
		{
		    .stream = lun_text_of(luaL_checkstring(L, 2)),
		    .type = lun_text_of(luaL_checkstring(L, 3)),
		    .data = lun_text_of(luaL_checkstring(L, 4)),
		    .tenant = lun_text_of(luaL_optstring(L, 5, NULL)),
		    .recorded_at = LUN_TIME_UNKNOWN,
		},
	    .expected_version = LUN_ANY_VERSION,
	};
	struct lun_append_result result;
	struct lun_err err;

	if (lun_event_store_append(sharing->store, &append, 1, &result, &err) !=
	    LUN_OK)
		return luaL_error(L, "%s", err.message);
	lun_subscription_wake(sharing->subscription);
	push_position(L, sharing->store, result.position);
	return 1;
}

/* ---- those who take part ----------------------------------------------- */

static void
count_wake(void *arg)
{
	struct handle *handle = arg;

	atomic_fetch_add(&handle->wakes, 1);
}

static int
sharing_subscriber(lua_State *L)
{
	struct sharing *sharing = check_sharing(L);
	struct handle *handle = lua_newuserdatauv(L, sizeof *handle, 1);

	*handle = (struct handle){.store = sharing->store};
	luaL_setmetatable(L, SUBSCRIBER);
	lua_pushvalue(L, 1);
	lua_setiuservalue(L, -2, 1); /* the store has to stay */
	handle->view = lun_batch_new();
	handle->subscriber =
	    lun_subscriber_new(sharing->subscription, count_wake, handle);
	return handle->view != NULL && handle->subscriber != NULL
		   ? 1
		   : luaL_error(L, "out of memory");
}

static int
subscriber_close(lua_State *L)
{
	struct handle *handle = luaL_checkudata(L, 1, SUBSCRIBER);

	lun_subscriber_free(handle->subscriber);
	lun_batch_free(handle->view);
	handle->subscriber = NULL;
	handle->view = NULL;
	return 0;
}

/*
 * join{position=, state=, types=, at_head=}: "joined"; "upto" and a position;
 * or "later"
 */
static int
subscriber_join(lua_State *L)
{
	struct handle *handle = check_subscriber(L);
	struct lun_text types[8];
	struct lun_event_filter filter = {.types = types};
	struct lun_joiner joiner = {.filter = &filter};
	struct lun_position upto;
	enum lun_code code;

	if (lun_event_store_parse_position(handle->store,
		text_field(L, 2, "position"), &joiner.position, NULL) != LUN_OK)
		return luaL_error(L, "no position");
	joiner.source_state = text_field(L, 2, "state");
	lua_getfield(L, 2, "at_head");
	joiner.at_head = lua_toboolean(L, -1);
	if (lua_getfield(L, 2, "types") != LUA_TNIL)
		for (lua_Integer i = 1; i <= luaL_len(L, -1) && i <= 8; i++) {
			struct lun_text *type = &types[filter.type_count++];

			lua_geti(L, -1, i);
			type->bytes = luaL_checklstring(L, -1, &type->length);
			lua_pop(L, 1);
		}
	code = lun_subscriber_join(handle->subscriber, &joiner, &upto);
	lua_pushstring(L, code == LUN_OK      ? "joined"
			  : code == LUN_AGAIN ? "upto"
					      : "later");
	if (code != LUN_AGAIN)
		return 1;
	push_position(L, handle->store, upto);
	return 2;
}

static void
push_view(lua_State *L, const struct handle *handle)
{
	const struct lun_batch *view = handle->view;

	lua_newtable(L);
	for (size_t i = 0; i < view->count; i++) {
		const struct lun_event *event = &view->events[i];

		lua_pushlstring(L, event->data.bytes, event->data.length);
		lua_seti(L, -2, (lua_Integer)i + 1);
	}
	push_position(L, handle->store, view->reached);
	lua_setfield(L, -2, "reached");
	lua_pushlstring(L, view->source_state.bytes, view->source_state.length);
	lua_setfield(L, -2, "state");
	lua_pushboolean(L, view->at_head);
	lua_setfield(L, -2, "at_head");
	if (view->tenants_from == LUN_NO_EVENT)
		return;
	lua_pushinteger(L, (lua_Integer)view->tenants_from + 1);
	lua_setfield(L, -2, "tenants_from");
}

/* next(state): the data of the events; or nil and "nothing", "away", "left" */
static int
subscriber_next(lua_State *L)
{
	struct handle *handle = check_subscriber(L);
	struct lun_text state;
	struct lun_err err = {0};
	enum lun_code code;

	state.bytes = luaL_checklstring(L, 2, &state.length);
	code =
	    lun_subscriber_next(handle->subscriber, state, handle->view, &err);
	if (code == LUN_OK) {
		push_view(L, handle);
		return 1;
	}
	lua_pushnil(L);
	lua_pushstring(L, code == LUN_NOTFOUND      ? "nothing"
			  : code == LUN_AGAIN       ? "left"
			  : code == LUN_UNAVAILABLE ? "away"
						    : lun_code_name(code));
	if (err.message[0] == '\0')
		return 2;
	lua_pushstring(L, err.message);
	return 3;
}

/* The data of what was lent last, once more. */
static int
subscriber_view(lua_State *L)
{
	push_view(L, check_subscriber(L));
	return 1;
}

static int
subscriber_leave(lua_State *L)
{
	lun_subscriber_leave(check_subscriber(L)->subscriber);
	return 0;
}

static int
subscriber_wakes(lua_State *L)
{
	lua_pushinteger(L, atomic_load(&check_subscriber(L)->wakes));
	return 1;
}

static int
subscriber_has_joined(lua_State *L)
{
	lua_pushboolean(
	    L, lun_subscriber_has_joined(check_subscriber(L)->subscriber));
	return 1;
}

/* ---- the module -------------------------------------------------------- */

static const luaL_Reg sharing_methods[] = {
    {"append", sharing_append},
    {"subscriber", sharing_subscriber},
    {"hold", sharing_hold},
    {"is_held", sharing_is_held},
    {"let_go", sharing_let_go},
    {"hold_back", sharing_hold_back},
    {"looks", sharing_looks},
    {"stop", sharing_stop},
    {"close", sharing_close},
    {"__gc", sharing_close},
    {NULL, NULL},
};

static const luaL_Reg subscriber_methods[] = {
    {"join", subscriber_join},
    {"next", subscriber_next},
    {"view", subscriber_view},
    {"leave", subscriber_leave},
    {"wakes", subscriber_wakes},
    {"has_joined", subscriber_has_joined},
    {"close", subscriber_close},
    {"__gc", subscriber_close},
    {NULL, NULL},
};

int
luaopen_subscription_test(lua_State *L)
{
	make_class(L, SHARING, sharing_methods);
	make_class(L, SUBSCRIBER, subscriber_methods);
	lua_newtable(L);
	lua_pushcfunction(L, test_open);
	lua_setfield(L, -2, "open");
	return 1;
}
