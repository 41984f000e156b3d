/*
 * json_path.h - the value at a path inside a JSON document.
 */

#ifndef LUN_QUERY_JSON_PATH_H
#define LUN_QUERY_JSON_PATH_H

#include "base/buffer.h"
#include "base/text.h"
#include "data/row.h"

/*
 * Follow object keys, outermost first, through a valid document: a text, an
 * integer, a number or a boolean as itself, an object or array as
 * LUN_VALUE_JSON, null and nothing at all as LUN_VALUE_NULL. Text in the value
 * is borrowed from json or, where it held escapes, from scratch, which is
 * cleared first. False when out of memory.
 */
bool lun_json_path_value(struct lun_text json, const struct lun_text *path,
    size_t path_length, struct lun_buffer *scratch,
    struct lun_value *value) LUN_MUSTCHECK;

#endif
