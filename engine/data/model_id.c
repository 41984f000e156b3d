/* model_id.c - the key of a model. */

#include "data/model_id.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/error.h"

struct lun_text
lun_model_id_of_integer(int64_t integer, char digits[LUN_MODEL_ID_DIGITS + 1])
{
	int length =
	    snprintf(digits, LUN_MODEL_ID_DIGITS + 1, "%" PRId64, integer);

	return (struct lun_text){digits, (size_t)length};
}

static bool
has_integer_form(struct lun_text id)
{
	size_t sign = id.length > 0 && id.bytes[0] == '-';

	if (id.length == sign || id.length > LUN_MODEL_ID_DIGITS)
		return false;
	return id.bytes[sign] != '0' || id.length == 1;
}

bool
lun_model_id_integer(struct lun_text id, int64_t *integer)
{
	bool negative = id.length > 0 && id.bytes[0] == '-';
	int64_t sum = 0;

	if (!has_integer_form(id))
		return false;
	/* Below zero there is one number more. */
	for (size_t i = negative; i < id.length; i++) {
		int digit = id.bytes[i] - '0';

		if (digit < 0 || digit > 9 ||
		    __builtin_mul_overflow(sum, 10, &sum) ||
		    __builtin_sub_overflow(sum, digit, &sum))
			return false;
	}
	if (!negative && sum == INT64_MIN)
		return false;
	*integer = negative ? sum : -sum;
	return true;
}

struct lun_value
lun_model_id_value(const struct lun_schema *schema, struct lun_text id)
{
	struct lun_value value = {.kind = LUN_VALUE_INTEGER};

	if (schema->key_type != LUN_FIELD_INTEGER ||
	    !lun_model_id_integer(id, &value.integer))
		value = (struct lun_value){.kind = LUN_VALUE_TEXT, .text = id};
	return value;
}

/* Both in the one form, where more digits are more. */
static int
compare_integers(struct lun_text a, struct lun_text b)
{
	bool a_negative = a.bytes[0] == '-', b_negative = b.bytes[0] == '-';
	int order;

	if (a_negative != b_negative)
		return a_negative ? -1 : 1;
	order = a.length != b.length ? (a.length > b.length ? 1 : -1)
				     : memcmp(a.bytes, b.bytes, a.length);
	return a_negative ? -order : order;
}

int
lun_model_id_compare(
    const struct lun_schema *schema, struct lun_text a, struct lun_text b)
{
	return schema->key_type == LUN_FIELD_INTEGER ? compare_integers(a, b)
						     : lun_text_compare(a, b);
}

static enum lun_code
check_text(struct lun_text id, struct lun_err *err)
{
	if (id.length == 0)
		return lun_fail(err, LUN_INVALID, "the model id is empty");
	if (id.length > LUN_MODEL_ID_MAX)
		return lun_fail(err, LUN_INVALID,
		    "model id \"%.40s...\" has %zu bytes; at most %d are "
		    "allowed",
		    id.bytes, id.length, LUN_MODEL_ID_MAX);
	if (memchr(id.bytes, '\0', id.length) != NULL)
		return lun_fail(err, LUN_INVALID,
		    "model id \"%.40s\" holds a NUL byte", id.bytes);
	return LUN_OK;
}

enum lun_code
lun_model_id_check(
    const struct lun_schema *schema, struct lun_text id, struct lun_err *err)
{
	int64_t integer;

	if (schema->key_type != LUN_FIELD_INTEGER)
		return check_text(id, err);
	if (lun_model_id_integer(id, &integer))
		return LUN_OK;
	return lun_fail(err, LUN_INVALID,
	    "model id \"%.*s\": the ids of %s are integers, such as 42",
	    id.length < 40 ? (int)id.length : 40, id.bytes, schema->projection);
}
