local helper = require "spec.helper"
local workplace = require "spec.engine.cli.workplace"

describe("lunette pause and resume", function()
  local place, engine

  before_each(function()
    place = workplace.new()
    place:counter()
  end)

  after_each(function()
    if engine then
      engine:kill "KILL"
      engine:wait()
      engine = nil
    end
  end)

  local function total()
    return place:sql("bank.db", "SELECT total FROM counter WHERE id = 'a'")
  end

  it("take effect in the running engine", function()
    place:count("a", 1)
    engine = place:start "counter"
    place:done { "pause", "counter" }
    helper.wait(function()
      return engine:stderr():find("counter: paused", 1, true)
    end)
    place:count("a", 1)
    assert.equal("1", total())
    place:done { "resume", "counter" }
    helper.wait(function()
      return total() == "2"
    end)
  end)

  it("last without an engine", function()
    place:count("a", 1)
    place:done { "run", "--once" }
    place:done { "pause", "counter" }
    assert.matches("paused", place:done { "status" }, 1, true)
    local _, _, silent = place:run { "run", "--once" }
    assert.not_matches("paused", silent)
    place:count("a", 1)
    local _, _, told = place:run { "run", "--once" }
    assert.matches("counter: paused, so it stays where it is", told, 1, true)
    assert.equal("1", total())
    place:done { "resume", "counter" }
    place:done { "run", "--once" }
    assert.equal("2", total())
  end)

  it("do not mind a script that is broken", function()
    place:count("a", 1)
    engine = place:start "counter"
    place:write("projections/counter.lua", "return {")
    place:done { "pause", "counter" }
    helper.wait(function()
      return engine:stderr():find("counter: paused", 1, true)
    end)
  end)

  it("do it themselves where the engine dies before it does", function()
    place:count("a", 1)
    engine = place:start "counter"
    engine:kill "STOP"
    local asking = place:spawn { "pause", "counter", "--timeout", "15" }
    helper.wait(function()
      return place:sql("bank.db", "SELECT count(*) FROM lunette_requests")
        == "1"
    end)
    engine:kill "KILL"
    assert.equal(0, asking:wait())
    assert.matches("paused", place:done { "status" }, 1, true)
    assert.equal("0",
      place:sql("bank.db", "SELECT count(*) FROM lunette_requests"))
  end)

  it("know what is no projection", function()
    place:count("a", 1)
    place:done { "run", "--once" }
    local code, _, err = place:run { "pause", "absent" }
    assert.equal(1, code)
    assert.matches('"absent" is not in the model store', err, 1, true)
    assert.equal(2, (place:run { "resume", "No Name" }))
  end)
end)
