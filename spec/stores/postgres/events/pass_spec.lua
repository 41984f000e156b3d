-- Where no index leads through a log in its order, a reader that goes to the
-- head has it sorted once, for a cursor.

local helper = require "spec.helper"
local postgres = require "spec.postgres_server"
local pg_session = require "pg_session"
local layouts = require "spec.stores.postgres.events.layouts"
local workplace = require "spec.engine.cli.workplace"
local new_fixture = require "spec.stores.postgres.events.fixture"

local server, reason = postgres.start()

-- Emmett's tables as they were before they got an index on the order.
local emmett = layouts.emmett.schema:gsub("CREATE INDEX[^;]*;", "")

-- Numbers that may be missing, in a table whose key is something else.
local numbered = [[
  CREATE SEQUENCE log_numbers MINVALUE 0;
  CREATE TABLE log (pos bigint NOT NULL DEFAULT nextval('log_numbers'),
    id text PRIMARY KEY DEFAULT gen_random_uuid()::text, stream text NOT NULL,
    version bigint NOT NULL, type text NOT NULL, data json NOT NULL,
    UNIQUE (stream, version));]]
local NUMBERED = "layout=custom&table=log&position=pos&id=id&stream=stream"
  .. "&version=version&type=type&data=data&safe_head=gaps&grace_ms=0"

