/*
 * settings_file.h - a settings file: a Lua table, run confined.
 *
 *   return {
 *     events = "sqlite:events.db",
 *     models = "sqlite:models.db",
 *     projections = { "projections", "more/totals.lua" },
 *   }
 */

#ifndef LUN_SCRIPT_SETTINGS_FILE_H
#define LUN_SCRIPT_SETTINGS_FILE_H

#include "base/buffer.h"
#include "lunette.h"
#include "script/pulse.h"

/*
 * Pairs in the order of their names; a list gives its name several times, in
 * order. Whether there are such settings is for others to check.
 */
struct lun_settings_file {
	struct lun_setting *pairs;
	size_t count;
	void *memory; /* what owns the texts */
	char *path;
	struct lun_buffer source;
	struct lun_pulse pulse; /* of the run */
};

/* CPU time that running it may take. */
#define LUN_SETTINGS_FILE_CPU_MS 1000

/* One that was not run yet: it has no pairs. */
enum lun_code lun_settings_file_new(const char *path, struct lun_text source,
    struct lun_settings_file **out, struct lun_err *err) LUN_MUSTCHECK;
/*
 * Run it, once, which makes its pairs. LUN_CONFIG with "path: ..." or
 * "path:line: ..." for anything wrong in it.
 */
enum lun_code lun_settings_file_run(
    struct lun_settings_file *file, struct lun_err *err) LUN_MUSTCHECK;
/* NULL is allowed. */
void lun_settings_file_free(struct lun_settings_file *file);

#endif
