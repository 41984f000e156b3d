/* format.c - what form the tables of a store have. */

#include "sql/format.h"

#include <inttypes.h>

const struct lun_sql_form lun_sql_model_form = {
    LUN_MODEL_FORMAT, "build the models anew in another place"};
const struct lun_sql_form lun_sql_events_form = {
    LUN_EVENTS_FORMAT, "append the events to a new store"};

bool
lun_sql_is_older(
    const struct lun_sql_form *form, const struct lun_sql_format *stored)
{
	return stored->number > 0 && stored->number < form->number;
}

enum lun_code
lun_sql_check_format(const struct lun_sql_form *form, const char *store,
    const struct lun_sql_format *stored, struct lun_err *err)
{
	if (stored->number == form->number)
		return LUN_OK;
	if (stored->number > form->number)
		return lun_fail(err, LUN_CONFIG,
		    "%s: is of format %" PRId64 ", made by Lunette %s; this is "
		    "Lunette %s, which reads format %" PRId64 ": use that one",
		    store, stored->number, stored->made_by, lun_version(),
		    form->number);
	if (lun_sql_is_older(form, stored))
		return lun_fail(err, LUN_CONFIG,
		    "%s: is of format %" PRId64 ", this Lunette reads %" PRId64
		    ": \"lunette run\" upgrades it",
		    store, stored->number, form->number);
	return lun_fail(err, LUN_CONFIG,
	    "%s: its tables were made before stores said what format they "
	    "have, "
	    "and nothing of that was released: %s",
	    store, form->way_out);
}

enum lun_code
lun_sql_refuse_upgrade(const struct lun_sql_form *form, const char *store,
    const struct lun_sql_format *stored, const char *projection,
    const char *owner, struct lun_err *err)
{
	return lun_fail(err, LUN_OWNED,
	    "%s: is of format %" PRId64 ", and cannot be upgraded to %" PRId64
	    " while projection \"%s\" is run by %s: stop that engine first",
	    store, stored->number, form->number, projection, owner);
}
