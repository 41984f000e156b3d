/* url.c - where a PostgreSQL store is, taken out of its URL. */

#include "postgres/client/url.h"

#include <assert.h>
#include <stdlib.h>

#include <libpq-fe.h>

#include "base/error.h"
#include "sql/url.h"
#include "json/scan.h"

static const char *const own_keys[] = {
    "schema",
    "layout",
    "listen",
    "table",
    "position",
    "transaction_id",
    "id",
    "stream",
    "version",
    "type",
    "data",
    "metadata",
    "recorded_at",
    "safe_head",
    "unwrap",
    "category",
    "tenant",
    "where",
    "grace_ms",
    "window_ms",
    "holes",
};

#define OWN_KEYS (sizeof own_keys / sizeof own_keys[0])

/* What a store that is opened without options gets. */
static const struct lun_store_options default_options = {
    .busy_timeout_ms = 5000,
    .call_timeout_ms = 30000,
};

/* ---- our own keys ------------------------------------------------------ */

static int
find_own_key(struct lun_text key)
{
	for (size_t i = 0; i < OWN_KEYS; i++)
		if (lun_text_equal(key, lun_text_of(own_keys[i])))
			return (int)i;
	return -1;
}

#define KEYS_MAX 128 /* libpq has some 50 */

/* LUN_CONFIG for a key that is neither ours nor libpq's. */
static enum lun_code
check_key(struct lun_text pair, struct lun_err *err)
{
	struct lun_text rest = pair;
	struct lun_text key = lun_sql_url_part(&rest, '=');
	PQconninfoOption *options = PQconninfoParse("", NULL);
	const char *known[KEYS_MAX];
	size_t count = OWN_KEYS;
	bool found = lun_text_equal(key, LUN_TEXT("ssl")); /* of JDBC */
	enum lun_code code = LUN_OK;

	if (options == NULL)
		return lun_fail(err, LUN_NOMEM, "postgres URL: out of memory");
	memcpy(known, own_keys, sizeof own_keys);
	for (PQconninfoOption *o = options; o->keyword != NULL; o++) {
		found |= lun_text_equal(key, lun_text_of(o->keyword));
		if (count < KEYS_MAX)
			known[count++] = o->keyword;
	}
	if (!found)
		code = lun_sql_url_refuse("postgres", pair, known, count, err);
	PQconninfoFree(options);
	return code;
}

/* One "key=value" of the query: ours is kept here, others go on to libpq. */
static enum lun_code
keep_or_pass_pair(struct lun_pg_url *url, struct lun_text pair,
    struct lun_buffer *conninfo, char *separator, struct lun_err *err)
{
	enum lun_code code =
	    lun_sql_url_take(pair, own_keys, OWN_KEYS, url->values, err);

	if (code != LUN_NOTFOUND)
		return code;
	code = check_key(pair, err);
	if (code != LUN_OK)
		return code;
	lun_buffer_add_byte(conninfo, *separator);
	lun_buffer_add_text(conninfo, pair);
	*separator = '&';
	return LUN_OK;
}

static bool
has_at(struct lun_text text)
{
	return text.length > 0 && memchr(text.bytes, '@', text.length) != NULL;
}

/*
 * One "@" stands between the user and the host; every other one, and a "/" or
 * "?" before it, would make libpq take a part of a password for the host, the
 * database or a parameter, and messages show it. Nothing is quoted here.
 */
static enum lun_code
check_authority(const char *rest, struct lun_err *err)
{
	static const char listen[] = "listen=";
	struct lun_text query = lun_text_of(rest);
	struct lun_text path = lun_sql_url_part(&query, '?');
	struct lun_text authority;
	bool wrong = false;

	if (path.length < 2 || memcmp(path.bytes, "//", 2) != 0)
		return lun_fail(err, LUN_CONFIG,
		    "the postgres URL is not valid: write "
		    "postgres://USER@HOST/DATABASE");
	path.bytes += 2;
	path.length -= 2;
	authority = lun_sql_url_part(&path, '/');
	(void)lun_sql_url_part(&authority, '@');
	wrong = has_at(authority) || has_at(path);
	while (query.length > 0) {
		struct lun_text pair = lun_sql_url_part(&query, '&');

		if (strncmp(pair.bytes, listen, strlen(listen)) != 0)
			wrong |= has_at(pair);
	}
	if (!wrong)
		return LUN_OK;
	return lun_fail(err, LUN_CONFIG,
	    "the postgres URL is not valid: it has an \"@\" that does not "
	    "stand "
	    "between user and host; in a user, a password or a value write @ "
	    "as %%40, / as %%2F and ? as %%3F");
}

