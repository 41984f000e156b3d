/* cmd_checkpoint.c - how far a projection has come. */

#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/engine_call.h"
#include "cli/view.h"

static enum lun_code
show_checkpoint(struct cli *cli, struct lun_engine *engine, struct lun_err *err)
{
	char *json;
	enum lun_code code =
	    lun_engine_checkpoint(engine, cli_argument(cli, 1), &json, err);

	if (code != LUN_OK)
		return code;
	code = cli_view_one(cli, lun_text_of(json), err);
	lun_free(json);
	return code;
}

static enum lun_code
set_checkpoint(struct cli *cli, struct lun_engine *engine, struct lun_err *err)
{
	return cli_request(cli, engine, cli_argument(cli, 1),
	    LUN_REQUEST_SET_CHECKPOINT, cli_argument(cli, 2), err);
}

static enum lun_code
delete_checkpoint(
    struct cli *cli, struct lun_engine *engine, struct lun_err *err)
{
	return cli_request(cli, engine, cli_argument(cli, 1),
	    LUN_REQUEST_DELETE_CHECKPOINT, NULL, err);
}

static enum lun_code
run_checkpoint(struct cli *cli, struct lun_err *err)
{
	const char *action = cli_argument(cli, 0);
	bool setting = strcmp(action, "set") == 0;

	if (setting && cli_argument(cli, 2) == NULL)
		cli_misuse(cli, "POSITION is missing");
	if (!setting && cli_argument(cli, 2) != NULL)
		cli_misuse(cli, "\"%s\" is one argument too many",
		    cli_argument(cli, 2));
	return cli_with_engine(cli, CLI_NEED_BOTH,
	    setting                       ? set_checkpoint
	    : strcmp(action, "show") == 0 ? show_checkpoint
					  : delete_checkpoint,
	    err);
}

static const struct cli_argument arguments[] = {
    {.name = "show|set|delete", .kind = CLI_CHOICE},
    {.name = "NAME", .kind = CLI_PROJECTION},
    {.name = "POSITION", .optional = true},
    {.name = NULL},
};

static const struct cli_option options[] = {
    CLI_TIMEOUT_OPTION,
    {.name = NULL},
};

const struct cli_command cmd_checkpoint = {
    .name = "checkpoint",
    .summary = "show, set or delete a projection's checkpoint",
    .description =
	"show prints how far a projection has come.\n"
	"set moves its checkpoint to POSITION, or to that of a token, and "
	"leaves the models as they are: events in between are applied again or "
	"never. Only while the "
	"projection is paused or no engine runs it.\n"
	"delete forgets the projection with its models and parked events.",
    .examples = "lunette checkpoint show account_summary\n"
		"lunette checkpoint set account_summary 1200\n",
    .arguments = arguments,
    .options = options,
    .looks = "show",
    .run = run_checkpoint,
};
