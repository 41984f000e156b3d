-- The versions of a stream are given out in their order, whatever the order of
-- the log, with a filter or without one, and after any restart.

local helper = require "spec.helper"
local postgres = require "spec.postgres_server"
local event_store = require "event_store_test"
local pg_session = require "pg_session"
local layouts = require "spec.stores.postgres.events.layouts"
local gap_layouts = require "spec.stores.postgres.events.gap_layouts"
local late_log = require "spec.stores.postgres.events.late_log"

local server, reason = postgres.start()
local seed = helper.seed(1)

local STEPS = 300

-- Without an index that leads through the log, a reader that goes to the head
-- has the rest of it sorted for a cursor.
local NO_INDEX = "options=-cenable_indexscan%3Doff%20"
  .. "-cenable_indexonlyscan%3Doff%20-cenable_bitmapscan%3Doff"

-- ---- readers

local reader = {}
reader.__index = reader

local function new_reader(url, filter, random, to_head)
  return setmetatable({
    url = url, random = random, request = filter, seen = {},
    to_head = to_head or 0,
    store = assert(event_store.open(url)),
  }, reader)
end

-- One batch, which may come to nothing, as when a commit fails, before or
-- after a restart.
function reader:step(upto)
  local request = self.request
  request.upto = upto
  request.max = self.random:within(1, 9)
  request.to_head = self.random:chance(self.to_head)
  local page = assert(self.store:read(request))
  local fails = self.random:chance(20)
  if self.random:chance(25) then
    self.store:close()
    self.store = assert(event_store.open(self.url))
  end
  if fails then
    return
  end
  for _, event in ipairs(page) do
    self.seen[#self.seen + 1] = event
  end
  request.after, request.state = page.reached, page.state
end

-- ---- readers that share a reading

-- What one reader came to, place by place: each with its state and, once it
-- was read, what came next.
local shared = {}
shared.__index = shared

local function new_shared(url, random)
  return setmetatable({
    random = random, places = {}, reader = new_reader(url, {}, random),
    joins = 0, doubts = 0,
  }, shared)
end

function shared:step()
  local tail, request = self.reader, self.reader.request
  local before = #tail.seen
  local last = self.places[#self.places]
  tail:step()
  if last and last.position == request.after and #tail.seen == before then
    last.state = request.state or last.state
    return
  end
  if last then
    last.events = { table.unpack(tail.seen, before + 1) }
  end
  if request.after then
    self.places[#self.places + 1] = {
      position = request.after, state = request.state,
    }
  end
end

-- The place that a reader at this position may join at, or could go to next.
function shared:find(store, position)
  for i, place in ipairs(self.places) do
    if place.position == position then
      return i
    end
    if position and store:is_before(position, place.position) then
      return nil, place.position
    end
  end
end

function shared:join(one)
  local request = one.request
  local at, upto = self:find(one.store, request.after)
  if not at then
    return upto
  end
  local same, unproven =
    one.store:same_reach(request.state, self.places[at].state)
  if same then
    one.place, one.unproven = at, unproven
    self.joins = self.joins + 1
  end
end

-- Of what it gets nothing may lie where nobody knows what it had.
function shared:is_in_doubt(one, events)
  for _, event in ipairs(events) do
    if not one.store:is_before(one.unproven, event.position) then
      self.doubts = self.doubts + 1
      return true
    end
  end
end

function shared:follow(one)
  local place = self.places[one.place]
  if not place.events then
    one.request.state = place.state
    return
  end
  if self:is_in_doubt(one, place.events) then
    one.place = nil
    return
  end
  for _, event in ipairs(place.events) do
    if one:wants(event) then
      one.seen[#one.seen + 1] = event
    end
  end
  one.place = one.place + 1
  place = self.places[one.place]
  one.request.after, one.request.state = place.position, place.state
end

-- It joins, follows, falls behind, and reads for itself, at random.
function shared:step_of(one)
  if one.place and self.random:chance(10) then
    one.place = nil
  elseif one.place then
    self:follow(one)
  else
    local upto = one.request.after and self:join(one)
    if not one.place then
      one:step(upto)
    end
  end
end

function reader:wants(event)
  local request = self.request
  return (not request.types or request.types[1] == event.type)
    and (not request.stream or request.stream == event.stream)
end

-- What is wrong with what was read; nil: nothing.
function reader:judge(committed)
  local last, wanted = {}, 0
  for _, event in ipairs(committed) do
    wanted = wanted + (self:wants(event) and 1 or 0)
  end
  for _, event in ipairs(self.seen) do
    if not self:wants(event) then
      return event.type .. " in " .. event.stream .. " is not wanted"
    end
    if event.version <= (last[event.stream] or -1) then
      return ("%s: %d after %d"):format(event.stream, event.version,
        last[event.stream])
    end
    last[event.stream] = event.version
  end
  return #self.seen ~= wanted
      and ("%d of %d were read"):format(#self.seen, wanted) or nil
end

describe("the versions of a stream in postgres #postgres, seed " .. seed,
  function()
    if not server then
      pending(reason)
      return
    end

    local function make(kind)
      local database = server:new_database()
      if kind.schema then
        database:sql(kind.schema)
      end
      local url = database:with(kind.query)
      assert(event_store.open(url)):close()
      return database, url
    end

    for name, kind in pairs(late_log.kinds) do
      it("come in their order from " .. name, function()
        local database, url = make(kind)
        local sorting = url:gsub("&$", "") .. "&" .. NO_INDEX
        local random = helper.random(seed)
        local writing = late_log.new(kind, database, random)
        local readers = {
          new_reader(url, {}, random),
          new_reader(url, { types = { "A" } }, random),
          new_reader(url, { stream = "s1" }, random),
          new_reader(url, { types = { "B" }, stream = "s2" }, random),
          new_reader(sorting, {}, random, 95),
          new_reader(sorting, { types = { "A" } }, random, 95),
          new_reader(sorting, { stream = "s3" }, random, 95),
        }
        for _ = 1, STEPS do
          writing:step()
          if random:chance(30) then
            random:pick(readers):step()
          end
        end
        writing:close()
        for i, one in ipairs(readers) do
          local wrong
          for _ = 1, 2000 do
            one:step()
            wrong = one:judge(writing.committed)
            if not wrong or not wrong:find "were read" then
              break
            end
          end
          assert.is_nil(wrong, ("reader %d: %s"):format(i, tostring(wrong)))
          for _ = 1, 20 do
            one:step()
          end
          assert.is_nil(one:judge(writing.committed))
          one.store:close()
        end
        assert.is_true(#writing.committed > 50)
      end)
    end

    for name, kind in pairs(late_log.kinds) do
      it("come once to those who share a reading of " .. name, function()
        local database, url = make(kind)
        local random = helper.random(seed)
        local writing = late_log.new(kind, database, random)
        local sharing = new_shared(url, random)
        local readers = {
          new_reader(url, {}, random),
          new_reader(url, { types = { "A" } }, random),
          new_reader(url, { types = { "B" } }, random),
        }
        local function step()
          if random:chance(40) then
            sharing:step()
          end
          sharing:step_of(random:pick(readers))
        end
        for _ = 1, STEPS do
          writing:step()
          step()
        end
        writing:close()
        helper.wait(function()
          step()
          local late
          for i, one in ipairs(readers) do
            local wrong = one:judge(writing.committed)
            assert.is_true(not wrong or wrong:find "were read" ~= nil,
              ("reader %d: %s"):format(i, tostring(wrong)))
            late = late or wrong
          end
          return not late and not sharing.reader:judge(writing.committed)
        end)
        for _ = 1, 60 do
          step()
        end
        for _, one in ipairs(readers) do
          assert.is_nil(one:judge(writing.committed))
          one.store:close()
        end
        sharing.reader.store:close()
        assert.is_true(sharing.joins > 20, sharing.joins)
      end)
    end

    -- Of the layouts that count them, each with its own joins and indexes.
    local counted = { eventsourcing = layouts.eventsourcing }
    for name, layout in pairs(gap_layouts) do
      counted[name] = name ~= "rails_event_store" and layout or nil
    end

    local function append(database, layout, stream, version)
      local values = { stream, tostring(version),
        ("00000000-0000-7000-8000-00000000%04d"):format(version) }
      database:sql((layout.append:gsub(";;", ";"):gsub("%$(%d)", function(n)
        return "'" .. values[tonumber(n)] .. "'"
      end)))
    end

    for name, layout in pairs(counted) do
      it("go on behind a restart, from " .. name, function()
        local database = server:new_database()
        database:sql(layout.schema)
        local first = layout.first_version or 1
        local url = database:with("layout=" .. (layout.name or name)
          .. (layout.query and "&" .. layout.query or ""))
        local found, request = {}, {}
        for version = first, first + 4, 2 do
          append(database, layout, "s", version)
          append(database, layout, "s", version + 1)
          local store = assert(event_store.open(url))
          helper.wait(function()
            local page = assert(store:read(request))
            for _, event in ipairs(page) do
              found[#found + 1] = event.version
            end
            request = { after = page.reached, state = page.state, max = 1 }
            return #found >= version + 2 - first
          end)
          store:close()
        end
        assert.same({ first, first + 1, first + 2, first + 3, first + 4,
          first + 5 }, found)
        database:drop()
      end)
    end

    -- By a promise, of the URL or of the store's writers, which may not hold.
    local promised = {}

    promised.custom = {
      query = "layout=custom&table=log&position=pos&id=id&stream=stream"
        .. "&version=version&type=type&data=data",
      schema = [[
        CREATE TABLE log (pos bigserial PRIMARY KEY, id text NOT NULL UNIQUE,
          stream text NOT NULL, version int NOT NULL, type text NOT NULL,
          data json NOT NULL, UNIQUE (stream, version));]],
      insert = "INSERT INTO log (id, stream, version, type, data)",
    }

    promised.outbox = {
      query = "layout=outbox&position=pos&version=version",
      schema = [[
        CREATE TABLE outbox (pos bigserial PRIMARY KEY, id text NOT NULL UNIQUE,
          aggregatetype text NOT NULL, aggregateid text NOT NULL,
          version int NOT NULL, type text NOT NULL, payload json NOT NULL);]],
      insert = [[
        INSERT INTO outbox (id, aggregateid, version, type, payload,
          aggregatetype)]],
      values = ", 'x'",
    }

    promised.prooph = {
      query = "layout=prooph&table=_6abf",
      schema = gap_layouts.prooph.schema .. [[
        CREATE FUNCTION of(stream text, version int) RETURNS json
        LANGUAGE sql AS $$ SELECT json_build_object('_aggregate_type', 'x',
          '_aggregate_id', stream, '_aggregate_version', version) $$;]],
      insert = [[
        INSERT INTO _6abf (event_id, metadata, event_name, payload)
        SELECT gen_random_uuid(), of(stream, version), type, data
        FROM (VALUES %s) v (id, stream, version, type, data)]],
    }

    promised.eventsourcing = {
      query = "layout=eventsourcing",
      schema = layouts.eventsourcing.schema,
      insert = [[
        INSERT INTO stored_events
          (originator_id, originator_version, topic, state)
        SELECT stream, version, type, '{}'
        FROM (VALUES %s) v (id, stream, version, type, data)]],
      written = true,
    }

    promised["message-db"] = {
      query = "layout=message-db&category=x",
      schema = layouts["message-db"].schema,
      insert = [[
        INSERT INTO message_store.messages (stream_name, position, type, data)
        SELECT 'x-' || stream, version, type, data::jsonb
        FROM (VALUES %s) v (id, stream, version, type, data)]],
      written = true,
    }

    for name, kind in pairs(promised) do
      it("come in their order where writers promise to take turns, from "
        .. name, function()
        local database = server:new_database()
        local values = {}
        for i, event in ipairs {
          "'s', 1, 'A'", "'s', 3, 'A'", "'s', 2, 'A'", "'t', 2, 'B'",
          "'t', 1, 'A'", "'t', 3, 'A'",
        } do
          values[i] = ("('%d', %s, '{}'::json%s)"):format(i, event,
            kind.values or "")
        end
        values = table.concat(values, ", ")
        database:sql(kind.schema)
        database:sql(kind.insert:find "%%s" and kind.insert:format(values)
          or kind.insert .. " VALUES " .. values)
        local url = database:with(kind.query
          .. (kind.written and "" or "&safe_head=serialised"))
        for types, expected in pairs {
          [false] = "s1 s2 s3 t1 t2 t3", A = "s1 s2 s3 t1 t3",
        } do
          for _, max in ipairs { 1, 2, 100 } do
            local store = assert(event_store.open(url))
            local found = {}
            local request = { max = max, types = types and { types } or nil }
            for _ = 1, 10 do
              local page = assert(store:read(request))
              for _, event in ipairs(page) do
                found[#found + 1] = event.stream:match "[^-]*$" .. event.version
              end
              request.after, request.state = page.reached, page.state
            end
            assert.equal(expected, table.concat(found, " "))
            store:close()
          end
        end
        database:drop()
      end)
    end

    it("are named where one comes to a place that was read", function()
      local database = server:new_database()
      database:sql(layouts["message-db"].schema)
      local store = assert(event_store.open(
        database:with "layout=message-db&category=x"))
      local function write(place, version)
        database:sql(([[
          INSERT INTO message_store.messages
            (global_position, stream_name, position, type)
          VALUES (%d, 'x-1', %d, 'A');
          SELECT setval('message_store.messages_global_position_seq', 9)]])
          :format(place, version))
      end
      write(1, 0)
      write(3, 1)
      local page = assert(store:read {})
      assert.equal(2, #page)
      write(2, 2)
      write(4, 3)
      local read, message, code = store:read {
        after = page.reached, state = page.state,
      }
      assert.is_nil(read)
      assert.equal("config", code)
      assert.matches("version 2 of stream x%-1 came to position 2 after that "
        .. "was read, so its writers do not take turns", message)
      store:close()
      database:drop()
    end)

    describe("with one that was written by an older transaction", function()
      local database, url, early

      -- v1 and v2 are read; the transaction of v4 is older than that of v3.
      before_each(function()
        database, url = make(late_log.kinds.lunette)
        early = pg_session.open(database.url)
      end)

      after_each(function()
        early:close()
      end)

      local function write(session, stream, version, type)
        session:run(late_log.fill(late_log.kinds.lunette.insert, "", stream,
          version, type))
      end

      local function names(page)
        local found = {}
        for i, event in ipairs(page) do
          found[i] = event.stream .. event.version .. event.type
        end
        return table.concat(found, " ")
      end

      it("are counted over types that nobody wants", function()
        local other, middle = pg_session.open(database.url),
          pg_session.open(database.url)
        early:run "BEGIN; SELECT pg_current_xact_id()"
        middle:run "BEGIN; SELECT pg_current_xact_id()"
        write(other, "s", 1, "A")
        write(early, "s", 2, "B")
        early:run "COMMIT"
        write(middle, "s", 3, "A")
        middle:run "COMMIT"
        local store = assert(event_store.open(url))
        assert.equal("s1A s3A", names(assert(store:read { types = { "A" } })))
        assert.equal("s1A s3A", names(assert(store:read {
          types = { "A" }, stream = "s",
        })))
        store:close()
        other:close()
        middle:close()
      end)

      it("are looked up where a restart lies between them", function()
        local other = pg_session.open(database.url)
        write(other, "s", 1, "A")
        local store = assert(event_store.open(url))
        local page = assert(store:read {})
        store:close()
        early:run "BEGIN; SELECT pg_current_xact_id()"
        for version = 2, 150 do
          write(other, "s", version, "A")
        end
        write(early, "s", 151, "A")
        early:run "COMMIT"
        store = assert(event_store.open(url))
        local found = {}
        repeat
          page = assert(store:read {
            after = page.reached, state = page.state, max = 40,
          })
          for _, event in ipairs(page) do
            found[#found + 1] = event.version
          end
        until page.at_head
        for i = 1, 150 do
          assert.equal(i + 1, found[i])
        end
        assert.equal(150, #found)
        store:close()
        other:close()
      end)

      it("are listed in their order, each once", function()
        local other = pg_session.open(database.url)
        early:run "BEGIN; SELECT pg_current_xact_id()"
        other:run [[
          INSERT INTO lunette_events (stream, version, type, data)
          SELECT 'filler', n, 'B', '{}' FROM generate_series(1, 5000) n]]
        write(other, "s", 1, "A")
        write(early, "s", 2, "A")
        early:run "COMMIT"
        other:close()
        for filter, count in pairs {
          ["--limit=0"] = 5002, ["--type=A"] = 2, ["--stream=s"] = 2,
        } do
          local code, output = helper.run {
            helper.lunette, "-e", url, "--json", "events", "--limit=0", filter,
          }
          assert.equal(0, code)
          local found = {}
          local lines = 0
          for line in output:gmatch "[^\n]+" do
            lines = lines + 1
            found[#found + 1] = line:match '"stream":"s","version":(%d)'
          end
          assert.equal(count, lines)
          assert.equal("1 2", table.concat(found, " "))
        end
      end)

      it("begin with the lowest one that is left", function()
        local other = pg_session.open(database.url)
        for version = 1, 6 do
          write(other, "s", version, "A")
        end
        other:run "DELETE FROM lunette_events WHERE version < 3"
        local store = assert(event_store.open(url))
        local page = assert(store:read { max = 2 })
        assert.equal("s3A s4A", names(page))
        store:close()
        other:run "DELETE FROM lunette_events WHERE version < 4"
        store = assert(event_store.open(url))
        page = assert(store:read { after = page.reached, state = page.state })
        assert.equal("s5A s6A", names(page))
        store:close()
        other:close()
      end)

      it("begin again where a stream was deleted and made anew", function()
        local other = pg_session.open(database.url)
        write(other, "s", 1, "A")
        write(other, "s", 2, "A")
        local store = assert(event_store.open(url))
        local page = assert(store:read {})
        other:run "DELETE FROM lunette_events WHERE version = 1"
        other:run "UPDATE lunette_events SET stream = 'old'"
        write(other, "s", 1, "B")
        early:run "BEGIN; SELECT pg_current_xact_id()"
        write(other, "s", 2, "B")
        write(early, "s", 3, "B")
        early:run "COMMIT"
        page = assert(store:read { after = page.reached, state = page.state })
        assert.equal("s1B s2B s3B", names(page))
        store:close()
        other:close()
      end)
    end)
  end)
