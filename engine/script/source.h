/*
 * source.h - the text of a script file.
 */

#ifndef LUN_SCRIPT_SOURCE_H
#define LUN_SCRIPT_SOURCE_H

#include "base/buffer.h"

#define LUN_SOURCE_BYTES_MAX ((size_t)4 << 20)

/*
 * Append the file's bytes. LUN_NOTFOUND, LUN_IO; LUN_CONFIG if it is too large
 * or no regular file, for a FIFO or a device would be waited for. That is
 * looked at, so the call does not wait for writers.
 */
enum lun_code lun_source_read(const char *path, struct lun_buffer *out,
    struct lun_err *err) LUN_MUSTCHECK;
/*
 * Take a byte order mark off the text of a script or settings file. The code
 * that is given for one that is too large or, with the name of its encoding,
 * not UTF-8.
 */
enum lun_code lun_source_begin(const char *chunk, struct lun_text *source,
    enum lun_code code, struct lun_err *err) LUN_MUSTCHECK;
/*
 * A hash of the bytes of a file, to see whether it is another text; 0 if there
 * is none that can be read.
 */
uint64_t lun_source_hash(const char *path);

#endif
