/*
 * safe_head.c - how far it is safe to read, for each kind of event store.
 *
 * Promised: no event appears, after the statement, at or below the position
 * that it gives. Reading takes a later snapshot and needs no other proof.
 *
 * transactions: rows are ordered by (transaction id, number). Only rows below
 * the snapshot's xmin count. Every transaction below xmin had ended when the
 * snapshot was taken, so what it committed is visible; every later one gets an
 * id that is not below xmin, so its rows sort above. This holds on the server
 * that gave out the ids, which is why a table from elsewhere is refused.
 *
 * serialised: writers hold one lock from drawing a number until they commit.
 * Numbers become visible in their order, so what can be seen has no holes that
 * could be filled. The lock is a promise of the writers, which we cannot check;
 * that no session keeps numbers in stock is looked at in catalogue.c. A version
 * is written when the one before can be seen, so its number is drawn later and
 * higher: positions run with versions. Where the lock is a row's that gives the
 * numbers, that is proven, and order.c has nothing to do; elsewhere it finds who
 * breaks the promise.
 *
 * gaps, window: what can be seen proves nothing. The position found here is
 * only the last event; pending_writers.c proves how far below it is settled,
 * and read_contiguous.c stops there.
 *
 * What is kept between two reads (known_head.c) is in memory alone, so a kill at
 * any line loses nothing.
 */

#include "postgres/events/safe_head.h"

#include "base/error.h"
#include "postgres/events/catalogue.h"

/* One way to find the bound. */
struct strategy {
	const char *word;
	const char *needs; /* what the layout must have for it, in words */
	bool (*fits)(const struct lun_pg_mapping *mapping);
	/* Add the condition that a row is settled. */
	void (*add_settled)(
	    const struct lun_pg_mapping *mapping, struct lun_buffer *sql);
};

/* ---- pairs of a transaction id and a number ---------------------------- */

static bool
is_pair(const struct lun_pg_mapping *mapping)
{
	Oid type = mapping->types[LUN_PG_C_POSITION];

	return mapping->key == LUN_PG_PAIR && type != LUN_PG_UUID &&
	       type != LUN_PG_TIMESTAMPTZ && type != LUN_PG_TIMESTAMP;
}

static const char *
bigint_cast(const struct lun_pg_mapping *mapping)
{
	return mapping->types[LUN_PG_C_TRANSACTION] == LUN_PG_XID8
		   ? ""
		   : "::text::int8";
}

/*
 * Every transaction below the snapshot's xmin has ended, and a new one gets a
 * higher id: with the pair as the order, nothing can appear below.
 */
static void
add_has_ended(const struct lun_pg_mapping *mapping, struct lun_buffer *sql)
{
	lun_buffer_printf(sql,
	    "%s < pg_catalog.pg_snapshot_xmin("
	    "pg_catalog.pg_current_snapshot())%s",
	    mapping->layout.transaction_id, bigint_cast(mapping));
}

/* ---- writers that take turns ------------------------------------------- */

static bool
is_number(const struct lun_pg_mapping *mapping)
{
	return mapping->key == LUN_PG_NUMBER;
}

static bool
is_number_or_moment(const struct lun_pg_mapping *mapping)
{
	return mapping->key == LUN_PG_NUMBER || mapping->key == LUN_PG_MOMENT;
}

static bool
tells_time(const struct lun_pg_mapping *mapping)
{
	return mapping->key == LUN_PG_UUID_KEY || mapping->key == LUN_PG_MOMENT;
}

/* Numbers become visible in their order: what is seen is settled. */
static void
add_true(const struct lun_pg_mapping *mapping, struct lun_buffer *sql)
{
	(void)mapping;
	lun_buffer_add_text(sql, LUN_TEXT("true"));
}

/* ---- the table --------------------------------------------------------- */

static const struct strategy strategies[LUN_PG_SAFETIES] = {
    [LUN_PG_TRANSACTIONS] =
	{
	    .word = "transactions",
	    .needs = "a transaction id of type xid8 or bigint beside a number",
	    .fits = is_pair,
	    .add_settled = add_has_ended,
	},
    [LUN_PG_SERIALISED] =
	{
	    .word = "serialised",
	    .needs = "an integer or a time as position, and no transaction id",
	    .fits = is_number_or_moment,
	    .add_settled = add_true,
	},
    /* What can be seen; how much of it is safe, pending_writers.c says. */
    [LUN_PG_GAPS] =
	{
	    .word = "gaps",
	    .needs = "an integer as position, and no transaction id",
	    .fits = is_number,
	    .add_settled = add_true,
	},
    [LUN_PG_WINDOW] =
	{
	    .word = "window",
	    .needs = "a UUID of version 7 or a time as position",
	    .fits = tells_time,
	    .add_settled = add_true,
	},
};

