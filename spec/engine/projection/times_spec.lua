-- The times of events on their way into models: none, the ends of time, and
-- those that no zone stands beside.

local helper = require "spec.helper"
local lunette = require "lunette"
local postgres = require "spec.postgres_server"

local server, reason = postgres.start()

local source = [[return {
  name = "seen", version = 1, on_error = "park",
  fields = { at = "timestamp", kind = "text" },
  extract_model_id = function(event) return event.stream end,
  apply_to_model = function(_, event)
    local at = event.recorded_at
    if at == nil then
      for name in pairs(event) do
        assert(name ~= "recorded_at")
      end
      return { kind = "none" }
    end
    return { kind = math.type(at), at = event.type == "T" and at or nil }
  end,
}]]

local function run(urls)
  local engine = assert(lunette.open(urls))
  assert(engine:register { source = source })
  assert(engine:run_once())
  return engine
end

local function events_of(engine)
  local times = {}
  for _, event in ipairs(assert(engine:events {})) do
    times[event.stream] = event.recorded_at
  end
  return times
end

local function status(engine)
  return assert(engine:status())[1]
end

describe("the time of an event", function()
  local folder, events

  before_each(function()
    folder = helper.tmpdir()
    events = "sqlite:" .. folder .. "/e.db"
  end)

  local function lunette_command(words, input)
    return helper.run({ helper.lunette, table.unpack(words) },
      { stdin = input })
  end

  it("may be 1970 itself", function()
    local engine = assert(lunette.open { events = events, models = "memory:" })
    for stream, at in pairs { a = 0, b = "1970-01-01T00:00:00Z", c = -1 } do
      assert(engine:append { stream = stream, type = "T",
        recorded_at = at })
    end
    engine:close()
    local code, _, err = lunette_command({ "import", "-e", events, "-" },
      '{"stream":"d","type":"T","data":{},"at":0}\n'
      .. '{"stream":"e","type":"T","data":{},"at":"1970-01-01T00:00:00Z"}\n')
    assert.equal(0, code, err)
    engine = run { events = events, models = "memory:" }
    local epoch = "1970-01-01T00:00:00.000000Z"
    for _, stream in ipairs { "a", "b", "d", "e" } do
      assert.equal(epoch, engine:get("seen", stream).at)
      assert.equal(epoch, events_of(engine)[stream])
    end
    assert.equal("1969-12-31T23:59:59.999999Z", engine:get("seen", "c").at)
    engine:close()
  end)

  it("lies in the years 1 to 9999 where it is appended", function()
    local engine = assert(lunette.open { events = events, models = "memory:" })
    for _, at in ipairs { math.mininteger, math.mininteger + 1,
      math.maxinteger, -62135596800000001, 253402300800000000 } do
      local ok, done, message = pcall(engine.append, engine,
        { stream = "s", type = "T", recorded_at = at })
      assert.is_false(ok and done or false)
      assert.matches(at < 0 and "recorded_at must be a whole number, not below"
        or "its time is not in the years 1 to 9999", ok and message or done)
      local code, _, err = lunette_command({ "import", "-e", events, "-" },
        ('{"stream":"d","type":"T","data":{},"at":%d}'):format(at))
      assert.equal(1, code)
      assert.matches('"at" must be a time', err)
    end
    assert.same({}, engine:events {})
    engine:close()
  end)

  it("has its seventh digit cut at import", function()
    assert.equal(0, (lunette_command({ "import", "-e", events, "-" },
      '{"stream":"a","type":"T","data":{},"at":'
      .. '"2026-11-23T05:32:58.1234567Z"}\n'
      .. '{"stream":"b","type":"T","data":{},"at":'
      .. '"1969-12-31T23:59:59.9999999Z"}\n')))
    local engine = run { events = events, models = "memory:" }
    assert.equal("2026-11-23T05:32:58.123456Z", engine:get("seen", "a").at)
    assert.equal("1969-12-31T23:59:59.999999Z", engine:get("seen", "b").at)
    engine:close()
  end)
end)

