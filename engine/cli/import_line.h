/*
 * import_line.h - one line of an import: JSON to an event.
 */

#ifndef LUN_CLI_IMPORT_LINE_H
#define LUN_CLI_IMPORT_LINE_H

#include "base/buffer.h"
#include "lunette.h"
#include "store/event_store.h"

/* A line may hold data and metadata of the largest size. */
#define CLI_IMPORT_LINE_MAX (2 * LUN_EVENT_BYTES_MAX + 65536)

/*
 * {"stream","type","data"[,"metadata","id","at","version","tenant"]} and what
 * else "events --json" prints. The event's
 * texts are borrowed from line and scratch, which is cleared first.
 * LUN_INVALID says what is wrong with which member.
 */
enum lun_code cli_import_line(struct lun_text line, struct lun_append *append,
    struct lun_buffer *scratch, struct lun_err *err) LUN_MUSTCHECK;

#endif
