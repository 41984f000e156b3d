/* url.c - see url.h. */

#include "sqlite/url.h"

#include "base/error.h"
#include "sql/url.h"

/* "//" begins the name of a host, which is empty before an absolute path. */
static enum lun_code
drop_host(struct lun_text *path, struct lun_err *err)
{
	struct lun_text name = *path;

	if (path->length < 2 || memcmp(path->bytes, "//", 2) != 0)
		return LUN_OK;
	name.bytes += 2;
	name.length -= 2;
	if (name.length > 0 && name.bytes[0] != '/')
		return lun_fail(err, LUN_CONFIG,
		    "sqlite://%.*s: a file has no host; write sqlite:%.*s for "
		    "a file in this folder, sqlite:/%.*s for one in the root",
		    LUN_TEXT_ARG(name), LUN_TEXT_ARG(name), LUN_TEXT_ARG(name));
	*path = name;
	return LUN_OK;
}

/* "&layout=emmett" behind a path without "?" is hardly the name of a file. */
static enum lun_code
check_marks(struct lun_text path, struct lun_err *err)
{
	struct lun_text rest = path;

	(void)lun_sql_url_part(&rest, '&');
	while (rest.length > 0) {
		struct lun_text value = lun_sql_url_part(&rest, '&');
		struct lun_text key = lun_sql_url_part(&value, '=');

		if (value.bytes != NULL)
			return lun_fail(err, LUN_CONFIG,
			    "sqlite:%.*s: the first parameter of a URL begins "
			    "with \"?\": write ?%.*s= ; in the name of a file "
			    "\"&\" is written as %%26",
			    LUN_TEXT_ARG(path), LUN_TEXT_ARG(key));
	}
	return LUN_OK;
}

enum lun_code
lun_sqlite_url_split(
    const char *rest, char **path, struct lun_text *query, struct lun_err *err)
{
	struct lun_text before;
	enum lun_code code;

	*query = lun_text_of(rest);
	before = lun_sql_url_part(query, '?');
	code = drop_host(&before, err);
	if (code == LUN_OK)
		code = check_marks(before, err);
	if (code == LUN_OK)
		code = lun_sql_url_decode(LUN_TEXT("PATH"), before, path, err);
	return code;
}
