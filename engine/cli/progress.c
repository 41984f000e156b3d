/* progress.c - how far a long job is. */

#include "cli/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/format.h"

#define PICTURE_EVERY_NS  100000000LL
#define LINE_EVERY_NS     5000000000LL
#define RATE_OVER_NS      2000000000LL
#define NAME_WIDTH_MAX    28
#define NUMBERS_WIDTH_MAX 52 /* cells for percent, count, rate and time left */
#define PART_NAME_SIZE    128

struct moment {
	int64_t at;
	uint64_t count;
	double done;
};

struct part {
	char name[PART_NAME_SIZE];
	double done, total;
	uint64_t count, parked, skipped;
	double seconds;
	/* The rate is counted from `before`; `mark` is to become it. */
	struct moment first, before, next_before;
};

struct cli_progress {
	struct cli_screen *screen;
	const char *unit;
	int64_t started, drawn;
	struct lun_buffer picture;
	size_t count;
	struct part parts[CLI_PROGRESS_MAX];
};

struct cli_progress *
cli_progress_new(struct cli_screen *screen, const char *unit)
{
	struct cli_progress *progress = calloc(1, sizeof *progress);

	if (progress == NULL)
		return NULL;
	progress->screen = screen;
	progress->unit = unit;
	progress->started = lun_clock_mono_ns();
	progress->drawn = screen->terminal ? 0 : progress->started;
	return progress;
}

void
cli_progress_free(struct cli_progress *progress)
{
	if (progress == NULL)
		return;
	cli_progress_drop(progress);
	lun_buffer_free(&progress->picture);
	free(progress);
}

/* ---- rates ------------------------------------------------------------- */

static void
update_part(struct part *part, const struct cli_part *now_part, int64_t now)
{
	struct moment moment = {now, now_part->count, now_part->done};

	if (part->first.at == 0 || strcmp(part->name, now_part->name) != 0) {
		snprintf(part->name, sizeof part->name, "%s", now_part->name);
		part->first = part->before = part->next_before = moment;
	}
	part->done = now_part->done;
	part->total = now_part->total;
	part->count = now_part->count;
	part->parked = now_part->parked;
	part->skipped = now_part->skipped;
	part->seconds = now_part->seconds;
	if (now - part->next_before.at >= RATE_OVER_NS) {
		part->before = part->next_before;
		part->next_before = moment;
	}
}

static double
rate_since(int64_t then, double before, int64_t now, double amount)
{
	double seconds = (double)(now - then) / 1e9;

	if (seconds <= 0 || amount < before)
		return 0;
	return (amount - before) / seconds;
}

/* Seconds to the end at the present rate; negative: unknown. */
static double
time_left(const struct part *part, int64_t now)
{
	double rate =
	    rate_since(part->before.at, part->before.done, now, part->done);

	if (part->total <= 0 || rate <= 0)
		return -1;
	if (part->done >= part->total)
		return 0;
	return (part->total - part->done) / rate;
}

static unsigned
percent_done(const struct part *part)
{
	if (part->done >= part->total)
		return 100;
	/* Not 100 before the end. */
	return (unsigned)(part->done * 100 / part->total);
}

/* ---- a terminal -------------------------------------------------------- */

static void
add_bar(struct lun_buffer *out, const struct part *part, int width)
{
	double share = part->total > 0 && part->done < part->total
			   ? part->done / part->total
			   : 1.0;
	int full = (int)(share * width);

	lun_buffer_add_byte(out, '[');
	for (int i = 0; i < width; i++)
		lun_buffer_add_byte(out, i < full    ? '='
					 : i == full ? '>'
						     : ' ');
	lun_buffer_add_byte(out, ']');
}

/* " 52%  312,000  218,403/s  0:01 left" */
static void
add_figures(const struct cli_progress *progress, const struct part *part,
    int64_t now, struct lun_buffer *out)
{
	double rate = rate_since(part->before.at, (double)part->before.count,
	    now, (double)part->count);
	double left = time_left(part, now);
	char count[CLI_FORMAT_MAX], per_second[CLI_FORMAT_MAX];
	char clock[CLI_FORMAT_MAX];

	cli_format_count(part->count, count);
	cli_format_count((uint64_t)rate, per_second);
	if (part->total > 0)
		lun_buffer_printf(out, " %3u%%", percent_done(part));
	lun_buffer_printf(
	    out, "  %s %ss  %s/s", count, progress->unit, per_second);
	if (left >= 0)
		lun_buffer_printf(
		    out, "  ETA %s", cli_format_clock(left, clock));
}

static int
name_width(const struct cli_progress *progress)
{
	size_t widest = 0;

	for (size_t i = 0; i < progress->count; i++) {
		size_t length = strlen(progress->parts[i].name);

		widest = length > widest ? length : widest;
	}
	return widest > NAME_WIDTH_MAX ? NAME_WIDTH_MAX : (int)widest;
}

