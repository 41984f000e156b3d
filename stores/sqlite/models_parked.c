/* models_parked.c - parked and skipped events in SQLite. */

#include "sqlite/models.h"

#define SKIPPED_MAX 1000 /* kept for each shard */
#define COLUMNS_WRITTEN                                                        \
	"projection, build, shard, model_id, error, at, position, event_id,"   \
	" stream, version, type, recorded_at, data, metadata, tenant"
#define COLUMNS                                                                \
	"number, model_id, error, at, position, event_id, stream, version,"    \
	" type, recorded_at, data, metadata, tenant"

/* ---- writing ----------------------------------------------------------- */

static enum lun_code
insert_item(struct sqlite_models *m, sqlite3_stmt *q, struct lun_key key,
    const struct lun_failed_event *item, struct lun_err *err)
{
	const struct lun_event *event = &item->event;
	char hex[LUN_POSITION_HEX_SIZE];

	lun_position_to_hex(event->position, hex);
	lun_sqlite_bind_key(m, q, key);
	lun_sqlite_bind_text(m->c, q, 4, item->model_id);
	lun_sqlite_bind_text(m->c, q, 5, item->error);
	lun_sqlite_bind_integer(m->c, q, 6, item->at);
	lun_sqlite_bind_text(m->c, q, 7, lun_text_of(hex));
	lun_sqlite_bind_text(m->c, q, 8, event->id);
	lun_sqlite_bind_text(m->c, q, 9, event->stream);
	lun_sqlite_bind_integer(m->c, q, 10, event->version);
	lun_sqlite_bind_text(m->c, q, 11, event->type);
	lun_sqlite_bind_integer(m->c, q, 12, event->recorded_at);
	lun_sqlite_bind_text(m->c, q, 13, event->data);
	lun_sqlite_bind_text(m->c, q, 14, event->metadata);
	lun_sqlite_bind_text(m->c, q, 15, event->tenant);
	return lun_sqlite_run(m->c, q, err);
}

static enum lun_code
insert_items(struct sqlite_models *m, const char *sql, struct lun_key key,
    const struct lun_failed_event *items, size_t count, struct lun_err *err)
{
	sqlite3_stmt *q = NULL;
	enum lun_code code = lun_sqlite_statement(m, sql, &q, err);

	for (size_t i = 0; code == LUN_OK && i < count; i++)
		code = insert_item(m, q, key, &items[i], err);
	lun_sqlite_done(q);
	return code;
}

static enum lun_code
remove_parked(struct sqlite_models *m, const struct lun_write_set *set,
    struct lun_err *err)
{
	sqlite3_stmt *q = NULL;
	enum lun_code code;

	code = lun_sqlite_statement(m,
	    "DELETE FROM lunette_parked WHERE number = ?4"
	    " AND " LUN_SQLITE_IS_KEY,
	    &q, err);
	for (size_t i = 0; code == LUN_OK && i < set->unparked_count; i++) {
		lun_sqlite_bind_key(m, q, set->key);
		lun_sqlite_bind_integer(m->c, q, 4, set->unparked[i]);
		code = lun_sqlite_run(m->c, q, err);
	}
	lun_sqlite_done(q);
	return code;
}

static enum lun_code
write_new_errors(struct sqlite_models *m, const struct lun_write_set *set,
    struct lun_err *err)
{
	sqlite3_stmt *q = NULL;
	enum lun_code code;

	code = lun_sqlite_statement(m,
	    "UPDATE lunette_parked SET error = ?5 WHERE number = ?4"
	    " AND " LUN_SQLITE_IS_KEY,
	    &q, err);
	for (size_t i = 0; code == LUN_OK && i < set->new_error_count; i++) {
		lun_sqlite_bind_key(m, q, set->key);
		lun_sqlite_bind_integer(m->c, q, 4, set->new_errors[i].number);
		lun_sqlite_bind_text(m->c, q, 5, set->new_errors[i].error);
		code = lun_sqlite_run(m->c, q, err);
	}
	lun_sqlite_done(q);
	return code;
}

static enum lun_code
forget_old_skipped(
    struct sqlite_models *m, struct lun_key key, struct lun_err *err)
{
	sqlite3_stmt *q = NULL;
	enum lun_code code;

	code = lun_sqlite_statement(m,
	    "DELETE FROM lunette_skipped WHERE " LUN_SQLITE_IS_KEY
	    " AND number <= (SELECT number FROM lunette_skipped"
	    "  WHERE " LUN_SQLITE_IS_KEY
	    "  ORDER BY number DESC LIMIT 1 OFFSET ?4)",
	    &q, err);
	if (code != LUN_OK)
		return code;
	lun_sqlite_bind_key(m, q, key);
	lun_sqlite_bind_integer(m->c, q, 4, SKIPPED_MAX);
	code = lun_sqlite_run(m->c, q, err);
	lun_sqlite_done(q);
	return code;
}

static enum lun_code
write_skipped(struct sqlite_models *m, const struct lun_write_set *set,
    struct lun_err *err)
{
	const struct lun_failed_event *items = set->skipped;
	size_t count = set->skipped_count;
	enum lun_code code;

	if (count > SKIPPED_MAX) {
		items += count - SKIPPED_MAX;
		count = SKIPPED_MAX;
	}
	code = insert_items(m,
	    "INSERT INTO lunette_skipped (" COLUMNS_WRITTEN ") VALUES"
	    " (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
	    set->key, items, count, err);
	if (code != LUN_OK)
		return code;
	return forget_old_skipped(m, set->key, err);
}

