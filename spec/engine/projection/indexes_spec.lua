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
    assert.is_true(helper.now_ms() - began < 3000)
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
