/*
 * driver.h - the kinds of stores, found by the scheme of a URL.
 */

#ifndef LUN_STORE_DRIVER_H
#define LUN_STORE_DRIVER_H

#include "base/text.h"
#include "lunette.h"

struct lun_event_store_ops;
struct lun_model_store_ops;

struct lun_driver {
	const char *scheme; /* of the URL: "sqlite", "memory" */
	const char *alias;  /* another scheme for it, or NULL */
	/* NULL: it stores nothing of that sort. */
	const struct lun_event_store_ops *events;
	const struct lun_model_store_ops *models;
	bool is_file; /* the rest of its URLs begins with the path of a file */
};

/*
 * Every driver of this build; the last one has no scheme. The table stands in
 * a file of its own, so that a build can have other drivers.
 */
extern const struct lun_driver lun_drivers[];

/*
 * "sqlite:PATH" is for sqlite with the rest PATH; "faulty+sqlite:PATH" is for
 * faulty with the rest "sqlite:PATH". NULL: nobody has that scheme.
 */
const struct lun_driver *lun_driver_find(const char *url, const char **rest);

/*
 * A URL that was written down in this folder, as it is to be opened from the
 * current one: with the folder before a path that is not absolute. The caller
 * frees it; NULL when out of memory.
 */
char *lun_driver_url_from(
    const char *url, struct lun_text folder) LUN_MUSTCHECK;

#endif
