-- A commit whose answer is lost may have landed or not. The engine must find
-- out: nothing lost, nothing doubled, and nobody has to help.

local helper = require "spec.helper"
local kit = require "spec.engine.engine_kit"

describe("a commit whose answer is lost", function()
  after_each(kit.close_all)

  local function run(fault)
    local folder = helper.tmpdir()
    local engine = kit.open({
      events = "sqlite:" .. folder .. "/events.db",
      models = "faulty+sqlite:" .. folder .. "/models.db?" .. fault,
      synchronous = "off",
    }, { batch_events = "2", live_events = "2" })
    kit.register(engine, kit.ledger { on_error = "park" })
    local list = {}
    for n = 1, 12 do
      list[n] = { n = n, ids = { "a", "b" .. n % 3 }, fail = n == 5 and "b2" }
    end
    kit.append(engine, list)
    local models, parked = kit.fold(list, "park")
    return engine, models, parked
  end

  local function check(fault, go)
    local engine, models, parked = run(fault)
    go(engine)
    assert.same(models, kit.models(engine, "ledger"), fault)
    assert.same(parked, kit.parked(engine, "ledger"), fault)
  end

  for _, landed in ipairs { "", "&when=after" } do
    local how = landed == "" and "had not landed" or "had landed"

    it("costs a running engine nothing if it " .. how, function()
      for n = 1, 6 do
        check("fail=commit:" .. n .. "&code=timeout" .. landed,
          function(engine)
            assert(engine:run_once())
          end)
      end
    end)

    it("costs two such in a row nothing if they " .. how, function()
      check("fail=commit:2&times=2&code=timeout" .. landed, function(engine)
        assert(engine:run_once())
      end)
    end)

    it("is told to who steps, who may go on, if it " .. how, function()
      check("fail=commit:2&code=timeout" .. landed, function(engine)
        local failures = 0
        repeat
          local applied, message, code = engine:step "ledger"
          if applied == nil then
            assert.equal("unavailable", code, message)
            failures = failures + 1
          end
        until applied == false
        assert.equal(1, failures)
      end)
    end)
  end

  for _, landed in ipairs { "", "&when=after" } do
    it("may be that of a request, after which anybody goes on" .. landed,
      function()
        local folder = helper.tmpdir()
        local events = "sqlite:" .. folder .. "/events.db"
        local models = "sqlite:" .. folder .. "/models.db"
        local engine = kit.open {
          events = events,
          models = "faulty+" .. models .. "?fail=set_paused:1&code=timeout"
            .. landed,
        }
        local other = kit.open { events = events, models = models }
        local list = { { n = 1, ids = "a" } }
        kit.append(engine, list)
        for _, each in ipairs { engine, other } do
          kit.register(each, kit.ledger())
        end
        assert.equal("timeout", select(3, engine:pause("ledger", 5)))
        assert(other:resume("ledger", 5))
        assert.equal(1, other:step "ledger")
        assert.same(kit.fold(list, "stop"), kit.models(other, "ledger"))
      end)
  end

  it("may be that of a request, which cannot land late", function()
    local folder = helper.tmpdir()
    local models = folder .. "/models.db"
    local engine = kit.open {
      events = "sqlite:" .. folder .. "/events.db",
      models = "faulty+sqlite:" .. models
        .. "?fail=set_paused:1&code=timeout",
    }
    kit.register(engine, kit.ledger())
    kit.append(engine, { { n = 1, ids = "a" } })
    local function fence()
      local _, out = helper.run { "sqlite3", models,
        "SELECT fence FROM lunette_owners" }
      return tonumber(out)
    end
    assert.equal(1, engine:step "ledger")
    local before = fence()
    assert.equal("timeout", select(3, engine:pause("ledger", 5)))
    assert.is_false(engine:step "ledger")
    assert.equal(before + 1, fence())
  end)

  it("may be that of taking the projection over", function()
    check("fail=acquire:1&code=timeout", function(engine)
      assert(engine:run_once())
    end)
  end)
end)
