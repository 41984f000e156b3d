local workplace = require "spec.engine.cli.workplace"

describe("lunette test", function()
  local place

  before_each(function()
    place = workplace.new()
    place:done { "new", "things" }
  end)

  it("runs the specs of a folder, in which lunette.testing is", function()
    local code, out, err = place:run({ "test", "projections" },
      workplace.as_interpreter)
    assert.equal(0, code, out .. err)
    assert.matches("2 successes", out, 1, true)
  end)

  it("fails with a spec that fails", function()
    local spec = place:read "projections/things_spec.lua"
    place:write("projections/things_spec.lua",
      (spec:gsub('equal%("second"', 'equal("third"')))
    local code, out = place:run({ "test" },
      workplace.as_interpreter)
    assert.equal(1, code)
    assert.matches("1 success / 1 failure", out, 1, true)
  end)

  it("says what to install if there is no busted", function()
    local code, _, err = place:run({ "test" }, { env = { PATH = "/nowhere" } })
    assert.equal(1, code)
    assert.matches("busted is not installed", err, 1, true)
  end)

  it("says that a folder is missing", function()
    local code, _, err = place:run { "test", "absent" }
    assert.equal(1, code)
    assert.matches("testing absent: No such file", err, 1, true)
  end)
end)
