/*
 * json.c - JSON on its way into jsonb and back, unharmed.
 *
 * jsonb sorts keys by their length, puts spaces in, and keeps numbers as
 * decimals: 1e15 would come back as the integer 1000000000000000, and -0.0
 * without its sign. Whole floating-point numbers are sent with a ".0", which
 * it keeps, and -0.0 as 0.00, which nothing else is ever written as.
 */

#include <math.h>
#include <stdlib.h>

#include "postgres/models/models.h"
#include "json/scan.h"

#define DIGITS "+-.eE0123456789"

static bool
begins_number(char c)
{
	return c == '-' || (c >= '0' && c <= '9');
}

static struct lun_text
number_at(const char *at, const char *end)
{
	const char *start = at;

	while (at < end && *at != '\0' && strchr(DIGITS, *at) != NULL)
		at++;
	return (struct lun_text){start, (size_t)(at - start)};
}

/* ---- to the server ----------------------------------------------------- */

void
lun_pg_write_decimal(struct lun_buffer *out, double number)
{
	if (number == 0 && signbit(number)) {
		lun_buffer_add_text(out, LUN_TEXT("0.00"));
	} else if (number == 0x1p63) {
		/* Its shortest digits are less than the greatest integer. */
		lun_buffer_add_text(out, LUN_TEXT("9223372036854775808.0"));
	} else if (number >= -0x1p63 && number < 0x1p63 &&
		   number == (double)(int64_t)number) {
		lun_json_write_integer(out, (int64_t)number);
		lun_buffer_add_text(out, LUN_TEXT(".0"));
	} else {
		lun_json_write_number(out, number);
	}
}

/* Where the next number stands that is written otherwise; end: none. */
static const char *
find_change(const char *at, const char *end, struct lun_text *number)
{
	while (at < end) {
		if (*at == '"') {
			for (at++; *at != '"'; at++)
				at += *at == '\\';
			at++;
		} else if (begins_number(*at)) {
			*number = number_at(at, end);
			if (memchr(at, 'e', number->length) != NULL ||
			    memchr(at, 'E', number->length) != NULL ||
			    lun_text_equal(*number, LUN_TEXT("-0.0")))
				return at;
			at += number->length;
		} else {
			at++;
		}
	}
	return end;
}

struct lun_text
lun_pg_json_to_send(struct lun_text json, struct lun_buffer *scratch)
{
	const char *at = json.bytes, *end = json.bytes + json.length;
	struct lun_text number;
	const char *change = find_change(at, end, &number);

	if (change == end)
		return json;
	lun_buffer_clear(scratch);
	while (change < end) {
		lun_buffer_add(scratch, at, (size_t)(change - at));
		lun_pg_write_decimal(scratch, lun_json_number(number));
		at = change + number.length;
		change = find_change(at, end, &number);
	}
	lun_buffer_add(scratch, at, (size_t)(end - at));
	return lun_buffer_text(scratch);
}

/* ---- from the server --------------------------------------------------- */

struct member {
	struct lun_text key;
	struct lun_text value;
	size_t key_at; /* in the keys, until they are all there */
};

static int
compare_members(const void *a, const void *b)
{
	const struct member *x = a, *y = b;

	return lun_text_compare(x->key, y->key);
}

static void
receive_number(struct lun_text number, struct lun_buffer *out)
{
	if (lun_text_equal(number, LUN_TEXT("0.00")))
		lun_buffer_add_text(out, LUN_TEXT("-0.0"));
	else if (lun_json_number_kind(number) == LUN_JSON_INTEGER)
		lun_buffer_add_text(out, number);
	else
		lun_json_write_number(out, lun_json_number(number));
}

static void
receive_string(
    struct lun_text literal, struct lun_buffer *scratch, struct lun_buffer *out)
{
	if (memchr(literal.bytes, '\\', literal.length) == NULL) {
		lun_buffer_add_text(out, literal);
		return;
	}
	lun_buffer_clear(scratch);
	lun_json_unescape(literal, scratch);
	out->failed |= scratch->failed;
	lun_json_write_string(out, lun_buffer_text(scratch));
}

static void receive_value(
    struct lun_text json, int depth, struct lun_buffer *out);

static size_t
count_members(struct lun_text object)
{
	struct lun_json_member member;
	size_t count = 0;

	while (lun_json_next_member(&object, &member))
		count++;
	return count;
}

static void
sort_members(struct lun_text object, struct member *members, size_t count,
    struct lun_buffer *keys)
{
	struct lun_json_member member;

	for (size_t i = 0; lun_json_next_member(&object, &member); i++) {
		members[i].value = member.value;
		members[i].key_at = keys->length;
		lun_json_unescape(member.key, keys);
		members[i].key.length = keys->length - members[i].key_at;
	}
	if (keys->failed)
		return;
	for (size_t i = 0; i < count; i++)
		members[i].key.bytes = keys->bytes + members[i].key_at;
	qsort(members, count, sizeof *members, compare_members);
}

static void
receive_object(struct lun_text object, int depth, struct lun_buffer *out)
{
	size_t count = count_members(object);
	struct member *members = calloc(count + 1, sizeof *members);
	struct lun_buffer keys = {0};

	(void)lun_buffer_reserve(&keys, 1);
	if (members != NULL)
		sort_members(object, members, count, &keys);
	out->failed |= members == NULL || keys.failed;
	lun_buffer_add_byte(out, '{');
	for (size_t i = 0; !out->failed && i < count; i++) {
		if (i > 0)
			lun_buffer_add_byte(out, ',');
		lun_json_write_string(out, members[i].key);
		lun_buffer_add_byte(out, ':');
		receive_value(members[i].value, depth + 1, out);
	}
	lun_buffer_add_byte(out, '}');
	lun_buffer_free(&keys);
	free(members);
}

static void
receive_array(struct lun_text array, int depth, struct lun_buffer *out)
{
	struct lun_text element;
	enum lun_json_kind kind;
	bool first = true;

	lun_buffer_add_byte(out, '[');
	while (lun_json_next_element(&array, &element, &kind)) {
		if (!first)
			lun_buffer_add_byte(out, ',');
		first = false;
		receive_value(element, depth + 1, out);
	}
	lun_buffer_add_byte(out, ']');
}

/* Deeper than anything of ours it is copied: somebody else wrote it. */
static void
receive_value(struct lun_text json, int depth, struct lun_buffer *out)
{
	struct lun_buffer scratch = {0};

	if (depth > LUN_JSON_DEPTH_MAX)
		lun_buffer_add_text(out, json);
	else if (json.bytes[0] == '{')
		receive_object(json, depth, out);
	else if (json.bytes[0] == '[')
		receive_array(json, depth, out);
	else if (json.bytes[0] == '"')
		receive_string(json, &scratch, out);
	else if (begins_number(json.bytes[0]))
		receive_number(json, out);
	else
		lun_buffer_add_text(out, json);
	lun_buffer_free(&scratch);
}

void
lun_pg_json_received(struct lun_text json, struct lun_buffer *out)
{
	lun_buffer_clear(out);
	if (json.length > 0)
		receive_value(json, 0, out);
}
