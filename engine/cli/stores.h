/*
 * stores.h - opening what a command works on, from the chosen settings.
 */

#ifndef LUN_CLI_STORES_H
#define LUN_CLI_STORES_H

#include "cli/command.h"
#include "lunette.h"
#include "store/event_store.h"

/* Which URLs a command cannot do without. */
enum cli_need {
	CLI_NEED_BOTH,
	CLI_NEED_EVENTS, /* models are kept in memory and forgotten */
	CLI_NEED_MODELS,
};

/*
 * A URL that is missing is misuse: it is said how to give it. Stores that are
 * absent are made by the commands whose table entry says so, and that is said.
 */
enum lun_code cli_open_engine(struct cli *cli, enum cli_need need,
    struct lun_engine **engine, struct lun_err *err) LUN_MUSTCHECK;

/* The event store alone, for writing to it. */
enum lun_code cli_open_events(struct cli *cli, struct lun_event_store **events,
    struct lun_err *err) LUN_MUSTCHECK;

#endif
