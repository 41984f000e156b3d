/* import_line.c - one line of an import. */

#include "cli/import_line.h"

#include <stddef.h>

#include "base/clock.h"
#include "base/error.h"
#include "json/scan.h"

#define MEMBERS_MAX 16

typedef enum lun_code member_fn(struct lun_append *append,
    const struct lun_json_member *member, struct lun_text string,
    struct lun_err *err);

/* string is the decoded value of a member that is a string, else absent. */
struct known_member {
	const char *name;
	bool required;
	member_fn *take;
};

static enum lun_code
refuse_member(struct lun_err *err, const char *what)
{
	return lun_fail(err, LUN_INVALID, "%s", what);
}

static enum lun_code
take_stream(struct lun_append *append, const struct lun_json_member *member,
    struct lun_text string, struct lun_err *err)
{
	(void)member;
	if (string.bytes == NULL)
		return refuse_member(err, "\"stream\" must be a string");
	append->event.stream = string;
	return LUN_OK;
}

static enum lun_code
take_tenant(struct lun_append *append, const struct lun_json_member *member,
    struct lun_text string, struct lun_err *err)
{
	if (string.bytes == NULL && member->kind != LUN_JSON_NULL)
		return refuse_member(err, "\"tenant\" must be a string");
	append->event.tenant = string;
	return LUN_OK;
}

static enum lun_code
take_type(struct lun_append *append, const struct lun_json_member *member,
    struct lun_text string, struct lun_err *err)
{
	(void)member;
	if (string.bytes == NULL)
		return refuse_member(err, "\"type\" must be a string");
	append->event.type = string;
	return LUN_OK;
}

static enum lun_code
take_data(struct lun_append *append, const struct lun_json_member *member,
    struct lun_text string, struct lun_err *err)
{
	(void)string;
	(void)err;
	append->event.data = member->value;
	return LUN_OK;
}

static enum lun_code
take_metadata(struct lun_append *append, const struct lun_json_member *member,
    struct lun_text string, struct lun_err *err)
{
	(void)string;
	(void)err;
	if (member->kind != LUN_JSON_NULL)
		append->event.metadata = member->value;
	return LUN_OK;
}

static enum lun_code
take_id(struct lun_append *append, const struct lun_json_member *member,
    struct lun_text string, struct lun_err *err)
{
	(void)member;
	if (string.bytes == NULL || string.length == 0)
		return refuse_member(err, "\"id\" must be a string");
	append->event.id = string;
	return LUN_OK;
}

static enum lun_code
take_at(struct lun_append *append, const struct lun_json_member *member,
    struct lun_text string, struct lun_err *err)
{
	int64_t *at = &append->event.recorded_at;

	if (*at != LUN_TIME_UNKNOWN)
		return refuse_member(err, "\"at\" and \"recorded_at\" are one");
	if (member->kind == LUN_JSON_INTEGER) {
		*at = lun_json_integer(member->value);
		if (lun_timestamp_is_moment(*at))
			return LUN_OK;
	} else if (string.bytes != NULL && lun_timestamp_parse(string, at)) {
		return LUN_OK;
	}
	return refuse_member(err,
	    "\"at\" must be a time such as "
	    "\"2026-01-31T12:00:00Z\" or microseconds since "
	    "1970");
}

/* As "events --json" prints it; null where the store did not know: now. */
static enum lun_code
take_recorded_at(struct lun_append *append,
    const struct lun_json_member *member, struct lun_text string,
    struct lun_err *err)
{
	if (member->kind == LUN_JSON_NULL)
		return LUN_OK;
	return take_at(append, member, string, err);
}

static enum lun_code
take_expected_version(struct lun_append *append,
    const struct lun_json_member *member, struct lun_text string,
    struct lun_err *err)
{
	int64_t version = member->kind == LUN_JSON_INTEGER
			      ? lun_json_integer(member->value)
			      : 0;

