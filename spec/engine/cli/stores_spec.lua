local helper = require "spec.helper"
local postgres = require "spec.postgres_server"
local proxies = require "proxy_test"
local workplace = require "spec.engine.cli.workplace"

local server, why = postgres.start()

local looks = {
  { "status" },
  { "get", "counter", "a" },
  { "query", "counter" },
  { "gaps" },
  { "parked", "list" },
  { "checkpoint", "show", "counter" },
}

describe("a command that only looks", function()
  local place

  before_each(function()
    place = workplace.new()
    place.env.LUNETTE_EVENTS = "sqlite:events.db"
    place.env.LUNETTE_MODELS = "sqlite:models.db"
    place:counter()
  end)

  local function exists(name)
    local file = io.open(place:path(name))
    return file ~= nil and file:close()
  end

  -- One line, with these words.
  local function refuses(words, command)
    local code, out, err = place:run(command)
    assert.same({ 1, "" }, { code, out })
    assert.equal("lunette " .. command[1] .. ": " .. words .. "\n", err)
  end

  it("makes no event store", function()
    local words = "events.db does not exist: check the name, or append an "
      .. "event, which makes it"
    refuses(words, { "events" })
    refuses(words, { "status" })
    assert.is_false(exists "events.db")
  end)

  it("makes no event store in a file of something else", function()
    place:sql("events.db", "CREATE TABLE other (x)")
    refuses('events.db holds no events, as it has no table "events": check '
      .. "the name, or append an event, which makes it", { "events" })
    assert.equal("other", place:sql("events.db", ".tables"))
  end)

  for _, command in ipairs(looks) do
    it("makes no model store: " .. table.concat(command, " "), function()
      place:count("a", 1)
      refuses("no models yet: models.db does not exist: check the name, or "
        .. 'let "lunette run" make it', command)
      assert.is_false(exists "models.db")
      place:sql("models.db", "CREATE TABLE other (x)")
      refuses('no models yet: models.db holds none: "lunette run" makes them',
        command)
      assert.equal("other", place:sql("models.db", ".tables"))
    end)
  end

  it("needs nothing more than a run before it", function()
    place:count("a", 1)
    place:done { "run", "--once" }
    for _, command in ipairs(looks) do
      place:done(command)
    end
  end)
end)

describe("a command that changes something", function()
  local place

  before_each(function()
    place = workplace.new()
    place.env.LUNETTE_EVENTS = "sqlite:events.db"
    place.env.LUNETTE_MODELS = "sqlite:models.db"
    place:counter()
  end)

  local function exists(name)
    local file = io.open(place:path(name))
    return file ~= nil and file:close()
  end

  for _, command in ipairs {
    { "pause", "counter" },
    { "resume", "counter" },
    { "rebuild", "counter" },
    { "parked", "retry", "counter" },
    { "parked", "discard", "counter", "a" },
    { "checkpoint", "set", "counter", "0" },
    { "checkpoint", "delete", "counter" },
    { "checkpoint", "adopt", "counter" },
  } do
    it("makes no model store: " .. table.concat(command, " "), function()
      place:count("a", 1)
      local code, _, err = place:run(command)
      assert.equal(1, code)
      assert.matches("no models yet: models.db does not exist: check the name",
        err, 1, true)
      assert.is_false(exists "models.db")
      place:done { "run", "--once" }
      code, _, err = place:run(command)
      assert.is_nil(err:find("does not exist", 1, true))
      assert.is_true(code == 0 or err:find("parked", 1, true) ~= nil, err)
    end)
  end

  it("makes no event store", function()
    place:count("a", 1)
    place:done { "run", "--once" }
    place.env.LUNETTE_EVENTS = "sqlite:evnts.db"
    local code, _, err = place:run { "rebuild", "counter" }
    assert.equal(1, code)
    assert.matches("evnts.db does not exist", err, 1, true)
    assert.is_false(exists "evnts.db")
  end)
end)

