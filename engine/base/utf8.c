/* utf8.c - see utf8.h. */

#include "base/utf8.h"

static bool
is_continuation(char byte)
{
	return ((unsigned char)byte & 0xC0) == 0x80;
}

size_t
lun_utf8_length(const char *p, const char *end)
{
	unsigned char lead = (unsigned char)p[0];
	unsigned char next = end - p > 1 ? (unsigned char)p[1] : 0;
	size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;

	if (lead < 0x80)
		return 1;
	if (lead < 0xC2 || lead > 0xF4 || (size_t)(end - p) < length)
		return 0;
	if ((lead == 0xE0 && next < 0xA0) || (lead == 0xED && next > 0x9F) ||
	    (lead == 0xF0 && next < 0x90) || (lead == 0xF4 && next > 0x8F))
		return 0;
	for (size_t i = 1; i < length; i++)
		if (!is_continuation(p[i]))
			return 0;
	return length;
}

bool
lun_utf8_valid(struct lun_text text)
{
	const char *p = text.length > 0 ? text.bytes : "";
	const char *end = p + text.length;
	uint64_t eight;
	size_t length;

	while (p < end) {
		if (text.length >= 8) {
			/* The last eight bytes may overlap those before. */
			const char *at = end - p >= 8 ? p : end - 8;

			memcpy(&eight, at, sizeof eight);
			if ((eight & UINT64_C(0x8080808080808080)) == 0) {
				p = at + 8;
				continue;
			}
		}
		length = (unsigned char)*p < 0x80 ? 1 : lun_utf8_length(p, end);
		if (length == 0)
			return false;
		p += length;
	}
	return true;
}

uint32_t
lun_utf8_point(const char *p, size_t length)
{
	static const unsigned char lead_bits[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
	uint32_t point = (unsigned char)p[0] & lead_bits[length];

	for (size_t i = 1; i < length; i++)
		point = point << 6 | ((unsigned char)p[i] & 0x3F);
	return point;
}

void
lun_utf8_add(struct lun_buffer *out, struct lun_text text)
{
	const char *end = text.bytes + text.length;
	size_t length;

	if (lun_utf8_valid(text)) {
		lun_buffer_add_text(out, text);
		return;
	}
	for (const char *p = text.bytes; p < end; p += length) {
		length = lun_utf8_length(p, end);
		if (length > 0)
			lun_buffer_add(out, p, length);
		else
			lun_buffer_add_text(out, LUN_UTF8_REPLACEMENT);
		length += length == 0;
	}
}

/* Which of the first four bytes are zero, as a number; 16: there are fewer. */
static unsigned
first_zeros(struct lun_text text)
{
	unsigned zeros = 0;

	if (text.length < 4)
		return 16;
	for (int i = 0; i < 4; i++)
		zeros = zeros << 1 | (text.bytes[i] == 0);
	return zeros;
}

static bool
begins_with(struct lun_text text, struct lun_text mark)
{
	return text.length >= mark.length &&
	       memcmp(text.bytes, mark.bytes, mark.length) == 0;
}

/* Every text that is expected here begins with two characters of ASCII. */
const char *
lun_utf8_begin(struct lun_text *text)
{
	const struct lun_text mark = LUN_TEXT("\xef\xbb\xbf");
	unsigned zeros = first_zeros(*text);

	if (begins_with(*text, LUN_TEXT("\xff\xfe\0\0")) ||
	    begins_with(*text, LUN_TEXT("\0\0\xfe\xff")) || zeros == 7 ||
	    zeros == 14)
		return "UTF-32";
	if (begins_with(*text, LUN_TEXT("\xff\xfe")) ||
	    begins_with(*text, LUN_TEXT("\xfe\xff")) || zeros == 5 ||
	    zeros == 10)
		return "UTF-16";
	if (begins_with(*text, mark)) {
		text->bytes += mark.length;
		text->length -= mark.length;
	}
	return NULL;
}
