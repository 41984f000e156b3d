/*
 * fill.h - putting events into a store that the engine has made, faster than
 * its append does: nothing is checked, no index is hit at random, and a log
 * that breaks meanwhile is made again. Any trouble ends the program.
 */

#ifndef BENCH_FILL_H
#define BENCH_FILL_H

#include "banking.h"

struct filler {
	const char *scheme;
	/* Sets how many events there are. */
	void *(*open)(const char *url, uint64_t *present);
	void (*put)(
	    void *fill, const struct banking_event *events, size_t count);
	/* All is written, and the store is as the engine had left it. */
	void (*close)(void *fill);
};

extern const struct filler fill_sqlite;
extern const struct filler fill_postgres;

_Noreturn void fill_fail(const char *what, const char *why);

#endif
