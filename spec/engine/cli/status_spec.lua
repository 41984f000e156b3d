local helper = require "spec.helper"
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

  local function beat_later_by(seconds)
    place:sql("bank.db",
      "UPDATE lunette_heartbeats SET at = at + 1000000 * " .. seconds)
  end

  it("is not told by a clock who lives", function()
    place:count("a", 1)
    local engine = place:start("counter", { "--heartbeat-ms", "60000" })
    helper.wait(function()
      return place:done({ "status" }):find "counter +live"
    end)
    beat_later_by(-3600)
    assert.matches("counter +live .*process", place:done { "status" })
    engine:kill "KILL"
    engine:wait()
    beat_later_by(7200)
    assert.matches("counter +stopped[^\n]* –\n", place:done { "status" })
  end)

  it("knows scripts that have not run", function()
    place:count("a", 1)
    place:done { "run", "--once" } -- this makes the models
    place:done { "checkpoint", "delete", "counter" }
    assert.matches("counter +new", place:done { "status" })
  end)
end)
