/* scope.c - which rows of a relation are events. */

#include "postgres/events/scope.h"

#include <stdlib.h>

#include "base/error.h"
#include "postgres/events/mappings.h"
#include "sql/names.h"

#define EVERY_ROW "true"

/* ---- what the URL asks for --------------------------------------------- */

/* The expression is taken over; the value begins at `skip` in the word. */
static enum lun_code
narrow(struct lun_pg_mapping *mapping, const char *key, const char *word,
    size_t skip, struct lun_buffer *expression, struct lun_err *err)
{
	struct lun_pg_narrowing *narrowing =
	    &mapping->narrowed.narrowings[mapping->narrowed.count++];

	narrowing->key = key;
	narrowing->of_streams = strcmp(key, "where") != 0;
	narrowing->word = strdup(word);
	narrowing->expression = lun_buffer_take(expression);
	if (narrowing->word == NULL || narrowing->expression == NULL)
		return lun_fail(err, LUN_NOMEM, "%s=: out of memory", key);
	narrowing->value = narrowing->word + skip;
	return LUN_OK;
}

static enum lun_code
take_category(
    struct lun_pg_mapping *mapping, struct lun_pg *c, struct lun_err *err)
{
	const char *word = lun_pg_url_value(c->url, "category");
	struct lun_buffer category = {0};

	if (word == NULL)
		return LUN_OK;
	if (mapping->layout.category == NULL)
		return lun_fail(err, LUN_CONFIG,
		    "%s: category= is for layout=message-db", lun_pg_name(c));
	mapping->safety = LUN_PG_SERIALISED;
	lun_pg_add_template(mapping, &category, mapping->layout.category);
	return narrow(mapping, "category", word, 0, &category, err);
}

static enum lun_code
take_tenant(
    struct lun_pg_mapping *mapping, struct lun_pg *c, struct lun_err *err)
{
	const char *word = lun_pg_url_value(c->url, "tenant");
	struct lun_buffer tenant = {0};

	if (word == NULL || mapping->layout.named)
		return LUN_OK;
	if (mapping->layout.tenant == NULL)
		return lun_fail(err, LUN_CONFIG,
		    "%s: tenant=%.100s: the events of \"%s\" have no tenant",
		    lun_pg_name(c), word, mapping->table);
	lun_buffer_add_text(&tenant, lun_text_of(mapping->layout.tenant));
	return narrow(mapping, "tenant", word, 0, &tenant, err);
}

/* The type of a column, as CAST takes it; LUN_CONFIG if it is not there. */
static enum lun_code
find_type(const struct lun_pg_mapping *mapping, struct lun_pg *c,
    const char *column, struct lun_buffer *type, struct lun_err *err)
{
	struct lun_buffer relation = {0};
	struct lun_pg_params params = {0};
	PGresult *result = NULL;
	enum lun_code code;

	lun_sql_quote(&relation, mapping->schema);
	lun_buffer_add_byte(&relation, '.');
	lun_sql_quote(&relation, mapping->table);
	lun_pg_add_text(&params, LUN_PG_TEXT, lun_buffer_text(&relation));
	lun_pg_add_text(&params, LUN_PG_TEXT, lun_text_of(column));
	params.failed |= relation.failed;
	code = lun_pg_query(c,
	    "SELECT pg_catalog.format_type(atttypid, atttypmod) "
	    "FROM pg_catalog.pg_attribute "
	    "WHERE attrelid = pg_catalog.to_regclass($1) AND attname = $2 "
	    "AND attnum > 0 AND NOT attisdropped",
	    &params, &result, err);
	if (code == LUN_OK && PQntuples(result) == 0)
		code = lun_fail(err, LUN_CONFIG,
		    "%s: where=: \"%s\" has no column \"%s\"", lun_pg_name(c),
		    mapping->table, column);
	if (code == LUN_OK)
		lun_buffer_add_text(type, lun_pg_bytes(result, 0, 0));
	PQclear(result);
	lun_pg_params_free(&params);
	lun_buffer_free(&relation);
	return code;
}

