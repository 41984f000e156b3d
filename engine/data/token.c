/* token.c - a position outside the process, bound to its event store. */

#include "data/token.h"

#include <stdio.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/error.h"

#define FORMAT       '1'
#define STORE_LENGTH 8                  /* digits of the store */
#define PREFIX       (1 + STORE_LENGTH) /* what tokens of a store begin with */
#define SHOWN        60                 /* bytes of what is no token */

static void
format_prefix(const char *identity, char prefix[PREFIX + 1])
{
	XXH64_hash_t hash = XXH3_64bits(identity, strlen(identity));

	snprintf(prefix, PREFIX + 1, "%c%08x", FORMAT, (unsigned)(hash >> 32));
}

void
lun_token_format(const char *identity, struct lun_position position,
    char token[LUN_TOKEN_SIZE])
{
	format_prefix(identity, token);
	token[PREFIX] = '-';
	lun_position_to_hex(position, token + PREFIX + 1);
}

/* One spelling alone, so that tokens sort and compare as they are. */
static bool
is_lower_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

bool
lun_token_is(struct lun_text text)
{
	if (text.length <= PREFIX || text.bytes[PREFIX] != '-')
		return false;
	for (int i = 1; i < PREFIX; i++)
		if (!is_lower_hex(text.bytes[i]))
			return false;
	return true;
}

static enum lun_code
check_store(struct lun_text text, const char *identity, struct lun_err *err)
{
	char prefix[PREFIX + 1];

	format_prefix(identity, prefix);
	if (memcmp(text.bytes, prefix, PREFIX) == 0)
		return LUN_OK;
	return lun_fail(err, LUN_INVALID,
	    "\"%.*s\" is a token of another event store, or of this one "
	    "before it got another identity: those of %s begin with %s",
	    LUN_TEXT_ARG(text), identity[0] != '\0' ? identity : "this one",
	    prefix);
}

/* LUN_OK if it is one, of whatever store. */
static enum lun_code
read_position(
    struct lun_text text, struct lun_position *position, struct lun_err *err)
{
	struct lun_text hex = {
	    text.bytes + PREFIX + 1, text.length - (PREFIX + 1)};
	int shown = text.length < SHOWN ? (int)text.length : SHOWN;

	if (lun_token_is(text) && text.bytes[0] != FORMAT)
		return lun_fail(err, LUN_INVALID,
		    "\"%.*s\" is a token of another format: this Lunette "
		    "knows those that begin with %c",
		    shown, text.bytes, FORMAT);
	if (!lun_token_is(text) || !lun_position_from_hex(hex, position))
		return lun_fail(err, LUN_INVALID,
		    "\"%.*s\" is no token: one is \"%c\" and 8 digits of "
		    "0-9a-f, \"-\" and 32 more",
		    shown, text.bytes, FORMAT);
	return LUN_OK;
}

enum lun_code
lun_token_parse(struct lun_text text, const char *identity,
    struct lun_position *position, struct lun_err *err)
{
	struct lun_position read;
	enum lun_code code = read_position(text, &read, err);

	if (code == LUN_OK)
		code = check_store(text, identity, err);
	if (code == LUN_OK)
		*position = read;
	return code;
}
