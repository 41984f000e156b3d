-- retries: a failing call is tried again, later and later, before on_error.

local helper = require "spec.helper"
local lunette = require "lunette"
local kit = require "spec.engine.engine_kit"

-- Each event fails until its n-th try; the state that counts is the script's.
local source = [[
local tries = {}
return {
  name = "flaky",
  version = 1,
  fields = { log = "text" },
  on_error = "%s",
  retries = %d,
  extract_model_id = function(event)
    local data = event.data
    if data.extract then
      tries[event.id] = (tries[event.id] or 0) + 1
      assert(tries[event.id] >= data.extract, "no model yet")
    end
    return data.ids
  end,
  apply_to_model = function(model, event, id)
    local data = event.data
    model = model or { log = "" }
    model.log = model.log .. data.n .. ","
    local key = event.id .. id
    tries[key] = (tries[key] or 0) + 1
    assert(tries[key] >= (data.good_at or 1), "not yet")
    return model
  end,
}
]]

for _, kind in ipairs(kit.kinds) do
  describe("retries on " .. kind .. " stores", function()
    local missing = kit.missing(kind)
    if missing then
      pending(missing)
      return
    end

    after_each(kit.close_all)

    local function open(on_error, retries, settings)
      local engine = kit.open(kit.stores(kind),
        kit.merge({ retry_ms = 1, retry_max_ms = 4 }, settings or {}))
      kit.register(engine, source:format(on_error, retries), "flaky.lua")
      return engine
    end

    -- Some forty events, of which some need several tries.
    local function flaky_log()
      local list = {}
      for n = 1, 40 do
        list[n] = { n = n, ids = { "m" .. n % 3, "x" } }
      end
      list[1].good_at = 2
      list[2].good_at = 3
      list[20].extract = 3
      list[40].good_at = 4
      return list
    end

    it("bring an event through that fails for a while", function()
      for _, on_error in ipairs { "stop", "skip", "park" } do
        local engine = open(on_error, 6)
        kit.append(engine, flaky_log())
        assert(engine:run_once())
        local expected = {}
        for n = 1, 40 do
          expected[n] = n .. ","
        end
        assert.equal(table.concat(expected), engine:get("flaky", "x").log)
        assert.same({}, engine:parked "flaky")
        assert.same({}, engine:skipped "flaky")
      end
    end)

    it("give up after as many as were promised", function()
      local engine = open("stop", 2)
      kit.append(engine, {
        { n = 1, ids = "a", good_at = 4 },
        { n = 2, ids = "a" },
      })
      local ok, message = engine:run_once()
      assert.is_nil(ok)
      assert.matches("^flaky: event 1 .*not yet$", message)
      assert.is_nil((engine:get("flaky", "a")))
      assert(engine:run_once()) -- the fourth try
      assert.equal("1,2,", engine:get("flaky", "a").log)
    end)

    it("begin anew with every start", function()
      local engine = open("stop", 2)
      kit.append(engine, { { n = 1, ids = "a", good_at = 6 } })
      assert.is_nil((engine:run_once()))
      assert(engine:run_once())
      assert.equal("1,", engine:get("flaky", "a").log)
    end)

    it("end in parking or skipping, with the rest going on", function()
      local list = {
        { n = 1, ids = "a" },
        { n = 2, ids = { "a", "b" }, good_at = 9 },
        { n = 3, ids = { "a", "b", "c" } },
      }
      local engine = open("park", 1)
      kit.append(engine, list)
      assert(engine:run_once())
      assert.same({ a = { 2, 3 }, b = { 2, 3 } }, kit.parked(engine, "flaky"))
      assert.equal("3,", engine:get("flaky", "c").log)
      engine = open("skip", 1)
      kit.append(engine, list)
      assert(engine:run_once())
      assert.equal(2, #engine:skipped "flaky")
      assert.equal("1,3,", engine:get("flaky", "a").log)
    end)

    it("wait longer each time", function()
      local engine = open("stop", 4, { retry_ms = 40, retry_max_ms = 80 })
      kit.append(engine, { { n = 1, ids = "a", good_at = 5 } })
      local before = helper.now_ms()
      assert.is_false(engine:step "flaky")
      assert(engine:wait { projection = "flaky", timeout = 10 })
      assert.is_true(helper.now_ms() - before >= 40 + 80 + 80 + 80)
      assert.equal("1,", engine:get("flaky", "a").log)
    end)

    it("are cut short by a stop, without loss #threads", function()
      local engine = open("stop", 3, {
        retry_ms = 60000,
        retry_max_ms = 60000,
      })
      kit.append(engine, {
        { n = 1, ids = "a" },
        { n = 2, ids = "a", good_at = 3 },
      })
      assert(engine:start())
      helper.wait(function()
        local waiting = kit.status(engine, "flaky").waiting_for
        return waiting ~= lunette.null and waiting:find "the next try"
      end)
      assert.equal("1", kit.status(engine, "flaky").position)
      local before = helper.now_ms()
      assert.is_true(engine:stop())
      assert.is_true(helper.now_ms() - before < 20000)
      assert.equal("1,", engine:get("flaky", "a").log)
      kit.register(engine, source:format("stop", 0), "flaky.lua")
      assert.is_nil((engine:run_once()))
      assert.equal("1,", engine:get("flaky", "a").log)
    end)

    it("do not hold up the others #threads", function()
      local engine = open("stop", 3, { retry_ms = 60000 })
      kit.register(engine, kit.ledger())
      kit.append(engine, { { n = 1, ids = "a", good_at = 2 } })
      assert(engine:start())
      assert(engine:wait { projection = "ledger" })
      assert.equal("1,", engine:get("ledger", "a").log)
    end)
  end)
end
