/*
 * catalogue.c - what the database says of the table that events are read from.
 *
 * One statement asks for everything: each rule is an expression that gives the
 * name of what is in the way, or null. ALTER SEQUENCE throws away what sessions
 * keep in stock, and waits for the transactions that drew from it, so what was
 * true of a sequence once matters no more than what was never so.
 */

#include "postgres/events/catalogue.h"

#include <stdlib.h>

#include "base/error.h"
#include "postgres/events/named_columns.h"
#include "sql/names.h"

/* For numbers that sessions keep in stock. */
#define STOCK_GRACE_US  INT64_C(10000000)
#define STOCK_WINDOW_US INT64_C(86400000000)

#define T (1U << LUN_PG_TRANSACTIONS)
#define S (1U << LUN_PG_SERIALISED)
#define G (1U << LUN_PG_GAPS)
#define W (1U << LUN_PG_WINDOW)

/* Whose rule it is, beside the ways to find the safe head. */
enum scope {
	EVERY_LAYOUT,
	NAMED_COLUMNS,
	WHOLE_NUMBERS, /* positions that are one integer */
	NUMERICS,
	MOMENTS,
	UUIDS,
	INT8_TRANSACTIONS,
};

enum consequence {
	REFUSE,
	USE_GRACE, /* read with a grace time */
	REMARK,
};

/*
 * %1 to %4 are parameters: the relation, its columns for position and what
 * decides beside it (transaction id, a moment's key; else the same one), a
 * pattern for rival sequences, %B the column that the layout's scope fixes. %P, %T and %I are the layout's position, transaction id and id, %F
 * the relation with its joins, %C the condition that a row is an event, %L the
 * lowest position that can be read. For words: %p and %t are the columns of the
 * position and the transaction id.
 */
struct rule {
	unsigned safeties;
	enum scope scope;
	enum consequence consequence;
	const char *culprit; /* SQL: its name, or null if there is none */
	const char *before;  /* the words around the name */
	const char *after;
};

/*
 * top is the relation; below its parts, and of a view what stands behind it.
 * numbers are the sequences that the positions may come from.
 */
static const char relations[] =
    "WITH RECURSIVE top AS (SELECT c.oid, c.relkind, c.relname "
    "FROM pg_catalog.pg_class c WHERE c.oid = %1::text::regclass), "
    "below (oid) AS (SELECT oid FROM top UNION SELECT x.oid FROM below b "
    "CROSS JOIN LATERAL (SELECT i.inhrelid FROM pg_catalog.pg_inherits i "
    "WHERE i.inhparent = b.oid UNION ALL SELECT d.refobjid "
    "FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_depend d "
    "ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = r.oid "
    "AND d.refclassid = 'pg_catalog.pg_class'::regclass "
    "WHERE r.ev_class = b.oid AND r.ev_type = '1') x (oid)), "
    "leaves AS (SELECT c.oid FROM below b JOIN pg_catalog.pg_class c "
    "ON c.oid = b.oid AND c.relkind = 'r'), "
    "places AS (SELECT a.attrelid AS oid, a.attnum, d.oid AS origin, "
    "pg_catalog.pg_get_expr(d.adbin, d.adrelid) AS text "
    "FROM below b JOIN pg_catalog.pg_attribute a ON a.attrelid = b.oid "
    "LEFT JOIN pg_catalog.pg_attrdef d "
    "ON d.adrelid = a.attrelid AND d.adnum = a.attnum "
    "WHERE a.attnum > 0 AND NOT a.attisdropped AND (a.attname = %2 "
    "OR (SELECT relkind FROM top) = 'v')), "
    "numbers AS (SELECT s.*, s.seqrelid::regclass::text AS name FROM ("
    "SELECT d.refobjid FROM places p JOIN pg_catalog.pg_depend d "
    "ON d.classid = 'pg_catalog.pg_attrdef'::regclass AND d.objid = p.origin "
    "UNION SELECT d.objid FROM places p JOIN pg_catalog.pg_depend d "
    "ON d.classid = 'pg_catalog.pg_class'::regclass "
    "AND d.refclassid = 'pg_catalog.pg_class'::regclass "
    "AND d.refobjid = p.oid AND d.refobjsubid = p.attnum "
    "AND (d.deptype = 'i' OR p.origin IS NULL) "
    "UNION SELECT pg_catalog.to_regclass(pg_catalog.substring(p.text, "
    "'nextval\\(+''([^'']+)''::text'))::oid FROM places p) x (oid) "
    "JOIN pg_catalog.pg_sequence s ON s.seqrelid = x.oid) ";

