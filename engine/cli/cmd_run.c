/* cmd_run.c - run every projection. */

#include <sys/stat.h>

#include "base/error.h"
#include "cli/catch_up.h"
#include "cli/command.h"
#include "cli/engine_call.h"
#include "cli/scripts.h"
#include "cli/signals.h"

struct scripts {
	size_t count;
	bool bad; /* one of them at least */
};

static enum lun_code
count_script(void *arg, const char *path, struct lun_err *err)
{
	struct scripts *scripts = arg;

	(void)path;
	(void)err;
	scripts->count++;
	return LUN_OK;
}

/*
 * One bad script of a folder keeps the others from nothing: the engine has
 * said what is wrong with it, and a live run loads it once it is mended.
 */
static enum lun_code
register_path(struct lun_engine *engine, const char *path,
    struct scripts *scripts, struct lun_err *err)
{
	struct stat status;
	enum lun_code code = cli_scripts_each(path, count_script, scripts, err);

	if (code != LUN_OK)
		return code;
	if (stat(path, &status) != 0 || !S_ISDIR(status.st_mode))
		return lun_engine_register(engine, path, NULL, err);
	if (lun_engine_register_folder(engine, path, NULL) != LUN_OK)
		scripts->bad = true;
	return LUN_OK;
}

static enum lun_code
register_chosen_scripts(struct cli *cli, struct lun_engine *engine,
    struct scripts *scripts, struct lun_err *err)
{
	const struct cli_layer *chosen = &cli->layers.chosen;
	enum lun_code code = LUN_OK;

	for (size_t i = 0; i < chosen->projection_count && code == LUN_OK; i++)
		code =
		    register_path(engine, chosen->projections[i], scripts, err);
	return code;
}

static enum lun_code
no_script(const struct cli *cli, struct lun_err *err)
{
	const struct cli_layer *chosen = &cli->layers.chosen;

	return cli_scripts_none(
	    chosen->projections, chosen->projection_count, err);
}

static enum lun_code
run_once(struct cli *cli, struct lun_engine *engine, struct lun_err *err)
{
	struct scripts scripts = {0};
	enum lun_code code =
	    register_chosen_scripts(cli, engine, &scripts, err);

	if (code == LUN_OK && scripts.count == 0)
		return no_script(cli, err);
	if (code == LUN_OK)
		code = cli_catch_up(cli, engine, err);
	if (code == LUN_OK && scripts.bad)
		code = lun_fail(err, LUN_SCRIPT,
		    "not every script could be loaded: see above");
	return code;
}

static enum lun_code
run_live(struct cli *cli, struct lun_engine *engine, struct lun_err *err)
{
	const char *signal = "signal";
	struct scripts scripts = {0};
	struct lun_err none;
	enum lun_code code;

	code = register_chosen_scripts(cli, engine, &scripts, err);
	if (code == LUN_OK && scripts.count == 0) {
		(void)no_script(cli, &none);
		cli_screen_log(&cli->screen, LUN_LOG_WARNING, none.message);
	}
	if (code == LUN_OK)
		code = lun_engine_watch(engine, err);
	if (code == LUN_OK)
		code = cli_signals_open(&cli->signals, err);
	if (code == LUN_OK)
		code = lun_engine_start(engine, err);
	if (code != LUN_OK)
		return code;
	cli_signals_wait(cli->signals, &signal);
	cli_screen_say(&cli->screen,
	    "%s: finishing the batches under way; once more to stop at once",
	    signal);
	return lun_engine_stop(engine, err);
}

static enum lun_code
run_projections(struct cli *cli, struct lun_engine *engine, struct lun_err *err)
{
	if (cli_value(cli, "once") != NULL)
		return run_once(cli, engine, err);
	return run_live(cli, engine, err);
}

static enum lun_code
run_run(struct cli *cli, struct lun_err *err)
{
	/* What is opened or loaded first has nothing to finish. */
	cli_signals_end_at_once();
	/* Nobody waits for it to end, so it tells what it does. */
	if (cli_value(cli, "once") == NULL &&
	    cli_layers_value(&cli->layers, "log_level") == NULL)
		cli->screen.level = LUN_LOG_INFO;
	return cli_with_engine(cli, CLI_NEED_BOTH, run_projections, err);
}

static const struct cli_option options[] = {
    {
	.name = "once",
	.help = "End at the head of the event store as it is at the start, "
		"with exit status 1 if any projection failed or there is no "
		"script. Events that writers hold back are waited for, and "
		"it is said for whom",
    },
    {.name = NULL},
};

const struct cli_command cmd_run = {
    .name = "run",
    .summary = "run every projection",
    .description =
	"Register every script, catch up with the event store and go on live "
	"until SIGINT or SIGTERM; the batches under way are finished first. "
	"Scripts that are edited, added or removed are noticed.",
    .examples = "lunette run -e sqlite:bank.db -m sqlite:bank.db\n"
		"lunette run --once -p projections/account_summary.lua\n",
    .options = options,
    .makes = CLI_MAKES_STORES,
    .run = run_run,
};
