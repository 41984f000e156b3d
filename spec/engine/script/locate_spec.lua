-- The line in front of a complaint about a script's table.

local script_test = require "script_test"

-- The line that the complaint about `source` names, or false; and the rest.
local function complaint(source)
  local script, err = script_test.load(source)
  assert.is_nil(script)
  assert.equal("script", err.code)
  local line, what = err.message:match "^script%.lua:(%d+): (.*)$"
  if line then
    return tonumber(line), what
  end
  return false, err.message:match "^script%.lua: (.*)$"
end

-- A script that is right but for these lines, which begin on line 6.
local function with(...)
  return table.concat({
    "return {",
    "  name = 'p',",
    "  version = 1,",
    "  extract_model_id = function(event) return event.data.id end,",
    "  apply_to_model = function(model) if model then return model end end,",
    table.concat({ ... }, "\n"),
    "}",
  }, "\n")
end

local function assert_line(expected, what, source)
  local line, found = complaint(source)
  assert.matches(what, found, 1, true)
  assert.equal(expected, line)
end

describe("the line of a complaint", function()
  it("is that of the key", function()
    assert_line(7, "retries: ", with("  fields = { a = 'text' },",
      "  retries = 1000,"))
    assert_line(8, "on_error: ", with("  fields =", "    { a = 'text' };",
      "  ['on_error']", "    = 5"))
    assert_line(6, "extractor: unknown field", with "extractor = 1")
    assert_line(6, "indexes: expected a list", with "indexes = 'a'")
  end)

  it("is that of the key in fields or on", function()
    assert_line(8, 'fields.b: unknown type "txt"',
      with("  fields = {", "    a = 'text',", "    ['b'] = 'txt',", "  },"))
    assert_line(7, 'field name "a b"',
      with("  fields = {", "    ['a b'] = 'text',", "  },"))
    assert_line(5, "on.B: expected a function", "return {\n"
      .. "name = 'p', version = 1, extract_model_id = type, on = {\n"
      .. "A = function(model) return { B = 1, model } end,\n\n"
      .. 'B = 1, C = type } }')
  end)

  it("is that of the item in a list", function()
    assert_line(8, "handles[2]: expected text",
      with("  handles = {", "    'A',", "    5, 'C',", "  },"))
    assert_line(9, 'indexes[2]: unknown field "b"', with(
      "  fields = { a = 'text' },", "  indexes = {", "    { 'a' or 'b' },",
      "    { 'b' },", "  },"))
    assert_line(7, "indexes: index 2 names field", with(
      "  fields = { a = 'text' },", "  indexes = {", "    'a',",
      "    { 'a', 'a' },", "  },"))
  end)

  it("is that of the return where something is missing", function()
    assert_line(3, "name: expected text, got nothing",
      "local v = 1\n\nreturn { version = v }")
    assert_line(2, "the script must return a table", "\nreturn nil")
  end)

  it("is that of the last where a key is there twice", function()
    assert_line(7, "retries: ", with("  retries = 1,", "  retries = -1,"))
    assert_line(7, "retries: ", with("  retries = -1,", "  retries = -2,"))
  end)

  it("does not take a comment or a string for a key", function()
    assert_line(15, "retries: ", with(
      "  -- retries = 1,",
      "  --[[ retries = 1,",
      "  ]] --[==[",
      "  retries = 1, ]] ]=] ]===]",
      "  ]==] --[=",
      "  handle_query = function() return [=[",
      "  retries = 1, ]]",
      "  ]=], 'retries = 1 \\'}\\",
      "  }', \"\\\"}\\z",
      "  \" end, retries = -1,"))
  end)

  it("does not take other tables and assignments for it", function()
    assert_line(11, "retries: ", with(
      "  handle_query = function(store, query)",
      "    local t = { retries = 1 }; retries = t.retries, 2",
      "    for i = 1, 2 do while i < 1 do break end end",
      "    repeat local x = { { retries = 1 }, t[1] } until x == { }",
      "    if query.x == 1 then elseif t then else end return t end,",
      "  retries = -1,"))
    assert_line(2, "name: ", "local name\nreturn { name = 5,\n"
      .. "name == 5 or nil }")
    assert_line(2, "version: ", "local t = { version = 1 }; "
      .. "local function f() return { version = 2 } end\n"
      .. "return { version = 0, name = f and t.name or 'p' }")
  end)

  it("counts ends of lines as Lua does", function()
    assert_line(3, "name: ", "\r\nlocal a\n\rreturn { name = 1, a }")
    assert_line(3, "name: ", "\r\rreturn { name = 1 }")
    assert_line(3, "name: ", "--\r--[[\r\n]] return { name = 1 }")
  end)

  it("is left out where a table is built by code", function()
    for _, source in ipairs {
      "local t = { name = 1 }\nreturn t",
      "local t = {}\nt.name = 1\nreturn t",
      "local function f(t) t.name = 1 return t end\nreturn f { name = 'p' }",
      "return ({ name = 1 })",
      "return { name = 'p' } and { name = 1 }",
      "return { name = 'p', ['na' .. 'me'] = 1 }",
      "return { name = 'p', ['na\\109e'] = 1 }",
      "return { name = 'p', [ [[name]] ] = 1 }",
      "if true then return { name = 1 } end\nreturn { name = 'p' }",
      "do return { name = 1 }; end\nreturn { name = 'p' }",
    } do
      assert_line(false, "name: expected text, got a number", source)
    end
  end)

  it("is left out where only an entry's table is built by code", function()
    for _, fields in ipairs {
      "(function() return { b = 'txt' } end)()",
      "{ b = 'text' } and { b = 'txt' }",
      "{ b = 'text', ['b' .. ''] = 'txt' }",
      "math.max(1, 2) == 2 and { b = 'txt' }",
    } do
      assert_line(false, "fields.b: unknown type",
        with("  fields = " .. fields .. ","))
    end
    assert_line(false, "handles[2]: expected text",
      with "  handles = (function() return { 'A', 5 } end)(),")
    assert_line(false, "handles[3]: expected text",
      with "  handles = { 'A', table.unpack { 'B', 5 } },")
  end)
end)
