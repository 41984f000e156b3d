/*
 * events_table.c - what reading an event table in SQLite rests on.
 *
 * Positions are rowids: whole, unique and never null, which holds of a table
 * whose key is an INTEGER PRIMARY KEY or that has no such column. A view has no
 * rowids, and any other key is a column beside them, which may be null: one of
 * another type, of several columns, with DESC, or WITHOUT ROWID. Those have an
 * index for it.
 */

#include "sqlite/events.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/error.h"

#define OUR_TABLE "events"
#define OUR_KEY   "position"

static enum lun_code
refuse(struct lun_sqlite_events *s, const char *table, const char *key,
    sqlite3_stmt *q, struct lun_err *err)
{
	const char *path = lun_sqlite_path(&s->c);

	if (sqlite3_column_int(q, 0) == 0)
		return lun_fail(err, LUN_CONFIG,
		    "%s: \"%s\" is no table, so its rows have no order: name "
		    "the file that has the table",
		    path, table);
	if (sqlite3_column_int(q, 1) == 0)
		return lun_fail(err, LUN_CONFIG,
		    "%s: the column %s of \"%s\" is not its INTEGER PRIMARY "
		    "KEY, so positions may be null or stand twice",
		    path, key, table);
	if (sqlite3_column_type(q, 2) != SQLITE_NULL &&
	    sqlite3_column_int64(q, 2) < 1)
		return lun_fail(err, LUN_CONFIG,
		    "%s: \"%s\" has an event at position %" PRId64
		    ", before the first that can be read, 1: correct the row",
		    path, table, (int64_t)sqlite3_column_int64(q, 2));
	return LUN_OK;
}

enum lun_code
lun_sqlite_events_check_table(struct lun_sqlite_events *s, struct lun_err *err)
{
	const char *table = s->layout != NULL ? s->layout->table : OUR_TABLE;
	const char *key = s->layout != NULL ? s->layout->key : OUR_KEY;
	sqlite3_stmt *q;
	char sql[768];
	enum lun_code code;

	snprintf(sql, sizeof sql,
	    "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' "
	    "AND name = '%s' COLLATE NOCASE), (SELECT CASE WHEN count(*) = 0 "
	    "THEN '%s' = 'rowid' ELSE max(pk = 1 AND upper(type) = 'INTEGER') "
	    "AND NOT EXISTS (SELECT 1 FROM pragma_index_list('%s') "
	    "WHERE origin = 'pk') END FROM pragma_table_info('%s') "
	    "WHERE name = '%s' COLLATE NOCASE), (SELECT min(%s) FROM %s)",
	    table, key, table, table, key, key, table);
	code = lun_sqlite_prepare(&s->c, sql, &q, err);
	if (code != LUN_OK)
		return code;
	code = lun_sqlite_step(&s->c, q, err);
	if (code == LUN_OK)
		code = refuse(s, table, key, q, err);
	sqlite3_finalize(q);
	return code;
}
