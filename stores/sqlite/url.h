/*
 * url.h - the path and the parameters in the URL of a SQLite file.
 *
 * sqlite:PATH counts from the current folder, sqlite:/PATH and sqlite:///PATH
 * from the root. "?" begins parameters; in a path it is written as %3F.
 */

#ifndef LUN_SQLITE_URL_H
#define LUN_SQLITE_URL_H

#include "base/text.h"
#include "lunette.h"

/*
 * rest is the URL without "sqlite:"; *path is to be freed, *query, what stands
 * behind "?", lies in rest.
 */
enum lun_code lun_sqlite_url_split(const char *rest, char **path,
    struct lun_text *query, struct lun_err *err) LUN_MUSTCHECK;

#endif
