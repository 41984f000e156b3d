/* place.c - whether a database is where it was when it was opened. */

#include "sqlite/place.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"

#define LOOK_NS 1000000000LL

static const char *const names[LUN_SQLITE_PLACES] = {"", "-wal", "-shm"};

/* A host may change its folder later. NULL when out of memory. */
static char *
make_path(const char *path, const char *end)
{
	char *folder = path[0] == '/' ? NULL : getcwd(NULL, 0);
	struct lun_buffer whole = {0};

	if (folder != NULL)
		lun_buffer_printf(&whole, "%s/", folder);
	lun_buffer_printf(&whole, "%s%s", path, end);
	lun_buffer_add_byte(&whole, '\0');
	free(folder);
	if (!whole.failed)
		return whole.bytes;
	lun_buffer_free(&whole);
	return NULL;
}

/* The log and its index are beside the file that a link leads to. */
enum lun_code
lun_sqlite_place_note(struct lun_sqlite_place *place, sqlite3 *db,
    const char *path, struct lun_err *err)
{
	bool writes = sqlite3_db_readonly(db, "main") == 0;

	for (size_t i = 0; i < LUN_SQLITE_PLACES; i++) {
		struct stat st;

		place->paths[i] = make_path(
		    i == 0 ? path : sqlite3_db_filename(db, "main"), names[i]);
		if (place->paths[i] == NULL) {
			lun_sqlite_place_free(place);
			return lun_fail(
			    err, LUN_NOMEM, "%s: out of memory", path);
		}
		/* Who only reads leaves those two to the writers. */
		if ((i > 0 && !writes) || stat(place->paths[i], &st) != 0)
			continue;
		place->opened[i].device = st.st_dev;
		place->opened[i].inode = st.st_ino;
	}
	return LUN_OK;
}

void
lun_sqlite_place_free(struct lun_sqlite_place *place)
{
	for (size_t i = 0; i < LUN_SQLITE_PLACES; i++) {
		free(place->paths[i]);
		place->paths[i] = NULL;
	}
}

static bool
has_moved(const struct lun_sqlite_place *place, size_t i)
{
	struct stat st;

	if (place->opened[i].inode == 0)
		return false;
	if (stat(place->paths[i], &st) != 0)
		return errno == ENOENT || errno == ENOTDIR || errno == ELOOP;
	return st.st_ino != place->opened[i].inode ||
	       st.st_dev != place->opened[i].device;
}

enum lun_code
lun_sqlite_place_check(
    const struct lun_sqlite_place *place, const char *name, struct lun_err *err)
{
	for (size_t i = 0; i < LUN_SQLITE_PLACES; i++)
		if (has_moved(place, i))
			return lun_fail(err, LUN_CONFIG,
			    "%s%s was replaced or removed while it was open: "
			    "end whoever has it open, restore it, and start "
			    "again",
			    name, names[i]);
	return LUN_OK;
}

enum lun_code
lun_sqlite_place_look(
    struct lun_sqlite_place *place, const char *name, struct lun_err *err)
{
	long long now = lun_clock_mono_ns();
	enum lun_code code;

	if (now - atomic_load(&place->looked_ns) < LOOK_NS)
		return LUN_OK;
	code = lun_sqlite_place_check(place, name, err);
	if (code == LUN_OK) /* a failure is everybody's */
		atomic_store(&place->looked_ns, now);
	return code;
}
