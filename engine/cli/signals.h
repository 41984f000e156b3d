/*
 * signals.h - SIGINT and SIGTERM as something to look at between two steps.
 */

#ifndef LUN_CLI_SIGNALS_H
#define LUN_CLI_SIGNALS_H

#include <stdbool.h>

#include "lunette.h"

/*
 * Let either end the process at once with CLI_KILLED, also as process 1, for
 * which the kernel would ignore them.
 */
void cli_signals_end_at_once(void);

/*
 * Block both signals for this thread and those started later, and give a
 * descriptor that is readable once one of them has come. The first signal
 * taken makes a second one end the process at once with CLI_KILLED. Only
 * whoever looks at the descriptor now and then may open it: until then nothing
 * ends the process.
 */
enum lun_code cli_signals_open(int *fd, struct lun_err *err) LUN_MUSTCHECK;
void cli_signals_close(int fd);

/* Whether one has come. Its name is written to name if that is not NULL. */
bool cli_signals_came(int fd, const char **name);

/* Wait for one. */
void cli_signals_wait(int fd, const char **name);

#endif
