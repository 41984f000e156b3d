/*
 * blockers.c - who holds a lock that a call waited for in vain.
 *
 * Asked after the wait, so of those that hold one still the transaction that
 * began first is named: it stood in the way of the others too.
 */

#include <stdio.h>

#include "postgres/models/models.h"

/*
 * Who reads models is in the way of whoever makes or drops their table; on the
 * engine's own tables only who has locked rows. What other roles may not see of
 * pg_stat_activity is null. A prepared transaction has no process.
 */
static const char blockers_sql[] =
    "SELECT l.pid, a.usename::text, nullif(a.application_name, ''),"
    " to_char(a.xact_start AT TIME ZONE 'UTC', 'HH24:MI:SS'),"
    " left(regexp_replace(a.query, '\\s+', ' ', 'g'), 60)"
    " FROM pg_catalog.pg_locks l"
    " JOIN pg_catalog.pg_class c ON c.oid = l.relation"
    " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid"
    " WHERE n.nspname = $1 AND l.granted"
    " AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()"
    " AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d"
    "  WHERE d.datname = pg_catalog.current_database())"
    " AND (c.relname = $2 OR starts_with(c.relname, $2 || '__')"
    "  OR starts_with(c.relname, 'lunette_') AND l.mode <> 'AccessShareLock')"
    " ORDER BY starts_with(c.relname, 'lunette_'), a.xact_start LIMIT 1";

/* The columns as above. */
static void
describe_blocker(const PGresult *r, char *words, size_t size)
{
	char user[64], program[64], since[16], query[128];

	if (lun_pg_is_null(r, 0, 0)) {
		snprintf(words, size, "a prepared transaction");
		return;
	}
	lun_pg_copy_text(r, 0, 1, user, sizeof user);
	lun_pg_copy_text(r, 0, 2, program, sizeof program);
	lun_pg_copy_text(r, 0, 3, since, sizeof since);
	lun_pg_copy_text(r, 0, 4, query, sizeof query);
	if (since[0] == '\0') {
		snprintf(words, size,
		    "process %lld (user %s, program %s), whose age and "
		    "statement are shown to members of pg_read_all_stats",
		    (long long)lun_pg_int8(r, 0, 0),
		    user[0] != '\0' ? user : "?",
		    program[0] != '\0' ? program : "?");
		return;
	}
	snprintf(words, size,
	    "process %lld (user %s, program %s, in a transaction since %s "
	    "UTC: %s)",
	    (long long)lun_pg_int8(r, 0, 0), user[0] != '\0' ? user : "?",
	    program[0] != '\0' ? program : "?", since,
	    query[0] != '\0' ? query : "?");
}

enum lun_code
lun_pg_explain_lock(struct pg_models *m, struct lun_key key, enum lun_code code,
    struct lun_err *err)
{
	PGresult *result = NULL;
	char words[400];

	if (code != LUN_UNAVAILABLE || m->c->conn == NULL ||
	    !lun_pg_failed_with(m->c, "55P03"))
		return code;
	lun_pg_add_name(m, m->schema);
	lun_pg_add_name(m, key.projection);
	if (lun_pg_run(m, blockers_sql, &result, NULL) == LUN_OK &&
	    PQntuples(result) > 0) {
		describe_blocker(result, words, sizeof words);
		lun_fail(err, code, "a lock is held by %s: end that; %s", words,
		    lun_pg_name(m->c));
	}
	PQclear(result);
	snprintf(m->c->sqlstate, sizeof m->c->sqlstate, "55P03");
	return code;
}