#define SEQUENCES_WITH(condition)                                              \
	"(SELECT pg_catalog.string_agg(name, ', ') FROM numbers "              \
	"WHERE " condition ")"

/* A name inside of a regular expression. */
#define ESCAPED(name)                                                          \
	"pg_catalog.regexp_replace(" name ", '([^[:alnum:]_])', '\\\\\\1', "   \
	"'g')"

/*
 * A trigger that may give a row another number, or another transaction id,
 * when it is inserted. Those that come with the server do not. An assignment
 * is where a statement begins; elsewhere the same signs compare.
 */
#define TRIGGER                                                                \
	"(SELECT pg_catalog.min(g.tgname::text) FROM below b "                 \
	"JOIN pg_catalog.pg_trigger g ON g.tgrelid = b.oid "                   \
	"JOIN pg_catalog.pg_proc f ON f.oid = g.tgfoid "                       \
	"JOIN pg_catalog.pg_language l ON l.oid = f.prolang "                  \
	"WHERE NOT g.tgisinternal AND g.tgenabled IN ('O', 'A') "              \
	"AND g.tgtype & 7 = 7 AND l.lanname <> 'internal' "                    \
	"AND (l.lanname <> 'plpgsql' OR f.prosrc ~* 'nextval' "                \
	"OR f.prosrc ~* ('(^|;|\\n|>>|\\*/|\\m(begin|then|else|loop))\\s*"     \
	"new\\s*\\.\\s*\"?(' || " ESCAPED("%2") " || '|' || " ESCAPED(         \
	    "%3") " || ')\"?\\s*:?=') "                                        \
		  "OR f.prosrc ~* "                                            \
		  "'into\\s+(strict\\s+)?new\\M' "                             \
		  "OR f.prosrc ~* "                                            \
		  "'\\mnew\\s*:?=\\s*'))"

/* Of a column that may be null a row in which it is. */
#define NULLS_OF(parameter, column)                                            \
	"(SELECT CASE WHEN EXISTS (SELECT FROM top JOIN "                      \
	"pg_catalog.pg_attribute a ON a.attrelid = top.oid "                   \
	"WHERE a.attname = " parameter " AND NOT a.attnotnull) "               \
	"THEN (SELECT coalesce((%I)::text, 'null') FROM %F "                   \
	"WHERE " column " IS NULL LIMIT 1) END)"

/* The parts of the table without an index that begins with these columns. */
#define WITHOUT_INDEX(columns)                                                 \
	"FROM leaves l WHERE (SELECT relkind FROM top) <> 'v' AND NOT EXISTS " \
	"(SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = l.oid "         \
	"AND i.indisvalid AND i.indpred IS NULL AND " columns ")"
#define COLUMN_AT(place)                                                       \
	"(SELECT a.attname FROM pg_catalog.pg_attribute a "                    \
	"WHERE a.attrelid = l.oid AND a.attnum = i.indkey[" place "])"
#define PAIRS COLUMN_AT("0") " = %3 AND " COLUMN_AT("1") " = %2"
#define POSITIONS                                                              \
	"(" COLUMN_AT("0") " = %2 OR " COLUMN_AT("0") " = %B "                 \
						      "AND " COLUMN_AT(        \
							  "1") " = %2)"
#define NO_INDEX(columns)                                                      \
	"(SELECT pg_catalog.min(l.oid::regclass::text) " WITHOUT_INDEX(        \
	    columns) ")"