static enum lun_code
split_query(struct lun_pg_url *url, const char *rest, struct lun_err *err)
{
	struct lun_text query = lun_text_of(rest);
	struct lun_text before = lun_sql_url_part(&query, '?');
	struct lun_buffer conninfo = {0};
	char separator = '?';
	enum lun_code code = LUN_OK;

	lun_buffer_printf(&conninfo, "postgres:%.*s", LUN_TEXT_ARG(before));
	while (query.length > 0 && code == LUN_OK)
		code = keep_or_pass_pair(url, lun_sql_url_part(&query, '&'),
		    &conninfo, &separator, err);
	url->conninfo = lun_buffer_take(&conninfo);
	if (code == LUN_OK && url->conninfo == NULL)
		code = lun_fail(err, LUN_NOMEM, "postgres URL: out of memory");
	return code;
}

/* ---- the name in messages ---------------------------------------------- */

static const char *
find_option(const PQconninfoOption *options, const char *keyword)
{
	for (; options->keyword != NULL; options++)
		if (strcmp(options->keyword, keyword) == 0)
			return options->val;
	return NULL;
}

static bool
make_name(struct lun_pg_url *url, const PQconninfoOption *options)
{
	const char *user = find_option(options, "user");
	const char *host = find_option(options, "host");
	const char *port = find_option(options, "port");
	const char *database = find_option(options, "dbname");
	const char *service = find_option(options, "service");
	const char *layout = lun_pg_url_value(url, "layout");
	struct lun_buffer name = {0};

	lun_buffer_printf(&name, "postgres://%s%s", user != NULL ? user : "",
	    user != NULL ? "@" : "");
	if (host != NULL && host[0] != '/')
		lun_buffer_printf(&name, "%s%s%s", host,
		    port != NULL ? ":" : "", port != NULL ? port : "");
	lun_buffer_printf(&name, "/%s", database != NULL ? database : "");
	if (service != NULL)
		lun_buffer_printf(&name, "?service=%s", service);
	if (layout != NULL)
		lun_buffer_printf(
		    &name, "%clayout=%s", service != NULL ? '&' : '?', layout);
	url->name = lun_buffer_take(&name);
	return url->name != NULL;
}

/* A password is taken for a port where "@HOST" is missing behind it. */
static enum lun_code
check_port(
    const char *what, const PQconninfoOption *options, struct lun_err *err)
{
	const char *port = find_option(options, "port");

	if (port == NULL || port[strspn(port, "0123456789,")] == '\0')
		return LUN_OK;
	return lun_fail(err, LUN_CONFIG,
	    "%s is not valid: its port is not a number; write "
	    "postgres://USER@HOST:PORT/DATABASE",
	    what);
}

/* libpq quotes the part it stumbled over, which may be a password. */
static enum lun_code
refuse_url(
    const char *what, const char *conninfo, char *message, struct lun_err *err)
{
	bool secret = strchr(conninfo, '@') != NULL ||
		      strstr(conninfo, "password") != NULL;

	lun_fail(err, LUN_CONFIG, "%s is not valid: %s", what,
	    secret || message == NULL
		? "look for a character that must be written as % and two "
		  "digits"
		: message);
	PQfreemem(message);
	return LUN_CONFIG;
}

static enum lun_code
parse_conninfo(struct lun_pg_url *url, struct lun_err *err)
{
	static const char what[] = "the postgres URL";
	PQconninfoOption *options;
	char *message = NULL;
	enum lun_code code;

	options = PQconninfoParse(url->conninfo, &message);
	if (options == NULL)
		return refuse_url(what, url->conninfo, message, err);
	code = check_port(what, options, err);
	if (code == LUN_OK && !make_name(url, options))
		code = lun_fail(err, LUN_NOMEM, "postgres URL: out of memory");
	PQconninfoFree(options);
	return code;
}

