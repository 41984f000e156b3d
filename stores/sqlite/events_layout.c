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

#include "base/error.h"

#define OUR_TABLE "FROM events"

/* Times of SQLite's own kinds, to the millisecond, as microseconds. */
#define MICROSECONDS(column)                                                   \
	"CAST(strftime('%s', " column ") AS INTEGER) * 1000000 + "             \
	"CAST(substr(strftime('%f', " column "), 4) AS INTEGER) * 1000"

static const struct lun_sqlite_layout layouts[] = {
    {
	.name = "emmett",
	.relation = "SELECT global_position AS position, message_id AS id, "
		    "stream_id AS stream, stream_position AS version, "
		    "message_type AS type, message_data AS data, "
		    "message_metadata AS metadata, " MICROSECONDS(
			"created") " AS recorded_at, is_archived, "
				   "message_kind FROM emt_messages",
	.shown = "message_kind = 'E' AND is_archived IS NOT TRUE",
    },
    {
	/* Rows are never deleted, so no number is used again. */
	.name = "eventcore",
	.relation =
	    "SELECT rowid AS position, event_id AS id, "
	    "stream_id AS stream, stream_version AS version, "
	    "event_type AS type, event_data AS data, metadata, " MICROSECONDS(
		"created_at") " AS recorded_at "
			      "FROM eventcore_events",
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
take_layout_words(
    struct lun_sqlite_events *s, const char *query, struct lun_err *err)
{
	const char *name = query + strlen("?layout=");
	size_t length = strcspn(name, "&");
	const char *more = name + length;

	s->layout = find_layout((struct lun_text){name, length});
	if (s->layout == NULL)
		return lun_fail(err, LUN_CONFIG,
		    "sqlite: there is no layout \"%.*s\"; write emmett or "
		    "eventcore",
		    length > 40 ? 40 : (int)length, name);
	s->unwrap = s->layout->unwrap && strcmp(more, "&unwrap=no") != 0;
	if (*more == '\0' || strcmp(more, "&unwrap=no") == 0 ||
	    strcmp(more, "&unwrap=yes") == 0)
		return LUN_OK;
	return lun_fail(err, LUN_CONFIG,
	    "sqlite: \"%.40s\" is not understood; only unwrap=yes or "
	    "unwrap=no can follow the layout",
	    more);
}

enum lun_code
lun_sqlite_events_take_layout(struct lun_sqlite_events *s, const char *rest,
    char **path, struct lun_err *err)
{
	const char *query = strstr(rest, "?layout=");
	enum lun_code code = LUN_OK;

	if (query != NULL)
		code = take_layout_words(s, query, err);
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

/* Put the relation wherever our table is named. */
static void
add_layout_statement(struct lun_sqlite_events *s, const char *sql,
    bool hidden_too, struct lun_buffer *out)
{
	const struct lun_sqlite_layout *layout = s->layout;
	const char *found;

	while ((found = strstr(sql, OUR_TABLE)) != NULL) {
		lun_buffer_add(out, sql, (size_t)(found - sql));
		lun_buffer_add_text(out, LUN_TEXT("FROM ("));
		lun_buffer_add_text(out, lun_text_of(layout->relation));
		if (layout->shown != NULL && !hidden_too) {
			lun_buffer_add_text(out, LUN_TEXT(" WHERE "));
			lun_buffer_add_text(out, lun_text_of(layout->shown));
		}
		lun_buffer_add_byte(out, ')');
		sql = found + strlen(OUR_TABLE);
	}
	lun_buffer_add(out, sql, strlen(sql) + 1);
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
	return code;
}

void
lun_sqlite_events_identify(struct lun_sqlite_events *s)
{
	char path[PATH_MAX];
	const char *shown = realpath(lun_sqlite_path(&s->c), path);
	size_t length = shown != NULL ? strlen(shown) : 0;
	size_t most = sizeof s->identity - 32;

	if (length > most)
		shown += length - most; /* the end tells files apart */
	snprintf(s->identity, sizeof s->identity, "%s:%s", s->layout->name,
	    shown != NULL ? shown : "");
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