describe("one pass over a postgres event store #postgres", function()
  if not server then
    pending(reason)
    return
  end

  local fixture = new_fixture(server)
  local database

  before_each(function()
    database = fixture.database
  end)

  local function open(query)
    return assert(fixture.open(query or "layout=emmett"))
  end

  local function session()
    return fixture.keep(pg_session.open(database.url))
  end

  -- Versions of `streams` streams by turns, each from `first` on.
  local function fill(count, streams, first, transaction)
    database:sql(([[
      INSERT INTO emt_messages (stream_id, stream_position, transaction_id,
        message_schema_version, message_id, message_type, message_data,
        message_metadata)
      SELECT 's' || n %% %d, n / %d + %d, %s, '1',
        gen_random_uuid(), CASE WHEN n %% 3 = 0 THEN 'A' ELSE 'B' END, '{}',
        '{}'
      FROM generate_series(0, %d) n]]):format(streams, streams, first or 1,
        transaction or "pg_current_xact_id()", count - 1))
  end

  -- Lunette's sessions that have a cursor open.
  local function passes()
    return tonumber(database:sql [[
      SELECT count(*) FROM pg_stat_activity
      WHERE datname = current_database() AND application_name = 'lunette'
        AND state <> 'idle' AND xact_start < query_start]])
  end

  local function go_on(request, page)
    request.after, request.state = page.reached, page.state
  end

  -- A batch that goes to the head; the request stands behind it then.
  local function step(store, request)
    request.to_head = true
    local page = assert(store:read(request))
    go_on(request, page)
    return page
  end

  local function ids(found, page)
    for _, event in ipairs(page) do
      found[#found + 1] = event.id
    end
    return found
  end

  -- All that is left, by statement.
  local function by_statement(request)
    local store, found = open(request.query), {}
    local own = { types = request.types, max = request.max or 1000 }
    repeat
      local page = assert(store:read(own))
      ids(found, page)
      go_on(own, page)
    until page.at_head
    return found
  end

  local function read_on(store, request, found)
    local pages = 0
    repeat
      local page = step(store, request)
      ids(found, page)
      pages = pages + 1
    until page.at_head
    return found, pages
  end

  it("gives the batches that statements give, with their states", function()
    database:sql(emmett)
    fill(400, 7)
    local store, other = open(), open()
    local request, plain = { max = 50 }, { max = 50 }
    for n = 1, 8 do
      local page = step(store, request)
      local same = assert(other:read(plain))
      go_on(plain, same)
      assert.same(ids({}, same), ids({}, page))
      assert.equal(same.reached, page.reached)
      assert.equal(same.state, page.state)
      assert.equal(n < 8 and 1 or 0, passes())
    end
    local last = step(store, request)
    assert.same({ 0, true }, { #last, last.at_head })
  end)

  it("knows a filter", function()
    database:sql(emmett)
    fill(400, 7)
    local request = { max = 20, types = { "A" } }
    local store = open()
    local found = ids({}, step(store, request))
    assert.equal(1, passes())
    assert.same(by_statement { types = { "A" } },
      read_on(store, request, found))
    assert.equal(134, #found)
  end)

  it("is not made for who does not go to the head", function()
    database:sql(emmett)
    fill(400, 7)
    local store = open()
    go_on({}, assert(store:read { max = 50 }))
    assert.equal(0, passes())
  end)

  it("is not made where an index leads through the log", function()
    database:sql(layouts.emmett.schema)
    fill(20000, 100, 1, "(n / 100 + 3)::text::xid8")
    database:sql "ANALYZE"
    local store, request = open(), { max = 100 }
    step(store, request)
    step(store, request)
    assert.equal(0, passes())
  end)

  it("ends a batch at its bytes, and loses no row by that", function()
    database:sql(emmett)
    fill(600, 7)
    local store, request = open(), { max = 500, max_bytes = 2000 }
    local found, pages = read_on(store, request, {})
    assert.same(by_statement {}, found)
    assert.is_true(pages > 20)
  end)

  it("has nothing to do with events that come meanwhile", function()
    database:sql(emmett)
    local early = session()
    early:run "BEGIN"
    early:run "SELECT pg_current_xact_id()"
    early:run "SAVEPOINT a"
    early:run "COMMIT"
    fill(300, 5)
    local store, request = open(), { max = 50 }
    local found = ids({}, step(store, request))
    assert.equal(1, passes())
    early:run "BEGIN"
    early:run "SELECT pg_current_xact_id()"
    fill(300, 5, 61)
    ids(found, step(store, request))
    early:run "COMMIT"
    read_on(store, request, found)
    assert.equal(600, #found)
    assert.same(by_statement {}, found)
  end)

  it("keeps versions in order that the log has not in order", function()
    database:sql(emmett)
    local early = session()
    early:run "BEGIN"
    early:run "SELECT pg_current_xact_id()"
    fill(300, 5)
    early:run [[
      INSERT INTO emt_messages (stream_id, stream_position, transaction_id,
        message_schema_version, message_id, message_type, message_data,
        message_metadata)
      SELECT 's' || n % 5, 61 + n / 5, pg_current_xact_id(), '1', 'late-' || n,
        'A', '{}', '{}' FROM generate_series(0, 99) n]]
    early:run "COMMIT"
    local store, request = open(), { max = 30 }
    local last = {}
    repeat
      local page = step(store, request)
      for _, event in ipairs(page) do
        assert.equal((last[event.stream] or 0) + 1, event.version)
        last[event.stream] = event.version
      end
    until page.at_head
    assert.same({ s0 = 80, s1 = 80, s2 = 80, s3 = 80, s4 = 80 }, last)
  end)

  it("holds nobody's safe head back", function()
    database:sql(emmett)
    fill(300, 5)
    local store, request = open(), { max = 50 }
    step(store, request)
    step(store, request)
    assert.equal(1, passes())
    assert.equal("0", database:sql [[
      SELECT count(*) FROM pg_stat_activity
      WHERE datname = current_database() AND application_name = 'lunette'
        AND backend_xid IS NOT NULL]])
    local live, own = open(), { max = 1000 }
    go_on(own, assert(live:read(own)))
    fill(1, 1, 61)
    local page = assert(live:read(own))
    assert.same({ 1, true }, { #page, page.at_head })
    assert.is_nil(page.held)
    assert.equal(1, passes())
  end)

  it("is begun anew where its connection is lost", function()
    database:sql(emmett)
    fill(4000, 7)
    local store, request = open(), { max = 50 }
    local found = ids({}, step(store, request))
    ids(found, step(store, request))
    assert.equal(1, passes())
    assert.is_true(database:terminate() > 0)
    assert.equal(0, passes())
    repeat
      ids(found, step(store, request))
    until #found > 2000
    assert.equal(1, passes())
    assert.same(by_statement {}, read_on(store, request, found))
  end)

  it("takes back a reader whose commit failed", function()
    database:sql(emmett)
    fill(400, 7)
    local store, request = open(), { max = 50 }
    local found = ids({}, step(store, request))
    local after, state = request.after, request.state
    local lost = ids({}, step(store, request))
    ids(lost, step(store, request))
    request.after, request.state, request.max = after, state, 30
    local again = {}
    for _ = 1, 4 do
      ids(again, step(store, request))
    end
    assert.equal(1, passes())
    assert.same(lost, again)
    request.max = 50
    table.move(again, 1, #again, #found + 1, found)
    assert.same(by_statement {}, read_on(store, request, found))
  end)

  it("does not look for the place it had where that is gone", function()
    database:sql(numbered)
    database:sql [[
      INSERT INTO log (stream, version, type, data)
      SELECT 's' || n, 1, 'T', '{}' FROM generate_series(1, 200) n]]
    local store, request = open(NUMBERED), { max = 20 }
    step(store, request)
    assert.equal(1, passes())
    local after, state = request.after, request.state
    step(store, request)
    database:sql("DELETE FROM log WHERE pos = " .. request.after)
    request.after, request.state = after, state
    local found = read_on(store, request, {})
    assert.equal(179, #found)
  end)

  it("stops at a gap, and goes on when nobody can fill it", function()
    database:sql(numbered)
    local writer = session()
    local insert = [[
      INSERT INTO log (stream, version, type, data)
      SELECT 'a' || n, 1, 'T', '{}' FROM generate_series(%d, %d) n]]
    database:sql(insert:format(1, 100))
    writer:run "BEGIN"
    writer:run(insert:format(101, 101))
    database:sql(insert:format(102, 200))
    local store, request = open(NUMBERED), { max = 30 }
    local found = ids({}, step(store, request))
    assert.equal(1, passes())
    local page
    repeat
      page = step(store, request)
      ids(found, page)
    until #page == 0
    assert.same({ 100, true }, { #found, page.held })
    assert.equal(0, passes())
    writer:run "COMMIT"
    read_on(store, request, found)
    assert.equal(200, #found)
    assert.same(by_statement { query = NUMBERED }, found)
  end)

  describe("looks for a number that was skipped", function()
    local query = NUMBERED:gsub("&version=version", "")
      :gsub("grace_ms=0", "grace_ms=1&window_ms=3000")

    -- Into a pass, behind 30 numbers that were drawn and have not come.
    local function begin(count, request)
      database:sql(numbered)
      database:sql(([[
        SELECT count(nextval('log_numbers')) FROM generate_series(1, 30);
        INSERT INTO log (stream, version, type, data)
        SELECT 's' || n, 1, 'T', '{}' FROM generate_series(1, %d) n]])
        :format(count))
      local store = open(query)
      helper.wait(function()
        return #step(store, request) > 0
      end)
      assert.equal(1, passes())
      return store
    end

    it("for its whole time, also if not in every read", function()
      local request = { max = 20 }
      local store = begin(200, request)
      step(store, request)
      database:sql [[
        INSERT INTO log (pos, id, stream, version, type, data)
        SELECT n, 'late ' || n, 's', n, 'T', '{}'
        FROM generate_series(0, 29) n]]
      local came = database:sql "SELECT extract(epoch FROM clock_timestamp())"
      helper.wait(function()
        return database:sql(("SELECT extract(epoch FROM clock_timestamp())"
          .. " > %s + 3"):format(came)) == "t"
      end)
      local late = {} -- more than fit into a batch
      for _, id in ipairs(read_on(store, request, {})) do
        late[#late + 1] = id:match "^late %d+$"
      end
      assert.equal(30, #late)
    end)

    it("not in every read, where each look takes long", function()
      local request = { max = 200 }
      local store = begin(120000, request)
      read_on(store, request, {})
      store:close()
      helper.wait(function()
        return database:sql [[
          SELECT count(*) FROM pg_stat_activity WHERE application_name =
          'lunette' AND datname = current_database()]] == "0"
      end)
      local looks = tonumber(database:sql [[
        SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'log']])
      assert.is_true(looks < 300, looks .. " looks in 600 reads")
    end)
  end)

  it("ends where events may still come late", function()
    database:sql [[
      CREATE TABLE log (at timestamptz, id text PRIMARY KEY,
        stream text DEFAULT 's', type text DEFAULT 'T', data json DEFAULT '1');
      INSERT INTO log SELECT now() - interval '2 hours' + n * interval '1 s',
        'old ' || n FROM generate_series(1, 200) n;
      INSERT INTO log SELECT now() - interval '30 min' + n * interval '1 s',
        'new ' || n FROM generate_series(1, 100) n]]
    local timed = "layout=custom&table=log&position=at&id=id&stream=stream"
      .. "&type=type&data=data&safe_head=window&grace_ms=0&window_ms=3600000"
    local store, request = open(timed), { max = 30 }
    local found = {}
    helper.wait(function()
      ids(found, step(store, request))
      return passes() == 1
    end)
    database:sql [[INSERT INTO log
      SELECT at + interval '1 us', 'late' FROM log WHERE id = 'new 50']]
    read_on(store, request, found)
    assert.same({ 301, "late" }, { #found, found[251] })
    assert.same(by_statement { query = timed }, found)
  end)

  it("makes way for who wants the table for himself", function()
    database:sql(emmett)
    fill(2000, 7)
    local store, request = open(), { max = 1 }
    step(store, request)
    assert.equal(1, passes())
    local other = helper.spawn {
      server.psql, "-X", "-q", "-h", server.dir, "-U", server.user, "-d",
      database.name, "-c", "ALTER TABLE emt_messages ADD COLUMN more text",
    }
    helper.wait(function()
      step(store, request)
      return database:sql [[SELECT count(*) FROM pg_attribute
        WHERE attrelid = 'emt_messages'::regclass AND attname = 'more']] == "1"
    end)
    other:wait()
    request.max = 500
    local found = read_on(store, request, {})
    assert.equal(found[#found], by_statement({})[2000])
  end)

  it("does without where the server has no room to sort", function()
    database:sql(emmett)
    fill(3000, 7)
    database:sql("ALTER DATABASE " .. database.name
      .. " SET temp_file_limit = 0; ALTER DATABASE " .. database.name
      .. " SET work_mem = '64kB'")
    local store, request = open(), { max = 100 }
    assert.same(by_statement { max = 100 }, read_on(store, request, {}))
  end)

  describe("where sorting takes long", function()
    -- A view whose rows are not to be had while a lock is held.
    local query = "layout=custom&table=slow&position=pos&id=id&stream=stream"
      .. "&type=type&data=data&safe_head=serialised"
    local gate, store, request

    before_each(function()
      database:sql(numbered .. [[
        CREATE FUNCTION gate(text) RETURNS text STABLE COST 1
        LANGUAGE plpgsql AS $$
        BEGIN
          IF current_setting('cursor_tuple_fraction')::float8 = 1 THEN
            PERFORM pg_advisory_xact_lock_shared(1);
          END IF;
          RETURN $1;
        END $$;
        CREATE VIEW slow AS SELECT pos, id, stream, gate(type) AS type, data
        FROM log;
        INSERT INTO log (stream, version, type, data)
        SELECT 's' || n, 1, 'T', '{}' FROM generate_series(1, 200) n;]])
      gate = session()
      gate:run "SELECT pg_advisory_lock(1)"
      store, request = open(query), { max = 20, to_head = true }
      go_on(request, assert(store:read(request)))
    end)

    local function sorting()
      return database:sql [[
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'lunette'
          AND state = 'active']]
    end

    it("gives nothing until the server has sorted, and says so", function()
      for _ = 1, 2 do
        local page = assert(store:read(request))
        assert.same({ 0, true, false }, { #page, page.held, page.at_head })
        assert.equal(request.after, page.reached)
        assert.equal(request.state, page.state)
        go_on(request, page)
      end
      assert.matches('the server, which sorts "slow"',
        store:held_by(request.state))
      assert.equal("1", sorting())
      gate:run "SELECT pg_advisory_unlock(1)"
      local found = read_on(store, request, {})
      assert.equal(180, #found)
    end)

    it("has the server end it where nobody reads on", function()
      helper.wait(function()
        return sorting() == "1"
      end)
      store:close()
      helper.wait(function()
        return sorting() == "0"
      end)
    end)

    it("is named, and stopped, while a projection waits for it", function()
      store:close()
      local place = workplace.new()
      place:write("projections/all.lua", [[
        return { name = "all", version = 1, fields = { n = "integer" },
          extract_model_id = function(event) return event.stream end,
          apply_to_model = function() return { n = 1 } end }]])
      local words = {
        "-e", database:with(query), "-m", "sqlite:models.db",
        "--live-events", "20",
      }
      local run = place:spawn { "run", "--once", table.unpack(words) }
      helper.wait(function()
        local _, status = place:run { "status", table.unpack(words) }
        return status:find('waiting for the server, which sorts "slow"', 1,
          true)
      end)
      run:kill "INT"
      assert.equal(1, run:wait())
      helper.wait(function()
        return sorting() == "0"
      end)
    end)

    it("answers other questions at once", function()
      assert.equal("199", store:head())
      assert.equal(180, #assert(store:read {
        after = request.after, state = request.state,
      }))
    end)
  end)
end)
