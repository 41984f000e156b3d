-- A stop while the server of the models does not answer: what is to be written
-- then may be left out, so nobody waits for it one after the other.

local helper = require "spec.helper"
local kit = require "spec.engine.engine_kit"
local postgres = require "spec.postgres_server"
local proxies = require "proxy_test"

local PROJECTIONS = 60
local CALL_TIMEOUT_MS = 500

local server, why = postgres.start()

local script = [[
return {
  name = "NAME",
  version = 1,
  handles = { "Noted" },
  fields = { n = "integer" },
  extract_model_id = function() return "all" end,
  apply_to_model = function(_, event) return { n = event.data } end,
}
]]

describe("an engine whose models cannot be reached #threads #postgres",
  function()
    if not server then
      pending(why)
      return
    end

    local proxy, engine

    before_each(function()
      local dir = helper.tmpdir()
      proxy = proxies.start(dir .. "/.s.PGSQL.5432",
        server.dir .. "/.s.PGSQL.5432")
      engine = kit.open({
        events = "sqlite:" .. dir .. "/events.db",
        models = server:new_database().url:gsub("host=[^&]*", "host=" .. dir),
      }, { call_timeout_ms = tostring(CALL_TIMEOUT_MS) })
      for i = 1, PROJECTIONS do
        kit.register(engine, (script:gsub("NAME", "p" .. i)))
      end
      assert(engine:start())
    end)

    after_each(function()
      proxy:resume()
      kit.close_all()
      proxy:close()
    end)

    local function append_and_wait(type)
      local position =
        assert(engine:append { stream = "s", type = type, data = 1 })
      for i = 1, PROJECTIONS do
        assert(engine:wait { projection = "p" .. i, after = position })
      end
    end

    it("stops in a few call timeouts, however many projections it has",
      function()
        append_and_wait "Noted"
        for i = 1, PROJECTIONS do
          kit.wait_state(engine, "p" .. i, "live")
        end
        append_and_wait "Noted"
        append_and_wait "Other" -- only the positions move: kept in a while
        proxy:stall()
        local begun = helper.now_ms()
        assert(engine:stop())
        local took = helper.now_ms() - begun
        assert.is_true(took < 5 * CALL_TIMEOUT_MS, took .. " ms")
      end)
  end)
