/* row.c - from rows of somebody's table to events in a batch. */

#include "postgres/events/reading.h"

#include <stdio.h>
#include <uuid/uuid.h>

#include "base/clock.h"
#include "base/error.h"
#include "json/scan.h"

#define WRONG_SIZE 120

static enum lun_code
refuse_row(struct lun_pg_reading *r, struct lun_position position,
    const char *what, struct lun_err *err)
{
	char text[LUN_POSITION_MAX];

	lun_pg_format_position(r->s->source->mapping, position, text);
	return lun_fail(err, LUN_INVALID,
	    "%s: the event at position %s: %s; correct the row",
	    lun_pg_name(&r->s->c), text, what);
}

/* ---- one row ----------------------------------------------------------- */

static struct lun_text
read_name(const PGresult *row, int column, char uuid[LUN_PG_UUID_SIZE])
{
	if (PQftype(row, column) != LUN_PG_UUID ||
	    lun_pg_is_null(row, 0, column))
		return lun_pg_bytes(row, 0, column);
	lun_pg_uuid(row, 0, column, uuid);
	return (struct lun_text){uuid, LUN_PG_UUID_SIZE - 1};
}

static struct lun_text
read_tenant(const PGresult *row, int column)
{
	struct lun_text tenant = lun_pg_bytes(row, 0, column);

	return tenant.length > 0 ? tenant : LUN_TEXT_NONE;
}

static const char *
check_name(struct lun_text name)
{
	if (name.length == 0)
		return "id, stream or type is empty";
	if (name.length > LUN_EVENT_NAME_MAX)
		return "id, stream or type is too long";
	return NULL;
}

/* Of a pair, the whole of which is not above a lower bound by itself. */
static const char *
check_keys(const struct lun_pg_mapping *mapping, const PGresult *row)
{
	if (mapping->key != LUN_PG_PAIR)
		return NULL;
	if (lun_pg_is_null(row, 0, LUN_PG_C_POSITION))
		return "its position is null";
	if (lun_pg_int8(row, 0, LUN_PG_C_POSITION) < 0)
		return "its position is negative";
	return NULL;
}

/*
 * NULL, or what is wrong with a payload that any bytes could be in. Who reads
 * it finds out whether it is JSON, except where the type is in there.
 */
static const char *
check_payload(
    const struct lun_pg_mapping *mapping, const struct lun_event *event)
{
	if (event->data.length > LUN_EVENT_BYTES_MAX ||
	    event->metadata.length > LUN_EVENT_BYTES_MAX)
		return "data or metadata is too long";
	if (mapping->check_data &&
	    lun_json_check_form(event->data, NULL) != LUN_OK)
		return "the data is not JSON, so there is no type in it";
	return NULL;
}

/* NULL, or in words what is wrong with the type in the data. */
static const char *
unwrap(struct lun_event *event, struct lun_buffer *name, char words[WRONG_SIZE])
{
	const char *what = lun_event_unwrap(event, name);

	if (what == NULL)
		return NULL;
	snprintf(words, WRONG_SIZE, "the data %s", what);
	return words;
}

enum lun_code
lun_pg_add_event(
    struct lun_pg_reading *r, struct lun_event *event, struct lun_err *err)
{
	const struct lun_pg_mapping *mapping = r->s->source->mapping;
	struct lun_buffer name = {0};
	char words[WRONG_SIZE];
	const char *wrong = check_payload(mapping, event);
	enum lun_code code = LUN_OK;

	if (event->data.bytes == NULL)
		event->data = LUN_TEXT("null");
	if (wrong == NULL && mapping->unwrap)
		wrong = unwrap(event, &name, words);
	if (wrong == NULL && !name.failed)
		wrong = check_name(event->type);
	if (wrong == NULL && event->recorded_at != LUN_TIME_UNKNOWN &&
	    !lun_timestamp_is_infinite(event->recorded_at) &&
	    !lun_timestamp_is_moment(event->recorded_at))
		wrong = "its time is not in the years 1 to 9999";
	if (wrong != NULL)
		code = refuse_row(r, event->position, wrong, err);
	else if (!lun_event_filter_wants(
		     &r->request->filter, event->stream, event->type))
		code = LUN_OK;
	else if (name.failed || !lun_batch_add(r->batch, event))
		code = lun_pg_events_no_memory(r->s, err);
	lun_buffer_free(&name);
	return code;
}

bool
lun_pg_event_time(const PGresult *row, int number, int column, int64_t *us)
{
	Oid type = PQftype(row, column);

	if (lun_pg_is_null(row, number, column) || type == LUN_PG_TIMESTAMPTZ ||
	    type == LUN_PG_TIMESTAMP) {
		*us = lun_pg_time(row, number, column);
		return true;
	}
	return lun_timestamp_of_text(lun_pg_bytes(row, number, column), us);
}

/* Also of payloads that nobody wanted, and that were sent all the same. */
bool
lun_pg_reading_is_full(const struct lun_pg_reading *r)
{
	return r->batch->count >= r->request->max_events ||
	       r->unwanted_bytes > r->request->max_bytes ||
	       (r->batch->count > 0 &&
		   r->batch->bytes >= r->request->max_bytes);
}

enum lun_code
lun_pg_read_event(struct lun_pg_reading *r, const PGresult *row,
    struct lun_pg_event *out, struct lun_err *err)
{
	const struct lun_pg_mapping *mapping = r->s->source->mapping;
	struct lun_event *event = &out->event;
	const char *wrong;

