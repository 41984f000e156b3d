/*
 * requests.h - requests and their outcomes as they are written in a table.
 */

#ifndef LUN_SQL_REQUESTS_H
#define LUN_SQL_REQUESTS_H

#include "store/model_store.h"

const char *lun_sql_request_kind_name(enum lun_request_kind kind);
/* False: no kind has that name. */
bool lun_sql_request_kind(
    struct lun_text name, enum lun_request_kind *kind) LUN_MUSTCHECK;

/* The code of this name; LUN_IO where there is none. */
enum lun_code lun_sql_request_outcome(struct lun_text name);

#endif
