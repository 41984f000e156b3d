/*
 * model_id.h - the key of a model.
 *
 * In the engine a model id is bytes: a text as it is, an integer in one
 * decimal form. Only SQL and results know it as a number.
 */

#ifndef LUN_DATA_MODEL_ID_H
#define LUN_DATA_MODEL_ID_H

#include <stdint.h>

#include "base/text.h"
#include "data/row.h"
#include "data/schema.h"

#define LUN_MODEL_ID_MAX    1000 /* bytes of one */
#define LUN_MODEL_ID_DIGITS 20   /* bytes of the longest integer */

/* What an integer key is called; the bytes are those of `digits`. */
struct lun_text lun_model_id_of_integer(
    int64_t integer, char digits[LUN_MODEL_ID_DIGITS + 1]);

/*
 * The way back. False for anything but the form of the function above: no "+",
 * no "-0", no zeros or spaces in front, nothing beyond 64 bits.
 */
bool lun_model_id_integer(struct lun_text id, int64_t *integer);

/* The value of the column "id"; a text is borrowed. */
struct lun_value lun_model_id_value(
    const struct lun_schema *schema, struct lun_text id);

/* The order of the keys of a schema: by number, or by bytes. */
int lun_model_id_compare(
    const struct lun_schema *schema, struct lun_text a, struct lun_text b);

/*
 * Whether the bytes are a key of this schema: a text of 1 to LUN_MODEL_ID_MAX
 * bytes without NUL, or an integer in its form. LUN_INVALID says what is wrong.
 */
enum lun_code lun_model_id_check(const struct lun_schema *schema,
    struct lun_text id, struct lun_err *err) LUN_MUSTCHECK;

#endif
