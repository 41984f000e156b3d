/*
 * signals.h - SIGINT and SIGTERM as something to look at between two steps.
 */

#ifndef LUN_CLI_SIGNALS_H
#define LUN_CLI_SIGNALS_H

#include <stdbool.h>

#include "lunette.h"

/*
 * Block both signals for this thread and those started later, and give a
 * descriptor that is readable once one of them has come. The first signal
 * taken makes a second one end the process at once with CLI_KILLED.
 */
enum lun_code cli_signals_open(int *fd, struct lun_err *err) LUN_MUSTCHECK;
void cli_signals_close(int fd);

/* Whether one has come. Its name is written to name if that is not NULL. */
bool cli_signals_came(int fd, const char **name);

/* Wait for one. */
void cli_signals_wait(int fd, const char **name);

#endif
