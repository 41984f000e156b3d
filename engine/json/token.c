/* token.c - the words of JSON: strings, numbers, literals. */

#include "json/token.h"

#include <endian.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "json/scan.h"

#define MANTISSA_DIGITS 19 /* any such number fits 64 bits */
#define SHORT_DIGITS    18 /* a signed one too */
#define EXACT_MANTISSA  (UINT64_C(1) << 53)
#define EXACT_POWER     22 /* 10^22 is the last exact power in a double */

/*
 * So many significant digits decide which double is the nearest, together with
 * whether anything but zeros follows them: no middle of two doubles has more.
 */
#define DECIDING_DIGITS 800

/* Far outside of any double, and far inside of 64 bits. */
#define POWER_MAX INT64_C(100000000000000000)

/* What is in another encoding goes wrong within two bytes. */
static const char *
name_encoding(const struct lun_json_reader *reader, const char *expected)
{
	struct lun_text text = {
	    reader->start, (size_t)(reader->end - reader->start)};

	if (reader->at > reader->start + 1)
		return expected;
	if (lun_utf8_begin(&text) != NULL)
		return "UTF-16 or UTF-32, and not UTF-8";
	return text.bytes != reader->start ? "a byte order mark" : expected;
}

bool
lun_json_unexpected(struct lun_json_reader *reader, const char *expected)
{
	lun_json_skip_space(reader);
	if (reader->at == reader->end)
		expected = "the text ends too early";
	else
		expected = name_encoding(reader, expected);
	return lun_json_fault(reader, reader->at, expected);
}

bool
lun_json_read_end(struct lun_json_reader *reader)
{
	lun_json_skip_space(reader);
	if (reader->at == reader->end)
		return true;
	return lun_json_fault(reader, reader->at, "something after the value");
}

bool
lun_json_read_word(struct lun_json_reader *reader, struct lun_text word)
{
	if ((size_t)(reader->end - reader->at) < word.length ||
	    memcmp(reader->at, word.bytes, word.length) != 0)
		return lun_json_fault(reader, reader->at, "unknown word");
	reader->at += word.length;
	return true;
}

/* ---- UTF-8 ------------------------------------------------------------- */

static size_t
write_utf8(unsigned point, char *out)
{
	if (point < 0x80) {
		out[0] = (char)point;
		return 1;
	}
	if (point < 0x800) {
		out[0] = (char)(0xC0 | point >> 6);
		out[1] = (char)(0x80 | (point & 0x3F));
		return 2;
	}
	if (point < 0x10000) {
		out[0] = (char)(0xE0 | point >> 12);
		out[1] = (char)(0x80 | (point >> 6 & 0x3F));
		out[2] = (char)(0x80 | (point & 0x3F));
		return 3;
	}
	out[0] = (char)(0xF0 | point >> 18);
	out[1] = (char)(0x80 | (point >> 12 & 0x3F));
	out[2] = (char)(0x80 | (point >> 6 & 0x3F));
	out[3] = (char)(0x80 | (point & 0x3F));
	return 4;
}

/* ---- strings ----------------------------------------------------------- */

/*
 * Where among eight bytes the first quote, backslash, control or non-ASCII
 * byte is; 8: nowhere. A borrow only disturbs bytes above the first hit.
 */
static int
find_special(const char *p)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	const uint64_t tops = UINT64_C(0x8080808080808080);
	uint64_t eight, quote, backslash, hits;

	memcpy(&eight, p, sizeof eight);
	eight = le64toh(eight);
	quote = eight ^ ones * '"';
	backslash = eight ^ ones * '\\';
	hits = (eight | (eight - ones * 0x20) | (quote - ones) |
		   (backslash - ones)) &
	       tops;
	return hits != 0 ? __builtin_ctzll(hits) / 8 : 8;
}

static bool
is_plain_ascii(char byte)
{
	unsigned char c = (unsigned char)byte;

	return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

#ifdef __SSE2__
/* The same of sixteen bytes at once; 16: nowhere. */
static int
find_special_sse2(const char *p)
{
	__m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)p);
	__m128i quotes = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"'));
	__m128i backslashes = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'));
	/* As signed bytes, those that are not ASCII are below a space too. */
	__m128i others = _mm_cmplt_epi8(bytes, _mm_set1_epi8(' '));
	int hits = _mm_movemask_epi8(
	    _mm_or_si128(others, _mm_or_si128(quotes, backslashes)));

	return hits != 0 ? __builtin_ctz((unsigned)hits) : 16;
}
#endif

static const char *
skip_plain(const char *p, const char *end)
{
#ifdef __SSE2__
	while (end - p >= 16) {
		int plain = find_special_sse2(p);

		p += plain;
		if (plain < 16)
			return p;
	}
#endif
	while (end - p >= 8) {
		int plain = find_special(p);

		p += plain;
		if (plain < 8)
			return p;
	}
	while (p < end && is_plain_ascii(*p))
		p++;
	return p;
}

