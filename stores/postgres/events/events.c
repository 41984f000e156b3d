/*
 * events.c - an event store in a PostgreSQL database: Lunette's own table, or
 * the tables of somebody else.
 */

#include "postgres/events/events.h"

#include <stdlib.h>

#include "base/error.h"

enum lun_code
lun_pg_events_no_memory(struct lun_pg_events *s, struct lun_err *err)
{
	return lun_fail(
	    err, LUN_NOMEM, "%s: out of memory", lun_pg_name(&s->c));
}

enum lun_code
lun_pg_events_run(struct lun_pg_events *s, PGresult **out, struct lun_err *err)
{
	lun_buffer_add_byte(&s->sql, '\0');
	if (s->sql.failed)
		return lun_pg_events_no_memory(s, err);
	return lun_pg_query(&s->c, s->sql.bytes, &s->params, out, err);
}

enum lun_code
lun_pg_read_rows(
    struct lun_pg_events *s, lun_pg_row_fn *row, void *arg, struct lun_err *err)
{
	lun_buffer_add_byte(&s->sql, '\0');
	if (s->sql.failed)
		return lun_pg_events_no_memory(s, err);
	return lun_pg_stream(&s->c, s->sql.bytes, &s->params, row, arg, err);
}

/* ---- what connections share -------------------------------------------- */

static void
release_source(struct lun_pg_source *source)
{
	if (source == NULL || atomic_fetch_sub(&source->users, 1) > 1)
		return;
	lun_pg_listener_free(source->listener);
	lun_pg_mapping_free(source->mapping);
	free(source->remark);
	free(source);
}

/*
 * The server refuses a statement from which it would hide rows, whichever table
 * of the layout they stand in. Through a pooler that holds for a transaction.
 */
static enum lun_code
see_every_row(struct lun_pg_events *s, struct lun_err *err)
{
	if (s->source->pooled)
		return lun_pg_exec(&s->c,
		    "BEGIN READ ONLY; SET LOCAL row_security = off", err);
	s->c.session = "SET row_security = off";
	return lun_pg_exec(&s->c, s->c.session, err);
}

static enum lun_code
look_for_mapping(struct lun_pg_events *s, struct lun_err *err)
{
	enum lun_code code = see_every_row(s, err);
	enum lun_code ended = LUN_OK;

	if (code != LUN_OK)
		return code;
	code = lun_pg_mapping_new(&s->c, &s->source->mapping, err);
	if (s->source->pooled)
		ended =
		    lun_pg_exec(&s->c, "ROLLBACK", code == LUN_OK ? err : NULL);
	return code == LUN_OK ? ended : code;
}

static enum lun_code
find_mapping(struct lun_pg_events *s, struct lun_err *err)
{
	enum lun_code code = look_for_mapping(s, err);

	if (code != LUN_NOTFOUND)
		return code;
	code = lun_pg_events_make(&s->c, err);
	s->base.made = code == LUN_OK;
	if (code == LUN_OK)
		code = look_for_mapping(s, err);
	return code == LUN_NOTFOUND ? lun_recode(err, LUN_CONFIG) : code;
}

/* A pooler gives out process ids of its own. */
static enum lun_code
find_pooler(struct lun_pg_events *s, struct lun_err *err)
{
	PGresult *result = NULL;
	enum lun_code code = lun_pg_query(
	    &s->c, "SELECT pg_catalog.pg_backend_pid()", NULL, &result, err);

	if (code == LUN_OK)
		s->source->pooled =
		    lun_pg_int8(result, 0, 0) != PQbackendPID(s->c.conn);
	PQclear(result);
	return code;
}

/* Bytes that no encoding is known of cannot be taken for UTF-8. */
static enum lun_code
check_encoding(struct lun_pg_events *s, struct lun_err *err)
{
	const char *encoding = PQparameterStatus(s->c.conn, "server_encoding");

	if (encoding == NULL || strcmp(encoding, "SQL_ASCII") != 0)
		return LUN_OK;
	return lun_fail(err, LUN_CONFIG,
	    "%s: the database has the encoding SQL_ASCII; it must be one that "
	    "PostgreSQL can convert to UTF-8",
	    lun_pg_name(&s->c));
}

