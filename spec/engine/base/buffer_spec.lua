require "spec.helper"
local values = require "values_test"

describe("a buffer", function()
  it("grows to hold what is added", function()
    local parts = {}
    for i = 1, 60 do
      parts[i] = string.char(32 + i):rep(i * 7)
    end
    local whole = table.concat(parts)
    assert.equal(whole, values.buffer_join(table.unpack(parts)))
    assert.equal("", values.buffer_join())
    assert.equal("", values.buffer_join("", ""))
    assert.equal("a\0b", values.buffer_join("a\0", "b"))
  end)

  it("prints, hands over a C string and is empty afterwards", function()
    local long = ("x"):rep(500)
    local text, length = values.buffer_printf(long, 42)
    assert.equal(long .. "=42", text)
    assert.equal(0, length)
  end)

  it("remembers that memory ran out until it is cleared", function()
    local failed, length, after_clear = values.buffer_exhaust()
    assert.is_true(failed)
    assert.equal(1, length)
    assert.is_false(after_clear)
  end)
end)
