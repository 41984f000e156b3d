/* json_answer.c - the JSON objects in which an engine answers. */

#include "api/json_answer.h"

#include "base/clock.h"
#include "base/error.h"
#include "data/token.h"
#include "json/scan.h"

/* Hand a finished JSON text to the caller. */
enum lun_code
lun_answer_give(
    struct lun_buffer *out, char **json, const char *what, struct lun_err *err)
{
	char *text = lun_buffer_take(out);

	if (text == NULL)
		return lun_fail(err, LUN_NOMEM, "%s: out of memory", what);
	*json = text;
	return LUN_OK;
}

void
lun_answer_key(struct lun_buffer *out, const char *key)
{
	if (out->length > 0 && out->bytes[out->length - 1] != '{')
		lun_buffer_add_byte(out, ',');
	lun_buffer_printf(out, "\"%s\":", key);
}

void
lun_answer_text(struct lun_buffer *out, const char *key, struct lun_text value)
{
	lun_answer_key(out, key);
	if (value.bytes == NULL)
		lun_buffer_add_text(out, LUN_TEXT("null"));
	else
		lun_json_write_string(out, value);
}

/* "" means that there is nothing to say. */
void
lun_answer_words(struct lun_buffer *out, const char *key, const char *value)
{
	lun_answer_text(
	    out, key, value[0] != '\0' ? lun_text_of(value) : LUN_TEXT_NONE);
}

void
lun_answer_integer(struct lun_buffer *out, const char *key, int64_t value)
{
	lun_answer_key(out, key);
	lun_json_write_integer(out, value);
}

void
lun_answer_bool(struct lun_buffer *out, const char *key, bool value)
{
	lun_answer_key(out, key);
	lun_buffer_add_text(out, value ? LUN_TEXT("true") : LUN_TEXT("false"));
}

/* 0 stands for never. */
void
lun_answer_time(struct lun_buffer *out, const char *key, int64_t us)
{
	char text[LUN_TIMESTAMP_LENGTH + 1] = "";

	if (lun_timestamp_is_infinite(us)) {
		lun_answer_words(out, key, us > 0 ? "infinity" : "-infinity");
		return;
	}
	if (lun_timestamp_is_moment(us))
		lun_timestamp_format(us, text);
	lun_answer_words(out, key, text);
}

void
lun_answer_commit_time(struct lun_buffer *out, int64_t us)
{
	lun_answer_time(out, "committed_at", us != 0 ? us : LUN_TIME_UNKNOWN);
}

void
lun_answer_json(struct lun_buffer *out, const char *key, struct lun_text json)
{
	size_t start;

	lun_answer_key(out, key);
	start = out->length;
	lun_utf8_add(out, json.bytes != NULL ? json : LUN_TEXT("null"));
	if (out->failed)
		return;
	for (char *at = out->bytes + start; at < out->bytes + out->length; at++)
		if (*at == '\n' || *at == '\r')
			*at = ' ';
}

void
lun_answer_position(struct lun_buffer *out, const char *key,
    struct lun_event_store *events, struct lun_position position)
{
	char text[LUN_POSITION_MAX];

	lun_event_store_format_position(events, position, text);
	lun_answer_words(out, key, text);
}

void
lun_answer_token(struct lun_buffer *out, const char *key, const char *identity,
    struct lun_position position)
{
	char token[LUN_TOKEN_SIZE] = "";

	if (identity[0] != '\0')
		lun_token_format(identity, position, token);
	lun_answer_words(out, key, token);
}

/* ---- events ------------------------------------------------------------ */

/* What somebody stored may not be JSON: then its text is, and why it is not. */
static void
add_document(struct lun_buffer *out, const char *key, const char *error_key,
    struct lun_text json)
{
	struct lun_err err;
	enum lun_code code =
	    json.bytes != NULL ? lun_json_check_form(json, &err) : LUN_OK;

	if (code == LUN_OK) {
		lun_answer_json(out, key, json);
		return;
	}
	out->failed |= code == LUN_NOMEM;
	lun_answer_key(out, key);
	lun_json_write_string(out, json);
	lun_answer_words(out, error_key, err.message);
}

void
lun_answer_event(struct lun_buffer *out, struct lun_event_store *events,
    const struct lun_event *event)
{
	lun_answer_position(out, "position", events, event->position);
	lun_answer_text(out, "id", event->id);
	if (event->tenant.bytes != NULL)
		lun_answer_text(out, "tenant", event->tenant);
	lun_answer_text(out, "stream", event->stream);
	lun_answer_integer(out, "version", event->version);
	lun_answer_text(out, "type", event->type);
	lun_answer_time(out, "recorded_at", event->recorded_at);
	add_document(out, "data", "data_error", event->data);
	add_document(out, "metadata", "metadata_error", event->metadata);
}
