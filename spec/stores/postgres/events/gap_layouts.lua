-- The tables of event stores whose events can appear late, as far as they
-- matter for reading: see postgres_layouts.lua. query: what the URL must say;
-- expect: what an event then reads like.

local layouts = {}

layouts.marten = {
  expect = { type = "moved", data = '{"n": 1}', metadata = '{"by": "me"}' },
  query = "grace_ms=0", -- appended in Quick mode
  schema = [[
    CREATE SEQUENCE mt_events_sequence;
    CREATE TABLE mt_streams (
      id varchar PRIMARY KEY,
      type varchar,
      version bigint NOT NULL,
      timestamp timestamptz NOT NULL DEFAULT now(),
      created timestamptz NOT NULL DEFAULT now(),
      tenant_id varchar DEFAULT '*DEFAULT*',
      is_archived boolean DEFAULT false
    );
    CREATE TABLE mt_events (
      seq_id bigint PRIMARY KEY,
      id uuid NOT NULL,
      stream_id varchar REFERENCES mt_streams ON DELETE CASCADE,
      version bigint NOT NULL,
      data jsonb NOT NULL,
      type varchar(500) NOT NULL,
      timestamp timestamptz NOT NULL DEFAULT now(),
      tenant_id varchar DEFAULT '*DEFAULT*',
      mt_dotnet_type varchar,
      headers jsonb,
      is_archived boolean DEFAULT false
    );
    CREATE UNIQUE INDEX ON mt_events (stream_id, version);
    ALTER SEQUENCE mt_events_sequence OWNED BY mt_events.seq_id;
  ]],
  append = [[
    INSERT INTO mt_streams (id, version)
    VALUES ($1, $2::bigint + 0 * length($3))
    ON CONFLICT (id) DO UPDATE SET version = $2::bigint
    ;;
    INSERT INTO mt_events (seq_id, id, stream_id, version, data, type, headers)
    VALUES (nextval('mt_events_sequence'), $3::uuid, $1, $2::bigint,
      '{"n": 1}', 'moved', '{"by": "me"}')]],
}

-- A whole message-db, not a category of it.
layouts["message-db"] = {
  expect = { type = "Moved", data = '{"n": 1}' },
  first_version = 0,
  schema = [[
    CREATE SCHEMA message_store;
    CREATE TABLE message_store.messages (
      global_position bigserial PRIMARY KEY,
      position bigint NOT NULL,
      id uuid NOT NULL DEFAULT gen_random_uuid(),
      time timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'utc'),
      stream_name text NOT NULL,
      type text NOT NULL,
      data jsonb,
      metadata jsonb
    );
    CREATE UNIQUE INDEX ON message_store.messages (stream_name, position);
    CREATE FUNCTION message_store.lock(name text) RETURNS void
    LANGUAGE sql AS $$
      SELECT pg_advisory_xact_lock(hashtext(name)::bigint) $$;
  ]],
  append = [[
    SELECT message_store.lock($1), $2::text, $3::text
    ;;
    INSERT INTO message_store.messages
      (id, stream_name, position, type, data, metadata)
    VALUES ($3::uuid, $1, $2::bigint, 'Moved', '{"n": 1}', NULL)]],
}

-- The id is made by the client, before its first write.
layouts.eventcore = {
  expect = { type = "Moved", metadata = '{}' },
  schema = [[
    CREATE TABLE eventcore_events (
      event_id uuid PRIMARY KEY,
      stream_id text NOT NULL,
      stream_version bigint NOT NULL,
      event_type text NOT NULL,
      event_data jsonb NOT NULL,
      metadata jsonb NOT NULL DEFAULT '{}',
      created_at timestamptz NOT NULL DEFAULT now(),
      UNIQUE (stream_id, stream_version)
    );
    CREATE FUNCTION uuid_v7(random text) RETURNS uuid LANGUAGE sql AS $$
      SELECT (lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)
        ::bigint), 12, '0') || '7' || substr(random, 16, 3)
        || replace(substr(random, 20), '-', ''))::uuid $$;
  ]],
  append = [[
    INSERT INTO eventcore_events
      (event_id, stream_id, stream_version, event_type, event_data)
    VALUES (uuid_v7($3), $1, $2::bigint, 'AccountEvent',
      jsonb_build_object('Moved', jsonb_build_object('id', $3::text)))]],
  id = function(event)
    return event.data:match '"id": *"(.-)"'
  end,
}

