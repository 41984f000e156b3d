/*
 * format.h - what form the tables of a store have.
 *
 * A store says it of itself, with the version of Lunette that made it. Whoever
 * changes a table raises the number, gives each store a step from the form there
 * was, and adds a dump of the new one to spec/stores/formats.
 */

#ifndef LUN_SQL_FORMAT_H
#define LUN_SQL_FORMAT_H

#include "base/error.h"

#define LUN_MODEL_FORMAT  3
#define LUN_EVENTS_FORMAT 1

/* As it is stored: 0 where nothing is said, in tables older than formats. */
struct lun_sql_format {
	int64_t number;
	char made_by[24];
};

/* What this Lunette reads, and what to do with tables that it cannot. */
struct lun_sql_form {
	int64_t number;
	const char *way_out;
};
extern const struct lun_sql_form lun_sql_model_form, lun_sql_events_form;

/* What makes tables of the next format out of those of this one. */
struct lun_sql_step {
	int64_t from;
	const char *sql;
};

/* There is a step from it. */
bool lun_sql_is_older(
    const struct lun_sql_form *form, const struct lun_sql_format *stored);
/* LUN_CONFIG unless it is the one that this Lunette reads. */
enum lun_code lun_sql_check_format(const struct lun_sql_form *form,
    const char *store, const struct lun_sql_format *stored,
    struct lun_err *err) LUN_MUSTCHECK;
/* LUN_OWNED: an engine would not notice that the tables are others now. */
enum lun_code lun_sql_refuse_upgrade(const struct lun_sql_form *form,
    const char *store, const struct lun_sql_format *stored,
    const char *projection, const char *owner, struct lun_err *err);

#endif
