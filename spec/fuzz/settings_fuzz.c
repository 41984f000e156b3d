/*
 * settings_fuzz.c - any lines "name=value" as settings: refused with words, or
 * every number within its limits.
 */

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "settings/settings.h"
#include "store/event_store.h"

#define MOST 40

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_settings(const struct lun_settings *settings)
{
	const struct lun_setting_entry *entry = lun_setting_entries;

	for (; entry->name != NULL; entry++) {
		const char *at = (const char *)settings + entry->offset;
		int64_t number;

		if (entry->type != LUN_SETTING_NUMBER)
			continue;
		memcpy(&number, at, sizeof number);
		assert(number >= entry->least && number <= entry->most);
	}
	assert(settings->live_events <= settings->batch_events);
	assert(settings->query_limit <= settings->query_limit_max);
	assert(settings->retry_ms <= settings->retry_max_ms);
	(void)lun_settings_for_stores(settings);
}

/* Each value with each entry: it says what it wants. */
static void
check_entries(const char *value)
{
	const struct lun_setting_entry *entry = lun_setting_entries;

	for (; entry->name != NULL; entry++) {
		struct lun_err err = {0};
		enum lun_code code = lun_setting_check(entry, value, &err);

		assert(code == LUN_OK || code == LUN_CONFIG);
		assert(
		    code == LUN_OK || strstr(err.message, entry->name) != NULL);
	}
}

static size_t
split(char *text, struct lun_setting settings[MOST])
{
	size_t count = 0;
	char *saved = NULL;
	char *line = strtok_r(text, "\n", &saved);

	for (; line != NULL && count < MOST;
	     line = strtok_r(NULL, "\n", &saved)) {
		char *equals = strchr(line, '=');

		if (equals == NULL)
			continue;
		*equals = '\0';
		settings[count++] =
		    (struct lun_setting){.name = line, .value = equals + 1};
	}
	return count;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lun_setting given[MOST];
	struct lun_settings settings = {0};
	struct lun_err err = {0};
	char *text = strndup((const char *)data, size);
	size_t count;

	if (text == NULL)
		return 0;
	count = split(text, given);
	for (size_t i = 0; i < count; i++)
		check_entries(given[i].value);
	if (lun_settings_make(given, count, &settings, &err) == LUN_OK) {
		check_settings(&settings);
		lun_settings_free(&settings);
	} else {
		assert(err.code == LUN_CONFIG && err.message[0] != '\0');
	}
	free(text);
	return 0;
}