static void
add_picture_line(const struct cli_progress *progress, const struct part *part,
    int64_t now, int columns, struct lun_buffer *out)
{
	int names = name_width(progress);
	int bar = columns - names - NUMBERS_WIDTH_MAX - 4;
	size_t start = out->length;

	lun_buffer_printf(out, "%-*.*s ", names, names, part->name);
	if (part->total > 0 && bar >= 8)
		add_bar(out, part, bar > 40 ? 40 : bar);
	add_figures(progress, part, now, out);
	if (out->length - start > (size_t)columns - 1 && !out->failed)
		out->length = start + (size_t)columns - 1;
	lun_buffer_add_byte(out, '\n');
}

static void
draw_picture(struct cli_progress *progress, int64_t now)
{
	int columns = cli_screen_columns(STDERR_FILENO, 80);

	lun_buffer_clear(&progress->picture);
	for (size_t i = 0; i < progress->count; i++)
		add_picture_line(progress, &progress->parts[i], now, columns,
		    &progress->picture);
	cli_screen_draw(progress->screen, lun_buffer_text(&progress->picture));
}

/* ---- elsewhere --------------------------------------------------------- */

static void
say_lines(struct cli_progress *progress, int64_t now)
{
	for (size_t i = 0; i < progress->count; i++) {
		const struct part *part = &progress->parts[i];

		lun_buffer_clear(&progress->picture);
		add_figures(progress, part, now, &progress->picture);
		cli_screen_say(progress->screen, "%s:%.*s", part->name,
		    LUN_TEXT_ARG(lun_buffer_text(&progress->picture)));
	}
}

/* ---- public ------------------------------------------------------------ */

static struct cli_part
sum_parts(const struct cli_part *parts, size_t count)
{
	struct cli_part sum = {.name = "all"};

	for (size_t i = 0; i < count; i++) {
		sum.done += parts[i].done;
		sum.total += parts[i].total;
		sum.count += parts[i].count;
		sum.parked += parts[i].parked;
		sum.skipped += parts[i].skipped;
	}
	return sum;
}

void
cli_progress_show(
    struct cli_progress *progress, const struct cli_part *parts, size_t count)
{
	bool terminal = progress->screen->terminal;
	int64_t now = lun_clock_mono_ns();
	struct cli_part sum;

	if (count > (terminal ? 16 : CLI_PROGRESS_MAX)) {
		sum = sum_parts(parts, count);
		parts = &sum;
		count = 1;
	}
	progress->count = count;
	for (size_t i = 0; i < count; i++)
		update_part(&progress->parts[i], &parts[i], now);
	if (now - progress->drawn <
	    (terminal ? PICTURE_EVERY_NS : LINE_EVERY_NS))
		return;
	progress->drawn = now;
	if (terminal)
		draw_picture(progress, now);
	else
		say_lines(progress, now);
}

static void
add_set_aside(struct lun_buffer *out, uint64_t count, const char *word)
{
	char text[CLI_FORMAT_MAX];

	if (count > 0)
		lun_buffer_printf(
		    out, ", %s %s", cli_format_count(count, text), word);
}

/* "orders: 4 events in 0.1 s (40/s), 1 skipped" */
static void
say_end(struct cli_progress *progress, const struct part *part, double seconds)
{
	struct lun_buffer *out = &progress->picture;
	char count[CLI_FORMAT_MAX], span[CLI_FORMAT_MAX], rate[CLI_FORMAT_MAX];

	if (part->seconds > 0)
		seconds = part->seconds;
	lun_buffer_clear(out);
	lun_buffer_printf(out, "%s %s%s in %s (%s/s)",
	    cli_format_count(part->count, count), progress->unit,
	    part->count == 1 ? "" : "s", cli_format_span(seconds, span),
	    cli_format_count(
		seconds > 0 ? (uint64_t)((double)part->count / seconds) : 0,
		rate));
	add_set_aside(out, part->skipped, "skipped");
	add_set_aside(out, part->parked, "parked");
	cli_screen_say(progress->screen, "%s: %.*s", part->name,
	    LUN_TEXT_ARG(lun_buffer_text(out)));
}

void
cli_progress_finish(struct cli_progress *progress)
{
	double seconds =
	    (double)(lun_clock_mono_ns() - progress->started) / 1e9;

	cli_progress_drop(progress);
	for (size_t i = 0; i < progress->count; i++)
		say_end(progress, &progress->parts[i], seconds);
}

void
cli_progress_drop(struct cli_progress *progress)
{
	cli_screen_draw(progress->screen, LUN_TEXT_NONE);
}