/* Through a pooler LISTEN needs a URL that goes past it. */
static enum lun_code
make_listener(struct lun_pg_events *s, struct lun_err *err)
{
	struct lun_pg_source *source = s->source;
	const char *direct = lun_pg_url_value(s->c.url, "listen");

	if (source->mapping->channel == NULL ||
	    (direct == NULL && source->pooled))
		return LUN_OK;
	source->listener =
	    lun_pg_listener_new(direct != NULL ? direct : s->c.url->conninfo,
		source->mapping->channel);
	return source->listener != NULL ? LUN_OK
					: lun_pg_events_no_memory(s, err);
}

static void
add_remark(struct lun_buffer *remark, const char *words)
{
	if (words[0] == '\0')
		return;
	lun_buffer_printf(
	    remark, "%s%s", remark->length > 0 ? "; " : "", words);
}

/* What is slow about it, and what it cannot promise, for the log. */
static enum lun_code
make_remark(struct lun_pg_events *s, struct lun_err *err)
{
	struct lun_pg_source *source = s->source;
	struct lun_buffer remark = {0};

	if (source->mapping->remark != NULL)
		add_remark(&remark, source->mapping->remark);
	if (source->listener == NULL && source->pooled &&
	    source->mapping->channel != NULL)
		add_remark(&remark,
		    "a pooler stands before the server, so new events are "
		    "found by polling alone; with listen=URL of a direct "
		    "connection the server can tell of them");
	if (source->mapping->layout.is_outbox)
		add_remark(&remark,
		    "rows of an outbox that are deleted before they were read "
		    "are lost to these projections, and a rebuild finds only "
		    "those that are left");
	if (remark.length == 0) {
		lun_buffer_free(&remark);
		return LUN_OK;
	}
	source->remark = lun_buffer_take(&remark);
	return source->remark != NULL ? LUN_OK
				      : lun_pg_events_no_memory(s, err);
}

static enum lun_code
make_source(struct lun_pg_events *s, struct lun_err *err)
{
	enum lun_code code;

	s->source = calloc(1, sizeof *s->source);
	if (s->source == NULL)
		return lun_pg_events_no_memory(s, err);
	atomic_init(&s->source->users, 1);
	code = check_encoding(s, err);
	if (code == LUN_OK)
		code = find_pooler(s, err);
	if (code == LUN_OK)
		code = find_mapping(s, err);
	if (code == LUN_OK)
		code = lun_pg_events_identify(
		    &s->c, s->source->mapping, s->source->identity, err);
	if (code == LUN_OK)
		code = make_listener(s, err);
	if (code == LUN_OK)
		code = make_remark(s, err);
	return code;
}

/* ---- opening and closing ----------------------------------------------- */

static void
postgres_close(struct lun_event_store *store)
{
	struct lun_pg_events *s = lun_pg_events_of(store);
	struct lun_pg_url *url =
	    s->c.url != NULL ? lun_pg_url_share(s->c.url) : NULL;

	lun_pg_waker_close(&s->waker);
	lun_pg_pass_free(s);
	lun_pg_close(&s->c);
	release_source(s->source); /* its listener borrows from it */
	lun_pg_url_release(url);
	lun_pg_params_free(&s->params);
	lun_buffer_free(&s->sql);
	lun_pg_safe_head_free(&s->safe_head);
	lun_pg_pending_writers_free(&s->pending);
	lun_pg_state_free(&s->state);
	lun_pg_versions_free(s->versions);
	lun_buffer_free(&s->versions_of);
	lun_buffer_free(&s->mark);
	lun_buffer_free(&s->numbers);
	lun_buffer_free(&s->settled_anchor);
	lun_buffer_free(&s->known_head.bound_anchor);
	free(s);
}

static struct lun_pg_events *
new_events_handle(void)
{
	struct lun_pg_events *s = calloc(1, sizeof *s);

	if (s == NULL)
		return NULL;
	s->base.ops = &lun_postgres_events;
	s->row_bytes = 512;
	s->rows_each = 1;
	return s;
}

static enum lun_code
postgres_open(const char *rest, const struct lun_store_options *options,
    struct lun_event_store **out, struct lun_err *err)
{
	struct lun_pg_events *s = new_events_handle();
	enum lun_code code;

