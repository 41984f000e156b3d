/* cmd_run.c - run every projection. */

#include <sys/stat.h>

#include "base/error.h"
#include "cli/catch_up.h"
#include "cli/command.h"
#include "cli/engine_call.h"
#include "cli/scripts.h"
#include "cli/signals.h"

static enum lun_code
count_script(void *arg, const char *path, struct lun_err *err)
{
	size_t *count = arg;

	(void)path;
	(void)err;
	++*count;
	return LUN_OK;
}

/* Fails where a folder or a file is not there. */
static enum lun_code
count_scripts(const struct cli *cli, size_t *count, struct lun_err *err)
{
	const struct cli_layer *chosen = &cli->layers.chosen;
	enum lun_code code = LUN_OK;

	*count = 0;
	for (size_t i = 0; i < chosen->projection_count && code == LUN_OK; i++)
		code = cli_scripts_each(
		    chosen->projections[i], count_script, count, err);
	return code;
}

/*
 * One bad script of a folder keeps the others from nothing: the engine has
 * said what is wrong with it, and a live run loads it once it is mended.
 */
static enum lun_code
register_path(
    struct lun_engine *engine, const char *path, bool *bad, struct lun_err *err)
{
	struct stat status;

	if (stat(path, &status) != 0 || !S_ISDIR(status.st_mode))
		return lun_engine_register(engine, path, NULL, err);
	if (lun_engine_register_folder(engine, path, NULL) != LUN_OK)
		*bad = true;
	return LUN_OK;
}

static enum lun_code
register_chosen_scripts(
    struct cli *cli, struct lun_engine *engine, bool *bad, struct lun_err *err)
{
	const struct cli_layer *chosen = &cli->layers.chosen;
	enum lun_code code = LUN_OK;

	for (size_t i = 0; i < chosen->projection_count && code == LUN_OK; i++)
		code = register_path(engine, chosen->projections[i], bad, err);
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
	bool bad = false;
	enum lun_code code = register_chosen_scripts(cli, engine, &bad, err);

	if (code == LUN_OK)
		code = cli_catch_up(cli, engine, err);
	if (code == LUN_OK && bad)
		code = lun_fail(err, LUN_SCRIPT,
		    "not every script could be loaded: see above");
	return code;
}

static enum lun_code
run_live(struct cli *cli, struct lun_engine *engine, struct lun_err *err)
{
	const char *signal = "signal";
	bool bad = false;
	enum lun_code code = register_chosen_scripts(cli, engine, &bad, err);

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
	bool once = cli_value(cli, "once") != NULL;
	struct lun_err none;
	size_t count;
	/* Before any store is made for nothing. */
	enum lun_code code = count_scripts(cli, &count, err);

	if (code != LUN_OK)
		return code;
	if (once && count == 0)
		return no_script(cli, err);
	/* What is opened or loaded first has nothing to finish. */
	cli_signals_end_at_once();
	/* Nobody waits for it to end, so it tells what it does. */
	if (!once && cli_layers_value(&cli->layers, "log_level") == NULL)
		cli->screen.level = LUN_LOG_INFO;
	if (count == 0) {
		(void)no_script(cli, &none);
		cli_screen_log(&cli->screen, LUN_LOG_WARNING, none.message);
	}
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
