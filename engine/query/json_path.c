/* json_path.c - the value at a path inside a JSON document. */

#include "query/json_path.h"

#include "json/scan.h"

static bool
is_key(const struct lun_json_member *member, struct lun_text key,
    struct lun_buffer *scratch)
{
	if (!member->key_escaped)
		return lun_text_equal(member->key, key);
	lun_buffer_clear(scratch);
	lun_json_unescape(member->key, scratch);
	return !scratch->failed &&
	       lun_text_equal(lun_buffer_text(scratch), key);
}

/* Replace an object by the value of its member. */
static bool
enter_object(
    struct lun_text *json, struct lun_text key, struct lun_buffer *scratch)
{
	struct lun_json_member member;
	struct lun_text rest = *json;

	while (lun_json_next_member(&rest, &member)) {
		if (is_key(&member, key, scratch)) {
			*json = member.value;
			return true;
		}
		if (scratch->failed)
			return false;
	}
	return false;
}

static struct lun_text
trim_space(struct lun_text json)
{
	const char *space = " \n\r\t";

	while (json.length > 0 && strchr(space, json.bytes[0]) != NULL) {
		json.bytes++;
		json.length--;
	}
	while (json.length > 0 &&
	       strchr(space, json.bytes[json.length - 1]) != NULL)
		json.length--;
	return json;
}

static bool
read_json_text(struct lun_text literal, struct lun_buffer *scratch,
    struct lun_value *value)
{
	value->kind = LUN_VALUE_TEXT;
	value->text = (struct lun_text){literal.bytes + 1, literal.length - 2};
	if (memchr(literal.bytes, '\\', literal.length) == NULL)
		return true;
	lun_buffer_clear(scratch);
	lun_json_unescape(literal, scratch);
	value->text = lun_buffer_text(scratch);
	return !scratch->failed;
}

static bool
read_json_value(
    struct lun_text json, struct lun_buffer *scratch, struct lun_value *value)
{
	switch (json.length > 0 ? json.bytes[0] : 'n') {
	case 'n':
		value->kind = LUN_VALUE_NULL;
		return true;
	case 't':
	case 'f':
		value->kind = LUN_VALUE_BOOLEAN;
		value->integer = json.bytes[0] == 't';
		return true;
	case '"':
		return read_json_text(json, scratch, value);
	case '{':
	case '[':
		value->kind = LUN_VALUE_JSON;
		value->text = json;
		return true;
	default:
		break;
	}
	if (lun_json_number_kind(json) == LUN_JSON_INTEGER) {
		value->kind = LUN_VALUE_INTEGER;
		value->integer = lun_json_integer(json);
	} else {
		value->kind = LUN_VALUE_NUMBER;
		value->number = lun_json_number(json);
	}
	return true;
}

bool
lun_json_path_value(struct lun_text json, const struct lun_text *path,
    size_t path_length, struct lun_buffer *scratch, struct lun_value *value)
{
	json = trim_space(json);
	lun_buffer_clear(scratch);
	for (size_t i = 0; i < path_length; i++)
		if (json.length == 0 || json.bytes[0] != '{' ||
		    !enter_object(&json, path[i], scratch)) {
			value->kind = LUN_VALUE_NULL;
			return !scratch->failed;
		}
	return read_json_value(json, scratch, value);
}
