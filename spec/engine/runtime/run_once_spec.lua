local helper = require "spec.helper"
local lunette = require "lunette"
local postgres = require "spec.postgres_server"

-- Of 40 events it handles the last 20, one in a batch, and takes its time.
local slow = [[
return {
  name = "slow",
  version = 1,
  extract_model_id = function(event) return event.stream end,
  on = {
    Handled = function(model)
      for _ = 1, 2000000 do end
      return model or {}
    end,
  },
}
]]

describe("a run to the head", function()
  local folder, engine

  local function open(models)
    engine = assert(lunette.open {
      events = "sqlite:" .. folder .. "/events.db",
      models = models or "memory:",
      batch_events = 1,
      live_events = 1,
    })
    assert(engine:register { source = slow, name = "slow.lua" })
  end

  before_each(function()
    folder = helper.tmpdir()
    open()
    local events = {}
    for i = 1, 40 do
      events[i] = { stream = "s", type = i > 20 and "Handled" or "Other",
        data = { n = i } }
    end
    assert(engine:append(events))
  end)

  after_each(function()
    engine:close()
  end)

  -- What was told of the projection, in the order in which it was.
  local function run()
    local told = {}
    assert(engine:run_once(function(list)
      told[#told + 1] = list[1]
    end))
    assert.is_true(#told > 2)
    return told
  end

  -- Each time the fraction is that of the events committed, of which one or two
  -- more are read: `unhandled` lie before those that were counted, of `count`.
  local function check(told, unhandled, count)
    for i = 1, #told - 1 do
      local done = told[i].events_done
      local passed = told[i].fraction * (count - 1) + 1
      assert.is_true(told[i].fraction < 1)
      if done > 3 then
        assert.is_true(math.abs(unhandled + done - passed) <= 3,
          ("%d events, fraction %f"):format(done, told[i].fraction))
      end
    end
    assert.same({ 1.0, 20 },
      { told[#told].fraction, told[#told].events_done })
  end

  it("tells how much of the way it has come, whatever it handles", function()
    check(run(), 20, 40)
  end)

  it("counts from the first event there is", function()
    engine:close()
    assert.equal(0, (helper.run { "sqlite3", folder .. "/events.db",
      "DELETE FROM events WHERE position <= 20" }))
    open()
    check(run(), 0, 20)
  end)

  it("counts from where it begins", function()
    for _ = 1, 10 do
      assert.equal(1, engine:step())
    end
    local told = run()
    assert.is_true(told[1].fraction < 0.4)
    assert.equal(1.0, told[#told].fraction)
  end)

  -- A look for requests finds it, which is no step of the run.
  it("ends when the model store fails it for good #postgres", function()
    local server, reason = postgres.start()
    if not server then
      pending(reason)
      return
    end
    local models = server:new_database()
    engine:close()
    open(models:with "schema=models")
    local events = {}
    for i = 1, 1000 do
      events[i] = { stream = "s", type = "Handled", data = { n = i } }
    end
    assert(engine:append(events))
    local dropped, limit = false, helper.now_ms() + 60000
    local done, err = engine:run_once(function()
      if not dropped then
        dropped = true
        models:sql "DROP TABLE models.lunette_requests"
      end
      return helper.now_ms() < limit
    end)
    assert.is_nil(done)
    assert.matches("^slow: .*lunette_requests.*missing", tostring(err))
  end)
end)