static const struct rule rules[] = {
    {T | S | G | W, EVERY_LAYOUT, REFUSE,
	"(SELECT pg_catalog.min(CASE WHEN c.relkind = 'm' "
	"THEN 'a materialized view' WHEN c.oid = top.oid "
	"THEN 'a foreign table' ELSE 'made of a foreign table, ' || "
	"c.oid::regclass::text END) FROM top, below b JOIN pg_catalog.pg_class "
	"c ON c.oid = b.oid WHERE c.relkind IN ('f', 'm') "
	"AND top.relkind <> 'v')",
	"is ",
	", so what its order rests on cannot be seen: name the table that is "
	"written to, in its own database"},
    {G | W, EVERY_LAYOUT, REFUSE,
	"(SELECT 'table' FROM top WHERE relkind NOT IN ('r', 'p'))", "is no ",
	", so those who write to it cannot be seen: name the table itself"},
    {T | G | W, EVERY_LAYOUT, REFUSE,
	"(SELECT 'subscription' WHERE EXISTS (SELECT FROM "
	"pg_catalog.pg_subscription_rel r JOIN below b ON b.oid = r.srrelid))",
	"is filled by a ",
	", which does not bring what tells how far it is safe to read: read "
	"it where it is written"},
    {T | S | G | W, EVERY_LAYOUT, REFUSE,
	"(SELECT pg_catalog.min(c.relname::text) FROM top "
	"JOIN pg_catalog.pg_inherits i ON i.inhparent = top.oid "
	"JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid "
	"WHERE NOT c.relispartition)",
	"has a child by inheritance, ",
	", with numbers and writers of its own: name a table that nothing "
	"inherits from, or make it a partition"},
    {T | S | G | W, EVERY_LAYOUT, REFUSE,
	"(SELECT pg_catalog.current_user()::text FROM top "
	"WHERE relkind IN ('r', 'p') "
	"AND pg_catalog.row_security_active(top.oid))",
	"has row security, which would hide events from the role \"",
	"\": read as its owner, or as a role with BYPASSRLS"},
    {G, EVERY_LAYOUT, REFUSE,
	"(SELECT pg_catalog.min(s.relname::text) FROM pg_catalog.pg_class s "
	"JOIN pg_catalog.pg_class t ON t.relnamespace = s.relnamespace "
	"JOIN top ON top.oid = t.oid "
	"WHERE s.relkind = 'S' AND s.relname LIKE %4)",
	"takes its numbers from a sequence for each tenant, such as ",
	", so the events have no common order: they cannot be read as one "
	"log"},
    {T | S | G, EVERY_LAYOUT, REFUSE,
	"(SELECT pg_catalog.string_agg(name, ', ') FROM numbers "
	"WHERE (SELECT relkind FROM top) <> 'v' "
	"HAVING pg_catalog.count(*) > 1)",
	"takes its positions from several sequences (",
	"), so they have no common order: let every part use the same one"},
    {T | S | G, EVERY_LAYOUT, REFUSE, SEQUENCES_WITH("seqincrement < 0"),
	"takes its positions from a sequence that counts down, ",
	": later events stand before earlier ones, and cannot be read in "
	"order"},
    {T | S | G, EVERY_LAYOUT, REFUSE, SEQUENCES_WITH("seqcycle"),
	"takes its positions from a sequence that begins anew at its end, ",
	": ALTER SEQUENCE ... NO CYCLE"},
    {S, EVERY_LAYOUT, REFUSE, SEQUENCES_WITH("seqcache > 1"),
	"takes its positions from a sequence that gives each session a stock "
	"of numbers, ",
	", so lower ones are committed after higher ones: ALTER SEQUENCE ... "
	"CACHE 1, or read it with a grace time (message-db without category=, "
	"custom and outbox with safe_head=gaps)"},
    {G, EVERY_LAYOUT, USE_GRACE, SEQUENCES_WITH("seqcache > 1"),
	"takes its positions from a sequence that gives each session a stock "
	"of numbers, ",
	", which grace_ms=0 denies: ALTER SEQUENCE ... CACHE 1, or leave "
	"grace_ms out of the URL"},
    {S | G, WHOLE_NUMBERS, REFUSE,
	"(SELECT pg_catalog.string_agg(name, ', ') FROM numbers "
	"WHERE (SELECT relkind FROM top) <> 'v' "
	"AND NOT EXISTS (SELECT FROM pg_catalog.pg_subscription_rel r "
	"JOIN below b ON b.oid = r.srrelid) "
	"AND CASE WHEN pg_catalog.has_sequence_privilege("
	"seqrelid, 'USAGE, SELECT') "
	"THEN pg_catalog.pg_sequence_last_value(seqrelid) END "
	"< (SELECT %P FROM %F WHERE %C ORDER BY %P DESC LIMIT 1))",
	"has events that stand after the last number of its sequence, ",
	", so new ones come before them, where nobody looks any more: set it "
	"to the last event with setval(), and rebuild what was read since it "
	"was set back"},
    {T | S, EVERY_LAYOUT, REFUSE, TRIGGER, "has a trigger \"",
	"\" that may give a row another position than its writer drew: have "
	"it leave those columns alone"},
    {G, EVERY_LAYOUT, USE_GRACE, TRIGGER, "has a trigger \"",
	"\" that may take positions from a stock, which grace_ms=0 denies: "
	"leave grace_ms out of the URL"},
    {T, EVERY_LAYOUT, REFUSE,
	/* Elsewhere pg_get_expr() would wait for the locks of any table. */
	"(SELECT pg_catalog.min(x.text) FROM ("
	"SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid) AS text "
	"FROM leaves l JOIN pg_catalog.pg_attribute a ON a.attrelid = l.oid "
	"AND a.attname = %3 AND NOT a.attisdropped "
	"JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid "
	"AND d.adnum = a.attnum OFFSET 0) x "
	"WHERE (SELECT relkind FROM top) <> 'v' "
	"AND x.text !~ 'pg_current_xact_id|txid_current')",
	"has ",
	" as the default of its transaction id, which is no id of a "
	"transaction: it has to be pg_current_xact_id()"},
    {T, EVERY_LAYOUT, REFUSE, NULLS_OF("%3", "%T"),
	"has an event whose transaction id is null, and which has no place "
	"in the order: ",
	"; correct the row, and make the column NOT NULL"},
    {T, INT8_TRANSACTIONS, REFUSE,
	"(SELECT coalesce((%I)::text, 'null') FROM %F WHERE %T < 0 LIMIT 1)",
	"has an event whose transaction id is negative: ", "; correct the row"},
    {S | G, WHOLE_NUMBERS, REFUSE,
	"(SELECT (%P)::text FROM %F WHERE %C AND %P < %L LIMIT 1)",
	"has an event before the first position that can be read, at ",
	": positions begin at %L; correct the row"},
    {T | S | G, NUMERICS, REFUSE,
	"(SELECT (%P)::text FROM %F WHERE %C AND %P > 9223372036854775807 "
	"LIMIT 1)",
	"has an event behind the last position that can be read, at ",
	": positions end at 9223372036854775807; correct the row"},
    {S | W, MOMENTS, REFUSE,
	"coalesce((SELECT (%I)::text FROM %F WHERE %C "
	"AND %P < '0001-01-01 00:00:00Z' LIMIT 1), "
	"(SELECT (%I)::text FROM %F WHERE %C "
	"AND %P > '9999-12-31 23:59:59.999999Z' LIMIT 1))",
	"has an event at no time in the years 1 to 9999: ",
	"; correct the row"},
    {W, UUIDS, REFUSE,
	"(SELECT x.id FROM (SELECT (%P)::text AS id FROM %F WHERE %C "
	"ORDER BY %P LIMIT 1) x WHERE pg_catalog.substr(x.id, 15, 1) <> '7')",
	"has an event whose id is no UUID of version 7, so there is no order "
	"to "
	"read in: ",
	"; correct the row"},
    {T | S | G | W, NAMED_COLUMNS, REFUSE,
	"(SELECT %2 FROM top WHERE relkind IN ('r', 'p') "
	"AND (SELECT pg_catalog.count(*) FROM numbers) <> 1 "
	"AND NOT EXISTS (SELECT FROM pg_catalog.pg_index i "
	"WHERE i.indrelid = top.oid AND i.indisunique AND i.indisvalid "
	"AND i.indpred IS NULL AND i.indexprs IS NULL "
	"AND (SELECT pg_catalog.bool_and(a.attname IN (%2, %3)) "
	"FROM pg_catalog.unnest((i.indkey::int2[])[0:i.indnkeyatts - 1]) k "
	"JOIN pg_catalog.pg_attribute a "
	"ON a.attrelid = top.oid AND a.attnum = k)))",
	"has no unique index on its position \"",
	"\", nor one sequence that gives it: of two events at one place one "
	"would be passed over; CREATE UNIQUE INDEX CONCURRENTLY (on the id, "
	"where the position is a time), or name another column with "
	"position="},
    {T, EVERY_LAYOUT, REMARK, NO_INDEX(PAIRS),
	"has no index to read it in order (missing on ",
	"): each look for news reads all of it, so it is looked at less "
	"often; CREATE INDEX ON it (%t, %p), as lunette layouts --sql prints"},
    {S | G | W, EVERY_LAYOUT, REMARK, NO_INDEX(POSITIONS),
	"has no index to read it in order (missing on ",
	"): each look for news reads all of it, so it is looked at less "
	"often; CREATE INDEX ON it (%p), as lunette layouts --sql prints"},
};