enum lun_code
lun_sqlite_write_failed_events(struct sqlite_models *m,
    const struct lun_write_set *set, struct lun_err *err)
{
	enum lun_code code = LUN_OK;

	if (set->unparked_count > 0)
		code = remove_parked(m, set, err);
	if (code == LUN_OK && set->new_error_count > 0)
		code = write_new_errors(m, set, err);
	if (code == LUN_OK && set->parked_count > 0)
		code = insert_items(m,
		    "INSERT INTO lunette_parked (" COLUMNS_WRITTEN ") VALUES"
		    " (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		    set->key, set->parked, set->parked_count, err);
	if (code == LUN_OK && set->skipped_count > 0)
		code = write_skipped(m, set, err);
	return code;
}

/* ---- reading ----------------------------------------------------------- */

static enum lun_code
read_item(struct sqlite_models *m, sqlite3_stmt *q,
    struct lun_failed_event *item, struct lun_err *err)
{
	struct lun_event *event = &item->event;

	*item = (struct lun_failed_event){
	    .number = sqlite3_column_int64(q, 0),
	    .model_id = lun_sqlite_column_text(q, 1),
	    .error = lun_sqlite_column_text(q, 2),
	    .at = sqlite3_column_int64(q, 3),
	};
	event->id = lun_sqlite_column_text(q, 5);
	event->stream = lun_sqlite_column_text(q, 6);
	event->version = sqlite3_column_int64(q, 7);
	event->type = lun_sqlite_column_text(q, 8);
	event->recorded_at = sqlite3_column_int64(q, 9);
	event->data = lun_sqlite_column_text(q, 10);
	event->metadata = lun_sqlite_column_text(q, 11);
	event->tenant = lun_sqlite_column_text(q, 12);
	if (lun_position_from_hex(
		lun_sqlite_column_text(q, 4), &event->position))
		return LUN_OK;
	return lun_fail(err, LUN_IO,
	    "%s: event %lld, set aside, has a position that is none",
	    lun_sqlite_path(m->c), (long long)item->number);
}

static enum lun_code
pass_items(struct sqlite_models *m, sqlite3_stmt *q, lun_failed_event_fn *item,
    void *arg, struct lun_err *err)
{
	enum lun_code code = LUN_OK;
	struct lun_failed_event read;

	while (lun_sqlite_next(m, q, &code, err)) {
		code = read_item(m, q, &read, err);
		if (code == LUN_OK)
			code = item(arg, &read, err);
	}
	return code;
}

static int64_t
limit_of(size_t limit)
{
	return limit > INT64_MAX ? INT64_MAX : (int64_t)limit;
}

enum lun_code
lun_sqlite_parked(struct lun_model_store *store, struct lun_key key,
    struct lun_text model_id, int64_t after, size_t limit,
    lun_failed_event_fn *item, void *arg, struct lun_err *err)
{
	struct sqlite_models *m = sqlite_models_of(store);
	enum lun_code code = lun_sqlite_check_defined(m, key, err);
	sqlite3_stmt *q = NULL;

	if (code != LUN_OK)
		return code;
	/* Two statements, so that each can use an index. */
	code = lun_sqlite_statement(m,
	    model_id.bytes != NULL
		? "SELECT " COLUMNS " FROM lunette_parked"
		  " WHERE " LUN_SQLITE_IS_KEY
		  " AND number > ?4 AND model_id = ?6"
		  " ORDER BY number LIMIT ?5"
		: "SELECT " COLUMNS " FROM lunette_parked"
		  " WHERE +projection = ?1 AND build = ?2 AND shard = ?3"
		  " AND number > ?4 ORDER BY number LIMIT ?5",
	    &q, err);
	if (code != LUN_OK)
		return code;
	lun_sqlite_bind_key(m, q, key);
	lun_sqlite_bind_integer(m->c, q, 4, after);
	lun_sqlite_bind_integer(m->c, q, 5, limit_of(limit));
	if (model_id.bytes != NULL)
		lun_sqlite_bind_text(m->c, q, 6, model_id);
	code = pass_items(m, q, item, arg, err);
	lun_sqlite_done(q);
	return code;
}

enum lun_code
lun_sqlite_parked_ids(struct lun_model_store *store, struct lun_key key,
    lun_text_fn *id, void *arg, struct lun_err *err)
{
	struct sqlite_models *m = sqlite_models_of(store);
	enum lun_code code = lun_sqlite_check_defined(m, key, err);
	sqlite3_stmt *q = NULL;

	if (code != LUN_OK)
		return code;
	code = lun_sqlite_statement(m,
	    "SELECT DISTINCT model_id FROM lunette_parked"
	    " WHERE " LUN_SQLITE_IS_KEY " ORDER BY model_id",
	    &q, err);
	if (code != LUN_OK)
		return code;
	lun_sqlite_bind_key(m, q, key);
	while (lun_sqlite_next(m, q, &code, err))
		code = id(arg, lun_sqlite_column_text(q, 0), err);
	lun_sqlite_done(q);
	return code;
}

enum lun_code
lun_sqlite_skipped(struct lun_model_store *store, struct lun_key key,
    size_t limit, lun_failed_event_fn *item, void *arg, struct lun_err *err)
{
	struct sqlite_models *m = sqlite_models_of(store);
	enum lun_code code = lun_sqlite_check_defined(m, key, err);
	sqlite3_stmt *q = NULL;

	if (code != LUN_OK)
		return code;
	code = lun_sqlite_statement(m,
	    "SELECT " COLUMNS " FROM lunette_skipped WHERE " LUN_SQLITE_IS_KEY
	    " ORDER BY number DESC LIMIT ?4",
	    &q, err);
	if (code != LUN_OK)
		return code;
	lun_sqlite_bind_key(m, q, key);
	lun_sqlite_bind_integer(m->c, q, 4, limit_of(limit));
	code = pass_items(m, q, item, arg, err);
	lun_sqlite_done(q);
	return code;
}