	if (s == NULL)
		return lun_fail(err, LUN_NOMEM, "postgres: out of memory");
	code = lun_pg_open(&s->c, rest, options, err);
	if (code == LUN_OK)
		code = make_source(s, err);
	if (code != LUN_OK) {
		postgres_close(&s->base);
		return code;
	}
	s->base.has_tenants = s->source->mapping->layout.tenant != NULL;
	*out = &s->base;
	return LUN_OK;
}

static enum lun_code
postgres_connect(struct lun_event_store *store, struct lun_event_store **out,
    struct lun_err *err)
{
	struct lun_pg_events *from = lun_pg_events_of(store);
	struct lun_pg_events *s = new_events_handle();

	if (s == NULL)
		return lun_pg_events_no_memory(from, err);
	lun_pg_connect(&s->c, &from->c);
	atomic_fetch_add(&from->source->users, 1);
	s->source = from->source;
	s->base.has_tenants = store->has_tenants;
	*out = &s->base;
	return LUN_OK;
}

/* ---- small methods ----------------------------------------------------- */

static enum lun_code
postgres_identity(struct lun_event_store *store,
    char identity[LUN_IDENTITY_SIZE], struct lun_err *err)
{
	(void)err;
	memcpy(identity, lun_pg_events_of(store)->source->identity,
	    LUN_IDENTITY_SIZE);
	return LUN_OK;
}

static const char *
postgres_remark(struct lun_event_store *store)
{
	const struct lun_pg_source *source = lun_pg_events_of(store)->source;

	return source->remark;
}

static bool
postgres_notice(struct lun_event_store *store, char text[LUN_NOTICE_SIZE])
{
	return lun_pg_listener_notice(
	    lun_pg_events_of(store)->source->listener, text, LUN_NOTICE_SIZE);
}

static int
postgres_wake_fd(struct lun_event_store *store)
{
	struct lun_pg_events *s = lun_pg_events_of(store);

	return lun_pg_waker_fd(&s->waker, s->source->listener);
}

static void
postgres_drain(struct lun_event_store *store)
{
	lun_pg_waker_drain(&lun_pg_events_of(store)->waker);
}

static void
postgres_format_position(struct lun_event_store *store,
    struct lun_position position, char text[LUN_POSITION_MAX])
{
	lun_pg_format_position(
	    lun_pg_events_of(store)->source->mapping, position, text);
}

static bool
postgres_parse_position(struct lun_event_store *store, struct lun_text text,
    struct lun_position *position)
{
	return lun_pg_parse_position(
	    lun_pg_events_of(store)->source->mapping, text, position);
}

static double
postgres_place(struct lun_event_store *store, struct lun_position position)
{
	const struct lun_pg_mapping *mapping =
	    lun_pg_events_of(store)->source->mapping;

	if (mapping->key == LUN_PG_UUID_KEY || mapping->key == LUN_PG_MOMENT)
		return (double)lun_pg_position_time(mapping, position);
	return (double)position.lo;
}

const struct lun_event_store_ops lun_postgres_events = {
    .scheme = "postgres",
    .abi = LUN_EVENT_STORE_ABI,
    .open = postgres_open,
    .connect = postgres_connect,
    .close = postgres_close,
    .identity = postgres_identity,
    .read = lun_pg_events_read,
    .head = lun_pg_events_head,
    .lag = lun_pg_events_lag,
    .append = lun_pg_events_append,
    .begin = lun_pg_events_begin,
    .commit = lun_pg_events_commit,
    .rollback = lun_pg_events_rollback,
    .find = lun_pg_events_find,
    .wake_fd = postgres_wake_fd,
    .drain = postgres_drain,
    .format_position = postgres_format_position,
    .parse_position = postgres_parse_position,
    .place = postgres_place,
    .remark = postgres_remark,
    .notice = postgres_notice,
    .gaps = lun_pg_events_gaps,
    .same_reach = lun_pg_events_same_reach,
    .held_by = lun_pg_events_held_by,
    .index_sql = lun_pg_events_index_sql,
    .layouts = lun_pg_events_layouts,
};
