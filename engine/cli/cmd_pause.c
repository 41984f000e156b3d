/* cmd_pause.c - pause and resume a projection. */

#include "cli/command.h"
#include "cli/engine_call.h"

static enum lun_code
request_pause(struct cli *cli, struct lun_engine *engine, struct lun_err *err)
{
	return cli_request(
	    cli, engine, cli_argument(cli, 0), LUN_REQUEST_PAUSE, NULL, err);
}

static enum lun_code
request_resume(struct cli *cli, struct lun_engine *engine, struct lun_err *err)
{
	return cli_request(
	    cli, engine, cli_argument(cli, 0), LUN_REQUEST_RESUME, NULL, err);
}

static enum lun_code
run_pause(struct cli *cli, struct lun_err *err)
{
	return cli_with_engine(cli, CLI_NEED_BOTH, request_pause, err);
}

static enum lun_code
run_resume(struct cli *cli, struct lun_err *err)
{
	return cli_with_engine(cli, CLI_NEED_BOTH, request_resume, err);
}

static const struct cli_argument arguments[] = {
    {.name = "NAME", .kind = CLI_PROJECTION},
    {.name = NULL},
};

static const struct cli_option options[] = {
    CLI_TIMEOUT_OPTION,
    {.name = NULL},
};

const struct cli_command cmd_pause = {
    .name = "pause",
    .summary = "pause a projection",
    .description = "Pause a projection once the batch under way is done. It "
		   "stays paused, over restarts too, until it is resumed "
		   "or rebuilt.",
    .arguments = arguments,
    .options = options,
    .run = run_pause,
};

const struct cli_command cmd_resume = {
    .name = "resume",
    .summary = "let a paused or failed projection go on",
    .description = "Let a paused projection go on from its checkpoint. A "
		   "projection that has failed tries again.",
    .arguments = arguments,
    .options = options,
    .run = run_resume,
};
