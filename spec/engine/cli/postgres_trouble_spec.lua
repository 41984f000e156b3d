-- Engines whose role, server and neighbours on PostgreSQL are not as they were
-- when they started.

local helper = require "spec.helper"
local pg_session = require "pg_session"
local postgres = require "spec.postgres_server"
local workplace = require "spec.engine.cli.workplace"

local server, reason = postgres.start()

describe("lunette run on #postgres", function()
  if not server then
    pending(reason)
    return
  end

  local place, database, role, children
  local count = 0

  before_each(function()
    count = count + 1
    role = ("worker_%x_%d"):format(helper.now_ms() // 1, count)
    place = workplace.new()
    place:counter()
    database = server:new_database()
    database:sql("CREATE ROLE " .. role .. " LOGIN;"
      .. "CREATE SCHEMA lunette AUTHORIZATION " .. role)
    place.env.LUNETTE_EVENTS = database.url
    place:count("a", 1)
    database:sql("GRANT SELECT ON lunette_events, lunette_event_store TO "
      .. role)
    place.env.LUNETTE_MODELS = database:with(nil, role)
    children = {}
  end)

  after_each(function()
    for _, child in ipairs(children) do
      child:kill "KILL"
      child:wait()
    end
    database:drop()
    server:sql("postgres", "DROP ROLE " .. role)
  end)

  local function start(words)
    local engine = place:spawn { "-e", database:with(nil, role), "--retry-ms",
      "50", "--retry-max-ms", "200", "run", table.unpack(words or {}) }
    children[#children + 1] = engine
    return engine
  end

  local function total()
    return database:sql "SELECT total FROM lunette.counter WHERE id = 'a'"
  end

  local function becomes(expected)
    helper.wait(function()
      local done, value = pcall(total)
      return done and value == expected
    end)
  end

  local function logs(engine, pattern)
    return helper.wait(function()
      return engine:stderr():match(pattern)
    end)
  end

  local ways = {
    ["its login is taken away"] = { "ALTER ROLE %s NOLOGIN",
      "ALTER ROLE %s LOGIN", "not permitted to log in" },
    ["its database is closed to it"] = {
      "REVOKE CONNECT ON DATABASE %s FROM PUBLIC",
      "GRANT CONNECT ON DATABASE %s TO PUBLIC", "permission denied" },
  }
  for words, way in pairs(ways) do
    it("waits while " .. words, function()
      local engine = start()
      becomes "1"
      local name = way[1]:find "ROLE" and role or database.name
      database:sql(way[1]:format(name))
      database:terminate()
      logs(engine, "counter waits: [^\n]*" .. way[3])
      database:sql(way[2]:format(name))
      place:count("a", 2)
      becomes "3"
      assert.is_nil(engine:stderr():find("counter: failed", 1, true))
      database:sql(way[1]:format(name))
      local code, _, err = place:run { "run", "--once" }
      assert.equal(1, code)
      assert.matches(way[3], err)
      database:sql(way[2]:format(name))
    end)
  end

  it("writes where its transactions are read-only by default", function()
    database:sql("ALTER ROLE " .. role
      .. " SET default_transaction_read_only = on")
    place:counter("version = 1,", 'version = 1, indexes = { "total" },')
    local one = start { "--lease-ms", "500", "--heartbeat-ms", "50" }
    becomes "1"
    local two = start { "--lease-ms", "500" }
    logs(two, "counter: standby")
    place:done { "pause", "counter" }
    place:done { "resume", "counter" }
    place:done { "rebuild", "counter" }
    helper.wait(function()
      return database:sql [[SELECT count(*) FROM pg_index
        WHERE indexrelid = to_regclass('lunette.counter__b1__total')
        AND indisvalid]] == "1"
    end)
    local function expires()
      return tonumber(database:sql
        "SELECT extract(epoch FROM expires_at) FROM lunette.lunette_owners")
    end
    local before = expires()
    helper.wait(function()
      return expires() > before + 0.5
    end)
    assert.is_nil(one:stderr():find("renewing", 1, true))
    assert.is_nil(two:stderr():find("counter: live", 1, true))
  end)

  it("is refused where rows are hidden from it", function()
    place:done { "-e", database:with(nil, role), "run", "--once" }
    database:sql [[ALTER TABLE lunette.counter__b1 ENABLE ROW LEVEL SECURITY;
      ALTER TABLE lunette.counter__b1 FORCE ROW LEVEL SECURITY]]
    local code, _, err = place:run { "-e", database:with(nil, role), "run",
      "--once" }
    assert.equal(1, code)
    assert.matches('row security hides rows of table "counter__b1"', err)
    assert.matches("counter", place:done { "status" })
  end)

  -- Nobody else waits behind it meanwhile, and nothing is given up.
  it("rebuilds when whoever reads the models is done", function()
    local engine = start()
    becomes "1"
    database:sql "UPDATE lunette.counter SET total = 99"
    local reader = pg_session.open(database.url)
    reader:run "BEGIN; SELECT count(*) FROM lunette.counter"
    helper.wait(function() -- a busy machine may not get to it in a second
      local code, _, err = place:run { "-e", database:with(nil, role),
        "rebuild", "counter", "--timeout", "1" }
      assert.equal(1, code)
      return err:find("within 1000 ms, and will not do it any more: rebuild: a "
        .. "lock is held by process %d+ %(user postgres, program")
    end)
    assert.equal("99", total())
    local asker = place:spawn { "-e", database:with(nil, role), "rebuild",
      "counter" }
    children[#children + 1] = asker
    helper.wait(function()
      return place:done({ "status", "--json" }):find "lock is held by process"
    end)
    place:count("a", 2)
    becomes "101"
    reader:close()
    assert.equal(0, asker:wait(), asker:stderr())
    assert.equal("3", total())
    logs(engine, "counter: rebuild: done")
    assert.is_nil(place:done({ "status", "--json" }):find "lock is held by")
  end)

  it("does nothing any more for who gave up while it was held up", function()
    place.env.LUNETTE_MODELS = database.url -- looks for no hidden rows
    start()
    becomes "1"
    database:sql "UPDATE lunette.counter SET total = 99"
    local holder = pg_session.open(database.url)
    holder:run "BEGIN; LOCK lunette.lunette_checkpoints"
    local code, _, err = place:run { "-e", database:with(nil, role),
      "rebuild", "counter", "--timeout", "1" }
    assert.equal(1, code)
    assert.matches("within 1000 ms", err, 1, true)
    holder:close()
    place:count("a", 1)
    becomes "100"
  end)

  it("lets a command wait for them where no engine runs", function()
    place:done { "-e", database:with(nil, role), "run", "--once" }
    database:sql "UPDATE lunette.counter SET total = 99"
    local reader = pg_session.open(database.url)
    reader:run "BEGIN; SELECT count(*) FROM lunette.counter"
    local asker = place:spawn { "-e", database:with(nil, role), "rebuild",
      "counter" }
    children[#children + 1] = asker
    logs(asker, "counter waits: rebuild: a lock is held by process")
    reader:close()
    assert.equal(0, asker:wait(), asker:stderr())
    assert.equal("1", total())
  end)
end)
