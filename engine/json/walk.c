/* walk.c - looking around in JSON that is known to be valid. */

#include "json/scan.h"
#include "json/token.h"

/* Does a string body with escapes mean this text? */
static bool
means_text(struct lun_text body, struct lun_text text)
{
	char unit[4];

	while (body.length > 0) {
		size_t size = lun_json_unescape_one(&body, unit);

		if (size > text.length || memcmp(unit, text.bytes, size) != 0)
			return false;
		text.bytes += size;
		text.length -= size;
	}
	return text.length == 0;
}

const struct lun_json_member *
lun_json_find(
    const struct lun_json_member *members, size_t count, const char *key)
{
	struct lun_text text = lun_text_of(key);

	for (size_t i = 0; i < count; i++) {
		if (members[i].key_escaped
			? means_text(members[i].key, text)
			: lun_text_equal(members[i].key, text))
			return &members[i];
	}
	return NULL;
}

static const char *
skip_string(const char *p, bool *escaped)
{
	*escaped = false;
	for (p++; *p != '"'; p++)
		if (*p == '\\') {
			*escaped = true;
			p++;
		}
	return p + 1;
}

static const char *
skip_container(const char *p)
{
	size_t open = 0;
	bool escaped;

	for (;;) {
		if (*p == '"') {
			p = skip_string(p, &escaped);
			continue;
		}
		if (*p == '[' || *p == '{')
			open++;
		if ((*p == ']' || *p == '}') && --open == 0)
			return p + 1;
		p++;
	}
}

static const char *
skip_number(const char *p, const char *end)
{
	while (p < end && *p != '\0' && strchr("+-.eE0123456789", *p) != NULL)
		p++;
	return p;
}

/* Take the value that begins here. */
static void
take_json_value(struct lun_json_reader *in, struct lun_text *text,
    enum lun_json_kind *kind, bool *escaped)
{
	const char *start = in->at;

	*escaped = false;
	switch (*start) {
	case '"':
		*kind = LUN_JSON_STRING;
		in->at = skip_string(start, escaped);
		break;
	case '[':
	case '{':
		*kind = *start == '[' ? LUN_JSON_ARRAY : LUN_JSON_OBJECT;
		in->at = skip_container(start);
		break;
	case 't':
	case 'n':
		*kind = *start == 't' ? LUN_JSON_TRUE : LUN_JSON_NULL;
		in->at += 4;
		break;
	case 'f':
		*kind = LUN_JSON_FALSE;
		in->at += 5;
		break;
	default:
		in->at = skip_number(start, in->end);
		break;
	}
	*text = (struct lun_text){start, (size_t)(in->at - start)};
	if (*start == '-' || (*start >= '0' && *start <= '9'))
		*kind = lun_json_number_kind(*text);
}

/* To the next item of a container, which may begin here. */
static bool
enter_item(struct lun_json_reader *in, char opening, char closing)
{
	if (!lun_json_take(in, ',') && !lun_json_take(in, opening))
		return false;
	lun_json_skip_space(in);
	return in->at < in->end && *in->at != closing;
}

static void
leave_item(const struct lun_json_reader *in, struct lun_text *rest)
{
	*rest = (struct lun_text){in->at, (size_t)(in->end - in->at)};
}

bool
lun_json_next_element(
    struct lun_text *rest, struct lun_text *element, enum lun_json_kind *kind)
{
	struct lun_json_reader in = lun_json_read(*rest);
	bool escaped;

	if (!enter_item(&in, '[', ']'))
		return false;
	take_json_value(&in, element, kind, &escaped);
	leave_item(&in, rest);
	return true;
}

bool
lun_json_next_member(struct lun_text *rest, struct lun_json_member *member)
{
	struct lun_json_reader in = lun_json_read(*rest);
	const char *key;

	if (!enter_item(&in, '{', '}'))
		return false;
	key = in.at + 1;
	in.at = skip_string(in.at, &member->key_escaped);
	member->key = (struct lun_text){key, (size_t)(in.at - key) - 1};
	lun_json_skip_space(&in);
	in.at++;
	lun_json_skip_space(&in);
	take_json_value(
	    &in, &member->value, &member->kind, &member->value_escaped);
	leave_item(&in, rest);
	return true;
}

void
lun_json_unescape(struct lun_text literal, struct lun_buffer *out)
{
	char *end;

	/* A raw key cannot begin with a quote. */
	if (literal.length > 0 && literal.bytes[0] == '"') {
		literal.bytes++;
		literal.length -= 2;
	}
	end = lun_buffer_reserve(out, literal.length);
	if (end != NULL)
		out->length += lun_json_unescape_body(literal, end);
}

static struct lun_json_number
number_in(struct lun_text text)
{
	struct lun_json_reader in = lun_json_read(text);
	struct lun_json_number number;

	if (!lun_json_read_number(&in, &number))
		return (struct lun_json_number){0};
	return number;
}

enum lun_json_kind
lun_json_number_kind(struct lun_text number)
{
	return number_in(number).integer ? LUN_JSON_INTEGER : LUN_JSON_NUMBER;
}

int64_t
lun_json_integer(struct lun_text number)
{
	size_t negative = number.length > 0 && number.bytes[0] == '-';
	uint64_t value = 0;

	for (size_t i = negative; i < number.length; i++)
		value = value * 10 + (uint64_t)(number.bytes[i] - '0');
	return (int64_t)(negative ? -value : value);
}

double
lun_json_number(struct lun_text number)
{
	struct lun_json_number read = number_in(number);

	return lun_json_double_of(&read);
}

/* The digits before the point, if the exponent were not there. */
static int64_t
count_whole_digits(struct lun_text number)
{
	int64_t count = 0;

	for (size_t i = number.bytes[0] == '-'; i < number.length; i++, count++)
		if (number.bytes[i] < '0' || number.bytes[i] > '9')
			break;
	return count;
}

/* Take one more digit into a sum that is not above 0; there lies one more. */
static bool
add_digit(int64_t *sum, int digit)
{
	return !__builtin_mul_overflow(*sum, 10, sum) &&
	       !__builtin_sub_overflow(*sum, digit, sum);
}

bool
lun_json_floor(struct lun_text text, int64_t *whole, bool *exact)
{
	struct lun_json_number number = number_in(text);
	int64_t point = count_whole_digits(text) + number.power;
	int64_t sum = 0, at = 0;

	*exact = true;
	for (size_t i = number.negative; i < text.length; i++) {
		int digit = text.bytes[i] - '0';

		if ((text.bytes[i] | 0x20) == 'e')
			break;
		if (text.bytes[i] == '.')
			continue;
		if (at++ >= point)
			*exact = *exact && digit == 0;
		else if (!add_digit(&sum, digit))
			return false;
	}
	for (; sum != 0 && at < point; at++)
		if (!add_digit(&sum, 0))
			return false;
	if (number.negative) {
		*whole = sum;
		return *exact || !__builtin_sub_overflow(sum, 1, whole);
	}
	*whole = sum == INT64_MIN ? 0 : -sum;
	return sum != INT64_MIN;
}
