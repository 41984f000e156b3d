/*
 * event_fuzz.c - any bytes as a line of an import, and as the data of an event
 * whose type may be wrapped around them.
 */

#include <assert.h>
#include <stdint.h>

#include "cli/import_line.h"
#include "json/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_event(const struct lun_event *event)
{
	assert(lun_utf8_valid(event->type));
	assert(lun_utf8_valid(event->stream));
	assert(lun_json_check_form(event->data, NULL) == LUN_OK);
	assert(event->metadata.bytes == NULL ||
	       lun_json_check_form(event->metadata, NULL) == LUN_OK);
}

static void
check_import(struct lun_text line)
{
	struct lun_append append = {0};
	struct lun_buffer scratch = {0};
	struct lun_err err = {0};
	enum lun_code code = cli_import_line(line, &append, &scratch, &err);

	assert(code == LUN_OK || code == LUN_INVALID);
	if (code == LUN_OK)
		check_event(&append.event);
	else
		assert(err.message[0] != '\0');
	lun_buffer_free(&scratch);
}

static void
check_unwrap(struct lun_text json)
{
	struct lun_event event = {
	    .type = LUN_TEXT("Outer"),
	    .stream = LUN_TEXT("s"),
	    .data = json,
	};
	struct lun_buffer name = {0};

	if (lun_json_check_form(json, NULL) != LUN_OK)
		return;
	if (lun_event_unwrap(&event, &name) == NULL)
		check_event(&event);
	lun_buffer_free(&name);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lun_text text = {(const char *)data, size};

	check_import(text);
	check_unwrap(text);
	return 0;
}
