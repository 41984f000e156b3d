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

  local place, database

  before_each(function()
    place = workplace.new()
    database = server:new_database()
    place.env.LUNETTE_MODELS = "sqlite:models.db"
    place:counter()
  end)

  local function state_is(wanted)
    helper.wait(function()
      local _, out = place:run { "status", "--json" }
      return out:find('"state":"' .. wanted .. '"', 1, true)
    end)
  end

  it("looks less often where a look is slow, and says so", function()
    place.env.LUNETTE_EVENTS = database.url
    place:count("a", 1)
    -- Each row costs 20 ms.
    database:sql [[
      CREATE VIEW slow AS SELECT * FROM lunette_events
      WHERE pg_sleep(0.02) IS NOT NULL]]
    place.env.LUNETTE_EVENTS = database:with("layout=custom&table=slow"
      .. "&position=position&transaction_id=transaction_id&id=id"
      .. "&stream=stream&version=version&type=type&data=data")
    local running = place:spawn { "run" }
    finally(function()
      running:kill "TERM"
      running:wait()
    end)
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

  it("looks soon again for what is only held back", function()
    database:sql [[
      CREATE TABLE log (number bigserial, id text, stream text, type text,
        data json);
      INSERT INTO log (id, stream, type, data)
      SELECT n, 'a', 'Counted', '{"id":"a","n":1}'
      FROM generate_series(1, 100000) AS n]]
    -- Of the number before the first one nobody knows whether it comes.
    place.env.LUNETTE_EVENTS = database:with("layout=custom&table=log"
      .. "&position=number&id=id&stream=stream&type=type&data=data"
      .. "&safe_head=gaps&grace_ms=1000")
    local code, _, err = place:run { "run", "--once", "--log-level", "info" }
    assert.equal(0, code, err)
    local before = err:match "^(.*)counter: catching_up"
    assert.is_truthy(before:find("counter: live", 1, true), err)
    assert.is_nil(before:find("looks every", 1, true), err)
  end)
end)
