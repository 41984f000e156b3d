/* statements.c - prepared statements, kept for the next time. */

#include "sqlite/statements.h"

#include <stdlib.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#define MOST    1000
#define BUCKETS 1024

struct lun_sqlite_kept {
	struct lun_sqlite_kept *next; /* in its bucket */
	struct lun_sqlite_kept *newer, *older;
	uint64_t hash;
	sqlite3_stmt *q;
	char sql[];
};

/* ---- by their last use ------------------------------------------------- */

static void
unlink_use(struct lun_sqlite_statements *s, struct lun_sqlite_kept *kept)
{
	*(kept->newer != NULL ? &kept->newer->older : &s->newest) = kept->older;
	*(kept->older != NULL ? &kept->older->newer : &s->oldest) = kept->newer;
}

static void
link_newest(struct lun_sqlite_statements *s, struct lun_sqlite_kept *kept)
{
	kept->newer = NULL;
	kept->older = s->newest;
	*(s->newest != NULL ? &s->newest->newer : &s->oldest) = kept;
	s->newest = kept;
}

/* ---- by their SQL ------------------------------------------------------ */

/* The link to it, or to the end of its bucket. */
static struct lun_sqlite_kept **
find_link(struct lun_sqlite_statements *s, uint64_t hash, const char *sql)
{
	struct lun_sqlite_kept **link = &s->buckets[hash % BUCKETS];

	while (*link != NULL &&
	       ((*link)->hash != hash || strcmp((*link)->sql, sql) != 0))
		link = &(*link)->next;
	return link;
}

static void
drop_oldest(struct lun_sqlite_statements *s)
{
	struct lun_sqlite_kept *gone = s->oldest;
	struct lun_sqlite_kept **link = find_link(s, gone->hash, gone->sql);

	*link = gone->next;
	unlink_use(s, gone);
	sqlite3_finalize(gone->q);
	free(gone);
	s->count--;
}

void
lun_sqlite_statements_free(struct lun_sqlite_statements *statements)
{
	while (statements->count > 0)
		drop_oldest(statements);
	free(statements->buckets);
	*statements = (struct lun_sqlite_statements){0};
}

static enum lun_code
add_statement(struct lun_sqlite_statements *s, struct lun_sqlite *c,
    const char *sql, uint64_t hash, struct lun_sqlite_kept **out,
    struct lun_err *err)
{
	size_t size = strlen(sql) + 1;
	struct lun_sqlite_kept *kept = malloc(sizeof *kept + size);
	enum lun_code code;

	if (kept == NULL)
		return lun_fail(
		    err, LUN_NOMEM, "%s: out of memory", lun_sqlite_path(c));
	*kept = (struct lun_sqlite_kept){.hash = hash};
	memcpy(kept->sql, sql, size);
	code = lun_sqlite_prepare(c, sql, &kept->q, err);
	if (code != LUN_OK) {
		free(kept);
		return code;
	}
	if (s->count == MOST)
		drop_oldest(s);
	*find_link(s, hash, sql) = kept;
	s->count++;
	*out = kept;
	return LUN_OK;
}

enum lun_code
lun_sqlite_statements_find(struct lun_sqlite_statements *statements,
    struct lun_sqlite *c, const char *sql, sqlite3_stmt **out,
    struct lun_err *err)
{
	uint64_t hash = XXH3_64bits(sql, strlen(sql));
	struct lun_sqlite_kept *kept;
	enum lun_code code = LUN_OK;

	if (statements->buckets == NULL)
		statements->buckets = calloc(BUCKETS, sizeof(void *));
	if (statements->buckets == NULL)
		return lun_fail(
		    err, LUN_NOMEM, "%s: out of memory", lun_sqlite_path(c));
	kept = *find_link(statements, hash, sql);
	if (kept != NULL)
		unlink_use(statements, kept);
	else
		code = add_statement(statements, c, sql, hash, &kept, err);
	if (code != LUN_OK)
		return code;
	link_newest(statements, kept);
	*out = kept->q;
	return LUN_OK;
}
