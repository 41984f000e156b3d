/*
 * template.h - what `lunette new` writes.
 */

#ifndef LUN_CLI_TEMPLATE_H
#define LUN_CLI_TEMPLATE_H

#include "base/buffer.h"

/* Every NAME in them stands for the projection's name. */
extern const char cli_template_script[];
extern const char cli_template_spec[];

void cli_template_fill(
    const char *text, const char *projection, struct lun_buffer *out);

#endif
