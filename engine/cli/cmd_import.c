/* cmd_import.c - append the events of JSON Lines files. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/utf8.h"
#include "cli/command.h"
#include "cli/format.h"
#include "cli/import_line.h"
#include "cli/line_reader.h"
#include "cli/progress.h"
#include "cli/signals.h"
#include "cli/stores.h"
#include "data/event.h"
#include "json/scan.h"

#define BATCH_EVENTS   5000
#define BATCH_BYTES    ((size_t)16 << 20)
#define COMPLAINTS_MAX 1000
#define TRIES          3

/* An event waiting in the batch: what is beside the event itself. */
struct waiting {
	uint64_t line;
	int64_t expected_version;
};

/* A line that is no event, told when those before it have been appended. */
struct complaint {
	uint64_t line;
	char *message;
};

struct import {
	struct cli *cli;
	struct lun_event_store *events;
	struct cli_line_reader *reader;
	struct cli_progress *progress;
	const char *path;
	bool keep_going;

	struct lun_buffer scratch;
	struct lun_batch *batch;
	struct waiting waiting[BATCH_EVENTS];
	struct lun_append appends[BATCH_EVENTS];
	struct lun_append_result results[BATCH_EVENTS];
	struct complaint complaints[COMPLAINTS_MAX]; /* of this batch */
	size_t complaint_count, complaints_told;

	/* Of all events so far; those of none have "". */
	struct lun_buffer tenant;
	bool tenant_known;

	uint64_t added, existed, bad;
};

/* ---- a batch ----------------------------------------------------------- */

static void
say_line(struct import *import, uint64_t line, const char *message)
{
	import->bad++;
	cli_screen_say(&import->cli->screen, "%s: line %" PRIu64 ": %s",
	    import->path, line, message);
}

/* What is waiting about lines before this one. */
static void
tell_complaints(struct import *import, uint64_t before)
{
	while (import->complaints_told < import->complaint_count) {
		struct complaint *next =
		    &import->complaints[import->complaints_told];

		if (next->line >= before)
			return;
		say_line(import, next->line, next->message);
		free(next->message);
		import->complaints_told++;
	}
	import->complaint_count = import->complaints_told = 0;
}

static enum lun_code
end_at_line(struct import *import, uint64_t line, const struct lun_err *failure,
    struct lun_err *err)
{
	return lun_fail(err, failure->code, "%s: line %" PRIu64 ": %s",
	    import->path, line, failure->message);
}

/* With --keep-going it is said and left out, else it is the end. */
static enum lun_code
refused_line(struct import *import, uint64_t line,
    const struct lun_err *failure, struct lun_err *err)
{
	if (!import->keep_going)
		return end_at_line(import, line, failure, err);
	tell_complaints(import, line);
	say_line(import, line, failure->message);
	return LUN_OK;
}

static bool
is_about_events(enum lun_code code)
{
	return code == LUN_CONFLICT || code == LUN_INVALID;
}

static void
count_results(struct import *import, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		if (import->results[i].existed)
			import->existed++;
		else
			import->added++;
	}
}

/* Halve what was refused until the events that are to blame stand alone. */
static enum lun_code
append_range(struct import *import, size_t from, size_t to, struct lun_err *err)
{
	struct lun_err failure = {0};
	size_t middle = from + (to - from) / 2;
	enum lun_code code =
	    lun_event_store_append(import->events, import->appends + from,
		to - from, import->results + from, &failure);

	if (code == LUN_OK) {
		count_results(import, from, to);
		return LUN_OK;
	}
	if (!is_about_events(code))
		return lun_fail(
		    err, code, "%s: %s", import->path, failure.message);
	if (to - from == 1)
		return refused_line(
		    import, import->waiting[from].line, &failure, err);
	code = append_range(import, from, middle, err);
	return code == LUN_OK ? append_range(import, middle, to, err) : code;
}

static enum lun_code
append_batch(struct import *import, struct lun_err *err)
{
	struct lun_batch *batch = import->batch;
	enum lun_code code = LUN_OK;

	for (size_t i = 0; i < batch->count; i++)
		import->appends[i] = (struct lun_append){
		    .event = batch->events[i],
		    .expected_version = import->waiting[i].expected_version,
		};
	if (batch->count > 0)
		code = append_range(import, 0, batch->count, err);
	lun_batch_clear(batch);
	tell_complaints(import, UINT64_MAX);
	return code;
}

