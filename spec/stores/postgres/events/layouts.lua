-- The tables of other event stores, as far as they matter for reading: for
-- each layout the statements that make them, and one that appends an event
-- with the parameters $1 stream, $2 version and $3 id (a uuid in text).

local layouts = {}

layouts.lunette = {
  append = [[
    INSERT INTO lunette_events (id, stream, version, type, data)
    VALUES ($3, $1, $2::bigint, 'Moved', '{"n": 1}')]],
}

layouts.emmett = {
  schema = [[
    CREATE SEQUENCE emt_global_message_position;
    CREATE TABLE emt_messages (
      stream_position bigint NOT NULL,
      global_position bigint DEFAULT nextval('emt_global_message_position'),
      transaction_id xid8 NOT NULL,
      created timestamptz NOT NULL DEFAULT now(),
      is_archived boolean NOT NULL DEFAULT false,
      message_kind varchar(1) NOT NULL DEFAULT 'E',
      stream_id text NOT NULL,
      partition text NOT NULL DEFAULT 'emt:default',
      message_schema_version text NOT NULL,
      message_id text NOT NULL,
      message_type text NOT NULL,
      message_data jsonb NOT NULL,
      message_metadata jsonb NOT NULL,
      PRIMARY KEY (stream_id, stream_position, partition, is_archived)
    ) PARTITION BY LIST (partition);
    CREATE TABLE emt_messages_default PARTITION OF emt_messages
      FOR VALUES IN ('emt:default') PARTITION BY LIST (is_archived);
    CREATE TABLE emt_messages_active PARTITION OF emt_messages_default
      FOR VALUES IN (false);
    CREATE TABLE emt_messages_archived PARTITION OF emt_messages_default
      FOR VALUES IN (true);
    CREATE INDEX ON emt_messages (transaction_id, global_position);
  ]],
  append = [[
    INSERT INTO emt_messages (stream_id, stream_position, transaction_id,
      message_schema_version, message_id, message_type, message_data,
      message_metadata)
    VALUES ($1, $2::bigint, pg_current_xact_id(), '1', $3, 'Moved',
      '{"n": 1}', '{"by": "me"}')]],
}

layouts["message-db"] = {
  query = "category=writer",
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
    CREATE FUNCTION message_store.category(name varchar) RETURNS varchar
    IMMUTABLE LANGUAGE sql AS $$ SELECT split_part(name, '-', 1) $$;
    CREATE INDEX ON message_store.messages
      (message_store.category(stream_name), global_position);
    CREATE UNIQUE INDEX ON message_store.messages (stream_name, position);
  ]],
  append = [[
    SELECT pg_advisory_xact_lock(hashtext(message_store.category($1))),
      $2::text, $3::text
    ;;
    INSERT INTO message_store.messages
      (id, stream_name, position, type, data, metadata)
    VALUES ($3::uuid, $1, $2::bigint, 'Moved', '{"n": 1}', NULL)]],
}

layouts.commanded = {
  schema = [[
    CREATE TABLE streams (
      stream_id bigserial PRIMARY KEY,
      stream_uuid text NOT NULL UNIQUE,
      stream_version bigint NOT NULL DEFAULT 0
    );
    INSERT INTO streams VALUES (0, '$all', 0);
    CREATE TABLE events (
      event_id uuid PRIMARY KEY,
      event_type text NOT NULL,
      causation_id uuid,
      correlation_id uuid,
      data bytea NOT NULL,
      metadata bytea,
      created_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE TABLE stream_events (
      event_id uuid NOT NULL REFERENCES events,
      stream_id bigint NOT NULL REFERENCES streams,
      stream_version bigint NOT NULL,
      original_stream_id bigint,
      original_stream_version bigint,
      PRIMARY KEY (event_id, stream_id),
      UNIQUE (stream_id, stream_version)
    );
  ]],
  append = [[
    INSERT INTO streams (stream_uuid, stream_version)
    VALUES ($1, $2::bigint + 0 * length($3))
    ON CONFLICT (stream_uuid) DO UPDATE SET stream_version = $2::bigint
    ;;
    INSERT INTO events (event_id, event_type, data, metadata)
    VALUES ($3::uuid, 'Moved', '{"n": 1}',
      convert_to(json_build_object('of', $1::text, 'n', $2::text)::text,
        'UTF8'))
    ;;
    INSERT INTO stream_events
    SELECT $3::uuid, stream_id, $2::bigint, stream_id, $2::bigint
    FROM streams WHERE stream_uuid = $1
    ;;
    WITH link AS (
      UPDATE streams SET stream_version = stream_version + 1
      WHERE stream_id = 0 RETURNING stream_version
    )
    INSERT INTO stream_events
    SELECT $3::uuid, 0, link.stream_version, s.stream_id, $2::bigint
    FROM link, streams s WHERE s.stream_uuid = $1]],
}

layouts.eventsourcing = {
  schema = [[
    CREATE TABLE stored_events (
      originator_id text NOT NULL,
      originator_version bigint NOT NULL,
      topic text,
      state bytea,
      notification_id bigserial,
      PRIMARY KEY (originator_id, originator_version)
    );
    CREATE UNIQUE INDEX ON stored_events (notification_id);
    CREATE FUNCTION take_turn(text, text, text) RETURNS void
    LANGUAGE plpgsql AS $$
    BEGIN
      LOCK TABLE stored_events IN EXCLUSIVE MODE;
    END $$;
  ]],
  append = [[
    SELECT take_turn($1, $2, $3)
    ;;
    INSERT INTO stored_events (originator_id, originator_version, topic, state)
    VALUES ($1, $2::bigint, 'app:Moved',
      convert_to(json_build_object('id', $3::text)::text, 'UTF8'))]],
  -- It has no ids of its own; the spec's stands in the data.
  id = function(event)
    return event.data:match '"id" : "(.-)"'
  end,
}

return layouts
