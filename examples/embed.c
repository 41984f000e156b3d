/*
 * embed.c - the engine inside a C program.
 *
 * Appends a few events, runs a projection over them and asks for its models.
 *
 *	cc -o embed embed.c $(pkg-config --cflags --libs lunette)
 *	./embed FOLDER
 */

#include <lunette.h>
#include <stdio.h>
#include <stdlib.h>

static const char source[] =
    "return {\n"
    "  name = 'stock',\n"
    "  version = 1,\n"
    "  fields = { pieces = 'integer' },\n"
    "  extract_model_id = function(event) return event.data.item end,\n"
    "  on = {\n"
    "    Received = function(item, event)\n"
    "      item = item or { pieces = 0 }\n"
    "      item.pieces = item.pieces + event.data.pieces\n"
    "      return item\n"
    "    end,\n"
    "    Sold = function(item, event)\n"
    "      item.pieces = item.pieces - event.data.pieces\n"
    "      return item\n"
    "    end,\n"
    "  },\n"
    "}\n";

static const struct lun_new_event events[] = {
    {
	.stream = "item-lamp",
	.type = "Received",
	.data = "{\"item\": \"lamp\", \"pieces\": 12}",
	.expected_version = LUN_ANY_VERSION,
    },
    {
	.stream = "item-moon",
	.type = "Received",
	.data = "{\"item\": \"moon\", \"pieces\": 1}",
	.expected_version = LUN_ANY_VERSION,
    },
    {
	.stream = "item-lamp",
	.type = "Sold",
	.data = "{\"item\": \"lamp\", \"pieces\": 5}",
	.expected_version = LUN_ANY_VERSION,
    },
};

#define EVENT_COUNT (sizeof events / sizeof events[0])

/* Both stores in one SQLite file of the folder. */
static enum lun_code
open_engine(const char *folder, struct lun_engine **engine, struct lun_err *err)
{
	char url[4096];
	struct lun_setting settings[] = {{"events", url}, {"models", url}};
	struct lun_engine_options options = {
	    .settings = settings,
	    .setting_count = 2,
	};

	snprintf(url, sizeof url, "sqlite:%s/embed.db", folder);
	return lun_engine_open(&options, engine, err);
}

static enum lun_code
append_and_project(struct lun_engine *engine, struct lun_err *err)
{
	struct lun_appended appended[EVENT_COUNT];
	char name[41];
	enum lun_code code;

	code = lun_engine_append(engine, events, EVENT_COUNT, appended, err);
	if (code != LUN_OK)
		return code;
	code = lun_engine_register_source(
	    engine, "stock.lua", source, sizeof source - 1, name, err);
	if (code != LUN_OK)
		return code;
	/* Nothing runs in the background, so this does the work itself. */
	return lun_engine_wait(
	    engine, name, appended[EVENT_COUNT - 1].position, 10000, err);
}

static enum lun_code
print_models(struct lun_engine *engine, struct lun_err *err)
{
	static const char *const terms[] = {"pieces=gt.0", "order=pieces.desc"};
	char *json;
	enum lun_code code;

	code = lun_engine_query(engine, "stock", terms, 2, &json, err);
	if (code != LUN_OK)
		return code;
	puts(json);
	lun_free(json);
	return LUN_OK;
}

int
main(int argc, char **argv)
{
	struct lun_engine *engine = NULL;
	struct lun_err err;
	enum lun_code code;

	if (argc != 2) {
		fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
		return 2;
	}
	code = open_engine(argv[1], &engine, &err);
	if (code == LUN_OK)
		code = append_and_project(engine, &err);
	if (code == LUN_OK)
		code = print_models(engine, &err);
	if (code != LUN_OK)
		fprintf(stderr, "%s (%s)\n", err.message, lun_code_name(code));
	lun_engine_close(engine);
	return code == LUN_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
