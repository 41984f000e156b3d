-- Waiting until a projection has applied a position.

local helper = require "spec.helper"
local kit = require "spec.engine.engine_kit"

local function events(first, last)
  local list = {}
  for n = first, last do
    list[#list + 1] = { n = n, ids = "a" }
  end
  return list
end

local function log(engine)
  local model = engine:get("ledger", "a")
  return model and model.log
end

for _, kind in ipairs(kit.kinds) do
  describe("a wait on " .. kind .. " stores", function()
    local missing = kit.missing(kind)
    if missing then
      pending(missing)
      return
    end

    after_each(kit.close_all)

    local function open(settings)
      local engine = kit.open(kit.stores(kind), settings)
      kit.register(engine, kit.ledger())
      return engine
    end

    it("is over when everything there is has been applied #threads",
      function()
        local engine = open()
        assert(engine:start())
        for n = 1, 50 do
          kit.append(engine, events(n, n))
          assert.is_true(engine:wait { projection = "ledger",
            after = n % 2 == 0 and "strong" or nil })
          assert.matches("," .. n .. ",$", "," .. log(engine))
        end
      end)

    it("is over when one position has been applied #threads", function()
      local engine = open()
      assert(engine:start())
      for n = 1, 50 do
        local position = kit.append(engine, events(n, n))
        assert.is_true(engine:wait {
          projection = "ledger",
          after = position,
        })
        assert.matches("," .. n .. ",$", "," .. log(engine))
      end
    end)

    it("steps by itself where nobody else does", function()
      local engine = open { batch_events = 7, live_events = 7 }
      kit.append(engine, events(1, 100))
      assert.is_true(engine:wait { projection = "ledger", after = "50" })
      local status = kit.status(engine, "ledger")
      assert.is_true(tonumber(status.position) >= 50)
      assert.is_true(tonumber(status.position) < 60)
      assert.is_true(engine:wait { projection = "ledger" })
      assert.equal("100", kit.status(engine, "ledger").position)
    end)

    it("shows what was applied at once after it, also after a run",
      function()
        local engine = open { batch_events = 2, live_events = 2 }
        assert(engine:run_once()) -- with threads that fetch and commit
        for n = 1, 20 do
          kit.append(engine, events(3 * n - 2, 3 * n))
          assert(engine:wait {
            projection = "ledger",
            after = tostring(3 * n - 1),
          })
          assert.matches("," .. 3 * n - 1 .. ",", log(engine))
        end
      end)

    it("says in words how far it came #threads", function()
      local engine = open()
      kit.append(engine, events(1, 3))
      assert(engine:start())
      assert(engine:wait { projection = "ledger" })
      assert(engine:pause "ledger")
      kit.append(engine, events(4, 4))
      local ok, message, code =
        engine:wait { projection = "ledger", timeout = 0.05 }
      assert.is_nil(ok)
      assert.equal("timeout", code)
      assert.equal("ledger is at position 3 (paused) after waiting 50 ms for 4",
        message)
    end)

    it("waits for as long as it was told without workers too", function()
      local engine = open()
      kit.append(engine, events(1, 3))
      assert(engine:wait { projection = "ledger" })
      assert(engine:pause "ledger")
      kit.append(engine, events(4, 4))
      local before = helper.now_ms()
      local ok, message, code =
        engine:wait { projection = "ledger", timeout = 0.1 }
      assert.is_true(helper.now_ms() - before >= 100)
      assert.is_nil(ok)
      assert.equal("timeout", code)
      assert.matches("position 3 %(paused%) after waiting 100 ms for 4",
        message)
    end)

    it("fails with the projection", function()
      local engine = open()
      kit.append(engine, {
        { n = 1, ids = "a" },
        { n = 2, ids = "a", fail = true },
      })
      local ok, message, code = engine:wait { projection = "ledger" }
      assert.is_nil(ok)
      assert.equal("script", code)
      assert.matches("ledger: event 2 .*refused 2", message)
    end)

    it("fails with the projection that fails while it waits #threads",
      function()
        local engine = open()
        assert(engine:start())
        kit.append(engine, events(1, 1))
        assert(engine:wait { projection = "ledger" })
        kit.append(engine, { { n = 2, ids = "a", fail = true } })
        local ok, message, code = engine:wait { projection = "ledger" }
        assert.is_nil(ok)
        assert.equal("script", code)
        assert.matches("^ledger has failed: ledger: event 2 .*refused 2$",
          message)
        assert.is_true(engine:wait { projection = "ledger", after = "1" })
      end)

    it("does not fail with what has been mended #threads", function()
      local engine = open()
      for n = 1, 20 do
        kit.append(engine, { { n = n, ids = "a", fail = true } })
        kit.register(engine, kit.ledger())
        assert(engine:start())
        assert.is_nil((engine:wait { projection = "ledger" }))
        assert(engine:stop())
        kit.register(engine, kit.ledger { fixed = true })
        assert(engine:start())
        assert(engine:wait { projection = "ledger" })
        assert(engine:stop())
      end
    end)

    it("does not fail with what is about to try again #threads", function()
      local engine = open()
      kit.register(engine, [[
        local tries = 0
        return {
          name = "second", version = 1, fields = { n = "integer" },
          extract_model_id = function() return "a" end,
          apply_to_model = function(_, event)
            tries = tries + 1
            assert(tries % 2 == 0, "every other time")
            return { n = event.data.n }
          end,
        }]])
      assert(engine:start())
      for n = 1, 20 do
        kit.append(engine, events(n, n))
        kit.wait_state(engine, "second", "failed")
        assert(engine:resume "second")
        assert(engine:wait { projection = "second" })
        assert.equal(n, engine:get("second", "a").n)
      end
    end)

    it("refuses what is no position, and what is no projection", function()
      local engine = open()
      local ok, message, code =
        engine:wait { projection = "ledger", after = "soon" }
      assert.is_nil(ok)
      assert.matches("soon", message)
      assert.equal("invalid", code)
      ok, message, code = engine:wait { projection = "nobody", timeout = 0.1 }
      assert.is_nil(ok)
      assert.matches("nobody", message)
      assert.equal("not_found", code)
    end)

    it("does not take the position before a rebuild for the one after it "
      .. "#threads", function()
        local engine = open()
        kit.append(engine, events(1, 300))
        assert(engine:start())
        assert(engine:wait { projection = "ledger" })
        local expected = log(engine)
        for _ = 1, 10 do
          assert(engine:rebuild "ledger")
          assert(engine:wait { projection = "ledger" })
          assert.equal(expected, log(engine))
        end
      end)

    it("is not held up by events that nobody wants #threads", function()
      local engine = kit.open(kit.stores(kind))
      kit.register(engine, [[return {
        name = "few", version = 1, handles = { "Rare" },
        extract_model_id = function() return "a" end,
        apply_to_model = function(model)
          return { count = (model and model.count or 0) + 1 }
        end,
      }]])
      assert(engine:start())
      for _ = 1, 20 do
        kit.append(engine, events(1, 1))
        assert(engine:wait { projection = "few" })
      end
      assert.is_nil((engine:get("few", "a")))
    end)
  end)
end

describe("a wait", function()
  after_each(kit.close_all)

  local function open(times)
    local stores = kit.stores "sqlite"
    stores.models = "faulty+" .. stores.models
      .. "?fail=commit:1&code=unavailable&times=" .. times
    local engine = kit.open(stores)
    kit.register(engine, kit.ledger())
    kit.append(engine, events(1, 3))
    return engine
  end

  it("has patience with a store that is away", function()
    local engine = open(5)
    assert.is_true(engine:wait { projection = "ledger" })
    assert.equal("1,2,3,", log(engine))
  end)

  it("says in the end that it was away", function()
    local engine = open(1000)
    local ok, message, code =
      engine:wait { projection = "ledger", timeout = 0.05 }
    assert.is_nil(ok)
    assert.equal("unavailable", code)
    assert.matches("commit", message)
  end)
end)

describe("a wait for what another engine runs #threads", function()
  after_each(kit.close_all)

  local function pair()
    local stores = kit.stores "sqlite"
    local runner = kit.open(stores)
    kit.register(runner, kit.ledger())
    kit.register(runner, [[return {
      name = "few", version = 1, handles = { "Rare" },
      extract_model_id = function() return "a" end,
      apply_to_model = function() return { there = true } end,
    }]])
    assert(runner:start())
    kit.wait_state(runner, "ledger", "live")
    kit.wait_state(runner, "few", "live")
    return runner, kit.open(stores), stores
  end

  it("looks at what that one has committed", function()
    local _, waiter = pair()
    for n = 1, 20 do
      local position = kit.append(waiter, events(n, n))
      assert.is_true(waiter:wait {
        projection = "ledger",
        after = n % 2 == 0 and position or nil,
      })
      assert.matches("," .. n .. ",$", "," .. log(waiter))
    end
  end)

  it("does so where the script is registered too", function()
    local _, _, stores = pair()
    local waiter = kit.open(stores)
    kit.register(waiter, kit.ledger())
    kit.append(waiter, events(1, 1))
    assert.is_true(waiter:wait { projection = "ledger" })
    assert.equal("1,", log(waiter))
    assert(waiter:start())
    kit.wait_state(waiter, "ledger", "live")
    kit.append(waiter, events(2, 2))
    assert.is_true(waiter:wait { projection = "ledger" })
    assert.equal("1,2,", log(waiter))
  end)

  it("sees a position move over events that are not wanted", function()
    local runner, waiter = pair()
    assert(runner:append { stream = "s", type = "Rare" })
    assert.is_true(waiter:wait { projection = "few" })
    kit.append(waiter, events(1, 1))
    assert.is_true(waiter:wait { projection = "few", timeout = 10 })
  end)

  it("is in vain for what nobody runs", function()
    local runner, waiter = pair()
    runner:close()
    kit.append(waiter, events(1, 1))
    local ok, message, code =
      waiter:wait { projection = "ledger", timeout = 0.05 }
    assert.is_nil(ok)
    assert.equal("timeout", code)
    assert.matches("ledger is at position 0 %(run elsewhere, if at all%)",
      message)
  end)

  it("takes over when that one dies", function()
    local runner, _, stores = pair()
    local waiter = kit.open(stores)
    kit.register(waiter, kit.ledger())
    assert(waiter:start())
    kit.append(waiter, events(1, 1))
    assert(waiter:wait { projection = "ledger" })
    runner:close()
    kit.append(waiter, events(2, 2))
    assert.is_true(waiter:wait { projection = "ledger", timeout = 10 })
    assert.equal("1,2,", log(waiter))
  end)
end)
