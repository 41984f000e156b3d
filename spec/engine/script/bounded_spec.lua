local script_test = require "script_test"

local text = [[%s
  return { name = "p", version = 1, fields = { n = "integer", t = "text" },
    extract_model_id = function(event) return event.data.id end,
    apply_to_model = function(model, event, id)
      model = model or { n = 0 }
      %s
      return model
    end }]]

local function load(before, body, options)
  local script, err = script_test.load(text:format(before, body), options)
  return assert(script, err and err.message)
end

local function repeated(line, count)
  return (line .. "\n"):rep(count)
end

describe("the instructions of a call are not counted", function()
  for name, parts in pairs {
    ["of a function that only computes"] = { "", "model.n = model.n + 1" },
    ["with conditions"] = { "",
      "if model.n > 1 then model.n = 0 elseif id then model.n = 5 end "
        .. "model.n = model.n > 1 and 3 or 4" },
    ["with functions of its own"] = {
      "local function add(a, b) return a + b end "
        .. "local function twice(a) return add(a, a) end",
      "model.n = twice(add(model.n, id and twice(2) or add(1, 2))) + 1 "
        .. "add(1, { add(1, 2), n = add(2, 3), ('x'):rep(2) })" },
    ["with a call at its end"] = {
      "local function set(m, n) m.n = n return m end",
      "if model.n == 0 then return set(model, 5) end" },
    ["with the libraries"] = { "local floor = math.floor",
      "model.n = floor(1.5) model.t = string.format('%d', model.n):rep(2)" },
  } do
    it(name, function()
      assert.is_true(load(table.unpack(parts)):is_bounded())
    end)
  end
end)

-- Where each of these has no end, none of them may be found to have one.
describe("the instructions of a call are counted", function()
  for name, parts in pairs {
    ["with while"] = { "", "while model.n < 10 do model.n = model.n + 1 end" },
    ["with repeat"] = { "", "repeat model.n = model.n + 1 until model.n > 5" },
    ["with a numeric for"] = { "", "for i = 1, 3 do model.n = i end" },
    ["with a generic for"] = { "",
      "for _, v in ipairs { 1, 2 } do model.n = v end" },
    ["with goto"] = { "",
      "::again:: model.n = model.n + 1 if model.n < 5 then goto again end" },
    ["with a loop in a function below"] = {
      "local function f() while true do end end",
      "if model.n > 9 then f() end" },
    ["with recursion"] = {
      "local function f(n) if n > 0 then f(n - 1) end end", "f(3)" },
    ["with recursion at the end of a call"] = {
      "local function f(n) if n > 0 then return f(n - 1) end end", "f(3)" },
    ["with recursion of two"] = {
      "local g local function f(n) if n > 0 then return g(n - 1) end end "
        .. "function g(n) return f(n) end", "f(3)" },
    ["with a function that is handed over"] = {
      "local function f(g) if g then return g(false) end end", "f(f)" },
    ["with one handed over behind another"] = {
      "local function f(g, h) if h then return h(g) end end",
      "f(1, id and f)" },
    ["with one in a variable"] = {
      "local function f(g) if g then g(g) end end", "local h = f h(false)" },
    ["with one in a table"] = {
      "local function f(t) if t.f then t.f {} end end", "f { f = f }" },
    ["with one in a list"] = {
      "local function f(t) if t[1] then t[1] {} end end", "f { f }" },
    ["with one in a field"] = {
      "local function f(t) if t.f then t.f {} end end",
      "local t = {} t.f = f f(t)" },
    ["with one that is given back"] = {
      "local function f() end local function g() return f end", "g()()" },
    ["with one for pcall"] = { "local function f() end", "pcall(f)" },
    ["with one for a metamethod"] = { "local function f() end",
      "model.n = setmetatable({}, { __index = f }).x or 1" },
    ["with one that compares"] = { "local function f(a, b) return a < b end",
      "local t = { 2, 1 } table.sort(t, f) model.n = t[1]" },
    ["with a function made in it"] = { "",
      "local function f() return 1 end model.n = f()" },
    ["with a table of functions"] = {
      "local fs = { f = function() return 1 end }", "model.n = fs.f()" },
    ["with a function of a library"] = {
      "function table.first(t) return t[1] end",
      "model.n = table.first { 1 }" },
    ["with a function of strings"] = {
      "local s = string string = { len = string.len } "
        .. "function s.first(t) return 1 end", "model.n = id:first()" },
    ["with very many of them"] = { "",
      repeated("model.n = model.n + 1", 4000) },
    ["with very many below"] = {
      "local function a(n) " .. repeated("n = n + 1", 90) .. " end "
        .. "local function b(n) " .. repeated("a(n)", 90) .. " end",
      "b(1)" },
    ["where it may keep something"] = { "local n = 0", "n = n + 1" },
  } do
    it(name, function()
      local script = load(table.unpack(parts))
      assert.is_false(script:is_bounded())
      assert.same({}, script:run { { data = '{"id":"a"}' } })
    end)
  end

  it("where a call may have few", function()
    assert.is_false(
      load("", ("model.n = 1 "):rep(20), { instructions = 1000 }):is_bounded())
  end)
end)

describe("a call whose instructions are not counted", function()
  it("is interrupted", function()
    local script = load("", "model.n = model.n + 1")
    script:interrupt()
    local failures = script:run { { data = '{"id":"a"}' } }
    assert.equal("unavailable", failures[1].code)
  end)

  it("pays for what is copied", function()
    local script = load("", "local s = ('x'):rep(1 << 24) " ..
      ("s = s .. 'y' "):rep(100), { instructions = 2000000 })
    assert.is_true(script:is_bounded())
    local failures = script:run { { data = '{"id":"a"}' } }
    assert.equal("budget", failures[1].code)
    assert.same({}, load("", ("model.n = model.n + 1 "):rep(100)):run {
      { data = '{"id":"a"}' }, { data = '{"id":"a"}' } })
  end)
end)
