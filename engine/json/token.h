/*
 * token.h - the words of JSON: strings, numbers, literals.
 *
 * What scan.c and walk.c, which build nothing, and decode.c, which builds Lua
 * values, have in common. A function that returns false has set reader->fault and
 * left reader->at where the fault is; nothing here allocates or raises.
 */

#ifndef LUN_JSON_TOKEN_H
#define LUN_JSON_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
#include "lunette.h"

struct lun_json_reader {
	const char *start;
	const char *at;
	const char *end;
	const char *fault; /* what is wrong, or NULL */
};

static inline struct lun_json_reader
lun_json_read(struct lun_text json)
{
	const char *start = json.bytes != NULL ? json.bytes : "";

	return (struct lun_json_reader){
	    .start = start, .at = start, .end = start + json.length};
}

static inline bool
lun_json_fault(
    struct lun_json_reader *reader, const char *at, const char *fault)
{
	reader->at = at;
	reader->fault = fault;
	return false;
}

/* Where the fault is; the first byte is byte 1. */
static inline size_t
lun_json_fault_byte(const struct lun_json_reader *reader)
{
	return (size_t)(reader->at - reader->start) + 1;
}

static inline void
lun_json_skip_space(struct lun_json_reader *reader)
{
	const char *p = reader->at;

	while (p < reader->end &&
	       (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
		p++;
	reader->at = p;
}

/* Skip white space; take the next byte if it is this one. */
static inline bool
lun_json_take(struct lun_json_reader *reader, char byte)
{
	if (reader->at == reader->end || *reader->at != byte)
		lun_json_skip_space(reader);
	if (reader->at == reader->end || *reader->at != byte)
		return false;
	reader->at++;
	return true;
}

/* The fault that something else was expected here. */
bool lun_json_unexpected(
    struct lun_json_reader *reader, const char *expected) LUN_MUSTCHECK;

/* Nothing but white space is left. */
bool lun_json_read_end(struct lun_json_reader *reader) LUN_MUSTCHECK;

/* "true", "false" or "null", whose first letter was seen. */
bool lun_json_read_word(
    struct lun_json_reader *reader, struct lun_text word) LUN_MUSTCHECK;

/* The string at an opening quote; body is what lies between the quotes. */
bool lun_json_read_string(struct lun_json_reader *reader, struct lun_text *body,
    bool *escaped) LUN_MUSTCHECK;

/* Take one byte or escape off a valid string body; the bytes it means. */
size_t lun_json_unescape_one(struct lun_text *body, char out[4]);

/*
 * Take the escapes out of a valid string body. out has room for body.length
 * bytes; the length written is returned.
 */
size_t lun_json_unescape_body(struct lun_text body, char *out);

/* By the last bits of this most different keys can be told apart. */
static inline unsigned
lun_json_key_mix(struct lun_text key)
{
	size_t n = key.length;
	unsigned mix = (unsigned)n;

	if (n > 0)
		mix += 5u * (unsigned char)key.bytes[0] +
		       11u * (unsigned char)key.bytes[n / 2] +
		       23u * (unsigned char)key.bytes[n - 1];
	return mix;
}

/* One bit of 64. */
static inline uint64_t
lun_json_key_bit(struct lun_text key)
{
	return UINT64_C(1) << (lun_json_key_mix(key) & 63);
}

/* A decimal number: mantissa times ten to the exponent. */
struct lun_json_number {
	struct lun_text text;
	bool negative;
	bool integer; /* no fraction, exponent or "-0", and fits 64 bits */
	bool cut;     /* the mantissa holds the first digits only */
	int digits;   /* in the mantissa */
	uint64_t mantissa;
	int64_t exponent;
	int64_t power; /* the part of the exponent written after "e" */
};

bool lun_json_read_number(struct lun_json_reader *reader,
    struct lun_json_number *number) LUN_MUSTCHECK;

static inline int64_t
lun_json_integer_of(const struct lun_json_number *number)
{
	return (
	    int64_t)(number->negative ? -number->mantissa : number->mantissa);
}

/* Rounded to nearest, whatever the locale; an integer too; may be infinite. */
double lun_json_double_of(const struct lun_json_number *number);

/* Whether the number, so rounded, is finite. */
bool lun_json_number_fits(const struct lun_json_number *number);

#endif