	(void)string;
	if (version < 1)
		return refuse_member(err,
		    "\"version\" must be the event's place in its stream, "
		    "from 1");
	append->expected_version = version - 1;
	return LUN_OK;
}

/* Where the event stood in the store that it comes from. */
static enum lun_code
ignore_member(struct lun_append *append, const struct lun_json_member *member,
    struct lun_text string, struct lun_err *err)
{
	(void)append;
	(void)member;
	(void)string;
	(void)err;
	return LUN_OK;
}

static const struct known_member known_members[] = {
    {"stream", true, take_stream},
    {"tenant", false, take_tenant},
    {"type", true, take_type},
    {"data", true, take_data},
    {"metadata", false, take_metadata},
    {"id", false, take_id},
    {"at", false, take_at},
    {"recorded_at", false, take_recorded_at},
    {"version", false, take_expected_version},
    {"position", false, ignore_member},
    {"token", false, ignore_member},
};

#define KNOWN (sizeof known_members / sizeof known_members[0])

static enum lun_code
refuse_unknown(
    const struct lun_json_member *members, size_t count, struct lun_err *err)
{
	for (size_t i = 0; i < count; i++) {
		bool known = false;

		for (size_t k = 0; k < KNOWN && !known; k++)
			known = lun_json_find(&members[i], 1,
				    known_members[k].name) != NULL;
		if (!known)
			return lun_fail(err, LUN_INVALID,
			    "there is no member \"%.*s\" in an event",
			    LUN_TEXT_ARG(members[i].key));
	}
	return LUN_OK;
}

/* A string without escapes is used where it stands. */
static struct lun_text
string_of(const struct lun_json_member *member, struct lun_buffer *scratch)
{
	size_t start = scratch->length;

	if (member->kind != LUN_JSON_STRING)
		return LUN_TEXT_NONE;
	if (!member->value_escaped)
		return (struct lun_text){
		    member->value.bytes + 1, member->value.length - 2};
	lun_json_unescape(member->value, scratch);
	if (scratch->failed)
		return LUN_TEXT_NONE;
	return (struct lun_text){
	    scratch->bytes + start, scratch->length - start};
}

static enum lun_code
take_member(const struct known_member *known,
    const struct lun_json_member *members, size_t count,
    struct lun_append *append, struct lun_buffer *scratch, struct lun_err *err)
{
	const struct lun_json_member *member =
	    lun_json_find(members, count, known->name);

	if (member != NULL)
		return known->take(
		    append, member, string_of(member, scratch), err);
	if (!known->required)
		return LUN_OK;
	return lun_fail(err, LUN_INVALID, "\"%s\" is missing", known->name);
}

enum lun_code
cli_import_line(struct lun_text line, struct lun_append *append,
    struct lun_buffer *scratch, struct lun_err *err)
{
	struct lun_json_member members[MEMBERS_MAX];
	size_t count = MEMBERS_MAX;
	enum lun_code code = lun_json_line_members(line, members, &count, err);

	*append = (struct lun_append){
	    .event.recorded_at = LUN_TIME_UNKNOWN,
	    .expected_version = LUN_ANY_VERSION,
	};
	lun_buffer_clear(scratch);
	/* Strings of the event must not move while others are decoded. */
	if (lun_buffer_reserve(scratch, line.length) == NULL)
		return lun_fail(err, LUN_NOMEM, "out of memory");
	if (code == LUN_NOTFOUND)
		return lun_fail(err, LUN_INVALID, "it is not a JSON object");
	if (code == LUN_NOMEM && count > MEMBERS_MAX)
		return lun_fail(err, LUN_INVALID,
		    "it has %zu members; an event has at most %zu", count,
		    KNOWN);
	if (code == LUN_OK)
		code = refuse_unknown(members, count, err);
	for (size_t i = 0; i < KNOWN && code == LUN_OK; i++)
		code = take_member(
		    &known_members[i], members, count, append, scratch, err);
	return code;
}
