/* connections.c - who may have how many connections to the event store. */

#include "runtime/connections.h"

#include <unistd.h>

#include "base/error.h"

#define FIXED 4 /* itself, what is new, the tail, appending */
#define LEAST (FIXED + 2)

static size_t
count_cores(void)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	return cores > 1 ? (size_t)cores : 1;
}

/* Of whichever there are more, one less, until they fit. */
enum lun_code
lun_connections_share(const struct lun_settings *settings,
    struct lun_connections *out, struct lun_err *err)
{
	size_t slots = count_cores();
	size_t readers = (size_t)settings->readers;
	size_t most = (size_t)settings->connections;

	if (settings->connections < LEAST)
		return lun_fail(err, LUN_CONFIG,
		    "connections is %lld, and an engine needs %d to its "
		    "events: for itself, to be told of new ones, to read the "
		    "tail, to append, to catch up and to look",
		    (long long)settings->connections, LEAST);
	while (slots + readers > most - FIXED)
		*(slots > readers ? &slots : &readers) -= 1;
	*out = (struct lun_connections){
	    .slots = slots,
	    .readers = readers,
	    .are_few =
		slots < count_cores() || readers < (size_t)settings->readers,
	};
	return LUN_OK;
}
