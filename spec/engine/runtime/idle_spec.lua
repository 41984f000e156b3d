-- What an engine with nothing to do costs those whose stores it looks at.

local helper = require "spec.helper"
local workplace = require "spec.engine.cli.workplace"
local postgres = require "spec.postgres_server"

describe("an idle engine #postgres", function()
  local server, reason = postgres.start()
  if not server then
    pending(reason)
    return
  end

  local place, database, running

  before_each(function()
    place = workplace.new()
    database = server:new_database()
    place.env.LUNETTE_EVENTS = database.url
    place.env.LUNETTE_MODELS = "sqlite:models.db"
    place:counter()
    place:count("a", 1)
    -- Each row costs 20 ms.
    database:sql [[
      CREATE VIEW slow AS SELECT * FROM lunette_events
      WHERE pg_sleep(0.02) IS NOT NULL]]
    place.env.LUNETTE_EVENTS = database:with("layout=custom&table=slow"
      .. "&position=position&transaction_id=transaction_id&id=id"
      .. "&stream=stream&version=version&type=type&data=data")
    running = place:spawn { "run" }
  end)

  after_each(function()
    running:kill "TERM"
    running:wait()
  end)

  local function state_is(wanted)
    helper.wait(function()
      local _, out = place:run { "status", "--json" }
      return out:find('"state":"' .. wanted .. '"', 1, true)
    end)
  end

  it("looks less often where a look is slow, and says so", function()
    local seconds = helper.wait(function()
      return running:stderr():match "looks every ([%d.]+) s"
    end)
    assert.is_true(tonumber(seconds) >= 2, seconds)
    place.env.LUNETTE_EVENTS = database.url
    place:count("a", 1)
    state_is "live"
    place:done { "pause", "counter" }
    state_is "paused"
    place:done { "resume", "counter" }
    helper.wait(function()
      local _, out = place:run { "get", "counter", "a" }
      return out:find "2"
    end)
  end)
end)
