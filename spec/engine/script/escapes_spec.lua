-- What a hostile or broken script might try, one behaviour each; the table of
-- escapes in style.md says what each of them gets around.

local helper = require "spec.helper"
local script_test = require "script_test"

local template = [[
%s
return {
  name = "hostile",
  version = 1,
  extract_model_id = function(event) return "m" end,
  apply_to_model = function(model, event, id)
%s
    return { done = true }
  end,
}
]]

-- The failure of one event applied by `body`, or nil; and the script.
local function try(body, prelude, limits)
  limits = limits or {}
  limits.instructions = limits.instructions or 1000000
  limits.cpu_ms = limits.cpu_ms or 500
  limits.memory = limits.memory or 8 << 20
  local script, err =
    script_test.load(template:format(prelude or "", body), limits)
  assert(script, err and err.message)
  return script:run({ { type = "T" } })[1], script
end

local function assert_budget(failure)
  assert.is_table(failure, "nothing stopped it")
  assert.equal("budget", failure.code, failure.message)
end

local function assert_refused(failure, message)
  assert.is_table(failure, "nothing stopped it")
  assert.equal("script", failure.code, failure.message)
  assert.matches(message, failure.message)
end

describe("a hostile script", function()
  it("is stopped in an endless loop", function()
    local failure = try "while true do end"
    assert_budget(failure)
    assert.matches("^script.lua:%d+: ran more than 1000000 instructions",
      failure.message)
  end)

  it("is stopped in an endless loop of caught errors", function()
    assert_budget(try [[
      local function loop() while true do end end
      while true do pcall(loop) end
    ]])
  end)

  it("has failed even if it swallows its budget error", function()
    local failure, script = try [[
      pcall(function() while true do end end)
      do return { swallowed = true } end
    ]]
    assert_budget(failure)
    assert.is_nil(script:get "m")
    failure, script = try [[
      coroutine.resume(coroutine.create(function() while true do end end))
    ]]
    assert_budget(failure)
    assert.is_nil(script:get "m")
  end)

  it("has no xpcall, whose handler runs with hooks off", function()
    assert_refused(try "xpcall(loop, loop)", 'undefined variable "xpcall"')
  end)

  it("cannot give a table a finalizer", function()
    assert_refused(
      try "setmetatable({}, { __gc = function() while true do end end })",
      "__gc is not available")
    assert.is_nil(try [[
      local meta = {}
      setmetatable({}, meta)
      meta.__gc = function() while true do end end
      for i = 1, 1000 do local t = { i } end
    ]])
  end)

  it("cannot hide __gc behind the metatable's own metatable", function()
    assert.is_nil(try [[
      local function loop() while true do end end
      for i = 1, 1000 do
        setmetatable({}, setmetatable({}, { __index = { __gc = loop } }))
      end
    ]])
  end)

  it("is stopped in a coroutine that was made while loading", function()
    assert_budget(try("resume()", [[
      local resume = coroutine.wrap(function()
        coroutine.yield()
        while true do end
      end)
      resume()
    ]]))
  end)

  it("is stopped in a coroutine inside a coroutine", function()
    assert_budget(try [[
      local function dig() coroutine.wrap(dig)() end
      local function loop()
        coroutine.wrap(function() while true do end end)()
      end
      while true do
        coroutine.resume(coroutine.create(loop))
      end
    ]])
  end)

  it("cannot run on in the __close of a coroutine that was stopped",
    function()
      assert_budget(try [[
        local close = { __close = function() while true do end end }
        coroutine.wrap(function()
          local guard <close> = setmetatable({}, close)
          while true do end
        end)()
      ]])
      assert_budget(try [[
        local close = { __close = function() while true do end end }
        local guard <close> = setmetatable({}, close)
        while true do end
      ]])
    end)

  it("is stopped by the clock where instructions are few", function()
    local before = helper.now_ms()
    local failure = try([[
      for i = 1, 1000000 do local s = ("x"):rep(1000000) end
    ]], nil, { instructions = 1000000000, cpu_ms = 100 })
    assert_budget(failure)
    assert.matches("used more than 100 ms of CPU time", failure.message)
    assert.is_true(helper.now_ms() - before < 5000)
  end)

  it("is stopped when it fills the memory", function()
    local failure = try "local t = {} for i = 1, 1e9 do t[i] = { i } end"
    assert_budget(failure)
    assert.is_true(failure.starved)
    assert.matches("used more than 8192 KiB of memory", failure.message)
  end)

  it("has failed even if it catches the lack of memory", function()
    assert_budget(try [[
      pcall(function() local t = {} for i = 1, 1e9 do t[i] = { i } end end)
      pcall(string.rep, "x", 1 << 30)
      do return { fine = true } end
    ]])
    assert_budget(try [[
      local all = {}
      for i = 1, 100 do
        pcall(function() all[i] = ("x"):rep(1000):rep(400) .. i end)
      end
    ]])
  end)

  it("is not blamed for garbage that can be collected", function()
    assert.is_nil(
      try "for i = 1, 200 do local s = ('x'):rep(10) .. ('y'):rep(4000) end")
    assert.is_nil(
      try "for i = 1, 20 do local s = (('x'):rep(1000)):rep(1000) end")
  end)

  it("cannot break strings", function()
    assert_refused(try 'getmetatable("").__index = nil', "attempt to index")
    assert.is_nil(try 'assert(getmetatable("") == "string")')
    assert_refused(try 'setmetatable("", {})', "table expected")
    local _, script = try 'string.upper = nil'
    assert.is_not_nil(script:get "m")
  end)

  it("may raise anything", function()
    assert_refused(try "error({})", "raised a table in place of a message")
    assert_refused(try "error(nil)", "raised a nil in place of a message")
    assert_refused(try "error()", "raised a nil in place of a message")
    assert_refused(
      try [[error(setmetatable({}, {
        __tostring = function() while true do end end }))]],
      "raised a table in place of a message")
    assert_refused(try 'error("\\xff\\xfe")', [[\xff\xfe$]])
    assert_refused(try 'error(("x"):rep(100000))', "xxx")
    assert_refused(
      try("local function f() return f() + 1 end f()", nil,
        { memory = 160 << 20, instructions = 10000000, cpu_ms = 60000 }),
      "stack overflow")
  end)

  it("cannot load code", function()
    for _, name in ipairs {
      "load", "loadstring", "dofile", "loadfile", "require", "package",
    } do
      assert_refused(try(name .. "()"), 'undefined variable "' .. name)
    end
    assert_refused(try "string.dump(print)", "undefined variable")
    assert_refused(try "string.dump(pcall)", "field 'dump'")
  end)

  it("cannot be bytecode", function()
    local code = string.dump(load "return {}")
    local script, err = script_test.load(code)
    assert.is_nil(script)
    assert.matches("is not UTF%-8", err.message)
  end)

  it("reaches neither the machine nor the collector", function()
    for _, name in ipairs {
      "os", "io", "debug", "collectgarbage", "print", "warn", "_G",
    } do
      assert_refused(try("local x = " .. name), 'variable "' .. name)
    end
  end)

  it("has no randomness", function()
    assert_refused(try "math.random()", "field 'random'")
    assert_refused(try "math.randomseed(1)", "field 'randomseed'")
  end)

  it("sees no addresses", function()
    assert.is_nil(try [[
      local none = function(text) assert(not text:find "0x", text) end
      none(tostring {})
      none(tostring(pcall))
      none(tostring(coroutine.running()))
      none(tostring(lunette.null))
      none(tostring(event))
      none(tostring(event.data))
      none(string.format("%s %s %10s", {}, pcall, coroutine.create(pcall)))
      none(tostring(setmetatable({}, { __name = "thing" })))
      none(select(2, pcall(error, {})) and "")
      none(select(2, pcall(string.format, "%d", {})))
    ]])
    assert_refused(try 'string.format("%p", {})', "'%%p' is not available")
    assert_refused(try 'string.format("%-20p", "x")', "'%%p' is not availab")
    assert_refused(try 'string.format("\\0%p", "x")', "'%%p' is not availab")
    assert_refused(try 'string.format("%%%p", "x")', "'%%p' is not availabl")
  end)

  it("cannot count to infinity inside a library", function()
    for _, body in ipairs {
      'string.rep("", 1 << 60)',
      'string.rep("", 1 << 60, "")',
      "table.move({}, 1, 1 << 60, 2)",
      "table.move({}, -1 << 62, 1 << 62, 2)",
      "table.insert(endless, 1, 'x')",
      "table.remove(endless, 1)",
      "table.concat(endless)",
      "table.concat(setmetatable({}, { __index = rawlen }), '', 1, 1 << 60)",
      "table.sort(endless)",
    } do
      assert_budget(try(body, [[
        local endless =
          setmetatable({}, { __len = function() return 1 << 60 end })
      ]]))
    end
  end)

  it("cannot multiply a model beyond the memory", function()
    local failure = try [[
      local t = {}
      for i = 1, 60 do t = { t, t } end
      do return { t = t } end
    ]]
    assert_refused(failure, "too large to be stored")
    assert_budget(try [[
      local t = {}
      for i = 1, 60 do t = { t, t } end
      do return lunette.table(t) end
    ]])
  end)

  it("has globals of its own", function()
    assert_refused(try "x = 1", 'assignment to undefined variable "x"')
    local body = 'string.leak = (string.leak or 0) + 1 assert(%s == 1)'
    assert.is_nil(try(body:format "string.leak"))
    assert.is_nil(try(body:format "string.leak"))
  end)

  -- The matcher is one C call that no hook sees: what remains is that others
  -- can tell.
  it("shows a watchdog that it is stuck in one library call", function()
    local script = assert(script_test.load(template:format("",
      'string.find(("a"):rep(110), "a-a-a-a-b")')))
    local in_apply = script:progress() + 3 -- into and out of the extraction
    local progress
    script:start { { type = "T" } }
    helper.wait(function()
      progress = script:progress()
      return progress >= in_apply
    end)
    assert.equal(1, progress % 2)
    local since = helper.now_ms()
    while helper.now_ms() - since < 300 do
      assert.equal(progress, script:progress())
    end
    script:join()
    assert.equal(0, script:progress() % 2)
  end)
end)
