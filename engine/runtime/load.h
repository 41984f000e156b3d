/*
 * load.h - loading what somebody wrote: scripts and settings files.
 *
 * A text runs when it is loaded, so it is run on a thread that may be lost,
 * under its budget, while the calling thread watches. One that gets stuck in a
 * library call, where no budget reaches it, is given up and costs its thread;
 * nothing of the engine is held meanwhile, or left with it.
 */

#ifndef LUN_RUNTIME_LOAD_H
#define LUN_RUNTIME_LOAD_H

#include <pthread.h>

#include "runtime/stuck.h"
#include "script/script.h"
#include "script/settings_file.h"
#include "settings/settings.h"

#define LUN_LOAD_LOSSES_MAX 8

/*
 * Texts that were given up on. They are not tried again, and after so many no
 * other is either: each may still have a core for itself.
 */
struct lun_load_losses {
	pthread_mutex_t lock;
	char hashes[LUN_LOAD_LOSSES_MAX][LUN_BUNDLE_HASH_SIZE];
	size_t count;
};

struct lun_loading {
	struct lun_script_limits limits;
	int64_t stuck_ms;
	struct lun_load_losses *losses; /* NULL: not remembered */
	const atomic_bool *stop;        /* NULL: nobody stops it */
};

/* What the settings say of it. */
struct lun_loading lun_loading_from(const struct lun_settings *settings);

/*
 * As lun_script_new() and lun_script_renew(). LUN_BUDGET for one that is stuck,
 * or was before; LUN_UNAVAILABLE after a stop.
 */
enum lun_code lun_load_script(const char *chunk, struct lun_text source,
    const struct lun_loading *loading, struct lun_script **out,
    struct lun_err *err) LUN_MUSTCHECK;
/* The same of a file, read as lun_source_read() does. */
enum lun_code lun_load_script_file(const char *path,
    const struct lun_loading *loading, struct lun_script **out,
    struct lun_err *err) LUN_MUSTCHECK;

/* LUN_NOTFOUND if there is no such file, LUN_CONFIG for anything wrong. */
enum lun_code lun_load_settings(const char *path,
    struct lun_settings_file **out, struct lun_err *err) LUN_MUSTCHECK;

#endif
