/* position_fuzz.c - any text as a position and as a token, and back. */

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "data/position.h"
#include "data/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_hex(struct lun_text text)
{
	char hex[LUN_POSITION_HEX_SIZE];
	struct lun_position position, again;

	if (!lun_position_from_hex(text, &position))
		return;
	assert(text.length == LUN_POSITION_HEX_SIZE - 1);
	lun_position_to_hex(position, hex);
	assert(lun_position_from_hex(lun_text_of(hex), &again));
	assert(lun_position_compare(position, again) == 0);
}

static void
check_decimal(struct lun_text text)
{
	char decimal[LUN_POSITION_TEXT_MAX];
	struct lun_position position, again;

	if (!lun_position_from_decimal(text, &position))
		return;
	assert(position.hi == 0 && position.lo <= INT64_MAX);
	lun_position_to_decimal(position, decimal);
	assert(lun_position_from_decimal(lun_text_of(decimal), &again));
	assert(lun_position_compare(position, again) == 0);
}

/* A token is taken by the store that gave it, and by no other. */
static void
check_token(struct lun_text text)
{
	char token[LUN_TOKEN_SIZE];
	struct lun_position position;
	struct lun_err err = {0};
	enum lun_code code = lun_token_parse(text, "here", &position, &err);

	assert(code == LUN_OK || code == LUN_INVALID);
	assert((code == LUN_OK) == (err.message[0] == '\0'));
	if (code != LUN_OK)
		return;
	assert(lun_token_is(text));
	assert(lun_token_parse(text, "there", &position, NULL) != LUN_OK);
	lun_token_format("here", position, token);
	assert(lun_text_equal(lun_text_of(token), text));
}

/* Whatever sixteen bytes say, its token comes back. */
static void
check_position(const uint8_t *data, size_t size)
{
	struct lun_position position = {0}, again;
	char token[LUN_TOKEN_SIZE];

	if (size < sizeof position)
		return;
	memcpy(&position, data, sizeof position);
	lun_token_format("here", position, token);
	assert(lun_token_parse(lun_text_of(token), "here", &again, NULL) ==
	       LUN_OK);
	assert(lun_position_compare(position, again) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lun_text text = {(const char *)data, size};

	check_hex(text);
	check_decimal(text);
	check_token(text);
	check_position(data, size);
	return 0;
}