/* What no row could have would read an empty log in silence. */
static enum lun_code
check_value(struct lun_pg *c, struct lun_text type, const char *value,
    struct lun_err *err)
{
	struct lun_buffer sql = {0};
	struct lun_pg_params params = {0};
	PGresult *result = NULL;
	struct lun_err failure;
	bool good;

	lun_buffer_printf(
	    &sql, "SELECT ($1::text::%.*s)::text = $1", LUN_TEXT_ARG(type));
	lun_buffer_add_byte(&sql, '\0');
	lun_pg_add_text(&params, LUN_PG_TEXT, lun_text_of(value));
	good =
	    !sql.failed &&
	    lun_pg_query(c, sql.bytes, &params, &result, &failure) == LUN_OK &&
	    lun_pg_bool(result, 0, 0);
	PQclear(result);
	lun_pg_params_free(&params);
	lun_buffer_free(&sql);
	if (good)
		return LUN_OK;
	return lun_fail(err, LUN_CONFIG,
	    "%s: where=: \"%.100s\" is not how a value of the type %.*s is "
	    "written: write it as PostgreSQL shows it",
	    lun_pg_name(c), value, LUN_TEXT_ARG(type));
}

/* COLUMN:VALUE */
static enum lun_code
take_where(
    struct lun_pg_mapping *mapping, struct lun_pg *c, struct lun_err *err)
{
	const char *word = lun_pg_url_value(c->url, "where");
	const char *colon = word != NULL ? strchr(word, ':') : NULL;
	struct lun_buffer name = {0}, type = {0}, text = {0};
	enum lun_code code;

	if (word == NULL)
		return LUN_OK;
	if (!mapping->layout.named || colon == NULL)
		return lun_fail(err, LUN_CONFIG,
		    "%s: where=%.100s: write where=COLUMN:VALUE, with "
		    "layout=custom or layout=outbox",
		    lun_pg_name(c), word);
	lun_buffer_add(&name, word, (size_t)(colon - word));
	lun_buffer_add_byte(&name, '\0');
	code = name.failed ? lun_fail(err, LUN_NOMEM, "where=: out of memory")
			   : find_type(mapping, c, name.bytes, &type, err);
	if (code == LUN_OK)
		code = check_value(c, lun_buffer_text(&type), colon + 1, err);
	if (code == LUN_OK) {
		lun_buffer_add_text(&text, LUN_TEXT("e."));
		lun_sql_quote(&text, name.bytes);
		code = narrow(mapping, "where", word,
		    (size_t)(colon + 1 - word), &text, err);
	}
	lun_buffer_free(&name);
	lun_buffer_free(&type);
	return code;
}

enum lun_code
lun_pg_scope_take(
    struct lun_pg_mapping *mapping, struct lun_pg *c, struct lun_err *err)
{
	enum lun_code code = take_category(mapping, c, err);

	if (code == LUN_OK)
		code = take_tenant(mapping, c, err);
	return code == LUN_OK ? take_where(mapping, c, err) : code;
}

void
lun_pg_scope_free(struct lun_pg_scope *scope)
{
	for (size_t i = 0; i < scope->count; i++) {
		free(scope->narrowings[i].expression);
		free(scope->narrowings[i].word);
	}
}

/* ---- as conditions ----------------------------------------------------- */

/*
 * Rows of others are hidden, as archived ones are, where they have to be seen:
 * where numbers without a row are gaps, and where they may count versions.
 */
static bool
is_hiding(const struct lun_pg_mapping *mapping,
    const struct lun_pg_narrowing *narrowing)
{
	return mapping->safety == LUN_PG_GAPS || !narrowing->of_streams;
}

