/* models_requests.c - requests and heartbeats in memory. */

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/error.h"
#include "memory/models.h"

#define NS_PER_US 1000

/* ---- requests ---------------------------------------------------------- */

static struct memory_request **
find_request(struct memory_data *data, int64_t number)
{
	struct memory_request **link = &data->requests;

	while (*link != NULL && (*link)->request.number != number)
		link = &(*link)->next;
	return link;
}

static void
forget_request(struct memory_request **link)
{
	struct memory_request *gone = *link;

	*link = gone->next;
	free(gone);
}

enum lun_code
lun_memory_request_post(struct lun_model_store *store,
    const struct lun_request *request, int64_t *number, struct lun_err *err)
{
	struct memory_request *posted = calloc(1, sizeof *posted);
	struct memory_data *data;

	if (posted == NULL)
		return lun_fail(err, LUN_NOMEM, "memory: out of memory");
	data = lun_memory_lock(store);
	posted->request = *request;
	posted->request.number = ++data->last_number;
	*number = posted->request.number;
	*find_request(data, 0) = posted;
	lun_memory_unlock(data);
	return LUN_OK;
}

static struct lun_key
key_of(const struct lun_request *request)
{
	return (struct lun_key){
	    request->projection, request->build, request->shard};
}

static bool
is_for(const struct lun_request *request, struct lun_key key)
{
	return strcmp(request->projection, key.projection) == 0 &&
	       request->build == key.build && request->shard == key.shard;
}

/* Before others that wait for the same shard. */
static bool
is_first_waiting(const struct memory_data *data, const struct memory_request *r)
{
	struct lun_key key = key_of(&r->request);
	const struct memory_request *other = data->requests;

	if (r->finished)
		return false;
	while (other != r && (other->finished || !is_for(&other->request, key)))
		other = other->next;
	return other == r;
}

enum lun_code
lun_memory_requests_waiting(struct lun_model_store *store, lun_key_fn *key,
    void *arg, struct lun_err *err)
{
	struct memory_data *data = lun_memory_lock(store);
	enum lun_code code = LUN_OK;

	for (const struct memory_request *r = data->requests;
	     r != NULL && code == LUN_OK; r = r->next)
		if (is_first_waiting(data, r))
			code = key(arg, key_of(&r->request), err);
	lun_memory_unlock(data);
	return code;
}

enum lun_code
lun_memory_request_next(struct lun_model_store *store, struct lun_key key,
    struct lun_request *request, struct lun_err *err)
{
	struct memory_data *data = lun_memory_lock(store);
	struct memory_request *r = data->requests;

	while (r != NULL && (r->finished || !is_for(&r->request, key)))
		r = r->next;
	if (r != NULL)
		*request = r->request;
	lun_memory_unlock(data);
	if (r != NULL)
		return LUN_OK;
	return lun_model_store_no_waiting(key.projection, err);
}

enum lun_code
lun_memory_request_finish(struct lun_model_store *store, int64_t number,
    enum lun_code outcome, const char *message, struct lun_err *err)
{
	struct memory_data *data = lun_memory_lock(store);
	struct memory_request *r = *find_request(data, number);

	if (r != NULL) {
		r->finished = true;
		r->outcome = outcome;
		snprintf(r->message, sizeof r->message, "%s",
		    message != NULL ? message : "");
	}
	lun_memory_unlock(data);
	return r != NULL ? LUN_OK : lun_model_store_no_request(number, err);
}

enum lun_code
lun_memory_request_result(struct lun_model_store *store, int64_t number,
    bool withdraw, struct lun_err *outcome, struct lun_err *err)
{
	struct memory_data *data = lun_memory_lock(store);
	struct memory_request **link = find_request(data, number);
	enum lun_code code = LUN_OK;

	if (*link == NULL)
		code = lun_model_store_no_request(number, err);
	else if (!(*link)->finished)
		lun_fail(outcome, LUN_AGAIN, "request %lld still waits",
		    (long long)number);
	else if ((*link)->outcome != LUN_OK)
		lun_fail(outcome, (*link)->outcome, "%s", (*link)->message);
	if (*link != NULL && ((*link)->finished || withdraw))
		forget_request(link);
	lun_memory_unlock(data);
	return code;
}

/* ---- heartbeats -------------------------------------------------------- */

enum lun_code
lun_memory_publish(struct lun_model_store *store,
    const struct lun_heartbeat *heartbeats, size_t count, struct lun_err *err)
{
	struct memory_data *data = lun_memory_lock(store);
	enum lun_code code = LUN_OK;

	for (size_t i = 0; code == LUN_OK && i < count; i++) {
		const struct lun_heartbeat *h = &heartbeats[i];
		struct memory_shard *p = lun_memory_add(
		    data, (struct lun_key){h->projection, h->build, h->shard});

		if (p == NULL) {
			code =
			    lun_fail(err, LUN_NOMEM, "memory: out of memory");
			break;
		}
		p->heartbeat = *h;
		p->heartbeat_ns = lun_clock_mono_ns();
		p->has_heartbeat = true;
	}
	lun_memory_unlock(data);
	return code;
}

static enum lun_held
is_held_by(const struct memory_shard *p, const char *owner)
{
	return p->owner != NULL && strcmp(p->holder, owner) == 0 ? LUN_HELD_YES
								 : LUN_HELD_NO;
}

enum lun_code
lun_memory_heartbeat(struct lun_model_store *store, struct lun_key key,
    struct lun_heartbeat *heartbeat, struct lun_err *err)
{
	struct memory_data *data = lun_memory_lock(store);
	struct memory_shard *p = lun_memory_shard(data, key);
	bool found = p != NULL && p->has_heartbeat;

	if (found) {
		*heartbeat = p->heartbeat;
		heartbeat->held = is_held_by(p, heartbeat->owner);
		heartbeat->age_us =
		    (lun_clock_mono_ns() - p->heartbeat_ns) / NS_PER_US;
	}
	lun_memory_unlock(data);
	if (found)
		return LUN_OK;
	return lun_fail(err, LUN_NOTFOUND, "projection \"%s\" has no heartbeat",
	    key.projection);
}
