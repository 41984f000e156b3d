/* scope.c - which rows of a relation are events. */

#include "postgres/events/scope.h"

#include <stdlib.h>

#include "base/error.h"
#include "postgres/events/mappings.h"
#include "sql/names.h"

/* ---- what the URL asks for --------------------------------------------- */

/* The expression is a template of the layout's. */
static enum lun_code
narrow(struct lun_pg_mapping *mapping, struct lun_pg *c, const char *key,
    const char *expression, const char *value, struct lun_err *err)
{
	struct lun_pg_narrowing *narrowing =
	    &mapping->narrowed.narrowings[mapping->narrowed.count++];
	struct lun_buffer text = {0};

	lun_pg_add_template(mapping, &text, expression);
	narrowing->key = key;
	narrowing->expression = lun_buffer_take(&text);
	narrowing->value = strdup(value);
	if (narrowing->expression == NULL || narrowing->value == NULL)
		return lun_fail(
		    err, LUN_NOMEM, "%s: out of memory", lun_pg_name(c));
	return LUN_OK;
}

static enum lun_code
take_category(
    struct lun_pg_mapping *mapping, struct lun_pg *c, struct lun_err *err)
{
	const char *word = lun_pg_url_value(c->url, "category");

	if (word == NULL)
		return LUN_OK;
	if (mapping->layout.category == NULL)
		return lun_fail(err, LUN_CONFIG,
		    "%s: category= is for layout=message-db", lun_pg_name(c));
	mapping->safety = LUN_PG_SERIALISED;
	return narrow(
	    mapping, c, "category", mapping->layout.category, word, err);
}

static enum lun_code
take_tenant(
    struct lun_pg_mapping *mapping, struct lun_pg *c, struct lun_err *err)
{
	const char *word = lun_pg_url_value(c->url, "tenant");

	if (word == NULL)
		return LUN_OK;
	if (mapping->layout.tenant == NULL)
		return lun_fail(err, LUN_CONFIG,
		    "%s: tenant=%.100s: the events of \"%s\" have no tenant",
		    lun_pg_name(c), word, mapping->table);
	return narrow(mapping, c, "tenant", mapping->layout.tenant, word, err);
}

enum lun_code
lun_pg_scope_take(
    struct lun_pg_mapping *mapping, struct lun_pg *c, struct lun_err *err)
{
	enum lun_code code = take_category(mapping, c, err);

	return code == LUN_OK ? take_tenant(mapping, c, err) : code;
}

void
lun_pg_scope_free(struct lun_pg_scope *scope)
{
	for (size_t i = 0; i < scope->count; i++) {
		free(scope->narrowings[i].expression);
		free(scope->narrowings[i].value);
	}
}

/* ---- as conditions ----------------------------------------------------- */

/* Texts are compared byte for byte, whatever the column thinks is equal. */
static void
add_narrowings(const struct lun_pg_scope *scope, struct lun_buffer *sql)
{
	for (size_t i = 0; i < scope->count; i++)
		lun_buffer_printf(sql, " AND (%s)::text = $%zu",
		    scope->narrowings[i].expression, i + 1);
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
	lun_buffer_add_text(sql, LUN_TEXT("true"));
	for (int i = 0; i < LUN_PG_HIDDEN; i++)
		add_unless(sql, layout->hidden[i]);
	add_unless(sql, layout->placeholder);
}

/*
 * Where numbers without a row are gaps, rows of others have to be seen: they
 * are hidden, as archived ones are.
 */
bool
lun_pg_scope_make(struct lun_pg_mapping *mapping)
{
	const struct lun_pg_layout *layout = &mapping->layout;
	struct lun_buffer scope = {0}, shown = {0}, visible = {0};

	lun_buffer_add_text(&scope, layout->scope != NULL
					? lun_text_of(layout->scope)
					: LUN_TEXT("true"));
	/* A row that has no number yet is no event yet. */
	if (layout->transaction_id == NULL)
		lun_buffer_printf(
		    &scope, " AND %s IS NOT NULL", layout->position);
	add_shown(layout, &shown);
	add_narrowings(&mapping->narrowed,
	    mapping->safety == LUN_PG_GAPS ? &shown : &scope);
	lun_buffer_add_text(&visible, lun_buffer_text(&scope));
	lun_buffer_add_text(&visible, LUN_TEXT(" AND "));
	lun_buffer_add_text(&visible, lun_buffer_text(&shown));
	mapping->scope = lun_buffer_take(&scope);
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
		add_word(out, scope->narrowings[i].value);
	}
}