static void
show_progress(struct import *import)
{
	struct cli_part part = {
	    .name = import->path, .count = import->added + import->existed};
	uint64_t taken, size;

	cli_line_reader_progress(import->reader, &taken, &size);
	part.done = (double)taken;
	part.total = (double)size;
	cli_progress_show(import->progress, &part, 1);
}

/* ---- a line ------------------------------------------------------------ */

/* A line that is no event. What is wrong before it comes first. */
static enum lun_code
bad_line(struct import *import, uint64_t line, const struct lun_err *failure,
    struct lun_err *err)
{
	struct complaint complaint = {line, NULL};
	enum lun_code code;

	if (!import->keep_going) {
		code = append_batch(import, err);
		return code == LUN_OK ? end_at_line(import, line, failure, err)
				      : code;
	}
	complaint.message = strdup(failure->message);
	if (complaint.message == NULL)
		return lun_fail(err, LUN_NOMEM,
		    "%s: line %" PRIu64 ": out of memory", import->path, line);
	import->complaints[import->complaint_count++] = complaint;
	return LUN_OK;
}

static bool
is_blank(struct lun_text line)
{
	for (size_t i = 0; i < line.length; i++)
		if (memchr(" \t\r", line.bytes[i], 3) == NULL)
			return false;
	return true;
}

/* Files of Windows begin with a mark, and so does each of several in one. */
static enum lun_code
check_text(struct lun_text *line, struct lun_err *failure)
{
	const char *encoding = lun_utf8_begin(line);

	if (encoding != NULL)
		return lun_fail(failure, LUN_INVALID,
		    "it is %s (byte order mark or zero bytes): convert the "
		    "file to UTF-8",
		    encoding);
	if (line->length > 0 && memchr(line->bytes, '\0', line->length) != NULL)
		return lun_fail(
		    failure, LUN_INVALID, "it has NUL bytes: it is no text");
	return LUN_OK;
}

/* Where no tenants are kept, streams of two could become one. */
static enum lun_code
leave_tenant(
    struct import *import, struct lun_event *event, struct lun_err *failure)
{
	struct lun_text tenant = event->tenant;

	if (import->events->has_tenants)
		return LUN_OK;
	event->tenant = LUN_TEXT_NONE;
	if (import->tenant_known &&
	    lun_text_equal(tenant, lun_buffer_text(&import->tenant)))
		return LUN_OK;
	if (import->tenant_known)
		return lun_fail(failure, LUN_INVALID,
		    "it is of the tenant \"%.*s\", and not of \"%.*s\" as "
		    "those before it: tenants are not kept here, and streams "
		    "of two of them may have one name; import each into a "
		    "store of its own (\"events\" reads one tenant with "
		    "tenant=NAME in the URL)",
		    LUN_TEXT_ARG(tenant),
		    LUN_TEXT_ARG(lun_buffer_text(&import->tenant)));
	import->tenant_known = true;
	lun_buffer_add_text(&import->tenant, tenant);
	if (import->tenant.failed)
		return lun_fail(failure, LUN_NOMEM, "out of memory");
	if (tenant.length > 0)
		cli_screen_say(&import->cli->screen,
		    "%s: the name of the tenant \"%.*s\" is not kept",
		    import->path, LUN_TEXT_ARG(tenant));
	return LUN_OK;
}

static enum lun_code
import_line(struct import *import, struct lun_text line, struct lun_err *err)
{
	uint64_t number = cli_line_reader_number(import->reader);
	struct lun_err failure = {0};
	struct lun_append append;

	if (check_text(&line, &failure) != LUN_OK)
		return bad_line(import, number, &failure, err);
	if (is_blank(line))
		return LUN_OK;
	if (cli_import_line(line, &append, &import->scratch, &failure) !=
		LUN_OK ||
	    leave_tenant(import, &append.event, &failure) != LUN_OK)
		return bad_line(import, number, &failure, err);
	import->waiting[import->batch->count] =
	    (struct waiting){number, append.expected_version};
	if (!lun_batch_add(import->batch, &append.event))
		return lun_fail(err, LUN_NOMEM,
		    "%s: line %" PRIu64 ": out of memory", import->path,
		    number);
	return LUN_OK;
}