/* The four digits after "\u", or -1. */
static int
read_four_hex(const char *p, const char *end)
{
	int value = 0;

	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		int digit = lun_ascii_hex_digit(p[i]);

		if (digit < 0)
			return -1;
		value = value * 16 + digit;
	}
	return value;
}

static bool
is_high_surrogate(int unit)
{
	return unit >= 0xD800 && unit <= 0xDBFF;
}

static bool
is_low_surrogate(int unit)
{
	return unit >= 0xDC00 && unit <= 0xDFFF;
}

static bool
read_unicode_escape(struct lun_json_reader *reader)
{
	const char *p = reader->at;
	int unit = read_four_hex(p + 2, reader->end);

	if (unit < 0)
		return lun_json_fault(reader, p, "\\u without four hex digits");
	reader->at = p + 6;
	if (is_low_surrogate(unit))
		return lun_json_fault(reader, p, "lone surrogate");
	if (!is_high_surrogate(unit))
		return true;
	if (reader->end - p < 12 || p[6] != '\\' || p[7] != 'u' ||
	    !is_low_surrogate(read_four_hex(p + 8, reader->end)))
		return lun_json_fault(reader, p, "lone surrogate");
	reader->at = p + 12;
	return true;
}

static bool
read_escape(struct lun_json_reader *reader)
{
	const char *p = reader->at;

	if (reader->end - p < 2)
		return lun_json_fault(
		    reader, reader->end, "the string does not end");
	if (p[1] == 'u')
		return read_unicode_escape(reader);
	if (p[1] == '\0' || strchr("\"\\/bfnrt", p[1]) == NULL)
		return lun_json_fault(reader, p, "unknown escape");
	reader->at = p + 2;
	return true;
}

/* Whatever skip_plain() stopped at inside a string. */
static bool
read_special(struct lun_json_reader *reader)
{
	const char *p = reader->at;
	size_t length;

	if (p == reader->end)
		return lun_json_fault(reader, p, "the string does not end");
	if (*p == '\\')
		return read_escape(reader);
	if ((unsigned char)*p < 0x20)
		return lun_json_fault(
		    reader, p, "raw control character in a string");
	length = lun_utf8_length(p, reader->end);
	if (length == 0)
		return lun_json_fault(reader, p, "invalid UTF-8");
	reader->at = p + length;
	return true;
}

bool
lun_json_read_string(
    struct lun_json_reader *reader, struct lun_text *body, bool *escaped)
{
	const char *start = ++reader->at;

	*escaped = false;
	for (;;) {
		reader->at = skip_plain(reader->at, reader->end);
		if (reader->at < reader->end && *reader->at == '"')
			break;
		if (reader->at < reader->end && *reader->at == '\\')
			*escaped = true;
		if (!read_special(reader))
			return false;
	}
	*body = (struct lun_text){start, (size_t)(reader->at - start)};
	reader->at++;
	return true;
}

static char
unescape_letter(char letter)
{
	switch (letter) {
	case 'b':
		return '\b';
	case 'f':
		return '\f';
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	default:
		return letter;
	}
}

size_t
lun_json_unescape_one(struct lun_text *body, char out[4])
{
	const char *p = body->bytes;
	const char *end = p + body->length;
	unsigned point;
	size_t taken = 1;

	if (p[0] != '\\') {
		out[0] = p[0];
	} else if (p[1] != 'u') {
		out[0] = unescape_letter(p[1]);
		taken = 2;
	} else {
		point = (unsigned)read_four_hex(p + 2, end);
		taken = 6;
		if (is_high_surrogate((int)point)) {
			point = 0x10000 + ((point - 0xD800) << 10) +
				((unsigned)read_four_hex(p + 8, end) - 0xDC00);
			taken = 12;
		}
	}
	body->bytes += taken;
	body->length -= taken;
	return taken < 6 ? 1 : write_utf8(point, out);
}

size_t
lun_json_unescape_body(struct lun_text body, char *out)
{
	size_t length = 0;
	char unit[4];

	while (body.length > 0) {
		size_t size = lun_json_unescape_one(&body, unit);

		memcpy(out + length, unit, size);
		length += size;
	}
	return length;
}

/* ---- numbers ----------------------------------------------------------- */

static bool
is_digit(const char *p, const char *end)
{
	return p < end && *p >= '0' && *p <= '9';
}

/* Take a run of digits in; scale is what each adds to the exponent. */
static const char *
take_digits(
    struct lun_json_number *number, const char *p, const char *end, int scale)
{
	for (; is_digit(p, end); p++) {
		number->exponent += scale;
		if (number->digits < MANTISSA_DIGITS) {
			number->mantissa =
			    number->mantissa * 10 + (uint64_t)(*p - '0');
			number->digits += number->mantissa != 0;
		} else {
			number->exponent++;
			number->cut = true;
		}
	}
	return p;
}

static const char *
take_power(struct lun_json_number *number, const char *p, const char *end)
{
	int64_t power = 0;

	for (; is_digit(p, end); p++)
		if (power < POWER_MAX)
			power = power * 10 + (*p - '0');
	number->power = power;
	return p;
}

