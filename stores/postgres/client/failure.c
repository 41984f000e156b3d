/*
 * failure.c - what PostgreSQL refuses, told apart by what can be done.
 *
 * By SQLSTATE, whose first two letters are a class. The texts are in the
 * server's language and are only shown.
 */

#include "postgres/client/connection.h"

#include <stdio.h>

#include "base/error.h"

struct meaning {
	const char *sqlstate; /* or the two letters of a class */
	enum lun_code code;
	const char *advice; /* NULL: the server's words are enough */
	bool detail;        /* the server's second line says what is meant */
};

/*
 * The first one that fits; what fits none is LUN_IO. What the caller does next:
 * LUN_UNAVAILABLE, wait and do the same again, for this passes by itself or by
 * somebody's hand; LUN_CONFIG, stop until somebody has changed what the words
 * say; LUN_IO, stop.
 */
static const struct meaning meanings[] = {
    /* 08, 53, 57, 58: the connection, means, whoever runs the server */
    {.sqlstate = "08P01", .code = LUN_IO},
    {.sqlstate = "08", .code = LUN_UNAVAILABLE},
    {.sqlstate = "53100",
	.code = LUN_IO,
	.advice = "the disk of the server is full: make room"},
    {.sqlstate = "53", .code = LUN_UNAVAILABLE},
    {.sqlstate = "57P04",
	.code = LUN_CONFIG,
	.advice = "the database was dropped"},
    {.sqlstate = "57", .code = LUN_UNAVAILABLE},
    {.sqlstate = "58P01", .code = LUN_IO},
    /* 25, 40, 55, 72: transactions and locks */
    {.sqlstate = "25006",
	.code = LUN_UNAVAILABLE,
	.advice = "the server takes no writes now: it is a standby, or the "
		  "transactions of this role are read-only"},
    {.sqlstate = "25P03", .code = LUN_UNAVAILABLE},
    {.sqlstate = "25P04", .code = LUN_UNAVAILABLE},
    {.sqlstate = "40", .code = LUN_UNAVAILABLE},
    {.sqlstate = "55P03",
	.code = LUN_UNAVAILABLE,
	.advice = "another connection holds a lock on it"},
    {.sqlstate = "55006", .code = LUN_UNAVAILABLE},
    {.sqlstate = "72000", .code = LUN_UNAVAILABLE},
    /* 28, 3D, 3F, 42: rights and names */
    {.sqlstate = "28",
	.code = LUN_UNAVAILABLE,
	.advice = "check user and password (PGPASSFILE, pg_hba.conf)"},
    {.sqlstate = "3D000",
	.code = LUN_CONFIG,
	.advice = "create the database, or correct the URL"},
    {.sqlstate = "3F000",
	.code = LUN_CONFIG,
	.advice = "create the schema, or correct ?schema= in the URL"},
    {.sqlstate = "42501",
	.code = LUN_CONFIG,
	.advice = "grant this role what it needs (BYPASSRLS where row "
		  "security would hide rows)"},
    {.sqlstate = "42P01",
	.code = LUN_CONFIG,
	.advice = "the table is missing: check schema and layout"},
    {.sqlstate = "42703",
	.code = LUN_CONFIG,
	.advice = "the table has other columns: check the layout, and "
		  "the columns that the URL names"},
    /* 2B, 54: what stands in the way */
    {.sqlstate = "2BP01",
	.code = LUN_CONFIG,
	.advice = "drop what depends on it, do this again, and make it anew",
	.detail = true},
    {.sqlstate = "54000",
	.code = LUN_CONFIG,
	.advice = "a limit of PostgreSQL's: where it speaks of an index, take "
		  "the long field out of `indexes`"},
};

static const struct meaning *
find_meaning(const char *sqlstate)
{
	for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++)
		if (strncmp(sqlstate, meanings[i].sqlstate,
			strlen(meanings[i].sqlstate)) == 0)
			return &meanings[i];
	return NULL;
}

