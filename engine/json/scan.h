/*
 * scan.h - looking at JSON text without building anything.
 *
 * The one definition of what Lunette accepts as JSON (RFC 8259, and stricter):
 * UTF-8 without surrogates, no lone surrogate escapes, no duplicate keys in an
 * object, nesting of at most LUN_JSON_DEPTH_MAX, nothing but white space after
 * the value. A number without fraction and exponent is an integer if it fits 64
 * bits; any other is the double that is nearest. One beyond every double has
 * the form of JSON, but is no value that we write or let in.
 * Writing JSON is write.h.
 */

#ifndef LUN_JSON_SCAN_H
#define LUN_JSON_SCAN_H

#include "base/buffer.h"
#include "base/text.h"
#include "base/utf8.h"
#include "lunette.h"
#include "json/write.h"

#define LUN_JSON_DEPTH_MAX 100

/* LUN_INVALID says what is wrong "at byte N"; the first is byte 1. */
enum lun_code lun_json_check(
    struct lun_text json, struct lun_err *err) LUN_MUSTCHECK;

/*
 * The same for what others have stored: a number may be beyond a double, and
 * only who reads that number fails.
 */
enum lun_code lun_json_check_form(
    struct lun_text json, struct lun_err *err) LUN_MUSTCHECK;

enum lun_json_kind {
	LUN_JSON_NULL,
	LUN_JSON_FALSE,
	LUN_JSON_TRUE,
	LUN_JSON_INTEGER, /* no fraction or exponent, and fits 64 bits */
	LUN_JSON_NUMBER,  /* any other number; "-0" is one; may be infinite */
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
 * Check the form of a document whose top value is an object and list its
 * members in order, borrowed from json. members has room for *count; if there are more,
 * the call fails with LUN_NOMEM and *count says how many (it is left alone if
 * memory really ran out). LUN_NOTFOUND if the top value is valid but no
 * object. LUN_INVALID as above.
 */
enum lun_code lun_json_members(struct lun_text json,
    struct lun_json_member *members, size_t *count,
    struct lun_err *err) LUN_MUSTCHECK;
/* Of an object whose members may be as deep as documents of their own. */
enum lun_code lun_json_line_members(struct lun_text line,
    struct lun_json_member *members, size_t *count,
    struct lun_err *err) LUN_MUSTCHECK;

/*
 * Check the form of the value at which the reader stands, one of a member of the
 * top object, and go behind it. False: it has no valid form.
 */
struct lun_json_reader;
bool lun_json_scan_value(struct lun_json_reader *reader,
    enum lun_json_kind *kind, bool *escaped) LUN_MUSTCHECK;

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

/* LUN_JSON_INTEGER or LUN_JSON_NUMBER. */
enum lun_json_kind lun_json_number_kind(struct lun_text number);

/* Of kind LUN_JSON_INTEGER, and of either kind; the second may be infinite. */
int64_t lun_json_integer(struct lun_text number);
double lun_json_number(struct lun_text number);

/*
 * The greatest whole number that is not above a number of either kind, by all
 * of its digits; exact: they are equal. False if that is beyond 64 bits.
 */
bool lun_json_floor(struct lun_text number, int64_t *whole, bool *exact);

#endif
