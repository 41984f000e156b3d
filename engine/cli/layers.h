/*
 * layers.h - where settings come from: the settings file, over it the
 * environment, over it the flags. Defaults are the engine's business.
 */

#ifndef LUN_CLI_LAYERS_H
#define LUN_CLI_LAYERS_H

#include "cli/screen.h"
#include "lunette.h"
#include "script/settings_file.h"
#include "settings/settings.h"

#define CLI_SETTINGS_MAX      64
#define CLI_DEFAULT_CONFIG    "lunette.lua"
#define CLI_DEFAULT_FOLDER    "projections"
#define CLI_VARIABLE_NAME_MAX 64

/* One source of settings. Texts are borrowed. */
struct cli_layer {
	const char *values[CLI_SETTINGS_MAX]; /* by index in the table */
	const char **projections;
	size_t projection_count;
};

struct cli_text;

struct cli_layers {
	struct cli_layer flags;
	const char *config; /* the file asked for by a flag; NULL: none */
	struct lun_settings_file *file;
	char *environment; /* owns the folders of LUNETTE_PROJECTIONS */
	struct cli_layer chosen;
	const char *from;       /* the settings file that was read, or NULL */
	struct cli_text *texts; /* paths made from those in that file */
};

/* "busy_timeout_ms" as "busy-timeout-ms" and as "LUNETTE_BUSY_TIMEOUT_MS". */
void cli_flag_name(const char *setting, char name[CLI_VARIABLE_NAME_MAX]);
void cli_variable_name(const char *setting, char name[CLI_VARIABLE_NAME_MAX]);

/* Copies the pointer. */
enum lun_code cli_layer_add_projection(struct cli_layer *layer,
    const char *path, struct lun_err *err) LUN_MUSTCHECK;

/* Fill `chosen` from file, environment and flags. */
enum lun_code cli_layers_settle(
    struct cli_layers *layers, struct lun_err *err) LUN_MUSTCHECK;
/* Say which variables look like settings and are none. */
void cli_layers_warn(struct cli_screen *screen);
void cli_layers_free(struct cli_layers *layers);

/* The chosen value of a setting, or NULL. */
const char *cli_layers_value(const struct cli_layers *layers, const char *name);

/* The settings as the engine takes them; returns how many. */
size_t cli_layers_settings(const struct cli_layers *layers,
    struct lun_setting settings[CLI_SETTINGS_MAX]);

/* The index of a setting in the table, or -1. */
int cli_setting_index(const char *name);

#endif
