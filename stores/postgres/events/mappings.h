/*
 * mappings.h - where other people's tables keep what an event has.
 *
 * A layout is a row of a table: a relation, what is joined to it, a column or
 * expression for each part of an event, and how far it is safe to read. A
 * mapping is a layout as it was found in a database: the types of its columns
 * as the server tells them, and the statements made of them. It is constant
 * once it is made, but for two times, and shared by the connections of a store.
 */

#ifndef LUN_POSTGRES_EVENTS_MAPPINGS_H
#define LUN_POSTGRES_EVENTS_MAPPINGS_H

#include <stdatomic.h>

#include "postgres/client/connection.h"
#include "postgres/events/scope.h"
#include "store/event_store.h"

#define LUN_PG_HIDDEN 2

/* What a position is made of. */
enum lun_pg_key {
	LUN_PG_NUMBER,
	LUN_PG_PAIR, /* a transaction id and a number */
	LUN_PG_UUID_KEY,
	LUN_PG_MOMENT, /* a time, and 64 bits of the id's hash */
};

/* How far it is safe to read; safe_head.c has the proofs. */
enum lun_pg_safety {
	LUN_PG_TRANSACTIONS, /* below the oldest transaction that still runs */
	LUN_PG_SERIALISED,   /* one writer at a time: all that can be seen */
	LUN_PG_GAPS,         /* up to the first number that may still appear */
	LUN_PG_WINDOW,       /* ids of the clients: after a grace time */
	LUN_PG_SAFETIES,
};

/*
 * The relation has the alias e; %S stands for the schema, quoted, with its
 * dot. A column that begins with "?" is used if the relation has it. NULL: not
 * there.
 */
struct lun_pg_layout {
	const char *name;   /* in the URL; variants of one have the same */
	const char *schema; /* where the URL names none */
	const char *table;  /* where the URL names none; NULL: it must */
	const char *joins;
	const char *scope; /* which rows of the relation have a position */
	const char
	    *scope_column; /* has one value in them; indexes may begin so */
	/*
	 * Of these rows: those that nobody is to see, whose versions count all
	 * the same; and those that only fill a position, whose version is none
	 * of their stream's.
	 */
	const char *hidden[LUN_PG_HIDDEN];
	const char *placeholder;

	const char *position;
	const char *transaction_id; /* of a pair */
	const char *id;
	const char *stream;
	const char *indexed_stream; /* the column in that, of an expression */
	/*
	 * Where a stream's name is one stream's alone, or NULL. A tenant is
	 * what scripts see; an event's realm is its tenant unless named apart.
	 */
	const char *tenant;
	const char *realm;
	const char *version;   /* null: counts for no stream */
	int64_t first_version; /* of a stream; lower ones count for none */
	const char *type;
	const char *data;
	const char *metadata;
	const char *recorded_at; /* without a zone: UTC */

	enum lun_pg_safety safety;
	/* By a promise about the writers, ?safe_head=serialised in the URL. */
	bool may_be_serialised;
	/* Only by category, which the URL names; an expression, or NULL. */
	const char *category;
	bool row_counts;     /* a row gives positions, and is locked for it */
	bool starts_at_zero; /* the first position; else it is above 0 */
	bool named;          /* the URL may name its columns */
	bool is_outbox;      /* rows go once they are delivered */
	bool unwrap; /* {"Type": data} and "Type" in place of type and data */
	const char *rivals; /* sequences beside the one: no common order */
	bool loose;         /* versions may have holes, or do not exist */
	bool deletes;       /* its users may delete an event within a stream */
	/*
	 * How long a number may be known to a writer before its transaction
	 * can be seen, and for how long late events are looked for after that.
	 */
	int64_t grace_ms;
	int64_t window_ms;
	const char *channel; /* of NOTIFY, or NULL */
};

/* Ends with one without a name. */
extern const struct lun_pg_layout lun_pg_layouts[];

/* Columns of the statement that reads events. */
enum lun_pg_column {
	LUN_PG_C_POSITION,
	LUN_PG_C_TRANSACTION,
	LUN_PG_C_VERSION,
	LUN_PG_C_RECORDED_AT,
	LUN_PG_C_ID,
	LUN_PG_C_STREAM,
	LUN_PG_C_TYPE,
	LUN_PG_C_DATA,
	LUN_PG_C_METADATA,
	LUN_PG_COLUMNS,
};

struct lun_pg_mapping {
	struct lun_pg_layout layout;
	enum lun_pg_key key;
	enum lun_pg_safety safety;
	Oid types[LUN_PG_COLUMNS]; /* as the server tells them */
	bool unwrap;
	bool check_data;   /* to unwrap what no type says is JSON */
	bool contiguous;   /* the versions of a stream have no holes */
	bool ignore_holes; /* go on where they have one all the same */
	/* Set once more where numbers turn out to be kept in stock. */
	atomic_llong grace_us;
	atomic_llong window_us;
	char *schema;
	char *table;
	char *channel;                /* NULL: none */
	struct lun_pg_scope narrowed; /* its values are the first parameters */

