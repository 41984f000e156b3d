-- A script that keeps nothing is run with tables and event objects that serve
-- many calls, one that may keep something with new ones for each. Their models
-- and failures are the same, whatever the script does and the batches are.

local helper = require "spec.helper"
local script_test = require "script_test"

local seed = helper.seed()

-- What a handler may do with its model; `e` is the event's data.
local deeds = {
  "m.n = m.n + 1",
  "m.n = e.n",
  "m.n = (e.n or 0) + 0.0",
  "m.n = e.n / 2",
  "m.n = 2^53",
  "m.n = 2^70",
  "m.n = tostring(e.n)",
  "m.n = nil",
  "m.n = lunette.null",
  "m.x = 3",
  "m.x = -0.0",
  "m.x = 0/0",
  "m.x = e.n * 0.5",
  "m.x = math.maxinteger",
  "m.t = e.t",
  "m.t = event.type .. event.stream .. tostring(event.version)",
  "m.t = e.n",
  "m.t = 'a\\0b'",
  "m.t = '\\xff'",
  "m.t = ('x'):rep(3000)",
  "m.t = nil",
  "m.t = tostring(m.n) .. tostring(m.x) .. tostring(m.b) .. tostring(m.at)",
  "m.t = math.type(m.n) or 'none'",
  "m.t = tostring(getmetatable(m)) .. type(m) .. #m",
  "m.b = not m.b",
  "m.b = nil",
  "m.b = 1",
  "m.at = event.recorded_at",
  "m.at = '2026-01-02T03:04:05Z'",
  "m.at = 1e15",
  "m.at = math.mininteger",
  "m.id = id",
  "m.id = 'other'",
  "m.strange = 1",
  "m.strange = 1; m.strange = nil",
  "rawset(m, 'strange', 1)",
  "rawset(m, 'n', 5)",
  "rawset(m, 'strange', 1) rawset(m, 'strange', nil)",
  "table.insert(m, e.n)",
  "table.insert(m, 1) table.remove(m)",
  "setmetatable(m, { __index = { n = 7 } })",
  "setmetatable(m, { __index = { n = 7 } }) setmetatable(m, nil)",
  "lunette.array(m)",
  "m = { n = m.n, t = m.t }",
  "m = lunette.table(m)",
  "m.t = lunette.table({ m }) [1].t",
  "m = lunette.table(e)",
  "m = event",
  "m = e",
  "m = nil",
  "m = 5",
  "error(m)",
  "m.n = 100; error('after ' .. tostring(m.n))",
  "pcall(function() m.n = m.n + 1; error('in between') end)",
  "m.n = select(2, pcall(error, e.n))",
  "local t = {} for k, v in pairs(m) do t[#t + 1] = k .. tostring(v) end "
    .. "table.sort(t) m.t = table.concat(t, ',')",
  "local k = next(m) m.b = k == nil",
  "local c = 0 for _ in pairs(e) do c = c + 1 end m.n = c + #e",
  "local w = coroutine.wrap(function(a) a.n = 1; coroutine.yield() "
    .. "a.n = 2 end) w(m) if e.n then w(m) end",
  "local keep <close> = setmetatable({}, { __close = function() "
    .. "m.n = -1 end })",
  "m.n = e.deep.list[1] m.t = e.deep.name",
  "m.n = rawequal(e.deep, event.data.deep) and rawequal(e, event.data) "
    .. "and 1 or 0",
  "m.n = #e.deep.list m.t = table.concat(e.deep.list, '-')",
  "m.deep = e.deep",
  "m.n = e.huge",
  "m.t = tostring(e.huge)",
  "m.t = e.escaped",
  "m.n = event.metadata and event.metadata.n",
  "m.n = rawequal(event.metadata, event.metadata) and 1 or 0",
  "m.t = tostring(e.missing) .. tostring(event.metadata)",
  "m.t = event.id .. event.position",
  "m.t = tostring(e[1]) .. tostring(e.n)",
  "local k = 'n' m[k] = (m[k] or 0) + 1", -- events are objects then
  "m.t = ('{t} {n}'):gsub('{(%w+)}', e)",
  "m.t = ('{type}'):gsub('{(%w+)}', event)",
  "m.b = pcall(setmetatable, {}, e)",
  "m.b = pcall(setmetatable, {}, event)",
  "for _, v in pairs(event) do m.b = m.b or rawequal(v, e) end",
  "local k, v = 'escaped', e.escaped e[k] = 5",
  "lunette.array(m) m.strange = 1",
  "setmetatable(m, {}) m.strange = 1 setmetatable(m, nil)",
  "rawset(e, 'n', 1)",
  "m.n = rawget(e, 'n')",
  "m.n = rawlen(e)",
  "m.n = #event",
  "m.t = next(e)",
  "m.t = type(event) .. type(e) .. tostring(getmetatable(e))",
  "setmetatable(e, nil)",
  "for _, v in ipairs(e) do m.n = v end",
  "table.insert(e, 1)",
  "table.sort(e)",
  "m.t = e",
  "m.t = table.concat(e)",
  "m = setmetatable({}, { __newindex = e }) m.n = 1",
  "m = lunette.table(event).data",
  "local v = e.n e.n = v and nil m.n = v",
  "m.t = tostring(e) .. tostring(event)",
  "local f <const> = function(x) x.amount = 1 end f(e)",
  "e.n = 1",
  "event.type = 'B'",
  "m.t = event.tipe",
}

