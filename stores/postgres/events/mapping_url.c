/* mapping_url.c - what the URL asks of a layout, beside its columns. */

#include <inttypes.h>

#include "base/error.h"
#include "postgres/events/mapping_parts.h"
#include "postgres/events/named_columns.h"
#include "postgres/events/safe_head.h"

#define GRACE_MS_MAX  3600000
#define WINDOW_MS_MAX 86400000

/* How it is safe to read is never guessed. */
static enum lun_code
take_safety(
    struct lun_pg_mapping *mapping, struct lun_pg *c, struct lun_err *err)
{
	const char *word = lun_pg_url_value(c->url, "safe_head");
	bool custom = lun_pg_mapping_is_custom(mapping);

	mapping->safety = mapping->layout.safety;
	if (word == NULL && custom && mapping->layout.transaction_id == NULL)
		return lun_fail(err, LUN_CONFIG,
		    "%s: the URL must say with safe_head= how far it is safe "
		    "to read: transactions, serialised, gaps or window",
		    lun_pg_name(c));
	if (word == NULL)
		return LUN_OK;
	if (mapping->layout.named && lun_pg_find_safety(word, &mapping->safety))
		return LUN_OK;
	if (mapping->layout.may_be_serialised &&
	    strcmp(word, "serialised") == 0) {
		mapping->safety = LUN_PG_SERIALISED;
		return LUN_OK;
	}
	return lun_fail(err, LUN_CONFIG,
	    "%s: safe_head=%.40s is not possible with this layout: %s",
	    lun_pg_name(c), word,
	    mapping->layout.named
		? "write transactions, serialised, gaps or window"
	    : mapping->layout.may_be_serialised
		? "write serialised, or leave it out"
		: "leave it out");
}

static enum lun_code
take_unwrap(
    struct lun_pg_mapping *mapping, struct lun_pg *c, struct lun_err *err)
{
	const char *word = lun_pg_url_value(c->url, "unwrap");

	mapping->unwrap = mapping->layout.unwrap;
	if (word == NULL)
		return LUN_OK;
	mapping->unwrap = strcmp(word, "yes") == 0;
	if (mapping->unwrap || strcmp(word, "no") == 0)
		return LUN_OK;
	return lun_fail(err, LUN_CONFIG, "%s: unwrap=%.40s: write yes or no",
	    lun_pg_name(c), word);
}

static enum lun_code
take_span(struct lun_pg *c, const char *key, int64_t most_ms, atomic_llong *us,
    struct lun_err *err)
{
	const char *word = lun_pg_url_value(c->url, key);
	struct lun_position number;

	if (word == NULL)
		return LUN_OK;
	if (!lun_position_from_decimal(lun_text_of(word), &number) ||
	    number.lo > (uint64_t)most_ms)
		return lun_fail(err, LUN_CONFIG,
		    "%s: %s=%.40s: write a number of milliseconds up to "
		    "%" PRId64,
		    lun_pg_name(c), key, word, most_ms);
	*us = (int64_t)number.lo * 1000;
	return LUN_OK;
}

static enum lun_code
take_spans(
    struct lun_pg_mapping *mapping, struct lun_pg *c, struct lun_err *err)
{
	enum lun_code code;

	mapping->grace_us = mapping->layout.grace_ms * 1000;
	mapping->window_us = mapping->layout.window_ms * 1000;
	code = take_span(c, "grace_ms", GRACE_MS_MAX, &mapping->grace_us, err);
	if (code == LUN_OK)
		code = take_span(
		    c, "window_ms", WINDOW_MS_MAX, &mapping->window_us, err);
	return code;
}

static enum lun_code
take_holes(
    struct lun_pg_mapping *mapping, struct lun_pg *c, struct lun_err *err)
{
	const char *word = lun_pg_url_value(c->url, "holes");

	mapping->contiguous =
	    !mapping->layout.loose && mapping->layout.version != NULL;
	mapping->ignore_holes = mapping->layout.deletes;
	if (word == NULL)
		return LUN_OK;
	mapping->ignore_holes = strcmp(word, "ignore") == 0;
	if (mapping->ignore_holes || strcmp(word, "stop") == 0)
		return LUN_OK;
	return lun_fail(err, LUN_CONFIG,
	    "%s: holes=%.40s: write stop or ignore", lun_pg_name(c), word);
}

static enum lun_code
take_names(
    struct lun_pg_mapping *mapping, struct lun_pg *c, struct lun_err *err)
{
	const char *schema = lun_pg_url_value(c->url, "schema");
	const char *table = lun_pg_url_value(c->url, "table");
	enum lun_code code = LUN_OK;

	if (schema == NULL)
		schema = mapping->layout.schema;
	if (table != NULL)
		code = lun_pg_check_name("table", table, err);
	else
		table = mapping->layout.table;
	if (code != LUN_OK)
		return code;
	if (table == NULL)
		return lun_fail(err, LUN_CONFIG,
		    "%s: the URL must name a table with table=",
		    lun_pg_name(c));
	mapping->schema = strdup(schema);
	mapping->table = strdup(table);
	if (mapping->schema == NULL || mapping->table == NULL)
		return lun_pg_mapping_no_memory(c, err);
	return LUN_OK;
}

enum lun_code
lun_pg_mapping_take_url(
    struct lun_pg_mapping *mapping, struct lun_pg *c, struct lun_err *err)
{
	enum lun_code code = lun_pg_take_named_columns(mapping, c, err);

	if (code == LUN_OK)
		code = take_names(mapping, c, err);
	if (code == LUN_OK)
		code = take_safety(mapping, c, err);
	if (code == LUN_OK)
		code = take_unwrap(mapping, c, err);
	if (code == LUN_OK)
		code = take_spans(mapping, c, err);
	if (code == LUN_OK)
		code = take_holes(mapping, c, err);
	return code;
}
