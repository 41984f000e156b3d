local result = require "rows_as_json_test"

local null = { "null" }
local function text(value)
  return { "text", value }
end
local function integer(value)
  return { "integer", value }
end
local function json(value)
  return { "json", value }
end

describe("a value", function()
  local cases = {
    { null, "null" },
    { text 'a "b"\n', [["a \"b\"\n"]] },
    { text "", '""' },
    { text "a\xffü\xed\xa0\x80", '"a\u{fffd}ü\u{fffd}\u{fffd}\u{fffd}"' },
    { json '{"a":"\xff"}', '{"a":"\u{fffd}"}' },
    { integer(math.mininteger), "-9223372036854775808" },
    { { "number", 3.0 }, "3.0" },
    { { "number", 0.1 }, "0.1" },
    { { "boolean", true }, "true" },
    { { "boolean", false }, "false" },
    { { "timestamp", 0 }, '"1970-01-01T00:00:00.000000Z"' },
    { json '{"a":[1,2]}', '{"a":[1,2]}' },
  }
  for _, case in ipairs(cases) do
    it("of kind " .. case[1][1] .. " is " .. case[2], function()
      assert.equal(case[2], result.value(case[1]))
    end)
  end
end)

describe("a model", function()
  it("is its id and every field, in the schema's order", function()
    assert.equal('{"id":"a\\"1","balance":5,"owner":null,"tags":["x"]}',
      result.model({ "balance", "owner", "tags" }, 'a"1',
        { integer(5), null, json '["x"]' }))
  end)

  it("may have no fields", function()
    assert.equal('{"id":"a"}', result.model({}, "a", {}))
  end)

  it("has its fields in the order of its author", function()
    assert.equal('{"id":"a","owner":"Ada","balance":5}',
      result.model({ "balance", "owner", order = { 2, 1 } }, "a",
        { integer(5), text "Ada" }))
  end)

  it("has a number as id where the key is one", function()
    for _, id in ipairs { "-9223372036854775808", "0", "9007199254740993",
      "9223372036854775807" } do
      assert.equal('{"id":' .. id .. ',"n":1}',
        result.model({ "n", key = "integer" }, id, { integer(1) }))
    end
    assert.equal('{"id":"42"}', result.model({}, "42", {}))
  end)

  it("that is whole JSON gives its members", function()
    assert.equal('{"id":"a","b":1,"c":{"d":[]}}',
      result.model(nil, "a", { json '{"b":1,"c":{"d":[]}}' }))
    assert.equal('{"id":"a"}', result.model(nil, "a", { json "{}" }))
    assert.equal([[{"id":"a","a\"b":"c\\"}]],
      result.model(nil, "a", { json [[{"a\"b":"c\\"}]] }))
  end)

  it("that is whole JSON has one id, that of the model", function()
    assert.equal('{"id":"a","b":1,"idx":2}',
      result.model(nil, "a", { json '{"b":1,"id":"other","idx":2}' }))
    assert.equal('{"id":"a"}',
      result.model(nil, "a", { json '{"\\u0069d":1}' }))
  end)

  it("that is no object is a member", function()
    for _, value in ipairs { "[1]", '"{"', "5", "null", "[]" } do
      assert.equal('{"id":"a","model":' .. value .. "}",
        result.model(nil, "a", { json(value) }))
    end
    assert.equal('{"id":"a","model":null}', result.model(nil, "a", { null }))
  end)
end)

describe("a query", function()
  it("without rows is an empty array", function()
    assert.equal("[]", result.query({ "n" }, nil, {}))
  end)

  it("lists them in the order of the author, by number", function()
    local schema = { "a", "b", key = "integer", order = { 2, 1 } }
    assert.equal('[{"id":7,"b":2,"a":1}]',
      result.query(schema, nil, { { integer(7), integer(1), integer(2) } }))
  end)

  it("lists models", function()
    assert.equal('[{"id":"a","n":1},{"id":"b","n":null}]',
      result.query({ "n" }, nil, {
        { text "a", integer(1) }, { text "b", null },
      }))
    assert.equal('[{"id":"a","n":1},{"id":"b","model":[2]}]',
      result.query(nil, nil, {
        { text "a", json '{"n":1}' }, { text "b", json "[2]" },
      }))
  end)

  it("lists the columns selected, under the names asked for", function()
    assert.equal('[{"n":1,"id":"a","a.b":"x"}]',
      result.query({ "n", "a" }, { "n", "id", "a.b" }, {
        { integer(1), text "a", text "x" },
      }))
  end)

  it("fails as the store does", function()
    local rows, message = result.query({ "n" }, nil, nil)
    assert.is_nil(rows)
    assert.equal("no rows today", message)
  end)
end)
