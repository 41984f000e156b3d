/* cmd_new.c - a new script and its spec. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "cli/command.h"
#include "cli/template.h"
#include "json/write.h"

static enum lun_code
write_all(int fd, struct lun_text text)
{
	while (text.length > 0) {
		ssize_t done = write(fd, text.bytes, text.length);

		if (done < 0 && errno != EINTR)
			return LUN_IO;
		if (done > 0)
			text = (struct lun_text){
			    text.bytes + done, text.length - (size_t)done};
	}
	return LUN_OK;
}

/* Never over a file that is there. */
static enum lun_code
write_file(const char *path, struct lun_text text, struct lun_err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	enum lun_code code;

	if (fd < 0)
		return lun_fail(err, errno == EEXIST ? LUN_CONFLICT : LUN_IO,
		    "writing %s: %s", path,
		    errno == EEXIST ? "it exists and is left as it is"
				    : lun_errno_words(errno));
	code = write_all(fd, text);
	if (close(fd) != 0)
		code = LUN_IO;
	if (code != LUN_OK) {
		lun_fail(
		    err, code, "writing %s: %s", path, lun_errno_words(errno));
		unlink(path);
	}
	return code;
}

static enum lun_code
write_template(const struct cli *cli, const char *sample, const char *path,
    struct lun_err *err)
{
	struct lun_buffer text = {0};
	enum lun_code code;

	cli_template_fill(sample, cli_argument(cli, 0), &text);
	if (text.failed)
		code = lun_fail(err, LUN_NOMEM, "writing %s", path);
	else
		code = write_file(path, lun_buffer_text(&text), err);
	lun_buffer_free(&text);
	return code;
}

static void
print_new_json(const char *script, const char *spec)
{
	struct lun_buffer line = {0};

	lun_buffer_printf(&line, "{\"script\":");
	lun_json_write_string(&line, lun_text_of(script));
	lun_buffer_printf(&line, ",\"spec\":");
	lun_json_write_string(&line, lun_text_of(spec));
	printf("%.*s}\n", LUN_TEXT_ARG(lun_buffer_text(&line)));
	lun_buffer_free(&line);
}

static enum lun_code
write_both(const struct cli *cli, const char *script, const char *spec,
    struct lun_err *err)
{
	enum lun_code code =
	    write_template(cli, cli_template_script, script, err);

	if (code != LUN_OK)
		return code;
	code = write_template(cli, cli_template_spec, spec, err);
	if (code != LUN_OK) {
		unlink(script);
		return code;
	}
	if (cli->json)
		print_new_json(script, spec);
	else
		printf("%s\n%s\n", script, spec);
	return LUN_OK;
}

static bool
is_folder(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* The first folder among the paths of scripts; made if it is not there. */
static enum lun_code
choose_folder(const struct cli *cli, const char **folder, struct lun_err *err)
{
	const struct cli_layer *chosen = &cli->layers.chosen;

	for (size_t i = 0; i < chosen->projection_count; i++)
		if (is_folder(chosen->projections[i])) {
			*folder = chosen->projections[i];
			return LUN_OK;
		}
	*folder = chosen->projections[0];
	if (mkdir(*folder, 0777) == 0)
		return LUN_OK;
	if (errno == EEXIST)
		return lun_fail(err, LUN_CONFIG,
		    "%s is no folder: name one with -p, for %s.lua to be "
		    "written into",
		    *folder, cli_argument(cli, 0));
	return lun_fail(err, LUN_IO, "making the folder %s: %s", *folder,
	    lun_errno_words(errno));
}

static enum lun_code
run_new(struct cli *cli, struct lun_err *err)
{
	const char *name = cli_argument(cli, 0);
	char *script = NULL, *spec = NULL;
	const char *folder;
	enum lun_code code = choose_folder(cli, &folder, err);

	if (code != LUN_OK)
		return code;
	if (asprintf(&script, "%s/%s.lua", folder, name) < 0 ||
	    asprintf(&spec, "%s/%s_spec.lua", folder, name) < 0)
		code = lun_fail(err, LUN_NOMEM, "%s: out of memory", name);
	else
		code = write_both(cli, script, spec, err);
	free(script);
	free(spec);
	return code;
}

static const struct cli_argument arguments[] = {
    {.name = "NAME", .kind = CLI_PROJECTION},
    {.name = NULL},
};

const struct cli_command cmd_new = {
    .name = "new",
    .summary = "write a commented script and its spec",
    .description =
	"Write NAME.lua and NAME_spec.lua into the folder of scripts, to be "
	"changed into what is needed. Files that exist are left alone.",
    .examples = "lunette new account_summary && lunette test\n",
    .arguments = arguments,
    .run = run_new,
};