describe("the time of an event #postgres", function()
  if not server then
    pending(reason)
    return
  end

  local database, engine

  before_each(function()
    database = server:new_database()
    local name = database:with "":match "/(lunette_[%x_]+)"
    database:sql(("ALTER DATABASE %s SET timezone = 'America/New_York'")
      :format(name))
    database:sql(("ALTER DATABASE %s SET datestyle = 'SQL, DMY'")
      :format(name))
  end)

  after_each(function()
    if engine then
      engine:close()
      engine = nil
    end
  end)

  local function custom(kind, ...)
    database:sql("CREATE TABLE log (pos bigserial PRIMARY KEY, id text, "
      .. "stream text, type text, body json, at " .. kind .. ")")
    for i, text in ipairs { ... } do
      database:sql(("INSERT INTO log (id, stream, type, body, at) VALUES "
        .. "('%d', '%d', 'T', '{}', %s)"):format(i, i,
        text == "NULL" and text or "'" .. text .. "'"))
    end
    return database:with("layout=custom&table=log&position=pos&id=id"
      .. "&stream=stream&type=type&data=body&safe_head=serialised"
      .. "&recorded_at=at")
  end

  local function times(n)
    local list = {}
    for i = 1, n do
      list[i] = engine:get("seen", tostring(i)).at
    end
    return list
  end

  local noon = "2026-06-01T12:00:00.000000Z"

  for _, kind in ipairs { "text", "varchar(40)", "char(40)" } do
    it("is UTC in a column of type " .. kind .. ", or as the text says",
      function()
        engine = run { models = "memory:", events = custom(kind,
          "2026-06-01 12:00:00", "2026-06-01T12:00:00Z",
          "2026-06-01T14:00:00.0000001+02:00", "2026-06-01 08:00:00-04") }
        assert.same({ noon, noon, noon, noon }, times(4))
      end)
  end

  it("is midnight in UTC in a column of type date", function()
    engine = run { models = "memory:",
      events = custom("date", "2026-06-01", "infinity") }
    assert.equal("2026-06-01T00:00:00.000000Z", engine:get("seen", "1").at)
    assert.same({ ["1"] = "2026-06-01T00:00:00.000000Z", ["2"] = "infinity" },
      events_of(engine))
  end)

  it("is UTC in a column of type timestamp", function()
    engine = run { models = "memory:",
      events = custom("timestamp", "2026-06-01 12:00:00") }
    assert.same({ noon }, times(1))
  end)

  it("is a moment in a column of type timestamptz", function()
    engine = run { models = "memory:",
      events = custom("timestamptz", "2026-06-01 12:00:00Z") }
    assert.same({ noon }, times(1))
  end)

  it("is refused by name where it is none", function()
    engine = assert(lunette.open { models = "memory:",
      events = custom("text", "soon") })
    assert(engine:register { source = source })
    local ok, message = engine:run_once()
    assert.is_nil(ok)
    assert.matches("the event at position 1: the text for its time is none "
      .. "such as", message)
  end)

  for kind, text in pairs {
    timestamptz = "4000-01-01 BC", timestamp = "294276-01-01",
    date = "10000-01-01",
  } do
    it("is refused beyond the years in a column of type " .. kind, function()
      engine = assert(lunette.open { models = "memory:",
        events = custom(kind, text) })
      assert(engine:register { source = source })
      local ok, message = engine:run_once()
      assert.is_nil(ok)
      assert.matches("position 1: its time is not in the years 1 to 9999",
        message)
    end)
  end

  it("cannot be in a column of any other type", function()
    local store, message = lunette.open { models = "memory:",
      events = custom("bigint", "1780315200") }
    if store then
      engine = store
      assert(engine:register { source = source })
      store, message = engine:run_once()
    end
    assert.is_nil(store)
    assert.matches('the column "at" of "log" has a type that cannot hold '
      .. "a time; timestamptz, timestamp, date and text can", message)
  end)

  for _, models in ipairs { "memory", "sqlite", "postgres" } do
    it("may be missing or infinite, with models in " .. models, function()
      local urls = {
        events = custom("timestamptz", "NULL", "infinity", "-infinity",
          "2026-06-01 12:00:00Z"),
        models = models == "memory" and "memory:"
          or models == "postgres" and database:with ""
          or "sqlite:" .. helper.tmpdir() .. "/m.db",
      }
      engine = run(urls)
      assert.equal("none", engine:get("seen", "1").kind)
      assert.same({ ["1"] = lunette.null, ["2"] = "infinity",
        ["3"] = "-infinity", ["4"] = noon }, events_of(engine))
      local errors = {}
      for _, item in ipairs(assert(engine:parked "seen")) do
        errors[item.model_id] = { item.error:match '(field.*)$',
          item.recorded_at }
      end
      local refusal = 'field "at": infinity is no time that can be stored'
      assert.same({ ["2"] = { refusal, "infinity" },
        ["3"] = { refusal, "-infinity" } }, errors)
      engine:close()
      -- What was parked has the same time when it is tried again.
      engine = assert(lunette.open(urls))
      assert(engine:register { source = source:gsub("event.type == \"T\"",
        "at > -math.huge and at < math.huge") .. "" })
      if models ~= "memory" then
        assert(engine:retry "seen")
        assert.equal("float", engine:get("seen", "2").kind)
        assert.equal("float", engine:get("seen", "3").kind)
      end
    end)
  end

  it("does not make a lag in seconds where it is missing", function()
    local urls = { models = "memory:",
      events = custom("timestamptz", "NULL", "2026-06-01 12:00:00Z") }
    engine = assert(lunette.open(urls))
    assert(engine:register { source = source })
    local before = status(engine)
    assert.equal(2, before.lag_events)
    assert.equal(lunette.null, before.lag_seconds)
    assert(engine:run_once())
    assert.equal(0, status(engine).lag_events)
    assert.equal(0, status(engine).lag_seconds)
  end)
end)
