/* cmd_append.c - append one event. */

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <errno.h>
#include <string.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/utf8.h"
#include "cli/command.h"
#include "cli/stores.h"
#include "data/token.h"
#include "json/scan.h"

#define CHUNK 65536

/* All of standard input, for `--data -`. */
static enum lun_code
read_input(struct lun_buffer *out, struct lun_err *err)
{
	for (;;) {
		char *room = lun_buffer_reserve(out, CHUNK);
		ssize_t got;

		if (room == NULL)
			return lun_fail(err, LUN_NOMEM,
			    "reading standard input: out of memory");
		got = read(STDIN_FILENO, room, CHUNK);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return lun_fail(err, LUN_IO,
			    "reading standard input: %s",
			    lun_errno_words(errno));
		if (got == 0)
			return LUN_OK;
		out->length += (size_t)got;
		if (out->length > LUN_EVENT_BYTES_MAX)
			return lun_fail(err, LUN_INVALID,
			    "reading standard input: more than %zu bytes",
			    LUN_EVENT_BYTES_MAX);
	}
}

static enum lun_code
begin_text(struct lun_text *text, struct lun_err *err)
{
	const char *encoding = lun_utf8_begin(text);

	if (encoding == NULL)
		return LUN_OK;
	return lun_fail(err, LUN_INVALID,
	    "reading standard input: it is %s (byte order mark or zero "
	    "bytes): convert it to UTF-8",
	    encoding);
}

/* Without an identity of the store there is no token. */
static void
make_token(struct lun_event_store *events, struct lun_position position,
    char token[LUN_TOKEN_SIZE])
{
	char identity[LUN_IDENTITY_SIZE];

	token[0] = '\0';
	if (lun_event_store_identity(events, identity, NULL) == LUN_OK &&
	    identity[0] != '\0')
		lun_token_format(identity, position, token);
}

static void
print_result(const struct cli *cli, struct lun_event_store *events,
    const struct lun_append_result *result)
{
	char position[LUN_POSITION_MAX], token[LUN_TOKEN_SIZE];

	lun_event_store_format_position(events, result->position, position);
	make_token(events, result->position, token);
	if (cli->json)
		printf("{\"position\":\"%s\",\"version\":%lld,\"existed\":%s,"
		       "\"token\":\"%s\"}\n",
		    position, (long long)result->version,
		    result->existed ? "true" : "false", token);
	else
		printf(
		    "%s\n", cli_value(cli, "token") != NULL ? token : position);
}

static enum lun_code
append_event(
    struct cli *cli, const struct lun_append *append, struct lun_err *err)
{
	struct lun_event_store *events;
	struct lun_append_result result;
	enum lun_code code = cli_open_events(cli, &events, err);

	if (code != LUN_OK)
		return code;
	code = lun_event_store_append(events, append, 1, &result, err);
	if (code == LUN_OK)
		print_result(cli, events, &result);
	lun_event_store_close(events);
	return code;
}

static enum lun_code
run_append(struct cli *cli, struct lun_err *err)
{
	const char *data = cli_value(cli, "data");
	const char *id = cli_value(cli, "id");
	struct lun_buffer input = {0};
	struct lun_append append = {
	    .event =
		{
		    .id = lun_text_of(id),
		    .stream = lun_text_of(cli_value(cli, "stream")),
		    .type = lun_text_of(cli_value(cli, "type")),
		    .data = lun_text_of(data),
		    .metadata = lun_text_of(cli_value(cli, "metadata")),
		    .recorded_at = LUN_TIME_UNKNOWN,
		},
	    .expected_version = cli_number(cli, "expect", LUN_ANY_VERSION),
	};
	enum lun_code code = LUN_OK;

	/* A new id would store a repeated event twice. */
	if (id != NULL && id[0] == '\0')
		cli_misuse(cli, "--id is empty: leave it out for a new id");
	if (strcmp(data, "-") == 0) {
		code = read_input(&input, err);
		append.event.data = (struct lun_text){
		    input.bytes != NULL ? input.bytes : "", input.length};
		if (code == LUN_OK)
			code = begin_text(&append.event.data, err);
	}
	if (code == LUN_OK)
		code = append_event(cli, &append, err);
	lun_buffer_free(&input);
	return code;
}

static const struct cli_option options[] = {
    {
	.name = "stream",
	.argument = "STREAM",
	.help = "The stream the event belongs to",
	.required = true,
    },
    {
	.name = "type",
	.argument = "TYPE",
	.help = "What happened, such as MoneyDeposited",
	.required = true,
    },
    {
	.name = "data",
	.argument = "JSON",
	.help = "The event's data; - reads it from standard input",
	.required = true,
    },
    {
	.name = "metadata",
	.argument = "JSON",
	.help = "What is known about the event itself",
    },
    {
	.name = "id",
	.argument = "ID",
	.help = "The event's id (default: a new UUID); an id that is stored "
		"already is not stored again",
    },
    {
	.name = "expect",
	.argument = "VERSION",
	.help = "Version the stream must be at before this event, 0 for a new "
		"stream; else nothing is written",
	.kind = CLI_NUMBER,
    },
    {
	.name = "token",
	.help = "Print the event's token in place of its position",
    },
    {.name = NULL},
};

const struct cli_command cmd_append = {
    .name = "append",
    .summary = "append one event",
    .description = "Append one event to the event store and print its "
		   "position.",
    .examples = "lunette append -e sqlite:bank.db --stream account-1 \\\n"
		"  --type MoneyDeposited --data "
		"'{\"account_id\":\"1\",\"amount\":5}'\n",
    .options = options,
    .makes = CLI_MAKES_EVENTS,
    .run = run_append,
};
