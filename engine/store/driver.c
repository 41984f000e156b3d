/* driver.c - see driver.h. */

#include "store/driver.h"

#include <string.h>

#include "base/buffer.h"

static bool
is_scheme(const char *scheme, const char *url, size_t length)
{
	return scheme != NULL && strlen(scheme) == length &&
	       strncmp(scheme, url, length) == 0;
}

const struct lun_driver *
lun_driver_find(const char *url, const char **rest)
{
	const struct lun_driver *driver = lun_drivers;
	size_t length = strcspn(url, "+:");

	if (url[length] == '\0')
		return NULL;
	while (driver->scheme != NULL &&
	       !is_scheme(driver->scheme, url, length) &&
	       !is_scheme(driver->alias, url, length))
		driver++;
	if (driver->scheme == NULL)
		return NULL;
	*rest = url + length + 1;
	return driver;
}

/* A "?" of the folder's would begin the query. */
static void
add_folder(struct lun_buffer *out, struct lun_text folder)
{
	for (size_t i = 0; i < folder.length; i++)
		if (strchr("%?&#", folder.bytes[i]) != NULL)
			lun_buffer_printf(out, "%%%02X",
			    (unsigned)(unsigned char)folder.bytes[i]);
		else
			lun_buffer_add_byte(out, folder.bytes[i]);
	lun_buffer_add_byte(out, '/');
}

char *
lun_driver_url_from(const char *url, struct lun_text folder)
{
	const char *rest = url;
	const struct lun_driver *driver = lun_driver_find(url, &rest);
	struct lun_buffer out = {0};

	lun_buffer_add(&out, url, (size_t)(rest - url));
	/* ":memory:" and nothing at all are refused as they are. */
	if (driver != NULL && driver->is_file && folder.length > 0 &&
	    strchr("/:?", *rest) == NULL)
		add_folder(&out, folder);
	lun_buffer_add_text(&out, lun_text_of(rest));
	return lun_buffer_take(&out);
}