layouts.rails_event_store = {
  expect = { type = "Moved", metadata = '{"by": "me"}' },
  schema = [[
    CREATE TABLE event_store_events (
      id bigserial PRIMARY KEY,
      event_id uuid NOT NULL UNIQUE,
      event_type varchar NOT NULL,
      metadata jsonb,
      data jsonb NOT NULL,
      created_at timestamp(6) NOT NULL DEFAULT (now() AT TIME ZONE 'utc'),
      valid_at timestamp(6)
    );
    CREATE TABLE event_store_events_in_streams (
      id bigserial PRIMARY KEY,
      stream varchar NOT NULL,
      position integer,
      event_id uuid NOT NULL,
      created_at timestamp(6) NOT NULL DEFAULT (now() AT TIME ZONE 'utc'),
      UNIQUE (stream, event_id)
    );
    CREATE INDEX ON event_store_events_in_streams (event_id);
  ]],
  append = [[
    INSERT INTO event_store_events (event_id, event_type, data, metadata)
    VALUES ($3::uuid, 'Moved',
      jsonb_build_object('of', $1::text, 'n', $2::text), '{"by": "me"}')
    ;;
    INSERT INTO event_store_events_in_streams (stream, position, event_id)
    VALUES ($1, $2::integer, $3::uuid)]],
}

layouts.prooph = {
  expect = { type = "moved", data = '{"n": 1}' },
  query = "table=_6abf",
  schema = [[
    CREATE TABLE _6abf (
      no bigserial PRIMARY KEY,
      event_id uuid NOT NULL UNIQUE,
      event_name varchar(100) NOT NULL,
      payload json NOT NULL,
      metadata jsonb NOT NULL,
      created_at timestamp(6) NOT NULL DEFAULT (now() AT TIME ZONE 'utc')
    );
    CREATE UNIQUE INDEX ON _6abf ((metadata->>'_aggregate_type'),
      (metadata->>'_aggregate_id'), (metadata->>'_aggregate_version'));
  ]],
  append = [[
    INSERT INTO _6abf (event_id, event_name, payload, metadata)
    VALUES ($3::uuid, 'moved', '{"n": 1}', jsonb_build_object(
      '_aggregate_type', 'account', '_aggregate_id', $1::text,
      '_aggregate_version', $2::bigint))]],
}

layouts.sqlstreamstore = {
  expect = { type = "moved", data = '{"n": 1}' },
  first_version = 0,
  schema = [[
    CREATE SEQUENCE streams_seq;
    CREATE TABLE streams (
      id char(42) NOT NULL UNIQUE,
      id_original varchar(1000) NOT NULL,
      id_internal integer PRIMARY KEY DEFAULT nextval('streams_seq'),
      version integer NOT NULL DEFAULT -1,
      position bigint NOT NULL DEFAULT -1
    );
    CREATE SEQUENCE messages_seq START 0 MINVALUE 0;
    CREATE TABLE messages (
      stream_id_internal integer NOT NULL REFERENCES streams,
      stream_version integer NOT NULL,
      "position" bigint PRIMARY KEY DEFAULT nextval('messages_seq'),
      message_id uuid NOT NULL,
      created_utc timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'utc'),
      type varchar(128) NOT NULL,
      json_data varchar NOT NULL,
      json_metadata varchar,
      UNIQUE (stream_id_internal, stream_version)
    );
    ALTER SEQUENCE messages_seq OWNED BY messages.position;
  ]],
  append = [[
    INSERT INTO streams (id, id_original, version)
    VALUES ($1::text, $1::text, $2::integer + 0 * length($3))
    ON CONFLICT (id) DO UPDATE SET version = $2::integer
    ;;
    INSERT INTO messages
      (stream_id_internal, stream_version, message_id, type, json_data)
    SELECT id_internal, $2::integer, $3::uuid, 'moved', '{"n": 1}'
    FROM streams WHERE id = $1::text]],
}

