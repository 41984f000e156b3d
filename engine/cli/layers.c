/* layers.c - where settings come from. */

#include "cli/layers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/suggest.h"
#include "runtime/load.h"
#include "store/driver.h"

#define PREFIX "LUNETTE_"

/* Variables that are no settings; named as if they were. */
static const char *const own_variables[] = {"config", "projections", NULL};

void
cli_flag_name(const char *setting, char name[CLI_VARIABLE_NAME_MAX])
{
	size_t i = 0;

	for (; setting[i] != '\0' && i + 1 < CLI_VARIABLE_NAME_MAX; i++)
		name[i] = setting[i] == '_' ? '-' : setting[i];
	name[i] = '\0';
}

void
cli_variable_name(const char *setting, char name[CLI_VARIABLE_NAME_MAX])
{
	size_t length =
	    (size_t)snprintf(name, CLI_VARIABLE_NAME_MAX, PREFIX "%s", setting);

	for (size_t i = 0; i < length && i + 1 < CLI_VARIABLE_NAME_MAX; i++)
		name[i] = lun_ascii_upper(name[i]);
}

enum lun_code
cli_layer_add_projection(
    struct cli_layer *layer, const char *path, struct lun_err *err)
{
	size_t size = (layer->projection_count + 1) * sizeof path;
	const char **grown = realloc(layer->projections, size);

	if (grown == NULL)
		return lun_fail(err, LUN_NOMEM, "%s: out of memory", path);
	layer->projections = grown;
	layer->projections[layer->projection_count++] = path;
	return LUN_OK;
}

int
cli_setting_index(const char *name)
{
	for (int i = 0; lun_setting_entries[i].name != NULL; i++)
		if (strcmp(lun_setting_entries[i].name, name) == 0)
			return i;
	return -1;
}

static enum lun_code
refuse_unknown_setting(const char *name, struct lun_err *err)
{
	struct lun_suggestion suggestion = {0};

	if (lun_setting_check_gone(name, err) != LUN_OK)
		return LUN_CONFIG;
	lun_suggestion_consider(
	    &suggestion, lun_text_of(name), LUN_TEXT("projections"));
	for (int i = 0; lun_setting_entries[i].name != NULL; i++)
		lun_suggestion_consider(&suggestion, lun_text_of(name),
		    lun_text_of(lun_setting_entries[i].name));
	if (suggestion.word.bytes == NULL)
		return lun_fail(err, LUN_CONFIG,
		    "there is no setting \"%.100s\"; \"lunette --help\" lists "
		    "them all",
		    name);
	return lun_fail(err, LUN_CONFIG,
	    "there is no setting \"%.100s\"; did you mean \"%.*s\"?", name,
	    LUN_TEXT_ARG(suggestion.word));
}

/* ---- the settings file ------------------------------------------------- */

struct cli_text {
	struct cli_text *next;
	char *text;
};

/* Takes the text over, which may be NULL. */
static enum lun_code
keep_text(struct cli_layers *layers, char *text, const char **out,
    struct lun_err *err)
{
	struct cli_text *kept = malloc(sizeof *kept);

	if (text == NULL || kept == NULL) {
		free(text);
		free(kept);
		return lun_fail(err, LUN_NOMEM, "settings: out of memory");
	}
	*kept = (struct cli_text){layers->texts, text};
	layers->texts = kept;
	*out = text;
	return LUN_OK;
}

/* "" where the file stands in the current folder. */
static struct lun_text
folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	size_t length = slash != NULL ? (size_t)(slash - path) : 0;

	/* "/lunette.lua" */
	if (slash == path)
		return LUN_TEXT("/.");
	return (struct lun_text){path, length};
}

static char *
path_from(const char *path, struct lun_text folder)
{
	struct lun_buffer out = {0};

	if (folder.length > 0 && path[0] != '/' && path[0] != '\0')
		lun_buffer_printf(&out, "%.*s/", LUN_TEXT_ARG(folder));
	lun_buffer_add_text(&out, lun_text_of(path));
	return lun_buffer_take(&out);
}

