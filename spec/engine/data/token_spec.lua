require "spec.helper"
local values = require "values_test"

-- XXH3-64 as xxhsum -H3 prints it.
local hashes = {
  [""] = "2d06800538d394c2",
  a = "e6c632b61e964e1f",
  abc = "78af5f94892f3950",
  ["3f2504e0-4f89-11d3-9a0c-0305e82c3301"] = "cf25f48b2d78d573",
}

describe("a token", function()
  it("is the format, half a hash of the identity and the position", function()
    for identity, hash in pairs(hashes) do
      for _, position in ipairs { { 0, 0 }, { 0, 42 }, { 7, -1 } } do
        local hi, lo = table.unpack(position)
        local token = values.token_format(identity, hi, lo)
        assert.equal(42, #token)
        assert.equal(("1%s-%016x%016x"):format(hash:sub(1, 8), hi, lo), token)
        assert.is_true(values.token_is(token))
        assert.same(position, { values.token_parse(token, identity) })
      end
    end
  end)

  it("sorts as its position does", function()
    local last = ""
    for _, position in ipairs { { 0, 9 }, { 0, 10 }, { 1, 0 }, { -1, 0 } } do
      local token = values.token_format("a", table.unpack(position))
      assert.is_true(last < token)
      last = token
    end
  end)

  it("is refused by any other event store", function()
    local token = values.token_format("a", 0, 1)
    local hi, message, code = values.token_parse(token, "abc")
    assert.is_nil(hi)
    assert.equal("invalid", code)
    assert.equal(('"%s" is a token of another event store, or of this one '
      .. "before it got another identity: those of abc begin with 178af5f94")
      :format(token), message)
    assert.matches("those of this one begin with 12d068005",
      select(2, values.token_parse(token, "")))
  end)

  it("is refused in a format that is not known", function()
    local token = "2" .. values.token_format("a", 0, 1):sub(2)
    for _, other in ipairs { token, token .. "00" } do
      local hi, message, code = values.token_parse(other, "a")
      assert.is_nil(hi)
      assert.equal("invalid", code)
      assert.matches("^\"2%x+%-%x+\" is a token of another format: this "
        .. "Lunette knows those that begin with 1$", message)
    end
  end)

  it("is refused when it is not whole", function()
    local good = values.token_format("a", 0, 255)
    for _, bad in ipairs {
      "", "1", good:sub(1, 9), good:sub(1, -2), good .. "0", " " .. good,
      good:upper(), good:sub(1, -2) .. "g", good:sub(1, -2) .. "\0",
      good:gsub("-", "_"), good:sub(2),
    } do
      local hi, message, code = values.token_parse(bad, "a")
      assert.is_nil(hi)
      assert.equal("invalid", code)
      assert.matches("is no token", message)
    end
  end)

  it("is told from what event stores write", function()
    for _, text in ipairs {
      "", "42", "9223372036854775807", "123456789:12", "1234:5678",
      "3f2504e0-4f89-11d3-9a0c-0305e82c3301", "yesterday-1", "123456789",
    } do
      assert.is_false(values.token_is(text))
    end
    assert.is_true(values.token_is "1e6c632b6-00")
    assert.is_false(values.token_is "1E6C632B6-00")
  end)
end)
