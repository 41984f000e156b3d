/* stores.c - opening what a command works on. */

#include "cli/stores.h"

#include <string.h>

#include "base/error.h"

#define IN_MEMORY "memory:"

static void
require_url(const struct cli *cli, const char *name)
{
	char variable[CLI_VARIABLE_NAME_MAX];

	if (cli_layers_value(&cli->layers, name) != NULL)
		return;
	cli_variable_name(name, variable);
	cli_misuse(cli,
	    "no store of %s is given: use --%s URL, %s in the environment or "
	    "\"%s\" in " CLI_DEFAULT_CONFIG,
	    name, name, variable, name);
}

enum lun_code
cli_open_engine(struct cli *cli, enum cli_need need, struct lun_engine **engine,
    struct lun_err *err)
{
	struct lun_setting settings[CLI_SETTINGS_MAX + 1];
	struct lun_engine_options options = {
	    .settings = settings,
	    .setting_count = cli_layers_settings(&cli->layers, settings),
	    .log = cli_screen_log,
	    .log_arg = &cli->screen,
	    .must_exist = cli->command->makes != CLI_MAKES_STORES,
	};

	if (need != CLI_NEED_MODELS)
		require_url(cli, "events");
	if (need != CLI_NEED_EVENTS)
		require_url(cli, "models");
	if (need != CLI_NEED_BOTH)
		settings[options.setting_count++] = (struct lun_setting){
		    need == CLI_NEED_EVENTS ? "models" : "events", IN_MEMORY};
	return lun_engine_open(&options, engine, err);
}

enum lun_code
cli_open_events(
    struct cli *cli, struct lun_event_store **events, struct lun_err *err)
{
	struct lun_setting given[CLI_SETTINGS_MAX];
	struct lun_settings settings;
	struct lun_store_options options;
	enum lun_code code;

	require_url(cli, "events");
	code = lun_settings_make(
	    given, cli_layers_settings(&cli->layers, given), &settings, err);
	if (code != LUN_OK)
		return code;
	options = lun_settings_for_stores(&settings);
	options.must_exist = cli->command->makes == CLI_MAKES_NOTHING;
	code = lun_event_store_open(settings.events, &options, events, err);
	if (code == LUN_OK && (*events)->made)
		cli_screen_say(
		    &cli->screen, "made the event store %s", settings.events);
	lun_settings_free(&settings);
	return code;
}
