local workplace = require "spec.engine.cli.workplace"
local postgres = require "spec.postgres_server"
local layouts = require "spec.stores.postgres.events.gap_layouts"
local pg_session = require "pg_session"

describe("lunette events", function()
  local place

  setup(function()
    place = workplace.new()
    place.env.LUNETTE_MODELS = false
    for i = 1, 3 do
      place:done { "append", "--stream", "s" .. i % 2, "--type", "T" .. i,
        "--data", tostring(i) }
    end
  end)

  local function positions(...)
    local list = {}
    for line in place:done({ "events", "--json", ... }):gmatch "[^\n]+" do
      list[#list + 1] = line:match '"position":"(%d+)"'
    end
    return table.concat(list, " ")
  end

  it("prints a table, without a model store", function()
    local out = place:done { "events", "--limit", "1" }
    assert.matches("^position +recorded_at +stream +version +type +data", out)
    assert.matches("\n1 +%S+Z +s1 +1 +T1 +1 ", out)
  end)

  it("prints an object a line for programs", function()
    local out = place:done { "events", "--json" }
    assert.matches('^{"position":"1","id":"%x+%-[%x-]+","stream":"s1",'
      .. '"version":1,"type":"T1","recorded_at":"[^"]+Z","data":1,'
      .. '"metadata":null}\n', out)
  end)

  it("prints the tenant, where there are some", function()
    local other = workplace.new()
    other.env = { LUNETTE_EVENTS = "sqlite:shop.db?layout=emmett",
      LUNETTE_MODELS = false }
    other:sql("shop.db", [[CREATE TABLE emt_messages (stream_id TEXT,
        stream_position INTEGER, partition TEXT, message_kind TEXT DEFAULT 'E',
        message_data TEXT DEFAULT '{}', message_metadata TEXT,
        message_type TEXT DEFAULT 'T', message_id TEXT,
        is_archived BOOLEAN DEFAULT FALSE, global_position INTEGER PRIMARY KEY,
        created DATETIME DEFAULT CURRENT_TIMESTAMP);
      INSERT INTO emt_messages (stream_id, stream_position, partition,
        message_id) VALUES ('s', 1, 'acme', 'm1'), ('s', 1, 'globex', 'm2')]])
    local out = other:done { "events" }
    assert.matches("^position +recorded_at +tenant +stream +version", out)
    assert.matches("\n2 +%S+Z +globex +s +1 ", out)
    out = other:done { "events", "--json" }
    assert.matches('^{"position":"1","id":"m1","tenant":"acme","stream":"s"',
      out)
    out = other:done { "events", "--json", "-e",
      "sqlite:shop.db?layout=emmett&tenant=globex" }
    assert.matches('^{"position":"2","id":"m2","tenant":"globex"', out)
  end)

  it("keeps to a line where the data has several", function()
    local other = workplace.new()
    other.env.LUNETTE_MODELS = false
    other:done { "append", "--stream", "s", "--type", "T", "--data",
      '{\n  "a": "b\\n",\r\n  "c": [1,\n2]\n}' }
    local out = other:done { "events", "--json" }
    assert.matches('"data":{   "a": "b\\n",    "c": [1, 2] },', out, 1, true)
    assert.matches("^[^\n]+\n$", out)
  end)

  it("selects by stream, type, position and number", function()
    assert.equal("1 2 3", positions())
    assert.equal("1 3", positions("--stream", "s1"))
    assert.equal("2", positions("--type", "T2"))
    assert.equal("2 3", positions("--after", "1"))
    assert.equal("2", positions("--after", "1", "--limit", "1"))
    assert.equal("1 2 3", positions("--limit", "0"))
    assert.equal("", positions("--stream", "none"))
  end)

  it("says that it ends before the end, where nobody set a limit", function()
    local other = workplace.new()
    other.env.LUNETTE_MODELS = false
    other:write("a.jsonl", ('{"stream":"s","type":"T","data":1}\n'):rep(100))
    other:done { "import", "a.jsonl" }
    local code, out, err = other:run { "events", "--json" }
    assert.same({ 0, "" }, { code, err })
    assert.equal(100, select(2, out:gsub("\n", "")))
    other:done { "append", "--stream", "s", "--type", "T", "--data", "1" }
    code, out, err = other:run { "events", "--json" }
    assert.equal(0, code)
    assert.matches("the first 100 events; --limit=0 prints all", err, 1, true)
    assert.equal(100, select(2, out:gsub("\n", "")))
    code, out, err = other:run { "events", "--json", "--limit", "0" }
    assert.same({ 0, "" }, { code, err })
    assert.equal(101, select(2, out:gsub("\n", "")))
  end)

  it("prints tokens where they are wanted, and takes them", function()
    local out = place:done { "events", "--limit", "1", "--tokens" }
    assert.matches("^position +[^\n]* metadata +token *\n", out)
    out = place:done { "events", "--limit", "1", "--json", "--tokens" }
    local token = out:match ',"metadata":null,"token":"(1%x+%-%x+)"}\n$'
    assert.equal(42, #token)
    assert.equal("2 3", positions("--after", token))
    local other = "100000000" .. token:sub(10)
    local code, _, err = place:run { "events", "--after", other }
    assert.equal(1, code)
    assert.matches("is a token of another event store", err)
  end)

  it("has nothing to print past the end", function()
    assert.equal("", positions("--after", "3"))
    assert.equal("", positions("--after", "999"))
    assert.matches("^position[^\n]*\n$", place:done { "events", "--after",
      "999" })
  end)

  it("shows what is nested as deeply as may be", function()
    local deepest = ("["):rep(100) .. ("]"):rep(100)
    place:done { "append", "--stream", "deep", "--type", "T",
      "--data", deepest }
    assert.matches(deepest, place:done { "events", "--stream", "deep" }, 1,
      true)
    local other = workplace.new()
    other:done({ "import", "-" }, { stdin = place:done { "events", "--stream",
      "deep", "--json" } })
    assert.matches(deepest, other:done { "events" }, 1, true)
  end)

  it("refuses what is no position", function()
    local code, _, err = place:run { "events", "--after", "here" }
    assert.equal(1, code)
    assert.matches('"here"', err, 1, true)
  end)

  describe("that are held back #postgres", function()
    local server, reason = postgres.start()
    if not server then
      pending(reason)
      return
    end

    local other

    before_each(function()
      other = workplace.new()
      other.env.LUNETTE_MODELS = false
    end)

    it("waits for a grace time to pass", function()
      local database = server:new_database()
      database:sql(layouts.marten.schema)
      database:sql [[
        INSERT INTO mt_streams (id, version) VALUES ('a', 1);
        INSERT INTO mt_events (seq_id, id, stream_id, version, data, type)
        VALUES (nextval('mt_events_sequence'), gen_random_uuid(), 'a', 1,
          '{}', 'moved')]]
      other.env.LUNETTE_EVENTS = database:with "layout=marten&grace_ms=300"
      assert.matches('^{"position":"1",[^\n]*\n$',
        other:done { "events", "--json" })
    end)

    -- What `events` says of two events, or of one, the last of which an open
    -- transaction holds back.
    local function list_held(has_one_before)
      local database = server:new_database()
      local append = { "append", "--stream", "a", "--type", "T", "--data", "1" }
      other.env.LUNETTE_EVENTS = database.url
      if has_one_before then
        other:done(append)
      end
      local early = pg_session.open(database.url)
      early:run "BEGIN"
      early:run "SELECT pg_current_xact_id()"
      other:done(append)
      local code, out, err = other:run { "events", "--json" }
      early:close()
      assert.equal(0, code)
      return out, err
    end

    it("says who holds back the others", function()
      local out, err = list_held(true)
      assert.matches('^{"position":"%d+:1",[^\n]*\n$', out)
      assert.matches("events: those after position %d+:1 are held back by "
        .. "transaction %d+ of postgres %(pid %d+", err)
    end)

    it("says so where there is none before them", function()
      local out, err = list_held(false)
      assert.equal("", out)
      assert.matches("events: all of them are held back by transaction", err,
        1, true)
    end)
  end)
end)
