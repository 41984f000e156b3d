/*
 * json_answer.h - the JSON objects in which an engine answers.
 *
 * Between "{" and "}" that the caller adds, each call adds one member. Keys
 * are plain words of our own.
 */

#ifndef LUN_API_JSON_ANSWER_H
#define LUN_API_JSON_ANSWER_H

#include "base/buffer.h"
#include "data/event.h"
#include "store/event_store.h"

void lun_answer_key(struct lun_buffer *out, const char *key);
/* Absent text is null. */
void lun_answer_text(
    struct lun_buffer *out, const char *key, struct lun_text value);
/* "" is null: there is nothing to say. */
void lun_answer_words(
    struct lun_buffer *out, const char *key, const char *value);
void lun_answer_integer(struct lun_buffer *out, const char *key, int64_t value);
void lun_answer_bool(struct lun_buffer *out, const char *key, bool value);
/* LUN_TIME_UNKNOWN is null, the ends of time are "infinity" and "-infinity". */
void lun_answer_time(struct lun_buffer *out, const char *key, int64_t us);
/* "committed_at"; 0 stands for never and is null. */
void lun_answer_commit_time(struct lun_buffer *out, int64_t us);
/*
 * Text that is JSON already; absent is null. Line breaks, which stand between
 * tokens alone, become spaces.
 */
void lun_answer_json(
    struct lun_buffer *out, const char *key, struct lun_text json);
void lun_answer_position(struct lun_buffer *out, const char *key,
    struct lun_event_store *events, struct lun_position position);
/* identity "": not known, and the token is null. */
void lun_answer_token(struct lun_buffer *out, const char *key,
    const char *identity, struct lun_position position);
/*
 * The members of an event, position first. Data that is not JSON is its text,
 * and the member data_error says why; metadata likewise.
 */
void lun_answer_event(struct lun_buffer *out, struct lun_event_store *events,
    const struct lun_event *event);

/* Hand the finished text to a caller who frees it; out is emptied. */
enum lun_code lun_answer_give(struct lun_buffer *out, char **json,
    const char *what, struct lun_err *err) LUN_MUSTCHECK;

#endif
