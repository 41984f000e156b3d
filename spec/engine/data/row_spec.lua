require "spec.helper"
local values = require "values_test"

local function round_trip(row)
  return values.row_unpack(values.row_pack(row))
end

describe("a packed row", function()
  it("gives back every kind of value", function()
    local row = {
      { "null" },
      { "text", "Ada" },
      { "text", "" },
      { "text", "a\0b" },
      { "integer", math.maxinteger },
      { "integer", math.mininteger },
      { "number", 0.1 },
      { "number", -0.0 },
      { "boolean", 1 },
      { "boolean", 0 },
      { "timestamp", -1 },
      { "json", '{"a":[1,2]}' },
      { "null" },
    }
    local back = round_trip(row)
    assert.same(row, back)
    assert.equal(-math.huge, 1 / back[8][2])
  end)

  it("keeps long texts whole", function()
    local long = ("é"):rep(100000)
    assert.equal(long, round_trip({ { "text", long } })[1][2])
  end)

  it("may hold nothing", function()
    assert.equal("", values.row_pack {})
    assert.same({}, values.row_unpack "")
  end)

  it("is equal bytes for equal values", function()
    local function pack()
      return values.row_pack { { "text", "x" }, { "number", 1.5 }, { "null" } }
    end
    assert.equal(pack(), pack())
  end)
end)
