/* write.c - scalar values as JSON text. */

#include "json/write.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/locale.h"
#include "base/utf8.h"

#define INTEGER_SIZE 20 /* "-9223372036854775808" */

/* ---- strings ----------------------------------------------------------- */

static bool
is_plain(char byte)
{
	return (unsigned char)byte >= 0x20 && (unsigned char)byte < 0x80 &&
	       byte != '"' && byte != '\\';
}

/* How many bytes at p need no escape and are UTF-8. */
static size_t
plain_length(const char *p, const char *end)
{
	const char *start = p;
	size_t length;

	while (p < end) {
		if (is_plain(*p)) {
			p++;
			continue;
		}
		length =
		    (unsigned char)*p >= 0x80 ? lun_utf8_length(p, end) : 0;
		if (length == 0)
			break;
		p += length;
	}
	return (size_t)(p - start);
}

static void
write_escape(struct lun_buffer *out, char byte)
{
	static const char letters[] = "\"\"\\\\\bb\ff\nn\rr\tt";
	static const char hex[] = "0123456789abcdef";
	char escape[6] = {'\\', 'u', '0', '0'};

	for (const char *letter = letters; *letter != '\0'; letter += 2)
		if (*letter == byte) {
			escape[1] = letter[1];
			lun_buffer_add(out, escape, 2);
			return;
		}
	escape[4] = hex[(unsigned char)byte >> 4];
	escape[5] = hex[byte & 15];
	lun_buffer_add(out, escape, sizeof escape);
}

void
lun_json_write_string(struct lun_buffer *out, struct lun_text text)
{
	const char *p = text.bytes;
	const char *end = p + text.length;

	lun_buffer_add_byte(out, '"');
	while (p < end) {
		size_t plain = plain_length(p, end);

		lun_buffer_add(out, p, plain);
		p += plain;
		if (p < end && (unsigned char)*p < 0x80)
			write_escape(out, *p++);
		else if (p++ < end)
			lun_buffer_add_text(out, LUN_UTF8_REPLACEMENT);
	}
	lun_buffer_add_byte(out, '"');
}

/* ---- numbers ----------------------------------------------------------- */

void
lun_json_write_integer(struct lun_buffer *out, int64_t value)
{
	char text[INTEGER_SIZE];
	uint64_t left = (uint64_t)value;
	size_t at = sizeof text;

	if (value < 0)
		left = -left;
	do {
		text[--at] = (char)('0' + left % 10);
		left /= 10;
	} while (left > 0);
	if (value < 0)
		text[--at] = '-';
	lun_buffer_add(out, text + at, sizeof text - at);
}

/*
 * Most numbers people keep have a few decimals. If the number times a power
 * of ten is an integer of at most 15 digits that divides back to it, those
 * are its shortest digits. False if it is not one of these.
 */
static bool
write_short_decimal(struct lun_buffer *out, double value)
{
	static const double powers[] = {1e0, 1e1, 1e2, 1e3, 1e4};
	double size = fabs(value);
	char decimals[5];
	int64_t digits;

	for (int places = 0; places <= 4; places++) {
		double scaled = nearbyint(size * powers[places]);

		if (scaled >= 1e15)
			return false;
		if (scaled / powers[places] != size)
			continue;
		digits = (int64_t)scaled;
		if (signbit(value))
			lun_buffer_add_byte(out, '-');
		lun_json_write_integer(out, digits / (int64_t)powers[places]);
		digits %= (int64_t)powers[places];
		decimals[0] = '.';
		for (int i = places; i > 0; i--, digits /= 10)
			decimals[i] = (char)('0' + digits % 10);
		lun_buffer_add(out, decimals, (size_t)places + 1);
		if (places == 0)
			lun_buffer_add_byte(out, '0');
		return true;
	}
	return false;
}

/* 15 digits always survive the way to a double and back; 17 always suffice. */
void
lun_json_shortest(char text[LUN_JSON_NUMBER_SIZE], double value)
{
	int precision = fabs(value) < DBL_MIN ? 1 : 15;
	locale_t outer = lun_locale_enter();

	do
		snprintf(text, LUN_JSON_NUMBER_SIZE, "%.*g", precision, value);
	while (strtod(text, NULL) != value && precision++ < 17);
	lun_locale_leave(outer);
}

void
lun_json_write_number(struct lun_buffer *out, double value)
{
	char text[LUN_JSON_NUMBER_SIZE];

	if (write_short_decimal(out, value))
		return;
	lun_json_shortest(text, value);
	lun_buffer_add_text(out, lun_text_of(text));
	if (strpbrk(text, ".e") == NULL)
		lun_buffer_add_text(out, LUN_TEXT(".0"));
}
