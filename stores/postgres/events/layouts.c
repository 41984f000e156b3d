/*
 * layouts.c - the tables of the event stores there are.
 *
 * docs/event-stores.md says for each of them what is guaranteed and how.
 */

#include "postgres/events/mappings.h"

const struct lun_pg_layout lun_pg_layouts[] = {
    {
	.name = "lunette",
	.schema = "public",
	.table = "lunette_events",
	.position = "e.position",
	.transaction_id = "e.transaction_id",
	.id = "e.id",
	.stream = "e.stream",
	.version = "e.version",
	.first_version = 1,
	.type = "e.type",
	.data = "e.data",
	.metadata = "e.metadata",
	.recorded_at = "e.recorded_at",
	.safety = LUN_PG_TRANSACTIONS,
	.channel = "lunette_events",
    },
    {
	.name = "emmett",
	.schema = "public",
	.table = "emt_messages",
	/* Commands of workflows have versions between those of events. */
	.hidden = {"e.is_archived", "e.message_kind <> 'E'"},
	.position = "e.global_position",
	.transaction_id = "e.transaction_id",
	.id = "e.message_id",
	.stream = "e.stream_id",
	.tenant = "e.partition",
	.version = "e.stream_position",
	.first_version = 1,
	.type = "e.message_type",
	.data = "e.message_data",
	.metadata = "e.message_metadata",
	.recorded_at = "e.created",
	.safety = LUN_PG_TRANSACTIONS,
    },
    {
	.name = "message-db",
	.schema = "message_store",
	.table = "messages",
	.position = "e.global_position",
	.id = "e.id",
	.stream = "e.stream_name",
	.version = "e.position",
	.type = "e.type",
	.data = "e.data",
	.metadata = "e.metadata",
	.recorded_at = "e.time",
	.safety = LUN_PG_GAPS,
	/* write_message() locks the category before it draws a number. */
	.category = "%Scategory(e.stream_name)",
    },
    {
	.name = "marten",
	.schema = "public",
	.table = "mt_events",
	.hidden = {"e.is_archived", "?e.is_skipped"},
	/*
	 * One for each number of a save that failed, in a stream whose UUID is
	 * another one in each process.
	 */
	.placeholder = "e.type = 'tombstone' AND (e.version = e.seq_id "
		       "OR e.stream_id::text = 'mt_tombstone')",
	.position = "e.seq_id",
	.id = "e.id",
	.stream = "e.stream_id",
	.tenant = "?e.tenant_id",
	.version = "e.version",
	.first_version = 1,
	.type = "e.type",
	.data = "e.data",
	.metadata = "?e.headers",
	.recorded_at = "e.timestamp",
	.safety = LUN_PG_GAPS,
	.rivals = "mt\\_events\\_sequence\\_%", /* one for each tenant */
	/* In Rich mode numbers are drawn before the transaction begins. */
	.grace_ms = 3000,
	.window_ms = 60000,
	.channel = "mt_events_appended",
    },
    {
	.name = "eventcore",
	.schema = "public",
	.table = "eventcore_events",
	.position = "e.event_id",
	.id = "e.event_id",
	.stream = "e.stream_id",
	.version = "e.stream_version",
	.first_version = 1,
	.type = "e.event_type",
	.data = "e.event_data",
	.metadata = "e.metadata",
	.recorded_at = "e.created_at",
	.safety = LUN_PG_WINDOW,
	/* An id is made before the first write, by the writer's clock. */
	.grace_ms = 250,
	.window_ms = 10000,
	.unwrap = true,
    },
    {
	/* Stream 0 holds a link to every event, made under a row lock. */
	.name = "commanded",
	.schema = "public",
	.table = "stream_events",
	.joins = "LEFT JOIN %Sevents d ON d.event_id = e.event_id "
		 "LEFT JOIN %Sstreams s ON s.stream_id = e.original_stream_id",
	.scope = "e.stream_id = 0",
	.scope_column = "e.stream_id",
	.position = "e.stream_version",
	.id = "d.event_id",
	.stream = "s.stream_uuid",
	.version = "e.original_stream_version",
	.type = "d.event_type",
	.data = "d.data",
	.metadata = "d.metadata",
	.recorded_at = "d.created_at",
	.safety = LUN_PG_SERIALISED,
	.row_counts = true,
	.channel = "%s.events",
    },
    {
	/* An event may be in many streams or none; its first one names it. */
	.name = "rails_event_store",
	.schema = "public",
	.table = "event_store_events",
	.joins = "LEFT JOIN LATERAL (SELECT m.stream, m.position "
		 "FROM %Sevent_store_events_in_streams m "
		 "WHERE m.event_id = e.event_id ORDER BY m.id LIMIT 1) s "
		 "ON true",
	.position = "e.id",
	.id = "e.event_id",
	.stream = "coalesce(s.stream, 'all')",
	.version = "coalesce(s.position, 0)",
	.type = "e.event_type",
	.data = "e.data",
	.metadata = "e.metadata",
	.recorded_at = "e.created_at",
	.safety = LUN_PG_GAPS,
	.may_be_serialised = true, /* PgLinearizedEventRepository */
	.loose = true,
    },
    {
	/* A table for each stream: the URL names one of them. */
	.name = "prooph",
	.schema = "public",
	.position = "e.no",
	.id = "e.event_id",
	.stream = "coalesce(e.metadata->>'_aggregate_id', "
		  "e.tableoid::regclass::text)",
	.indexed_stream = "e.metadata->>'_aggregate_id'",
	.realm = "e.metadata->>'_aggregate_type'",
	.version = "(e.metadata->>'_aggregate_version')::int8",
	.first_version = 1,
	.type = "e.event_name",
	.data = "e.payload",
	.metadata = "e.metadata",
	.recorded_at = "e.created_at",
	.safety = LUN_PG_GAPS,
	.may_be_serialised = true, /* PostgresAdvisoryLockStrategy */
    },
    {
	.name = "sqlstreamstore",
	.schema = "public",
	.table = "messages",
	.joins =
	    "LEFT JOIN %Sstreams s ON s.id_internal = e.stream_id_internal",
	.position = "e.position",
	.id = "e.message_id",
	.stream = "s.id_original",
	.version = "e.stream_version",
	.type = "e.type",
	.data = "e.json_data",
	.metadata = "e.json_metadata",
	.recorded_at = "e.created_utc",
	.safety = LUN_PG_GAPS,
	.starts_at_zero = true,
	.deletes = true,
    },
    {
	.name = "eventuous",
	.schema = "eventuous",
	.table = "messages",
	.joins = "LEFT JOIN %Sstreams s ON s.stream_id = e.stream_id",
	/* Its readers fill gaps with them. */
	.placeholder = "e.message_type = '$tombstone' "
		       "AND s.stream_name = '__tombstones__'",
	.position = "e.global_position",
	.id = "e.message_id",
	.stream = "s.stream_name",
	.version = "e.stream_position",
	.type = "e.message_type",
	.data = "e.json_data",
	.metadata = "e.json_metadata",
	.recorded_at = "e.created",
	.safety = LUN_PG_GAPS,
    },
    {
	/* Version 4 by JPA, with the names Spring gives. */
	.name = "axon",
	.schema = "public",
	.table = "domain_event_entry",
	.position = "e.global_index",
	.id = "e.event_identifier",
	.stream = "e.aggregate_identifier",
	.version = "e.sequence_number",
	.type = "e.payload_type",
	.data = "e.payload",
	.metadata = "e.meta_data",
	.recorded_at = "e.time_stamp",
	.safety = LUN_PG_GAPS,
	/* Hibernate takes numbers in blocks and uses them when it likes. */
	.grace_ms = 10000,
	.window_ms = 60000,
	.starts_at_zero = true,
    },
    {
	/* Version 4 by JDBC. */
	.name = "axon",
	.schema = "public",
	.table = "domainevententry",
	.position = "e.globalindex",
	.id = "e.eventidentifier",
	.stream = "e.aggregateidentifier",
	.version = "e.sequencenumber",
	.type = "e.payloadtype",
	.data = "e.payload",
	.metadata = "e.metadata",
	.recorded_at = "e.timestamp",
	.safety = LUN_PG_GAPS,
	/* Hibernate takes numbers in blocks and uses them when it likes. */
	.grace_ms = 10000,
	.window_ms = 60000,
	.starts_at_zero = true,
    },
    {
	/* Version 5. */
	.name = "axon",
	.schema = "public",
	.table = "aggregate_event_entry",
	.position = "e.global_index",
	.id = "e.identifier",
	/* An event of no aggregate is a stream of its own. */
	.stream = "coalesce(e.aggregate_identifier, e.identifier)",
	.indexed_stream = "e.aggregate_identifier",
	.version = "e.aggregate_sequence_number",
	.type = "e.type",
	.data = "e.payload",
	.metadata = "e.metadata",
	.recorded_at = "e.timestamp",
	.safety = LUN_PG_GAPS,
	/* Hibernate takes numbers in blocks and uses them when it likes. */
	.grace_ms = 10000,
	.window_ms = 60000,
	.starts_at_zero = true,
    },
    {
	/* The recorder locks the table for each insert. */
	.name = "eventsourcing",
	.schema = "public",
	.table = "stored_events",
	.position = "e.notification_id",
	.id = "e.originator_id::text || '/' || e.originator_version",
	.stream = "e.originator_id",
	.version = "e.originator_version",
	.type = "e.topic",
	.data = "e.state",
	.metadata = "?e.metadata",
	.safety = LUN_PG_SERIALISED,
    },
    {
	/* The columns that Debezium expects, and what a service may add. */
	.name = "outbox",
	.schema = "public",
	.table = "outbox",
	.named = true,
	.is_outbox = true,
	.id = "e.id",
	.stream = "replace(replace(e.aggregatetype::text, '%', '%25'), '-', "
		  "'%2D') || '-' || e.aggregateid::text",
	.type = "e.type",
	.data = "e.payload",
	.recorded_at = "?e.timestamp",
	.starts_at_zero = true,
	.deletes = true,
	/* A time, or an id with one, is taken before the first write. */
	.grace_ms = 1000,
	.window_ms = 10000,
    },
    {
	/* The columns that Debezium expects, and what a service may add. */
	.name = "outbox",
	.schema = "public",
	.table = "outboxevent",
	.named = true,
	.is_outbox = true,
	.id = "e.id",
	.stream = "replace(replace(e.aggregatetype::text, '%', '%25'), '-', "
		  "'%2D') || '-' || e.aggregateid::text",
	.type = "e.type",
	.data = "e.payload",
	.recorded_at = "?e.timestamp",
	.starts_at_zero = true,
	.deletes = true,
	/* A time, or an id with one, is taken before the first write. */
	.grace_ms = 1000,
	.window_ms = 10000,
    },
    {.name = NULL},
};
