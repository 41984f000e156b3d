/*
 * scan.h - looking at JSON text without building anything.
 *
 * The one definition of what Lunette accepts as JSON (RFC 8259, and stricter):
 * UTF-8 without surrogates, no lone surrogate escapes, no duplicate keys in an
 * object, nesting of at most LUN_JSON_DEPTH_MAX, nothing but white space after
 * the value. A number without fraction and exponent must fit a 64-bit integer
 * (it is refused rather than rounded), any other a finite double.
 * Writing JSON is write.h.
 */

#ifndef LUN_JSON_SCAN_H
#define LUN_JSON_SCAN_H

#include "base/buffer.h"
#include "base/text.h"
#include "lunette.h"
#include "json/write.h"

#define LUN_JSON_DEPTH_MAX 100

/* LUN_INVALID says what is wrong "at byte N"; the first is byte 1. */
enum lun_code lun_json_check(
    struct lun_text json, struct lun_err *err) LUN_MUSTCHECK;

enum lun_json_kind {
	LUN_JSON_NULL,
	LUN_JSON_FALSE,
	LUN_JSON_TRUE,
	LUN_JSON_INTEGER, /* no fraction or exponent, and fits 64 bits */
	LUN_JSON_NUMBER,  /* any other number; "-0" is one */
	LUN_JSON_STRING,
	LUN_JSON_ARRAY,
	LUN_JSON_OBJECT,
};

struct lun_json_member {
	struct lun_text key;     /* decoded if plain, else raw: see below */
	bool key_escaped;        /* key still holds escapes (raw, no quotes) */
	enum lun_json_kind kind; /* of the value */
	bool value_escaped;      /* a string value that holds escapes */
	struct lun_text value; /* raw text of the value; strings with quotes */
};

/*
 * Check a document whose top value is an object and list its members in
 * order, borrowed from json. members has room for *count; if there are more,
 * the call fails with LUN_NOMEM and *count says how many (it is left alone if
 * memory really ran out). LUN_NOTFOUND if the top value is valid but no
 * object. LUN_INVALID as above.
 */
enum lun_code lun_json_members(struct lun_text json,
    struct lun_json_member *members, size_t *count,
    struct lun_err *err) LUN_MUSTCHECK;

/* ---- in JSON that is known to be valid --------------------------------- */

/* The member with this (decoded) key, or NULL. */
const struct lun_json_member *lun_json_find(
    const struct lun_json_member *members, size_t count, const char *key);

/* The elements of a valid array, one by one: *rest starts as the array. */
bool lun_json_next_element(
    struct lun_text *rest, struct lun_text *element, enum lun_json_kind *kind);

/* The members of a valid object in the same way. */
bool lun_json_next_member(
    struct lun_text *rest, struct lun_json_member *member);

/* Append a valid string's bytes: a value with its quotes or a raw key. */
void lun_json_unescape(struct lun_text literal, struct lun_buffer *out);

/* The number in valid JSON of kind LUN_JSON_INTEGER or LUN_JSON_NUMBER. */
int64_t lun_json_integer(struct lun_text number);
double lun_json_number(struct lun_text number);

bool lun_utf8_valid(struct lun_text text);

#endif
