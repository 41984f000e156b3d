/*
 * events_layout.c - tables of somebody else, read as if they were ours.
 *
 * SQLite lets one writer in at a time, so the order of the numbers is the
 * order of the commits here too.
 */

#include "sqlite/events.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/error.h"
#include "sql/url.h"
#include "sqlite/url.h"

#define OUR_TABLE        "FROM events"
#define TENANT_PARAMETER "9"
#define TENANT_SHOWN     32 /* bytes; a longer name is cut down to its hash */
#define TENANT_NAME_SIZE 48

/* A column of type JSON or JSONB makes numbers of texts that are some. */
#define JSON_OF(column)                                                        \
	"CASE typeof(" column ") WHEN 'integer' THEN CAST(" column             \
	" AS TEXT) WHEN 'real' THEN printf('%!.17g', " column ") ELSE " column \
	" END"
#define EMMETT_DATA        JSON_OF("message_data")
#define EMMETT_METADATA    JSON_OF("message_metadata")
#define EVENTCORE_DATA     JSON_OF("event_data")
#define EVENTCORE_METADATA JSON_OF("metadata")

static const struct lun_sqlite_layout layouts[] = {
    {
	.name = "emmett",
	.table = "emt_messages",
	.key = "global_position",
	.relation =
	    "SELECT global_position AS position, message_id AS id, "
	    "stream_id AS stream, stream_position AS version, "
	    "message_type AS type, " EMMETT_DATA " AS data, " EMMETT_METADATA
	    " AS metadata, created AS recorded_at, "
	    "is_archived, message_kind, partition AS tenant "
	    "FROM emt_messages",
	.shown = "(message_kind <> 'E') IS NOT TRUE AND is_archived IS NOT "
		 "TRUE",
	.has_tenants = true,
    },
    {
	/* Rows are never deleted, so no number is used again. */
	.name = "eventcore",
	.table = "eventcore_events",
	.key = "rowid",
	.relation = "SELECT rowid AS position, event_id AS id, "
		    "stream_id AS stream, stream_version AS version, "
		    "event_type AS type, " EVENTCORE_DATA
		    " AS data, " EVENTCORE_METADATA " AS metadata, "
		    "created_at AS recorded_at FROM eventcore_events",
	.unwrap = true,
    },
};

static const struct lun_sqlite_layout *
find_layout(struct lun_text name)
{
	for (size_t i = 0; i < sizeof layouts / sizeof layouts[0]; i++)
		if (lun_text_equal(name, lun_text_of(layouts[i].name)))
			return &layouts[i];
	return NULL;
}

static enum lun_code
take_layout(struct lun_sqlite_events *s, const char *name, struct lun_err *err)
{
	s->layout = find_layout(lun_text_of(name));
	if (s->layout != NULL) {
		s->unwrap = s->layout->unwrap;
		return LUN_OK;
	}
	return lun_fail(err, LUN_CONFIG,
	    "sqlite: there is no layout \"%.40s\"; write emmett or eventcore",
	    name);
}

static enum lun_code
take_unwrap(struct lun_sqlite_events *s, const char *word, struct lun_err *err)
{
	s->unwrap = strcmp(word, "yes") == 0;
	if (s->unwrap || strcmp(word, "no") == 0)
		return LUN_OK;
	return lun_fail(err, LUN_CONFIG,
	    "sqlite: unwrap=%.40s is not understood; write yes or no", word);
}

static enum lun_code
take_tenant(struct lun_sqlite_events *s, const char *name, struct lun_err *err)
{
	if (!s->layout->has_tenants)
		return lun_fail(err, LUN_CONFIG,
		    "sqlite: events of layout=%s have no tenant",
		    s->layout->name);
	return lun_sqlite_events_share_tenant(s, name, err);
}

/* ---- the URL ----------------------------------------------------------- */

/* In the order in which they are taken; what follows is about the first. */
static const char *const keys[] = {"layout", "unwrap", "tenant"};
static enum lun_code (*const takes[])(struct lun_sqlite_events *s,
    const char *value,
    struct lun_err *err) = {take_layout, take_unwrap, take_tenant};

#define KEYS (sizeof keys / sizeof keys[0])

static enum lun_code
take_values(struct lun_sqlite_events *s, char **values, struct lun_err *err)
{
	enum lun_code code = LUN_OK;

	for (size_t i = 0; i < KEYS && code == LUN_OK; i++)
		if (values[i] != NULL && i > 0 && values[0] == NULL)
			code = lun_fail(err, LUN_CONFIG,
			    "sqlite: %s= in the URL is for tables of others: "
			    "say which with layout=",
			    keys[i]);
		else if (values[i] != NULL)
			code = takes[i](s, values[i], err);
	return code;
}

static enum lun_code
take_query(
    struct lun_sqlite_events *s, struct lun_text query, struct lun_err *err)
{
	char *values[KEYS] = {NULL};
	enum lun_code code = LUN_OK;

	while (query.length > 0 && code == LUN_OK) {
		struct lun_text pair = lun_sql_url_part(&query, '&');

		code = lun_sql_url_take(pair, keys, KEYS, values, err);
		if (code == LUN_NOTFOUND)
			code =
			    lun_sql_url_refuse("sqlite", pair, keys, KEYS, err);
	}
	if (code == LUN_OK)
		code = take_values(s, values, err);
	for (size_t i = 0; i < KEYS; i++)
		free(values[i]);
	return code;
}

