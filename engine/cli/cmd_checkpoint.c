/* cmd_checkpoint.c - how far a projection has come. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
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

/* The identity of its event store, to be freed. */
static enum lun_code
read_event_store(struct lun_engine *engine, const char *projection,
    char **identity, struct lun_err *err)
{
	struct cli_object checkpoint = {0};
	char *json;
	enum lun_code code =
	    lun_engine_checkpoint(engine, projection, &json, err);

	if (code != LUN_OK)
		return code;
	code = cli_view_object(lun_text_of(json), &checkpoint, err);
	if (code == LUN_OK)
		*identity = cli_view_text(&checkpoint, "event_store");
	cli_view_object_free(&checkpoint);
	lun_free(json);
	if (code == LUN_OK && *identity == NULL)
		code =
		    lun_fail(err, LUN_NOMEM, "%s: out of memory", projection);
	return code;
}

static void
say_adopted(const char *projection, const char *old, const char *new_one)
{
	if (strcmp(old, new_one) == 0)
		printf("%s belongs to event store %s already\n", projection,
		    new_one);
	else if (old[0] == '\0') /* nothing was committed so far */
		printf("%s goes on with event store %s\n", projection, new_one);
	else
		printf("%s was built from event store %s and goes on with %s; "
		       "tokens of the old one are refused now\n",
		    projection, old, new_one);
}

static enum lun_code
adopt_checkpoint(
    struct cli *cli, struct lun_engine *engine, struct lun_err *err)
{
	const char *projection = cli_argument(cli, 1);
	char *old = NULL, *new_one = NULL;
	enum lun_code code = read_event_store(engine, projection, &old, err);

	if (code == LUN_OK)
		code = cli_request(cli, engine, projection,
		    LUN_REQUEST_ADOPT_CHECKPOINT, NULL, err);
	if (code == LUN_OK)
		code = read_event_store(engine, projection, &new_one, err);
	if (code == LUN_OK)
		say_adopted(projection, old, new_one);
	free(old);
	free(new_one);
	return code;
}

typedef enum lun_code action_fn(
    struct cli *cli, struct lun_engine *engine, struct lun_err *err);

static action_fn *
find_action(const char *name)
{
	static const struct {
		const char *name;
		action_fn *action;
	} actions[] = {
	    {"show", show_checkpoint},
	    {"set", set_checkpoint},
	    {"delete", delete_checkpoint},
	    {"adopt", adopt_checkpoint},
	};
	size_t last = sizeof actions / sizeof actions[0] - 1, i = 0;

	while (i < last && strcmp(actions[i].name, name) != 0)
		i++;
	return actions[i].action;
}

/* The first argument is one of the names, see below. */
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
	return cli_with_engine(cli, CLI_NEED_BOTH, find_action(action), err);
}

static const struct cli_argument arguments[] = {
    {.name = "show|set|delete|adopt", .kind = CLI_CHOICE},
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
    .summary = "show, set, delete or adopt a projection's checkpoint",
    .description =
	"show prints how far a projection has come.\n"
	"set moves its checkpoint to POSITION, or to that of a token, and "
	"leaves the models as they are: events in between are applied again or "
	"never. Only while the "
	"projection is paused or no engine runs it.\n"
	"delete forgets the projection with its models and parked events.\n"
	"adopt takes it over to the event store given, which has to be the "
	"one it was built from, under another identity (a server after "
	"pg_upgrade, a file that was moved): it goes on from where it is.",
    .examples = "lunette checkpoint show account_summary\n"
		"lunette checkpoint set account_summary 1200\n"
		"lunette checkpoint adopt account_summary\n",
    .arguments = arguments,
    .options = options,
    .run = run_checkpoint,
};
