/*
 * log.h - the one way out for messages: the sink the host gave.
 */

#ifndef LUN_BASE_LOG_H
#define LUN_BASE_LOG_H

#include "lunette.h"

struct lun_log {
	lun_log_fn *sink; /* NULL: nobody listens */
	void *arg;
	enum lun_log_level level; /* messages above it are dropped */
};

void lun_log(const struct lun_log *log, enum lun_log_level level,
    const char *fmt, ...) LUN_PRINTF(3, 4);

#endif