enum lun_code
lun_sqlite_events_take_url(struct lun_sqlite_events *s, const char *rest,
    char **path, struct lun_err *err)
{
	struct lun_text query;
	enum lun_code code = lun_sqlite_url_split(rest, path, &query, err);

	if (code == LUN_OK)
		code = take_query(s, query, err);
	if (code == LUN_OK && s->layout != NULL && access(*path, F_OK) != 0)
		code = lun_fail(
		    err, LUN_CONFIG, "%s: there is no such file", *path);
	return code;
}

enum lun_code
lun_sqlite_events_share_tenant(
    struct lun_sqlite_events *s, const char *tenant, struct lun_err *err)
{
	if (tenant == NULL)
		return LUN_OK;
	s->tenant = strdup(tenant);
	return s->tenant != NULL ? LUN_OK
				 : lun_fail(err, LUN_NOMEM, "out of memory");
}

/* ---- statements -------------------------------------------------------- */

static void
add_relation(
    struct lun_sqlite_events *s, bool hidden_too, struct lun_buffer *out)
{
	const struct lun_sqlite_layout *layout = s->layout;

	lun_buffer_printf(out, "FROM (%s WHERE true", layout->relation);
	if (layout->shown != NULL && !hidden_too)
		lun_buffer_printf(out, " AND %s", layout->shown);
	if (s->tenant != NULL && !hidden_too)
		lun_buffer_printf(out, " AND tenant = ?" TENANT_PARAMETER);
	lun_buffer_add_byte(out, ')');
}

/* Put the relation wherever our table is named, and the tenant at its mark. */
static void
add_layout_statement(struct lun_sqlite_events *s, const char *sql,
    bool hidden_too, struct lun_buffer *out)
{
	const char *mark = strstr(sql, LUN_SQLITE_TENANT);
	const char *found;

	if (mark != NULL && s->layout->has_tenants) {
		lun_buffer_add(out, sql, (size_t)(mark - sql));
		lun_buffer_add_text(out, LUN_TEXT(", tenant"));
		sql = mark + strlen(LUN_SQLITE_TENANT);
	}
	while ((found = strstr(sql, OUR_TABLE)) != NULL) {
		lun_buffer_add(out, sql, (size_t)(found - sql));
		add_relation(s, hidden_too, out);
		sql = found + strlen(OUR_TABLE);
	}
	lun_buffer_add(out, sql, strlen(sql) + 1);
}

/* Bound once: no reset takes it away. */
static void
bind_tenant(struct lun_sqlite_events *s, sqlite3_stmt *q)
{
	int parameter = sqlite3_bind_parameter_index(q, "?" TENANT_PARAMETER);

	if (s->tenant != NULL && parameter > 0)
		lun_sqlite_bind_text(
		    &s->c, q, parameter, lun_text_of(s->tenant));
}

enum lun_code
lun_sqlite_events_prepare(struct lun_sqlite_events *s, const char *sql,
    bool hidden_too, sqlite3_stmt **q, struct lun_err *err)
{
	struct lun_buffer text = {0};
	enum lun_code code;

	if (s->layout == NULL)
		return lun_sqlite_prepare(&s->c, sql, q, err);
	add_layout_statement(s, sql, hidden_too, &text);
	code = text.failed ? lun_sqlite_events_no_memory(s, err)
			   : lun_sqlite_prepare(&s->c, text.bytes, q, err);
	lun_buffer_free(&text);
	if (code == LUN_OK)
		bind_tenant(s, *q);
	return code;
}

/* One tenant's events are another log than all of them; "" for all. */
static void
name_tenant(const struct lun_sqlite_events *s, char name[TENANT_NAME_SIZE])
{
	size_t length = s->tenant != NULL ? strlen(s->tenant) : 0;

	name[0] = '\0';
	if (length > TENANT_SHOWN)
		snprintf(name, TENANT_NAME_SIZE, "?tenant=#%016llx",
		    (unsigned long long)XXH3_64bits(s->tenant, length));
	else if (s->tenant != NULL)
		snprintf(name, TENANT_NAME_SIZE, "?tenant=%s", s->tenant);
}

void
lun_sqlite_events_identify(struct lun_sqlite_events *s)
{
	char path[PATH_MAX], tenant[TENANT_NAME_SIZE];
	const char *shown = realpath(lun_sqlite_path(&s->c), path);
	size_t length = shown != NULL ? strlen(shown) : 0;
	size_t most = sizeof s->identity - 32;

	name_tenant(s, tenant);
	most -= strlen(tenant);
	if (length > most)
		shown += length - most; /* the end tells files apart */
	snprintf(s->identity, sizeof s->identity, "%s:%s%s", s->layout->name,
	    shown != NULL ? shown : "", tenant);
}

enum lun_code
lun_sqlite_events_check_own(struct lun_sqlite_events *s, struct lun_err *err)
{
	if (s->layout == NULL)
		return LUN_OK;
	return lun_fail(err, LUN_CONFIG,
	    "%s belongs to %s and is only read: append with that",
	    lun_sqlite_path(&s->c), s->layout->name);
}

void
lun_sqlite_events_layouts(struct lun_buffer *json)
{
	for (size_t i = 0; i < sizeof layouts / sizeof layouts[0]; i++)
		lun_buffer_printf(json,
		    "{\"layout\":\"%s\",\"store\":\"sqlite\","
		    "\"table\":\"%s\",\"order\":\"%s\"},",
		    layouts[i].name, layouts[i].table, layouts[i].key);
}
