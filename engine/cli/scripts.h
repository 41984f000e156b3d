/*
 * scripts.h - finding projection scripts at the paths given with -p.
 */

#ifndef LUN_CLI_SCRIPTS_H
#define LUN_CLI_SCRIPTS_H

#include "cli/command.h"
#include "lunette.h"

typedef enum lun_code cli_script_fn(
    void *arg, const char *path, struct lun_err *err);

/*
 * Call back for each script of a folder (every *.lua but *_spec.lua, in the
 * order of their names), or for the path itself if it is a file. Ends at the
 * first failure.
 */
enum lun_code cli_scripts_each(const char *path, cli_script_fn *script,
    void *arg, struct lun_err *err) LUN_MUSTCHECK;

/* The failure, LUN_NOTFOUND, that there is none at these paths. */
enum lun_code cli_scripts_none(
    const char *const *paths, size_t count, struct lun_err *err);

/*
 * Register the script whose projection has this name. LUN_NOTFOUND if there
 * is none; a script that cannot be loaded is an error only if it lies in a
 * file of that name, else it is named on the screen if none was found.
 */
enum lun_code cli_scripts_register(struct cli *cli, struct lun_engine *engine,
    const char *projection, struct lun_err *err) LUN_MUSTCHECK;

#endif
