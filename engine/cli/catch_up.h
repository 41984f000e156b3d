/*
 * catch_up.h - bring registered projections to the head, showing progress.
 */

#ifndef LUN_CLI_CATCH_UP_H
#define LUN_CLI_CATCH_UP_H

#include "cli/command.h"

/* Opens cli->signals. LUN_TIMEOUT if a signal ended it first. */
enum lun_code cli_catch_up(struct cli *cli, struct lun_engine *engine,
    struct lun_err *err) LUN_MUSTCHECK;

#endif
