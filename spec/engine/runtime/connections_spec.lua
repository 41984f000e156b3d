-- How many connections to PostgreSQL an engine has: at most three, and one for
-- each projection that runs.

local helper = require "spec.helper"
local kit = require "spec.engine.engine_kit"
local postgres = require "spec.postgres_server"

local server, why = postgres.start()

describe("an engine's connections to postgres #postgres #threads", function()
  if not server then
    pending(why)
    return
  end

  after_each(kit.close_all)

  it("to the models are few", function()
    local database = server:new_database()
    local engine = kit.open {
      events = "sqlite:" .. helper.tmpdir() .. "/events.db",
      models = database.url,
    }
    local names = { "one", "two", "three", "four" }
    for _, name in ipairs(names) do
      kit.register(engine, kit.ledger { name = name })
    end
    local list = {}
    for n = 1, 3000 do
      list[n] = { n = n, ids = { "a", "b" .. n } }
    end
    kit.append(engine, list)
    assert(engine:start())
    local most = 0
    local function look()
      local count = tonumber(database:sql [[
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'lunette']])
      most = math.max(most, count)
    end
    for _, name in ipairs(names) do
      helper.wait(function()
        look()
        local status = kit.status(engine, name)
        return status.state == "live" and status.position == "3000"
      end, 60)
    end
    look()
    assert.is_true(most >= #names)
    assert.is_true(most <= 3 + #names, most .. " connections")
    assert(engine:stop())
  end)
end)
