/* parked.c - parked and skipped events in PostgreSQL. */

#include "postgres/models/models.h"

#define SKIPPED_MAX 1000 /* kept for each shard */
#define CHUNK_ITEMS 1000
#define CHUNK_BYTES ((size_t)8 << 20)
#define COLUMNS                                                                \
	"number, model_id, error, at, position, event_id, stream, version,"    \
	" type, recorded_at, data, metadata, tenant"

/* ---- writing ----------------------------------------------------------- */

typedef struct lun_text text_fn(const struct lun_failed_event *item);

static struct lun_text
model_id_of(const struct lun_failed_event *item)
{
	return item->model_id;
}

static struct lun_text
error_of(const struct lun_failed_event *item)
{
	return item->error;
}

static struct lun_text
event_id_of(const struct lun_failed_event *item)
{
	return item->event.id;
}

static struct lun_text
stream_of(const struct lun_failed_event *item)
{
	return item->event.stream;
}

static struct lun_text
type_of(const struct lun_failed_event *item)
{
	return item->event.type;
}

static struct lun_text
data_of(const struct lun_failed_event *item)
{
	return item->event.data;
}

static struct lun_text
metadata_of(const struct lun_failed_event *item)
{
	return item->event.metadata;
}

static struct lun_text
tenant_of(const struct lun_failed_event *item)
{
	return item->event.tenant;
}

static void
add_positions(
    struct pg_models *m, const struct lun_failed_event *items, size_t count)
{
	char hex[LUN_POSITION_HEX_SIZE];

	lun_pg_begin_array(&m->params, LUN_PG_TEXT_ARRAY, count);
	for (size_t i = 0; i < count; i++) {
		lun_position_to_hex(items[i].event.position, hex);
		lun_pg_element_text(&m->params, lun_text_of(hex));
	}
	lun_pg_end_array(&m->params);
}

static void
add_numbers(
    struct pg_models *m, const struct lun_failed_event *items, size_t count)
{
	lun_pg_begin_array(&m->params, LUN_PG_INT8_ARRAY, count);
	for (size_t i = 0; i < count; i++)
		lun_pg_element_int8(&m->params, items[i].event.version);
	lun_pg_end_array(&m->params);
	lun_pg_begin_array(&m->params, LUN_PG_INT8_ARRAY, count);
	for (size_t i = 0; i < count; i++)
		lun_pg_element_int8(&m->params, items[i].event.recorded_at);
	lun_pg_end_array(&m->params);
	lun_pg_begin_array(&m->params, LUN_PG_TIMESTAMPTZ_ARRAY, count);
	for (size_t i = 0; i < count; i++)
		lun_pg_element_time(&m->params, items[i].at);
	lun_pg_end_array(&m->params);
}

static void
add_texts(
    struct pg_models *m, const struct lun_failed_event *items, size_t count)
{
	static const struct {
		text_fn *of;
		void (*add)(struct pg_models *m, struct lun_text text);
	} texts[] = {{model_id_of, lun_pg_element_words},
	    {error_of, lun_pg_element_words},
	    {event_id_of, lun_pg_element_words},
	    {stream_of, lun_pg_element_words}, {type_of, lun_pg_element_words},
	    {data_of, lun_pg_element_json}, {metadata_of, lun_pg_element_json},
	    {tenant_of, lun_pg_element_words}};

	for (size_t t = 0; t < sizeof texts / sizeof texts[0]; t++) {
		lun_pg_begin_array(&m->params, LUN_PG_TEXT_ARRAY, count);
		for (size_t i = 0; i < count; i++)
			texts[t].add(m, texts[t].of(&items[i]));
		lun_pg_end_array(&m->params);
	}
}

/* Numbered in the order of the items. */
static enum lun_code
insert_chunk(struct pg_models *m, const char *table, struct lun_key key,
    const struct lun_failed_event *items, size_t count, struct lun_err *err)
{
	lun_pg_add_key(m, key);
	add_positions(m, items, count);
	add_numbers(m, items, count);
	add_texts(m, items, count);
	lun_pg_begin_sql(m, "INSERT INTO ");
	lun_pg_add_sql(m, table);
	lun_pg_add_sql(m,
	    " (projection, build, shard, position, version, recorded_at, at,"
	    " model_id, error, event_id, stream, type, data, metadata, tenant)"
	    " SELECT $1, $2, $3, i.a, i.b, i.c, i.d, i.e, i.f, i.g, i.h, i.i,"
	    " i.j, i.k, i.l FROM unnest($4::text[], $5::bigint[],"
	    " $6::bigint[], $7::timestamptz[], $8::text[], $9::text[],"
	    " $10::text[], $11::text[], $12::text[], $13::text[], $14::text[],"
	    " $15::text[])"
	    " WITH ORDINALITY AS i (a, b, c, d, e, f, g, h, i, j, k, l, number)"
	    " ORDER BY i.number");
	return lun_pg_pipeline_sql(m, err);
}