	*event = (struct lun_event){
	    .position = lun_pg_event_position(mapping, row),
	    .version = lun_pg_int8(row, 0, LUN_PG_C_VERSION),
	    .id = read_name(row, LUN_PG_C_ID, out->id),
	    .stream = read_name(row, LUN_PG_C_STREAM, out->stream),
	    .type = read_name(row, LUN_PG_C_TYPE, out->type),
	    .data = lun_pg_json(row, 0, LUN_PG_C_DATA),
	    .metadata = lun_pg_json(row, 0, LUN_PG_C_METADATA),
	};
	out->has_key = false;
	out->counted = mapping->contiguous &&
		       !lun_pg_is_null(row, 0, LUN_PG_C_VERSION) &&
		       event->version >= mapping->first_version &&
		       event->version < LUN_PG_VERSION_MOST;
	if (r->tenant_column > 0)
		event->tenant = read_tenant(row, r->tenant_column);
	wrong = check_keys(mapping, row);
	if (wrong == NULL)
		wrong = check_name(event->id);
	if (wrong == NULL)
		wrong = check_name(event->stream);
	if (event->tenant.length > LUN_EVENT_NAME_MAX)
		wrong = "its tenant is too long";
	if (!lun_pg_event_time(
		row, 0, LUN_PG_C_RECORDED_AT, &event->recorded_at))
		wrong = "the text for its time is none such as "
			"2026-11-23T05:32:58Z";
	return wrong == NULL ? LUN_OK
			     : refuse_row(r, event->position, wrong, err);
}

void
lun_pg_reading_advance(struct lun_pg_reading *r, const struct lun_event *event)
{
	struct lun_buffer *anchor = &r->s->state.anchor;

	if (r->rows > 0 &&
	    lun_position_compare(event->position, r->batch->reached) == 0) {
		r->has_rivals = true;
		r->rivals_at = event->position;
	}
	r->rows++;
	r->bytes += lun_event_bytes(event);
	r->batch->reached = event->position;
	lun_buffer_clear(anchor);
	lun_buffer_add_text(anchor, event->id);
}

/* ---- filters in SQL ---------------------------------------------------- */

void
lun_pg_add_types(struct lun_pg_events *s, const struct lun_event_filter *filter)
{
	if (filter->type_count == 0 || s->source->mapping->unwrap)
		return;
	lun_buffer_printf(&s->sql,
	    " AND ((%s)::text COLLATE pg_catalog.\"C\" = ANY ($%zu)) "
	    "IS NOT FALSE",
	    s->source->mapping->expressions[LUN_PG_C_TYPE],
	    s->params.count + 1);
	lun_pg_begin_array(
	    &s->params, LUN_PG_TEXT_ARRAY, filter->type_count + 1);
	for (size_t i = 0; i < filter->type_count; i++)
		lun_pg_element_text(&s->params, filter->types[i]);
	lun_pg_element_text(&s->params, LUN_TEXT(""));
	lun_pg_end_array(&s->params);
}

/* As the column itself compares, so that its index is of use. */
static void
add_equal_in_index(struct lun_pg_events *s, enum lun_pg_column column,
    const char *name, size_t parameter)
{
	switch (s->source->mapping->types[column]) {
	case LUN_PG_TEXT:
	case LUN_PG_VARCHAR:
		lun_buffer_printf(
		    &s->sql, " AND (%s)::text = $%zu", name, parameter);
		break;
	case LUN_PG_BPCHAR:
		lun_buffer_printf(
		    &s->sql, " AND %s = $%zu::bpchar", name, parameter);
		break;
	default:
		break;
	}
}

/* An index on uuids is no use to a text, nor is every text a uuid. */
void
lun_pg_add_equal(struct lun_pg_events *s, enum lun_pg_column column,
    const char *name, struct lun_text text)
{
	char copy[LUN_PG_UUID_SIZE];
	uuid_t uuid;

	if (s->source->mapping->types[column] != LUN_PG_UUID) {
		add_equal_in_index(s, column, name, s->params.count + 1);
		lun_buffer_printf(&s->sql,
		    " AND (%s)::text COLLATE pg_catalog.\"C\" = $%zu",
		    s->source->mapping->expressions[column],
		    s->params.count + 1);
		lun_pg_add_text(&s->params, LUN_PG_TEXT, text);
		return;
	}
	if (text.length == sizeof copy - 1) {
		memcpy(copy, text.bytes, text.length);
		copy[text.length] = '\0';
	}
	if (text.length != sizeof copy - 1 || uuid_parse(copy, uuid) != 0) {
		lun_buffer_add_text(&s->sql, LUN_TEXT(" AND false"));
		return;
	}
	lun_buffer_printf(
	    &s->sql, " AND %s = $%zu::text::uuid", name, s->params.count + 1);
	lun_pg_add_text(&s->params, LUN_PG_TEXT, text);
}

void
lun_pg_add_stream(struct lun_pg_events *s, struct lun_pg_stream stream)
{
	const struct lun_pg_layout *layout = &s->source->mapping->layout;

	lun_pg_add_equal(s, LUN_PG_C_STREAM, layout->stream, stream.name);
	if (layout->realm == NULL)
		return;
	lun_buffer_printf(&s->sql,
	    " AND coalesce((%s)::text COLLATE pg_catalog.\"C\", '') = $%zu",
	    layout->realm, s->params.count + 1);
	lun_pg_add_text(&s->params, LUN_PG_TEXT,
	    stream.realm.length > 0 ? stream.realm : LUN_TEXT(""));
}

void
lun_pg_add_filter(
    struct lun_pg_events *s, const struct lun_event_filter *filter)
{
	lun_pg_add_types(s, filter);
	if (filter->stream.bytes != NULL)
		lun_pg_add_equal(s, LUN_PG_C_STREAM,
		    s->source->mapping->layout.stream, filter->stream);
}
