-- Indexes in PostgreSQL are made when a projection has caught up, beside it.

local helper = require "spec.helper"
local kit = require "spec.engine.engine_kit"
local postgres = require "spec.postgres_server"
local pg_session = require "pg_session"

local server, why = postgres.start()

local SCRIPT = [[
return {
  name = "ledger",
  version = 1,
  fields = { total = "integer", owner = "text" },
  indexes = { "total", { "owner", "total" } },
  extract_model_id = function(event) return event.data.id end,
  apply_to_model = function(model, event)
    model = model or { total = 0 }
    model.total = model.total + 1
    model.owner = event.data.id
    return model
  end,
}
]]

describe("indexes in postgres #postgres #threads", function()
  if not server then
    pending(why)
    return
  end

  local database, engine

  before_each(function()
    database = server:new_database()
    engine = kit.open { events = database.url, models = database.url,
      poll_ms = "10" }
    kit.register(engine, SCRIPT)
  end)

  after_each(kit.close_all)

  local function append(count)
    local events = {}
    for i = 1, count do
      events[i] = { stream = "s", type = "Noted", data = { id = "m" .. i } }
    end
    assert(engine:append(events))
  end

  local function indexes()
    return tonumber(database:sql [[
      SELECT count(*) FROM pg_index WHERE indisvalid AND NOT indisprimary
      AND indrelid = to_regclass('lunette.ledger__b1')]])
  end

  it("are there after a run to the head, and after a rebuild", function()
    append(100)
    assert(engine:run_once())
    assert.equal(2, indexes())
    assert(engine:rebuild "ledger")
    assert.equal(0, indexes())
    assert(engine:run_once())
    assert.equal(2, indexes())
  end)

  it("are there after a step to the head", function()
    append(10)
    engine:step "ledger"
    assert.equal(2, indexes())
  end)

  it("wait for the head, where a pause ends the run before it", function()
    append(10)
    assert(engine:pause "ledger")
    assert(engine:run_once())
    assert.equal(0, indexes())
    assert(engine:resume "ledger")
    assert(engine:run_once())
    assert.equal(2, indexes())
  end)

  -- The making of an index waits for every older snapshot.
  local function hold()
    local session = pg_session.open(database.url)
    session:run "BEGIN ISOLATION LEVEL REPEATABLE READ"
    session:run "SELECT 1"
    return session
  end

  local function wait_making()
    helper.wait(function()
      return database:sql [[SELECT count(*) FROM pg_stat_progress_create_index
        WHERE phase LIKE 'waiting for%']] ~= "0"
    end)
  end

  it("hold up nobody while they are made", function()
    append(5)
    local holder = hold()
    assert(engine:start())
    wait_making()
    append(5)
    helper.wait(function()
      return database:sql "SELECT sum(total) FROM lunette.ledger" == "10"
    end)
    assert.equal(0, indexes())
    holder:close()
    helper.wait(function()
      return indexes() == 2
    end)
    assert(engine:stop())
  end)

  it("keep neither a stop nor a rebuild waiting", function()
    append(5)
    local holder = hold()
    assert(engine:start())
    wait_making()
    local began = helper.now_ms()
    assert(engine:stop())
    assert.is_true(helper.now_ms() - began < 15000)
    assert(engine:rebuild "ledger")
    holder:close()
    assert(engine:run_once())
    assert.equal(2, indexes())
  end)

  it("keep a step no longer than a call may last", function()
    local stepping = kit.open { events = database.url, models = database.url,
      call_timeout_ms = "500" }
    kit.register(stepping, SCRIPT)
    append(5)
    local holder = hold()
    local began = helper.now_ms()
    assert.equal(5, stepping:step "ledger")
    assert.is_true(helper.now_ms() - began < 10000)
    assert.equal(0, indexes())
    holder:close()
    stepping:close()
    assert(engine:run_once())
    assert.equal(2, indexes())
  end)
end)

for _, kind in ipairs { "sqlite", "#postgres" } do
  describe("indexes on " .. kind .. " stores", function()
    if kind == "#postgres" and not server then
      pending(why)
      return
    end

    local stores, ask

    before_each(function()
      if kind == "sqlite" then
        stores = kit.stores "sqlite"
        function ask(_, sqlite)
          local code, out, err = helper.run { "sqlite3", "-cmd",
            ".timeout 10000", stores.models:match ":(.*)", sqlite }
          assert(code == 0, err)
          return (out:gsub("\n$", ""))
        end
      else
        local database = server:new_database()
        stores = { events = database.url, models = database.url }
        function ask(postgresql)
          return database:sql(postgresql)
        end
      end
    end)

    after_each(kit.close_all)

    local function names()
      return (ask([[SELECT indexname FROM pg_indexes
        WHERE tablename = 'ledger__b1' AND indexname NOT LIKE '%pkey'
        ORDER BY indexname COLLATE "C"]],
        [[SELECT name FROM sqlite_schema WHERE type = 'index'
          AND sql IS NOT NULL AND tbl_name = 'ledger__b1' ORDER BY 1]])
        :gsub("ledger__b1__", ""):gsub("\n", " "))
    end

    -- A start with this text of the script, up to the head.
    local function run(indexes, owner)
      local engine = kit.open(stores)
      kit.register(engine, (SCRIPT:gsub("indexes = %b{}",
        "indexes = " .. indexes):gsub("model.owner = event.data.id",
        owner or "%0"):gsub("owner = \"text\"",
        '%0, owner__total = "integer"')))
      local done, message = engine:run_once()
      engine:close()
      return done, message
    end

    local function append()
      local engine = kit.open(stores)
      assert(engine:append { stream = "s", type = "Noted",
        data = { id = "m1" } })
      engine:close()
    end

    it("follow the script, without a rebuild", function()
      append()
      assert(run '{ "total", { "owner", "total" }, "owner__total" }')
      assert.equal("owner,total owner__total total", names())
      assert(run '{ "owner", { "owner", "total" } }')
      assert.equal("owner owner,total", names())
      ask("CREATE INDEX mine ON lunette.ledger__b1 (total)",
        "CREATE INDEX mine ON ledger__b1 (total)")
      assert(run "{}")
      assert.equal("mine", names())
      assert(run '{ "total" }')
      assert.equal("total mine", names())
    end)

    it("hold texts of one length on every store", function()
      append()
      local text = "model.owner = ('x'):rep(%d)"
      local done, message = run('{ "owner" }', text:format(2501))
      assert.is_nil(done)
      assert.matches('field "owner": 2501 bytes; as it is in an index it may '
        .. "have 2500", message)
      assert(run('{ "owner" }', text:format(2500)))
      assert.equal("owner", names())
      append()
      assert(run("{}", text:format(2501)))
      append()
      assert.is_nil(run('{ { "owner", "total" } }', text:format(3000)))
    end)
  end)
end