static size_t
measure_chunk(const struct lun_failed_event *items, size_t count)
{
	size_t bytes = 0, n = 0;

	for (; n < count && n < CHUNK_ITEMS && bytes < CHUNK_BYTES; n++)
		bytes +=
		    items[n].event.data.length + items[n].event.metadata.length;
	return n;
}

static enum lun_code
insert_items(struct pg_models *m, const char *table, struct lun_key key,
    const struct lun_failed_event *items, size_t count, struct lun_err *err)
{
	enum lun_code code = LUN_OK;
	size_t n;

	for (; code == LUN_OK && count > 0; items += n, count -= n) {
		n = measure_chunk(items, count);
		code = insert_chunk(m, table, key, items, n, err);
	}
	return code;
}

static enum lun_code
remove_parked(
    struct pg_models *m, const struct lun_write_set *set, struct lun_err *err)
{
	lun_pg_add_key(m, set->key);
	lun_pg_begin_array(&m->params, LUN_PG_INT8_ARRAY, set->unparked_count);
	for (size_t i = 0; i < set->unparked_count; i++)
		lun_pg_element_int8(&m->params, set->unparked[i]);
	lun_pg_end_array(&m->params);
	lun_pg_begin_sql(m, "DELETE FROM @lunette_parked"
			    " WHERE " LUN_PG_KEY " AND number = ANY ($4)");
	return lun_pg_pipeline_sql(m, err);
}

static enum lun_code
write_new_errors(
    struct pg_models *m, const struct lun_write_set *set, struct lun_err *err)
{
	size_t count = set->new_error_count;

	lun_pg_add_key(m, set->key);
	lun_pg_begin_array(&m->params, LUN_PG_INT8_ARRAY, count);
	for (size_t i = 0; i < count; i++)
		lun_pg_element_int8(&m->params, set->new_errors[i].number);
	lun_pg_end_array(&m->params);
	lun_pg_begin_array(&m->params, LUN_PG_TEXT_ARRAY, count);
	for (size_t i = 0; i < count; i++)
		lun_pg_element_words(m, set->new_errors[i].error);
	lun_pg_end_array(&m->params);
	lun_pg_begin_sql(m,
	    "UPDATE @lunette_parked AS p SET error = i.error"
	    " FROM unnest($4::bigint[], $5::text[]) AS i (number, error)"
	    " WHERE " LUN_PG_KEY " AND p.number = i.number");
	return lun_pg_pipeline_sql(m, err);
}

static enum lun_code
forget_old_skipped(struct pg_models *m, struct lun_key key, struct lun_err *err)
{
	lun_pg_add_key(m, key);
	lun_pg_add_int8(&m->params, SKIPPED_MAX);
	lun_pg_begin_sql(m,
	    "DELETE FROM @lunette_skipped WHERE " LUN_PG_KEY " AND number <="
	    " (SELECT number FROM @lunette_skipped WHERE " LUN_PG_KEY
	    "  ORDER BY number DESC LIMIT 1 OFFSET $4)");
	return lun_pg_pipeline_sql(m, err);
}

static enum lun_code
write_skipped(
    struct pg_models *m, const struct lun_write_set *set, struct lun_err *err)
{
	const struct lun_failed_event *items = set->skipped;
	size_t count = set->skipped_count;
	enum lun_code code;

	if (count > SKIPPED_MAX) {
		items += count - SKIPPED_MAX;
		count = SKIPPED_MAX;
	}
	code = insert_items(m, "@lunette_skipped", set->key, items, count, err);
	if (code != LUN_OK)
		return code;
	return forget_old_skipped(m, set->key, err);
}

enum lun_code
lun_pg_write_failed_events(
    struct pg_models *m, const struct lun_write_set *set, struct lun_err *err)
{
	enum lun_code code = LUN_OK;

	if (set->unparked_count > 0)
		code = remove_parked(m, set, err);
	if (code == LUN_OK && set->new_error_count > 0)
		code = write_new_errors(m, set, err);
	if (code == LUN_OK && set->parked_count > 0)
		code = insert_items(m, "@lunette_parked", set->key, set->parked,
		    set->parked_count, err);
	if (code == LUN_OK && set->skipped_count > 0)
		code = write_skipped(m, set, err);
	return code;
}

/* ---- reading ----------------------------------------------------------- */

static enum lun_code
read_item(struct pg_models *m, const PGresult *r, int row,
    struct lun_failed_event *item, struct lun_err *err)
{
	struct lun_event *event = &item->event;