describe("a command that makes a store", function()
  local place

  before_each(function()
    place = workplace.new()
    place.env.LUNETTE_EVENTS = "sqlite:events.db"
    place.env.LUNETTE_MODELS = "sqlite:models.db"
    place:counter()
    place:write("a.jsonl", '{"stream":"s","type":"T","data":1}\n')
  end)

  local whole = { whole = true }
  local append = { "append", "--stream", "s", "--type", "T", "--data", "1" }

  it("says so, once: append", function()
    assert.same({ 0, "1\n", "made the event store sqlite:events.db\n" },
      { place:run(append, whole) })
    assert.same({ 0, "2\n", "" }, { place:run(append, whole) })
  end)

  it("says so, once: import", function()
    assert.same({ 0, "a.jsonl: 1 event added\n",
      "made the event store sqlite:events.db\n" },
      { place:run({ "import", "a.jsonl" }, whole) })
    assert.same({ 0, "a.jsonl: 1 event added\n", "" },
      { place:run({ "import", "a.jsonl" }, whole) })
  end)

  it("says so, once: run", function()
    local run = { "run", "--once", "--log-level", "info" }
    local _, _, err = place:run(run, whole)
    assert.matches("warning made the event store sqlite:events.db\n", err, 1,
      true)
    assert.matches("info    made the model store sqlite:models.db\n", err, 1,
      true)
    _, _, err = place:run(run, whole)
    assert.is_nil(err:find("made", 1, true))
  end)

  it("says it of PostgreSQL too, without the password #postgres", function()
    if not server then
      return pending(why)
    end
    local url = server:new_database().url
    place.env.LUNETTE_EVENTS = url .. "&password=secret"
    place.env.LUNETTE_MODELS = url
    local _, _, err = place:run(append, whole)
    assert.equal("made the event store " .. url .. "&password=***\n", err)
    _, _, err = place:run({ "run", "--once", "--log-level", "info" }, whole)
    assert.is_nil(err:find("made the event store", 1, true))
    assert.matches("made the model store " .. url, err, 1, true)
  end)
end)

describe("a command that only writes events #postgres", function()
  if not server then
    pending(why)
    return
  end

  it("waits for the server as long as call_timeout_ms says", function()
    local place = workplace.new()
    local dir = helper.tmpdir()
    local proxy = proxies.start(dir .. "/.s.PGSQL.5432",
      server.dir .. "/.s.PGSQL.5432")
    place.env.LUNETTE_EVENTS =
      server:new_database().url:gsub("host=[^&]*", "host=" .. dir)
    place.env.LUNETTE_CALL_TIMEOUT_MS = "200"
    place:write("a.jsonl", '{"stream":"s","type":"T","data":1}\n')
    proxy:stall()
    for _, command in ipairs {
      { "append", "--stream", "s", "--type", "T", "--data", "1" },
      { "import", "a.jsonl" },
    } do
      local code, _, err = place:run(command)
      assert.equal(1, code)
      assert.matches("did not answer within 200 ms (call_timeout_ms)", err, 1,
        true)
    end
    proxy:close()
  end)
end)

-- The event store is made to be the one that they were built from.
for number = 1, 2 do
  describe("models of format " .. number, function()
    local place

    before_each(function()
      place = workplace.new()
      place.env.LUNETTE_EVENTS = "sqlite:events.db"
      place.env.LUNETTE_MODELS = "sqlite:models.db"
      place:counter('handles = { "Counted" },',
        'on_error = "park", indexes = { "total" },')
      for file, name in pairs { events = "events-1",
        models = "models-" .. number } do
        place:sql(file .. ".db", ".read " .. helper.root
          .. "/spec/stores/formats/sqlite-" .. name .. ".sql")
      end
      place:sql("events.db", ("ATTACH '%s' AS models;"):format(
        place:path "models.db") .. [[
        UPDATE lunette_event_store
        SET identity = (SELECT identity FROM lunette_checkpoints);
        UPDATE events SET id = (SELECT substr(CAST(source_state AS TEXT), -36)
          FROM lunette_checkpoints) WHERE position = 3;]])
    end)

    it("go on where they were", function()
      place:done { "append", "--stream", "s", "--type", "Counted", "--data",
        '{"id":"a","n":4}' }
      place:done { "run", "--once" }
      assert.equal("7", place:sql("models.db", "SELECT total FROM counter"))
      assert.matches("attempt to perform arithmetic",
        place:done { "parked", "list", "counter" })
      assert.matches("\nscripts +1\n",
        place:done { "checkpoint", "show", "counter" })
    end)
  end)
end