/* Paths are the file's: they count from its folder, wherever that is read. */
static enum lun_code
read_pair(struct cli_layers *layers, struct cli_layer *layer,
    const struct lun_setting *pair, struct lun_err *err)
{
	int index = cli_setting_index(pair->name);
	struct lun_text folder = folder_of(layers->from);
	const char *value = pair->value;
	enum lun_code code;

	if (strcmp(pair->name, "projections") == 0) {
		code = keep_text(layers, path_from(value, folder), &value, err);
		return code == LUN_OK
			   ? cli_layer_add_projection(layer, value, err)
			   : code;
	}
	if (index < 0)
		return refuse_unknown_setting(pair->name, err);
	code = lun_setting_check(&lun_setting_entries[index], value, err);
	if (code == LUN_OK &&
	    lun_setting_entries[index].type == LUN_SETTING_URL)
		code = keep_text(
		    layers, lun_driver_url_from(value, folder), &value, err);
	if (code == LUN_OK)
		layer->values[index] = value;
	return code;
}

static enum lun_code
read_file(struct cli_layers *layers, struct cli_layer *layer, const char *path,
    struct lun_err *err)
{
	enum lun_code code = lun_load_settings(path, &layers->file, err);

	if (code != LUN_OK)
		return code;
	layers->from = path;
	for (size_t i = 0; i < layers->file->count && code == LUN_OK; i++)
		code = read_pair(layers, layer, &layers->file->pairs[i], err);
	return code != LUN_OK ? lun_wrap(err, code, "%s", path) : LUN_OK;
}

/*
 * A file that was asked for must be there; the default one may be missing, but
 * a link of that name may not lead nowhere.
 */
static enum lun_code
read_config(
    struct cli_layers *layers, struct cli_layer *layer, struct lun_err *err)
{
	const char *path = layers->config;
	struct stat status;

	if (path == NULL)
		path = getenv("LUNETTE_CONFIG");
	if (path != NULL && path[0] != '\0')
		return read_file(layers, layer, path, err);
	if (lstat(CLI_DEFAULT_CONFIG, &status) != 0 && errno == ENOENT)
		return LUN_OK;
	return read_file(layers, layer, CLI_DEFAULT_CONFIG, err);
}

static enum lun_code
read_variable(struct cli_layer *layer, int index, struct lun_err *err)
{
	const struct lun_setting_entry *entry = &lun_setting_entries[index];
	char name[CLI_VARIABLE_NAME_MAX];
	const char *value;
	enum lun_code code;

	cli_variable_name(entry->name, name);
	value = getenv(name);
	if (value == NULL || value[0] == '\0')
		return LUN_OK;
	code = lun_setting_check(entry, value, err);
	if (code != LUN_OK)
		return lun_wrap(err, code, "%s", name);
	layer->values[index] = value;
	return LUN_OK;
}

static enum lun_code
check_gone_variables(struct lun_err *err)
{
	for (int i = 0; lun_settings_gone[i].name != NULL; i++) {
		const char *setting = lun_settings_gone[i].name;
		char name[CLI_VARIABLE_NAME_MAX];
		const char *value;

		cli_variable_name(setting, name);
		value = getenv(name);
		if (value != NULL && value[0] != '\0')
			return lun_wrap(err,
			    lun_setting_check_gone(setting, err), "%s", name);
	}
	return LUN_OK;
}

/* LUNETTE_PROJECTIONS holds paths between colons, as PATH does. */
static enum lun_code
read_projections_variable(
    struct cli_layers *layers, struct cli_layer *layer, struct lun_err *err)
{
	const char *value = getenv("LUNETTE_PROJECTIONS");
	enum lun_code code = LUN_OK;
	char *rest;

	if (value == NULL || value[0] == '\0')
		return LUN_OK;
	layers->environment = strdup(value);
	if (layers->environment == NULL)
		return lun_fail(err, LUN_NOMEM, "LUNETTE_PROJECTIONS");
	layer->projection_count = 0;
	for (char *path = strtok_r(layers->environment, ":", &rest);
	     path != NULL && code == LUN_OK; path = strtok_r(NULL, ":", &rest))
		code = cli_layer_add_projection(layer, path, err);
	return code;
}

