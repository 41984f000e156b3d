-- An engine of many projections on a server that takes few connections.

local helper = require "spec.helper"
local postgres = require "spec.postgres_server"
local workplace = require "spec.engine.cli.workplace"

local PROJECTIONS = 60

local own, reason = postgres.own { settings = { max_connections = 20 } }

describe("lunette run of many projections on #postgres", function()
  if not own then
    pending(reason)
    return
  end

  local place, database, engine

  before_each(function()
    place = workplace.new()
    place:counter()
    local source = place:read "projections/counter.lua"
    for i = 1, PROJECTIONS - 1 do
      place:write(("projections/p%d.lua"):format(i),
        (source:gsub('"counter"', ('"p%d"'):format(i))))
    end
    database = own:new_database()
    place.env.LUNETTE_MODELS = database.url
    place:count("a", 1)
  end)

  after_each(function()
    engine:kill "KILL"
    engine:wait()
    database:drop()
  end)

  local function start(url)
    engine = place:spawn { "-m", url, "--lease-ms", "3000", "--heartbeat-ms",
      "100", "run" }
  end

  local function count(condition)
    local done, value = pcall(database.sql, database,
      "SELECT count(*) FROM lunette." .. condition)
    return done and tonumber(value)
  end

  local function count_connections()
    return tonumber(database:sql [[SELECT count(*) FROM pg_stat_activity
      WHERE datname = current_database() AND application_name = 'lunette']])
  end

  local function all_live()
    helper.wait(function()
      return count "lunette_heartbeats WHERE state = 'live'" == PROJECTIONS
    end, 60)
  end

  local function goes_on()
    local soon = tonumber(database:sql [[SELECT extract(epoch
      FROM max(expires_at)) FROM lunette.lunette_owners]])
    place:count("a", 2)
    helper.wait(function()
      return count "lunette_checkpoints WHERE rows_revision > 2" == PROJECTIONS
        and count("lunette_owners WHERE extract(epoch FROM expires_at) > "
          .. soon) == PROJECTIONS
    end, 60)
    assert.is_nil(engine:stderr():find("standby", 1, true))
    assert.is_nil(engine:stderr():find("renewing", 1, true))
  end

  it("has them all live over ten connections", function()
    start(database.url)
    all_live()
    goes_on()
    assert.is_true(count_connections() <= 10)
    local shown = place:done { "get", "p7", "a" }
    assert.matches("total  3", shown)
    place:done { "pause", "p7" }
  end)

  it("has them live over fewer where no more are let in, and says so",
    function()
      database:sql [[CREATE ROLE few LOGIN CONNECTION LIMIT 3;
        CREATE SCHEMA lunette AUTHORIZATION few]]
      start(database:with(nil, "few"))
      all_live()
      goes_on()
      assert.is_true(count_connections() <= 3)
      assert.matches("too many connections for role \"few\"; goes on with the "
        .. "%d connections that are open, of 10 that the setting connections "
        .. "allows", engine:stderr())
    end)
end)
