/*
 * engine_call.h - a command that opens an engine, does one thing, closes it.
 */

#ifndef LUN_CLI_ENGINE_CALL_H
#define LUN_CLI_ENGINE_CALL_H

#include "cli/command.h"
#include "cli/stores.h"

typedef enum lun_code cli_engine_fn(
    struct cli *cli, struct lun_engine *engine, struct lun_err *err);

enum lun_code cli_with_engine(struct cli *cli, enum cli_need need,
    cli_engine_fn *call, struct lun_err *err) LUN_MUSTCHECK;

/*
 * Send a request about a projection. Its script is registered first, if there
 * is one, so that what nobody runs can be done here.
 */
enum lun_code cli_request(struct cli *cli, struct lun_engine *engine,
    const char *projection, enum lun_request_kind kind, const char *argument,
    struct lun_err *err) LUN_MUSTCHECK;

typedef enum lun_code cli_projection_fn(
    void *arg, const char *projection, struct lun_err *err);

/*
 * Call back for every projection. After a failure the others still have their
 * turn; the first is told.
 */
enum lun_code cli_each_projection(struct lun_engine *engine,
    cli_projection_fn *call, void *arg, struct lun_err *err) LUN_MUSTCHECK;

/* The option --timeout of commands that send requests. */
#define CLI_TIMEOUT_OPTION                                                     \
	{                                                                      \
		.name = "timeout", .argument = "SECONDS",                      \
		.help = "How long to wait for an engine that runs the "        \
			"projection (default 30)",                             \
		.kind = CLI_NUMBER,                                            \
	}

#endif
