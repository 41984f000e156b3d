/*
 * handle_query.h - a query answered by the script's handle_query.
 *
 * It runs on a thread of the reader under its budget. The calling thread
 * watches: one that is stuck inside a library call, where no budget reaches
 * it, is given up and costs its thread and its reader, nobody else. A text
 * that cost three is asked no more.
 */

#ifndef LUN_API_HANDLE_QUERY_H
#define LUN_API_HANDLE_QUERY_H

#include "runtime/engine.h"

/*
 * Append the answer of the entry's script, whose hash this is, to out: a JSON
 * array. *reader, connected to the models, is NULL afterwards if it was lost
 * (LUN_BUDGET). LUN_TIMEOUT after call_timeout_ms.
 */
enum lun_code lun_handle_query(struct lun_engine *engine,
    struct lun_entry *entry, const char *hash, struct lun_reader **reader,
    const struct lun_text *terms, size_t count, struct lun_buffer *out,
    struct lun_err *err) LUN_MUSTCHECK;

#endif
