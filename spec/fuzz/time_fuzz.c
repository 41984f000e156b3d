/* time_fuzz.c - any text as a time, and back. */

#include <assert.h>
#include <stdint.h>

#include "base/clock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was read is in range, and its text means the same moment. */
static void
check_moment(int64_t us)
{
	char text[LUN_TIMESTAMP_LENGTH + 1];
	int64_t again;

	assert(us >= LUN_TIMESTAMP_MIN && us <= LUN_TIMESTAMP_MAX);
	lun_timestamp_format(us, text);
	assert(strlen(text) == LUN_TIMESTAMP_LENGTH);
	assert(lun_timestamp_parse(lun_text_of(text), &again) && again == us);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lun_text text = {(const char *)data, size};
	struct lun_timestamp loose;
	int64_t us;
	bool strict = lun_timestamp_parse(text, &us);

	if (strict)
		check_moment(us);
	if (lun_timestamp_read(text, &loose)) {
		check_moment(loose.us);
		assert(!loose.date_only || !loose.zoned);
		assert(!strict || (loose.us == us && loose.zoned));
	} else {
		assert(!strict);
	}
	return 0;
}