static bool
is_full(const struct import *import)
{
	return import->batch->count == BATCH_EVENTS ||
	       import->batch->bytes >= BATCH_BYTES ||
	       import->complaint_count == COMPLAINTS_MAX;
}

/* LUN_NOTFOUND at the end of the file. */
static enum lun_code
next_line(struct import *import, struct lun_err *err)
{
	struct lun_err failure = {0};
	struct lun_text line;
	enum lun_code code =
	    cli_line_reader_next(import->reader, &line, &failure);

	if (code == LUN_OK)
		return import_line(import, line, err);
	if (code == LUN_INVALID)
		return bad_line(import, cli_line_reader_number(import->reader),
		    &failure, err);
	if (err != NULL)
		*err = failure;
	return code;
}

static enum lun_code
was_interrupted(struct import *import, struct lun_err *err)
{
	const char *signal = NULL;

	if (!cli_signals_came(import->cli->signals, &signal))
		return LUN_OK;
	return lun_fail(err, LUN_TIMEOUT,
	    "%s: ended by %s at line %" PRIu64
	    "; nothing of this file was kept",
	    import->path, signal, cli_line_reader_number(import->reader));
}

/* Everything up to the end of the file, inside the transaction. */
static enum lun_code
import_lines(struct import *import, struct lun_err *err)
{
	enum lun_code code = LUN_OK;

	while (code == LUN_OK) {
		code = next_line(import, err);
		if (code != LUN_OK || !is_full(import))
			continue;
		code = append_batch(import, err);
		show_progress(import);
		if (code == LUN_OK)
			code = was_interrupted(import, err);
	}
	if (code == LUN_TIMEOUT)
		return was_interrupted(import, err) != LUN_OK ? LUN_TIMEOUT
							      : code;
	if (code != LUN_NOTFOUND)
		return code;
	code = append_batch(import, err);
	show_progress(import);
	return code == LUN_OK ? was_interrupted(import, err) : code;
}

/* ---- a file ------------------------------------------------------------ */

static void
print_import_json(const struct import *import)
{
	struct lun_buffer file = {0};

	lun_json_write_string(&file, lun_text_of(import->path));
	printf("{\"file\":%.*s,\"added\":%" PRIu64 ",\"existed\":%" PRIu64
	       ",\"bad\":%" PRIu64 "}\n",
	    LUN_TEXT_ARG(lun_buffer_text(&file)), import->added,
	    import->existed, import->bad);
	lun_buffer_free(&file);
}

static void
print_words(const struct import *import)
{
	char added[CLI_FORMAT_MAX], existed[CLI_FORMAT_MAX];
	char bad[CLI_FORMAT_MAX];

	printf("%s: %s event%s added", import->path,
	    cli_format_count(import->added, added),
	    import->added == 1 ? "" : "s");
	if (import->existed > 0)
		printf(", %s there already",
		    cli_format_count(import->existed, existed));
	if (import->bad > 0)
		printf(", %s bad line%s left out",
		    cli_format_count(import->bad, bad),
		    import->bad == 1 ? "" : "s");
	putchar('\n');
}

/* Nobody is kept from writing while the other end of a pipe is awaited. */
static enum lun_code
begin_with_text(struct import *import, struct lun_err *err)
{
	enum lun_code code = cli_line_reader_wait(import->reader, err);

	if (code == LUN_TIMEOUT)
		(void)was_interrupted(import, err);
	return code == LUN_OK ? lun_event_store_begin(import->events, err)
			      : code;
}

static enum lun_code
import_in_transaction(struct import *import, struct lun_err *err)
{
	enum lun_code code = begin_with_text(import, err);

	if (code != LUN_OK)
		return code;
	code = import_lines(import, err);
	tell_complaints(import, UINT64_MAX);
	if (code != LUN_OK) {
		lun_event_store_rollback(import->events);
		return code;
	}
	return lun_event_store_commit(import->events, err);
}

