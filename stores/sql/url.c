/* url.c - values in the URLs of stores. */

#include "sql/url.h"

#include "base/error.h"
#include "base/suggest.h"

#define KEY_MAX 40

struct lun_text
lun_sql_url_part(struct lun_text *rest, char end)
{
	const char *found =
	    rest->length > 0 ? memchr(rest->bytes, end, rest->length) : NULL;
	struct lun_text taken = *rest;

	if (found == NULL) {
		*rest = LUN_TEXT_NONE;
		return taken;
	}
	taken.length = (size_t)(found - rest->bytes);
	rest->bytes += taken.length + 1;
	rest->length -= taken.length + 1;
	return taken;
}

enum lun_code
lun_sql_url_decode(
    struct lun_text key, struct lun_text value, char **out, struct lun_err *err)
{
	struct lun_buffer decoded = {0};
	char *text;

	for (size_t i = 0; i < value.length; i++) {
		const char *at = value.bytes + i;
		bool escaped = *at == '%' && i + 2 < value.length &&
			       lun_ascii_hex_digit(at[1]) >= 0 &&
			       lun_ascii_hex_digit(at[2]) >= 0;

		lun_buffer_add_byte(
		    &decoded, escaped ? (char)(lun_ascii_hex_digit(at[1]) * 16 +
					       lun_ascii_hex_digit(at[2]))
				      : *at);
		i += escaped ? 2 : 0;
	}
	if (decoded.length > 0 &&
	    memchr(decoded.bytes, '\0', decoded.length) != NULL) {
		lun_buffer_free(&decoded);
		return lun_fail(err, LUN_CONFIG,
		    "%.*s= in the URL has a NUL byte (%%00)",
		    LUN_TEXT_ARG(key));
	}
	text = lun_buffer_take(&decoded);
	if (text == NULL)
		return lun_fail(err, LUN_NOMEM, "URL: out of memory");
	*out = text;
	return LUN_OK;
}

enum lun_code
lun_sql_url_take(struct lun_text pair, const char *const *keys, size_t count,
    char **values, struct lun_err *err)
{
	struct lun_text value = pair;
	struct lun_text key = lun_sql_url_part(&value, '=');
	size_t i = 0;

	while (i < count && !lun_text_equal(key, lun_text_of(keys[i])))
		i++;
	if (i == count)
		return LUN_NOTFOUND;
	if (values[i] != NULL)
		return lun_fail(
		    err, LUN_CONFIG, "%s= is twice in the URL", keys[i]);
	return lun_sql_url_decode(key, value, &values[i], err);
}

static bool
is_word(struct lun_text key)
{
	for (size_t i = 0; i < key.length; i++)
		if (!lun_ascii_alnum(key.bytes[i]) && key.bytes[i] != '_' &&
		    key.bytes[i] != '-')
			return false;
	return key.length > 0 && key.length <= KEY_MAX;
}

enum lun_code
lun_sql_url_refuse(const char *scheme, struct lun_text pair,
    const char *const *keys, size_t count, struct lun_err *err)
{
	struct lun_text key = lun_sql_url_part(&pair, '=');
	struct lun_suggestion suggestion = {0};

	if (!is_word(key))
		return lun_fail(err, LUN_CONFIG,
		    "%s: what stands behind \"?\" in the URL are no "
		    "parameters, key=value; a \"?\" that begins none is "
		    "written as %%3F, a \"&\" as %%26",
		    scheme);
	for (size_t i = 0; i < count; i++)
		lun_suggestion_consider(&suggestion, key, lun_text_of(keys[i]));
	if (suggestion.word.bytes != NULL)
		return lun_fail(err, LUN_CONFIG,
		    "%s: there is no parameter \"%.*s\" of a URL; did you mean "
		    "\"%.*s\"?",
		    scheme, LUN_TEXT_ARG(key), LUN_TEXT_ARG(suggestion.word));
	return lun_fail(err, LUN_CONFIG,
	    "%s: there is no parameter \"%.*s\" of a URL", scheme,
	    LUN_TEXT_ARG(key));
}
