-- On the way to a safe head that was found nobody asks for it again.

local helper = require "spec.helper"
local postgres = require "spec.postgres_server"
local pg_session = require "pg_session"
local layouts = require "spec.stores.postgres.events.layouts"
local new_fixture = require "spec.stores.postgres.events.fixture"

local server, reason = postgres.start()

local seed = helper.seed(1)
-- So little would be sorted rather than read by an index, and that in a pass.
local INDEXED = "options=-cenable_sort%3Doff%20-clog_statement%3Dall"

describe("a safe head that is known #postgres", function()
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
    return assert(fixture.open(INDEXED .. (query and "&" .. query or "")))
  end

  local function session()
    return fixture.keep(pg_session.open(database.url))
  end

  local written = 0

  local function insert(type, count)
    written = written + 1
    return ([[INSERT INTO lunette_events (stream, version, type, data)
      SELECT 's%d-' || n, 1, '%s', '{}' FROM generate_series(1, %d) n]])
      :format(written, type, count or 1)
  end

  local function append(count, type)
    database:sql(insert(type or "A", count))
  end

  -- A batch; the request stands behind it then.
  local function step(store, request)
    local page, message, code = store:read(request)
    if page then
      request.after, request.state = page.reached, page.state
    end
    return page, message, code
  end

  local function going(max, types)
    return { max = max, types = types, to_head = true }
  end

  -- What is read up to the head, after what was found.
  local function read_on(store, request, found)
    repeat
      local page = assert(step(store, request))
      for _, event in ipairs(page) do
        found[#found + 1] = event.id
      end
    until page.at_head
    return found
  end

  local function in_order()
    local found = {}
    for id in database:sql [[SELECT id FROM lunette_events
      ORDER BY transaction_id, position]]:gmatch "%S+" do
      found[#found + 1] = id
    end
    return found
  end

  -- What the server writes down meanwhile.
  local function logged(act)
    local log = assert(io.open(server.log))
    log:seek "end"
    act()
    local text = log:read "a"
    log:close()
    return text
  end

  -- How often act() asks the server for a bound, and for how many rows.
  local function statements(act)
    local looks, limits = 0, {}
    for statement in (logged(act) .. "\n"):gmatch "[^\n]+" do
      if statement:find("pg_snapshot_xmin", 1, true) then
        looks = looks + 1
      end
      if statement:find("CASE WHEN true", 1, true)
        and not statement:find("EXPLAIN", 1, true) then
        limits[#limits + 1] = false
      end
      local limit = statement:match "DETAIL: .*%$%d+ = '(%d+)'$"
      if limit and limits[#limits] == false then
        limits[#limits] = tonumber(limit)
      end
    end
    return looks, limits
  end

  it("is asked for once on the way to it", function()
    local store, request = open(), going(10)
    append(40)
    local looks = statements(function()
      for _ = 1, 4 do
        assert.equal(10, #assert(step(store, request)))
      end
    end)
    assert.equal(1, looks)
    looks = statements(function()
      assert.is_true(assert(step(store, request)).at_head)
    end)
    assert.equal(1, looks)
  end)

  it("ends a batch, and more is found behind it", function()
    local store, request = open(), going(10)
    append(15)
    assert.equal(10, #assert(step(store, request)))
    append(15)
    local page = assert(step(store, request))
    assert.same({ 5, false }, { #page, page.at_head })
    page = assert(step(store, request))
    assert.same({ 10, false }, { #page, page.at_head })
    page = assert(step(store, request))
    assert.same({ 5, false }, { #page, page.at_head })
    page = assert(step(store, request))
    assert.same({ 0, true }, { #page, page.at_head })
  end)

  it("is of no use to who does not go to the head", function()
    local store, request = open(), { max = 10 }
    append(15)
    assert.equal(10, #assert(step(store, request)))
    append(15)
    assert.equal(10, #assert(step(store, request)))
  end)

  it("is good on its own connection alone", function()
    local store, request = open(), going(10)
    append(15)
    assert.equal(10, #assert(step(store, request)))
    append(15)
    assert.equal(1, database:terminate())
    helper.wait(function()
      return store:head()
    end)
    assert.equal(10, #assert(step(store, request)))
  end)

  for name, case in pairs {
    ["whose last event is another"] = {
      "UPDATE lunette_events SET id = 'other' WHERE position = 10",
      "has another event at position %d+:10 than the one that was read last",
    },
    ["whose last event is gone"] = {
      "DELETE FROM lunette_events WHERE position IN (10, 11)",
      "no longer has the event at position %d+:10",
    },
    ["that has ended before it"] = {
      "DELETE FROM lunette_events WHERE position > 9",
      "ends at position %d+:9, before position %d+:10",
    },
  } do
    it("knows a log " .. name, function()
      local change, expected = table.unpack(case)
      local store, request = open(), going(10)
      append(30)
      assert(step(store, request))
      database:sql(change)
      local _, message, code = step(store, request)
      assert.equal("config", code)
      assert.matches(expected, message)
    end)
  end

  it("knows a place at which two events stand", function()
    database:sql(layouts.emmett.schema)
    database:sql [[
      INSERT INTO emt_messages (stream_id, stream_position, transaction_id,
        message_schema_version, message_id, message_type, message_data,
        message_metadata)
      SELECT 's' || n, 1, '700', '1', gen_random_uuid(), 'A', '{}', '{}'
      FROM generate_series(1, 30) n]]
    local store, request = open "layout=emmett", going(10)
    assert(step(store, request))
    database:sql [[
      INSERT INTO emt_messages (stream_id, stream_position, transaction_id,
        global_position, message_schema_version, message_id, message_type,
        message_data, message_metadata)
      SELECT 'other', 1, '700', max(global_position), '1',
        gen_random_uuid(), 'A', '{}', '{}' FROM emt_messages
      WHERE stream_id = 's10']]
    local _, message, code = step(store, request)
    assert.equal("invalid", code)
    assert.matches("has several events at position", message)
  end)

  it("is believed for a second, as is what it rests on", function()
    local store, request = open(), going(1)
    append(20000)
    assert(step(store, request))
    database:sql [[
      CREATE FUNCTION place() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN NEW.position := 1; RETURN NEW; END';
      CREATE TRIGGER places BEFORE INSERT ON lunette_events
        FOR EACH ROW EXECUTE FUNCTION place()]]
    local message
    helper.wait(function()
      local page, words = step(store, request)
      message = words
      return not page
    end)
    assert.matches("trigger", message)
  end)

  it("passes nobody who commits late, seed " .. seed, function()
    local random = helper.random(seed)
    local store, request, found = open(), going(3), {}
    local writers = { session(), session(), session() }
    local under_way = {}
    append(10)
    for _ = 1, 200 do
      local n = random:within(1, #writers)
      if random:chance(40) then
        local page = assert(step(store, request))
        for _, event in ipairs(page) do
          found[#found + 1] = event.id
        end
      elseif under_way[n] then
        writers[n]:run(random:chance(80) and "COMMIT" or "ROLLBACK")
        under_way[n] = false
      else
        writers[n]:run "BEGIN"
        writers[n]:run(insert("A", random:within(1, 4)))
        under_way[n] = true
      end
    end
    for n, writer in ipairs(writers) do
      if under_way[n] then
        writer:run "COMMIT"
      end
    end
    assert.same(in_order(), read_on(store, request, found))
  end)

  it("gives what a filter wants, in the same batches", function()
    local types = { "B" }
    local store, request = open(), going(7, types)
    local other, plain = open(), { max = 7, types = types }
    for n = 1, 20 do
      append(n, n % 3 == 0 and "B" or "A")
    end
    repeat
      local page = assert(step(store, request))
      local same = assert(step(other, plain))
      assert.same(same.reached, page.reached)
      assert.same(same.state, page.state)
      assert.same(#same, #page)
    until same.at_head
  end)

  it("asks for no more rows than the batch has room for", function()
    local store, request = open(), going(20, { "A" })
    append(100)
    local _, limits = statements(function()
      assert.equal(20, #assert(step(store, request)))
      assert.equal(20, #assert(step(store, request)))
    end)
    assert.same({ 20, 21 }, limits) -- and the event read last
  end)

  it("asks for more where few are wanted", function()
    local store, request = open(), going(20, { "B" })
    for _ = 1, 100 do
      append(9)
      append(1, "B")
    end
    local _, limits = statements(function()
      assert.equal(20, #assert(step(store, request)))
      assert.equal(20, #assert(step(store, request)))
    end)
    assert.equal(20, limits[1])
    local last = limits[#limits]
    assert.is_true(last >= 200 and last < 300, last)
    assert.is_true(#limits < 6, #limits)
  end)

  -- How many statements the server is sent for it.
  local function count_statements(act)
    return select(2, logged(act):gsub("execute <unnamed>", ""))
  end

  it("leaves nothing of a try in vain, such as its doubts", function()
    local store, request = open(), { max = 1000, to_head = true }
    database:sql [[INSERT INTO lunette_events (stream, version, type, data)
      SELECT 's' || n, v, 'A', '{}' FROM generate_series(1, 3) v,
        generate_series(1, 1000) n ORDER BY v, n; ANALYZE lunette_events]]
    assert(step(store, request))
    local other = open() -- remembers no stream
    request.max = 500
    assert(step(other, request))
    database:sql "UPDATE lunette_events SET type = '' WHERE position = 1995"
    local message
    local count = count_statements(function()
      message = select(2, step(other, request))
    end)
    assert.matches("type is empty", message)
    assert.is_true(count < 10, count)
  end)

  it("is tried in vain once where rows go when they are read", function()
    database:sql [[
      CREATE TABLE log (no bigserial PRIMARY KEY,
        key uuid NOT NULL DEFAULT gen_random_uuid(), owner text NOT NULL,
        n int NOT NULL, kind text NOT NULL, body text);
      CREATE UNIQUE INDEX ON log (owner, n);
      INSERT INTO log (owner, n, kind, body)
        SELECT 's', i, 'A', '{}' FROM generate_series(1, 2000) i;
      ANALYZE log]]
    local store = open("layout=outbox&table=log&position=no&id=key"
      .. "&stream=owner&version=n&type=kind&data=body&safe_head=serialised")
    local request = going(50)
    local count = count_statements(function()
      for i = 1, 20 do
        assert.equal(50, #assert(step(store, request)))
        database:sql(("DELETE FROM log WHERE no <= %d"):format(i * 50))
      end
    end)
    assert.is_true(count < 60, count)
  end)
end)