/* libpq's messages end with a newline. */
static int
trim_message(const char *message)
{
	size_t length = strlen(message);

	while (length > 0 &&
	       (message[length - 1] == '\n' || message[length - 1] == ' '))
		length--;
	return (int)length;
}

static enum lun_code
describe_failure(struct lun_pg *c, const struct meaning *meaning,
    enum lun_code code, const char *message, struct lun_err *err)
{
	if (meaning != NULL && meaning->advice != NULL)
		return lun_fail(err, code, "%s: %.*s: %s", lun_pg_name(c),
		    trim_message(message), message, meaning->advice);
	return lun_fail(err, code, "%s: %.*s", lun_pg_name(c),
	    trim_message(message), message);
}

/* The server's list has a line for each thing; a message is one line. */
static const char *
add_detail(
    const char *message, const PGresult *result, char *longer, size_t size)
{
	const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);

	if (detail == NULL)
		return message;
	snprintf(longer, size, "%s (%s)", message, detail);
	for (char *at = longer; (at = strchr(at, '\n')) != NULL;)
		*at = ';';
	return longer;
}

enum lun_code
lun_pg_fail(struct lun_pg *c, const PGresult *result, struct lun_err *err)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *message =
	    PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	const struct meaning *meaning;
	char longer[sizeof err->message];

	if (state != NULL)
		snprintf(c->sqlstate, sizeof c->sqlstate, "%s", state);
	if (message == NULL)
		message = result != NULL ? PQresultErrorMessage(result)
					 : PQerrorMessage(c->conn);
	if (message[0] == '\0')
		message = "the connection to the server was lost";
	if (PQstatus(c->conn) == CONNECTION_BAD)
		return describe_failure(c, NULL, LUN_UNAVAILABLE, message, err);
	meaning = find_meaning(c->sqlstate);
	if (meaning != NULL && meaning->detail)
		message = add_detail(message, result, longer, sizeof longer);
	return describe_failure(
	    c, meaning, meaning != NULL ? meaning->code : LUN_IO, message, err);
}

enum lun_code
lun_pg_fail_as(struct lun_pg *c, const char *sqlstate, struct lun_err *err)
{
	const struct meaning *meaning = find_meaning(sqlstate);

	snprintf(c->sqlstate, sizeof c->sqlstate, "%s", sqlstate);
	return lun_fail(
	    err, meaning->code, "%s: %s", lun_pg_name(c), meaning->advice);
}

/*
 * Whom the server has let in once waits, whatever it says now: a password is
 * being changed, a login, a database or a line of pg_hba.conf is away for a
 * moment. Before that, whoever opens ends with the cause. libpq tells no
 * SQLSTATE here; words that are not found, or are in another language, are
 * taken for something that passes.
 */
enum lun_code
lun_pg_fail_to_connect(struct lun_pg *c, struct lun_err *err)
{
	static const char *const lasting[] = {
	    "authentication failed",
	    "no password supplied",
	    "no pg_hba.conf entry",
	    "does not exist",
	    "permission denied for database",
	    "not permitted to log in",
	    "invalid ",
	    "definition of service",
	};
	const char *message = PQerrorMessage(c->conn);
	enum lun_code code = LUN_UNAVAILABLE;

	c->sqlstate[0] = '\0';
	/* A missing socket is a server that is not running. */
	if (!atomic_load(&c->url->answered) &&
	    strstr(message, "No such file") == NULL)
		for (size_t i = 0; i < sizeof lasting / sizeof lasting[0]; i++)
			if (strstr(message, lasting[i]) != NULL)
				code = LUN_CONFIG;
	return describe_failure(c, NULL, code, message, err);
}

bool
lun_pg_failed_with(const struct lun_pg *c, const char *sqlstate)
{
	return strncmp(c->sqlstate, sqlstate, strlen(sqlstate)) == 0;
}