/* The URL that goes past a pooler. */
static enum lun_code
check_listen(const struct lun_pg_url *url, struct lun_err *err)
{
	static const char what[] = "listen= in the postgres URL";
	const char *direct = lun_pg_url_value(url, "listen");
	const char *rest = direct != NULL ? strchr(direct, ':') : NULL;
	PQconninfoOption *options;
	char *message = NULL;
	enum lun_code code;

	if (direct == NULL)
		return LUN_OK;
	if (strncmp(direct, "postgres:", 9) != 0 &&
	    strncmp(direct, "postgresql:", 11) != 0)
		return lun_fail(err, LUN_CONFIG,
		    "%s is none itself: write "
		    "listen=postgres://USER@HOST/DATABASE",
		    what);
	if (check_authority(rest + 1, err) != LUN_OK)
		return lun_wrap(err, LUN_CONFIG, "listen=");
	options = PQconninfoParse(direct, &message);
	if (options == NULL)
		return refuse_url(what, direct, message, err);
	code = check_port(what, options, err);
	PQconninfoFree(options);
	return code;
}

/* ---- its life ---------------------------------------------------------- */

static void
set_options(struct lun_pg_url *url, const struct lun_store_options *options)
{
	url->options = options != NULL ? *options : default_options;
	url->options.synchronous = NULL; /* borrowed for the open only */
	if (url->options.call_timeout_ms <= 0)
		url->options.call_timeout_ms = default_options.call_timeout_ms;
}

enum lun_code
lun_pg_url_new(const char *rest, const struct lun_store_options *options,
    struct lun_pg_url **out, struct lun_err *err)
{
	struct lun_pg_url *url = calloc(1, sizeof *url);
	enum lun_code code = LUN_OK;

	if (url == NULL)
		return lun_fail(err, LUN_NOMEM, "postgres URL: out of memory");
	atomic_init(&url->users, 1);
	atomic_init(&url->cancelling, 0);
	atomic_init(&url->answered, false);
	set_options(url, options);
	url->values = calloc(OWN_KEYS, sizeof *url->values);
	if (url->values == NULL)
		code = lun_fail(err, LUN_NOMEM, "postgres URL: out of memory");
	else
		code = check_authority(rest, err);
	if (code == LUN_OK)
		code = split_query(url, rest, err);
	if (code == LUN_OK)
		code = parse_conninfo(url, err);
	if (code == LUN_OK)
		code = check_listen(url, err);
	if (code == LUN_OK && lun_pg_url_value(url, "schema") != NULL)
		code = lun_pg_check_name(
		    "schema", lun_pg_url_value(url, "schema"), err);
	if (code == LUN_OK)
		*out = url;
	else
		lun_pg_url_release(url);
	return code;
}

struct lun_pg_url *
lun_pg_url_share(struct lun_pg_url *url)
{
	atomic_fetch_add(&url->users, 1);
	return url;
}

void
lun_pg_url_release(struct lun_pg_url *url)
{
	if (url == NULL || atomic_fetch_sub(&url->users, 1) > 1)
		return;
	for (size_t i = 0; url->values != NULL && i < OWN_KEYS; i++)
		free(url->values[i]);
	free(url->values);
	free(url->conninfo);
	free(url->name);
	free(url);
}

const char *
lun_pg_url_value(const struct lun_pg_url *url, const char *key)
{
	int found = find_own_key(lun_text_of(key));

	assert(found >= 0);
	return url->values[found];
}

const char *
lun_pg_url_beside(const struct lun_pg_url *url, const char *key)
{
	for (size_t i = 0; i < OWN_KEYS; i++)
		if (url->values[i] != NULL && strcmp(own_keys[i], key) != 0)
			return own_keys[i];
	return NULL;
}

/* ---- identifiers ------------------------------------------------------- */

enum lun_code
lun_pg_check_name(const char *what, const char *name, struct lun_err *err)
{
	size_t length = strlen(name);

	if (length > 0 && length <= LUN_PG_NAME_MAX &&
	    lun_utf8_valid(lun_text_of(name)))
		return LUN_OK;
	return lun_fail(err, LUN_CONFIG,
	    "%s=%.100s: a name has 1 to %d bytes of UTF-8, all of which are "
	    "taken as they are",
	    what, name, LUN_PG_NAME_MAX);
}
