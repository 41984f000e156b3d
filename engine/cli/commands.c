/* commands.c - the list of commands. */

#include "cli/command.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

extern const struct cli_command cmd_append;
extern const struct cli_command cmd_import;
extern const struct cli_command cmd_events;
extern const struct cli_command cmd_run;
extern const struct cli_command cmd_status;
extern const struct cli_command cmd_pause;
extern const struct cli_command cmd_resume;
extern const struct cli_command cmd_rebuild;
extern const struct cli_command cmd_get;
extern const struct cli_command cmd_query;
extern const struct cli_command cmd_new;
extern const struct cli_command cmd_check;
extern const struct cli_command cmd_test;
extern const struct cli_command cmd_parked;
extern const struct cli_command cmd_gaps;
extern const struct cli_command cmd_checkpoint;
extern const struct cli_command cmd_layouts;
extern const struct cli_command cmd_help;

const struct cli_command *const cli_commands[] = {
    &cmd_append,
    &cmd_import,
    &cmd_events,
    &cmd_run,
    &cmd_status,
    &cmd_pause,
    &cmd_resume,
    &cmd_rebuild,
    &cmd_get,
    &cmd_query,
    &cmd_new,
    &cmd_check,
    &cmd_test,
    &cmd_parked,
    &cmd_gaps,
    &cmd_checkpoint,
    &cmd_layouts,
    &cmd_help,
    NULL,
};

const struct cli_command *
cli_command_find(const char *name)
{
	for (size_t i = 0; cli_commands[i] != NULL; i++)
		if (strcmp(cli_commands[i]->name, name) == 0)
			return cli_commands[i];
	return NULL;
}

const char *
cli_value(const struct cli *cli, const char *option)
{
	const struct cli_option *options = cli->command->options;

	for (size_t i = 0; options != NULL && options[i].name != NULL; i++)
		if (strcmp(options[i].name, option) == 0)
			return cli->values[i];
	return NULL;
}

int64_t
cli_number(const struct cli *cli, const char *option, int64_t initial)
{
	const char *value = cli_value(cli, option);

	return value != NULL ? strtoll(value, NULL, 10) : initial;
}

int64_t
cli_seconds_as_ms(const struct cli *cli, const char *option, int64_t initial)
{
	int64_t seconds = cli_number(cli, option, initial), ms;

	return __builtin_mul_overflow(seconds, 1000, &ms) ? INT64_MAX : ms;
}

const char *
cli_argument(const struct cli *cli, size_t index)
{
	return index < cli->argument_count ? cli->arguments[index] : NULL;
}

enum lun_code
cli_said(struct lun_err *err, enum lun_code code)
{
	return lun_fail(err, code, "%s", "");
}
