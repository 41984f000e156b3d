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
};

/* The first one that fits. */
static const struct meaning meanings[] = {
    {"53100", LUN_IO, "the disk of the server is full: make room"},
    {"53", LUN_UNAVAILABLE, NULL},
    {"08P01", LUN_IO, NULL},
    {"08", LUN_UNAVAILABLE, NULL},
    {"57P04", LUN_CONFIG, "the database was dropped"},
    {"57", LUN_UNAVAILABLE, NULL},
    {"54000", LUN_CONFIG,
	"a limit of PostgreSQL's: where it speaks of an index, take the long "
	"field out of `indexes`"},
    {"58P01", LUN_IO, NULL},
    {"55P03", LUN_UNAVAILABLE, "another connection holds a lock on it"},
    {"55006", LUN_UNAVAILABLE, NULL},
    {"40", LUN_UNAVAILABLE, NULL},
    {"25P03", LUN_UNAVAILABLE, NULL},
    {"25006", LUN_CONFIG,
	"the server takes no writes: it is a standby, or the transactions of "
	"this role are read-only"},
    {"28", LUN_CONFIG, "check user and password (PGPASSFILE, pg_hba.conf)"},
    {"3D000", LUN_CONFIG, "create the database, or correct the URL"},
    {"3F000", LUN_CONFIG, "create the schema, or correct ?schema= in the URL"},
    {"42501", LUN_CONFIG, "grant this role what it needs"},
    {"42P01", LUN_CONFIG, "the table is missing: check schema and layout"},
    {"42703", LUN_CONFIG, "the table has other columns: check the layout"},
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

enum lun_code
lun_pg_fail(struct lun_pg *c, const PGresult *result, struct lun_err *err)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *message =
	    PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	const struct meaning *meaning;

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
	return describe_failure(
	    c, meaning, meaning != NULL ? meaning->code : LUN_IO, message, err);
}

/*
 * libpq tells no SQLSTATE for a connection that was refused. Words that are
 * not found here, or in another language, are taken for something that passes.
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
	if (strstr(message, "No such file") == NULL)
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
