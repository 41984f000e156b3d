/* cmd_get.c - one model. */

#include "cli/command.h"
#include "cli/engine_call.h"
#include "cli/view.h"

static enum lun_code
get_model(struct cli *cli, struct lun_engine *engine, struct lun_err *err)
{
	char *json;
	enum lun_code code = lun_engine_get(
	    engine, cli_argument(cli, 0), cli_argument(cli, 1), &json, err);

	if (code != LUN_OK)
		return code;
	code = cli_view_one(cli, lun_text_of(json), err);
	lun_free(json);
	return code;
}

static enum lun_code
run_get(struct cli *cli, struct lun_err *err)
{
	return cli_with_engine(cli, CLI_NEED_MODELS, get_model, err);
}

static const struct cli_argument arguments[] = {
    {.name = "NAME", .kind = CLI_PROJECTION},
    {.name = "ID"},
    {.name = NULL},
};

const struct cli_command cmd_get = {
    .name = "get",
    .summary = "print one model",
    .description = "Print the model with this id.",
    .examples = "lunette get account_summary account-17\n",
    .arguments = arguments,
    .run = run_get,
};
