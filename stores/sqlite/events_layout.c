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
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/error.h"
#include "sql/url.h"

#define OUR_TABLE        "FROM events"
#define TENANT_PARAMETER "9"
#define TENANT_SHOWN     32 /* bytes; a longer name is cut down to its hash */
#define TENANT_NAME_SIZE 48

static const struct lun_sqlite_layout layouts[] = {
    {
	.name = "emmett",
	.relation = "SELECT global_position AS position, message_id AS id, "
		    "stream_id AS stream, stream_position AS version, "
		    "message_type AS type, message_data AS data, "
		    "message_metadata AS metadata, created AS recorded_at, "
		    "is_archived, message_kind, partition AS tenant "
		    "FROM emt_messages",
	.shown = "message_kind = 'E' AND is_archived IS NOT TRUE",
	.has_tenants = true,
    },
    {
	/* Rows are never deleted, so no number is used again. */
	.name = "eventcore",
	.relation = "SELECT rowid AS position, event_id AS id, "
		    "stream_id AS stream, stream_version AS version, "
		    "event_type AS type, event_data AS data, metadata, "
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
take_layout(
    struct lun_sqlite_events *s, struct lun_text name, struct lun_err *err)
{
	s->layout = find_layout(name);
	if (s->layout != NULL) {
		s->unwrap = s->layout->unwrap;
		return LUN_OK;
	}
	return lun_fail(err, LUN_CONFIG,
	    "sqlite: there is no layout \"%.*s\"; write emmett or eventcore",
	    name.length > 40 ? 40 : (int)name.length, name.bytes);
}

static enum lun_code
take_unwrap(
    struct lun_sqlite_events *s, struct lun_text word, struct lun_err *err)
{
	s->unwrap = lun_text_equal(word, LUN_TEXT("yes"));
	if (s->unwrap || lun_text_equal(word, LUN_TEXT("no")))
		return LUN_OK;
	return lun_fail(err, LUN_CONFIG,
	    "sqlite: unwrap=%.*s is not understood; write yes or no",
	    word.length > 40 ? 40 : (int)word.length, word.bytes);
}

static enum lun_code
take_tenant(
    struct lun_sqlite_events *s, struct lun_text name, struct lun_err *err)
{
	if (!s->layout->has_tenants)
		return lun_fail(err, LUN_CONFIG,
		    "sqlite: events of layout=%s have no tenant",
		    s->layout->name);
	free(s->tenant);
	s->tenant = NULL;
	return lun_sql_url_decode(LUN_TEXT("tenant"), name, &s->tenant, err);
}

/* What may stand behind "?"; the layout stands first. */
static const struct {
	const char *key;
	enum lun_code (*take)(struct lun_sqlite_events *s,
	    struct lun_text value, struct lun_err *err);
} words[] = {
    {"layout", take_layout},
    {"unwrap", take_unwrap},
    {"tenant", take_tenant},
};

static enum lun_code
take_word(
    struct lun_sqlite_events *s, struct lun_text word, struct lun_err *err)
{
	struct lun_text value = word;
	struct lun_text key = lun_sql_url_part(&value, '=');

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (lun_text_equal(key, lun_text_of(words[i].key)))
			return words[i].take(s, value, err);
	return lun_fail(err, LUN_CONFIG,
	    "sqlite: \"%.*s\" is not understood; only unwrap= and tenant= can "
	    "follow the layout",
	    word.length > 40 ? 40 : (int)word.length, word.bytes);
}

enum lun_code
lun_sqlite_events_take_layout(struct lun_sqlite_events *s, const char *rest,
    char **path, struct lun_err *err)
{
	const char *query = strstr(rest, "?layout=");
	struct lun_text left = lun_text_of(query != NULL ? query + 1 : NULL);
	enum lun_code code = LUN_OK;

	while (left.length > 0 && code == LUN_OK)
		code = take_word(s, lun_sql_url_part(&left, '&'), err);
	if (code != LUN_OK)
		return code;
	*path = query != NULL ? strndup(rest, (size_t)(query - rest))
			      : strdup(rest);
	if (*path == NULL)
		return lun_fail(err, LUN_NOMEM, "%s: out of memory", rest);
	if (query != NULL && access(*path, F_OK) != 0)
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