static enum lun_code
lay_flags_over(
    const struct cli_layer *flags, struct cli_layer *layer, struct lun_err *err)
{
	enum lun_code code = LUN_OK;

	for (size_t i = 0; i < CLI_SETTINGS_MAX; i++)
		if (flags->values[i] != NULL)
			layer->values[i] = flags->values[i];
	if (flags->projection_count > 0)
		layer->projection_count = 0;
	for (size_t i = 0; i < flags->projection_count && code == LUN_OK; i++)
		code =
		    cli_layer_add_projection(layer, flags->projections[i], err);
	return code;
}

enum lun_code
cli_layers_settle(struct cli_layers *layers, struct lun_err *err)
{
	struct cli_layer *chosen = &layers->chosen;
	enum lun_code code = read_config(layers, chosen, err);

	for (int i = 0; code == LUN_OK && lun_setting_entries[i].name != NULL;
	     i++)
		code = read_variable(chosen, i, err);
	if (code == LUN_OK)
		code = check_gone_variables(err);
	if (code == LUN_OK)
		code = read_projections_variable(layers, chosen, err);
	if (code == LUN_OK)
		code = lay_flags_over(&layers->flags, chosen, err);
	if (code == LUN_OK && chosen->projection_count == 0)
		code =
		    cli_layer_add_projection(chosen, CLI_DEFAULT_FOLDER, err);
	return code;
}

/* ---- variables that mean nothing --------------------------------------- */

struct variable {
	const char *name;
	size_t length;
	bool known;
	struct lun_suggestion suggestion; /* of the settings */
};

static void
compare_variable(struct variable *variable, const char *setting)
{
	const struct lun_text rest = {
	    variable->name + strlen(PREFIX), variable->length - strlen(PREFIX)};
	char name[CLI_VARIABLE_NAME_MAX];

	cli_variable_name(setting, name);
	if (lun_text_equal(lun_text_of(name),
		(struct lun_text){variable->name, variable->length}))
		variable->known = true;
	lun_suggestion_consider(
	    &variable->suggestion, rest, lun_text_of(setting));
}

static void
warn_of_variable(const struct variable *variable, struct cli_screen *screen)
{
	char nearest[CLI_VARIABLE_NAME_MAX];
	int length = variable->length > 100 ? 100 : (int)variable->length;

	if (variable->suggestion.word.bytes == NULL) {
		cli_screen_say(screen,
		    "lunette: %.*s in the environment is no setting: "
		    "\"lunette --help\" lists them all",
		    length, variable->name);
		return;
	}
	cli_variable_name(variable->suggestion.word.bytes, nearest);
	cli_screen_say(screen,
	    "lunette: %.*s in the environment is no setting; did you mean %s?",
	    length, variable->name, nearest);
}

void
cli_layers_warn(struct cli_screen *screen)
{
	for (char **entry = environ; *entry != NULL; entry++) {
		struct variable variable = {
		    .name = *entry, .length = strcspn(*entry, "=")};

		/* An empty one is as good as absent. */
		if (strncmp(*entry, PREFIX, strlen(PREFIX)) != 0 ||
		    strcmp(*entry + variable.length, "=") == 0)
			continue;
		for (int i = 0; lun_setting_entries[i].name != NULL; i++)
			compare_variable(
			    &variable, lun_setting_entries[i].name);
		for (int i = 0; own_variables[i] != NULL; i++)
			compare_variable(&variable, own_variables[i]);
		if (!variable.known)
			warn_of_variable(&variable, screen);
	}
}

void
cli_layers_free(struct cli_layers *layers)
{
	while (layers->texts != NULL) {
		struct cli_text *kept = layers->texts;

		layers->texts = kept->next;
		free(kept->text);
		free(kept);
	}
	lun_settings_file_free(layers->file);
	free(layers->environment);
	free(layers->flags.projections);
	free(layers->chosen.projections);
}

const char *
cli_layers_value(const struct cli_layers *layers, const char *name)
{
	int index = cli_setting_index(name);

	return index >= 0 ? layers->chosen.values[index] : NULL;
}

size_t
cli_layers_settings(const struct cli_layers *layers,
    struct lun_setting settings[CLI_SETTINGS_MAX])
{
	size_t count = 0;

	for (size_t i = 0; lun_setting_entries[i].name != NULL; i++)
		if (layers->chosen.values[i] != NULL)
			settings[count++] =
			    (struct lun_setting){lun_setting_entries[i].name,
				layers->chosen.values[i]};
	return count;
}
