-- Layouts whose events can appear late: what is held back, and for whom; what
-- is passed over; and the second line behind it all.

local helper = require "spec.helper"
local postgres = require "spec.postgres_server"
local event_store = require "event_store_test"
local layouts = require "spec.stores.postgres.events.gap_layouts"
local pg_session = require "pg_session"

local server, reason = postgres.start()

local function fill(append, stream, version, id)
  local values = {
    ["$1"] = "'" .. stream .. "'",
    ["$2"] = "'" .. version .. "'",
    ["$3"] = "'" .. id .. "'",
  }
  return (append:gsub(";;", ";"):gsub("$[123]", values))
end

local ids = 0
local function new_id()
  ids = ids + 1
  return ("00000000-0000-4000-8000-%012d"):format(ids)
end

local function append(session, layout, stream, version)
  session:run(fill(layout.append, stream, version, new_id()))
end

-- Reads on with what the last read left, as the engine does; in "stream
-- version" form.
local reader = {}
reader.__index = reader

local opened = {} -- to be closed after each spec

local function start_reader(url)
  opened[#opened + 1] = setmetatable({
    url = url,
    request = { max = 100 },
    store = assert(event_store.open(url)),
  }, reader)
  return opened[#opened]
end

function reader:close()
  self.store:close()
end

function reader:read()
  local page, message, code = self.store:read(self.request)
  if not page then
    return nil, message, code
  end
  self.request.after, self.request.state = page.reached, page.state
  local names = {}
  for i, event in ipairs(page) do
    names[i] = event.stream .. " " .. event.version
  end
  return table.concat(names, ", ")
end

function reader:read_until(wanted)
  local found = {}
  helper.wait(function()
    local names = assert(self:read())
    if names ~= "" then
      found[#found + 1] = names
    end
    return table.concat(found, ", ") == wanted
  end)
end

function reader:reopen()
  self.store:close()
  self.store = assert(event_store.open(self.url))
end

describe("a postgres layout with late events #postgres", function()
  if not server then
    pending(reason)
    return
  end

  after_each(function()
    for _, one in ipairs(opened) do
      one:close()
    end
    opened = {}
  end)

  local function start(name, query, on)
    local layout = layouts[name]
    local database = (on or server):new_database()
    database:sql(layout.schema)
    local url = database:with("layout=" .. layout.name .. "&"
      .. (query or layout.query or ""):gsub("^$", "holes=stop"))
    local function session()
      opened[#opened + 1] = pg_session.open(database.url)
      return opened[#opened]
    end
    return layout, url, session
  end

  describe("with numbers", function()
    it("holds at one whose writer has not ended", function()
      local layout, url, session = start "marten"
      local early, other = session(), session()
      local events = start_reader(url)
      early:run "BEGIN"
      append(early, layout, "a", 1)
      append(other, layout, "b", 1)
      assert.equal("", events:read())
      append(other, layout, "b", 2)
      events:reopen()
      assert.equal("", events:read())
      early:run "COMMIT"
      assert.equal("a 1, b 1, b 2", events:read())
    end)

    it("holds at one that was drawn, with nothing written yet", function()
      local layout, url, session = start "marten"
      local early, other = session(), session()
      local events = start_reader(url)
      early:run "BEGIN; SELECT nextval('mt_events_sequence')"
      append(other, layout, "b", 1)
      assert.equal("", events:read())
      early:run "ROLLBACK"
      assert.equal("b 1", events:read())
    end)

    it("passes over one whose writer gave up, and says so", function()
      local layout, url, session = start "marten"
      local early, other = session(), session()
      local events = start_reader(url)
      append(other, layout, "a", 1)
      early:run "BEGIN"
      append(early, layout, "b", 1)
      append(other, layout, "a", 2)
      assert.equal("a 1", events:read())
      assert.matches('"held":%[2,2,%d+%]', events.request.state)
      early:run "ROLLBACK"
      assert.equal("a 2", events:read())
      assert.matches('"skips":%[%[2,2,%d+%]%]', events.request.state)
      assert.is_nil(events.request.state:find('"held"', 1, true))
    end)

    it("does not wait for writers that came later", function()
      local layout, url, session = start "marten"
      local early, other, late = session(), session(), session()
      local events = start_reader(url)
      early:run "BEGIN"
      append(early, layout, "a", 1)
      append(other, layout, "b", 1)
      assert.equal("", events:read())
      late:run "BEGIN"
      append(late, layout, "c", 1)
      early:run "ROLLBACK"
      assert.equal("b 1", events:read())
      late:run "COMMIT"
      assert.equal("c 1", events:read())
    end)

    it("reads on without a gap whoever is writing", function()
      local layout, url, session = start "marten"
      local open, other = session(), session()
      local events = start_reader(url)
      append(other, layout, "a", 1)
      open:run "BEGIN"
      append(open, layout, "b", 1)
      assert.equal("a 1", events:read())
      append(other, layout, "a", 2)
      assert.equal("", events:read())
      open:run "COMMIT"
      assert.equal("b 1, a 2", events:read())
    end)

    it("keeps to the order of filtered events", function()
      local layout, url, session = start "marten"
      local early, other = session(), session()
      local events = start_reader(url)
      events.request.types = { "moved" }
      events.request.stream = "b"
      early:run "BEGIN"
      append(early, layout, "a", 1)
      append(other, layout, "b", 1)
      assert.equal("", events:read())
      early:run "COMMIT"
      assert.equal("b 1", events:read())
    end)

    it("sees transactions that were prepared", function()
      local own = postgres.own {
        settings = { max_prepared_transactions = "4" },
      }
      local layout, url, session = start("marten", nil, own)
      local early, other = session(), session()
      local events = start_reader(url)
      early:run "BEGIN"
      append(early, layout, "a", 1)
      append(other, layout, "b", 1)
      assert.equal("", events:read())
      early:run "PREPARE TRANSACTION 'x'"
      assert.equal("", events:read())
      early:run "COMMIT PREPARED 'x'"
      assert.equal("a 1, b 1", events:read())
      own:stop "immediate"
    end)

    it("waits the grace time where numbers are drawn before", function()
      local layout, url, session = start("marten", "grace_ms=400")
      local other = session()
      local events = start_reader(url)
      other:run "SELECT nextval('mt_events_sequence')"
      append(other, layout, "b", 1)
      local began = helper.now_ms()
      events:read_until "b 1"
      assert.is_true(helper.now_ms() - began >= 400)
    end)

    it("still takes one that comes after that, once", function()
      local layout, url, session = start("marten", "grace_ms=50")
      local other = session()
      local events = start_reader(url)
      append(other, layout, "a", 1)
      other:run "SELECT nextval('mt_events_sequence')"
      append(other, layout, "b", 1)
      events:read_until "a 1, b 1"
      other:run [[
        INSERT INTO mt_events (seq_id, id, stream_id, version, data, type)
        VALUES (2, gen_random_uuid(), 'a', 2, '{}', 'moved')]]
      assert.equal("a 2", events:read())
      assert.equal("", events:read())
      assert.is_nil(events.request.state:find('"skips"', 1, true))
    end)

    it("refuses a state that counts fewer skipped numbers than it lists",
      function()
        local _, url = start "marten"
        local events = start_reader(url)
        for _, count in ipairs { "-5", "2", "1e3", "9223372036854775808" } do
          local state = 'A{"anchor":"","skipped":' .. count
            .. ',"skips":[[1,2,3],[7,8,9]]}'
          local page, message, code = events.store:read {
            max = 10, after = "9", state = state }
          assert.is_nil(page, count)
          assert.equal("config", code)
          assert.matches("was not written by a reader", message)
        end
      end)

    it("refuses a state with a time that no clock shows", function()
      local _, url = start "marten"
      local events = start_reader(url)
      for _, at in ipairs { "-9223372036854775808", "9223372036854775807" } do
        for _, member in ipairs {
          '"marks":[["0000000000000000000000000000002a",%s,"3/4,5/6"]]',
          '"held":[2,2,%s]',
          '"skipped":1,"skips":[[2,2,%s]]',
        } do
          local page, message, code = events.store:read {
            max = 10, after = "9",
            state = 'A{"anchor":"",' .. member:format(at) .. "}" }
          assert.is_nil(page, member)
          assert.equal("config", code)
          assert.matches("was not written by a reader", message)
        end
      end
    end)

    it("sets a grace time where sessions keep numbers in stock", function()
      local layout, url, session = start "rails_event_store"
      local other, first = session(), session()
      other:run "ALTER SEQUENCE event_store_events_id_seq CACHE 10"
      append(first, layout, "a", 1)
      append(other, layout, "b", 1)
      local events = start_reader(url)
      assert.equal("a 1", events:read())
      append(first, layout, "a", 2)
      helper.sleep_ms(50)
      assert.equal("a 2", events:read(), "with the number before b's")
      events = start_reader(url .. "&grace_ms=20")
      events:read_until "a 1, a 2, b 1"
    end)

    it("refuses tables that several sequences number", function()
      local _, url, session = start "marten"
      session():run "CREATE SEQUENCE mt_events_sequence_acme"
      local store, message, code = event_store.open(url)
      assert.is_nil(store)
      assert.equal("config", code)
      assert.matches("a sequence for each tenant, such as mt_", message)
    end)

    it("passes over archived events and knows their versions", function()
      local layout, url, session = start "marten"
      local other = session()
      for version = 1, 3 do
        append(other, layout, "a", version)
      end
      other:run "UPDATE mt_events SET is_archived = true WHERE version = 2"
      assert.equal("a 1, a 3", start_reader(url):read())
    end)

    it("passes over Marten's placeholders, whatever their versions",
      function()
        local layout, url, session = start "marten"
        local other = session()
        local function fail_to_save(stream)
          other:run(([[
            INSERT INTO mt_events (seq_id, id, stream_id, version, data, type)
            SELECT n, gen_random_uuid(), '%s', n, '{}', 'tombstone'
            FROM nextval('mt_events_sequence') n]]):format(stream))
        end
        other:run [[INSERT INTO mt_streams VALUES ('mt_tombstone', NULL, 0),
          ('8c0e4b9f-46a1-4d92-9d0f-6b1f1f0c2d3e', NULL, 0)]]
        append(other, layout, "a", 1)
        fail_to_save "mt_tombstone"
        append(other, layout, "a", 2)
        fail_to_save "8c0e4b9f-46a1-4d92-9d0f-6b1f1f0c2d3e"
        append(other, layout, "a", 3)
        local events = start_reader(url)
        local first = events.store:read { max = 1 }
        assert.equal(2, events.store:lag({ after = first.reached }).events)
        assert.equal("a 1, a 2, a 3", events:read())
        fail_to_save "mt_tombstone"
        fail_to_save "8c0e4b9f-46a1-4d92-9d0f-6b1f1f0c2d3e"
        assert.equal("5", events.store:head())
        assert.equal(0, events.store:lag({ after = "5" }).events)
        assert.equal("", events:read())
        events:reopen()
        append(other, layout, "a", 4)
        assert.equal("a 4", events:read())
        assert.is_nil(events.request.state:find('"skips"', 1, true))
      end)

    it("gives out an event that a user calls tombstone", function()
      local layout, url, session = start "marten"
      local other = session()
      append(other, layout, "b", 1)
      append(other, layout, "a", 1)
      other:run "UPDATE mt_events SET type = 'tombstone' WHERE stream_id = 'a'"
      assert.equal("b 1, a 1", start_reader(url):read())
    end)

    it("passes over the placeholders of Eventuous, whatever their versions",
      function()
        local layout, url, session = start "eventuous"
        local other = session()
        append(other, layout, "a", 0)
        other:run "INSERT INTO eventuous.streams VALUES ('__tombstones__')"
        for version = 1, 5, 2 do
          other:run(([[
            INSERT INTO eventuous.messages (message_id, message_type,
              stream_id, stream_position, json_data, json_metadata, created)
            SELECT gen_random_uuid(), '$tombstone', stream_id, %d, '{}', '{}',
              now()
            FROM eventuous.streams WHERE stream_name = '__tombstones__']])
            :format(version))
        end
        append(other, layout, "a", 1)
        assert.equal("a 0, a 1", start_reader(url):read())
      end)

    it("goes on where a message of SqlStreamStore was deleted", function()
      local layout, url, session = start("sqlstreamstore", "grace_ms=0")
      local other = session()
      for version = 0, 2 do
        append(other, layout, "a", version)
      end
      other:run "DELETE FROM messages WHERE stream_version = 1"
      assert.equal("a 0, a 2", start_reader(url):read())
      local names, message = start_reader(url .. "&holes=stop"):read()
      assert.is_nil(names)
      assert.matches("version 1 of stream a is missing", message)
    end)

    it("sees a row whose flag is null", function()
      local layout, url, session = start "marten"
      local other = session()
      append(other, layout, "a", 1)
      other:run "UPDATE mt_events SET is_archived = NULL"
      assert.equal("a 1", start_reader(url):read())
    end)

    it("needs no more than SELECT", function()
      local layout, url, session = start "marten"
      local owner = session()
      owner:run [[
        CREATE ROLE gap_reader LOGIN;
        GRANT SELECT ON mt_events TO gap_reader]]
      local early, other = session(), session()
      local events = start_reader((url:gsub("//[^@]*@", "//gap_reader@")))
      early:run "BEGIN"
      append(early, layout, "a", 1)
      append(other, layout, "b", 1)
      assert.equal("", events:read())
      early:run "COMMIT"
      assert.equal("a 1, b 1", events:read())
    end)
  end)

  describe("with ids that clients make", function()
    it("waits for those who write", function()
      local layout, url, session = start("eventcore", "grace_ms=20")
      local early, other = session(), session()
      local events = start_reader(url)
      early:run "BEGIN"
      append(early, layout, "a", 1)
      append(other, layout, "b", 1)
      for _ = 1, 20 do
        assert.equal("", events:read())
        helper.sleep_ms(5)
      end
      early:run "COMMIT"
      events:read_until "a 1, b 1"
    end)

    it("finds an event that is late for all that, once", function()
      local layout, url, session = start("eventcore", "grace_ms=0")
      local other = session()
      local events = start_reader(url)
      local id = other:run("SELECT uuid_v7('" .. new_id() .. "')")
      append(other, layout, "b", 1)
      events:read_until "b 1"
      other:run(([[
        INSERT INTO eventcore_events
          (event_id, stream_id, stream_version, event_type, event_data)
        VALUES ('%s', 'a', 1, 'E', '{"Moved": {}}')]]):format(
          id:gsub("^....", "0100")))
      assert.equal("", events:read(), "too old for the window")
      other:run(([[
        INSERT INTO eventcore_events
          (event_id, stream_id, stream_version, event_type, event_data)
        VALUES ('%s', 'c', 1, 'E', '{"Moved": {}}')]]):format(id))
      events:reopen()
      assert.equal("c 1", events:read())
      assert.equal("", events:read())
      events:reopen()
      assert.equal("", events:read())
    end)

    it("finds it behind ten thousand others, and not behind more", function()
      local _, url, session = start("eventcore", "grace_ms=0&window_ms=600000")
      local other = session()
      local function flood(stream, count)
        other:run(([[
          INSERT INTO eventcore_events
            (event_id, stream_id, stream_version, event_type, event_data)
          SELECT uuid_v7(gen_random_uuid()::text), '%s' || n, 1, 'E',
            '{"Moved": {}}'
          FROM generate_series(1, %d) n]]):format(stream, count))
      end
      local function insert(id, stream)
        other:run(([[
          INSERT INTO eventcore_events
            (event_id, stream_id, stream_version, event_type, event_data)
          VALUES ('%s', '%s', 1, 'E', '{"Moved": {}}')]]):format(id, stream))
      end
      local events = start_reader(url)
      events.request.max = 20000
      local function read(count)
        local got = 0
        helper.wait(function()
          local names = events:read()
          got = got + select(2, names:gsub("%S+ 1", ""))
          return got >= count
        end)
        assert.equal(count, got)
      end
      local early = other:run("SELECT uuid_v7('" .. new_id() .. "')")
      local later = other:run("SELECT uuid_v7('" .. new_id() .. "')")
      flood("a", 9990)
      read(9990)
      insert(early, "late")
      events:reopen()
      assert.equal("late 1", events:read())
      assert.equal("", events:read())
      flood("b", 2000)
      read(2000)
      insert(later, "too_late")
      assert.equal("", events:read())
    end)

    it("gives the versions of a stream in order, whatever the ids", function()
      local layout, url, session = start("eventcore", "grace_ms=0")
      local other = session()
      local events = start_reader(url)
      append(other, layout, "a", 1)
      events:read_until "a 1"
      local first = other:run("SELECT uuid_v7('" .. new_id() .. "')")
      append(other, layout, "b", 1)
      local second = other:run("SELECT uuid_v7('" .. new_id() .. "')")
      other:run(([[
        INSERT INTO eventcore_events
          (event_id, stream_id, stream_version, event_type, event_data)
        VALUES ('%s', 'a', 2, 'E', '{"Moved": {}}'),
          ('%s', 'a', 3, 'E', '{"Moved": {}}')]]):format(second, first))
      events:read_until "a 2, a 3, b 1"
      assert.equal("", events:read())
    end)

    it("gives them one by one as well", function()
      local layout, url, session = start("eventcore", "grace_ms=0")
      local other = session()
      local events = start_reader(url)
      events.request.max = 1
      append(other, layout, "a", 1)
      events:read_until "a 1"
      local ordered = {}
      for i = 1, 4 do
        ordered[i] = other:run("SELECT uuid_v7('" .. new_id() .. "')")
        append(other, layout, "b", i)
      end
      for i = 1, 4 do
        other:run(([[
          INSERT INTO eventcore_events
            (event_id, stream_id, stream_version, event_type, event_data)
          VALUES ('%s', 'a', %d, 'E', '{"Moved": {}}')]]):format(
            ordered[5 - i], i + 1))
      end
      local found = {}
      helper.wait(function()
        local names = assert(events:read())
        events:reopen()
        assert.is_nil(names:find(",", 1, true))
        found[#found + 1] = names ~= "" and names or nil
        return #found == 8
      end)
      table.sort(found)
      assert.equal("a 2, a 3, a 4, a 5, b 1, b 2, b 3, b 4",
        table.concat(found, ", "))
      for _ = 1, 20 do
        assert.equal("", events:read())
      end
    end)

    it("refuses ids that hold no time, and would stand before all others",
      function()
        local layout, url, session = start("eventcore", "grace_ms=0")
        local other = session()
        append(other, layout, "a", 1)
        append(other, layout, "b", 1)
        other:run [[UPDATE eventcore_events
          SET event_id = '00112233-7dec-4d4a-a765-00a0c91e6bf6'
          WHERE stream_id = 'b']]
        local store, message, code = event_store.open(url)
        assert.is_nil(store)
        assert.equal("config", code)
        assert.matches("id is no UUID of version 7.*: 00112233%-", message)
      end)

    it("refuses ids that hold no time", function()
      local layout, url, session = start("eventcore", "grace_ms=0")
      local other = session()
      append(other, layout, "a", 1)
      append(other, layout, "b", 1)
      other:run [[UPDATE eventcore_events
        SET event_id = 'f81d4fae-7dec-4d4a-a765-00a0c91e6bf6'
        WHERE stream_id = 'b']]
      local names, message, code = start_reader(url):read()
      assert.is_nil(names)
      assert.equal("config", code)
      assert.matches("f81d4fae%-%S+ has an id that is no UUID of version 7",
        message)
    end)

    it("takes the one key of the data for the type", function()
      local layout, url, session = start("eventcore", "grace_ms=0")
      append(session(), layout, "a", 1)
      local store = start_reader(url).store
      local page = helper.wait(function()
        local found = assert(store:read { max = 10 })
        return found[1] and found
      end)
      assert.equal("Moved", page[1].type)
      local plain = start_reader(url .. "&unwrap=no").store
      page = helper.wait(function()
        local found = assert(plain:read { max = 10 })
        return found[1] and found
      end)
      assert.equal("AccountEvent", page[1].type)
    end)
  end)

  describe("with a version missing in a stream", function()
    local function start_with_hole(query)
      local layout, url, session = start("message-db", query)
      local other = session()
      local events = start_reader(url)
      append(other, layout, "a-1", 0)
      assert.equal("a-1 0", events:read())
      append(other, layout, "a-1", 2)
      return events, other, layout
    end

    it("stops and names it", function()
      local events = start_with_hole()
      local names, message, code = events:read()
      assert.is_nil(names)
      assert.equal("io", code)
      assert.matches("version 1 of stream a%-1 is missing", message)
    end)

    it("stops where the event that was read last is gone, unless told so",
      function()
        local layout, url, session = start("marten", "grace_ms=0")
        local other = session()
        local events = start_reader(url)
        append(other, layout, "a", 1)
        append(other, layout, "b", 1)
        assert.equal("a 1, b 1", events:read())
        other:run "DELETE FROM mt_events WHERE seq_id = 2"
        local page, message, code = events:read()
        assert.is_nil(page)
        assert.equal("config", code)
        assert.matches("ends at position 1, before position 2 that was read "
          .. "last: .* or, if nothing else was deleted, go on with "
          .. "holes=ignore in the URL or with lunette checkpoint set NAME 1$",
          message)
        append(other, layout, "a", 2)
        page, message = events:read()
        assert.is_nil(page)
        assert.matches("no longer has the event at position 2 .* checkpoint "
          .. "set NAME 2$", message)
        events.url = url .. "&holes=ignore"
        events:reopen()
        events:read_until "a 2"
        other:run "DELETE FROM mt_events WHERE seq_id = 3"
        assert.equal("", events:read())
        append(other, layout, "a", 3)
        events:read_until "a 3"
        other:run "UPDATE mt_events SET id = gen_random_uuid()"
        page, message = events:read()
        assert.is_nil(page)
        assert.matches("has another event at position 4", message)
      end)

    it("goes on if it is told to", function()
      local events = start_with_hole "holes=ignore"
      assert.equal("a-1 2", events:read())
    end)

    it("gives it out where it can be found elsewhere", function()
      local events, other, layout = start_with_hole()
      append(other, layout, "b-1", 0)
      append(other, layout, "a-1", 1)
      assert.equal("a-1 1, a-1 2, b-1 0", events:read())
      assert.equal("", events:read())
    end)

    it("notices it after a restart", function()
      local events = start_with_hole()
      events:reopen()
      local names = events:read()
      assert.is_nil(names)
    end)
  end)

  it("tells the streams of a tenant from those of another", function()
    local layout, url, session = start "marten"
    local other = session()
    other:run "DROP INDEX mt_events_stream_id_version_idx"
    local function append_of(tenant, version)
      append(other, layout, "settings", version)
      other:run(([[
        UPDATE mt_events SET tenant_id = '%s' WHERE seq_id = (
          SELECT max(seq_id) FROM mt_events)]]):format(tenant))
    end
    for version = 1, 3 do
      append_of("a", version)
      append_of("b", version)
    end
    append_of("c", 1)
    append_of("a", 4)
    append_of("c", 3)
    local names, message = start_reader(url):read()
    assert.is_nil(names)
    assert.matches("version 2 of stream settings is missing", message)
    append_of("c", 2)
    assert.equal("settings 1, settings 1, settings 2, settings 2, "
      .. "settings 3, settings 3, settings 1, settings 4, settings 2, "
      .. "settings 3", start_reader(url):read())
  end)

  it("reads one tenant, and takes no other's event for a gap", function()
    local layout, url, session = start "marten"
    local one = session()
    one:run "DROP INDEX mt_events_stream_id_version_idx"
    for n, tenant in ipairs { "acme", "globex", "acme", "globex" } do
      append(one, layout, "a", (n + 1) // 2)
      one:run(("UPDATE mt_events SET tenant_id = '%s' WHERE seq_id = %d")
        :format(tenant, n))
    end
    local events = start_reader(url .. "&tenant=globex")
    assert.equal("a 1, a 2", events:read())
    assert.matches('"anchor"', events.request.state)
    assert.is_nil(events.request.state:find "skip")
    assert.matches("^T6:globex", events.request.state)
    local both = start_reader(url)
    assert.equal("a 1, a 1, a 2, a 2", both:read())
    assert.matches("^M", both.request.state)
    append(one, layout, "a", 4) -- which is of none of the two
    append(one, layout, "a", 6)
    append(one, layout, "a", 3)
    one:run "UPDATE mt_events SET tenant_id = 'globex' WHERE seq_id = 7"
    events:read_until "a 3"
  end)

  describe("with versions that go the other way", function()
    local function append_crosswise(between)
      local layout, url, session = start "message-db"
      local other = session()
      append(other, layout, "a-1", 1)
      other:run(([[
        INSERT INTO message_store.messages (stream_name, position, type, data)
        SELECT 'b-1', n, 'Moved', '{}' FROM generate_series(0, %d) n]])
        :format(between - 1))
      append(other, layout, "a-1", 0)
      local events = start_reader(url)
      events.request.max = 5000
      return events, function()
        append(other, layout, "a-1", 2)
      end
    end

    it("gives each out once", function()
      local events, append_next = append_crosswise(0)
      append_next()
      assert.equal("a-1 0, a-1 1, a-1 2", events:read())
    end)

    it("does so after a restart between them", function()
      local events, append_next = append_crosswise(999)
      assert(events:read())
      append_next()
      events:reopen()
      assert.equal("a-1 2", events:read())
    end)
  end)

  for name, layout in pairs(layouts) do
    it("reads " .. name, function()
      local _, url, session = start(name)
      local writer = session()
      local first = layout.first_version or 1
      append(writer, layout, "writer-1", first)
      append(writer, layout, "writer-1", first + 1)
      local events = start_reader(url)
      events:read_until(("writer-1 %d, writer-1 %d"):format(first, first + 1))
      assert.equal("", events:read())
      local event = helper.wait(function()
        return assert(events.store:read { max = 10 })[1]
      end)
      for field, value in pairs(layout.expect) do
        assert.equal(value, event[field])
      end
      assert.matches("^%x+%-%x+%-%x+%-%x+%-%x+$", event.id)
      if not layout.expect.recorded_at then
        local age = os.time() - event.recorded_at // 1000000
        assert.is_true(age >= -1 and age < 60, age)
      end
    end)
  end

  it("is refused where it is a view, whose writers lock something else",
    function()
      local layout, url, session = start "marten"
      local other = session()
      other:run [[
        CREATE SCHEMA shown;
        CREATE VIEW shown.mt_events AS SELECT * FROM mt_events]]
      append(other, layout, "a", 1)
      local store, message, code = event_store.open(url .. "&schema=shown")
      assert.is_nil(store)
      assert.equal("config", code)
      assert.matches('"mt_events" is no table', message)
    end)

  it("is refused where a subscription fills it", function()
    local layout, url = start "marten"
    local there = server:new_database()
    there:sql(layout.schema .. "CREATE PUBLICATION all_events FOR ALL TABLES")
    server:sql(url:match "/(lunette_[%x_]+)", ([[
      CREATE SUBSCRIPTION copy CONNECTION 'host=%s user=%s dbname=%s'
      PUBLICATION all_events WITH (create_slot = false, slot_name = NONE,
        enabled = false, copy_data = false)]]):format(
        server.dir, server.user, there.name))
    local store, message, code = event_store.open(url)
    server:sql(url:match "/(lunette_[%x_]+)", "DROP SUBSCRIPTION copy")
    assert.is_nil(store)
    assert.equal("config", code)
    assert.matches('"mt_events" is filled by a subscription', message)
  end)
end)
