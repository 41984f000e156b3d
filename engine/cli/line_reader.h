/*
 * line_reader.h - lines of a file or standard input, plain or gzip.
 *
 * A signal ends a read that waits for input. Compressed input is told by its
 * first bytes, not by its name.
 */

#ifndef LUN_CLI_LINE_READER_H
#define LUN_CLI_LINE_READER_H

#include "base/text.h"
#include "lunette.h"

struct cli_line_reader;

/* path "-" is standard input. signals: a descriptor of signals.h, or -1. */
enum lun_code cli_line_reader_open(const char *path, size_t longest,
    int signals, struct cli_line_reader **out,
    struct lun_err *err) LUN_MUSTCHECK;
/* NULL is allowed. */
void cli_line_reader_close(struct cli_line_reader *reader);

/*
 * Until there is input, or its end. LUN_TIMEOUT for a signal (not taken yet).
 */
enum lun_code cli_line_reader_wait(
    struct cli_line_reader *reader, struct lun_err *err) LUN_MUSTCHECK;

/*
 * The next line without its end, good until the next call. LUN_NOTFOUND at
 * the end; LUN_INVALID for a line longer than `longest`, which is passed over;
 * LUN_TIMEOUT for a signal (not taken yet); LUN_IO for input that cannot be
 * read or unpacked, also if it ends too early.
 */
enum lun_code cli_line_reader_next(struct cli_line_reader *reader,
    struct lun_text *line, struct lun_err *err) LUN_MUSTCHECK;

/* Number of the line given last, from 1. */
uint64_t cli_line_reader_number(const struct cli_line_reader *reader);

/* Bytes of the file taken so far, and its size (0: unknown). */
void cli_line_reader_progress(
    const struct cli_line_reader *reader, uint64_t *done, uint64_t *total);

#endif
