/*
 * output.h - standard output that knows why it failed.
 *
 * A full disk behind it is a failure like any other, also where argp has
 * written and ends the program.
 */

#ifndef LUN_CLI_OUTPUT_H
#define LUN_CLI_OUTPUT_H

#include <stdbool.h>

/*
 * Before anything is written. At the exit, what has failed is said on standard
 * error, and the status is CLI_FAILED.
 */
bool cli_output_begin(void);

#endif
