local workplace = require "spec.engine.cli.workplace"

describe("lunette checkpoint", function()
  local place, engine

  before_each(function()
    place = workplace.new()
    place:counter()
    place:count("a", 1)
    place:count("a", 2)
    place:done { "run", "--once" }
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

  it("shows how far a projection has come", function()
    local out = place:done { "checkpoint", "show", "counter" }
    assert.matches("\nposition +2\n", out)
    assert.matches('"position":"2"',
      place:done { "checkpoint", "show", "counter", "--json" }, 1, true)
  end)

  it("sets it, where no engine runs the projection", function()
    place:done { "checkpoint", "set", "counter", "1" }
    place:done { "run", "--once" }
    assert.equal("5", total())
  end)

  it("sets it in a running engine only while paused", function()
    engine = place:start "counter"
    local code, _, err = place:run { "checkpoint", "set", "counter", "1" }
    assert.equal(1, code)
    assert.matches("pause it", err, 1, true)
    place:done { "pause", "counter" }
    place:done { "checkpoint", "set", "counter", "1" }
    assert.matches("\nposition +1\n",
      place:done { "checkpoint", "show", "counter" })
  end)

  it("deletes a projection with its models", function()
    place:done { "checkpoint", "delete", "counter" }
    assert.equal(1, (place:run { "checkpoint", "show", "counter" }))
    place:done { "run", "--once" }
    assert.equal("3", total())
  end)

  it("refuses what is no position", function()
    local code, _, err = place:run { "checkpoint", "set", "counter", "x" }
    assert.equal(1, code)
    assert.matches('"x"', err, 1, true)
  end)

  it("refuses a position beyond the head", function()
    local code, _, err = place:run { "checkpoint", "set", "counter", "999" }
    assert.equal(1, code)
    assert.matches("counter: position 999 lies beyond the head", err, 1, true)
    place:count("a", 4)
    place:done { "run", "--once" }
    assert.equal("7", total())
  end)

  it("takes missing and surplus arguments as misuse", function()
    assert.equal(2, (place:run { "checkpoint", "set", "counter" }))
    assert.equal(2, (place:run { "checkpoint", "show", "counter", "1" }))
    assert.equal(2, (place:run { "checkpoint", "show" }))
  end)
end)
