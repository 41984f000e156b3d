/* engine_call.c - a command that opens an engine and does one thing. */

#include "cli/engine_call.h"

#include "cli/scripts.h"

#define TIMEOUT_SECONDS 30

enum lun_code
cli_with_engine(struct cli *cli, enum cli_need need, cli_engine_fn *call,
    struct lun_err *err)
{
	struct lun_engine *engine;
	enum lun_code code = cli_open_engine(cli, need, &engine, err);

	if (code != LUN_OK)
		return code;
	code = call(cli, engine, err);
	lun_engine_close(engine);
	return code;
}

/* A broken script must not keep anybody from pausing its projection. */
static bool
runs_script(enum lun_request_kind kind)
{
	return kind == LUN_REQUEST_REBUILD || kind == LUN_REQUEST_RETRY;
}

enum lun_code
cli_request(struct cli *cli, struct lun_engine *engine, const char *projection,
    enum lun_request_kind kind, const char *argument, struct lun_err *err)
{
	int64_t seconds = cli_number(cli, "timeout", TIMEOUT_SECONDS);
	enum lun_code code = cli_scripts_register(cli, engine, projection, err);

	if (code != LUN_OK && code != LUN_NOTFOUND && runs_script(kind))
		return code;
	return lun_engine_request(
	    engine, projection, kind, argument, seconds * 1000, err);
}