#define RULES      (sizeof rules / sizeof rules[0])
#define FIRST_RULE 3 /* its column, after those of the statement */

static bool
applies(const struct rule *rule, const struct lun_pg_mapping *mapping)
{
	if ((rule->safeties & 1U << mapping->safety) == 0)
		return false;
	switch (rule->scope) {
	case NAMED_COLUMNS:
		return mapping->layout.named;
	case WHOLE_NUMBERS:
		return mapping->key == LUN_PG_NUMBER;
	case NUMERICS:
		return mapping->types[LUN_PG_C_POSITION] == LUN_PG_NUMERIC;
	case MOMENTS:
		return mapping->key == LUN_PG_MOMENT;
	case UUIDS:
		return mapping->key == LUN_PG_UUID_KEY;
	case INT8_TRANSACTIONS:
		return mapping->types[LUN_PG_C_TRANSACTION] == LUN_PG_INT8;
	default:
		return true;
	}
}

/* ---- the statement ----------------------------------------------------- */

static void
add_quoted_column(const char *expression, struct lun_buffer *sql)
{
	struct lun_buffer name = {0};

	lun_pg_add_column_name(&name, expression);
	lun_buffer_add_byte(&name, '\0');
	if (!name.failed)
		lun_sql_quote(sql, name.bytes);
	lun_buffer_free(&name);
}

