/*
 * schema.h - what the models of one projection version look like.
 *
 * A projection without declared fields has one field, "model", of type json,
 * and whole_json set: the entire model is that one value.
 */

#ifndef LUN_DATA_SCHEMA_H
#define LUN_DATA_SCHEMA_H

#include <stddef.h>

#include "base/buffer.h"
#include "base/text.h"
#include "lunette.h"

#define LUN_NAME_MAX         40 /* bytes of a projection or field name */
#define LUN_FIELDS_MAX       100
#define LUN_INDEXES_MAX      20
#define LUN_INDEX_FIELDS_MAX 8

enum lun_field_type {
	LUN_FIELD_TEXT,
	LUN_FIELD_INTEGER,
	LUN_FIELD_NUMBER,
	LUN_FIELD_BOOLEAN,
	LUN_FIELD_TIMESTAMP,
	LUN_FIELD_JSON,
};

/* "text", "integer" ... */
const char *lun_field_type_name(enum lun_field_type type);
bool lun_field_type_parse(struct lun_text name, enum lun_field_type *type);

struct lun_field {
	char name[LUN_NAME_MAX + 1];
	enum lun_field_type type;
};

struct lun_index {
	size_t count;
	size_t
	    fields[LUN_INDEX_FIELDS_MAX]; /* indexes into the schema's fields */
};

struct lun_schema {
	char projection[LUN_NAME_MAX + 1];
	int version;
	bool whole_json;
	enum lun_field_type key_type; /* of the id: text or integer */
	size_t field_count;           /* none: a model is no more than its id */
	struct lun_field *fields;     /* in the order of their names */
	size_t *
	    columns; /* fields by column, as the author ordered them, or NULL */
	size_t index_count;
	struct lun_index *indexes;
	size_t type_count; /* event types that build the models; 0: every */
	struct lun_text *types; /* sorted; each owned */
};

/* NULL is allowed. */
void lun_schema_free(struct lun_schema *schema);

/* Add a handled event type, in order. False when out of memory. */
bool lun_schema_add_type(
    struct lun_schema *schema, struct lun_text type) LUN_MUSTCHECK;

/* Index of a field, or -1. */
int lun_schema_find(const struct lun_schema *schema, struct lun_text field);

/*
 * The index of the field that stands in this column, from 0 behind the id.
 * Rows are packed in the order of the names; tables, views and results have
 * the author's.
 */
static inline size_t
lun_schema_column(const struct lun_schema *schema, size_t column)
{
	return schema->columns != NULL ? schema->columns[column] : column;
}

/*
 * [a-z][a-z0-9_]*, at most LUN_NAME_MAX bytes, without "__"; for a projection
 * also not beginning with "lunette_".
 */
enum lun_code lun_schema_check_projection_name(
    struct lun_text name, struct lun_err *err) LUN_MUSTCHECK;

/* [A-Za-z_][A-Za-z0-9_]*, and not a name that some store reserves. */
enum lun_code lun_schema_check_field_name(
    struct lun_text name, struct lun_err *err) LUN_MUSTCHECK;

/*
 * What the loader of a schema has to make sure of: every name passes the
 * check above, the key is text or an integer, the fields are in the order of
 * their names and no two differ only in case, columns names each of them once,
 * and no index is empty or names a field twice or stands there twice.
 * LUN_INVALID names the field or index.
 */
enum lun_code lun_schema_check(
    const struct lun_schema *schema, struct lun_err *err) LUN_MUSTCHECK;

/*
 * The schema as lines of text, the form in which a model store keeps it.
 * Version and projection are not part of it.
 */
void lun_schema_describe(
    const struct lun_schema *schema, struct lun_buffer *text);

/*
 * The next line of a described schema, taken off rest, of those that decide what
 * is built; absent at the end. Indexes and the author's order of the columns
 * are left out: they may change under one version.
 */
struct lun_text lun_schema_next_line(struct lun_text *rest);
/* Whether two described schemas build the same models. */
bool lun_schema_texts_agree(struct lun_text a, struct lun_text b);
/* Whether there is a line about an index. */
bool lun_schema_text_has_index(struct lun_text described);
/* The first text, with the indexes of the second in place of its own. */
void lun_schema_take_indexes(struct lun_text described,
    struct lun_text with_indexes, struct lun_buffer *out);

/*
 * Bytes that a text in this field may have: what fits into an entry of each
 * index with the field, shared evenly by the texts in it; 0: no index has it.
 */
#define LUN_INDEX_BYTES_MAX 2500 /* PostgreSQL takes 2,704 with its heads */
size_t lun_schema_index_share(const struct lun_schema *schema, size_t field);

/* The way back; *out is owned by the caller. */
enum lun_code lun_schema_parse(const char *projection, int version,
    struct lun_text text, struct lun_schema **out,
    struct lun_err *err) LUN_MUSTCHECK;
/* By way of its text. */
enum lun_code lun_schema_copy(const struct lun_schema *schema,
    struct lun_schema **out, struct lun_err *err) LUN_MUSTCHECK;

#endif
