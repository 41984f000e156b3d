-- Writers of a log in PostgreSQL that come to a place early and use it late,
-- or never: what they committed is known, in whatever order it came.

local pg_session = require "pg_session"
local layouts = require "spec.stores.postgres.events.layouts"
local gap_layouts = require "spec.stores.postgres.events.gap_layouts"

local STREAMS = 12
local WRITERS = 5

local late_log = { kinds = {} }

-- How each store's writers come to a place early that they use late: `early`
-- gives it, in a transaction or ahead of it, and `insert` is a statement with
-- the place, a stream, a version and a type; the data names the event.
local kinds = late_log.kinds

kinds.lunette = {
  query = "",
  early = "SELECT pg_current_xact_id()",
  insert = [[
    INSERT INTO lunette_events (stream, version, type, data)
    SELECT '%2$s', %3$d, '%4$s', '"%2$s %3$d"' WHERE '%1$s' <> 'x']],
}

kinds.emmett = {
  query = "layout=emmett",
  schema = layouts.emmett.schema,
  early = "SELECT pg_current_xact_id()",
  insert = [[
    INSERT INTO emt_messages (stream_id, stream_position, transaction_id,
      message_schema_version, message_id, message_type, message_data,
      message_metadata)
    SELECT '%2$s', %3$d, pg_current_xact_id(), '1', gen_random_uuid(), '%4$s',
      '"%2$s %3$d"', '{}' WHERE '%1$s' <> 'x']],
}

kinds.marten = {
  query = "layout=marten&grace_ms=0",
  schema = (gap_layouts.marten.schema:gsub(" REFERENCES mt_streams[^,]*", "")),
  early = "SELECT nextval('mt_events_sequence')",
  one_each = true, -- a number serves once
  insert = [[
    INSERT INTO mt_events (seq_id, id, stream_id, version, data, type)
    VALUES (%1$s, gen_random_uuid(), '%2$s', %3$d, '"%2$s %3$d"', '%4$s')]],
}

kinds.eventcore = {
  query = "layout=eventcore&unwrap=no&grace_ms=0",
  schema = gap_layouts.eventcore.schema,
  early = "SELECT uuid_v7(gen_random_uuid()::text)",
  one_each = true,
  insert = [[
    INSERT INTO eventcore_events
      (event_id, stream_id, stream_version, event_type, event_data)
    VALUES ('%1$s', '%2$s', %3$d, '%4$s', '"%2$s %3$d"')]],
}

kinds["message-db"] = {
  query = "layout=message-db",
  schema = gap_layouts["message-db"].schema,
  early = "SELECT nextval('message_store.messages_global_position_seq')",
  one_each = true,
  first_version = 0,
  insert = [[
    INSERT INTO message_store.messages
      (global_position, stream_name, position, type, data)
    VALUES (%1$s, '%2$s', %3$d, '%4$s', '"%2$s %3$d"')]],
}

-- A number that is drawn with no transaction around is passed over as soon as
-- the grace time says, and comes later all the same.
kinds.custom = {
  query = "layout=custom&table=log&position=no&id=key&stream=owner&version=n"
    .. "&type=kind&data=body&safe_head=gaps&grace_ms=1&window_ms=60000",
  schema = [[
    CREATE TABLE log (
      no bigserial PRIMARY KEY,
      key uuid NOT NULL DEFAULT gen_random_uuid(),
      owner text NOT NULL,
      n bigint NOT NULL,
      kind text NOT NULL,
      body jsonb NOT NULL,
      UNIQUE (owner, n)
    )]],
  early = "SELECT nextval('log_no_seq')",
  ahead = true,
  one_each = true,
  insert = [[
    INSERT INTO log (no, owner, n, kind, body)
    VALUES (%1$s, '%2$s', %3$d, '%4$s', '"%2$s %3$d"')]],
}

-- %2$s and the like, which string.format does not know.
function late_log.fill(pattern, ...)
  local values = { ... }
  return (pattern:gsub("%%(%d)%$[sd]", function(n)
    return tostring(values[tonumber(n)])
  end))
end

-- ---- writers

local log = {}
log.__index = log

function late_log.new(kind, database, random)
  local self = setmetatable({
    kind = kind, random = random, writers = {}, versions = {}, committed = {},
  }, log)
  for i = 1, WRITERS do
    self.writers[i] = { session = pg_session.open(database.url) }
  end
  for i = 1, STREAMS do
    self.versions["s" .. i] = (kind.first_version or 1) - 1
  end
  return self
end

function log:early(writer)
  return writer.session:run(self.kind.early)
end

function log:begin(writer)
  if not self.kind.ahead then
    writer.session:run "BEGIN"
  end
  writer.places = { self:early(writer), self:early(writer) }
  if self.kind.ahead then
    writer.session:run "BEGIN"
  end
  writer.written = {}
end

-- The place for the next event: one that was had early, or a new one.
function log:place(writer)
  local places = writer.places
  if #places > 0 and (not self.kind.one_each or self.random:chance(70)) then
    return self.kind.one_each
        and table.remove(places, self.random:within(1, #places))
      or places[1]
  end
  return self:early(writer)
end

function log:write(writer)
  local stream = "s" .. self.random:within(1, STREAMS)
  for _, other in ipairs(self.writers) do
    if other ~= writer and other.written and other.written[stream] then
      return -- it would wait for that one
    end
  end
  local events = writer.written[stream] or {}
  local event = {
    version = self.versions[stream] + #events + 1,
    type = self.random:chance(40) and "A" or "B",
  }
  writer.session:run(late_log.fill(self.kind.insert, self:place(writer), stream,
    event.version, event.type))
  events[#events + 1] = event
  writer.written[stream] = events
end

function log:finish(writer)
  local kept = self.random:chance(85)
  writer.session:run(kept and "COMMIT" or "ROLLBACK")
  for stream, events in pairs(kept and writer.written or {}) do
    for _, event in ipairs(events) do
      self.committed[#self.committed + 1] = {
        stream = stream, version = event.version, type = event.type,
      }
    end
    self.versions[stream] = self.versions[stream] + #events
  end
  writer.written = nil
end

function log:step()
  local writer = self.random:pick(self.writers)
  if not writer.written then
    self:begin(writer)
  elseif self.random:chance(60) then
    self:write(writer)
  else
    self:finish(writer)
  end
end

function log:close()
  for _, writer in ipairs(self.writers) do
    if writer.written then
      self:finish(writer)
    end
    writer.session:close()
  end
end

return late_log