static void
add_letter(const struct lun_pg_mapping *mapping, char letter, size_t before,
    struct lun_buffer *sql)
{
	const struct lun_pg_layout *layout = &mapping->layout;

	switch (letter) {
	case 'P':
		lun_buffer_printf(sql, "%s", layout->position);
		break;
	case 'T':
		lun_buffer_printf(sql, "%s", layout->transaction_id);
		break;
	case 'I':
		lun_buffer_printf(sql, "%s", layout->id);
		break;
	case 'F':
		lun_buffer_printf(sql, "%s", mapping->from);
		break;
	case 'C':
		lun_buffer_printf(sql, "%s", mapping->scope);
		break;
	case 'p':
		add_quoted_column(layout->position, sql);
		break;
	case 't':
		add_quoted_column(layout->transaction_id, sql);
		break;
	case 'B':
		if (layout->scope_column == NULL)
			lun_buffer_add_text(sql, LUN_TEXT("NULL"));
		else
			lun_buffer_printf(
			    sql, "'%s'", strchr(layout->scope_column, '.') + 1);
		break;
	case 'L':
		lun_buffer_printf(sql, "%d", layout->starts_at_zero ? 0 : 1);
		break;
	default:
		lun_buffer_printf(sql, "$%zu", before + (size_t)(letter - '0'));
		break;
	}
}

static void
add_pattern(const struct lun_pg_mapping *mapping, const char *pattern,
    size_t before, struct lun_buffer *sql)
{
	for (const char *p = pattern; *p != '\0'; p++)
		if (*p == '%')
			add_letter(mapping, *++p, before, sql);
		else
			lun_buffer_add_byte(sql, *p);
}

/* A column for each rule, null for those of other layouts. */
static void
add_statement(
    const struct lun_pg_mapping *mapping, size_t before, struct lun_buffer *sql)
{
	/* So that each parameter has a type, whichever of them are used. */
	add_pattern(mapping, relations, before, sql);
	add_pattern(mapping,
	    "SELECT (SELECT pg_catalog.array_agg(seqrelid)::text FROM "
	    "numbers), "
	    "%3::text, %4::text",
	    before, sql);
	for (size_t i = 0; i < RULES; i++) {
		lun_buffer_add_text(sql, LUN_TEXT(", "));
		add_pattern(mapping,
		    applies(&rules[i], mapping) ? rules[i].culprit : "NULL",
		    before, sql);
	}
	lun_buffer_add_byte(sql, '\0');
}

static void
add_relation(const struct lun_pg_mapping *mapping, struct lun_buffer *relation)
{
	lun_sql_quote(relation, mapping->schema);
	lun_buffer_add_byte(relation, '.');
	lun_sql_quote(relation, mapping->table);
}

