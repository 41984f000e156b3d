/* driver.c - see driver.h. */

#include "store/driver.h"

#include <stdbool.h>
#include <string.h>

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
