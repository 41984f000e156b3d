/*
 * watch.h - script files that change (inotify).
 *
 * Folders are watched, not files: an editor that writes a temporary file and
 * renames it over the script replaces the file that a watch would be on.
 */

#ifndef LUN_RUNTIME_WATCH_H
#define LUN_RUNTIME_WATCH_H

#include "lunette.h"

struct lun_watch;

enum lun_code lun_watch_new(
    struct lun_watch **out, struct lun_err *err) LUN_MUSTCHECK;
/* NULL is allowed. */
void lun_watch_free(struct lun_watch *watch);

/* Watch the scripts of a folder, also ones to come. Twice is once. */
enum lun_code lun_watch_folder(struct lun_watch *watch, const char *folder,
    struct lun_err *err) LUN_MUSTCHECK;
/* Watch one file of a folder; the others there do not matter. */
enum lun_code lun_watch_file(struct lun_watch *watch, const char *path,
    struct lun_err *err) LUN_MUSTCHECK;

/* Becomes readable when something has changed. */
int lun_watch_fd(const struct lun_watch *watch);

typedef void lun_watch_fn(void *arg, const char *path);

/*
 * Call back for each watched path that changed, appeared or went away. False:
 * there were more changes than the system keeps, and any path may be one.
 */
bool lun_watch_read(struct lun_watch *watch, lun_watch_fn *changed, void *arg);

/* A script's file name: *.lua, but neither *_spec.lua nor hidden. */
bool lun_watch_is_script(const char *name);

#endif