bool
lun_pg_find_safety(const char *word, enum lun_pg_safety *safety)
{
	for (int i = 0; i < LUN_PG_SAFETIES; i++)
		if (strcmp(word, strategies[i].word) == 0) {
			*safety = (enum lun_pg_safety)i;
			return true;
		}
	return false;
}

enum lun_code
lun_pg_check_safety(
    const struct lun_pg_mapping *mapping, struct lun_pg *c, struct lun_err *err)
{
	const struct strategy *s = &strategies[mapping->safety];

	if (!s->fits(mapping))
		return lun_fail(err, LUN_CONFIG, "%s: safe_head=%s needs %s",
		    lun_pg_name(c), s->word, s->needs);
	return LUN_OK;
}

/* ---- the statement ----------------------------------------------------- */

/* The last settled event. */
static void
add_last_settled(const struct lun_pg_mapping *mapping, struct lun_buffer *sql)
{
	lun_buffer_printf(sql,
	    "SELECT %s, (%s)::text, true FROM %s WHERE %s AND ",
	    mapping->keys_read, mapping->expressions[LUN_PG_C_ID],
	    mapping->from, mapping->visible);
	strategies[mapping->safety].add_settled(mapping, sql);
	lun_buffer_printf(sql, " ORDER BY %s LIMIT 1", mapping->keys_down);
}

/*
 * The settled event that lies `most` events ahead, if there is one. Its keys
 * are found first, in the index alone: the rows between are not touched.
 */
static void
add_settled_ahead(const struct lun_pg_mapping *mapping,
    const struct lun_pg_safe_head *head, struct lun_buffer *sql,
    struct lun_pg_params *params)
{
	lun_buffer_printf(sql,
	    "SELECT %s, (%s)::text, false FROM %s WHERE %s AND (%s) = "
	    "(SELECT %s FROM %s WHERE %s AND ",
	    mapping->keys_read, mapping->expressions[LUN_PG_C_ID],
	    mapping->from, mapping->visible, mapping->keys, mapping->keys,
	    mapping->from, mapping->visible);
	strategies[mapping->safety].add_settled(mapping, sql);
	lun_buffer_add_text(sql, LUN_TEXT(" AND "));
	lun_pg_compare(mapping, sql, ">", params, head->after);
	lun_buffer_printf(sql, " ORDER BY %s OFFSET $%zu LIMIT 1)",
	    mapping->keys, params->count + 1);
	lun_pg_add_int8(params, (int64_t)head->most);
}

/* A relation l with the keys of the last event there is, settled or not. */
static void
add_last(const struct lun_pg_mapping *mapping, struct lun_buffer *sql)
{
	lun_buffer_printf(sql,
	    " LEFT JOIN (SELECT %s FROM %s WHERE %s ORDER BY %s LIMIT 1) "
	    "l (x, n) ON true",
	    mapping->keys_read, mapping->from, mapping->visible,
	    mapping->keys_down);
}

/*
 * Its transaction was not given out by this server, or may not be the last to
 * write below it. pg_current_xact_id() would use up an id.
 */
static void
add_last_against_snapshot(
    const struct lun_pg_mapping *mapping, struct lun_buffer *sql)
{
	const char *cast = bigint_cast(mapping);

	lun_buffer_printf(sql,
	    "l.x >= pg_catalog.pg_snapshot_xmax("
	    "pg_catalog.pg_current_snapshot())%s, "
	    "l.x >= pg_catalog.pg_snapshot_xmin("
	    "pg_catalog.pg_current_snapshot())%s",
	    cast, cast);
}

/* One row: the bound and its id, whether it is the head, the anchor ... */
static void
add_safe_head_statement(const struct lun_pg_mapping *mapping,
    const struct lun_pg_safe_head *head, struct lun_buffer *sql,
    struct lun_pg_params *params)
{
	lun_buffer_add_text(sql, LUN_TEXT("SELECT b.*, a.id, "));
	if (is_pair(mapping))
		add_last_against_snapshot(mapping, sql);
	else
		lun_buffer_add_text(sql, LUN_TEXT("false, false"));
	lun_buffer_add_text(sql, LUN_TEXT(", "));
	lun_pg_catalogue_add_mark(mapping, head->numbers, sql, params);
	lun_buffer_add_text(sql, LUN_TEXT(", a.n > 1, "));
	lun_pg_catalogue_add_set_back(
	    mapping, head->numbers, head->after, sql, params);
	lun_buffer_printf(sql, ", %s, %s FROM ",
	    is_pair(mapping)                  ? "l.x, l.n"
	    : lun_pg_key_columns(mapping) > 1 ? "NULL, NULL"
					      : "NULL",
	    LUN_PG_ELAPSED);
	lun_pg_add_anchor(mapping, sql, params, head->after);
	lun_buffer_add_text(sql, LUN_TEXT(" LEFT JOIN ("));
	if (head->most > 0) {
		lun_buffer_add_byte(sql, '(');
		add_settled_ahead(mapping, head, sql, params);
		lun_buffer_add_text(sql, LUN_TEXT(") UNION ALL ("));
		add_last_settled(mapping, sql);
		lun_buffer_add_text(sql, LUN_TEXT(") LIMIT 1"));
	} else {
		add_last_settled(mapping, sql);
	}
	lun_buffer_add_text(sql, LUN_TEXT(") b ON true"));
	if (is_pair(mapping))
		add_last(mapping, sql);
	lun_buffer_add_byte(sql, '\0');
}

