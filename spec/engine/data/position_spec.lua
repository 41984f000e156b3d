require "spec.helper"
local values = require "values_test"

describe("a position", function()
  it("goes to 32 hexadecimal digits and back", function()
    local pairs_of_words =
      { { 0, 0 }, { 0, 1 }, { 1, 0 }, { -1, -1 }, { 7, 255 } }
    for _, pair in ipairs(pairs_of_words) do
      local hex = values.position_to_hex(pair[1], pair[2])
      assert.truthy(hex:match "^[0-9a-f]+$")
      assert.equal(32, #hex)
      assert.same(pair, { values.position_from_hex(hex) })
    end
    assert.equal(
      "000000000000000100000000000000ff", values.position_to_hex(1, 255))
  end)

  it("is not read from anything else", function()
    local good = ("0"):rep(32)
    assert.equal(0, values.position_from_hex(good))
    for _, bad in ipairs {
      "", good:sub(2), good .. "0", good:sub(2) .. "g", good:sub(2) .. "A",
      " " .. good:sub(2), good:sub(2) .. "\0",
    } do
      assert.is_nil(values.position_from_hex(bad))
    end
  end)

  it("orders by its high half first, both without sign", function()
    local compare = values.position_compare
    assert.equal(0, compare(1, 2, 1, 2))
    assert.equal(-1, compare(0, 9, 1, 0))
    assert.equal(1, compare(1, 0, 0, 9))
    assert.equal(-1, compare(0, 1, 0, 2))
    assert.equal(-1, compare(0, 1, 0, -1))
    assert.equal(1, compare(-1, 0, 1, 0))
  end)

  it("orders as its digits do", function()
    local a = values.position_to_hex(0, 255)
    local b = values.position_to_hex(0, 256)
    local c = values.position_to_hex(1, 0)
    assert.is_true(a < b and b < c)
  end)
end)