local data = {
  [[{"n":%d,"t":"t%d","deep":{"list":[%d,2],"name":"d"}}]],
  [[{"t":"t%d","n":%d,"deep":{"list":[],"n":%d}}]],
  [[{"n":%d.5,"t":"%d","escaped":"a\u00e9\n%d","\u006eo":1}]],
  [[{"n":null,"huge":1e400,"t":"%d%d%d"}]],
  [[{"no":{"n":%d},"t":["%d",%d]}]],
  [["text%d%d%d"]],
  "[%d,%d,%d]",
  [[{"n":%d%d%d]],
}
local head = [[
  %s return { name = "p", version = 1,
  fields = { n = "integer", x = "number", t = "text", b = "boolean",
    at = "timestamp" },
  extract_model_id = function(event)
    %s
    local a, b = event.stream:match "^(%%w+) ?(%%w*)$"
    if b == "" then return a end
    return { a, b }
  end,
  on = {]]

-- The same script twice, line for line; the second keeps something.
local function write_scripts(r, types)
  local lines = {}
  for i = 1, types do
    lines[i] = ([[
    T%d = function(m, event, id) m = m or { n = 0 } local e = event.data
      %s %s
      return m end,]]):format(i, r:pick(deeds), r:pick(deeds) )
  end
  local tail = "\n" .. table.concat(lines, "\n") .. "}}"
  return head:format("", "") .. tail,
    head:format("local kept", "kept = event") .. tail
end

local function make_events(r, count, types)
  local events = {}
  for i = 1, count do
    local a, b = r:within(1, 5), r:within(1, 40)
    events[i] = {
      type = "T" .. r:within(1, types),
      stream = r:chance(30) and ("m%d m%d"):format(a, b) or "m" .. a,
      version = i,
      recorded_at = 1000000 * i,
      data = r:pick(data):format(i, i % 7, i % 3),
      metadata = r:chance(30) and '{"n":' .. i .. '}' or nil,
    }
  end
  return events
end

-- The models and failures of a script, as a list of texts. What is wrong with a
-- result is left out: of two faults either may be named.
local function outcome(text, events, size)
  local script, err = script_test.load(text)
  assert(script, err and err.message)
  local said = {}
  for _, failure in ipairs(script:run(events, size)) do
    said[#said + 1] = ("%d %s"):format(failure.event,
      failure.message:gsub(": on: .*", ": on: refused"))
  end
  for i = 1, 40 do
    said[#said + 1] = ("m%d %s"):format(i, tostring(script:get("m" .. i)))
  end
  return said, script:keeps_nothing()
end

describe("live models, with seed " .. seed, function()
  it("are what new ones would be", function()
    local r = helper.random(seed)
    for _ = 1, 60 do
      local types = r:within(1, 4)
      local text, kept = write_scripts(r, types)
      local events = make_events(r, 60, types)
      local expected, stateless = outcome(kept, events, 1)
      assert.is_false(stateless)
      for _, size in ipairs { 1, r:within(2, 20), 60 } do
        local said
        said, stateless = outcome(text, events, size)
        assert.is_true(stateless, text)
        assert.same(expected, said, text)
      end
    end
  end)
end)

describe("a script that keeps the table of a model", function()
  local function run(keeping)
    local script, err = script_test.load(([[local last = {}
      return { name = "p", version = 1,
        fields = { n = "integer", json = "json" },
        extract_model_id = function(event) return event.stream end,
        apply_to_model = function(model, event)
          model = model or { n = 0 }
          model.n = model.n + 1
          %s
        end }]]):format(keeping))
    assert(script, err and err.message)
    for _ = 1, 3 do
      assert.same({}, script:run { { stream = "a" }, { stream = "b" } })
    end
    return script:get "a", script:get "b"
  end

  it("may return it later", function()
    local a, b = run [[
      if model.n == 2 then last[event.stream] = model end
      if model.n == 3 then return last[event.stream] end
      return model]]
    assert.equal('{"id":"a","json":null,"n":2}', a)
    assert.equal('{"id":"b","json":null,"n":2}', b)
  end)

  it("may store it in a field of another model", function()
    local a, b = run [[
      if event.stream == "b" and model.n > 1 then model.json = last.a end
      last[event.stream] = model
      return model]]
    assert.equal('{"id":"a","json":null,"n":3}', a)
    assert.equal('{"id":"b","json":{"n":3},"n":3}', b)
  end)
end)

describe("a script that keeps nothing", function()
  local function see(value, json)
    local script, err = script_test.load(([[return {
      name = "p", version = 1, fields = { seen = "text" },
      extract_model_id = function(event) return event.data and "m" end,
      apply_to_model = function(model, event)
        model = model or { seen = "" }
        %s
        return model
      end }]]):format(value))
    assert(script, err and err.message)
    local event = { data = json or "{}" }
    assert.same({}, script:run { event, event, event })
    assert.is_true(script:keeps_nothing())
    return script:get("m"):match '"seen":"(.*)"'
  end

  it("has one object for an event's data, whichever way it is reached",
    function()
      for _, json in ipairs { "{}", "[1]", '"x"' } do
        assert.equal("truetruetrue", see([[
          for key, value in pairs(event) do
            if key == "data" then
              model.seen = model.seen .. tostring(value == event.data)
            end
          end]], json))
      end
    end)

  it("may store the data of an event it has looked at", function()
    local script, err = script_test.load [[return {
      name = "p", version = 1, fields = { json = "json" },
      extract_model_id = function() return "m" end,
      apply_to_model = function(_, event)
        return { json = { event.data.n, event.data } }
      end }]]
    assert(script, err and err.message)
    local event = { data = '{"n":1}' }
    assert.same({}, script:run { event, event, event })
    assert.equal('{"id":"m","json":[1,{"n":1}]}', script:get "m")
  end)

  it("is told the line where a key cannot be one", function()
    for key, name in pairs { ["nil"] = "nil", ["0/0"] = "NaN" } do
      assert.equal("script.lua:6: table index is " .. name, see(([[
        local _, err = pcall(function() model[%s] = 1 end)
        model.seen = err]]):format(key)))
    end
  end)

  -- What it has looked at stands ready, in tables that it is given.
  for _, write in ipairs { "data.cents = 2", "local k = 'cents' data[k] = 2",
    "event.type = 'B'", "rawset(data, 'cents', 2)", "data.other = 2",
    "setmetatable({}, { __newindex = data }).cents = 2" } do
    it("cannot change an event: " .. write, function()
      local script, err = script_test.load(([[return {
        name = "p", version = 1, fields = { n = "integer", seen = "json" },
        extract_model_id = function() return "m" end,
        apply_to_model = function(_, event)
          local data = event.data
          local seen = data.cents or event.type
          pcall(function() %s end)
          return { n = data.cents == 1 and event.type == "A" and 1 or 0,
            seen = seen }
        end }]]):format(write))
      assert(script, err and err.message)
      local event = { data = '{"cents":1}', type = "A" }
      assert.same({}, script:run { event, event, event })
      assert.is_true(script:keeps_nothing())
      assert.equal('{"id":"m","n":1,"seen":1}', script:get "m")
    end)
  end
end)
