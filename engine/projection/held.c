/* held.c - who holds back events that can be seen already. */

#include <stdio.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/utf8.h"
#include "projection/projection.h"

#define LOOK_NS     INT64_C(1000000000) /* writers are given so long to end */
#define SAY_NS      INT64_C(60000000000)
#define COST_FACTOR 100 /* a look takes that part of the time, at most */

static void
report_held_by(struct lun_projection *p, const char *words)
{
	struct lun_board *board = p->around->board;

	pthread_mutex_lock(&board->lock);
	snprintf(p->report.held_by, sizeof p->report.held_by, "%s", words);
	pthread_mutex_unlock(&board->lock);
}

/* Characters that have room; what the server sent may be any bytes. */
static void
shorten(struct lun_text words, char out[LUN_WAITING_SIZE])
{
	struct lun_buffer text = {0};
	size_t length;

	lun_utf8_add(&text, words);
	length = text.failed ? 0 : text.length;
	while (length >= LUN_WAITING_SIZE ||
	       (length > 0 && length < text.length &&
		   ((unsigned char)text.bytes[length] & 0xc0) == 0x80))
		length--;
	snprintf(out, LUN_WAITING_SIZE, "%.*s", (int)length,
	    length > 0 ? text.bytes : "");
	lun_buffer_free(&text);
}

/* By itself, or by the reading that it shares. */
static void
add_held_by(struct lun_projection *p, struct lun_buffer *words)
{
	if (lun_projection_shares(p))
		lun_subscriber_add_held_by(p->subscriber, words);
	else if (p->events != NULL &&
		 lun_event_store_held_by(p->events,
		     lun_buffer_text(&p->cursor_state), words, NULL) != LUN_OK)
		lun_buffer_clear(words);
}

static void
look_who_holds(struct lun_projection *p, int64_t now)
{
	struct lun_held_back *held = &p->held;
	struct lun_buffer words = {0};
	char text[LUN_WAITING_SIZE];
	int64_t cost;

	add_held_by(p, &words);
	shorten(lun_buffer_text(&words), text);
	lun_buffer_free(&words);
	report_held_by(p, text);
	cost = (lun_clock_mono_ns() - now) * COST_FACTOR;
	held->look_ns = now + (cost > LOOK_NS ? cost : LOOK_NS);
	if (text[0] == '\0' ||
	    (held->said_ns != 0 && now < held->said_ns + SAY_NS))
		return;
	held->said_ns = now;
	lun_log(
	    p->around->log, LUN_LOG_WARNING, "%s waits for %s", p->name, text);
}

void
lun_projection_note_held(struct lun_projection *p)
{
	struct lun_held_back *held = &p->held;
	int64_t now = lun_clock_mono_ns();

	if (!p->batch->held || p->batch->count > 0) {
		if (held->look_ns != 0)
			report_held_by(p, "");
		*held = (struct lun_held_back){0};
		return;
	}
	if (held->look_ns == 0)
		held->look_ns = now + LOOK_NS;
	else if (now >= held->look_ns)
		look_who_holds(p, now);
}
