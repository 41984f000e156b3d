local script_test = require "script_test"

-- The value of an expression as the script's model: JSON of { v = ... }.
local function value(expression, prelude)
  local script, err = script_test.load(([[
    %s
    return {
      name = "p", version = 1,
      extract_model_id = function() return "m" end,
      apply_to_model = function(model, event)
        return { v = %s }
      end,
    }]]):format(prelude or "", expression))
  assert(script, err and err.message)
  local failure = script:run({ {} })[1]
  if failure then
    return nil, failure.message
  end
  return script:get("m"):match '^{"id":"m",?"?v?"?:?(.*)}$'
end

describe("the sandbox", function()
  it("has the harmless part of Lua's libraries", function()
    local names = {
      "assert error getmetatable ipairs next pairs pcall rawequal rawget",
      "rawlen rawset select setmetatable tonumber tostring type",
      "string.byte string.char string.find string.format string.gmatch",
      "string.gsub string.len string.lower string.match string.pack",
      "string.packsize string.rep string.reverse string.sub string.unpack",
      "string.upper table.concat table.insert table.move table.pack",
      "table.remove table.sort table.unpack math.abs math.ceil math.cos",
      "math.exp math.floor math.fmod math.log math.max math.min math.modf",
      "math.sin math.sqrt math.tointeger math.type math.ult utf8.char",
      "utf8.codepoint utf8.codes utf8.len utf8.offset coroutine.create",
      "coroutine.isyieldable coroutine.resume coroutine.running",
      "coroutine.status coroutine.wrap coroutine.yield",
      "lunette.array lunette.format_timestamp lunette.query lunette.table",
      "lunette.timestamp",
    }
    for name in table.concat(names, " "):gmatch "%S+" do
      assert.equal('"function"', value("type(" .. name .. ")"), name)
    end
    assert.equal("9223372036854775807", value "math.maxinteger")
    assert.equal("true", value "math.huge > math.pi")
    assert.equal('"string"', value "type(utf8.charpattern)")
  end)

  it("does what Lua does", function()
    assert.equal('"  1 x 2.50 {\\"q\\"}"',
      value [[string.format("%3d %s %.2f {%q}", 1, "x", 2.5, "q")]])
    assert.equal('"ababab"', value [[("ab"):rep(3)]])
    assert.equal('"a-a"', value [[string.rep("a", 2, "-")]])
    assert.equal('""', value [[string.rep("a", -1)]])
    assert.equal('"3,1,2"', value(
      "table.concat(t, ',')",
      "local t = { 1, 2 } table.insert(t, 1, 3)"))
    assert.equal("2", value("table.remove(t)", "local t = { 1, 2 }"))
    assert.equal("[1,2,3]", value("t",
      "local t = table.move({ 2, 3 }, 1, 2, 2, { 1 }) "
      .. "table.sort(t, function(a, b) return a < b end)"))
    assert.equal('"1 2 done"', value([[step() .. " " .. step() .. " "
      .. step()]], [[
      local step = coroutine.wrap(function()
        coroutine.yield(1) coroutine.yield(2) return "done"
      end)]]))
  end)

  it("resumes coroutines as Lua does", function()
    local outcome = value("log", [[
      local co = coroutine.create(function(a, b)
        local c = coroutine.yield(a + b)
        error({ c }, 0)
      end)
      local log = ""
      local function show(ok, what)
        what = type(what) == "table" and what[1] or what
        log = log .. tostring(ok) .. " " .. tostring(what) .. ", "
      end
      show(coroutine.resume(co, 1, 2))
      show(coroutine.resume(co, "c"))
      show(coroutine.resume(co))
      show(pcall(coroutine.resume, 5))]])
    assert.equal('"true 3, false c, false cannot resume dead coroutine, false '
      .. "bad argument #1 to '?' (coroutine expected, got number), \"",
      outcome)
  end)

  it("turns errors in a wrapped coroutine into errors of the caller",
    function()
      local _, message = value("f()",
        "local f = coroutine.wrap(function() error 'inside' end)")
      assert.equal("script.lua:1: inside", message)
      _, message = value("f()",
        "local f = coroutine.wrap(function() end) f()")
      assert.matches("cannot resume dead coroutine$", message)
      assert.equal('"cannot resume dead coroutine"', value(
        "select(2, coroutine.resume(co))",
        "local co = coroutine.create(function() end) coroutine.resume(co)"))
    end)

  it("names what is undefined", function()
    local _, message = value "foo"
    assert.equal('script.lua:6: undefined variable "foo"', message)
    _, message = value "lunette.nul"
    assert.equal('script.lua:6: lunette has no "nul"', message)
    local script, err = script_test.load "count = 0 return {}"
    assert.is_nil(script)
    assert.equal('script.lua:1: assignment to undefined variable "count": '
      .. "declare it with local", err.message)
  end)

  it("gives text without addresses", function()
    assert.equal('"table function thread null event data"', value [[
      table.concat({ tostring {}, tostring(next),
        tostring(coroutine.running()), tostring(lunette.null),
        getmetatable(event), "data" }, " ")]])
    assert.equal('"mine"', value(
      "tostring(setmetatable({}, { __tostring = mine }))",
      "local function mine() return 'mine' end"))
    local _, message = value
      "tostring(setmetatable({}, { __tostring = function() end }))"
    assert.matches("'__tostring' must return a string", message)
    assert.equal('"nil true 1 1.5 x"', value
      "string.format('%s %s %s %s %s', nil, true, 1, 1.5, 'x')")
  end)

  it("lets metatables be, except protected ones", function()
    assert.equal("5", value
      "setmetatable({}, { __index = function() return 5 end }).x")
    local _, message = value(
      "setmetatable(t, {})",
      "local t = setmetatable({}, { __metatable = 'no' })")
    assert.matches("cannot change a protected metatable", message)
    _, message = value "setmetatable({}, 5)"
    assert.matches("nil or table expected", message)
  end)

  it("raises where a string is indexed by no function of strings", function()
    for index, name in pairs { [".account"] = "account", [".Len"] = "Len",
      ["[1]"] = "1", ["[true]"] = "true", ["['']"] = "",
      [".trim"] = "trim", [".dump"] = "dump" } do
      local _, message = value('("text")' .. index)
      assert.matches(('a string has no "%s": it is text and no object; was it '
        .. "encoded as JSON twice?"):format(name), message, 1, true)
    end
    local _, message = value "('text'):nothing()"
    assert.matches('a string has no "nothing"', message)
    assert.equal("true", value "string.account == nil")
    assert.equal('"TEXT"', value "('text'):upper()")
    assert.equal("true", value "('text').upper == string.upper")
  end)

  it("finds what a script adds to its string table", function()
    assert.equal('"<text>"', value("('text'):wrap()",
      "function string.wrap(s) return '<' .. s .. '>' end"))
    assert.equal('"TEXT"', value("('text'):upper()", "string.upper = nil"))
  end)

  it("converts times", function()
    assert.equal("1700000000123456",
      value 'lunette.timestamp "2023-11-14T22:13:20.123456Z"')
    assert.equal('"2023-11-14T22:13:20.123456Z"',
      value "lunette.format_timestamp(1700000000123456)")
    local _, message = value 'lunette.timestamp "yesterday"'
    assert.matches('"yesterday" is not an RFC 3339 time', message)
    _, message = value "lunette.format_timestamp(1 << 62)"
    assert.matches("outside the years 1 to 9999", message)
  end)

  it("keeps empty lists apart from empty objects", function()
    assert.equal("[]", value "lunette.array()")
    assert.equal("[]", value "lunette.array {}")
    assert.equal("[1]", value "lunette.array { 1 }")
    assert.equal("{}", value "{}")
    assert.equal("null", value "lunette.null")
  end)

  it("copies tables to the last level", function()
    assert.equal('[{"a":[1,2]},{"a":[1,2,3]}]', value("{ t, copy }", [[
      local t = { a = { 1, 2 } }
      local copy = lunette.table(t)
      table.insert(copy.a, 3)]]))
    assert.equal("[]", value "lunette.table(lunette.array())")
    local _, message = value("lunette.table(t)",
      "local t = {} t.t = t")
    assert.matches("does it contain itself", message)
  end)
end)