	*item = (struct lun_failed_event){
	    .number = lun_pg_int8(r, row, 0),
	    .model_id = lun_pg_bytes(r, row, 1),
	    .error = lun_pg_bytes(r, row, 2),
	    .at = lun_pg_time(r, row, 3),
	};
	event->id = lun_pg_bytes(r, row, 5);
	event->stream = lun_pg_bytes(r, row, 6);
	event->version = lun_pg_int8(r, row, 7);
	event->type = lun_pg_bytes(r, row, 8);
	event->recorded_at = lun_pg_int8(r, row, 9);
	event->data = lun_pg_bytes(r, row, 10);
	event->metadata = lun_pg_bytes(r, row, 11);
	event->tenant = lun_pg_bytes(r, row, 12);
	if (lun_position_from_hex(lun_pg_bytes(r, row, 4), &event->position))
		return LUN_OK;
	return lun_fail(err, LUN_IO,
	    "%s: event %lld, set aside, has a position that is none",
	    lun_pg_name(m->c), (long long)item->number);
}

struct items {
	struct pg_models *m;
	lun_failed_event_fn *item;
	void *arg;
	enum lun_code code; /* of the caller's function */
};

/* LUN_AGAIN ends the stream: the caller's code is kept beside it. */
static enum lun_code
give_item(void *arg, const PGresult *row, struct lun_err *err)
{
	struct items *items = arg;
	struct lun_failed_event read;
	enum lun_code code = read_item(items->m, row, 0, &read, err);

	if (code == LUN_OK)
		code = items->code = items->item(items->arg, &read, err);
	return code;
}

static int64_t
limit_of(size_t limit)
{
	return limit > INT64_MAX ? INT64_MAX : (int64_t)limit;
}

static enum lun_code
stream_items(struct items *items, struct lun_err *err)
{
	enum lun_code code = lun_pg_stream_sql(items->m, give_item, items, err);

	return items->code != LUN_OK ? items->code : code;
}

static enum lun_code
read_parked(struct items *items, struct lun_key key, struct lun_text model_id,
    int64_t after, size_t limit, struct lun_err *err)
{
	struct pg_models *m = items->m;
	enum lun_code code = lun_pg_check_defined(m, key, err);

	if (code != LUN_OK)
		return code;
	lun_pg_add_key(m, key);
	lun_pg_add_int8(&m->params, after);
	lun_pg_add_int8(&m->params, limit_of(limit));
	lun_pg_begin_sql(m, "SELECT " COLUMNS " FROM @lunette_parked"
			    " WHERE " LUN_PG_KEY " AND number > $4");
	if (model_id.bytes != NULL) {
		lun_pg_add_words(m, model_id);
		lun_pg_add_sql(m, " AND model_id = $6");
	}
	lun_pg_add_sql(m, " ORDER BY number LIMIT $5");
	return stream_items(items, err);
}

enum lun_code
lun_pg_parked(struct lun_model_store *store, struct lun_key key,
    struct lun_text model_id, int64_t after, size_t limit,
    lun_failed_event_fn *item, void *arg, struct lun_err *err)
{
	struct items items = {
	    .m = pg_models_of(store), .item = item, .arg = arg};

	return read_parked(&items, key, model_id, after, limit, err);
}

static enum lun_code
parked_ids(struct pg_models *m, struct lun_key key, lun_text_fn *id, void *arg,
    struct lun_err *err)
{
	PGresult *result = NULL;
	enum lun_code code = lun_pg_check_defined(m, key, err);

	if (code != LUN_OK)
		return code;
	lun_pg_add_key(m, key);
	code = lun_pg_run(m,
	    "SELECT DISTINCT model_id FROM @lunette_parked"
	    " WHERE " LUN_PG_KEY " ORDER BY model_id",
	    &result, err);
	for (int i = 0; code == LUN_OK && i < PQntuples(result); i++)
		code = id(arg, lun_pg_bytes(result, i, 0), err);
	PQclear(result);
	return code;
}

enum lun_code
lun_pg_parked_ids(struct lun_model_store *store, struct lun_key key,
    lun_text_fn *id, void *arg, struct lun_err *err)
{
	struct pg_models *m = pg_models_of(store);

	return parked_ids(m, key, id, arg, err);
}

static enum lun_code
read_skipped(
    struct items *items, struct lun_key key, size_t limit, struct lun_err *err)
{
	struct pg_models *m = items->m;
	enum lun_code code = lun_pg_check_defined(m, key, err);

	if (code != LUN_OK)
		return code;
	lun_pg_add_key(m, key);
	lun_pg_add_int8(&m->params, limit_of(limit));
	lun_pg_begin_sql(m,
	    "SELECT " COLUMNS " FROM @lunette_skipped WHERE " LUN_PG_KEY
	    " ORDER BY number DESC LIMIT $4");
	return stream_items(items, err);
}

enum lun_code
lun_pg_skipped(struct lun_model_store *store, struct lun_key key, size_t limit,
    lun_failed_event_fn *item, void *arg, struct lun_err *err)
{
	struct items items = {
	    .m = pg_models_of(store), .item = item, .arg = arg};

	return read_skipped(&items, key, limit, err);
}
