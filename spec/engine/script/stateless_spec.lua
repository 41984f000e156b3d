local script_test = require "script_test"

-- Whether a script is found to keep nothing: what stands before the table, and
-- in apply_to_model.
local function keeps_nothing(before, body)
  local script, err = script_test.load(([[%s
    return { name = "p", version = 1, fields = { n = "integer" },
      extract_model_id = function(event) return event.data.id end,
      apply_to_model = function(model, event, id)
        %s
        return model
      end }]]):format(before, body))
  return assert(script, err and err.message):keeps_nothing()
end

describe("a script is found to keep nothing", function()
  for name, parts in pairs {
    ["that only computes"] = { "", "model.n = (model.n or 0) + #event.type" },
    ["with functions of its own"] = {
      "local function add(a, b) return a + b end", "model.n = add(1, 2)" },
    ["with functions that call each other"] = {
      "local odd; local function even(n) return n == 0 or odd(n - 1) end "
        .. "function odd(n) return n ~= 0 and even(n - 1) end",
      "model.n = even(4) and 1 or 2" },
    ["that uses the libraries"] = { "", [[
      model.n = math.floor(tonumber(("%d"):rep(2):format(1, 2)))
      local format, parts = string.format, {}
      table.insert(parts, format("%d", lunette.timestamp(id)))
      for _, part in ipairs(parts) do model.n = tonumber(part) end]] },
    ["with a library function in a variable"] = {
      "local floor = math.floor", "model.n = floor(1.5)" },
    ["with a function added to a library"] = {
      "function string.twice(s) return s .. s end",
      "model.n = #id:twice()" },
    ["with constants in variables"] = {
      "local day, names = 86400, 'abc'", "model.n = day * #names" },
    ["with a table of constants"] = {
      "local rates = { a = 1, [2] = 2.5, f = function() return 1 end }",
      [[model.n = rates.a + rates[2] + (rates[event.type] or 0)
      model.n = model.n + rates[event.data.kind] + rates.f() ]] },
    ["that assigns to variables of the call"] = { "", [[
      local count = 0
      string.gsub(id, ".", function() count = count + 1 end)
      local function inner() return function() count = count + 1 end end
      inner()()
      model.n = count]] },
  } do
    it(name, function()
      assert.is_true(keeps_nothing(table.unpack(parts)))
    end)
  end
end)

describe("a script may keep something", function()
  for name, parts in pairs {
    ["in a variable"] = { "local last", "last = model" },
    ["in a variable that a function inside assigns"] = { "local last",
      "local function keep() last = model end keep()" },
    ["in a variable of a function that ran before"] = {
      "local function maker() local last return function(model) last = model "
        .. "return last end end local keep = maker()", "keep(model)" },
    ["in a table"] = { "local seen = {}", "seen[id] = model" },
    ["in a table by name"] = { "local seen = {}", "seen.last = model" },
    ["in a table by number"] = { "local seen = {}", "seen[1] = model" },
    ["in a table that it hands on"] = { "local seen = {}",
      "rawset(seen, id, model)" },
    ["in a table with a name of the call"] = { "local seen = {}",
      "local other = seen; other.last = model" },
    ["in a table that a function gives"] = {
      "local seen = {} local function get() return seen end",
      "get().last = model" },
    ["in a table of a table"] = { "local seen = { {} }", "seen[1].x = model" },
    ["in a table by way of a condition"] = { "local seen = {}",
      "local t = id and seen or model; t.last = model" },
    ["in a table with a metatable"] = {
      "local seen = setmetatable({}, { __index = function(t, k) "
        .. "rawset(t, 1, k) return t end })", "seen[id].x = model" },
    ["in a library"] = { "", "string.last = model" },
    ["in a library in a variable"] = { "local s = string", "s.last = model" },
    ["in a library by name"] = { "", "_ENV.string.last = model" },
    ["in a library with a metatable"] = {
      "setmetatable(math, { __index = function(t) return t end })",
      "math.any.x = model" },
    ["in a library with a table"] = { "string.seen = {}",
      "string.seen.x = model" },
    ["in what strings have"] = {
      "local seen string.seen = function(s) seen = s return s end",
      "id:seen()" },
    ["in what strings had"] = {
      "local seen string.seen = function(s) seen = s return s end "
        .. "string = { len = string.len }", "id:seen()" },
    ["in the globals"] = { "", "rawset(_ENV, 'last', model)" },
    ["in a global"] = { "", "string = model" },
    ["in globals of its own"] = { "local _ENV = { n = 1 }", "n = model" },
    ["in a coroutine"] = {
      "local co = coroutine.wrap(function(a) while true do a = "
        .. "coroutine.yield(a) end end)", "co(model)" },
    ["in an iterator"] = { "local next_word = ('a b'):gmatch '%a'",
      "model.n = #(next_word() or '')" },
  } do
    it(name, function()
      assert.is_false(keeps_nothing(table.unpack(parts)))
    end)
  end
end)