static enum lun_code
import_once(struct import *import, const char *path, struct lun_err *err)
{
	enum lun_code code;

	import->added = import->existed = import->bad = 0;
	lun_batch_clear(import->batch);
	code = cli_line_reader_open(path, CLI_IMPORT_LINE_MAX,
	    import->cli->signals, &import->reader, err);
	if (code != LUN_OK)
		return code;
	import->progress = cli_progress_new(&import->cli->screen, "event");
	if (import->progress == NULL)
		code = lun_fail(err, LUN_NOMEM, "%s: out of memory", path);
	if (code == LUN_OK)
		code = import_in_transaction(import, err);
	cli_progress_free(import->progress);
	cli_line_reader_close(import->reader);
	return code;
}

static bool
is_regular(const char *path)
{
	struct stat info;

	return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

/* Where another writer got in between, the transaction is done anew. */
static enum lun_code
import_file(struct import *import, const char *path, struct lun_err *err)
{
	enum lun_code code;

	import->path = strcmp(path, "-") == 0 ? "standard input" : path;
	code = import_once(import, path, err);
	for (int i = 1; i < TRIES && code == LUN_AGAIN && is_regular(path); i++)
		code = import_once(import, path, err);
	if (code == LUN_OK && import->cli->json)
		print_import_json(import);
	else if (code == LUN_OK)
		print_words(import);
	return code;
}

static enum lun_code
import_files(struct import *import, struct lun_err *err)
{
	enum lun_code code = LUN_OK;
	uint64_t bad = 0;

	import->batch = lun_batch_new();
	if (import->batch == NULL)
		return lun_fail(err, LUN_NOMEM, "out of memory");
	for (size_t i = 0; i < import->cli->argument_count && code == LUN_OK;
	     i++) {
		code = import_file(import, import->cli->arguments[i], err);
		bad += code == LUN_OK ? import->bad : 0;
	}
	lun_batch_free(import->batch);
	lun_buffer_free(&import->scratch);
	lun_buffer_free(&import->tenant);
	if (code == LUN_OK && bad > 0)
		code = lun_fail(err, LUN_INVALID,
		    "%" PRIu64 " bad line%s left out", bad,
		    bad == 1 ? " was" : "s were");
	return code;
}

static enum lun_code
run_import(struct cli *cli, struct lun_err *err)
{
	struct import *import = calloc(1, sizeof *import);
	enum lun_code code;

	if (import == NULL)
		return lun_fail(err, LUN_NOMEM, "out of memory");
	import->cli = cli;
	import->keep_going = cli_value(cli, "keep-going") != NULL;
	code = cli_signals_open(&cli->signals, err);
	if (code == LUN_OK) {
		code = cli_open_events(cli, &import->events, err);
		if (code == LUN_OK)
			code = import_files(import, err);
		lun_event_store_close(import->events);
		cli_signals_close(cli->signals);
	}
	free(import);
	return code;
}

static const struct cli_argument arguments[] = {
    {.name = "FILE", .kind = CLI_FILE, .repeated = true},
    {.name = NULL},
};

static const struct cli_option options[] = {
    {
	.name = "keep-going",
	.help = "Report bad lines by number, leave them out and go on; exit "
		"status 1 "
		"if there were any",
    },
    {.name = NULL},
};

const struct cli_command cmd_import = {
    .name = "import",
    .summary = "append the events of JSON Lines files",
    .description =
	"Append the events of files, each line a JSON object: "
	"{\"stream\",\"type\",\"data\"[,\"metadata\",\"id\",\"at\",\"version\"]"
	"}. - is standard input; gzip files are unpacked. \"at\" is a time "
	"(RFC 3339) or microseconds since 1970, without it the time of the "
	"import; \"version\" is the event's "
	"place in its stream and must fit. An event whose id is stored "
	"already is not stored again. What \"events --json\" prints is taken "
	"as it is, where versions count from 1; of tenants, which are not "
	"kept, one.\n\n"
	"A file lands whole or not at all; with --keep-going all of it but "
	"the bad lines.",
    .examples = "lunette import -e sqlite:bank.db history.jsonl.gz\n"
		"generate | lunette import -e sqlite:bank.db -\n",
    .arguments = arguments,
    .options = options,
    .makes = CLI_MAKES_EVENTS,
    .run = run_import,
};
