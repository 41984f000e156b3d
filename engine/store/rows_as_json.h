/*
 * rows_as_json.h - rows of a model store as JSON, the one form results leave in.
 */

#ifndef LUN_STORE_ROWS_AS_JSON_H
#define LUN_STORE_ROWS_AS_JSON_H

#include "base/buffer.h"
#include "data/row.h"
#include "data/schema.h"
#include "query/query.h"
#include "store/model_store.h"

/* One value; timestamps as text, booleans as true and false. */
void lun_rows_write_value(
    struct lun_buffer *out, const struct lun_value *value);

/*
 * A whole model as an object: id first, then every field in the author's
 * order. whole_json: {"id":..., and the members of the model} (the id of the
 * model stands for a member of that name), or {"id":...,"model":...} if it is
 * no object.
 */
void lun_rows_write_model(struct lun_buffer *out,
    const struct lun_schema *schema, struct lun_text id, struct lun_text row);

/*
 * Run a parsed query and append its rows as a JSON array of objects. On
 * failure out holds an unfinished array.
 */
enum lun_code lun_rows_write_query(struct lun_model_store *store,
    struct lun_key key, const struct lun_schema *schema,
    const struct lun_query *query, struct lun_buffer *out,
    struct lun_err *err) LUN_MUSTCHECK;

#endif
