/* pool.c - a bounded number of lines that calls take turns at. */

#include "base/pool.h"

#include <assert.h>

#include "base/clock.h"
#include "base/thread.h"

#define REFUSED_NS (5 * INT64_C(1000000000))

/* It lives on the stack of the thread that waits. */
struct lun_pool_waiter {
	struct lun_pool_waiter *next;
	struct lun_pool_line *line; /* its own, once it was called */
};

void
lun_pool_init(struct lun_pool *pool)
{
	*pool = (struct lun_pool){.count = 0};
	pthread_mutex_init(&pool->lock, NULL);
	lun_cond_init(&pool->called);
}

void
lun_pool_fini(struct lun_pool *pool)
{
	assert(pool->first == NULL);
	pthread_cond_destroy(&pool->called);
	pthread_mutex_destroy(&pool->lock);
}

/* ---- idle lines -------------------------------------------------------- */

/* The open ones in front, so that they are all used before one is opened. */
static void
push_idle(struct lun_pool *pool, struct lun_pool_line *line)
{
	struct lun_pool_line **at = &pool->idle;
	bool waits = !line->is_open || line == pool->favoured;

	while (waits && *at != NULL && (*at)->is_open)
		at = &(*at)->next;
	line->next = *at;
	*at = line;
}

static size_t
coming_back(const struct lun_pool *pool)
{
	return pool->open - pool->open_long;
}

static struct lun_pool_line *
pop_idle(struct lun_pool *pool)
{
	struct lun_pool_line *line = pool->idle;

	if (line == NULL || (!line->is_open && coming_back(pool) > 0 &&
				lun_clock_mono_ns() < pool->refused_until_ns))
		return NULL;
	pool->idle = line->next;
	line->next = NULL;
	return line;
}

/* NULL: it is none of the idle ones, or not open any more. */
static struct lun_pool_line *
pop_favoured(struct lun_pool *pool)
{
	struct lun_pool_line **at = &pool->idle, *line;

	while (*at != NULL && *at != pool->favoured)
		at = &(*at)->next;
	line = *at;
	if (line == NULL || !line->is_open)
		return NULL;
	*at = line->next;
	line->next = NULL;
	return line;
}

/* Nobody can jump the queue: a line goes to its first before it is idle. */
static void
call_waiters(struct lun_pool *pool)
{
	bool called = false;

	while (pool->first != NULL) {
		pool->first->line = pop_idle(pool);
		if (pool->first->line == NULL)
			break;
		pool->first = pool->first->next;
		called = true;
	}
	if (called)
		pthread_cond_broadcast(&pool->called);
}

void
lun_pool_put(struct lun_pool *pool, struct lun_pool_line *line)
{
	*line = (struct lun_pool_line){.next = NULL};
	push_idle(pool, line);
	pool->count++;
}

/* ---- taking and giving back -------------------------------------------- */

static void
join_queue(struct lun_pool *pool, struct lun_pool_waiter *me)
{
	struct lun_pool_waiter **end = &pool->first;

	while (*end != NULL)
		end = &(*end)->next;
	*end = me;
}

static void
leave_queue(struct lun_pool *pool, struct lun_pool_waiter *me)
{
	struct lun_pool_waiter **at = &pool->first;

	while (*at != me)
		at = &(*at)->next;
	*at = me->next;
}

static struct lun_pool_line *
wait_in_queue(struct lun_pool *pool, int64_t deadline_ns)
{
	struct lun_pool_waiter me = {.line = NULL};

	join_queue(pool, &me);
	while (me.line == NULL && lun_clock_mono_ns() < deadline_ns)
		lun_cond_wait_until(&pool->called, &pool->lock, deadline_ns);
	if (me.line == NULL)
		leave_queue(pool, &me);
	return me.line;
}

struct lun_pool_line *
lun_pool_take(struct lun_pool *pool, int64_t deadline_ns)
{
	struct lun_pool_line *line = NULL;

	pthread_mutex_lock(&pool->lock);
	if (pool->first == NULL)
		line = pop_idle(pool);
	if (line == NULL)
		line = wait_in_queue(pool, deadline_ns);
	pthread_mutex_unlock(&pool->lock);
	return line;
}

struct lun_pool_line *
lun_pool_take_favoured(struct lun_pool *pool, int64_t deadline_ns)
{
	struct lun_pool_line *line = NULL;

	pthread_mutex_lock(&pool->lock);
	if (pool->first == NULL)
		line = pop_favoured(pool);
	if (line == NULL && pool->first == NULL)
		line = pop_idle(pool);
	if (line == NULL)
		line = wait_in_queue(pool, deadline_ns);
	if (line != NULL)
		pool->favoured = line;
	pthread_mutex_unlock(&pool->lock);
	return line;
}

struct lun_pool_line *
lun_pool_take_long(struct lun_pool *pool)
{
	struct lun_pool_line *line = NULL;

	pthread_mutex_lock(&pool->lock);
	if (pool->first == NULL && pool->taken_long < pool->count / 2)
		line = pop_idle(pool);
	if (line != NULL) {
		line->is_long = true;
		pool->taken_long++;
		pool->open_long += line->is_open;
	}
	pthread_mutex_unlock(&pool->lock);
	return line;
}

void
lun_pool_give(struct lun_pool *pool, struct lun_pool_line *line)
{
	pthread_mutex_lock(&pool->lock);
	if (line->is_long) {
		pool->taken_long--;
		pool->open_long -= line->is_open;
		line->is_long = false;
	}
	push_idle(pool, line);
	call_waiters(pool);
	pthread_mutex_unlock(&pool->lock);
}

/* ---- whether they are open --------------------------------------------- */

void
lun_pool_note(struct lun_pool *pool, struct lun_pool_line *line, bool is_open)
{
	pthread_mutex_lock(&pool->lock);
	if (line->is_open != is_open) {
		pool->open += is_open ? 1 : (size_t)-1;
		if (line->is_long)
			pool->open_long += is_open ? 1 : (size_t)-1;
		line->is_open = is_open;
		call_waiters(pool);
	}
	pthread_mutex_unlock(&pool->lock);
}

bool
lun_pool_can_spare(struct lun_pool *pool)
{
	bool can;

	pthread_mutex_lock(&pool->lock);
	can = coming_back(pool) > 0;
	if (can)
		pool->refused_until_ns = lun_clock_mono_ns() + REFUSED_NS;
	pthread_mutex_unlock(&pool->lock);
	return can;
}

size_t
lun_pool_open(struct lun_pool *pool)
{
	size_t open;

	pthread_mutex_lock(&pool->lock);
	open = pool->open;
	pthread_mutex_unlock(&pool->lock);
	return open;
}
