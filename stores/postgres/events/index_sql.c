/*
 * index_sql.c - the index that leads through a log in its order, for whoever may
 * make it.
 */

#include "postgres/events/events.h"

#include "postgres/events/catalogue.h"
#include "postgres/events/named_columns.h"
#include "sql/names.h"

/* As the catalogue tells the kinds of relations. */
#define VIEW        "v"
#define PARTITIONED "p"

/* ---- names ------------------------------------------------------------- */

static void
add_column(struct lun_buffer *sql, const char *column)
{
	struct lun_buffer name = {0};

	lun_pg_add_column_name(&name, column);
	lun_buffer_add_byte(&name, '\0');
	sql->failed |= name.failed;
	if (!name.failed)
		lun_sql_quote(sql, name.bytes);
	lun_buffer_free(&name);
}

/* In brackets; what is the same in every row stands first. */
static void
add_columns(struct lun_buffer *sql, const struct lun_pg_layout *layout)
{
	const char *first = layout->transaction_id != NULL
				? layout->transaction_id
				: layout->scope_column;

	lun_buffer_add_byte(sql, '(');
	if (first != NULL) {
		add_column(sql, first);
		lun_buffer_add_text(sql, LUN_TEXT(", "));
	}
	add_column(sql, layout->position);
	lun_buffer_add_byte(sql, ')');
}

static void
add_relation(struct lun_buffer *sql, const struct lun_pg_mapping *mapping)
{
	lun_sql_quote(sql, mapping->schema);
	lun_buffer_add_byte(sql, '.');
	lun_sql_quote(sql, mapping->table);
}

/* In a comment, which a line in a name would end. */
static void
add_to_comment(struct lun_buffer *sql, const struct lun_buffer *words)
{
	for (size_t i = 0; i < words->length; i++)
		lun_buffer_add_byte(
		    sql, words->bytes[i] == '\n' || words->bytes[i] == '\r'
			     ? ' '
			     : words->bytes[i]);
	sql->failed |= words->failed;
}

/* "-- ", words, the relation, more words. */
static void
comment_on(struct lun_buffer *sql, const char *before,
    const struct lun_pg_mapping *mapping, const char *after)
{
	struct lun_buffer relation = {0};

	add_relation(&relation, mapping);
	lun_buffer_printf(sql, "-- %s", before);
	add_to_comment(sql, &relation);
	lun_buffer_printf(sql, "%s\n", after);
	lun_buffer_free(&relation);
}

/* ---- statements -------------------------------------------------------- */

static void
say_it_is_a_view(struct lun_buffer *sql, const struct lun_pg_mapping *mapping)
{
	struct lun_buffer names = {0};

	comment_on(sql, "", mapping, " is a view, which has no index: the");
	lun_buffer_add_text(
	    sql, LUN_TEXT("-- tables behind it need one, on what becomes "));
	add_columns(&names, &mapping->layout);
	add_to_comment(sql, &names);
	lun_buffer_add_text(sql, LUN_TEXT(".\n"));
	lun_buffer_free(&names);
}

static void
add_index(struct lun_buffer *sql, const struct lun_pg_mapping *mapping,
    struct lun_text part)
{
	lun_buffer_printf(
	    sql, "CREATE INDEX CONCURRENTLY ON %.*s ", LUN_TEXT_ARG(part));
	add_columns(sql, &mapping->layout);
	lun_buffer_add_text(sql, LUN_TEXT(";\n"));
}

/* It takes over what its parts have. */
static void
add_index_of_parts(struct lun_buffer *sql, const struct lun_pg_mapping *mapping)
{
	lun_buffer_add_text(sql,
	    LUN_TEXT("-- Takes those over, which keeps writers out for a "
		     "moment, and gives one to\n-- each partition to come.\n"
		     "CREATE INDEX ON "));
	add_relation(sql, mapping);
	lun_buffer_add_byte(sql, ' ');
	add_columns(sql, &mapping->layout);
	lun_buffer_add_text(sql, LUN_TEXT(";\n"));
}

static void
add_statements(struct lun_buffer *sql, const struct lun_pg_mapping *mapping,
    const PGresult *parts)
{
	struct lun_text kind = lun_pg_bytes(parts, 0, 0);

	if (lun_text_equal(kind, LUN_TEXT(VIEW))) {
		say_it_is_a_view(sql, mapping);
		return;
	}
	if (lun_pg_is_null(parts, 0, 1)) {
		comment_on(sql, "No index is missing: one leads through ",
		    mapping, " in its order.");
		return;
	}
	comment_on(
	    sql, "No index leads through ", mapping, " in its order: the");
	lun_buffer_add_text(sql,
	    LUN_TEXT("-- server sorts it to read it, and each look for news "
		     "reads all of it. Writers\n-- may go on meanwhile; it "
		     "cannot be run inside of a transaction.\n"));
	for (int i = 0; i < PQntuples(parts); i++)
		add_index(sql, mapping, lun_pg_bytes(parts, i, 1));
	if (lun_text_equal(kind, LUN_TEXT(PARTITIONED)))
		add_index_of_parts(sql, mapping);
}

enum lun_code
lun_pg_events_index_sql(
    struct lun_event_store *store, struct lun_buffer *sql, struct lun_err *err)
{
	struct lun_pg_events *s = lun_pg_events_of(store);
	const struct lun_pg_mapping *mapping = s->source->mapping;
	PGresult *parts = NULL;
	enum lun_code code;

	lun_pg_pass_close(s);
	lun_buffer_clear(&s->sql);
	lun_pg_params_clear(&s->params);
	lun_pg_catalogue_add_unindexed(mapping, &s->sql, &s->params);
	code = lun_pg_events_run(s, &parts, err);
	if (code == LUN_OK)
		add_statements(sql, mapping, parts);
	PQclear(parts);
	if (code == LUN_OK && sql->failed)
		code = lun_pg_events_no_memory(s, err);
	return code;
}

/* ---- the layouts ------------------------------------------------------- */

static void
add_layout(struct lun_buffer *json, const struct lun_pg_layout *layout)
{
	lun_buffer_printf(json,
	    "{\"layout\":\"%s\",\"store\":\"postgres\","
	    "\"table\":\"%s\",\"order\":\"",
	    layout->name, layout->table != NULL ? layout->table : "table=");
	if (layout->transaction_id != NULL) {
		lun_pg_add_column_name(json, layout->transaction_id);
		lun_buffer_add_text(json, LUN_TEXT(", "));
	}
	if (layout->position != NULL)
		lun_pg_add_column_name(json, layout->position);
	else
		lun_buffer_add_text(json, LUN_TEXT("position="));
	lun_buffer_add_text(json, LUN_TEXT("\"},"));
}

void
lun_pg_events_layouts(struct lun_buffer *json)
{
	static const struct lun_pg_layout custom = {.name = "custom"};

	for (const struct lun_pg_layout *l = lun_pg_layouts; l->name != NULL;
	     l++)
		add_layout(json, l);
	add_layout(json, &custom);
}
