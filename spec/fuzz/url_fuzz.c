/*
 * url_fuzz.c - any text as the URL of a store, or as a part of one. Nothing is
 * reached by it: the files lie in a folder that does not exist, and a server
 * is not asked.
 */

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "postgres/client/url.h"
#include "store/driver.h"
#include "store/event_store.h"
#include "store/model_store.h"

#define SECRET "sEkReT"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *
joined(const char *before, struct lun_text text, const char *after)
{
	struct lun_buffer buffer = {0};

	lun_buffer_add_text(&buffer, lun_text_of(before));
	lun_buffer_add_text(&buffer, text);
	lun_buffer_add_text(&buffer, lun_text_of(after));
	return lun_buffer_take(&buffer);
}

/* Whether a message, or a name that goes into one, is fit to be shown. */
static void
check_words(const char *words)
{
	assert(words[0] != '\0');
	assert(strstr(words, SECRET) == NULL);
}

static void
check_postgres(const char *before, struct lun_text text, const char *after)
{
	char *rest = joined(before, text, after);
	struct lun_err err = {0};
	struct lun_pg_url *url;
	enum lun_code code = lun_pg_url_new(rest, NULL, &url, &err);

	if (code == LUN_OK) {
		(void)lun_pg_url_value(url, "layout");
		check_words(url->name);
		lun_pg_url_release(lun_pg_url_share(url));
		lun_pg_url_release(url);
	} else {
		assert(code == LUN_CONFIG);
		check_words(err.message);
	}
	free(rest);
}

static void
check_sqlite(struct lun_text text)
{
	char *url = joined("sqlite:/no such folder/", text, "");
	struct lun_store_options options = {.must_exist = true};
	struct lun_event_store *events;
	struct lun_model_store *models;
	struct lun_err err = {0};
	enum lun_code code = lun_event_store_open(url, &options, &events, &err);

	assert(code != LUN_OK && err.message[0] != '\0');
	code = lun_model_store_open(url, &options, &models, &err);
	assert(code != LUN_OK && err.message[0] != '\0');
	free(url);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lun_text text = {(const char *)data, size};
	char *whole;
	const char *rest;

	if (memchr(data, '\0', size) != NULL ||
	    memmem(data, size, SECRET, strlen(SECRET)) != NULL)
		return 0; /* a URL is a C string; what it gives away it has */
	whole = joined("", text, "");
	(void)lun_driver_find(whole, &rest);
	free(whole);
	check_postgres("", text, "");
	check_postgres("//u:" SECRET "@host/db?", text, "");
	check_postgres("//u:" SECRET "@", text, "/db");
	check_postgres("//host/db?password=" SECRET "&", text, "");
	check_sqlite(text);
	return 0;
}
