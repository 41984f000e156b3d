/* screen.c - lines and a picture on standard error. */

#include "cli/screen.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/printable.h"

#define LINE_MAX_BYTES 4096

static const char *const level_names[] = {
    [LUN_LOG_ERROR] = "error",
    [LUN_LOG_WARNING] = "warning",
    [LUN_LOG_INFO] = "info",
    [LUN_LOG_DEBUG] = "debug",
};

void
cli_screen_init(struct cli_screen *screen)
{
	pthread_mutex_init(&screen->lock, NULL);
	screen->terminal = isatty(STDERR_FILENO) == 1;
	screen->level = LUN_LOG_WARNING;
}

void
cli_screen_fini(struct cli_screen *screen)
{
	lun_buffer_free(&screen->picture);
	pthread_mutex_destroy(&screen->lock);
}

int
cli_screen_columns(int fd, int otherwise)
{
	struct winsize size;

	if (isatty(fd) != 1)
		return otherwise;
	if (ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
		return 80;
	return size.ws_col;
}

static void
erase_picture(const struct cli_screen *screen)
{
	for (size_t i = 0; i < screen->picture.length; i++)
		if (screen->picture.bytes[i] == '\n')
			fputs("\033[A\033[2K", stderr);
}

static void
show_picture(const struct cli_screen *screen)
{
	if (screen->picture.length > 0)
		fwrite(
		    screen->picture.bytes, 1, screen->picture.length, stderr);
}

static void
print_line(struct cli_screen *screen, const char *line)
{
	pthread_mutex_lock(&screen->lock);
	erase_picture(screen);
	fprintf(stderr, "%s\n", line);
	show_picture(screen);
	pthread_mutex_unlock(&screen->lock);
}

void
cli_screen_say(struct cli_screen *screen, const char *fmt, ...)
{
	char line[LINE_MAX_BYTES];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof line, fmt, args);
	va_end(args);
	lun_printable_mask(line);
	lun_printable_lines(line, sizeof line);
	print_line(screen, line);
}

void
cli_screen_log(void *arg, enum lun_log_level level, const char *message)
{
	struct cli_screen *screen = arg;
	char time[LUN_TIMESTAMP_LENGTH + 1];

	if (level > screen->level)
		return;
	lun_timestamp_format(lun_clock_wall_us(), time);
	/* To the millisecond. */
	memcpy(time + 23, "Z", 2);
	cli_screen_say(screen, "%s %-7s %s", time, level_names[level], message);
}

void
cli_screen_draw(struct cli_screen *screen, struct lun_text picture)
{
	pthread_mutex_lock(&screen->lock);
	erase_picture(screen);
	lun_buffer_clear(&screen->picture);
	lun_buffer_add_text(&screen->picture, picture);
	show_picture(screen);
	pthread_mutex_unlock(&screen->lock);
}
