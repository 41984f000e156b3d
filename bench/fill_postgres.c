/*
 * fill_postgres.c - filling the events of a PostgreSQL database by COPY, a
 * transaction for each put. The indexes are made when all is there.
 */

#include <inttypes.h>
#include <libpq-fe.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "fill.h"

struct fill {
	PGconn *conn;
	struct lun_buffer rows;
};

static void
check(struct fill *fill, PGresult *result, ExecStatusType wanted)
{
	if (PQresultStatus(result) != wanted)
		fill_fail("events", PQerrorMessage(fill->conn));
	PQclear(result);
}

static void
run(struct fill *fill, const char *sql)
{
	check(fill, PQexec(fill->conn, sql), PGRES_COMMAND_OK);
}

static uint64_t
count_events(struct fill *fill)
{
	PGresult *result =
	    PQexec(fill->conn, "SELECT count(*) FROM lunette_events");
	uint64_t count = 0;

	if (PQntuples(result) == 1)
		count = strtoull(PQgetvalue(result, 0, 0), NULL, 10);
	check(fill, result, PGRES_TUPLES_OK);
	return count;
}

static void *
open_fill(const char *url, uint64_t *present)
{
	struct fill *fill = calloc(1, sizeof *fill);

	if (fill == NULL)
		fill_fail("events", "out of memory");
	fill->conn = PQconnectdb(url);
	if (PQstatus(fill->conn) != CONNECTION_OK)
		fill_fail("events", PQerrorMessage(fill->conn));
	*present = count_events(fill);
	run(fill, "SET synchronous_commit = off;"
		  "SET maintenance_work_mem = '512MB';"
		  "ALTER TABLE lunette_events"
		  " DROP CONSTRAINT lunette_events_pkey,"
		  " DROP CONSTRAINT lunette_events_id_key,"
		  " DROP CONSTRAINT lunette_events_stream_version_key");
	return fill;
}

/* No text of an event has anything that COPY wants escaped. */
static void
add_row(struct lun_buffer *rows, const struct banking_event *event)
{
	char when[LUN_TIMESTAMP_LENGTH + 1];

	lun_timestamp_format(event->recorded_at, when);
	lun_buffer_add_text(rows, event->id);
	lun_buffer_add_byte(rows, '\t');
	lun_buffer_add_text(rows, event->stream);
	lun_buffer_printf(rows, "\t%" PRId64 "\t", event->version);
	lun_buffer_add_text(rows, event->type);
	lun_buffer_add_byte(rows, '\t');
	lun_buffer_add_text(rows, event->data);
	lun_buffer_add_byte(rows, '\t');
	lun_buffer_add(rows, when, LUN_TIMESTAMP_LENGTH);
	lun_buffer_add_byte(rows, '\n');
}

static void
put(void *arg, const struct banking_event *events, size_t count)
{
	struct fill *fill = arg;
	struct lun_buffer *rows = &fill->rows;

	lun_buffer_clear(rows);
	for (size_t i = 0; i < count; i++)
		add_row(rows, &events[i]);
	if (rows->failed)
		fill_fail("events", "out of memory");
	check(fill,
	    PQexec(fill->conn,
		"COPY lunette_events"
		" (id, stream, version, type, data, recorded_at) FROM STDIN"),
	    PGRES_COPY_IN);
	if (PQputCopyData(fill->conn, rows->bytes, (int)rows->length) != 1 ||
	    PQputCopyEnd(fill->conn, NULL) != 1)
		fill_fail("events", PQerrorMessage(fill->conn));
	check(fill, PQgetResult(fill->conn), PGRES_COMMAND_OK);
	PQclear(PQgetResult(fill->conn)); /* none: the end of it */
}

static void
close_fill(void *arg)
{
	struct fill *fill = arg;

	run(fill, "ALTER TABLE lunette_events"
		  " ADD PRIMARY KEY (transaction_id, position),"
		  " ADD UNIQUE (id), ADD UNIQUE (stream, version)");
	PQfinish(fill->conn);
	lun_buffer_free(&fill->rows);
	free(fill);
}

const struct filler fill_postgres = {
    .scheme = "postgres:",
    .open = open_fill,
    .put = put,
    .close = close_fill,
};
