local helper = require "spec.helper"
local workplace = require "spec.engine.cli.workplace"

describe("lunette rebuild", function()
  local place, engine

  before_each(function()
    place = workplace.new()
    place:counter()
    place:count("a", 1)
    place:count("a", 2)
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

  it("replays where nobody runs the projection", function()
    place:done { "run", "--once" }
    place:sql("bank.db", "UPDATE counter__b1 SET total = 99")
    local _, _, err = place:run { "rebuild", "counter" }
    assert.matches("counter: 2 events in", err, 1, true)
    assert.equal("3", total())
  end)

  it("builds the models of a raised version", function()
    place:done { "run", "--once" }
    place:counter("version = 1", "version = 2")
    local code, _, err = place:run { "run", "--once" }
    assert.equal(1, code)
    assert.matches("lunette rebuild counter", err, 1, true)
    place:done { "rebuild", "counter" }
    place:done { "run", "--once" }
    assert.equal("3", total())
    assert.matches("counter +stopped +2 ", place:done { "status" })
  end)

  it("ends a pause, with an engine and without", function()
    place:done { "run", "--once" }
    place:done { "pause", "counter" }
    place:count("a", 4)
    local _, _, err = place:run { "rebuild", "counter" }
    assert.matches("counter: 3 events in", err, 1, true)
    assert.matches("counter +stopped ", place:done { "status" })
    engine = place:start "counter"
    place:done { "pause", "counter" }
    place:count("a", 8)
    place:done { "rebuild", "counter" }
    assert.equal("15", total())
    helper.wait(function()
      return place:done({ "status" }):find "counter +live "
    end)
  end)

  it("is done by the engine that runs it, and waited for", function()
    engine = place:start "counter"
    place:sql("bank.db", "UPDATE counter__b1 SET total = 99")
    local code, _, err = place:run { "rebuild", "counter" }
    assert.equal(0, code, err)
    assert.equal("3", total())
    assert.matches("counter: rebuild: done", engine:stderr(), 1, true)
  end)

  it("returns once the models are cleared, if asked to", function()
    engine = place:start "counter"
    place:sql("bank.db", "UPDATE counter__b1 SET total = 99")
    place:done { "rebuild", "--no-wait", "counter" }
    helper.wait(function()
      return total() == "3"
    end)
  end)
end)
