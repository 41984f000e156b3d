/* requests.c - see requests.h. */

#include "sql/requests.h"

static const char *const kind_names[] = {
    [LUN_REQUEST_PAUSE] = "pause",
    [LUN_REQUEST_RESUME] = "resume",
    [LUN_REQUEST_REBUILD] = "rebuild",
    [LUN_REQUEST_RETRY] = "retry",
    [LUN_REQUEST_DISCARD] = "discard",
    [LUN_REQUEST_SET_CHECKPOINT] = "set_checkpoint",
    [LUN_REQUEST_DELETE_CHECKPOINT] = "delete_checkpoint",
    [LUN_REQUEST_ADOPT_CHECKPOINT] = "adopt_checkpoint",
};
#define KIND_COUNT (sizeof kind_names / sizeof kind_names[0])

const char *
lun_sql_request_kind_name(enum lun_request_kind kind)
{
	return kind_names[kind];
}

bool
lun_sql_request_kind(struct lun_text name, enum lun_request_kind *kind)
{
	for (size_t i = 0; i < KIND_COUNT; i++)
		if (lun_text_equal(name, lun_text_of(kind_names[i]))) {
			*kind = (enum lun_request_kind)i;
			return true;
		}
	return false;
}

enum lun_code
lun_sql_request_outcome(struct lun_text name)
{
	for (int i = LUN_OK; i <= LUN_NOMEM; i++)
		if (lun_text_equal(
			name, lun_text_of(lun_code_name((enum lun_code)i))))
			return (enum lun_code)i;
	return LUN_IO;
}
