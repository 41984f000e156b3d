/*
 * help.h - the words around the options: overview and descriptions.
 */

#ifndef LUN_CLI_HELP_H
#define LUN_CLI_HELP_H

#include "base/buffer.h"
#include "cli/command.h"

/*
 * What argp prints around the options: the part before them, a vertical tab,
 * the part after them. NULL: of the program.
 */
void cli_help_text(const struct cli_command *command, struct lun_buffer *out);

/* What `lunette` alone prints. */
void cli_help_overview(struct lun_buffer *out);

/* All of the tables, or one command's, as docs/operations.md describes them. */
void cli_help_json(struct lun_buffer *out);
void cli_help_command_json(
    const struct cli_command *command, struct lun_buffer *out);

#endif