/* What decides the order beside the position, or the position. */
static const char *
second_column(const struct lun_pg_mapping *mapping)
{
	switch (mapping->key) {
	case LUN_PG_PAIR:
		return mapping->layout.transaction_id;
	case LUN_PG_MOMENT:
		return mapping->layout.id;
	default:
		return mapping->layout.position;
	}
}

static void
add_params(const struct lun_pg_mapping *mapping, struct lun_pg_params *params)
{
	const struct lun_pg_layout *layout = &mapping->layout;
	struct lun_buffer text = {0};

	add_relation(mapping, &text);
	lun_pg_add_copy(params, LUN_PG_TEXT, lun_buffer_text(&text));
	lun_buffer_clear(&text);
	lun_pg_add_column_name(&text, layout->position);
	lun_pg_add_copy(params, LUN_PG_TEXT, lun_buffer_text(&text));
	lun_buffer_clear(&text);
	lun_pg_add_column_name(&text, second_column(mapping));
	lun_pg_add_copy(params, LUN_PG_TEXT, lun_buffer_text(&text));
	lun_pg_add_text(params, LUN_PG_TEXT, lun_text_of(layout->rivals));
	params->failed |= text.failed;
	lun_buffer_free(&text);
}

void
lun_pg_catalogue_add_unindexed(const struct lun_pg_mapping *mapping,
    struct lun_buffer *sql, struct lun_pg_params *params)
{
	size_t before = params->count;

	add_pattern(mapping, relations, before, sql);
	add_pattern(mapping,
	    "SELECT (SELECT relkind::text FROM top), "
	    "pg_catalog.quote_ident(s.nspname) || '.' || "
	    "pg_catalog.quote_ident(c.relname), %4::text FROM top LEFT JOIN ("
	    "SELECT l.oid ",
	    before, sql);
	add_pattern(mapping,
	    mapping->safety == LUN_PG_TRANSACTIONS ? WITHOUT_INDEX(PAIRS)
						   : WITHOUT_INDEX(POSITIONS),
	    before, sql);
	add_pattern(mapping,
	    " AND %3::text IS NOT NULL) u ON true "
	    "LEFT JOIN pg_catalog.pg_class c ON c.oid = u.oid "
	    "LEFT JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace "
	    "ORDER BY c.relname",
	    before, sql);
	add_params(mapping, params);
}

/* ---- what follows from it ---------------------------------------------- */

static enum lun_code
refuse(struct lun_pg *c, const struct lun_pg_mapping *mapping,
    const struct rule *rule, struct lun_text culprit, struct lun_err *err)
{
	struct lun_buffer after = {0};

	add_pattern(mapping, rule->after, 0, &after);
	(void)lun_fail(err, LUN_CONFIG, "%s: \"%s\" %s%.*s%.*s", lun_pg_name(c),
	    mapping->table, rule->before, LUN_TEXT_ARG(culprit),
	    LUN_TEXT_ARG(lun_buffer_text(&after)));
	lun_buffer_free(&after);
	return LUN_CONFIG;
}

static enum lun_code
use_grace(struct lun_pg *c, struct lun_pg_mapping *mapping,
    const struct rule *rule, struct lun_text culprit, struct lun_err *err)
{
	if (mapping->grace_us > 0)
		return LUN_OK;
	if (lun_pg_url_value(c->url, "grace_ms") != NULL)
		return refuse(c, mapping, rule, culprit, err);
	if (mapping->window_us < STOCK_WINDOW_US &&
	    lun_pg_url_value(c->url, "window_ms") == NULL)
		mapping->window_us = STOCK_WINDOW_US;
	mapping->grace_us = STOCK_GRACE_US;
	return LUN_OK;
}

static void
remark_on(const struct lun_pg_mapping *mapping, const struct rule *rule,
    struct lun_text culprit, struct lun_buffer *remark)
{
	lun_buffer_printf(remark, "\"%s\" %s%.*s", mapping->table, rule->before,
	    LUN_TEXT_ARG(culprit));
	add_pattern(mapping, rule->after, 0, remark);
}

static enum lun_code
judge(struct lun_pg *c, struct lun_pg_mapping *mapping, const PGresult *row,
    struct lun_buffer *remark, struct lun_err *err)
{
	enum lun_code code = LUN_OK;

