local workplace = require "spec.engine.cli.workplace"

describe("lunette new", function()
  local place

  before_each(function()
    place = workplace.new()
  end)

  it("writes a script that is right and a spec that passes", function()
    assert.equal("projections/things.lua\nprojections/things_spec.lua\n",
      place:done { "new", "things" })
    assert.matches("things version 1", place:done { "check" }, 1, true)
    local code, out, err = place:run({ "test" },
      workplace.as_interpreter)
    assert.equal(0, code, out .. err)
  end)

  it("leaves files alone that exist", function()
    place:write("projections/things_spec.lua", "mine")
    local code, out, err = place:run { "new", "things" }
    assert.same({ 1, "" }, { code, out })
    assert.matches("things_spec.lua: it exists", err, 1, true)
    assert.equal("mine", place:read "projections/things_spec.lua")
    assert.is_nil(io.open(place:path "projections/things.lua"))
  end)

  it("makes the folder of scripts", function()
    place:done { "new", "things", "-p", "scripts" }
    assert.matches('name = "things"', place:read "scripts/things.lua", 1, true)
  end)

  it("needs a folder", function()
    place:write("one.lua", "mine")
    local code, out, err = place:run { "-p", "one.lua", "new", "things" }
    assert.same({ 1, "" }, { code, out })
    assert.equal("lunette new: one.lua is no folder: name one with -p, for "
      .. "things.lua to be written into\n", err)
  end)

  it("tells programs what it wrote, whatever the folder is called", function()
    assert.equal([[{"script":"a\"b/things.lua","spec":"a\"b/things_spec.lua"}]]
      .. "\n", place:done { "--json", "-p", 'a"b', "new", "things" })
  end)

  it("takes projection names only", function()
    for _, name in ipairs { "Things", "a__b", "../x", "a-b", "" } do
      local code, _, err = place:run { "new", name }
      assert.equal(2, code, name)
      assert.matches("projection name", err, 1, true)
    end
  end)
end)