	/* Parts of statements. Missing columns are nulls. */
	char *expressions[LUN_PG_COLUMNS];
	int64_t first_version; /* below all of them where it is not known */
	char *version;         /* an integer; of a placeholder too */
	char *columns;   /* all of enum lun_pg_column, and the tenant if any */
	char *keys;      /* "position" or "transaction, position" */
	char *keys_down; /* the same, each with DESC */
	char *keys_read; /* the same, of types that are understood here */
	char *from;      /* the relation and its joins */
	char *scope;     /* a condition: what has a position */
	char *shown;     /* a condition: which of them is to be seen */
	bool hides;      /* not all of them are */
	char *visible;   /* the same without events that are to be skipped */
	char *own_texts[LUN_PG_COLUMNS]; /* of columns that the URL names */
	char *own_tenant;
	char *remark; /* what is slow about it, or NULL */
};

/*
 * Find the layout the URL asks for, in the database. LUN_NOTFOUND: it is
 * Lunette's own, and its table is not there. LUN_CONFIG says what is missing.
 */
enum lun_code lun_pg_mapping_new(struct lun_pg *c, struct lun_pg_mapping **out,
    struct lun_err *err) LUN_MUSTCHECK;
/* NULL is allowed. */
void lun_pg_mapping_free(struct lun_pg_mapping *mapping);

/* The layout's column or expression, to be looked at or replaced. */
const char **lun_pg_column_of(
    struct lun_pg_layout *layout, enum lun_pg_column column);

/* It is Lunette's own table, which can be appended to. */
bool lun_pg_mapping_is_own(const struct lun_pg_mapping *mapping);
/* The URL names its columns. */
bool lun_pg_mapping_is_custom(const struct lun_pg_mapping *mapping);

/* Rows can appear between those that were seen: see pending_writers.h. */
static inline bool
lun_pg_has_pending_writers(const struct lun_pg_mapping *mapping)
{
	return mapping->safety == LUN_PG_GAPS ||
	       mapping->safety == LUN_PG_WINDOW;
}

/* Add a part of a layout, in which %S is the schema with its dot. */
void lun_pg_add_template(const struct lun_pg_mapping *mapping,
    struct lun_buffer *text, const char *pattern);

/* ---- positions --------------------------------------------------------- */

/* Begin the parameters of a statement that uses scope or visible. */
void lun_pg_start_params(
    const struct lun_pg_mapping *mapping, struct lun_pg_params *params);

/*
 * Add the condition that the keys of a row compare with this position, such
 * as "e.position > $2", and its parameters; sign is "=", ">", "<=" ...
 */
void lun_pg_compare(const struct lun_pg_mapping *mapping,
    struct lun_buffer *sql, const char *sign, struct lun_pg_params *params,
    struct lun_position position);

/*
 * Add a relation a with one row: the id of the event at this position, and how
 * many there are, one without a position in its transaction among them; two
 * stand for more.
 */
void lun_pg_add_anchor(const struct lun_pg_mapping *mapping,
    struct lun_buffer *sql, struct lun_pg_params *params,
    struct lun_position position);

/* Of a row in which the keys stand at this column and the next ones. */
struct lun_position lun_pg_keys_position(
    const struct lun_pg_mapping *mapping, const PGresult *row, int column);
int lun_pg_key_columns(const struct lun_pg_mapping *mapping);
/* Of a row of the statement that reads events. */
struct lun_position lun_pg_event_position(
    const struct lun_pg_mapping *mapping, const PGresult *row);

/*
 * Add "unnest(...) s WHERE ...", of those positions, which are UUIDs or moments,
 * that the keys of a row are one of.
 */
void lun_pg_add_positions(const struct lun_pg_mapping *mapping,
    struct lun_buffer *sql, struct lun_pg_params *params,
    const struct lun_position *positions, size_t count);

/* The lowest position that an event of this time can have. */
struct lun_position lun_pg_time_position(
    const struct lun_pg_mapping *mapping, int64_t us);
/* The other way, for a key that tells the time; microseconds since 1970. */
int64_t lun_pg_position_time(
    const struct lun_pg_mapping *mapping, struct lun_position position);

/* The position as the server has it, where that is one number. */
void lun_pg_add_position_number(const struct lun_pg_mapping *mapping,
    struct lun_pg_params *params, struct lun_position position);

void lun_pg_format_position(const struct lun_pg_mapping *mapping,
    struct lun_position position, char text[LUN_POSITION_MAX]);
bool lun_pg_parse_position(const struct lun_pg_mapping *mapping,
    struct lun_text text, struct lun_position *position) LUN_MUSTCHECK;

#endif
