/*
 * screen.h - standard error, shared by lines that stay (log, failures) and a
 * picture at its end that is drawn over (progress). Any thread may say a line.
 */

#ifndef LUN_CLI_SCREEN_H
#define LUN_CLI_SCREEN_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "lunette.h"

struct cli_screen {
	pthread_mutex_t lock;
	bool terminal;
	struct lun_buffer picture; /* what is drawn; lines end in newlines */
	enum lun_log_level level;  /* log lines above it are left out */
};

void cli_screen_init(struct cli_screen *screen);
void cli_screen_fini(struct cli_screen *screen);

/* Columns of a terminal; `otherwise` if fd is none. */
int cli_screen_columns(int fd, int otherwise);

/* A line of its own, or some, as they may be shown: see printable.h. */
void cli_screen_say(struct cli_screen *screen, const char *fmt, ...)
    LUN_PRINTF(2, 3);

/* A lun_log_fn; arg is the screen. */
void cli_screen_log(void *arg, enum lun_log_level level, const char *message);

/* Draw over the last picture. */
void cli_screen_draw(struct cli_screen *screen, struct lun_text picture);

#endif