	for (size_t i = 0; i < RULES && code == LUN_OK; i++) {
		int column = (int)i + FIRST_RULE;
		struct lun_text culprit = lun_pg_bytes(row, 0, column);

		if (lun_pg_is_null(row, 0, column))
			continue;
		if (rules[i].consequence == REFUSE)
			code = refuse(c, mapping, &rules[i], culprit, err);
		else if (rules[i].consequence == USE_GRACE)
			code = use_grace(c, mapping, &rules[i], culprit, err);
		else if (remark != NULL)
			remark_on(mapping, &rules[i], culprit, remark);
	}
	return code;
}

enum lun_code
lun_pg_catalogue_check(struct lun_pg *c, struct lun_pg_mapping *mapping,
    struct lun_buffer *numbers, struct lun_buffer *remark, struct lun_err *err)
{
	struct lun_buffer sql = {0};
	struct lun_pg_params params = {0};
	PGresult *result = NULL;
	enum lun_code code;

	lun_pg_start_params(mapping, &params);
	add_statement(mapping, params.count, &sql);
	add_params(mapping, &params);
	if (sql.failed)
		code = lun_fail(
		    err, LUN_NOMEM, "%s: out of memory", lun_pg_name(c));
	else
		code = lun_pg_query(c, sql.bytes, &params, &result, err);
	if (code == LUN_OK && numbers != NULL) {
		lun_buffer_clear(numbers);
		lun_buffer_add_text(numbers, lun_pg_bytes(result, 0, 0));
	}
	if (code == LUN_OK)
		code = judge(c, mapping, result, remark, err);
	PQclear(result);
	lun_pg_params_free(&params);
	lun_buffer_free(&sql);
	return code;
}

/* ---- the mark ---------------------------------------------------------- */

void
lun_pg_catalogue_add_mark(const struct lun_pg_mapping *mapping,
    struct lun_text numbers, struct lun_buffer *sql,
    struct lun_pg_params *params)
{
	struct lun_buffer relation = {0};

	add_relation(mapping, &relation);
	lun_buffer_printf(sql,
	    "(SELECT pg_catalog.concat_ws(' ', t.oid, t.relkind, "
	    "t.relrowsecurity, t.relforcerowsecurity, t.relhastriggers, "
	    "(SELECT pg_catalog.string_agg(d.oid::text, ',' ORDER BY d.oid) "
	    "FROM pg_catalog.pg_attrdef d WHERE d.adrelid = t.oid), "
	    "(SELECT pg_catalog.string_agg(s::text, ',' ORDER BY s.seqrelid) "
	    "FROM pg_catalog.pg_sequence s "
	    "WHERE s.seqrelid = ANY ($%zu::text::oid[]))) "
	    "FROM pg_catalog.pg_class t "
	    "WHERE t.oid = pg_catalog.to_regclass($%zu))",
	    params->count + 1, params->count + 2);
	lun_pg_add_copy(
	    params, LUN_PG_TEXT, numbers.length > 0 ? numbers : LUN_TEXT("{}"));
	lun_pg_add_copy(params, LUN_PG_TEXT, lun_buffer_text(&relation));
	params->failed |= relation.failed;
	lun_buffer_free(&relation);
}

void
lun_pg_catalogue_add_set_back(const struct lun_pg_mapping *mapping,
    struct lun_text numbers, struct lun_position after, struct lun_buffer *sql,
    struct lun_pg_params *params)
{
	if (!mapping->layout.is_outbox || mapping->key != LUN_PG_NUMBER) {
		lun_buffer_add_text(sql, LUN_TEXT("false"));
		return;
	}
	lun_buffer_printf(sql,
	    "(SELECT coalesce(pg_catalog.bool_or(CASE WHEN "
	    "pg_catalog.has_sequence_privilege(q, 'USAGE, SELECT') THEN "
	    "pg_catalog.pg_sequence_last_value(q) END < $%zu), false) "
	    "FROM pg_catalog.unnest($%zu::text::oid[]) q)",
	    params->count + 1, params->count + 2);
	lun_pg_add_position_number(mapping, params, after);
	lun_pg_add_copy(
	    params, LUN_PG_TEXT, numbers.length > 0 ? numbers : LUN_TEXT("{}"));
}