static void
read_safe_head(const struct lun_pg_mapping *mapping, const PGresult *row,
    struct lun_pg_safe_head *head)
{
	int id = lun_pg_key_columns(mapping);
	bool found = !lun_pg_is_null(row, 0, id + 1);

	lun_buffer_clear(&head->anchor);
	lun_buffer_clear(&head->bound_anchor);
	lun_buffer_clear(&head->mark);
	head->bound = LUN_POSITION_START;
	head->at_head = !found || lun_pg_bool(row, 0, id + 1);
	if (found) {
		head->bound = lun_pg_keys_position(mapping, row, 0);
		lun_buffer_add_text(
		    &head->bound_anchor, lun_pg_bytes(row, 0, id));
	}
	head->has_anchor = !lun_pg_is_null(row, 0, id + 2);
	lun_buffer_add_text(&head->anchor, lun_pg_bytes(row, 0, id + 2));
	head->is_foreign = lun_pg_bool(row, 0, id + 3);
	head->is_held = lun_pg_bool(row, 0, id + 4);
	lun_buffer_add_text(&head->mark, lun_pg_bytes(row, 0, id + 5));
	head->has_rival = lun_pg_bool(row, 0, id + 6);
	head->was_set_back = lun_pg_bool(row, 0, id + 7);
	head->took_us = lun_pg_int8(row, 0, id + 8 + id);
	head->last = head->bound;
	if (is_pair(mapping) && !lun_pg_is_null(row, 0, id + 8))
		head->last = lun_pg_keys_position(mapping, row, id + 8);
}

/* In descending order a null comes first. */
static enum lun_code
check_last_row(const struct lun_pg_mapping *mapping, struct lun_pg *c,
    const PGresult *row, struct lun_err *err)
{
	int id = lun_pg_key_columns(mapping);
	bool found = !lun_pg_is_null(row, 0, id + 1);

	if (!found ||
	    (!lun_pg_is_null(row, 0, id - 1) && !lun_pg_is_null(row, 0, id)))
		return LUN_OK;
	if (lun_pg_is_null(row, 0, id))
		return lun_fail(err, LUN_INVALID,
		    "%s: \"%s\" has an event whose id is null: correct the "
		    "row",
		    lun_pg_name(c), mapping->table);
	return lun_fail(err, LUN_INVALID,
	    "%s: \"%s\" has an event whose position is null, and which has "
	    "no place in the order: %.*s; correct the row",
	    lun_pg_name(c), mapping->table,
	    LUN_TEXT_ARG(lun_pg_bytes(row, 0, id)));
}

enum lun_code
lun_pg_safe_head_find(struct lun_pg *c, const struct lun_pg_mapping *mapping,
    struct lun_pg_safe_head *head, struct lun_err *err)
{
	struct lun_buffer sql = {0};
	struct lun_pg_params params = {0};
	PGresult *result = NULL;
	enum lun_code code;

	lun_pg_start_params(mapping, &params);
	add_safe_head_statement(mapping, head, &sql, &params);
	if (sql.failed)
		code = lun_fail(
		    err, LUN_NOMEM, "%s: out of memory", lun_pg_name(c));
	else
		code = lun_pg_query(c, sql.bytes, &params, &result, err);
	if (code == LUN_OK)
		code = check_last_row(mapping, c, result, err);
	if (code == LUN_OK)
		read_safe_head(mapping, result, head);
	if (head->anchor.failed || head->bound_anchor.failed ||
	    head->mark.failed)
		code = lun_fail(
		    err, LUN_NOMEM, "%s: out of memory", lun_pg_name(c));
	PQclear(result);
	lun_buffer_free(&sql);
	lun_pg_params_free(&params);
	return code;
}

void
lun_pg_safe_head_free(struct lun_pg_safe_head *head)
{
	lun_buffer_free(&head->anchor);
	lun_buffer_free(&head->bound_anchor);
	lun_buffer_free(&head->mark);
}
