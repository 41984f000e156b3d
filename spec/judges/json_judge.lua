-- JSONTestSuite, as npm has it: what must be taken is taken, what must not is
-- refused. spec/engine/json/suite_spec.lua says what becomes of the rest.

local helper = require "spec.helper"
local kit = require "spec.judges.judge_kit"
local lunette = require "lunette"

-- Refused on purpose: keys that occur twice.
local stricter = {
  ["y_object_duplicated_key.json"] = true,
  ["y_object_duplicated_key_and_value.json"] = true,
}

describe("JSONTestSuite #judges", function()
  if kit.missing then
    pending(kit.missing)
    return
  end

  it("is decoded as it demands", function()
    local code, out, err = helper.run({ "node", "json.mjs" },
      { cwd = kit.folder })
    assert(code == 0, err)
    local count = 0
    for line in out:gmatch "[^\n]+" do
      local case = assert(lunette.decode(line))
      local taken = lunette.decode(case.input) ~= nil
      local kind = case.name:sub(1, 1)
      count = count + 1
      if kind ~= "i" then
        assert.equal(kind == "y" and not stricter[case.name], taken,
          case.name)
      end
    end
    assert.equal(318, count)
  end)
end)