/* The texts have to be the same, whatever the column thinks is equal. */
static void
add_narrowing(
    const struct lun_pg_scope *scope, size_t i, struct lun_buffer *sql)
{
	lun_buffer_printf(sql, " AND (%s)::text = $%zu",
	    scope->narrowings[i].expression, i + 1);
}

void
lun_pg_scope_add_counted(
    const struct lun_pg_mapping *mapping, struct lun_buffer *sql)
{
	const struct lun_pg_scope *scope = &mapping->narrowed;

	for (size_t i = 0; i < scope->count; i++)
		if (scope->narrowings[i].of_streams &&
		    is_hiding(mapping, &scope->narrowings[i]))
			add_narrowing(scope, i, sql);
}

/* A flag that is null is not set: the row is seen. */
static void
add_unless(struct lun_buffer *sql, const char *condition)
{
	if (condition != NULL)
		lun_buffer_printf(sql, " AND (%s) IS NOT TRUE", condition);
}

static void
add_shown(const struct lun_pg_layout *layout, struct lun_buffer *sql)
{
	lun_buffer_add_text(sql, LUN_TEXT(EVERY_ROW));
	for (int i = 0; i < LUN_PG_HIDDEN; i++)
		add_unless(sql, layout->hidden[i]);
	add_unless(sql, layout->placeholder);
}

bool
lun_pg_scope_make(struct lun_pg_mapping *mapping)
{
	const struct lun_pg_layout *layout = &mapping->layout;
	const struct lun_pg_scope *narrowed = &mapping->narrowed;
	struct lun_buffer scope = {0}, shown = {0}, visible = {0};

	lun_buffer_add_text(&scope, layout->scope != NULL
					? lun_text_of(layout->scope)
					: LUN_TEXT("true"));
	/* A row that has no number yet is no event yet. */
	if (layout->transaction_id == NULL)
		lun_buffer_printf(
		    &scope, " AND %s IS NOT NULL", layout->position);
	add_shown(layout, &shown);
	for (size_t i = 0; i < narrowed->count; i++)
		add_narrowing(narrowed, i,
		    is_hiding(mapping, &narrowed->narrowings[i]) ? &shown
								 : &scope);
	lun_buffer_add_text(&visible, lun_buffer_text(&scope));
	lun_buffer_add_text(&visible, LUN_TEXT(" AND "));
	lun_buffer_add_text(&visible, lun_buffer_text(&shown));
	mapping->scope = lun_buffer_take(&scope);
	mapping->hides = shown.length > strlen(EVERY_ROW);
	mapping->shown = lun_buffer_take(&shown);
	mapping->visible = lun_buffer_take(&visible);
	return mapping->scope != NULL && mapping->shown != NULL &&
	       mapping->visible != NULL;
}

void
lun_pg_scope_add_params(
    const struct lun_pg_scope *scope, struct lun_pg_params *params)
{
	for (size_t i = 0; i < scope->count; i++)
		lun_pg_add_text(params, LUN_PG_TEXT,
		    lun_text_of(scope->narrowings[i].value));
}

/* ---- as a name --------------------------------------------------------- */

/* Nobody's dots are to be taken for the one between schema and table. */
static void
add_word(struct lun_buffer *out, const char *word)
{
	if (word[0] == '\0' || strpbrk(word, ".\"?&=") != NULL)
		lun_sql_quote(out, word);
	else
		lun_buffer_add_text(out, lun_text_of(word));
}

void
lun_pg_scope_name(const struct lun_pg_mapping *mapping, struct lun_buffer *out)
{
	const struct lun_pg_scope *scope = &mapping->narrowed;

	add_word(out, mapping->schema);
	lun_buffer_add_byte(out, '.');
	add_word(out, mapping->table);
	for (size_t i = 0; i < scope->count; i++) {
		lun_buffer_printf(
		    out, "%c%s=", i == 0 ? '?' : '&', scope->narrowings[i].key);
		add_word(out, scope->narrowings[i].word);
	}
}
