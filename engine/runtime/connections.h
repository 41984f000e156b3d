/*
 * connections.h - who may have how many connections to the event store.
 *
 * Each handle to events is a connection. An engine has one for itself, one that
 * is told of new events, one that reads the tail for all who are live, and one
 * that appends; the others are for those who catch up and for readers.
 */

#ifndef LUN_RUNTIME_CONNECTIONS_H
#define LUN_RUNTIME_CONNECTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "settings/settings.h"

struct lun_connections {
	size_t slots;   /* of those who catch up, at most one for each core */
	size_t readers; /* at most as many as the setting says */
	bool are_few;   /* so that there are less of one or the other */
};

/* LUN_CONFIG if the setting connections is too low for any engine. */
enum lun_code lun_connections_share(const struct lun_settings *settings,
    struct lun_connections *out, struct lun_err *err) LUN_MUSTCHECK;

#endif
