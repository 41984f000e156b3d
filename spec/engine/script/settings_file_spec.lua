local helper = require "spec.helper"
local script_test = require "script_test"

local path = helper.tmpdir() .. "/lunette.lua"

local function load(text)
  helper.write_file(path, text)
  local pairs_, err = script_test.settings(path)
  if not pairs_ then
    assert.equal("config", err.code)
    return nil, (err.message:gsub("^.-lunette%.lua:", "lunette.lua:"))
  end
  local lines = {}
  for i, pair in ipairs(pairs_) do
    lines[i] = pair[1] .. "=" .. pair[2]
  end
  return lines
end

describe("a settings file", function()
  it("gives its pairs in the order of their names", function()
    assert.same({
      "batch_events=5000",
      "events=sqlite:events.db",
      "models=sqlite:models.db",
      "projections=projections",
      "verbose=true",
    }, load [[
      local folder = "sqlite:"
      return {
        verbose = true,
        events = folder .. "events.db",
        models = folder .. "models.db",
        batch_events = 5e3,
        projections = "projections",
      }]])
  end)

  it("gives a list as one pair for each of its values", function()
    assert.same({
      "projections=b", "projections=a.lua", "projections=7",
    }, load 'return { projections = { "b", "a.lua", 7 } }')
    assert.same({}, load "return { projections = {} }")
  end)

  it("may be empty", function()
    assert.same({}, load "return {}")
  end)

  it("is told what is wrong with it", function()
    for text, message in pairs {
      ["return {"] = "lunette.lua:1: unexpected symbol near <eof>",
      ["\nerror 'no'"] = "lunette.lua:2: no",
      [""] = "lunette.lua: must return a table of settings, got nil",
      ["return 5"] = "lunette.lua: must return a table of settings, "
        .. "got number",
      ["return { 'x' }"] = "lunette.lua: expected settings by name, such as "
        .. 'events = "sqlite:events.db"',
      ["return { a = {} , b = { c = 1 } }"] =
        "lunette.lua: b: expected a value or a list of values",
      ["return setmetatable({}, { __index = { a = 1 } })"] =
        "lunette.lua: the settings must be a plain table without a metatable",
      ["return { a = setmetatable({}, { __index = { 'x' } }) }"] =
        "lunette.lua: a must be a plain table without a metatable",
      ["return { a = type }"] =
        "lunette.lua: a: expected text, a number or a boolean, "
        .. "got a function",
      ["return { a = { {} } }"] =
        "lunette.lua: a: expected text, a number or a boolean, got a table",
      ["return { a = 1.5 }"] =
        "lunette.lua: a: expected a whole number, got 1.5",
      ["return { a = 1e19 }"] = "lunette.lua: a: expected a whole number of "
        .. "at most 64 bits, got 1e+19",
      ["return { a = 'x\\0y' }"] = "lunette.lua: a: has a NUL byte",
      ["return { a = os.getenv 'HOME' }"] =
        'lunette.lua:1: undefined variable "os"',
      ["while true do end"] =
        "lunette.lua:1: ran more than 10000000 instructions in one call",
      ["local t = {} while true do t[#t + 1] = {} end"] =
        "lunette.lua: used more than 16384 KiB of memory",
    } do
      local _, got = load(text)
      assert.equal(message, got)
    end
  end)

  it("is not found if it is not there", function()
    local _, err = script_test.settings(path .. "x")
    assert.equal("not_found", err.code)
  end)
end)
