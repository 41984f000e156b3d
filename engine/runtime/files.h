/*
 * files.h - the script files that an engine was registered from, and which of
 * them changed.
 *
 * Every file is looked at now and then, following links: whatever way another
 * text comes to be under a path (an editor, a rename, a link that leads
 * elsewhere, a folder that was replaced), its device, inode, size or times are
 * others. A hint only makes the next look an early one.
 */

#ifndef LUN_RUNTIME_FILES_H
#define LUN_RUNTIME_FILES_H

#include <pthread.h>

#include "base/log.h"
#include "runtime/watch.h"

struct lun_file;
struct lun_folder;

/* Any thread. */
struct lun_files {
	const struct lun_log *log;
	pthread_mutex_t lock;
	struct lun_folder *folders;
	size_t folder_count;
	struct lun_file *list;
	size_t count, capacity;
	bool followed;
	bool unwatched_said;     /* that some folder gives no hints */
	struct lun_watch *watch; /* NULL: there are no hints */
};

/* The log is borrowed. */
void lun_files_init(struct lun_files *files, const struct lun_log *log);
void lun_files_fini(struct lun_files *files);

/*
 * Know this folder's scripts, as they are now and others to come. LUN_CONFIG
 * if it cannot be read.
 */
enum lun_code lun_files_add_folder(struct lun_files *files, const char *folder,
    struct lun_err *err) LUN_MUSTCHECK;
/*
 * Know this file as it is now: to be called before it is loaded. *added: it was
 * not known.
 */
enum lun_code lun_files_note(struct lun_files *files, const char *path,
    bool *added, struct lun_err *err) LUN_MUSTCHECK;
void lun_files_forget(struct lun_files *files, const char *path);

/* From here on looks are of use, and there are hints if the system has any. */
void lun_files_follow(struct lun_files *files);
bool lun_files_are_followed(struct lun_files *files);
/* Readable when there are hints; -1 without any. */
int lun_files_fd(struct lun_files *files);

typedef void lun_files_fn(void *arg, const char *path);

/*
 * Take the hints and look: call back for each file with another text than it
 * had, or that appeared or went away, once it has been left alone for a moment.
 * False: some have not, so look again soon. The callback must not look.
 */
bool lun_files_look(struct lun_files *files, lun_files_fn *changed, void *arg);
/* Call back for each file that is there. */
void lun_files_each(struct lun_files *files, lun_files_fn *present, void *arg);

/* A script's file name: *.lua, but neither *_spec.lua nor hidden. */
bool lun_files_is_script(const char *name);

#endif
