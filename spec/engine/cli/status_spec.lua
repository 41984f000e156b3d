local workplace = require "spec.engine.cli.workplace"

describe("lunette status", function()
  local place

  before_each(function()
    place = workplace.new()
    place:counter()
  end)

  it("shows a line for each projection", function()
    place:count("a", 1)
    place:done { "run", "--once" }
    place:count("a", 1)
    local out = place:done { "status" }
    local title, line = out:match "^([^\n]*)\n([^\n]*)\n$"
    assert.equal("NAME STATE VERSION POSITION LAG RATE PARKED SKIPPED OWNER",
      (title:gsub(" +", " ")))
    assert.matches("^counter +stopped +1 +1 +1 %(%d", line)
  end)

  it("shows the last error whole, below", function()
    place:counter("return event.data.id", "error(('x'):rep(60))")
    place:count("a", 1)
    place:run { "run", "--once" }
    local out = place:done { "status" }
    assert.matches("counter +failed", out)
    assert.matches("\ncounter: event 1 [^\n]*" .. ("x"):rep(60) .. "\n", out)
  end)

  it("gives programs an array of objects", function()
    place:count("a", 1)
    place:done { "run", "--once" }
    local out = place:done { "status", "--json" }
    assert.matches('^%[\n{"name":"counter","state":"stopped",', out)
    assert.matches('"lag_events":0,', out, 1, true)
    assert.matches("\n%]\n$", out)
  end)

  it("knows scripts that have not run", function()
    place:done { "pause", "counter" }
    place:done { "checkpoint", "delete", "counter" }
    assert.matches("counter +new", place:done { "status" })
  end)
end)
