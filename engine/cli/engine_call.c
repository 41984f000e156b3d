/* engine_call.c - a command that opens an engine and does one thing. */

#include "cli/engine_call.h"

#include "base/buffer.h"
#include "base/error.h"
#include "cli/scripts.h"
#include "json/scan.h"

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
	int64_t ms = cli_seconds_as_ms(cli, "timeout", TIMEOUT_SECONDS);
	enum lun_code code = cli_scripts_register(cli, engine, projection, err);

	if (code != LUN_OK && code != LUN_NOTFOUND && runs_script(kind))
		return code;
	return lun_engine_request(engine, projection, kind, argument, ms, err);
}

enum lun_code
cli_each_projection(struct lun_engine *engine, cli_projection_fn *call,
    void *arg, struct lun_err *err)
{
	struct lun_buffer name = {0};
	struct lun_text rest, element;
	enum lun_json_kind kind;
	char *json;
	enum lun_code code = lun_engine_projections(engine, &json, err);

	if (code != LUN_OK)
		return code;
	rest = lun_text_of(json);
	while (lun_json_next_element(&rest, &element, &kind)) {
		struct lun_err failure = {0};
		enum lun_code outcome;

		lun_buffer_clear(&name);
		lun_json_unescape(element, &name);
		lun_buffer_add_byte(&name, '\0');
		outcome = name.failed
			      ? lun_fail(&failure, LUN_NOMEM, "out of memory")
			      : call(arg, name.bytes, &failure);
		if (outcome != LUN_OK && code == LUN_OK) {
			code = outcome;
			*err = failure;
		}
	}
	lun_buffer_free(&name);
	lun_free(json);
	return code;
}
