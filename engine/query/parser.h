/*
 * parser.h - what the files that parse a query share, and nobody else.
 *
 * The parser walks a copy of each term that the query owns. Names and values
 * point into that copy; quoted ones are unescaped in place, behind the reader.
 */

#ifndef LUN_QUERY_PARSER_H
#define LUN_QUERY_PARSER_H

#include "query/query.h"

struct lun_query_parser {
	const struct lun_schema *schema;
	struct lun_err *err;
	void *memory;         /* every block of the query so far */
	struct lun_text term; /* as handed in, for messages */
	char *at;             /* what is left of the copy */
	char *end;
	size_t conditions;
	size_t values;
	size_t depth; /* of groups */
};

/* Zeroed memory of the query; NULL after describing LUN_NOMEM in err. */
void *lun_query_allocate(struct lun_query_parser *p, size_t size);

/*
 * Room for one more item behind count: items itself or a larger copy.
 * NULL after describing LUN_NOMEM in err.
 */
void *lun_query_grow(
    struct lun_query_parser *p, void *items, size_t count, size_t size);

/* LUN_INVALID, with the term in front of the message. */
enum lun_code lun_query_fail(struct lun_query_parser *p, const char *fmt, ...)
    LUN_PRINTF(2, 3);

/* As much of a text as belongs into a message. */
struct lun_text lun_query_shown(struct lun_text text);

/* ---- reading ----------------------------------------------------------- */

struct lun_text lun_query_rest(const struct lun_query_parser *p);
void lun_query_skip_spaces(struct lun_query_parser *p);
/* Step over a byte or a word if it is next. */
bool lun_query_take(struct lun_query_parser *p, char byte);
bool lun_query_take_word(struct lun_query_parser *p, const char *word);
/* Step over a byte that has to be next; `after` says behind what. */
enum lun_code lun_query_expect(
    struct lun_query_parser *p, char byte, const char *after) LUN_MUSTCHECK;

/* A text in double quotes; a backslash takes the next byte as it is. */
enum lun_code lun_query_read_quoted(
    struct lun_query_parser *p, struct lun_text *text) LUN_MUSTCHECK;
/* A name, quoted or up to one of . , ( ) = : " or an arrow. */
enum lun_code lun_query_read_name(
    struct lun_query_parser *p, struct lun_text *name) LUN_MUSTCHECK;

/* ---- parts of a query -------------------------------------------------- */

/* A field, or a path into a json field, that the schema has. */
enum lun_code lun_query_read_column(
    struct lun_query_parser *p, struct lun_column *column) LUN_MUSTCHECK;
/* The same after its first name was read. */
enum lun_code lun_query_read_column_after(struct lun_query_parser *p,
    struct lun_text name, struct lun_column *column) LUN_MUSTCHECK;
/* A column's type; its paths inside json have LUN_FIELD_JSON. */
enum lun_field_type lun_query_column_type(
    const struct lun_query_parser *p, const struct lun_column *column);

struct lun_query_literal {
	struct lun_text text;
	bool quoted;
};

/*
 * What a literal means for a column: a value of the column's type. Not exact:
 * the literal lies above it, and below the next value that such a column holds.
 */
enum lun_code lun_query_value(struct lun_query_parser *p,
    const struct lun_column *column, struct lun_query_literal literal,
    struct lun_value *value, bool *exact) LUN_MUSTCHECK;
/* The same for a like pattern, with % for *. */
enum lun_code lun_query_pattern(struct lun_query_parser *p,
    const struct lun_column *column, struct lun_query_literal literal,
    struct lun_value *value) LUN_MUSTCHECK;

/* "field=op.value": the whole term. */
enum lun_code lun_query_read_filter(
    struct lun_query_parser *p, struct lun_condition *condition) LUN_MUSTCHECK;
/* "(...)": the rest of a term whose head said op. */
enum lun_code lun_query_read_group(struct lun_query_parser *p,
    enum lun_query_op op, bool negated,
    struct lun_condition *condition) LUN_MUSTCHECK;

#endif
