-- How many connections an engine has.

local helper = require "spec.helper"
local kit = require "spec.engine.engine_kit"
local lunette = require "lunette"
local postgres = require "spec.postgres_server"
local support = require "spec_support"

local server, why = postgres.start()

describe("an engine with few connections", function()
  after_each(kit.close_all)

  it("is refused where there are too few for anything", function()
    local engine, message, code = lunette.open {
      events = "memory:", models = "memory:", connections = 5 }
    assert.is_nil(engine)
    assert.equal("config", code)
    assert.equal("connections is 5, and an engine needs 6 to its events: for "
      .. "itself, to be told of new ones, to read the tail, to append, to "
      .. "catch up and to look", message)
  end)

  it("says what fewer of them leave room for", function()
    local folder = helper.tmpdir()
    helper.write_file(folder .. "/ledger.lua", kit.ledger())
    local child = helper.spawn { helper.lunette, "run", "--once",
      "-e", "memory:", "-m", "memory:", "-p", folder, "--connections", "6",
      "--log-level", "info" }
    assert.equal(0, child:wait(), child:stderr())
    assert.matches("connections is 6, so at most 1 projections catch up and 1 "
      .. "calls look at the same time", child:stderr(), 1, true)
  end)

  it("works with the least there may be #postgres", function()
    if not server then
      return pending(why)
    end
    local database = server:new_database()
    local engine = kit.open({ events = database.url, models = database.url },
      { connections = "6" })
    kit.register(engine, kit.ledger())
    kit.append(engine, { { n = 1, ids = "a" } })
    assert(engine:run_once())
    assert.equal("1,", engine:get("ledger", "a").log)
    assert.equal("stopped", kit.status(engine, "ledger").state)
    assert(engine:query "ledger")
    assert.is_true(tonumber(database:sql [[SELECT count(*)
      FROM pg_stat_activity WHERE datname = current_database()
      AND application_name = 'lunette']]) <= 2 * 6)
  end)

  local function count_connections(database)
    return tonumber(database:sql [[
      SELECT count(*) FROM pg_stat_activity
      WHERE datname = current_database() AND application_name = 'lunette']])
  end

  it("reads the log once for all that are live #postgres", function()
    if not server then
      return pending(why)
    end
    local database = server:new_database()
    local engine = kit.open {
      events = database.url,
      models = "sqlite:" .. helper.tmpdir() .. "/models.db",
      readers = 1,
    }
    local names = {}
    for i = 1, 25 do
      names[i] = "p" .. i
      kit.register(engine, kit.ledger { name = names[i] })
    end
    kit.append(engine, { { n = 1, ids = { "a" } } })
    assert(engine:start())
    local function wait_for(total)
      for _, name in ipairs(names) do
        helper.wait(function()
          local row = engine:get(name, "a")
          return row and row.total == total
            and kit.status(engine, name).state == "live"
        end, 60)
      end
    end
    wait_for(1)
    helper.wait(function()
      return count_connections(database) <= 5
    end)
    kit.append(engine, { { n = 2, ids = { "a" } } })
    wait_for(3)
    assert.is_true(count_connections(database) <= 5)
    assert(engine:stop())
  end)

  -- SQLite keeps the descriptors of those it closed as long as one is open.
  it("has few of them to begin with, too", function()
    local folder = helper.tmpdir()
    local engine = kit.open {
      events = "sqlite:" .. folder .. "/events.db", models = "memory:" }
    for i = 1, 60 do
      kit.register(engine, kit.ledger { name = "p" .. i })
    end
    kit.append(engine, { { n = 1, ids = { "a" } } })
    assert(engine:start())
    for i = 1, 60 do
      helper.wait(function()
        return kit.status(engine, "p" .. i).state == "live"
      end, 60)
    end
    local list = io.popen(("ls -l /proc/%d/fd"):format(support.getpid()))
    local _, open = list:read "a":gsub("/events%.db\n", "")
    list:close()
    assert.is_true(open <= 30, open .. " were open")
    assert(engine:stop())
  end)
end)
