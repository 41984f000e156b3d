/*
 * query.h - a question about the models of one projection.
 *
 * The text form is PostgREST's: terms "field=op.value", "or=(...)",
 * "and=(...)", "not." before an operator or a group, "order=", "limit=",
 * "offset=", "select=". A parsed query is checked against the schema: every
 * name in it exists and every value has the type of its field, so a model
 * store may rely on it.
 */

#ifndef LUN_QUERY_QUERY_H
#define LUN_QUERY_QUERY_H

#include <stddef.h>

#include "base/text.h"
#include "data/row.h"
#include "data/schema.h"
#include "lunette.h"

#define LUN_QUERY_TERMS_MAX   100   /* conditions in one query, at any depth */
#define LUN_QUERY_DEPTH_MAX   10    /* groups inside groups */
#define LUN_QUERY_PATH_MAX    8     /* keys from a json field inwards */
#define LUN_QUERY_COLUMNS_MAX 200   /* in order, and in select */
#define LUN_QUERY_IN_MAX      1000  /* values of one IN */
#define LUN_QUERY_VALUES_MAX  10000 /* values in one query */
#define LUN_QUERY_VALUE_MAX   10000 /* bytes of one value */
#define LUN_QUERY_PATTERN_MAX 1000  /* bytes of a like pattern */
#define LUN_QUERY_BYTES_MAX   ((size_t)1 << 20) /* of all terms together */

enum lun_query_op {
	LUN_QUERY_EQ,
	LUN_QUERY_NEQ,
	LUN_QUERY_GT,
	LUN_QUERY_GTE,
	LUN_QUERY_LT,
	LUN_QUERY_LTE,
	LUN_QUERY_LIKE,  /* % any run, _ one character; minds case */
	LUN_QUERY_ILIKE, /* the same, A-Z equal to a-z */
	LUN_QUERY_IN,
	LUN_QUERY_IS_NULL,
	LUN_QUERY_AND, /* groups: children */
	LUN_QUERY_OR,
	LUN_QUERY_NOT, /* one child */
};

#define LUN_COLUMN_ID (-1)

/*
 * What a term speaks of: the id, a field, or a path inside a json field.
 * Of a whole_json schema every name but id is a path into field 0.
 */
struct lun_column {
	int field; /* index in the schema, or LUN_COLUMN_ID */
	size_t path_length;
	struct lun_text
	    path[LUN_QUERY_PATH_MAX]; /* object keys, outermost first */
	/* Key in results: the alias, else the innermost key, else the field. */
	struct lun_text name;
};

/*
 * Comparison follows SQL: a null is neither equal nor unequal to anything and
 * NOT of unknown is unknown. Text compares by bytes. At a path inside json
 * a number is only ever comparable with numbers, a text with texts, a boolean
 * with booleans; anything else is unknown.
 */
struct lun_condition {
	enum lun_query_op op;
	struct lun_column column;
	struct lun_value *values; /* one; several for IN; none for IS_NULL */
	size_t value_count;
	struct lun_condition *children;
	size_t child_count;
};

/*
 * At paths inside json booleans come before numbers, those before texts, and
 * objects and arrays last, all of these alike; descending, the other way round.
 */
struct lun_order {
	struct lun_column column;
	bool descending;
	bool nulls_first; /* default: nulls last ascending, first descending */
};

struct lun_query {
	struct lun_condition *where; /* NULL: every model */
	struct lun_order *order;     /* id is always appended as a tie-break */
	size_t order_count;
	struct lun_column *select; /* none: id and every field */
	size_t select_count;
	uint64_t limit;
	uint64_t offset;
	void *memory; /* what owns all of the above */
};

/*
 * terms: count texts such as "balance=gte.1000". default_limit applies where
 * there is no limit term; a limit above max_limit is refused. LUN_INVALID
 * names the term and what is wrong with it. The query does not borrow from
 * terms.
 */
enum lun_code lun_query_parse(const struct lun_schema *schema,
    const struct lun_text *terms, size_t count, uint64_t default_limit,
    uint64_t max_limit, struct lun_query **out,
    struct lun_err *err) LUN_MUSTCHECK;

/* NULL is allowed. */
void lun_query_free(struct lun_query *query);

/*
 * The one meaning of like and ilike; every store calls this or agrees with it.
 * A backslash takes the next character as it is.
 */
bool lun_query_like(
    struct lun_text pattern, struct lun_text text, bool fold_case);

#endif