layouts.eventuous = {
  expect = { type = "V1.Moved", data = '{"n": 1}' },
  first_version = 0,
  schema = [[
    CREATE SCHEMA eventuous;
    CREATE TABLE eventuous.streams (
      stream_name varchar(1000) NOT NULL UNIQUE,
      stream_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      version integer NOT NULL DEFAULT -1
    );
    CREATE TABLE eventuous.messages (
      message_id uuid NOT NULL,
      message_type varchar NOT NULL,
      stream_id integer NOT NULL REFERENCES eventuous.streams,
      stream_position integer NOT NULL,
      global_position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      json_data jsonb NOT NULL,
      json_metadata jsonb,
      created timestamp NOT NULL,
      UNIQUE (stream_id, stream_position)
    );
  ]],
  append = [[
    INSERT INTO eventuous.streams (stream_name, version)
    VALUES ($1, $2::integer + 0 * length($3))
    ON CONFLICT (stream_name) DO UPDATE SET version = $2::integer
    ;;
    INSERT INTO eventuous.messages (message_id, message_type, stream_id,
      stream_position, json_data, created)
    SELECT $3::uuid, 'V1.Moved', stream_id, $2::integer, '{"n": 1}',
      now() AT TIME ZONE 'utc'
    FROM eventuous.streams WHERE stream_name = $1]],
}

layouts.axon = {
  expect = {
    type = "app.Moved",
    data = '{"n": 1}',
    recorded_at = 1704164645123456,
  },
  query = "grace_ms=0", -- a sequence that hands out one number at a time
  first_version = 0,
  schema = [[
    CREATE SEQUENCE domain_event_entry_seq;
    CREATE TABLE domain_event_entry (
      global_index bigint PRIMARY KEY,
      event_identifier varchar(255) NOT NULL UNIQUE,
      meta_data bytea,
      payload bytea NOT NULL,
      payload_revision varchar(255),
      payload_type varchar(255) NOT NULL,
      time_stamp varchar(255) NOT NULL,
      aggregate_identifier varchar(255) NOT NULL,
      sequence_number bigint NOT NULL,
      type varchar(255),
      UNIQUE (aggregate_identifier, sequence_number)
    );
  ]],
  append = [[
    INSERT INTO domain_event_entry (global_index, event_identifier, payload,
      payload_type, time_stamp, aggregate_identifier, sequence_number)
    VALUES (nextval('domain_event_entry_seq'), $3, '{"n": 1}', 'app.Moved',
      '2024-01-02T03:04:05.123456Z', $1, $2::bigint)]],
}

layouts.axon_jdbc = {
  expect = {
    type = "app.Moved",
    data = '{"n": 1}',
    recorded_at = 1704164645123456,
  },
  name = "axon",
  query = "grace_ms=0",
  first_version = 0,
  schema = [[
    CREATE TABLE DomainEventEntry (
      globalIndex bigserial PRIMARY KEY,
      aggregateIdentifier varchar(255) NOT NULL,
      sequenceNumber bigint NOT NULL,
      type varchar(255),
      eventIdentifier varchar(255) NOT NULL UNIQUE,
      metaData bytea,
      payload bytea NOT NULL,
      payloadRevision varchar(255),
      payloadType varchar(255) NOT NULL,
      timeStamp varchar(255) NOT NULL,
      UNIQUE (aggregateIdentifier, sequenceNumber)
    );
  ]],
  append = [[
    INSERT INTO DomainEventEntry (aggregateIdentifier, sequenceNumber,
      eventIdentifier, payload, payloadType, timeStamp)
    VALUES ($1, $2::bigint, $3, '{"n": 1}', 'app.Moved',
      '2024-01-02T03:04:05.123456Z')]],
}

layouts.axon_5 = {
  expect = {
    type = "Moved",
    data = '{"n": 1}',
    recorded_at = 1704164645123456,
  },
  name = "axon",
  query = "grace_ms=0",
  first_version = 0,
  schema = [[
    CREATE SEQUENCE "aggregate-event-global-index-sequence";
    CREATE TABLE aggregate_event_entry (
      global_index bigint PRIMARY KEY,
      aggregate_type varchar(255),
      aggregate_identifier varchar(255),
      aggregate_sequence_number bigint,
      type varchar(255) NOT NULL,
      version varchar(255) NOT NULL,
      timestamp varchar(255) NOT NULL,
      payload oid NOT NULL,
      metadata oid,
      identifier varchar(255) NOT NULL UNIQUE,
      UNIQUE (aggregate_identifier, aggregate_sequence_number)
    );
  ]],
  append = [[
    INSERT INTO aggregate_event_entry (global_index, aggregate_identifier,
      aggregate_sequence_number, type, version, timestamp, payload, identifier)
    VALUES (nextval('"aggregate-event-global-index-sequence"'), $1,
      $2::bigint, 'Moved', '1', '2024-01-02T03:04:05.123456Z',
      lo_from_bytea(0, '{"n": 1}'), $3)]],
}

for name, layout in pairs(layouts) do
  layout.name = layout.name or name
end

return layouts
