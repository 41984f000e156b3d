local helper = require "spec.helper"
local script_test = require "script_test"

local function load(body, limits, prelude)
  return script_test.load(([[
    %s
    return {
      name = "p",
      version = 1,
      extract_model_id = function(event) return event.data.id or "m" end,
      apply_to_model = function(model, event)
        %s
      end,
    }]]):format(prelude or "", body), limits)
end

local function run(body, limits, prelude)
  local script, err = load(body, limits, prelude)
  assert(script, err and err.message)
  return script:run({ { type = "T" } })[1], script
end

describe("a Lua state", function()
  it("gives every call the whole budget", function()
    local script = assert(load(
      "local n = 0 for i = 1, 20000 do n = n + i end return { n = n }",
      { instructions = 100000 }))
    local events = {}
    for i = 1, 50 do
      events[i] = {}
    end
    assert.same({}, script:run(events))
  end)

  it("does not charge a call for what the one before it used", function()
    local script = assert(load(
      "local n = 0 for i = 1, 100 do n = n + i end return { n = n }",
      { instructions = 600 }))
    local events = {}
    for i = 1, 500 do
      events[i] = {}
    end
    assert.same({}, script:run(events))
  end)

  it("charges for what one instruction copies", function()
    local text = 'local s = ("x"):rep(1024):rep(1024) '
    local limits = { instructions = 100000 }
    assert.is_nil(run(text .. "local t = s .. 1 return {}", limits))
    for _, body in ipairs {
      "for i = 1, 20 do local t = s .. i end",
      "for i = 1, 20 do local t = s:upper() end",
      "for i = 1, 20 do local t = s:sub(2) end",
      'for i = 1, 20 do local t = ("%s"):format(s) end',
      "for i = 1, 20 do local t = table.concat({ s, s }, ',') end",
      'local t = s:gsub("y", "z")',
      "coroutine.wrap(function() for i = 1, 20 do local t = s .. i end end)()",
      [[local co = coroutine.create(function()
          coroutine.yield()
          for i = 1, 20 do local t = s .. i end
        end)
        coroutine.resume(co) coroutine.resume(co)]],
    } do
      local err = run(text .. body .. " return {}", limits)
      assert.equal("budget", err and err.code, body)
      assert.matches("ran more than 100000 instructions", err.message)
    end
    for _, body in ipairs {
      's:gsub("^x", "y")', 's:gsub("x", "y", 1)', 's:match("^x+", -9)',
    } do
      assert.is_nil(run(text .. "local t = " .. body .. " return {}", limits))
    end
  end)

  it("charges for what is decoded and copied of an event", function()
    local list = "[" .. ("1,"):rep(200000) .. "1]"
    for body, limit in pairs {
      ["local t = event.data.list"] = 20000,
      ["local t = lunette.table(event.data)"] = 20000,
      ["local t = {} for i = 1, 20000 do t[i] = i end lunette.table(t)"] =
        50000,
    } do
      local script = assert(load(body .. " return {}",
        { instructions = limit }))
      local err = script:run({ { data = '{"list":' .. list .. "}" } })[1]
      assert.equal("budget", err and err.code, body)
    end
  end)

  it("looks at the clock after each scan of a long text", function()
    local x, many = '("x"):rep(1024):rep(8192)', ":rep(1024):rep(32768)"
    for body, text in pairs {
      ['s:find "[^x]"'] = x,
      ['s:match "y"'] = x,
      ["utf8.len(s)"] = x,
      ["utf8.offset(s, 7000000)"] = x,
      ['(function() for _ in s:gmatch "[^x]" do end end)()'] = x,
      ['s:find "x*y"'] = '("x"):rep(10000)',
      ['s:gsub("x*y", "")'] = '("x"):rep(10000)',
      ["tonumber(s, 36)"] = '("z")' .. many,
      ["string.packsize(s)"] = '(" ")' .. many,
      ["string.pack(s)"] = '(" ")' .. many,
      ['string.unpack(s, "")'] = '(" ")' .. many,
      ["lunette.timestamp(z)"] = '("0")' .. many
        .. ' local z = "2026-01-01T00:00:00." .. s .. "Z"',
    } do
      local before = os.clock()
      local err = run("local s = " .. text .. " for i = 1, 1000 do local t = "
        .. body .. " end return {}", { cpu_ms = 1, instructions = 1 << 40 })
      assert.equal("budget", err and err.code, body)
      assert.is_true(os.clock() - before < 20, body) -- not a thousand scans
    end
  end)

  it("has a budget while the script is loaded, too", function()
    local script, err = load("return {}", nil, "while true do end")
    assert.is_nil(script)
    assert.equal("budget", err.code)
    assert.matches("^script.lua:1: ran more than", err.message)
  end)

  it("describes an error by line, message and calls", function()
    local failure = run("deep(event)", nil, [[
      local function deeper(event)
        return event.data.missing.field
      end
      local deep = function(event)
        local x = deeper(event)
        return x
      end]])
    assert.equal("script", failure.code)
    assert.equal("script.lua:2: attempt to index a nil value "
      .. "(field 'missing')", failure.message)
    assert.equal(table.concat({
      "script.lua:2: in upvalue 'deeper'",
      "script.lua:5: in upvalue 'deep'",
      "script.lua:13: in function <script.lua:12>",
    }, "\n"):gsub("upvalue", "function"), failure.detail)
  end)

  it("puts the line in front of what has none", function()
    for body, message in pairs {
      ["error({})"] = "the script raised a table in place of a message",
      ["error(lunette.null)"] =
        "the script raised a userdata in place of a message",
      ["error()"] = "the script raised a nil in place of a message",
      ["coroutine.yield()"] = "attempt to yield from outside a coroutine",
      ["error('no', 0)"] = "no",
      ["error('script.lua: no', 0)"] = "script.lua: no",
      ["error('', 0)"] = "",
    } do
      local failure = run(body)
      assert.equal("script.lua:7: " .. message, failure.message)
      assert.matches("script.lua:7: in function", failure.detail, 1, true)
    end
  end)

  it("leaves a message the place that it names", function()
    local prelude = [[
      local function f() error("not here", 2) end]]
    assert.equal("script.lua:7: not here", run("f()", nil, prelude).message)
    assert.equal("script.lua:77: no", run("error('script.lua:77: no', 0)")
      .message)
  end)

  it("knows its place in a file with any name", function()
    local script = script_test.load("return { name = 'p', version = 1,\n"
      .. "extract_model_id = function() error 'no' end,\n"
      .. "apply_to_model = type }", { chunk = "a:5:b.lua" })
    assert.equal("a:5:b.lua:2: no", script:run({ {} })[1].message)
  end)

  it("shows library calls in the traceback", function()
    local failure = run "table.sort({ 2, 1 }, function() error 'no' end)"
    assert.matches("%[C%]: in function 'sort'", failure.detail)
    assert.matches("%[C%]: in function 'error'", failure.detail)
  end)

  it("keeps messages on one line of UTF-8", function()
    local failure = run [[error("a\nb\0c \xff")]]
    assert.equal("script.lua:7: a b", failure.message)
    failure = run [[error("\xff")]]
    assert.equal("script.lua:7: \\xff", failure.message)
    failure = run [[error(("é"):rep(1000))]]
    assert.is_truthy(utf8.len(failure.message))
  end)

  it("goes on with other events after an error", function()
    local script = assert(load(
      "if event.data.bad then error 'bad' end return { n = 1 }"))
    local failures = script:run({
      { data = '{"id":"a"}' },
      { data = '{"id":"b","bad":true}' },
      { data = '{"id":"c"}' },
    })
    assert.equal(1, #failures)
    assert.equal(2, failures[1].event)
    assert.is_not_nil(script:get "a")
    assert.is_nil(script:get "b")
    assert.is_not_nil(script:get "c")
  end)

  it("is replaced by a fresh one after its budget was spent", function()
    local script = assert(load([[
      if event.data.bad then while true do end end
      seen.count = seen.count + 1
      return { count = seen.count }]], { instructions = 100000 },
      "local seen = { count = 0 }"))
    local failures = script:run({
      { data = '{"id":"a"}' },
      { data = '{"id":"b","bad":true}' },
      { data = '{"id":"c"}' },
    })
    assert.equal(1, #failures)
    assert.equal("budget", failures[1].code)
    assert.equal('{"id":"a","count":1}', script:get "a")
    assert.equal('{"id":"c","count":1}', script:get "c")
  end)

  it("can be renewed at any time and keeps its models", function()
    local script = assert(load "model = model or { n = 0 } "
      and load "model = model or { n = 0 } model.n = model.n + 1 return model")
    assert.same({}, script:run { {}, {} })
    script:renew()
    assert.same({}, script:run { {}, {} })
    assert.equal('{"id":"m","n":4}', script:get "m")
  end)

  it("stops at its next check when it is interrupted", function()
    local script = assert(load(
      "for i = 1, 1e6 do end return { done = true }"))
    script:interrupt()
    local failures = script:run { {}, {} }
    assert.equal(1, #failures)
    assert.equal("unavailable", failures[1].code)
    assert.matches("interrupted", failures[1].message)
    assert.is_not_nil(script:get "m")
  end)

  it("can be interrupted from another thread", function()
    local script = assert(load("pcall(function() while true do end end)",
      { instructions = 1 << 60, cpu_ms = 600000 }))
    script:start { {} }
    helper.wait(function()
      return script:progress() % 2 == 1
    end)
    script:interrupt()
    local failures = script:join()
    assert.equal("unavailable", failures[1].code)
  end)

  it("shows progress: odd inside a handler, rising with checks", function()
    local script = assert(load("while true do end",
      { instructions = 1 << 60, cpu_ms = 600000 }))
    local before = script:progress()
    assert.equal(0, before % 2)
    script:start { {} }
    local last = before
    for _ = 1, 3 do
      helper.wait(function()
        return script:progress() > last + 2 and script:progress() % 2 == 1
      end)
      last = script:progress()
    end
    script:interrupt()
    script:join()
    assert.equal(0, script:progress() % 2)
  end)
end)

describe("the memory of a state", function()
  it("is what ran out, whatever a script that catches it spends after that",
    function()
      local script = assert(script_test.load([[
        return { name = "p", version = 1,
          extract_model_id = function() return "m" end,
          apply_to_model = function()
            while true do pcall(string.rep, "x", 1 << 30) end
          end }]], { memory = 4 << 20, instructions = 100000 }))
      local failed = script:run { { type = "T", data = "{}" } }
      assert.equal("budget", failed[1].code)
      assert.matches("used more than 4096 KiB of memory", failed[1].message)
    end)

  local source = [[
    local list, text = {}, "x"
    for i = 1, 200 do list[i] = { tostring(i) .. text, [i] = i } end
    text = text:rep(600)
    return {
      name = "p",
      version = 1,
      fields = { a = "text", b = "json", c = "timestamp" },
      indexes = { "a", { "a", "c" } },
      on = { T = function(model, event, id)
        model = model or {}
        model.a = event.data.a
        model.b = { event.data.b, event.data.b, text .. id }
        model.c = event.recorded_at
        return model
      end },
      extract_model_id = function(event) return { "x", event.data.a } end,
      handle_query = function(store, query) return store:query(query) end,
    }]]
  local event = { data = [[{"a":"caf\u00e9","b":{"c":[1,2,{"d":null}]}}]] }

  -- Every allocation fails once, because the limit rises by less than one.
  it("may run out anywhere, and all of it fails cleanly", function()
    local limit, loaded, ran = 1000, false, false
    local failures = 0
    while not ran do
      limit = limit + (loaded and 61 or 509)
      local script, err = script_test.load(source, { memory = limit })
      if script then
        loaded = true
        local failed = script:run { event }
        local answer, why = script:query {}
        ran = #failed == 0 and answer ~= nil
        for _, failure in ipairs(failed) do
          assert.equal("budget", failure.code, failure.message)
          assert.is_true(failure.starved)
        end
        assert.is_true(answer ~= nil or why.code == "budget")
      else
        assert.equal("budget", err.code, err.message)
        assert.matches("used more than %d+ KiB of memory", err.message)
      end
      failures = failures + (ran and 0 or 1)
      assert.is_true(limit < 1 << 20)
    end
    assert.is_true(failures > 20)
  end)

  it("is used again and again", function()
    local script = assert(script_test.load([[return {
      name = "p", version = 1,
      extract_model_id = function(event) return "m" end,
      apply_to_model = function(model, event)
        local list = {}
        for i = 1, 2000 do
          list[i] = { tostring(i), ("x"):rep(i % 700) }
        end
        return { n = #list }
      end,
    }]], { memory = 4 << 20 }))
    local events = {}
    for i = 1, 60 do
      events[i] = {}
    end
    assert.same({}, script:run(events, 7))
  end)
end)
