/*
 * watch.h - hints that something in a folder has changed (inotify).
 *
 * No more than hints: files.h looks at the files themselves. A system that has
 * no watches left just gives none.
 */

#ifndef LUN_RUNTIME_WATCH_H
#define LUN_RUNTIME_WATCH_H

#include "lunette.h"

struct lun_watch;

enum lun_code lun_watch_new(
    struct lun_watch **out, struct lun_err *err) LUN_MUSTCHECK;
/* NULL is allowed. */
void lun_watch_free(struct lun_watch *watch);

/*
 * Watch the folder that this path leads to now. *id is for lun_watch_drop();
 * the same folder has the same.
 */
enum lun_code lun_watch_add(struct lun_watch *watch, const char *folder,
    int *id, struct lun_err *err) LUN_MUSTCHECK;
void lun_watch_drop(struct lun_watch *watch, int id);

/* Becomes readable when something has changed. */
int lun_watch_fd(const struct lun_watch *watch);
/* Take the hints. */
void lun_watch_drain(struct lun_watch *watch);

#endif