static bool
read_fraction(struct lun_json_reader *reader, struct lun_json_number *number)
{
	const char *p = reader->at + 1;

	if (!is_digit(p, reader->end))
		return lun_json_fault(
		    reader, p, "digits expected after the decimal point");
	number->integer = false;
	reader->at = take_digits(number, p, reader->end, -1);
	return true;
}

static bool
read_power(struct lun_json_reader *reader, struct lun_json_number *number)
{
	const char *p = reader->at + 1;
	bool negative = p < reader->end && *p == '-';

	if (p < reader->end && (*p == '-' || *p == '+'))
		p++;
	if (!is_digit(p, reader->end))
		return lun_json_fault(
		    reader, p, "digits expected in the exponent");
	number->integer = false;
	reader->at = take_power(number, p, reader->end);
	if (negative)
		number->power = -number->power;
	number->exponent += number->power;
	return true;
}

static bool
read_whole_part(struct lun_json_reader *reader, struct lun_json_number *number)
{
	const char *p = reader->at;

	if (number->negative)
		p++;
	if (!is_digit(p, reader->end))
		return lun_json_fault(reader, p, "digits expected");
	if (*p == '0' && is_digit(p + 1, reader->end))
		return lun_json_fault(
		    reader, p, "a number must not begin with 0");
	reader->at = take_digits(number, p, reader->end, 0);
	return true;
}

/* A plain integer of few digits, as most numbers are, without the checks. */
static bool
read_short_integer(
    struct lun_json_reader *reader, struct lun_json_number *number)
{
	const char *p = reader->at, *end = reader->end;
	uint64_t value = 0;

	if (end - p > SHORT_DIGITS)
		end = p + SHORT_DIGITS;
	for (; is_digit(p, end); p++)
		value = value * 10 + (uint64_t)(*p - '0');
	if (p == reader->at || p == end || *p == '.' || (*p | 0x20) == 'e' ||
	    (*reader->at == '0' && p - reader->at > 1))
		return false;
	*number = (struct lun_json_number){
	    .text = {reader->at, (size_t)(p - reader->at)},
	    .integer = true,
	    .digits = (int)(p - reader->at),
	    .mantissa = value};
	reader->at = p;
	return true;
}

bool
lun_json_read_number(
    struct lun_json_reader *reader, struct lun_json_number *number)
{
	const char *start = reader->at;

	if (read_short_integer(reader, number))
		return true;
	*number = (struct lun_json_number){
	    .negative = *start == '-', .integer = true};
	number->text.bytes = start;
	if (!read_whole_part(reader, number))
		return false;
	if (reader->at < reader->end && *reader->at == '.' &&
	    !read_fraction(reader, number))
		return false;
	if (reader->at < reader->end &&
	    (*reader->at == 'e' || *reader->at == 'E') &&
	    !read_power(reader, number))
		return false;
	number->text.length = (size_t)(reader->at - start);
	if (number->cut || (number->negative && number->mantissa == 0) ||
	    number->mantissa > (uint64_t)INT64_MAX + number->negative)
		number->integer = false;
	return true;
}

/* As digits and an exponent, which strtod() reads alike in every locale. */
static double
round_decimal(const struct lun_json_number *number)
{
	char literal[DECIDING_DIGITS + 32];
	const char *end = number->text.bytes + number->text.length;
	int64_t exponent = number->power;
	int length = 0;
	bool in_fraction = false, more = false;

	for (const char *p = number->text.bytes; p < end; p++) {
		if (*p == 'e' || *p == 'E')
			break;
		if (*p == '.')
			in_fraction = true;
		if (!is_digit(p, end))
			continue;
		exponent -= in_fraction;
		if (length == DECIDING_DIGITS) {
			exponent++;
			more = more || *p != '0';
		} else if (length > 0 || *p != '0') {
			literal[length++] = *p;
		}
	}
	snprintf(literal + length, sizeof literal - (size_t)length,
	    "%se%" PRId64, more ? "1" : "", exponent - more);
	return strtod(literal, NULL);
}

/* A mantissa and a power of ten that are exact give one correct rounding. */
static double
scale_exact(uint64_t mantissa, int64_t exponent)
{
	static const double powers[EXACT_POWER + 1] = {1e0, 1e1, 1e2, 1e3, 1e4,
	    1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
	    1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

	if (exponent < 0)
		return (double)mantissa / powers[-exponent];
	return (double)mantissa * powers[exponent];
}

double
lun_json_double_of(const struct lun_json_number *number)
{
	double value;

	if (number->mantissa == 0)
		value = 0;
	else if (!number->cut && number->mantissa <= EXACT_MANTISSA &&
		 number->exponent >= -EXACT_POWER &&
		 number->exponent <= EXACT_POWER)
		value = scale_exact(number->mantissa, number->exponent);
	else
		value = round_decimal(number);
	return number->negative ? -value : value;
}

bool
lun_json_number_fits(const struct lun_json_number *number)
{
	return number->digits + number->exponent < 300 ||
	       isfinite(lun_json_double_of(number));
}
