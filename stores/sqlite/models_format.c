/* models_format.c - what format the tables of a model store have. */

#include <stdio.h>

#include "sql/format.h"
#include "sqlite/models.h"

static enum lun_code
read_format(
    struct sqlite_models *m, struct lun_sql_format *format, struct lun_err *err)
{
	sqlite3_stmt *q = NULL;
	enum lun_code code = LUN_OK;

	code = lun_sqlite_statement(
	    m, "SELECT format, made_by FROM lunette_store", &q, err);
	if (lun_sqlite_next(m, q, &code, err)) {
		format->number = sqlite3_column_int64(q, 0);
		lun_sqlite_copy_column(
		    q, 1, format->made_by, sizeof format->made_by);
	}
	lun_sqlite_done(q);
	return code;
}

enum lun_code
lun_sqlite_check_format(
    struct sqlite_models *m, bool says_one, struct lun_err *err)
{
	struct lun_sql_format stored = {0};
	enum lun_code code = LUN_OK;

	if (says_one)
		code = read_format(m, &stored, err);
	if (code != LUN_OK)
		return code;
	return lun_sql_check_format(
	    &lun_sql_model_form, lun_sqlite_path(&m->c), &stored, err);
}
