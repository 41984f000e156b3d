-- Numbers of events on their way into models: beyond 64 bits, beyond doubles.

local helper = require "spec.helper"
local lunette = require "lunette"
local postgres = require "spec.postgres_server"

local command = helper.lunette
local server, reason = postgres.start()

local source = [[return {
  name = "weighed", version = 1, on_error = "park",
  fields = { grams = "number", pieces = "integer", raw = "json" },
  extract_model_id = function(event) return event.data.id end,
  apply_to_model = function(_, event)
    local data = event.data
    return { grams = data.grams, pieces = data.pieces, raw = data.raw }
  end,
}]]

local function run(urls)
  local engine = assert(lunette.open(urls))
  assert(engine:register { source = source })
  local ok, message = engine:run_once()
  return engine, ok, message
end

local function parked(engine)
  local errors = {}
  for _, item in ipairs(assert(engine:parked "weighed")) do
    errors[item.model_id] = item.error
  end
  return errors
end

-- What becomes of the events above in every store.
local function check(urls)
  local engine, ok, message = run(urls)
  assert(ok, message)
  assert.same({ id = "a", grams = 1e20, pieces = lunette.null,
    raw = { 1e20, 9223372036854775807, -9223372036854775809.0 } },
    assert(engine:get("weighed", "a")))
  assert.equal("float", math.type(engine:get("weighed", "a").grams))
  local errors = parked(engine)
  assert.matches('field "pieces": 1e%+20 does not fit the 64 bits of an '
    .. "integer", errors.b)
  assert.equal(2.5, engine:get("weighed", "c").grams)
  for _, term in ipairs {
    "grams=eq.1e20", "grams=eq.100000000000000000000",
    "raw=is.not_null",
  } do
    local rows = assert(engine:query("weighed", { term }))
    assert.equal("a", rows[1].id)
    assert.equal(1, #rows)
  end
  engine:close()
  return errors
end

local data = {
  '{"id":"a","grams":100000000000000000000,"raw":[100000000000000000000,'
    .. "9223372036854775807,-9223372036854775809]}",
  '{"id":"b","pieces":100000000000000000000}',
  '{"id":"c","grams":2.5}',
}

local function append_to(events)
  local engine = assert(lunette.open { events = events, models = "memory:" })
  for _, text in ipairs(data) do
    assert(engine:append { stream = "s", type = "Weighed",
      data = assert(lunette.decode(text)) })
  end
  engine:close()
end

describe("a number beyond 64 bits", function()
  it("is a float to scripts and filters", function()
    local folder = helper.tmpdir()
    local events = "sqlite:" .. folder .. "/e.db"
    append_to(events)
    check { events = events, models = "memory:" }
    check { events = events, models = "sqlite:" .. folder .. "/m.db" }
  end)

  it("is shown with all of its digits", function()
    local folder = helper.tmpdir()
    local log = "sqlite:" .. folder .. "/e.db"
    local text = data[1]
    assert.equal(0, (helper.run { command, "append", "-e", log, "--stream",
      "s", "--type", "T", "--data", text }))
    local _, out = helper.run { command, "--json", "-e", log, "events" }
    assert.matches(text, out, 1, true)
  end)

  it("is refused beyond every double, before it is recorded", function()
    local folder = helper.tmpdir()
    local code, _, err = helper.run { command, "append", "-e", "sqlite:"
      .. folder .. "/e.db", "--stream", "s", "--type", "T", "--data",
      '{"n":1e400}' }
    assert.equal(1, code)
    assert.matches("invalid JSON at byte 6: number too large", err)
  end)

  it("beyond every double, recorded by others, parks its model", function()
    local folder = helper.tmpdir()
    local events = "sqlite:" .. folder .. "/e.db"
    append_to(events)
    assert.equal(0, (helper.run({ "sqlite3", folder .. "/e.db" }, { stdin =
      "INSERT INTO events (stream, version, type, data) VALUES ('s', 4, 'T',"
      .. [['{"id":"d","grams":-1e400}'), ('s', 5, 'T', ]]
      .. [['{"id":"e","raw":[1,1e400]}'), ('s', 6, 'T', ]]
      .. [['{"id":"f","grams":7,"unread":1e400}');]] })))
    local engine, ok, message = run { events = events, models = "memory:" }
    assert(ok, message)
    local errors = parked(engine)
    assert.matches("the number %-1e400 is beyond what a number can be",
      errors.d)
    assert.matches("number too large", errors.e)
    assert.equal(7, engine:get("weighed", "f").grams)
    engine:close()
  end)
end)

describe("a number beyond 64 bits #postgres", function()
  if not server then
    pending(reason)
    return
  end

  local database

  before_each(function()
    database = server:new_database()
  end)

  it("is a float to scripts and filters", function()
    local events = database:with ""
    append_to(events)
    check { events = events, models = database:with "" }
  end)

  for _, kind in ipairs { "json", "jsonb", "text" } do
    it("is one in a column of type " .. kind, function()
      database:sql("CREATE TABLE log (pos bigserial PRIMARY KEY, id text, "
        .. "stream text, type text, body " .. kind .. ")")
      for i, text in ipairs(data) do
        database:sql(("INSERT INTO log (id, stream, type, body) VALUES "
          .. "('%d', 's', 'Weighed', '%s')"):format(i,
          (text:gsub("100000000000000000000", "1e20"))))
      end
      database:sql [[INSERT INTO log (id, stream, type, body) VALUES
        ('4', 's', 'Weighed', '{"id":"d","grams":1e400}')]]
      local errors = check {
        events = database:with("layout=custom&table=log&position=pos&id=id"
          .. "&stream=stream&type=type&data=body&safe_head=serialised"),
        models = "memory:",
      }
      assert.matches("is beyond what a number can be", errors.d)
    end)
  end

  it("leaves it to the policy where a payload is no JSON", function()
    database:sql [[CREATE TABLE log (pos bigserial PRIMARY KEY, id text,
      stream text, type text, body bytea);
      INSERT INTO log (id, stream, type, body) VALUES
        ('1', 'a', 'T', '{"grams":1}'), ('2', 'a', 'T', '\x836d00ff'),
        ('3', 'b', 'T', '{"grams":3}')]]
    local engine = assert(lunette.open {
      events = database:with("layout=custom&table=log&position=pos&id=id"
        .. "&stream=stream&type=type&data=body&safe_head=serialised"),
      models = database:with "",
    })
    assert(engine:register { source = source:gsub("event%.data%.id",
      "event.stream") .. "" })
    assert(engine:run_once())
    assert.matches("event data: invalid JSON at byte 1", parked(engine).a)
    assert.equal(1, engine:get("weighed", "a").grams)
    assert.equal(3, engine:get("weighed", "b").grams)
    engine:close()
  end)
end)
